"""ToolLLM: what is searched and in which order, what a reply means, and how answers are counted."""

import asyncio
import json

import pytest

from synthgen_nb.core.models import open_model
from synthgen_nb.core.prompts import load_prompt
from synthgen_nb.specs.tool import Tool
from synthgen_nb.specs.trajectory import Ref
from synthgen_nb.tools.toolllm import (
    GIVE_ANSWER,
    GIVE_UP,
    Action,
    Limits,
    dfsdt,
    pass_rate,
    passes,
    read_action,
    toolbench_tree,
    toolllm,
)
from synthgen_nb.worlds.hdf5 import hdf5_tools, hdf5_world
from synthgen_nb.worlds.world import Local

TOOLS = {t.name: t for t in hdf5_tools()}


def maze():
    names = "abcdef"
    tools = [Tool(name=n, parameters={"type": "object", "properties": {}}, effect="write") for n in names]
    return Local("maze", tools, {n: (lambda env, n=n: env.append(n) or list(env)) for n in names}, lambda initial: [], list)


def search(plans, **kw):
    visited = []

    async def act(path, tried, left):
        at = "".join(n.action.kind for n in path)
        options = plans.get(at, "x")
        kind = options[len(tried)] if len(tried) < len(options) else "x"
        visited.append(at + ">" + kind)
        return Action(GIVE_UP if kind == "x" else GIVE_ANSWER if kind == "!" else kind, answer="out")

    async def go():
        async with maze() as w:
            tree = await dfsdt("out", w, act, Limits(**kw))
            return tree, await w.state()

    return (*asyncio.run(go()), visited)


PLANS = {"": "ab", "a": "de", "ad": "xf", "ae": "!", "b": "c", "bc": "!"}


@pytest.mark.parametrize(
    "back, order",
    [
        (1, [">a", "a>d", "ad>x", "ad>f", "adf>x", "adf>x", "a>e", "ae>!"]),
        (2, [">a", "a>d", "ad>x", "a>e", "ae>!"]),
        (3, [">a", "a>d", "ad>x", ">b", "b>c", "bc>!"]),
    ],
)
def test_search_order_and_jump_back(back, order):
    tree, state, visited = search(PLANS, back=back)
    assert visited == order and tree.queries == len(order) and tree.ended == "answered"
    assert state == [n.call.tool for n in tree.answers[0].ran]  # the abandoned branch left no trace
    assert all(n.observation.ok for n in tree.answers[0].ran)


def test_search_stops_at_the_budget_and_at_the_depth():
    tree, _, visited = search({"": "ab", "a": "ab", "aa": "ab"}, max_steps=3, budget=4)
    assert tree.ended == "budget" and tree.queries == 4 and not tree.answers
    deep, _, visited = search({"a" * i: "a" for i in range(9)}, max_steps=3, width=1)
    assert visited == [">a", "a>a", "aa>a", "aaa>a"] and deep.ended == "exhausted" and not deep.answers
    all_, _, _ = search({"": "!!"}, answers=5, back=1)
    assert len(all_.answers) == 2


def test_a_failed_call_is_taken_back_without_a_reply():
    tree, _, visited = search({"": "zb", "b": "!"})  # there is no tool z
    assert visited == [">z", ">b", "b>!"] and tree.root.children[0].state == "failed" and tree.ended == "answered"


@pytest.mark.parametrize("good, asked", [(0, 1), (1, 2), (5, 2)])
def test_an_answer_is_put_back_once_with_the_objection(good, asked):
    shown = []

    async def act(path, tried, left):
        shown.append([n.action.error for n in tried])
        return Action(GIVE_ANSWER, answer=str(len(tried)))

    def check(node):
        return "" if node.action.answer == str(good) else "unsupported_number: it is another"

    async def go():
        async with maze() as w:
            return await dfsdt("out", w, act, check=check)

    tree = asyncio.run(go())
    assert len(shown) == tree.queries == asked and len(tree.rejected) == asked - 1 and len(tree.answers) == 1
    assert shown[-1] == ["unsupported_number: it is another"] * (asked - 1)


