"""ToolMind: edges and walks, intent and three agents in a world, two filters, masks that stay, one sample for each turn."""

import asyncio
import json
from collections import Counter

import pytest
from conftest import command, rows
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgen_nb.core.models import Answer, open_model
from synthgen_nb.core.records import SynthgenError, save
from synthgen_nb.export.conversations import hf
from synthgen_nb.specs.tool import Tool
from synthgen_nb.specs.trajectory import Call, Observation, Trajectory, Turn
from synthgen_nb.tools.apigen import verify
from synthgen_nb.tools.curation import curate_turns
from synthgen_nb.tools.toolmind import STOP, Ground, Intent, filter_dialogues, simulate, toolmind
from synthgen_nb.tools.turns import (
    Fault,
    abbreviates,
    before,
    exists,
    faults,
    judge_turns,
    learned,
    mask,
    mask_turns,
    offered,
    split_turns,
    taken_back,
    turn_inputs,
    without_masked,
)
from synthgen_nb.tools.walks import (
    Edge,
    Walk,
    completed,
    edges_of,
    inputs,
    observed_schema,
    outputs,
    place_text,
    sound_walks,
    validated,
    walks,
    with_random,
)
from synthgen_nb.worlds.hdf5 import hdf5_tools, hdf5_world
from synthgen_nb.worlds.world import Local, ToolError, execute_trajectory

TOOLS = {t.name: t for t in hdf5_tools()}
OSLO, BERGEN = "/stations/oslo/temperature", "/stations/bergen/temperature"


def run(work):
    return asyncio.run(work)


def offline():
    return open_model(provider="offline")


def user(text):
    return Turn(role="user", text=text)


def calls(id, tool, **arguments):
    return Turn(role="assistant", calls=(Call(id=id, tool=tool, arguments=arguments),))


def shape(id, path, file="weather.h5", **more):
    turn = calls(id, "get_shape", file=file, path=path)
    return turn.model_copy(update=more)


def says(text):
    return Turn(role="assistant", text=text)


def executed(*turns, tools=("get_shape", "get_dtype", "list_attributes", "dataset_statistics", "list_files")):
    async def work():
        async with hdf5_world() as w:
            return await execute_trajectory(w, Trajectory(turns=turns, tools=tools))

    return run(work())


def found(t, world=True):
    async def work():
        async with hdf5_world() as w:
            return await faults(t, TOOLS, w if world else None)

    return run(work())


ASK = f"What is the shape of {OSLO} in weather.h5?"
TOLD = f"The shape of {OSLO} is 365."


# What is wrong with a turn


def test_an_honest_conversation_has_no_fault():
    second = (user("And its dtype?"), calls("call_2", "get_dtype", file="weather.h5", path=OSLO), says("It is float32."))
    t = executed(user(ASK), shape("call_1", OSLO), says(TOLD), *second)
    assert found(t) == {}
    assert found(t, world=False) == {}


@pytest.mark.parametrize(
    "wrong, reason",
    [
        (shape("bad", "/stations/nowhere"), "failed"),
        (shape("bad", BERGEN), "taken_back"),
        (calls("bad", "get_shape", file="weather.h5", place=OSLO), "bad_call"),
        (calls("bad", "no_such_tool", path=OSLO), "bad_call"),
        (shape("bad", OSLO, "<file>"), "bad_call"),
        (calls("bad", "list_files"), "needless"),
    ],
)
def test_a_wrong_turn_is_masked_and_the_one_that_corrects_it_is_learned(wrong, reason):
    t = executed(user(ASK), wrong, shape("call_1", OSLO), says(TOLD))
    faulty = found(t)
    assert {i: f.reason for i, f in faulty.items()} == {1: reason}
    assert learned(mask(t, faulty)) == [2, 3]


def test_a_value_from_nowhere_is_not_learned_though_nothing_says_that_it_is_wrong():
    t = executed(user("What is the shape of the temperature in Oslo?"), shape("call_1", BERGEN), says("It is 365."))
    assert found(t, world=False)[1].reason == "unchecked"


def test_an_answer_that_the_results_do_not_show_is_not_learned():
    t = executed(user(ASK), shape("call_1", OSLO), says(f"The shape of {OSLO} is 731."))
    assert {i: f.reason for i, f in found(t).items()} == {2: "unsupported"}


def test_an_assistant_that_takes_a_call_back_in_words_is_believed():
    right = shape("call_2", BERGEN, thought="That was the wrong dataset, the user meant Bergen.")
    t = executed(user(f"Shapes of {OSLO} and of {BERGEN} in weather.h5 are what I know. Now the second."), shape("call_1", OSLO), right)
    assert found(t)[1].reason == "taken_back"
    plain = executed(user(f"Give me the shapes of {OSLO} and of {BERGEN} in weather.h5."), shape("call_1", OSLO), shape("call_2", BERGEN))
    assert found(plain) == {}


