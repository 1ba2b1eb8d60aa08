"""From tools to rows: what is searched, what is verified, what is exported, and what the command line says."""

import asyncio
import json
import re
from collections import Counter
from pathlib import Path

import pytest
from conftest import rows

from synthgen_nb.core.calls import Reply
from synthgen_nb.core.judge import load_rubric
from synthgen_nb.core.models import open_model
from synthgen_nb.core.prompts import load_prompt
from synthgen_nb.core.records import SynthgenError, load
from synthgen_nb.tools.apigen import accounts, balance, call_problem, curate, difficulty, verify
from synthgen_nb.export.conversations import TOOL_FORMATS, export_tools, features, messages, trl
from synthgen_nb.tools.gold import bfcl_check, realised
from synthgen_nb.tools.grounding import sourced, stated, unquoted
from synthgen_nb.worlds.hdf5 import hdf5_tools, hdf5_world
from synthgen_nb.specs.trajectory import read_trajectories
from synthgen_nb.specs.tool import Tool
from synthgen_nb.tools.toolllm import GIVE_ANSWER, GIVE_UP, Action, dfsdt, generate, read_action, toolbench_tree
from synthgen_nb.specs.trajectory import Call, Observation, Ref, Trajectory, Turn
from synthgen_nb.worlds.world import Local, replay

TOOLS = {t.name: t for t in hdf5_tools()}


@pytest.fixture(scope="module")
def made():
    return asyncio.run(generate(hdf5_tools(), hdf5_world, open_model(provider="offline"), target=36))


def test_rows_are_exact_cover_the_tools_and_happen_again(made):
    assert len(made.rows) == 36 and made.ended == "target reached"
    assert {c.tool for t in made.rows for c in t.calls} == set(TOOLS)  # every usable tool
    assert len({tuple(c.tool for c in t.calls) for t in made.rows}) >= 30
    assert any(c.refs for t in made.rows for c in t.calls)
    reading = [t for t in made.rows if any(TOOLS[c.tool].effect == "read" for c in t.calls)]
    assert sum(not unquoted(t, TOOLS) for t in reading) >= 0.9 * len(reading)

    async def again():
        async with hdf5_world() as w:
            return [await replay(w, t.calls, t.observations, t.initial) for t in made.rows[:8]]

    assert not any(asyncio.run(again()))
    a = accounts(made.accepted)
    assert a["attempts"] == a["verified"] + a["unchecked"] + sum(v for k, v in a.items() if k.startswith("failed"))


def test_every_row_is_shown_with_the_tools_it_calls_and_mostly_with_others(made):
    assert all({c.tool for c in t.calls} <= set(t.tools) for t in made.rows)
    kinds = Counter(t.meta["documentation"] for t in made.rows)
    assert set(kinds) == {"oracle", "noisy"} and all(len(t.tools) == 8 for t in made.rows if t.meta["documentation"] == "noisy")


def test_rows_without_the_tool_they_need_are_verified_first():
    made = asyncio.run(generate(hdf5_tools(), hdf5_world, open_model(provider="offline"), target=6, mix={"absent": 1}))
    solved = {t.instruction: t for t in made.accepted.kept}
    assert len(made.rows) == 6 and all(s.value == 1 for t in made.rows for s in solved[t.instruction].scores)
    for t in made.rows:
        assert t.tools and not t.calls and t.answer and not set(t.tools) & {c.tool for c in solved[t.instruction].calls}
        said = messages(t, TOOLS)
        assert [m["role"] for m in said["messages"]] == ["user", "assistant"] and len(said["tools"]) == len(t.tools)


# The search


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
            tree = await dfsdt("out", w, act, **kw)
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


def test_what_was_tried_is_shown_to_the_model_and_stays_out_of_the_row(made):
    p = load_prompt("tool_act")
    docs = [dict(name="a", description="walk", parameters={}, returns={})]
    tried = [dict(tool="a", arguments={"file": "UNIQUE"}, status="error", result="gone")]
    said = lambda t: p.render({"type": "object"}, instruction="go", tools=docs, steps=[], tried=t, left=2).messages[1]["content"]
    assert "UNIQUE" in said(tried) and "different step" in said(tried) and "different step" not in said([])
    text = "".join(t.model_dump_json() for t in made.rows)
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


# Verification


def chain(*calls, ask="", answer="done", observed=()):
    turns = [
        Turn(role="assistant", calls=(c,), observations=(o,) if o else ())
        for c, o in zip(calls, observed or [None] * len(calls), strict=True)
    ]
    return Trajectory(turns=(Turn(role="user", text=ask), *turns, Turn(role="assistant", text=answer)))


