"""Dialogues, rows without a call, several calls in a turn: what may ground a turn, and what may not."""

import asyncio

import pytest

from synthgen_nb.specs.rounds import rounds
from synthgen_nb.specs.trajectory import Call, Ref, Trajectory, Turn
from synthgen_nb.tools.apigen import accounts, complexity, format_check, successful, verify
from synthgen_nb.worlds.hdf5 import hdf5_tools, hdf5_world
from synthgen_nb.worlds.world import execute_trajectories, failure

TOOLS = {t.name: t for t in hdf5_tools()}
OSLO, BERGEN = "/stations/oslo/temperature", "/stations/bergen/temperature"


def user(text):
    return Turn(role="user", text=text)


def says(text, **more):
    return Turn(role="assistant", text=text, **more)


def calls(*made, train=True):
    return Turn(role="assistant", calls=tuple(made), train=train)


def shape(id, path=OSLO, refs=()):
    args = {"file": "weather.h5"} | ({} if refs else {"path": path})
    return Call(id=id, tool="get_shape", arguments=args, refs=refs)


def verified(*rows):
    return asyncio.run(verify(rows, list(TOOLS.values()), hdf5_world, workers=1))


def idle(ask, text, why):
    return Trajectory(turns=(user(ask), says(text)), tools=("get_shape", "read_head"), no_call=why)


def test_a_row_without_a_call_says_why_and_invents_nothing():
    honest = [
        idle("Book a table for two in Oslo tonight.", "I cannot book tables; none of the tools at hand can do that.", "irrelevance"),
        idle("How long is the record?", "Which file and which dataset do you mean?", "clarification"),
        idle("Thanks for the 12 values!", "You are welcome.", "no_tool_needed"),
    ]
    out = verified(*honest)
    assert len(out.kept) == 3, [d.detail for d in out.dropped]
    assert accounts(out)["verified"] == 3 and {complexity(t) for t in out.kept} == {"none"}
    faulty = {
        "grounding:unsupported_number": idle("Book a table.", "I cannot; call 5550123 instead.", "irrelevance"),
        "grounding:unsupported_name": idle("Which file is best?", "I have no tool for that; try /data/best.h5.", "irrelevance"),
        "grounding:claimed_action": idle("Book a table.", "I have booked it for you.", "irrelevance"),
        "grounding:no_question": idle("How long is it?", "It is long.", "clarification"),
        "format:no_calls": idle("How long is it?", "Which file?", ""),
        "format:no_answer": idle("How long is it?", " ", "irrelevance"),
        "format:needless_call": Trajectory(turns=(user("Book."), calls(shape("1")), says("No.")), no_call="irrelevance"),
    }
    out = verified(*faulty.values())
    assert not out.kept and [d.reason for d in out.dropped] == list(faulty)


def test_rows_without_a_call_pass_execution_and_curation_as_they_are():
    row = idle("How long is it?", "Which file?", "clarification")
    out = asyncio.run(execute_trajectories([row], hdf5_world, workers=1))
    assert len(out.kept) == 1 and failure(row) == ("", "") and failure(row.but(no_call=""))[0] == "no_calls"
    assert len(successful([row]).kept) == 1
    with pytest.raises(ValueError):
        Trajectory(turns=(user("a"),), no_call="because")


def test_calls_of_one_turn_do_not_see_each_other():
    listed = Call(id="call_1", tool="find_objects", arguments={"file": "weather.h5", "pattern": "temperature", "kind": "dataset"})
    ref = (Ref(param="/path", call="call_1", path="/paths/1"),)
    ask, end = user("How long is the first dataset of weather.h5?"), says("It holds 365 values.")
    together = Trajectory(turns=(ask, calls(listed, shape("call_2", refs=ref)), end))
    apart = Trajectory(turns=(ask, calls(listed), calls(shape("call_2", refs=ref)), end))
    assert [x[1] for x in format_check(together, TOOLS)] == ["unresolved_reference"] and not format_check(apart, TOOLS)
    out = asyncio.run(execute_trajectories([together], hdf5_world, workers=1))
    assert out.dropped[0].reason.startswith("unresolved_reference")


def test_rounds_carry_what_lies_before():
    t = Trajectory(turns=(user("a"), says("b"), user("c"), calls(shape("1")), says("d")))
    one, two = rounds(t)
    assert (one.request, two.request, two.told, two.answer, len(two.calls)) == ("a", "c", "a", "d", 1)
