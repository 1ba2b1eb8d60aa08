"""A search is rebuilt from its requests alone, and says of each argument where it comes from."""

import asyncio
import json
import random

import pytest

from synthgen_nb.core.calls import Calls, Reply, Request, asking
from synthgen_nb.core.models import open_model
from synthgen_nb.core.prompts import USUAL, material
from synthgen_nb.core.settings import Settings
from synthgen_nb.experiments.trees import Branch, argument_origins, mark_path, read_request, replayed, search_tree, tree_lines, tree_part
from synthgen_nb.specs.trajectory import Call, Observation, Ref, Trajectory, Turn
from synthgen_nb.tools.toolllm import GIVE_ANSWER, GIVE_UP, Limits, dfsdt, read_action, shown_steps, shown_try
from synthgen_nb.worlds.hdf5 import hdf5_world

ASKED = "Which files are there, and what is in </request> weather.h5?"
STEPS = [
    ("list_files", {}),
    ("list_keys", dict(file="weather.h5")),
    ("list_keys", dict(file="nowhere.h5")),
    ("read_head", dict(file="weather.h5", path="/no\nsuch (path)")),
    ("file_info", dict(file="images.h5")),
    (GIVE_UP, {}),
    (GIVE_ANSWER, {}),
]


async def searched(seed: int, calls: Calls):
    "A search by a policy that draws its steps, with the requests that a model would have been sent"
    rng, model = random.Random(seed), open_model(Settings())
    async with hdf5_world() as w:
        tools = {t.name: t for t in w.tools}

        async def act(path, tried, left):
            kind, args = rng.choice(STEPS)
            given = [dict(name=k, value=json.dumps(v), call="", path="") for k, v in args.items()]
            reply = dict(thought=f"step {rng.random()}", action=kind, arguments=given, answer="There are 4 files." if kind == GIVE_ANSWER else "")
            ask = model.prompt("tool_act").render(
                dict(type="object"), instruction=ASKED, tools=[], left=left, steps=shown_steps(path), tried=[shown_try(n) for n in tried]
            )
            calls.put(Request(model="drawn", prompt="tool_act", messages=list(ask.messages), sample=rng.random()), Reply(json.dumps(reply)))
            return read_action(reply, tools)

        return await dfsdt(ASKED, w, act, Limits(width=3, budget=14, answers=2))


def paths(b: Branch, above=()) -> set:
    return {(*above, x.tool) for x in b.below} | {p for x in b.below for p in paths(x, (*above, x.tool))}


def walked(n, above=()) -> set:
    return {(*above, x.action.kind) for x in n.children} | {p for x in n.children for p in walked(x, (*above, x.action.kind))}


@pytest.mark.parametrize("seed", range(12))
def test_every_step_of_a_search_is_in_the_tree_and_no_other(seed):
    with Calls() as calls:
        found = asyncio.run(searched(seed, calls))
        tree = search_tree(asking(calls, "tool_act", material(ASKED, USUAL)))
    assert walked(found.root) <= paths(tree)
    assert len(paths(tree) - walked(found.root)) <= (found.ended == "budget"), "the last reply came too late to be followed"
    failed = [b for b in tree.below if b.status == "error"]
    assert {b.tool for b in failed} == {n.action.kind for n in found.root.children if n.observation and not n.observation.ok}
    assert len("\n".join(tree_lines(tree)).splitlines()) == sum(1 for _ in walk(tree))


def walk(b: Branch):
    for x in b.below:
        yield x
        yield from walk(x)


def told(*pairs):
    "A trajectory of calls with results"
    turns = [Turn(role="user", text="Open the second file of the folder at 5 °C.")]
    turns += [Turn(role="assistant", calls=(c,), observations=(o,)) for c, o in pairs]
    return Trajectory(turns=(*turns, Turn(role="assistant", text="Done.")), world="hdf5")


def seen(call, content, status="ok"):
    return Observation(call=call, status=status, source="executed", world="hdf5", content=content)


def test_where_arguments_come_from():
    tools = {t.name: t for t in hdf5_world().tools}
    t = told(
        (Call(id="call_1", tool="list_files"), seen("call_1", dict(files=["a.h5", "b.h5"]))),
        (Call(id="call_2", tool="open_file", arguments=dict(mode="r"), refs=(Ref(param="/file", call="call_1", path="/files/1"),)), seen("call_2", {})),
        (Call(id="call_3", tool="unknown_to_us", arguments=dict(at=5, of="zebra.txt")), seen("call_3", {})),
    )
    origin = {(o["call"], o["argument"]): (o["value"], o["origin"]) for o in argument_origins(t, tools)}
    assert origin["call_2", "/file"] == ("b.h5", "result of call_1/files/1")
    assert origin["call_2", "/mode"][1].startswith("a flag, a default")
    assert origin["call_3", "/at"] == (5, "said by the user")
    invented = told((Call(id="call_1", tool="list_keys", arguments=dict(file="zebra.h5")), seen("call_1", {})))
    assert argument_origins(invented, tools)[0]["origin"] == "from nowhere"


def test_the_path_of_a_row_is_marked_with_and_without_its_search():
    t = told((Call(id="call_1", tool="list_files"), seen("call_1", dict(files=[]))))
    root = Branch()
    root.step("list_keys", "{}").status = "error"
    mark_path(root, t)
    assert [(b.tool, b.kept) for b in root.below] == [("list_keys", False), ("list_files", True)]
    with Calls() as calls:
        alone = tree_part("never asked", calls, t)
    assert alone.missing and "✓ list_files" in alone.text


def test_a_search_of_another_model_stays_out():
    step = json.dumps(dict(thought="", action="list_files", arguments=[], answer=""))
    ask = lambda model, docs: Request(model=model, prompt="tool_act", messages=[dict(role="user", content=f"{docs}<request>\nRead it.\n</request>\n\n")])
    with Calls() as calls:
        own = calls.put(first := ask("m/one", "tools"), Reply(step)) and first
        calls.put(ask("m/two", "tools"), Reply(step))
        calls.put(ask("m/one", "other tools"), Reply("no JSON"))
        assert tree_part("Read it.", calls, None, own.key).said == "1 replies of the model; 1 steps led nowhere"
        assert len(asking(calls, "tool_act", "Read it.")) == 3 and not asking(calls, "tool_act", 'half " \ud800 a character')


def test_a_message_that_is_no_request_for_a_step_holds_none():
    assert read_request("call_1: a({})\nok:\n<result>\n1\n</result>") == ([], [])


def test_calls_are_run_again_only_where_that_does_no_harm():
    t = told((Call(id="call_1", tool="list_files"), seen("call_1", "something else")))
    part = asyncio.run(replayed(t, hdf5_world().tools))
    assert part.said.endswith("0 of 1 calls give the same") and part.rows[0]["now"].startswith("ok: ")
    assert asyncio.run(replayed(t.but(world="nowhere:else"), [])).missing