PATH = "/stations/oslo/temperature"
GOOD = chain(
    Call(id="call_1", tool="get_shape", arguments={"file": "weather.h5", "path": PATH}),
    ask=f"How long is {PATH} in weather.h5?",
    answer="It has 365 values.",
)


def test_faults_are_caught_at_their_stage_and_the_accounts_add_up():
    c = GOOD.calls[0]
    arg = lambda **kw: c.model_copy(update={"arguments": c.arguments | kw})
    faults = {
        "format:unknown_tool": chain(c.model_copy(update={"tool": "get_shapes"})),
        "format:unresolved_reference": chain(arg(path="$step_1_result")),
        "format:missing_parameter": chain(Call(id="call_1", tool="get_shape", arguments={"path": PATH})),
        "format:unknown_parameter": chain(arg(colour="red")),
        "format:bad_value": chain(arg(path=3)),
        "format:no_calls": chain(),
        "execution:error": chain(arg(path="/nowhere"), ask="/nowhere in weather.h5"),
        "grounding:ungrounded_argument": chain(c, ask="How long is it?", answer="365"),
        "grounding:ungrounded_answer": chain(c, ask=GOOD.instruction, answer="It has 100 values."),
        "semantic:judged_wrong": chain(
            c, Call(id="call_2", tool="get_shape", arguments={"file": "weather.h5", "path": "/nowhere"}), ask="x"
        ),
    }
    last = faults.pop("semantic:judged_wrong")
    out = asyncio.run(verify([GOOD, *faults.values(), last], hdf5_tools(), hdf5_world))
    assert [t.instruction for t in out.kept] == [GOOD.instruction]
    assert [d.reason for d in out.dropped] == [*faults, "execution:error"]
    a = accounts(out)
    assert a == dict(attempts=11, verified=1, failed_format=6, failed_execution=2, failed_grounding=2, failed_semantic=0, unchecked=0)


def test_nobody_could_tell_is_not_a_pass():
    lying = GOOD.but(
        turns=(
            GOOD.turns[0],
            GOOD.turns[1].model_copy(
                update={"observations": (Observation(call="call_1", status="ok", source="executed", world="hdf5", content={"size": 366}),)}
            ),
            GOOD.turns[2],
        )
    )
    out = asyncio.run(verify([lying], hdf5_tools(), hdf5_world))
    assert out.dropped[0].reason == "execution:not_reproducible"

    def played():
        world = hdf5_world()
        world.executed = False
        return world

    simulated = asyncio.run(verify([GOOD], hdf5_tools(), played))
    assert simulated.dropped[0].reason == "unchecked:execution" and accounts(simulated)["unchecked"] == 1
    mute = open_model(provider="offline").at("judge")

    async def garbage(request, ask, block):
        return Reply("I think so!"), {}

    mute._send = garbage
    judged = asyncio.run(verify([GOOD], hdf5_tools(), hdf5_world, mute))
    assert judged.dropped[0].reason == "unchecked:semantic" and not judged.kept
    rated = asyncio.run(curate([verified_good()], hdf5_tools(), mute, load_rubric("tools")))
    assert rated.dropped[0].reason == "unrated:not_json"


def verified_good():
    return asyncio.run(verify([GOOD], hdf5_tools(), hdf5_world)).kept[0]


def test_the_offline_judge_rates_what_can_be_counted():
    m, r = open_model(provider="offline"), load_rubric("tools")
    best = asyncio.run(curate([verified_good()], hdf5_tools(), m, r)).kept[0]
    overall = best.scores[-1]
    assert overall.criterion == "overall" and overall.value == sum(s.value for s in best.scores[-5:-1]) and overall.scale == (0, 10)
    out = asyncio.run(curate([verified_good()], hdf5_tools(), m, r, threshold=10))
    assert out.dropped[0].kind == "below_threshold" and "10" in out.dropped[0].detail


def test_a_set_that_was_verified_by_imagination(data):
    found = read_trajectories(data / "prototype/tools/jarvis_tool_validated.json").kept
    steps = [c for t in found for c in t.calls]
    known = {c.tool: Tool(name=c.tool, parameters={"type": "object", "additionalProperties": True}) for c in steps}
    assert len(steps) == 757 and sum(call_problem(c, known, {})[0] == "unresolved_reference" for c in steps) == 316


