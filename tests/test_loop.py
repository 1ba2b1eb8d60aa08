"""Rows as tasks that others step through: an attempt is rewarded exactly where it reaches the end of the reference."""

import asyncio
import json
import os
import signal
import subprocess
from itertools import pairwise

import pytest
from conftest import fork

from synthgen_nb.core.listed import all_leaves
from synthgen_nb.core.records import SynthgenError, save
from synthgen_nb.specs.trajectory import Call, Ref, Trajectory, Turn, resolve
from synthgen_nb.tools.loop import Episode, handled, reset, serve_tasks, state, step
from synthgen_nb.worlds.hdf5 import hdf5_tools, hdf5_world
from synthgen_nb.worlds.world import execute_trajectory

TOOLS = {t.name: t for t in hdf5_tools()}


def task(request, *calls, answer) -> Trajectory:
    steps = [Turn(role="assistant", calls=(c,)) for c in calls]
    turns = (Turn(role="user", text=request), *steps, Turn(role="assistant", text=answer))
    return Trajectory(turns=turns, tools=("get_shape", "get_dtype", "find_extreme", "find_objects"), world="hdf5")


def call(id, tool, refs=(), **arguments): return Call(id=id, tool=tool, arguments=arguments, refs=refs)


@pytest.fixture(scope="module")
def tasks():
    temperature = dict(file="weather.h5", path="/stations/bergen/temperature")
    found = [
        task("What shape has /stations/bergen/temperature in weather.h5?", call("call_1", "get_shape", **temperature),
             answer="It has 365 values along its only axis."),
        task("What type has /data/labels in images.h5?", call("call_1", "get_dtype", file="images.h5", path="/data/labels"),
             answer="TYPE"),
        task("Which datasets of simulation.h5 are there, and what shape has the first?",
             call("call_1", "find_objects", file="simulation.h5", kind="dataset"),
             call("call_2", "get_shape", refs=(Ref(param="/path", call="call_1", path="/paths/0"),), file="simulation.h5"), answer="CHAIN")]
    async def ran():
        async with hdf5_world() as w: return [await execute_trajectory(w, t) for t in found]
    rows = asyncio.run(ran())
    return [t.but(turns=(*t.turns[:-1], Turn(role="assistant", text=said(t)))) for t in rows]


def said(t):
    "All that the results hold, in words"
    values = [str(v) for o in t.observations for _, v in all_leaves(o.content) if not isinstance(v, bool)]
    return "It is " + ", ".join(values) + "."


def writing() -> Trajectory:
    "A task that changes something"
    opened = Call(id="call_1", tool="open_file", arguments=dict(file="weather.h5", mode="a"))
    create = Call(id="call_2", tool="create_dataset", arguments=dict(file="weather.h5", path="/notes", values=[1, 2, 3]))
    turns = (Turn(role="user", text="Please keep the values 1, 2 and 3 as the dataset /notes in weather.h5."),
             Turn(role="assistant", calls=(opened,)), Turn(role="assistant", calls=(create,)),
             Turn(role="assistant", text="I have kept 1, 2 and 3 as /notes in weather.h5."))
    return Trajectory(turns=turns, tools=("open_file", "create_dataset", "get_shape"), world="hdf5")


def actions(t):
    "What the reference does, as a client would send it"
    seen = {o.call: o for o in t.observations}
    return [dict(tool=c.tool, arguments=resolve(c, seen)) for c in t.calls]


def episode(rows, *moves, **more):
    async def run():
        e = Episode(rows, TOOLS, hdf5_world, **more)
        try:
            await reset(e)
            return [await step(e, m) for m in moves], await state(e)
        finally: await e.close()
    return asyncio.run(run())


def test_who_does_and_says_what_the_reference_does_is_rewarded(tasks):
    for t in tasks:
        ends, _ = episode([t], *actions(t), dict(answer=t.answer))
        assert ends[-1]["reward"] == 1.0 and ends[-1]["done"]
        assert all(x["reward"] is None and not x["done"] for x in ends[:-1])


def test_who_only_talks_is_not_rewarded(tasks):
    for t in tasks:
        ends, _ = episode([t], dict(answer=t.answer))
        assert ends[-1]["reward"] != 1.0 and ends[-1]["done"]


