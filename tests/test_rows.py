"""From tools to rows: exactly so many, every tool used, and all of it happens again."""

import asyncio
from collections import Counter

import pytest

from synthgen_nb.core.models import open_model
from synthgen_nb.core.records import SynthgenError, drop
from synthgen_nb.export.conversations import messages
from synthgen_nb.specs.trajectory import Call, Trajectory, Turn
from synthgen_nb.tools.apigen import accounts, format_check, verify
from synthgen_nb.tools.grounding import unquoted
from synthgen_nb.tools.rows import Plan, make_rows
from synthgen_nb.tools.sampled import covering, hopeful, uncalled, unused
from synthgen_nb.worlds.open import place_of
from synthgen_nb.tools.toolllm import (
    Limits,
)
from synthgen_nb.worlds.hdf5 import hdf5_tools, hdf5_world
from synthgen_nb.worlds.open import open_world, tools_of
from synthgen_nb.worlds.world import replay

TOOLS = {t.name: t for t in hdf5_tools()}


@pytest.fixture(scope="module")
def made():
    return asyncio.run(make_rows(hdf5_tools(), open_model(provider="offline"), hdf5_world, Plan(36)))


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
    made = asyncio.run(make_rows(hdf5_tools(), open_model(provider="offline"), hdf5_world, Plan(6, mix={"absent": 1})))
    solved = {t.instruction: t for t in made.accepted.kept}
    assert len(made.rows) == 6 and all(s.value == 1 for t in made.rows for s in solved[t.instruction].scores)
    for t in made.rows:
        assert t.tools and not t.calls and t.answer and not set(t.tools) & {c.tool for c in solved[t.instruction].calls}
        said = messages(t, TOOLS)
        assert [m["role"] for m in said["messages"]] == ["user", "assistant"] and len(said["tools"]) == len(t.tools)


def test_plans_that_cannot_be_are_refused_and_lengths_kept():
    run = lambda **kw: asyncio.run(make_rows(hdf5_tools(), open_model(provider="offline"), hdf5_world, Plan(4, **kw)))
    for kw, words in ((dict(single=False, multi=False), "neither"), (dict(min_calls=4, limits=Limits(max_steps=3)), "max_steps is 3")):
        with pytest.raises(SynthgenError, match=words):
            run(**kw)
    assert {len(t.calls) for t in run(multi=False).rows} == {1}
    assert {len(t.calls) for t in run(single=False, min_calls=3, limits=Limits(max_steps=3)).rows} == {3}


def test_what_is_lost_adds_up_and_a_repeated_row_is_named():
    async def twice(found):
        good = await verify(found, hdf5_tools(), hdf5_world)
        good.kept += good.kept[:1]
        return good

    made = asyncio.run(make_rows(hdf5_tools(), open_model(provider="offline"), hdf5_world, Plan(4), twice))
    assert made.asked == len(made.proposed.kept) + len(made.proposed.dropped)
    assert len(made.proposed.kept) == len(made.solved.kept) + len(made.solved.dropped)
    assert len(made.accepted.kept) == len(made.repeated) + len(made.rows) + made.surplus and made.repeated
    assert made.repeated[0].record.calls and made.repeated[0].reason == "repeated_calls"


def row(*names):
    turns = [Turn(role="assistant", calls=(Call(id=f"call_{i}", tool=n),)) for i, n in enumerate(names)]
    return Trajectory(turns=tuple(turns), world=str(names))


def test_rows_that_call_another_tool_come_first():
    many = [row("a"), row("a", "a"), row("a"), row("b"), row("a", "b")]
    assert [[c.tool for c in t.calls] for t in covering(many, 2)] == [["a"], ["b"]]
    assert covering(many, 4) == [many[i] for i in (0, 1, 3, 4)] and covering(many, 9) == many


def made_in(source: str, n: int):
    "Rows of a world, made offline, with what a second look at them says"

    async def work():
        tools = (await tools_of(source)).kept
        fresh = lambda: open_world(place_of(source), tools)
        made = await make_rows(tools, open_model(provider="offline"), fresh, Plan(n))
        async with fresh() as w:
            again = [await replay(w, t.calls, t.observations, t.initial) for t in made.rows]
        return made, {t.name: t for t in tools}, again

    return asyncio.run(work())


def hold(made, tools, again, n, distinct, linked):
    "What must be true of the rows of any world"
    assert len(made.rows) == n and made.ended.startswith("target reached")
    assert not any(again), "every call gives again what it gave"
    assert not any(format_check(t, tools) for t in made.rows)
    usable = {f["tool"] for f in made.facts}
    assert {c.tool for t in made.rows for c in t.calls} == usable and not usable & set(made.unreproducible)
    assert len({tuple(c.tool for c in t.calls) for t in made.rows}) >= distinct * n
    reading = [t for t in made.rows if any(tools[c.tool].effect != "write" for c in t.calls)]
    assert sum(not unquoted(t, tools) for t in reading) >= 0.9 * len(reading) > 0
    several = [t for t in made.rows if len(t.calls) > 1]
    assert sum(any(c.refs for c in t.calls) for t in several) >= linked * len(several) > 0


def test_hdf5():
    made, tools, again = made_in("hdf5", 36)
    hold(made, tools, again, 36, 0.9, 0.85)  # a file that is opened to be written to gives the next call no value
    assert len({f["tool"] for f in made.facts}) == len(tools) and not made.unreproducible


def test_petstore(data):
    made, tools, again = made_in(str(data / "specs/readme/3.1-petstore.json"), 100)
    hold(made, tools, again, 100, 0.6, 0.7)  # an id of an order is none of a pet
    usable = {f["tool"] for f in made.facts}
    assert len(tools) == 20 and all(f"{name} (" in made.ended for name in set(tools) - usable) and len(usable) >= 18


def test_a_tool_that_no_row_calls_is_named_with_why():
    rows = [row("a"), row("a", "b")]
    assert uncalled("abc", rows, 3) == {"c"} and uncalled("abc", rows, 2) == set()
    assert hopeful("abc", rows, {"c": 11}, 3) == {"c"} and hopeful("abc", rows, {"c": 12}, 3) == set()
    lost = [drop(row("c"), "verify", "grounding:lost"), drop(row("c"), "dedup", "repeated_calls")]
    assert unused({"c"}, lost, {"c": 12}) == "usable and not used: c (12 prompts: grounding 1, repeated_calls 1)"
    assert unused(set(), lost, {}) == ""
