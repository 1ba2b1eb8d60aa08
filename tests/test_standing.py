"A value of a list at its place, an extreme that is one, a path that was read, a bound as it was called: each on calls that ran in the HDF5 world"
import asyncio

import pytest

from synthgen_nb.specs.trajectory import Call, Trajectory, Turn
from synthgen_nb.tools.asked import objections
from synthgen_nb.worlds.open import open_world
from synthgen_nb.worlds.world import execute_trajectory

OSLO, TROMSO = "/stations/oslo/precipitation", "/stations/tromso/temperature"
CASES = {
    "head": ("What is the sum of the first 6 values of /stations/tromso/temperature in weather.h5, and which is the largest?",
             [("read_head", dict(file="weather.h5", path=TROMSO, n=6))]),
    "bins": ("How do the values of /fields/pressure in simulation.h5 spread over 5 equal intervals?",
             [("histogram", dict(file="simulation.h5", path="/fields/pressure", bins=5))]),
    "found": ("Which datasets of weather.h5 have units mm, and what is the largest value of the first of them?",
              [("find_by_attribute", dict(file="weather.h5", name="units", value="mm")),
               ("find_extreme", dict(file="weather.h5", path="/stations/bergen/precipitation", which="max"))]),
    "above": ("How many values of /stations/oslo/precipitation in weather.h5 are above 10?",
              [("count_where", dict(file="weather.h5", path=OSLO, op=">", value=10))]),
}
CASES |= {
    "spread": ("How do the temperatures of /stations/oslo/temperature in weather.h5 spread over 5 equal intervals?",
               [("histogram", dict(file="weather.h5", path="/stations/oslo/temperature", bins=5))]),
    "top": ("Where is the largest wind speed of /stations/bergen/wind_speed in weather.h5, and how large is it?",
            [("find_extreme", dict(file="weather.h5", path="/stations/bergen/wind_speed", which="max"))]),
    "layout": ("How is /fields/velocity of simulation.h5 chunked?", [("get_chunks", dict(file="simulation.h5", path="/fields/velocity"))]),
    "stored": ("How large is /stations/bergen/wind_speed in weather.h5, and how much is stored?",
               [("get_storage", dict(file="weather.h5", path="/stations/bergen/wind_speed"))]),
    "keys": ("What does /stations in weather.h5 hold?", [("list_keys", dict(file="weather.h5", group="/stations"))]),
    "filters": ("Which filters has /stations/oslo/temperature in weather.h5?",
                [("get_filters", dict(file="weather.h5", path="/stations/oslo/temperature"))]),
}
PATHS = "/stations/bergen/precipitation, /stations/oslo/precipitation and /stations/tromso/precipitation have units mm."
WRONG = [
    ("head", "Their sum is -30.54, and the largest is -4.55."),
    ("head", "The sum is -30.54, and the largest is the third, -4.18."),
    ("head", "The first 6 values are -6.78, -4.55, -4.6, -4.18, -5.56 and -4.87. Their mean is -30.54, and the largest is -4.18."),
    ("bins", "Most values, 640, lie in the fourth interval; the other counts are 118, 488, 248 and 42."),
    ("found", f"{PATHS} The largest value in Oslo is 40.37, at index 348."),
    ("above", "13 of the 365 values are at least 10."),
    ("spread", "Most of the values, 112, lie between 3.594 and 9.946."),
    ("spread", "Only 24 values are below 3.594."),
    ("top", "The largest wind speed is 23.02, the 34th value."),
    ("layout", "There are 4 chunks of [16, 12, 8, 3] each."),
    ("layout", "The chunk shape is [8, 8, 8, 3]; its largest shape is 8 × 8 × 8 × 3."),
    ("stored", "It has 1355 bytes, and 1460 bytes are stored."),
    ("found", f"{PATHS} The largest value of the last of them is 40.37, at index 348."),
    ("keys", "It holds three datasets, /stations/bergen, /stations/oslo and /stations/tromso."),
    ("filters", "It is not compressed; shuffle is on and there is no checksum."),
]
RIGHT = [
    ("spread", "Most of the values, 112, lie between -2.758 and 3.594; only 24 are below -2.758."),
    ("spread", "From -9.11 to 22.65 there are 24, 112, 90, 108 and 31 values."),
    ("top", "It is 23.02 and stands at index 34, the 35th value."),
    ("layout", "It is stored in 4 chunks of the shape 8 × 8 × 8 × 3; its largest shape is 16 × 12 × 8 × 3."),
    ("stored", "It has 1460 bytes, of which 1355 are stored, a ratio of 1.077."),
    ("found", f"{PATHS} The largest value of the first of them is 40.37, at index 348."),
    ("keys", "It holds three groups, /stations/bergen, /stations/oslo and /stations/tromso, and no datasets."),
    ("filters", "It is compressed with gzip at level 4, with the shuffle filter on and no checksum."),
    ("head", "Their sum is -30.54, and the largest is -4.18, the fourth."),
    ("bins", "Most values, 640, lie in the third interval; the other counts are 118, 488, 248 and 42."),
    ("found", f"{PATHS} The largest value in Bergen is 40.37, at index 348."),
    ("above", "13 of the 365 values are above 10."),
]


@pytest.fixture(scope="module")
def ran():
    world = open_world("hdf5")

    async def one(request, calls):
        made = [Turn(role="assistant", calls=(Call(id=f"call_{i}", tool=tool, arguments=a),)) for i, (tool, a) in enumerate(calls, 1)]
        turns = (Turn(role="user", text=request), *made, Turn(role="assistant", text="?"))
        return await execute_trajectory(world, Trajectory(turns=turns, tools=tuple(t for t, _ in calls), world="hdf5"))

    async def every():
        return {k: await one(*c) for k, c in CASES.items()}

    return asyncio.run(every()), {t.name: t for t in world.tools}


def held(ran, case, answer):
    rows, tools = ran
    t = rows[case]
    return objections(t.model_copy(update=dict(turns=(*t.turns[:-1], Turn(role="assistant", text=answer)))), tools)


@pytest.mark.parametrize("case, answer", WRONG)
def test_a_value_of_another_place_is_seen(ran, case, answer):
    assert held(ran, case, answer)


@pytest.mark.parametrize("case, answer", RIGHT)
def test_the_value_of_its_place_is_left_alone(ran, case, answer):
    assert held(ran, case, answer) == []
