"""ToolGrad: mini-batches, proposals, trials that leave no trace, the validator, the selector, values in the request, rows, negatives."""

import asyncio
import json
import random

import pytest
from conftest import command, rows

from synthgen_nb.core.models import Answer, open_model
from synthgen_nb.core.records import Drop, SynthgenError
from synthgen_nb.specs.tool import Tool, problems
from synthgen_nb.specs.trajectory import Observation, Trajectory, as_trajectory
from synthgen_nb.tools.apigen import verify
from synthgen_nb.tools.toolgrad import (
    Knobs,
    Place,
    Pool,
    Proposal,
    Workflow,
    Worlds,
    as_row,
    call_schema,
    carry_out,
    choice_schema,
    minibatch,
    proposal_schema,
    propose,
    recoverable,
    stand_at_end,
    toolgrad,
    toolgrad_rows,
    uncovered,
    upstream,
    useless,
)
from synthgen_nb.worlds.hdf5 import hdf5_tools, hdf5_world
from synthgen_nb.worlds.world import Local, replay

NAMED = dict(type="object", properties={"name": {"type": "string"}}, required=["name"])
TOOLS = [
    Tool(name="add_part", description="Add a part to the box", parameters=NAMED, effect="write"),
    Tool(name="list_parts", description="List the parts of the box", parameters=dict(type="object", properties={}), effect="read"),
    Tool(name="weigh_part", description="Weigh a part of the box", parameters=NAMED, effect="read"),
]


def box():
    "A world that remembers what was put into it"

    def add(env, name):
        env.append(name)

    def weigh(env, name):
        return {"grams": 10 * len(name)} if name in env else {"error": f"no part named {name}"}

    functions = dict(add_part=add, list_parts=lambda env: {"parts": list(env)}, weigh_part=weigh)
    return Local("box", TOOLS, functions, make=lambda initial: ["bolt"], show=list)


class Scripted:
    "Replies by task, each a value or a function of the inputs; the prompts are the real ones"

    def __init__(self, **replies):
        self.replies, self.real, self.asked, self.name = replies, open_model(provider="offline"), [], "test/scripted"

    def prompt(self, name):
        return self.real.prompt(name)

    async def ask(self, ask, sample=0, **more):
        self.asked.append(ask)
        said = self.replies[ask.task.removeprefix("toolgrad_")]
        return Answer(value=said(ask.inputs) if callable(said) else said)


def calls(tool, **arguments):
    args = [dict(name=k, value=json.dumps(v), call="", path="") for k, v in arguments.items()]
    return dict(thought="Next.", tool=tool, arguments=args)


def offered(*proposals):
    return dict(reason="", proposals=[dict(id=i, instruction=t, tools=[t]) for i, t in enumerate(proposals, 1)])


def trial(model, tool, knobs=Knobs(), steps=(), nothing=()):
    async def run():
        w = Workflow(model, Pool(TOOLS, nothing=dict(nothing)), list(steps))
        async with box() as world:
            place = Place(world)
            r = await carry_out(w, Proposal("1", "do it", (tool,)), knobs, place)
            await stand_at_end(w, place)
            return r, await world.state()

    return asyncio.run(run())


def grown(model, knobs, seed=0):
    async def run():
        async with Worlds(box, 2) as worlds:
            return await toolgrad(Pool(TOOLS), model, worlds, seed, knobs)

    return asyncio.run(run())


def test_a_batch_is_that_of_the_papers_seed_with_little_used_tools_first():
    pool = Pool([Tool(name=f"t{i}") for i in range(80)])
    drawn = minibatch(pool, Knobs(iterations=10), 7, 3)
    assert drawn == random.Random(7 * 10 + 3).sample(list(pool.tools), 50)
    used = Pool(pool.tools, used={t.name: 5 for t in drawn[:40]})
    assert minibatch(used, Knobs(iterations=10), 7, 3) == drawn[40:] + drawn[:40]


def test_no_schema_lets_a_name_be_invented():
    one = dict(id=1, instruction="go", tools=["add_part"])
    schema = proposal_schema(["add_part"], Knobs())
    assert not problems(dict(reason="", proposals=[one]), schema)
    for bad in (one | dict(tools=["paint"]), one | dict(tools=[]), one | dict(tools=["add_part"] * 4)):
        assert problems(dict(reason="", proposals=[bad]), schema)
    assert problems(dict(reason="", proposals=[one] * 4), schema)
    nothing = dict(reason="It is complete.", proposals=[])
    assert not problems(nothing, schema) and problems(nothing, proposal_schema(["add_part"], Knobs(), least=1))
    assert problems(calls("paint"), call_schema(["add_part"])) and not problems(calls(""), call_schema(["add_part"]))
    assert problems(dict(reason="", id="4", chain=-1), choice_schema(["1"], [1]))
    assert problems(dict(reason="", id="1", chain=2), choice_schema(["1"], [1]))