def test_values_come_from_the_instruction_or_an_earlier_result():
    seen = {"call_1": Observation(call="call_1", status="ok", source="executed", world="w", content={"paths": ["/b", PATH]})}
    call, lost = sourced(
        Call(id="call_2", tool="get_shape", arguments={"file": "weather.h5", "path": PATH}), TOOLS["get_shape"], "in weather.h5", seen
    )
    assert call.refs == (Ref(param="/path", call="call_1", path="/paths/1"),) and call.arguments == {"file": "weather.h5"} and not lost
    assert stated(0.86421, "about 0.864") and not stated(0.86421, "about 0.87") and not stated(12, "in 2012")


def test_levelling_names_what_it_leaves_out():
    many = [GOOD] * 8 + [chain(*[Call(id=f"call_{i}", tool="list_files") for i in range(n)]) for n in (2, 3, 5)]
    out = balance(many, 0.5)
    assert max(Counter(map(difficulty, out.kept)).values()) <= len(out.kept) / 2 and out.reasons == {"surplus": len(out.dropped)}
    with pytest.raises(SynthgenError, match="33%"):
        balance(many, 0.2)


def test_gorilla_numbers_of_the_files_at_hand(data):

    from synthgen_nb.tools.gorilla import grade, reference

    want = {
        ("tensorflowhub", "RT_bm25"): (41.9, 2.77),
        ("tensorflowhub", "RT_gpt_index"): (64.96, 2.19),
        ("tensorflowhub", "FT_0_shot"): (83.94, 5.26),
        ("tensorflowhub", "RT_oracle"): (93.87, 2.34),
        ("torchhub", "RT_bm25"): (50.0, 5.91),
        ("torchhub", "FT_0_shot"): (75.81, 16.13),
    }
    read = lambda p: rows(data / "tools/apibench" / p)
    for (hub, cell), (overall, hallucination) in want.items():
        apis, exam = read(f"data/api/{hub}_api.jsonl"), read(f"data/apibench/{hub.removesuffix('hub') if hub[1] == 'e' else hub}_eval.json")
        answers = read(f"gorilla/eval/eval-data/responses/{hub}/response_{hub}_Gorilla_{cell}.jsonl")
        pairs = [(a["text"], exam[a["question_id"] - 1]["api_data"]["domain"]) for a in answers]
        assert grade(pairs, [reference(a["api_call"], hub) for a in apis], [a["domain"] for a in apis]) == dict(
            overall=overall, hallucination=hallucination
        )


def test_bfcl_gold_answers():
    package = pytest.importorskip("bfcl_eval")
    folder = Path(package.__path__[0]) / "data"
    n = ok = 0
    for part in (
        "simple_python",
        "multiple",
        "parallel",
        "parallel_multiple",
        "live_simple",
        "live_multiple",
        "live_parallel",
        "live_parallel_multiple",
    ):
        gold = {r["id"]: r["ground_truth"] for r in rows(folder / f"possible_answer/BFCL_v4_{part}.json")}
        for r in rows(folder / f"BFCL_v4_{part}.json"):
            calls = [realised(g) for g in gold[r["id"]]]
            good = not bfcl_check(r["function"], calls, gold[r["id"]])
            n, ok = n + 1, ok + good
            if good:
                name, args = calls[0]
                assert bfcl_check(r["function"], [(name + "_x", args), *calls[1:]], gold[r["id"]])
                assert bfcl_check(r["function"], [(name, args | {"not_there": 1}), *calls[1:]], gold[r["id"]])
                assert bfcl_check(r["function"], [*calls, calls[0]], gold[r["id"]]) == "wrong_count"
    assert (n, ok) == (2351, 2344)


# Formats

TEMPLATE = """{% for t in tools %}{{ t.function.name }}({{ t.function.parameters.properties | list | join(',') }}) {% endfor %}
{% for m in messages %}<{{ m.role }}>{{ m.content or '' }}\
{% for c in m.tool_calls or [] %}[{{ c.id }} {{ c.function.name }} {{ c.function.arguments | tojson }}]{% endfor %}
{% endfor %}"""


def falsy():
    values = [0, False, [], "", None, {}]
    call = lambda i: Call(id=f"call_{i}", tool="list_files")
    seen = lambda i, v: Observation(call=f"call_{i}", status="ok", source="executed", world="w", content=v)
    turns = [
        Turn(role="assistant", thought=f"thought {i}", calls=(call(i),), observations=(seen(i, v),), train=i != 2)
        for i, v in enumerate(values)
    ]
    return Trajectory(
        turns=(Turn(role="user", text="Go."), *turns, Turn(role="assistant", text="Done.")), tools=("list_files", "histogram", "get_shape")
    ), values


