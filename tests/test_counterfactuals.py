"""Counterfactuals: wrong calls that really go wrong, as masked recoveries, preference pairs and rows without a call."""

import asyncio
import json
import random

import pytest
from conftest import command

from synthgen_nb.core.records import SynthgenError, save
from synthgen_nb.specs.tool import Tool
from synthgen_nb.specs.trajectory import Call, Ref, Trajectory, Turn
from synthgen_nb.tools.apigen import verify
from synthgen_nb.tools.counterfactuals import (
    VARIANTS,
    Preference,
    Variant,
    counterfactuals,
    counts,
    left,
    made_of,
    missing,
    needless,
    outcome,
    permuted,
    preference,
    recovery,
    told_again,
    wrong_arguments,
)
from synthgen_nb.worlds.hdf5 import hdf5_tools, hdf5_world
from synthgen_nb.worlds.world import Local, execute_trajectory

TOOLS = {t.name: t for t in hdf5_tools()}
W = {"file": "weather.h5"}


def row(request, answer, *calls, tools=(), world=hdf5_world):
    "A row of calls that ran"
    made = [Call(id=f"call_{i}", tool=n, arguments=a, refs=tuple(r)) for i, (n, a, *r) in enumerate(calls, 1)]
    turns = [Turn(role="assistant", thought=f"For {c.tool}.", calls=(c,)) for c in made]
    t = Trajectory(turns=(Turn(role="user", text=request), *turns, Turn(role="assistant", text=answer)), tools=tools)

    async def run():
        async with world() as w:
            return await execute_trajectory(w, t)

    return asyncio.run(run())


@pytest.fixture(scope="module")
def searched():
    ref = Ref(param="/path", call="call_1", path="/paths/1")
    return row("Search weather.h5 for temperature*, and tell me the shape of the second of them.", "There are 3 paths; the second has the shape 365.",
               ("find_objects", W | {"pattern": "temperature*"}), ("get_shape", W, ref),
               tools=("find_objects", "get_shape", "list_files", "close_file", "create_group", "get_chunks"))


@pytest.fixture(scope="module")
def opened():
    return row("Open weather.h5 with mode a, and create the group /extra in it.", "I have opened weather.h5 and created the group /extra.",
               ("open_file", W | {"mode": "a"}), ("create_group", W | {"path": "/extra"}))


def ran(t, v, tools=TOOLS, world=hdf5_world):
    async def run():
        async with world() as w:
            return await outcome(t, v, tools, w)

    return asyncio.run(run())


def variants(t, others=None):
    return list(wrong_arguments(t, TOOLS, others or {}, random.Random(0)))


def test_a_wrong_argument_is_one_change_of_the_call(searched):
    found = variants(searched, {("get_shape", "path"): ["/time"]})
    assert {v.why.partition(" ")[2] for v in found} == {"mistyped", "of another kind", "of another row", "left out"}
    full = {"call_1": W | {"pattern": "temperature*"}, "call_2": W | {"path": "/stations/oslo/temperature"}}
    for v in found:
        right, now = full[v.call.id.removeprefix("wrong_")], v.call.arguments
        assert sum(right.get(k) != now.get(k) for k in {*right, *now}) == 1 and not v.call.refs


def test_only_what_really_goes_wrong_counts(searched):
    other = next(v for v in variants(searched, {("get_shape", "path"): ["/stations/bergen/temperature"]}) if v.why == "path of another row")
    same_shape = ran(searched, other)
    assert same_shape.observation.ok and same_shape.differs and not same_shape.fails  # another path: another result
    wider = Call(id="wrong_call_1", tool="find_objects", arguments=W | {"pattern": "temp*"})
    same = ran(searched, Variant("wrong_argument", 1, wider, "", searched.observations[0]))
    assert same.observation.ok and not counts(same) # it finds the same
    typed = ran(searched, next(v for v in variants(searched) if v.why == "path mistyped"))
    assert counts(typed) and typed.observation.status == "error" and "nothing at" in typed.observation.error


def test_a_call_that_comes_too_early_fails_by_what_is_not_there_yet(searched, opened):
    (early,) = permuted(searched)
    assert early.call.tool == "get_shape" and "path" not in early.call.arguments and ran(searched, early).observation.status == "bad_arguments"
    (closed,) = permuted(opened) # no reference: the state of the world says no
    assert closed.call.arguments == W | {"path": "/extra"} and ran(opened, closed).observation.status == "error"


def test_an_order_that_does_not_matter_is_no_error():
    t = row("How many files are there, and what is the shape of /stations/oslo/temperature in weather.h5?", "Four; 365.",
            ("list_files", {}), ("get_shape", W | {"path": "/stations/oslo/temperature"}))
    assert [counts(ran(t, v)) for v in permuted(t)] == [False]