def test_two_things_of_one_list_are_no_correction():
    listed = {"keys": ["alpha", "beta"]}
    seen = Observation(call="call_1", status="ok", source="given", world="", content=listed)
    first = calls("call_1", "list_keys").model_copy(update=dict(observations=(seen,)))
    t = Trajectory(turns=(user("What is in each?"), first, calls("call_2", "read_head", path="alpha", n=3), calls("call_3", "read_head", path="beta", n=3)))
    assert taken_back(t.turns[2].calls[0], before(t, 2)) == ""


def test_choices_are_offered_and_examples_are_not():
    s = {"type": "string", "description": "economy, business or first; for example premium"}
    assert offered("business", s) and not offered("premium", s) and not offered(3, s)
    assert abbreviates("TSLA", "shares of Tesla") and not abbreviates("QXV", "shares of Tesla")


def test_a_code_that_only_the_world_knows_exists_and_an_amount_does_not():
    def book(env, to, bags):
        if to != "JFK":
            raise ToolError("no such airport")
        return {"booked": True}

    tool = Tool(name="book", effect="write", parameters={"type": "object", "properties": {"to": {"type": "string"}, "bags": {"type": "integer"}}})

    async def work():
        async with Local("airline", [tool], {"book": book}, lambda initial: {}) as w:
            t = await execute_trajectory(w, Trajectory(turns=(user("Fly me to New York."), calls("call_1", "book", to="JFK", bags=7))))
            call = t.turns[1].calls[0]
            return await exists(t, 1, call, "/to", w), await exists(t, 1, call, "/bags", w), await faults(t, {"book": tool}, w)

    to, bags, faulty = run(work())
    assert to and not bags
    assert "/bags" in faulty[1].detail


# Masks


class Says:
    "A model whose judge says one thing of every turn"

    def __init__(self, value):
        self.value = value
        self.model = offline()

    def __getattr__(self, name):
        return getattr(self.model, name)

    async def over(self, items, render, **more):
        async for x, a in self.model.over(items, render, **more):
            a.value.update(dict.fromkeys(("aligned", "consistent", "tool_use"), self.value))
            yield x, a


def test_the_program_masks_whatever_the_judge_says_and_the_judge_masks_the_rest():
    t = executed(user(ASK), shape("bad", "/stations/nowhere"), shape("call_1", OSLO), says(TOLD))
    kind = run(mask_turns([t], list(TOOLS.values()), Says(1), lambda t: hdf5_world))
    assert learned(kind.rows.kept[0]) == [2, 3] and kind.reasons == {"failed": 1} and kind.turns == 3
    harsh = run(mask_turns([t], list(TOOLS.values()), Says(0)))
    assert not harsh.rows.kept and harsh.rows.dropped[0].reason == "no_turn_left"
    assert [f.reason for f in run(judge_turns([t], TOOLS, Says(0)))[0].values()] == ["judged"] * 3


def test_a_judge_sees_what_was_before_a_message_and_not_what_came_of_it():
    t = executed(user(ASK), shape("call_1", OSLO), says(TOLD))
    shown = turn_inputs(t, 1, TOOLS)
    assert [m["role"] for m in shown["conversation"]] == ["user"] and shown["message"]["results"] == []
    assert turn_inputs(t, 2, TOOLS)["conversation"][1]["results"][0]["status"] == "ok"


def test_the_offline_judge_checks_what_can_be_checked():
    t = executed(user(ASK), shape("bad", "/stations/nowhere"), shape("call_1", OSLO), says(TOLD))
    assert list(run(judge_turns([t], TOOLS, offline()))[0]) == [1]


def test_each_learned_turn_is_a_sample_with_its_context_and_nothing_after_it():
    t = executed(user(ASK), shape("bad", "/stations/nowhere"), shape("call_1", OSLO), says(TOLD))
    samples = split_turns(mask(t, {1: Fault("failed", "")}))
    assert [len(s.turns) for s in samples] == [3, 4]
    for s in samples:
        assert learned(s) == [len(s.turns) - 1] and not s.turns[-1].observations
        made = hf(s, TOOLS)
        assert [i for i, x in enumerate(made["train_on"]) if x] == [len(made["messages"]) - 1]
    assert len({s.id for s in samples}) == 2


def test_a_row_without_its_masked_turns_keeps_what_later_turns_refer_to():
    t = executed(user(ASK), shape("bad", BERGEN), shape("call_1", OSLO), says(TOLD))
    masked = mask(t, {1: Fault("taken_back", "")})
    assert [c.id for c in without_masked(masked).calls] == ["call_1"]
    assert masked.meta["masked"] == [{"turn": 1, "reason": "taken_back", "detail": ""}]
    assert learned(mask(masked, {})) == [2, 3]