@pytest.mark.parametrize("ext", ["jsonl", "parquet"])
def test_schemas_are_not_padded_and_false_results_survive(tmp_path, ext):
    from datasets import load_dataset
    from jinja2 import Environment

    t, values = falsy()
    export_tools([t, t], hdf5_tools(), tmp_path / f"rows.{ext}", "trl")
    kind = "json" if ext == "jsonl" else "parquet"
    back = load_dataset(
        kind, data_files=str(tmp_path / f"rows.{ext}"), split="train", features=features("trl"), cache_dir=str(tmp_path / "cache")
    )[0]
    assert back == trl(t, TOOLS) and back["tools"] == [TOOLS[n].function() for n in t.tools]
    results = [m["content"] for m in back["messages"] if m["role"] == "tool"]
    assert [json.loads(r) for r in results] == values
    ids = [c["id"] for m in back["messages"] for c in m.get("tool_calls", [])]
    assert ids == [m["tool_call_id"] for m in back["messages"] if m["role"] == "tool"]
    assert [x for m, x in zip(back["messages"], back["train_on"], strict=True) if m["role"] == "assistant"] == [i != 2 for i in range(7)]
    text = Environment().from_string(TEMPLATE).render(**back)
    assert "histogram(file,path,bins)" in text and "[call_0 list_files {}]" in text and "<tool>0\n" in text and "<tool>false\n" in text


@pytest.mark.parametrize("name", TOOL_FORMATS)
def test_every_format_keeps_reasoning_results_and_arguments(tmp_path, made, name):
    t, _ = falsy()
    for row in (t, *made.rows[:6]):
        text = json.dumps(TOOL_FORMATS[name](row, TOOLS, "Be brief."), ensure_ascii=False).replace('\\"', '"')
        assert all(turn.thought[:30] in text for turn in row.turns) and row.answer[:60] in text
        assert all(c.tool in text for c in row.calls)
    text = json.dumps(TOOL_FORMATS[name](t, TOOLS, "Be brief."))
    assert name == "jsonl" or ("Be brief." in text and "false" in text and "None" not in text)
    chained = next(r for r in made.rows if any(c.refs for c in r.calls))
    if name != "jsonl":
        assert "call_1/" not in json.dumps(TOOL_FORMATS[name](chained, TOOLS)) and not re.search(
            r'"refs"', json.dumps(TOOL_FORMATS[name](chained, TOOLS))
        )
    assert export_tools(made.rows, hdf5_tools(), tmp_path / "x.jsonl", name) == 36 == len(rows(tmp_path / "x.jsonl"))


# The command line


def test_pipeline_on_the_default_world(synthgen):
    r = synthgen("tool-pipeline", "hdf5", "-o", "train.jsonl", "--target-pairs", 8)
    train = rows(synthgen.folder / "train.jsonl")
    assert len(train) == 8 and "every call executed in hdf5" in r.stdout and all(x["tools"] for x in train)
    folder = next((synthgen.folder / "runs").iterdir())
    record = json.loads((folder / "run.json").read_text())
    assert record["status"] == "done" and record["measures"]["failed_calls"] == 0 and record["world"] == "hdf5"
    for name in ("sequences.png", "coverage.png", "funnel.png", "README.md", "records/final.jsonl", "records/tools.jsonl"):
        assert (folder / name).stat().st_size
    assert "34 tools" in synthgen("show").stdout


def test_generate_and_curate_a_specification(synthgen, data):
    spec = data / "specs/readme/3.1-petstore.json"
    synthgen("tool-generate", spec, "-o", "rows.jsonl", "--target-pairs", 12, "--multi-step", "--max-steps", 3)
    made = load(synthgen.folder / "rows.jsonl", Trajectory)
    assert len(made) == 12 and all(2 <= len(t.calls) <= 3 and all(o.executed and o.ok for o in t.observations) for t in made)
    r = synthgen("tool-curate", "rows.jsonl", "-o", "good.jsonl", "--tools", spec, "--threshold", 5)
    good = load(synthgen.folder / "good.jsonl", Trajectory)
    assert good and all(any(s.criterion == "tool_selection" for s in t.scores) for t in good) and "difficulty" in r.stdout
    assert json.loads((synthgen.folder / "good_metrics.json").read_text())["kept"] == len(good)
    synthgen("tool-curate", "rows.jsonl", "-o", "rows.jsonl", ok=False)
    assert "name=value" in synthgen("tool-generate", spec, "-o", "x.jsonl", "--value", "petId", ok=False).stderr