def test_a_missing_tool_is_unknown_and_its_kin_is_missing_too(searched):
    assert left(searched, TOOLS) == ["list_files", "close_file", "create_group"] # get_chunks has the category of get_shape
    (gone,) = missing(searched, TOOLS)
    assert ran(searched, gone).observation.status == "unknown_tool"
    assert list(missing(searched.but(tools=("find_objects", "get_shape")), TOOLS)) == []


def test_what_was_said_is_asked_again_where_it_was_said_of_one_thing(searched):
    ask, say, _ = told_again(searched)
    assert "has the shape 365" in ask and "What is the shape" in ask and say == "The shape is 365."
    twice = searched.but(turns=(*searched.turns[:-1], Turn(role="assistant", text="There are 3 paths; one has the shape 365, one another shape.")))
    assert told_again(twice) is None
    (again,) = needless(searched)
    assert counts(ran(searched, again))


def test_a_recovery_masks_the_error_and_goes_on(searched):
    v = ran(searched, next(v for v in variants(searched) if v.why == "path mistyped"))
    t = recovery(searched, v, TOOLS)
    assert [x.train for x in t.turns] == [True, True, False, True, True]
    assert t.turns[2].observations[0].error in t.turns[3].thought.replace("That failed: ", "") and t.turns[3].calls == searched.turns[2].calls
    good = asyncio.run(verify([t], hdf5_tools(), hdf5_world))
    assert len(good.kept) == 1, good.dropped


def test_an_error_that_leaves_a_trace_is_no_recovery():
    named = dict(type="object", properties={"name": {"type": "string"}}, required=["name"])
    tools = [Tool(name="put", description="Put a part into the box", parameters=named), Tool(name="count", description="Count the parts")]

    def put(env, name):
        env.append(name)
        if name != "bolt": raise ValueError(f"no part is named {name}")
        return {"part": name}

    def box(): return Local("box", tools, dict(put=put, count=lambda env: {"count": len(env)}), make=lambda initial: [], show=list)

    t = row("Put bolt into the box and count.", "I have put bolt into the box; the count is 1.", ("put", {"name": "bolt"}), ("count", {}), world=box)
    made = asyncio.run(made_of([t], {x.name: x for x in tools}, box, "recovery", ["wrong_argument"], 9, 0))
    kinds = {t.meta["counterfactual"]["why"] for t in made.kept}
    assert kinds and "name mistyped" not in kinds and kinds <= {"name of another kind", "name left out"} # these never reach the tool
    assert any("not_reproducible" in d.reason or "not_reproducible" in d.detail for d in made.dropped)


def test_preferences_have_the_form_of_trl(searched):
    for v in (ran(searched, x) for x in [*variants(searched), *permuted(searched), *missing(searched, TOOLS), *needless(searched)]):
        if not counts(v): continue
        p = preference(searched, v, TOOLS)
        assert p.prompt[0]["role"] == "user" and p.prompt[-1]["role"] in ("user", "tool")
        assert [m["role"] for m in (*p.chosen, *p.rejected)] == ["assistant"] * 2 and p.chosen != p.rejected
        called = p.rejected[0]["tool_calls"][0]["function"]
        assert called == dict(name=v.call.tool, arguments=v.call.arguments)
        offered = {t["function"]["name"] for t in p.tools}
        assert (called["name"] in offered) == (v.kind != "missing_tool")
        assert bool(p.chosen[0].get("tool_calls")) == (v.kind in VARIANTS[:2])
        ids = {c["id"] for m in p.prompt for c in m.get("tool_calls", [])}
        assert {m["tool_call_id"] for m in p.prompt if m["role"] == "tool"} == ids


def test_negatives_call_nothing_and_are_verified(searched, opened):
    made = asyncio.run(counterfactuals([searched, opened], kind="negative", per_row=4))
    assert {t.no_call for t in made.kept} == {"irrelevance", "no_tool_needed"} and not any(t.calls for t in made.kept)
    assert len(asyncio.run(verify(made.kept, hdf5_tools(), hdf5_world)).kept) == len(made.kept)


def test_what_did_not_run_is_no_source(searched):
    unseen = searched.but(turns=tuple(x.model_copy(update=dict(observations=())) for x in searched.turns))
    made = asyncio.run(counterfactuals([unseen, searched], variant="permuted_order"))
    assert [d.reason for d in made.dropped] == ["not_executed"] and len(made.kept) == 1
    with pytest.raises(SynthgenError, match="unknown kind"): asyncio.run(counterfactuals([searched], kind="prefer"))
    with pytest.raises(SynthgenError, match="unknown variant"): asyncio.run(counterfactuals([searched], variant="wrong"))


def test_the_command(tmp_path, searched, opened):
    save([searched, opened], tmp_path / "rows.jsonl")
    said = command(tmp_path)("tool-counterfactuals", "rows.jsonl", "-o", "out.jsonl", "--kind", "preference", "--per-row", 3).stdout
    pairs = [Preference(**json.loads(x)) for x in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert "kept 6" in said and len(pairs) == 6 and len({p.meta["kind"] for p in pairs}) >= 3