def test_names_that_slip_through_are_left_out():
    said = dict(reason="", proposals=[dict(id=1, instruction="x", tools=["paint"]), dict(id=2, instruction="y", tools=["paint", "add_part"])])
    w = Workflow(Scripted(propose=said), Pool(TOOLS))
    got = asyncio.run(propose(w, TOOLS, Knobs()))
    assert [p.tools for p in got] == [("add_part",)]


@pytest.mark.parametrize("reply", [calls(""), calls("paint"), calls("add_part"), calls("add_part", name="$step_1_result")])
def test_what_invoked_no_tool_has_not_succeeded(reply):
    r, state = trial(Scripted(execute=reply), "add_part")
    assert r.step is None and r.invoked == 0 and r.error and state == ["bolt"]


def test_a_useless_result_is_tried_again_with_what_was_tried_in_view():
    model = Scripted(execute=lambda inputs: calls("weigh_part", name="bolt" if inputs["tried"] else "nut"))
    r, _ = trial(model, "weigh_part")
    assert r.step.observation.content == {"grams": 40} and r.invoked == 2
    assert [t["status"] for t in model.asked[1].inputs["tried"]] == ["failed_in_words"]
    r, _ = trial(Scripted(execute=calls("weigh_part", name="nut")), "weigh_part")
    assert r.step is None and r.invoked == 3 and "no part named nut" in r.error


def test_a_trial_leaves_no_trace_where_the_next_one_stands():
    r, state = trial(Scripted(execute=calls("add_part", name="nut")), "add_part")
    assert r.step and r.step.observation.before != r.step.observation.after  # nothing is returned, something changed
    assert state == ["bolt"]


USELESS = [None, "", {}, [], "None", {"items": []}, {"a": {"b": [None, ""]}}, "<!doctype html><p>no", "<?xml version='1.0'?>", "PK\0\0", "�" * 9]
USEFUL = [0, False, {"count": 0, "items": []}, "none of the others", "<b>x</b>", [[0.5]]]


def seen(content, **more):
    return Observation(source="executed", world="", content=content, **dict(call="call_1", status="ok") | more)


def test_a_structure_says_what_is_of_use():
    assert all(useless(seen(x)) for x in USELESS) and not any(useless(seen(x)) for x in USEFUL)
    assert useless(seen({"path": "/a", "names": []}), arguments={"path": "/a"})
    assert not useless(seen({"path": "/a", "names": ["b"]}), arguments={"path": "/a"})
    assert not useless(seen(None, before="1", after="2")) and useless(seen("x", status="error", error="no"))
    assert useless(seen("I know no zq."), {"I know no {}."}, {"name": "zq"}) and not useless(seen("It is 3."), {"I know no {}."}, {"name": "zq"})


ASKED = "Show me the first three rows of wind speed in Bergen on March 5, 2024 where it is above 12.5, as 40 % of order ORD-0042, twice."


@pytest.mark.parametrize("value", [3, 1, 12.5, .4, 2, "wind_speed", "windSpeed", "2024-03-05", "/stations/bergen/wind_speed", "ORD-0042", "ord 42", True, None])
def test_what_stands_in_a_request_is_recoverable(value):
    assert recoverable(value, ASKED)


@pytest.mark.parametrize("value", [4, 12, 12.4, .3, "b", "wind_gust", "2024-03-06", "/stations/oslo/wind_speed/max", "ORD-0043", "Oslo"])
def test_what_does_not_is_not(value):
    assert not recoverable(value, ASKED)


def test_choices_and_defaults():
    which = {"enum": ["min", "max", "mean"], "default": "mean"}
    assert recoverable("mean", "x", which) and recoverable("max", "the largest", which) and recoverable("min", "using min", which)
    assert not recoverable("max", "the smallest or largest", which) and not recoverable("max", "the mean", which)


def test_a_value_that_an_earlier_result_gives_need_not_be_said():
    row = as_trajectory(dict(turns=[
        dict(role="user", text="Weigh the part there is."),
        dict(role="assistant", calls=[dict(id="call_1", tool="list_parts")], observations=[seen({"parts": ["bolt"]}).model_dump()]),
        dict(role="assistant", calls=[dict(id="call_2", tool="weigh_part", arguments={"name": "bolt"})],
             observations=[seen({"grams": 40}, call="call_2").model_dump()])]))
    by = {t.name: t for t in TOOLS}
    assert not uncovered(row, by)
    first, *others = row.turns
    assert uncovered(row.but(turns=(first, others[1])), by) == ["value: name of weigh_part is bolt, and the request does not say so"]