def test_tool_curate_masks_instead_of_dropping_and_says_how_many(tmp_path):
    good = executed(user(ASK), shape("call_1", OSLO), says(TOLD))
    bad = executed(user(ASK), shape("bad", "/stations/nowhere"), shape("call_1", OSLO), says(TOLD))
    save([good, bad], tmp_path / "rows.jsonl")
    do = command(tmp_path)
    said = do("tool-curate", "rows.jsonl", "-o", "masked.jsonl", "--turn-level-filter").stdout
    assert "2 rows of 2; masked 1 of 5 assistant turns (failed 1)" in said
    assert [[x["train"] for x in r["turns"]] for r in rows(tmp_path / "masked.jsonl")] == [[True] * 3, [True, False, True, True]]
    assert json.loads((tmp_path / "masked_metrics.json").read_text())["masked"] == 1
    do("tool-curate", "rows.jsonl", "-o", "split.jsonl", "--turn-level-filter", "--split-turns")
    assert "about whole rows" in do("tool-curate", "rows.jsonl", "-o", "x.jsonl", "--turn-level-filter", "--threshold", "7", ok=False).stderr
    assert len(rows(tmp_path / "split.jsonl")) == 4


def test_rows_of_no_world_are_masked_too():
    seen = Observation(call="call_1", status="ok", source="given", world="", content={"error": "no such file"})
    t = Trajectory(turns=(user(ASK), shape("call_1", OSLO, observations=(seen,)), says("It is 365.")))
    out = run(curate_turns([t], list(TOOLS.values()), offline()))
    assert out.reasons["failed"] == 1


# The graph


def tool(name, takes=(), gives=()):
    fields = lambda names: {"type": "object", "properties": {n: {"type": "string", "description": f"the {n}"} for n in names}}
    return Tool(name=name, description=f"{name} it.", parameters=fields(takes), returns=fields(gives))


def test_a_schema_is_read_off_results():
    s = observed_schema([{"a": 1, "b": [{"c": "x"}]}, {"a": None}])
    assert s["properties"]["a"]["type"] == ["integer", "null"]
    assert s["properties"]["b"]["items"]["properties"]["c"] == {"type": "string"}
    t = Tool(name="find_pet", parameters={})
    known = run(completed([t], [dict(tool="find_pet", content={"id": 3})]))
    assert [p.path for p in outputs(known[0])] == ["/id"]
    assert run(completed([t], [], offline()))[0].returns and not run(completed([t]))[0].returns


def test_an_edge_leads_from_a_result_to_the_parameter_that_reads_alike():
    ts = [tool("find_order", ["customer"], ["order_id", "total"]), tool("cancel_order", ["order_id"], ["status"]), tool("weather", ["city"], ["degrees"])]
    edges = edges_of(ts, 0.6)
    assert [(e.source, e.target, e.field, e.param) for e in edges] == [("find_order", "cancel_order", "/order_id", "/order_id")]
    assert "DESC order id. the order_id TYPE string" == place_text(inputs(ts[1])[0])
    assert len(edges_of(ts, 0.0)) == 6 and [e.rating for e in run(validated(edges, ts, offline()))] == [8]
    grown = with_random(edges, ts, 0.5)
    assert {e.source for e in grown} == {t.name for t in ts} and with_random(edges, ts, 0) == edges
    assert all(e.source != e.target for e in grown)


class Refusing:
    "A validator that finds only edges from `a` sound, or none"
    def __init__(self, sound): self.sound, self.asked = sound, []
    def prompt(self, name): return offline().prompt(name)

    async def over(self, edges, ask):
        for e in edges:
            self.asked.append((e.source, e.target))
            yield e, Answer(value=dict(thought="", score=9 if e.source in self.sound else 0))


@pytest.mark.parametrize("sound, found", [("abcdef", 3), ("ab", 1), ("", 0)])
def test_the_validator_is_asked_about_edges_that_walks_take(sound, found):
    ts = [tool(x, ["y"], ["z"]) for x in "abcdef"]
    edges = [Edge(a.name, b.name, 1.0, "", "") for a in ts for b in ts if a != b]
    model = Refusing(sound)
    walked, _ = run(sound_walks(edges, ts, model, 5, 3, 2, 3))
    pairs = [p for w in walked for p in zip(w.tools, w.tools[1:], strict=False)]
    assert len(walked) >= found and all(a in sound for a, _ in pairs) and set(pairs) <= set(model.asked)
    assert len(model.asked) == len(set(model.asked)) < len(edges)


