"""A student let loose in a world: are its calls those that were wanted, and does the world end where it should?"""
import asyncio, json
import pytest
from synthgen_nb.core.models import open_model
from synthgen_nb.experiments.called import act, calls_in, exact, gold_of, marked_calls, player_of, worlds_of
from synthgen_nb.core.records import SynthgenError
from synthgen_nb.export.templates import load_templates
from synthgen_nb.specs.forms import Unread
from synthgen_nb.specs.tool import Tool
from synthgen_nb.specs.trajectory import Call, Trajectory, Turn
from synthgen_nb.worlds.world import Local

QWEN = load_templates("qwen3")[0]


def tool(name, effect):
    own = dict(item=dict(type="string"), n=dict(type="integer"), notes=dict(type="object"))
    return Tool(name=name, effect=effect, description=f"{name} parts.", parameters=dict(type="object", required=["item"], properties=own))


def box(show=dict):
    def add(env, item, n=1, notes=None):
        env[item] = env.get(item, 0) + n
        return env[item]
    count = lambda env, item, n=0, notes=None: env.get(item, 0)
    return Local("box", [tool("add", "write"), tool("count", "read")], dict(add=add, count=count), lambda initial: dict(initial or {}), show)


TOOLS = {t.name: t for t in box().tools}


def row(*calls, initial=None, more=()):
    made = tuple(Call(id=f"call_{i}", tool=name, arguments=a) for i, (name, a) in enumerate(calls, 1))
    called = [Turn(role="assistant", calls=made)] if made else []
    turns = (Turn(role="user", text="Put two nuts into the box."), *called, Turn(role="assistant", text="Done."))
    return Trajectory(world="box", tools=("add", "count"), initial=initial, turns=(*turns, *more))


def written(name, **a): return f"<tool_call>\n{json.dumps(dict(name=name, arguments=a))}\n</tool_call>"


def saying(*texts):
    asked, left = [], list(texts)
    def say(prompt):
        asked.append(prompt)
        return left.pop(0) if left else "Done."
    say.asked = asked
    return say


def marks(t, *texts, world=box): return asyncio.run(marked_calls(t, saying(*texts), world, QWEN, TOOLS))


TWO = row(("add", dict(item="nut", n=2)), initial={"nut": 1})


@pytest.mark.parametrize("said, exact_, end, why", [
    ([written("add", item="nut", n=2)], 1, 1, ""),
    ([written("add", item="nut", n=1), written("add", item="nut", n=1)], 0, 1, "wrong_count"),
    ([written("add", item="nut", n=1)], 0, 0, "value_error:others"),
    ([written("add", item="nut", n=2, notes={})], 0, 1, "unexpected_param"),
    ([written("drop", item="nut", n=2)], 0, 0, "wrong_func_name"),
    (["I did."], 0, 0, "wrong_count"),
    ([written("add", item="nut", n=0)] * 9, 0, 0, "endless"),
])
def test_marks_of_calls_and_of_the_end(said, exact_, end, why):
    m = marks(TWO, *said)
    assert (m["exact"], m["end_state"], m["why"]) == (exact_, end, why) and m["tools"] == ["add"]


def test_what_cannot_be_read_is_wrong_with_its_reason():
    m = marks(TWO, "<tool_call>add two nuts</tool_call>")
    assert m["exact"] == 0 and m["why"].startswith("unreadable:")
    with pytest.raises(Unread): calls_in('<tool_call>{"arguments": {}}</tool_call>')
    assert calls_in('{"name": "add", "parameters": {"item": "nut"}}') == [("add", {"item": "nut"})]


def test_a_world_that_shows_nothing_gives_no_end_state_and_reading_gives_one():
    blind = lambda: box(lambda env: None)
    assert marks(TWO, written("add", item="nut", n=2), world=blind)["end_state"] is None
    look = row(("count", dict(item="nut")))
    assert marks(look, written("count", item="nut"), world=blind)["end_state"] == 1
    assert marks(look, written("add", item="nut"), world=blind)["end_state"] == 0


def test_who_does_nothing_has_not_reached_the_end_of_a_row_that_only_reads():
    look = row(("count", dict(item="nut")))
    assert marks(look, "One.")["end_state"] == 0 and marks(look, written("count", item="nut"))["end_state"] == 1


def test_worlds_are_those_that_rows_name():
    async def name(t):
        async with worlds_of([t])(t.world) as w: return w.name
    assert asyncio.run(name(TWO.but(world="hdf5"))) == "hdf5"
    with pytest.raises(SynthgenError, match="do not say in which world"): worlds_of([TWO, TWO.but(world="")])
    with pytest.raises(SynthgenError, match="unknown world"): asyncio.run(name(TWO))


def test_where_nothing_is_wanted_nothing_is_right():
    t = row()
    assert marks(t, "I cannot do that.")["exact"] == 1 and marks(t, written("add", item="nut"))["exact"] == 0


def test_a_student_sees_its_own_results_and_all_requests():
    again = (Turn(role="user", text="How many are there?"), Turn(role="assistant", text="Two."))
    say = saying(written("add", item="nut", n=2), "They are in.", written("count", item="nut"), "Two.")
    async def run():
        async with box() as w: return await act(row(("add", dict(item="nut", n=2)), more=again), say, w, QWEN, TOOLS)
    a = asyncio.run(run())
    assert a.calls == [("add", {"item": "nut", "n": 2}), ("count", {"item": "nut"})] and a.state == {"nut": 2}
    assert "<tool_response>\n2\n" in say.asked[1] and "They are in." in say.asked[2] and "How many" in say.asked[2] and len(say.asked) == 4


def test_gold_holds_objects_as_the_checker_wants_them():
    t = row(("add", dict(item="nut", notes={"size": "M3"})))
    assert gold_of(t)[0]["add"]["notes"] == [{"size": ["M3"]}]
    assert exact(t, [("add", dict(item="nut", notes={"size": "M3"}))], TOOLS) == ""
    assert exact(t, [("add", dict(item="nut", notes={"size": "M4"}))], TOOLS).startswith("value_error")


def test_a_model_plays_simulated_worlds_and_no_end_state_is_told():
    t, player = TWO.but(world="simulated", initial=None), open_model(provider="offline")
    seen = saying(written("add", item="nut", n=2))
    m = asyncio.run(marked_calls(t, seen, lambda: worlds_of([t], TOOLS, player)(t.world), QWEN, TOOLS))
    assert (m["exact"], m["end_state"], m["why"]) == (1, None, "") and "<tool_response>" in seen.asked[1]
    assert len(player.meter.keys) == 1, "the reference is not played as well, since nothing is held against it"
    assert player_of([TWO]) is None and player_of([t]).name