def test_the_answer_of_another_task_is_not_rewarded(tasks):
    for t, other in pairwise(tasks):
        ends, _ = episode([t], *actions(t), dict(answer=other.answer))
        assert ends[-1]["reward"] != 1.0


def test_nothing_of_the_reference_is_sent_before_the_end(tasks):
    async def run():
        e = Episode(tasks, TOOLS, hdf5_world)
        try: return json.dumps([await reset(e, seed=0), await state(e)])
        finally: await e.close()
    sent = asyncio.run(run())
    assert tasks[0].instruction in sent.replace("\\u2019", "’") or json.dumps(tasks[0].instruction)[1:-1] in sent
    assert tasks[0].answer not in sent and "relevant" not in sent


def test_a_dialogue_goes_on_with_its_next_request(tasks):
    def renamed(t, n): return [x.model_copy(update=dict(observations=(), calls=tuple(
        c.model_copy(update=dict(id=f"call_{n + i}")) for i, c in enumerate(x.calls)))) for x in t.turns]
    a, b = tasks[:2]
    both = Trajectory(turns=(*renamed(a, 1), *renamed(b, len(a.calls) + 1)), tools=(*a.tools, *b.tools), world="hdf5")
    ends, _ = episode([both], *actions(a), dict(answer=a.answer), *actions(b), dict(answer=b.answer))
    assert ends[len(a.calls)]["observation"] == {"request": b.instruction} and not ends[len(a.calls)]["done"]
    assert ends[-1]["done"] and ends[-1]["reward"] == 1.0


def test_an_episode_has_an_end(tasks):
    bad = dict(tool="no_such_tool", arguments={})
    ends, at = episode(tasks, bad, bad, bad, max_steps=3)
    assert [x["observation"]["status"] for x in ends] == ["unknown_tool"] * 3
    assert ends[-1]["done"] and ends[-1]["reward"] == 0.0 and at["step_count"] == 3


@pytest.mark.parametrize("text, code", [
    ("{", "INVALID_JSON"), ('{"type": "step", "data": {"tool": "a", "answer": "b"}}', "EXECUTION_ERROR"),
    ('{"type": "step", "data": {"tool": "get_shape", "arguments": [1]}}', "EXECUTION_ERROR"), ('{"type": "fly"}', "UNKNOWN_TYPE"),
    ('{"type": "step", "data": [1]}', "VALIDATION_ERROR"), ('{"type": "reset", "data": {"seed": "x"}}', "EXECUTION_ERROR"), ("[]", "UNKNOWN_TYPE")])
def test_a_wrong_message_is_answered_and_the_episode_goes_on(tasks, text, code):
    async def run():
        e = Episode(tasks, TOOLS, hdf5_world)
        try:
            await reset(e, seed=0)
            return await handled(e, text), await handled(e, '{"type": "state"}')
        finally: await e.close()
    wrong, after = asyncio.run(run())
    assert wrong["type"] == "error" and wrong["data"]["code"] == code
    assert after["data"]["done"] is False


@pytest.mark.parametrize("data", [{"e": 1}, {"rows": []}, {"seed": 0, "difficulty": "hard"}])
def test_what_a_client_sends_besides_is_left_alone(tasks, data):
    async def run():
        e = Episode(tasks, TOOLS, hdf5_world)
        try: return await handled(e, json.dumps(dict(type="reset", data=data)))
        finally: await e.close()
    assert asyncio.run(run())["data"]["observation"]["request"] == tasks[0].instruction


@pytest.mark.parametrize("text", ['{"type": "close"}', '{"type":"close"}', '{"type": "close", "data": {}}'])
def test_a_client_may_go(tasks, text):
    assert asyncio.run(handled(Episode(tasks, TOOLS, hdf5_world), text)) is None