@settings(max_examples=40, deadline=None)
@given(
    pairs=st.sets(st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(lambda p: p[0] != p[1]), min_size=1, max_size=40),
    cap=st.integers(1, 3),
    least=st.integers(1, 6),
    more=st.integers(0, 14),
    seed=st.integers(0, 99),
)
def test_walks_follow_edges_and_keep_their_bounds(pairs, cap, least, more, seed):
    edges = [Edge(f"t{a}", f"t{b}", 1.0, "", "") for a, b in sorted(pairs)]
    found = walks(edges, 12, least, least + more, cap, seed)
    assert found and len({w.tools for w in found}) == len(found)
    assert found == walks(edges, 12, least, least + more, cap, seed)
    for w in found:
        assert all((int(a[1:]), int(b[1:])) in pairs for a, b in zip(w.tools, w.tools[1:], strict=False))
        assert max(Counter(w.tools).values()) <= cap and len(w.tools) <= w.wanted <= least + more
        assert least <= w.wanted and w.short == (len(w.tools) < w.wanted)


def test_a_dense_graph_gives_walks_of_the_wanted_length():
    edges = [Edge(f"t{a}", f"t{b}", 1.0, "", "") for a in range(12) for b in range(12) if a != b]
    found = walks(edges, 100)
    assert not any(w.short for w in found) and {len(w.tools) for w in found} == set(range(5, 21))


def test_a_walk_that_cannot_be_is_an_error():
    with pytest.raises(SynthgenError, match="no edge"):
        walks([], 3)
    with pytest.raises(SynthgenError, match="cannot be"):
        walks([Edge("a", "b", 1.0, "", "")], 3, 5, 4)


# The agents


class Scripted:
    "The offline model, but one prompt is answered by a function of its inputs"

    def __init__(self, task, reply):
        self.task, self.reply, self.model = task, reply, offline()

    def __getattr__(self, name):
        return getattr(self.model, name)

    async def ask(self, ask, **more):
        a = await self.model.ask(ask, **more)
        if ask.task == self.task:
            a.value.update(self.reply(ask.inputs))
        return a


def intent(*parts):
    by = (dict(method="toolmind", faithful="paper"),)
    return Intent(text="Somebody looks at the weather.", parts=parts, walk=Walk(("get_shape",), 5), tools=("get_shape",), origin=by)


GROUND = Ground((TOOLS["get_shape"],), (), False)


def talk(i, model):
    async def work():
        async with hdf5_world() as w:
            return await simulate(i, GROUND, model, w)

    return run(work())


def test_a_conversation_goes_from_the_first_part_to_the_stop_word():
    t = talk(intent(ASK.replace(OSLO, f"the dataset {OSLO}")), offline())
    assert isinstance(t, Trajectory) or t.reason == "gave_up"
    assert not any(STOP in x.text for x in (t.turns if isinstance(t, Trajectory) else ()))


@pytest.mark.parametrize(
    "task, reply, reason",
    [
        ("tool_user", lambda i: dict(text=STOP), "stopped_at_once"),
        ("tool_user", lambda i: dict(text="Hello again."), "not_completed"),
        ("tool_chat", lambda i: dict(action="give_up_and_restart"), "gave_up"),
        ("tool_chat", lambda i: dict(action="get_shape", arguments=[dict(name="file", value="x.h5", call="", path="")]), "too_many_calls"),
    ],
)
def test_a_conversation_that_was_not_completed_is_none(task, reply, reason):
    model = Scripted(task, reply)
    if reason == "not_completed":
        model = Scripted(task, reply)
        chat = Scripted("tool_chat", lambda i: dict(action="give_answer", answer="Yes?"))
        chat.model = model
        model = chat
    assert talk(intent(ASK), model).reason == reason


def test_a_conversation_without_a_call_or_of_a_bad_judge_is_dropped():
    t = executed(user(ASK), shape("call_1", OSLO), says(TOLD)).but(meta=dict(intent="x"))
    bare = t.but(turns=(user("Hi"), says("Hello.")))
    out = run(filter_dialogues([t, bare], GROUND, offline()))
    assert [x.id for x in out.kept] == [t.id] and out.dropped[0].reason == "no_calls"


def test_rows_run_again_in_a_fresh_world_and_are_new():
    some = [TOOLS[n] for n in ("list_files", "get_shape", "get_dtype", "list_keys", "read_head", "get_chunks")]
    out = run(toolmind(some, offline(), hdf5_world, target=3, least=3, most=6))
    assert len(out.kept) == 3
    again = run(verify(out.kept, list(TOOLS.values()), hdf5_world))
    assert len(again.kept) == 3
    for t in out.kept:
        assert t.meta["intent"] not in t.told and learned(t)
        assert sum(x.role == "user" for x in t.turns) > 1 or len(t.meta["walk"]) < 4