def test_a_chain_is_no_search_and_says_so():
    model = open_model(provider="offline")
    rows = [asyncio.run(toolllm(hdf5_tools(), model, hdf5_world, target=2, width=w)).kept[0] for w in (1, 2)]
    assert [t.origin[-1].faithful for t in rows] == ["approximation", "paper"] and rows[0].origin[-1].note


def test_what_was_tried_is_shown_to_the_model_and_stays_out_of_the_row():
    p = load_prompt("tool_act")
    docs = [dict(name="a", description="walk", parameters={}, returns={})]
    tried = [dict(tool="a", arguments={"file": "UNIQUE"}, status="error", result="gone")]
    said = lambda t: p.render({"type": "object"}, instruction="go", tools=docs, steps=[], tried=t, left=2).messages[1]["content"]
    assert "UNIQUE" in said(tried) and "different step" in said(tried) and "different step" not in said([])
    solved = asyncio.run(toolllm(hdf5_tools(), open_model(provider="offline"), hdf5_world)).kept
    assert len(solved) == 4
    text = "".join(t.model_dump_json() for t in solved)
    assert "has been tried" not in text and "different step" not in text


def test_a_reply_becomes_an_action_with_typed_values_and_references():
    tools = {"read_head": TOOLS["read_head"]}
    one = lambda name, value="", call="", path="": dict(name=name, value=value, call=call, path=path)
    said = dict(
        thought="look",
        action="read_head",
        answer="",
        arguments=[one("file", "weather.h5"), one("path", call="call_1", path="paths/0"), one("n", "3")],
    )
    a = read_action(said, tools)
    assert a.arguments == {"file": "weather.h5", "n": 3} and a.refs == (Ref(param="/path", call="call_1", path="/paths/0"),)
    year = read_action(said | dict(arguments=[one("file", "2024")]), tools)
    assert year.arguments == {"file": "2024"}  # a text stays a text
    idle = read_action(said | dict(arguments=[one("n", "3", "none", "n/a")]), tools)
    assert (idle.arguments, idle.refs) == ({"n": 3}, ())  # fields that had to be filled
    order = Tool(name="order", parameters=dict(type="object", properties=dict(body=dict(type="object"))))
    body = one("body", '{"petId": 10, "quantity": 2}', "call_1", "/id")
    whole = read_action(said | dict(action="order", arguments=[body]), {"order": order})
    assert (whole.arguments, whole.refs) == ({"body": {"petId": 10, "quantity": 2}}, ())  # the result has a part of it


def test_published_trees_say_what_their_files_say(data):
    trees = sorted((data / "tools/toolbench/G1_answer").glob("*.json"))
    assert len(trees) == 5
    for f in trees:
        d = json.loads(f.read_text())
        t, stored = toolbench_tree(d), d["answer_generation"]
        assert t["win"] == d["win"] and t["replies"] == stored["query_count"]
        assert t["finish"] == stored["finish_type"] if stored["valid_data"] else t["finish"] != "give_answer"


@pytest.mark.parametrize("answer, verdicts", [("Solved", (True, True, True)), ("Unsolved", (False, None, True)), ("Unsure", (None, None, True))])
def test_verdicts_of_tooleval(answer, verdicts):
    assert tuple(passes(answer, task) for task in ("Solvable", "Unsure", "Unsolvable")) == verdicts


def test_a_pass_rate_counts_majorities_and_a_tie_passes():
    assert pass_rate([[True] * 4, [True, True, False, False], [True, False, False, False]]) == 2 / 3
    tossed = [pass_rate([[None]], seed) for seed in range(40)]
    assert 10 < sum(tossed) < 30 and pass_rate([[None]], 3) == tossed[3]