GOOD = dict(query="Please add the part nut to the box.", response="I have added the part nut to the box.", api_use_chains=["not yours"])
SCRIPT = dict(propose=offered("add_part"), execute=calls("add_part", name="nut"), select=dict(reason="", id="1", chain=-1))
ONE = Knobs(iterations=1, steps=(1, 1))


def test_a_request_without_a_value_is_asked_for_once_more_with_the_objection():
    model = Scripted(**SCRIPT, query=lambda inputs: GOOD if inputs["tried"] else GOOD | dict(query="Please add that part to the box."))
    row = grown(model, ONE)
    assert row.instruction == GOOD["query"] and row.calls[0].arguments == {"name": "nut"}
    again = [a for a in model.asked if a.task == "toolgrad_query"][1].inputs["tried"]
    assert "is nut, and the request does not say so" in again[0]["objections"][0]


@pytest.mark.parametrize("bad, said", [(dict(query="Please add that part to the box."), "is nut"), (dict(response="The part weighs 70 grams."), "70"),
                                       (dict(query=""), "no request")])
def test_and_then_the_step_is_dropped(bad, said):
    model = Scripted(**SCRIPT, query=GOOD | bad)
    lost = grown(model, ONE)
    assert isinstance(lost, Drop) and lost.reason == "unwritten" and said in lost.detail
    assert sum(a.task == "toolgrad_query" for a in model.asked) == 2 and not lost.record.calls


def test_chains_are_those_that_ran_and_run_again():
    steps = iter([calls("add_part", name="nut"), calls("list_parts"), calls("weigh_part", name="nut")])
    tool = iter(["add_part", "list_parts", "weigh_part"])
    chains = iter([-1, -1, 1])
    texts = iter([GOOD, dict(query="Add the part nut to the box. Which parts are in it then?", response="I have added nut. The parts are bolt and nut."),
                  dict(query="Add the part nut to the box. Which parts are in it then? And weigh nut.",
                       response="I have added nut. The parts are bolt and nut. It weighs 30 grams.")])
    model = Scripted(propose=lambda _: offered(next(tool)), execute=lambda _: next(steps), query=lambda _: next(texts),
                     select=lambda _: dict(reason="", id="1", chain=next(chains)))
    row = grown(model, Knobs(iterations=3, steps=(3, 3)))
    assert [c.tool for c in row.calls] == ["add_part", "list_parts", "weigh_part"] and row.meta["chains"] == [["call_1", "call_3"], ["call_2"]]
    assert row.observations[1].content == {"parts": ["bolt", "nut"]} and row.observations[2].content == {"grams": 30}

    async def again():
        async with box() as w:
            return await replay(w, row.calls, row.observations)

    assert asyncio.run(again()) == []


def test_none_is_a_choice_and_all_failed_skips():
    model = Scripted(**SCRIPT | dict(select=dict(reason="", id="none", chain=-1)))
    lost = grown(model, ONE)
    assert lost.reason == "no_call" and lost.record.meta["toolgrad"]["skipped"] == 1
    failing = Scripted(**SCRIPT | dict(execute=calls("")))
    assert grown(failing, Knobs(iterations=2)).reason == "no_call"
    assert not any(a.task == "toolgrad_select" for a in failing.asked)


def test_the_random_selector_asks_nobody_and_the_row_says_so():
    model = Scripted(**SCRIPT, query=GOOD)
    row = grown(model, Knobs(iterations=1, steps=(1, 1), selector="random"))
    assert not any(a.task == "toolgrad_select" for a in model.asked)
    assert row.origin[-1].faithful == "approximation" and "random" in row.origin[-1].note
    with pytest.raises(SynthgenError, match="selector"): grown(model, Knobs(iterations=1, selector="oracle"))


def test_a_world_that_does_not_open_says_why():
    def broken(): raise SynthgenError("no such server")

    async def run():
        async with Worlds(broken, 2) as worlds: await worlds.do(lambda place: None)

    with pytest.raises(SynthgenError, match="no such server"): asyncio.run(run())


def test_an_empty_workflow_is_an_empty_row():
    assert as_row(Workflow(Scripted(), Pool(TOOLS)), "", "").calls == []


