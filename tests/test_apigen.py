"""APIGen: each fault is caught at its stage, nobody-could-tell is not a pass, and the accounts add up."""

import asyncio
from collections import Counter

import pytest

from synthgen_nb.core.calls import Reply
from synthgen_nb.core.curate import curate
from synthgen_nb.core.judge import load_rubric
from synthgen_nb.core.models import open_model
from synthgen_nb.core.records import SynthgenError
from synthgen_nb.specs.tool import Tool
from synthgen_nb.specs.trajectory import Call, Observation, Trajectory, Turn, read_trajectories
from synthgen_nb.tools.apigen import accounts, balance, call_problem, complexity, successful, verify
from synthgen_nb.tools.grounding import trajectory_inputs
from synthgen_nb.worlds.hdf5 import hdf5_tools, hdf5_world

SHOW = trajectory_inputs(hdf5_tools())


def chain(*calls, ask="", answer="done", observed=()):
    turns = [Turn(role="assistant", calls=(c,), observations=(o,) if o else ()) for c, o in zip(calls, observed or [None] * len(calls), strict=True)]
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
        "grounding:unsupported_number": chain(c, ask=GOOD.instruction, answer="It has 100 values."),
        "semantic:judged_wrong": chain(c, Call(id="call_2", tool="get_shape", arguments={"file": "weather.h5", "path": "/nowhere"}), ask="x"),
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
    rated = asyncio.run(curate([verified_good()], mute, load_rubric("tools"), SHOW))
    assert rated.dropped[0].reason == "unrated:not_json"


def verified_good():
    return asyncio.run(verify([GOOD], hdf5_tools(), hdf5_world)).kept[0]


def test_the_offline_judge_rates_what_can_be_counted():
    m, r = open_model(provider="offline"), load_rubric("tools")
    best = asyncio.run(curate([verified_good()], m, r, SHOW)).kept[0]
    overall = best.scores[-1]
    assert overall.criterion == "overall" and overall.value == sum(s.value for s in best.scores[-5:-1]) and overall.scale == (0, 10)
    out = asyncio.run(curate([verified_good()], m, r, SHOW, threshold=10))
    assert out.dropped[0].kind == "below_threshold" and "10" in out.dropped[0].detail


def test_a_set_that_was_verified_by_imagination(data):
    found = read_trajectories(data / "prototype/tools/jarvis_tool_validated.json").kept
    steps = [c for t in found for c in t.calls]
    known = {c.tool: Tool(name=c.tool, parameters={"type": "object", "additionalProperties": True}) for c in steps}
    assert len(steps) == 757 and sum(call_problem(c, known, {})[0] == "unresolved_reference" for c in steps) == 316


def test_levelling_names_what_it_leaves_out():
    many = [GOOD] * 8 + [chain(*[Call(id=f"call_{i}", tool="list_files") for i in range(n)]) for n in (2, 3, 5)]
    out = balance(many, 0.5)
    assert max(Counter(map(complexity, out.kept)).values()) <= len(out.kept) / 2 and out.reasons == {"surplus": len(out.dropped)}
    with pytest.raises(SynthgenError, match="33%"):
        balance(many, 0.2)


def test_a_drop_holds_the_record_and_a_share_lets_failures_in():
    nowhere = chain(Call(id="call_1", tool="get_shape", arguments={"file": "weather.h5", "path": "/nowhere"}), ask="/nowhere in weather.h5")
    (lost,) = asyncio.run(verify([nowhere], hdf5_tools(), hdf5_world)).dropped
    assert isinstance(lost.record, Trajectory) and not lost.record.observations[0].ok and lost.record.scores[-1].value == 0
    assert successful([lost.record]).reasons == {"low_success": 1} and successful([lost.record], 0).kept == [lost.record]