def test_an_episode_that_cannot_begin_takes_no_step(tasks):
    nowhere = tasks[0].model_copy(update=dict(initial={"calls": [{"tool": "no_such_tool", "arguments": {}}]}))
    async def run():
        e = Episode([nowhere], TOOLS, hdf5_world)
        try:
            return await handled(e, '{"type": "reset"}'), await handled(e, '{"type": "step", "data": {"answer": "Done."}}')
        finally: await e.close()
    begun, stepped = asyncio.run(run())
    assert "unknown_tool" in begun["data"]["message"] and "Send reset" in stepped["data"]["message"]


def test_two_clients_do_not_see_each_other(tasks):
    from websockets.asyncio.client import connect
    async def run():
        server = await serve_tasks(tasks, TOOLS, hdf5_world, 0)
        at = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws"
        async def ask(c, **m):
            await c.send(json.dumps(m))
            return json.loads(await c.recv())["data"]
        async with server, connect(at) as one, connect(at) as two:
            first = await ask(one, type="reset", data=dict(seed=0))
            other = await ask(two, type="reset", data=dict(seed=1))
            await ask(one, type="step", data=dict(tool="no", arguments={}))
            return first, other, await ask(one, type="state"), await ask(two, type="state")
    first, other, one, two = asyncio.run(run())
    assert first["observation"]["request"] != other["observation"]["request"]
    assert (one["step_count"], two["step_count"]) == (1, 0)


def served(tmp_path, rows):
    save(rows, tmp_path / "rows.jsonl")
    return subprocess.Popen([*fork(), "tool-serve", "rows.jsonl", "--port", "0"], cwd=tmp_path, stdout=subprocess.PIPE, text=True,
                            env={k: v for k, v in os.environ.items() if not k.startswith("SYNTHGEN_")})


def test_openenvs_own_client_steps_through_a_task(tasks, tmp_path):
    client = pytest.importorskip("openenv.core.generic_client", reason="the client of OpenEnv is not installed", exc_type=ImportError)
    p = served(tmp_path, tasks)
    try:
        at = p.stdout.readline().split(": ")[0].removesuffix("/ws")
        async def run():
            async with client.GenericEnvClient(base_url=at) as env:
                begun = await env.reset(task=tasks[0].id)
                for m in actions(tasks[0]): seen = await env.step(m)
                end = await env.step(dict(answer=tasks[0].answer))
                return begun, seen, end, await env.state()
        begun, seen, end, at_end = asyncio.run(run())
    finally:
        p.send_signal(signal.SIGINT)
        p.wait(20)
    assert begun.observation["request"] == tasks[0].instruction and seen.reward is None
    assert (end.reward, end.done) == (1.0, True) and at_end["done"]


def test_the_command_serves_a_plain_client(tasks, tmp_path):
    from websockets.sync.client import connect
    p = served(tmp_path, tasks)
    try:
        line = p.stdout.readline()
        assert f"{len(tasks)} tasks in hdf5" in line
        with connect(line.split(": ")[0]) as c:
            c.send(json.dumps(dict(type="reset", data=dict(task=tasks[1].id))))
            assert json.loads(c.recv())["data"]["observation"]["request"] == tasks[1].instruction
    finally:
        p.send_signal(signal.SIGINT)
        p.wait(20)


def test_rows_without_a_call_are_no_tasks(tmp_path, synthgen):
    save([Trajectory(turns=(Turn(role="user", text="Hello?"), Turn(role="assistant", text="Hello.")), world="hdf5")], tmp_path / "r.jsonl")
    assert "no row calls a tool, so none is a task" in synthgen("tool-serve", "r.jsonl", ok=False).stderr


def test_a_task_that_writes_is_rewarded_by_its_state():
    t = writing()
    done, _ = episode([t], *actions(t), dict(answer=t.answer))
    other = dict(tool="create_dataset", arguments=dict(file="weather.h5", path="/notes", values=[1, 2, 4]))
    wrong, _ = episode([t], actions(t)[0], other, dict(answer=t.answer))
    assert done[-1]["reward"] == 1.0 and wrong[-1]["reward"] == 0.0


def test_an_unknown_task_says_which_there_are(tasks):
    async def run():
        e = Episode(tasks, TOOLS, hdf5_world)
        await reset(e, task="nothing")
    with pytest.raises(SynthgenError, match="no task 'nothing'; there are"): asyncio.run(run())
