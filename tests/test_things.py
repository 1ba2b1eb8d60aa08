"""What is said of one thing is held against that thing: played answers that are right pass, and each kind of slip is caught."""

import asyncio

import pytest

from synthgen_nb.specs.trajectory import Call, Observation, Trajectory, Turn
from synthgen_nb.specs.tool import Tool
from synthgen_nb.tools.asked import objections
from synthgen_nb.worlds.hdf5 import hdf5_tools, hdf5_world
from synthgen_nb.worlds.world import execute_trajectory

W, OSLO, TROMSO = "weather.h5", "/stations/oslo/wind_speed", "/stations/tromso/wind_speed"
TOOLS = {t.name: t for t in hdf5_tools()}


def row(text, *calls):
    turns = [Turn(role="assistant", calls=(Call(id=f"call_{i}", tool=tool, arguments=args),)) for i, (tool, args) in enumerate(calls, 1)]
    return Trajectory(turns=(Turn(role="user", text=text), *turns))


def answered(t, answer):
    return t.but(turns=(*t.turns, Turn(role="assistant", text=answer)))


ROWS = {
    "means": row(
        f"Which of Oslo and Tromso has the higher mean in {W}? The data are {OSLO} and {TROMSO}. By how much?",
        *[("dataset_statistics", {"file": W, "path": p}) for p in (OSLO, TROMSO)],
    ),
    "units": row(f"Which datasets in {W} have the units degC? List them.", ("find_by_attribute", {"file": W, "name": "units", "value": "degC"})),
    "link": row(
        "Where does /latest in images.h5 lead, and which shape has /data/images?",
        ("resolve_link", {"file": "images.h5", "path": "/latest"}),
        ("get_shape", {"file": "images.h5", "path": "/data/images"}),
    ),
    "count": row(
        f"How many values of {OSLO} in {W} are above 10? What percentage is that?",
        ("count_where", {"file": W, "path": OSLO, "op": ">", "value": 10}),
    ),
    "copy": row(
        f"Open {W} for changes and copy /stations/oslo to /backup/oslo.",
        ("open_file", {"file": W, "mode": "a"}),
        ("copy_object", {"file": W, "path": "/stations/oslo", "target": "/backup/oslo"}),
    ),
}


@pytest.fixture(scope="module")
def ran():
    async def go():
        async with hdf5_world() as w:
            return {k: await execute_trajectory(w, t) for k, t in ROWS.items()}

    return asyncio.run(go())


def means(ran):
    return [o.content["mean"] for o in ran["means"].observations]


def test_the_winner_of_a_comparison_is_the_one_that_is_larger(ran):
    a, b = means(ran)
    first, second = ("Oslo", "Tromso") if a > b else ("Tromso", "Oslo")
    say = lambda text: objections(answered(ran["means"], text), TOOLS)
    d, high, low = abs(a - b), max(a, b), min(a, b)
    assert not say(f"{first}, by {d:.3f}: its mean is {high:.2f}, while that of {second} is {low:.2f}.")
    assert not say(f"- Oslo: {a:.3f}\n- Tromso: {b:.3f}\n\nSo {first} is windier on average, by {d:.3f}.")
    assert say(f"{second} has the higher mean, by {d:.3f}.") and say(f"The mean is higher in {second} ({low}) than in {first} ({high}).")


def test_places_orders_and_lists(ran):
    say = lambda row, text: objections(answered(ran[row], text), TOOLS)
    paths = ran["units"].observations[0].content["paths"]
    listed = "\n".join(f"{i}. `{p}`" for i, p in enumerate(paths, 1))
    assert not say("units", f"There are {len(paths)}:\n{listed}\n\nThe second is {paths[1]}.")
    assert say("units", f"There are {len(paths)}:\n{listed}\n\nThe second is {paths[2]}.")
    assert not say("link", "It is a soft link to /data/images, whose shape is 24 × 16 × 16.")
    assert say("link", "It is a hard link to /data/images, whose shape is 24 × 16 × 16.")
    assert say("link", "It is a soft link to /data/images, whose shape is (16, 24, 16).")
    assert say("link", "It is not a soft link to /data/images. Its shape is (24, 16, 16).")
    assert not say("copy", f"I opened {W} and copied /stations/oslo to /backup/oslo.")
    assert say("copy", f"I opened {W} and copied /backup/oslo to /stations/oslo.")
    assert say("copy", f"I opened {W}, copied /stations/oslo to /backup/oslo, and notified the technician.")


def test_each_part_of_the_request_is_told_and_the_limit_kept(ran):
    n, of = (ran["count"].observations[0].content[k] for k in ("count", "of"))
    say = lambda text: objections(answered(ran["count"], text), TOOLS)
    assert not say(f"{n} of the {of} values are above 10, which is {100 * n / of:.1f} %.")
    assert say(f"{n} values are above 10.") and say(f"{n} of the {of} values are below 10, which is {100 * n / of:.1f} %.")


def pets(text, answer, *made):
    calls = [Call(id=f"call_{i}", tool="getPet", arguments={"petId": n}) for i, (n, _) in enumerate(made, 1)]
    seen = [Observation(call=c.id, status="ok", source="executed", world="x", content=x) for c, (_, x) in zip(calls, made, strict=True)]
    turns = [Turn(role="assistant", calls=(c,), observations=(o,)) for c, o in zip(calls, seen, strict=True)]
    tool = Tool(name="getPet", description="One pet", parameters={"type": "object", "properties": {"petId": {"type": "integer"}}})
    return objections(Trajectory(turns=(Turn(role="user", text=text), *turns, Turn(role="assistant", text=answer))), {"getPet": tool})


def test_what_is_found_for_one_is_not_told_of_another():
    ask = "Tell me the name and the status of pet 11 and of pet 12."
    both = (11, {"id": 11, "name": "doggie", "status": "pending"}), (12, {"id": 12, "name": "doggie", "status": "sold"})
    assert not pets(ask, "Both are called doggie. Pet 11 is pending and pet 12 is sold.", *both)
    assert pets(ask, "Both are called doggie. Pet 11 is sold and pet 12 is pending.", *both)
    assert pets(ask, "Pet 11 is called doggie and is pending.", *both)
    assert pets(ask, "Both are called doggie. Pet 11 is pending and pet 12 is sold.", both[0])


def test_a_row_without_a_call_or_an_answer_is_objected_to(ran):
    assert objections(row("How large is it?").but(turns=(Turn(role="user", text="How large is it?"), Turn(role="assistant", text="5"))), TOOLS)
    assert objections(answered(ran["count"], " "), TOOLS)