def test_rows_are_verified_mixed_and_beside_negatives():
    model, tools = open_model(provider="offline"), {t.name: t for t in hdf5_tools()}
    made = asyncio.run(toolgrad_rows(hdf5_tools(), model, hdf5_world, target=7, negatives=0.2, hybrid=True, chain_ratio=0.5))
    ways = [t.origin[0].method for t in made.kept]
    assert {w: ways.count(w) for w in ways} == {"toolgrad": 3, "toolllm_instruction": 3, "toolgrad_negative": 1}
    assert len(asyncio.run(verify(made.kept, hdf5_tools(), hdf5_world)).kept) == 7
    chains = [t for t, way in zip(made.kept, ways, strict=True) if way == "toolgrad"]
    assert all(2 <= len(t.calls) <= 4 and {c.tool for c in t.calls} <= {*t.tools} and len(t.tools) == 10 for t in chains)
    refused = made.kept[-1]
    used = {c.tool for t in made.kept if t.id in refused.parents or t.instruction == refused.instruction for c in t.calls}
    assert refused.no_call == "irrelevance" and not refused.calls and len(refused.tools) >= 3
    assert used and not {tools[n].category for n in used} & {tools[n].category for n in refused.tools}


@pytest.mark.parametrize("wrong", [dict(chain_ratio=0), dict(negatives=2), dict(min_steps=3, max_steps=2)])
def test_what_cannot_be_is_said(wrong):
    with pytest.raises(SynthgenError, match=r"cannot be|between"):
        asyncio.run(toolgrad_rows(hdf5_tools(), Scripted(), hdf5_world, **wrong))


def shop():
    "A small specification"

    def gives(schema): return {"200": {"description": "ok", "content": {"application/json": {"schema": schema}}}}

    def by_id(verb, what): return dict(operationId=f"{verb}{what}", summary=f"{verb} a {what.lower()} by its id", parameters=[place], responses=gives(part))

    place = {"name": "partId", "in": "path", "required": True, "schema": {"type": "integer"}}
    part = dict(type="object", properties=dict(id={"type": "integer"}, colour={"type": "string"}, grams={"type": "integer"}))
    listing = dict(operationId="listParts", summary="List the parts", responses=gives(dict(type="array", items=part)))
    paths = {"/parts": {"get": listing}, "/parts/{partId}": {"get": by_id("get", "Part"), "delete": by_id("delete", "Part")}}
    return dict(openapi="3.0.0", info=dict(title="Parts", version="1"), paths=paths)


def test_the_command(tmp_path):
    run = command(tmp_path)
    (tmp_path / "shop.json").write_text(json.dumps(shop()))
    wanted = ("--target-pairs", 3, "--min-steps", 1, "--max-steps", 2, "--negatives", 0)
    said = run("tool-generate-chain", "shop.json", "-o", "out.jsonl", *wanted).stdout
    assert "3 rows, every call executed in synthetic:shop.json" in said and "(100.0 %)" in said
    assert all(1 <= sum(len(t["calls"]) for t in r["turns"]) <= 2 for r in rows(tmp_path / "out.jsonl"))


def test_the_published_example_is_read(data):
    file = data / "tools/toolgrad/example_workflow.json"
    if not file.is_file(): pytest.skip("tools/toolgrad is not in the shared data")
    t = upstream(json.loads(file.read_text()))
    assert isinstance(t, Trajectory) and [len(c) for c in t.meta["chains"]] == [1, 1, 1, 1]
    assert t.calls[0].arguments == dict(interval="1day", symbol="AAPL", time_period=14, outputsize=30, format="JSON")
    assert t.observations[0].content["meta"]["symbol"] == "AAPL" and t.answer.startswith("Here is a detailed")
    assert [bool(useless(o)) for o in t.observations] == [False, False, False, True]
    missing = uncovered(t, {c.tool: Tool(name=c.tool) for c in t.calls})
    assert any("time_period" in m for m in missing) and not any("symbol" in m for m in missing)


def test_the_published_pool_is_read(data):
    file = data / "tools/toolgrad/toolbench_pool.json"
    if not file.is_file(): pytest.skip("tools/toolgrad is not in the shared data")
    apis = [(c, t, a) for c, ts in json.loads(file.read_text()).items() for t, names in ts.items() for a in names]
    pool = Pool([Tool(name=f"t{i}", category=f"{c}/{t}", description=a) for i, (c, t, a) in enumerate(apis)])
    batches = [minibatch(pool, Knobs(iterations=10), s, t) for s in range(3) for t in range(10)]
    assert len(apis) > 15_000 and all(len(b) == 50 for b in batches) and len({x.name for b in batches for x in b}) > 1_300
