"""Answers and calls held against results and requests: honest rows pass, and each kind of fault has its objection."""

import asyncio
import json

import pytest

from synthgen_nb.specs.trajectory import Call, Observation, Ref, Trajectory, Turn
from synthgen_nb.tools.answers import objections_to_answer
from synthgen_nb.tools.apigen import accounts, grounding_check, informs, says_nothing, verify
from synthgen_nb.tools.asked import objections, picks
from synthgen_nb.tools.evidence import Evidence, Step, evidence_of, mentions, says
from synthgen_nb.tools.survey import survey
from synthgen_nb.worlds.hdf5 import hdf5_tools, hdf5_world
from synthgen_nb.worlds.outcomes import worded
from synthgen_nb.worlds.world import execute_trajectory

TOOLS = {t.name: t for t in hdf5_tools()}
W, O, B = "weather.h5", "/stations/oslo/temperature", "/stations/bergen/temperature"


def S(path):
    return ("dataset_statistics", {"file": W, "path": path})


LOOK = [
    ("file_info", {"file": W}),
    ("list_keys", {"file": W, "group": "/stations"}),
    ("dataset_statistics", {"file": W, "path": O}),
    ("dataset_statistics", {"file": W, "path": B}),
    ("get_filters", {"file": W, "path": O}),
    ("get_filters", {"file": W, "path": B}),
    ("compare_datasets", {"file": W, "first": O, "second": B}),
    ("count_where", {"file": W, "path": O, "op": "<", "value": 0}),
    ("read_attribute", {"file": W, "path": O, "name": "units"}),
    ("find_extreme", {"file": W, "path": O, "which": "max"}),
    ("find_extreme", {"file": W, "path": O, "which": "min"}),
    ("list_attributes", {"file": "simulation.h5"}),
    ("read_attribute", {"file": "simulation.h5", "path": "/", "name": "version"}),
    ("resolve_link", {"file": W, "path": O}),
    ("get_storage", {"file": W, "path": O}),
    ("get_chunks", {"file": W, "path": O}),
    ("get_dtype", {"file": "variants.h5", "path": "/chr7/variants"}),
    ("get_shape", {"file": "images.h5", "path": "/data/images"}),
    ("read_head", {"file": W, "path": O, "n": 5}),
    ("find_by_attribute", {"file": W, "name": "units", "value": "mm"}),
    ("list_files", {}),
    ("histogram", {"file": W, "path": B, "bins": 5}),
    ("correlate_datasets", {"file": W, "first": O, "second": B}),
    ("read_element", {"file": W, "path": B, "index": [7]}),
    ("find_objects", {"file": "images.h5"}),
    ("find_objects", {"file": W, "pattern": "zz*"}),
    ("count_where", {"file": W, "path": B, "op": ">", "value": 20}),
    ("list_attributes", {"file": "images.h5", "path": "/meta"}),
    ("file_info", {"file": "images.h5"}),
    ("read_dataset", {"file": "simulation.h5", "path": "/particles/mass"}),
    ("find_by_attribute", {"file": W, "name": "units"}),
]
UNITS = "Which datasets and attribute files carry a units value? The file is weather.h5."
HON = [
    (
        "How large is weather.h5 and how many groups and datasets does it hold?",
        [LOOK[0]],
        "weather.h5 is 49,136 bytes large and holds 5 groups and 10 datasets.",
    ),
    ("How large is weather.h5?", [LOOK[0]], "It is about 48 KiB (49136 bytes)."),
    ("How large is weather.h5 in kilobytes?", [LOOK[0]], "weather.h5 has 49.1 kB."),
    ("Which stations does weather.h5 have?", [LOOK[1]], "There are three stations in weather.h5: Bergen, Oslo and Tromso."),
    ("How many stations are there in weather.h5 below /stations?", [LOOK[1]], "There are 3."),
    ("What are the mean and the spread of /stations/oslo/temperature in weather.h5?", [S(O)], "The mean is 6.61 and the standard deviation 6.88."),
    (
        "Compare the means of /stations/oslo/temperature and /stations/bergen/temperature in weather.h5.",
        [S(O), S(B)],
        "Bergen is warmer: its mean is 7.87, while that of Oslo is 6.61, a difference of about 1.27.",
    ),
    (
        "Which is warmer on average in weather.h5, /stations/oslo/temperature or /stations/bergen/temperature?",
        [S(O), S(B)],
        "/stations/bergen/temperature is warmer on average (7.87375 against 6.60836).",
    ),
    (
        "Do /stations/oslo/temperature and /stations/bergen/temperature in weather.h5 use the same compression?",
        [LOOK[4], LOOK[5]],
        "Yes, both use gzip at level 4, with the shuffle filter and without a checksum.",
    ),
    (
        "Are /stations/oslo/temperature and /stations/bergen/temperature in weather.h5 the same?",
        [LOOK[6]],
        "No. They have the same shape, but they are not identical; the largest difference is 10.91.",
    ),
    ("How many values of /stations/oslo/temperature in weather.h5 are below 0?", [LOOK[7]], "84 of the 365 values are below 0, which is about 23 %."),
    ("What share of /stations/oslo/temperature in weather.h5 is below zero?", [LOOK[7]], "About 23% of the values (84 out of 365) are below zero."),
    (
        "What was the highest value of /stations/oslo/temperature in weather.h5, with its unit?",
        [LOOK[9], LOOK[8]],
        "The highest value is 22.65 °C, at index 210.",
    ),
    ("What is the range of /stations/oslo/temperature in weather.h5?", [LOOK[9], LOOK[10]], "It ranges from -9.11 to 22.65, a range of 31.76."),
    (
        "Which attributes does simulation.h5 have, and what is its version?",
        [LOOK[11], LOOK[12]],
        "simulation.h5 has the attributes `code`, `n_steps`, `time_step` and `version`; its version is 2.1.",
    ),
    ("What kind of link is /stations/oslo/temperature in weather.h5?", [LOOK[13]], "It is a hard link, so there is no separate target."),
    (
        "How well is /stations/oslo/temperature in weather.h5 compressed?",
        [LOOK[14]],
        "Its values take 1,460 bytes in memory and 1,344 bytes in the file, a ratio of 1.09. That saves 116 bytes.",
    ),
    ("How is /stations/oslo/temperature in weather.h5 cut into chunks?", [LOOK[15]], "It is stored in five chunks of 73 values each."),
    ("Which fields does the table /chr7/variants in variants.h5 have?", [LOOK[16]], "The table has four fields: position, ref, quality and passed."),
    ("What is the shape of /data/images in images.h5?", [LOOK[17]], "/data/images has the shape 24 × 16 × 16, that is 6,144 values."),
    ("How many images are in /data/images of images.h5?", [LOOK[17]], "The first axis has 24 entries, so there are 24 images of 16 by 16 pixels."),
    (
        "What are the first 5 values of /stations/oslo/temperature in weather.h5?",
        [LOOK[18]],
        "The first five values are -4.63, -4.87, -3.94, 0.33 and -2.47; their mean is -3.12.",
    ),
    (
        "Which datasets in weather.h5 have the unit mm?",
        [LOOK[19]],
        "Three datasets are given in mm:\n- /stations/bergen/precipitation\n- /stations/oslo/precipitation\n- /stations/tromso/precipitation",
    ),
    ("Which HDF5 files are there?", [LOOK[20]], "1. images.h5\n2. simulation.h5\n3. variants.h5\n4. weather.h5"),
    ("How many HDF5 files are there?", [LOOK[20]], "There are four files."),
    (
        "How are the values of /stations/bergen/temperature in weather.h5 spread over 5 equal intervals?",
        [LOOK[21]],
        "The intervals from -6.31 to 22.04 hold 43, 98, 86, 94 and 44 values; the second one, from -0.64 to 5.03, is the fullest.",
    ),
    (
        "How are the values of /stations/bergen/temperature in weather.h5 spread over five equal intervals?",
        [LOOK[21]],
        "| from | count |\n|-|-|\n| -6.31 to -0.64 | 43 |\n| -0.64 to 5.03 | 98 |\n| 5.03 to 10.7 | 86 |\n| 10.7 to 16.37 | 94 |\n| 16.37 to 22.04 | 44 |",
    ),
    (
        "Do the temperatures of Oslo and Bergen in weather.h5 go together (/stations/oslo/temperature, /stations/bergen/temperature)?",
        [LOOK[22]],
        "Yes, strongly: their correlation is 0.86.",
    ),
    ("Which value stands at index 7 of /stations/bergen/temperature in weather.h5?", [LOOK[23]], "The value at index 7 is -3.25."),
    (
        "Show me everything in images.h5.",
        [LOOK[24]],
        "images.h5 has two groups, /data and /meta. /data holds /data/images and /data/labels; /meta holds /meta/class_names and /meta/operator.",
    ),
    (
        "Is there something in weather.h5 whose name begins with zz?",
        [("find_objects", {"file": W, "pattern": "zz*"})],
        "No, nothing in weather.h5 has a name beginning with zz.",
    ),
    ("On how many days was it above 20 in Bergen (/stations/bergen/temperature of weather.h5)?", [LOOK[26]], "On 8 of 365 days it was above 20."),
    ("Which attributes does /meta of images.h5 have?", [LOOK[27]], "None: /meta has no attributes."),
    ("Is weather.h5 open?", [LOOK[0]], "No, weather.h5 is closed."),
    (
        "Which is larger, weather.h5 or images.h5?",
        [LOOK[0], LOOK[28]],
        "weather.h5 is larger: 49136 bytes compared with 18344 bytes for images.h5, so about 2.7 times the size.",
    ),
    ("How many bytes do weather.h5 and images.h5 take together?", [LOOK[0], LOOK[28]], "Together they take 67,480 bytes."),
    (
        "Open weather.h5 for reading and list what is at the top.",
        [("open_file", {"file": W, "mode": "r"})],
        "weather.h5 is open for reading. At its top are “stations” and “time”.",
    ),
    (
        "Which types do the fields of /chr7/variants have in variants.h5, and how many bytes does an entry take?",
        [LOOK[16]],
        "It is a table with the fields position, ref, quality and passed; each entry takes 10 bytes.",
    ),
    (
        "Please open weather.h5 so that it can be changed, then create the group /derived in it.",
        [("open_file", {"file": W, "mode": "a"}), ("create_group", {"file": W, "path": "/derived"})],
        "Done: weather.h5 is open for changes and now has the group /derived.",
    ),
    ("What unit does /stations/oslo/temperature in weather.h5 use?", [LOOK[8]], "Its values are in degrees Celsius (degC)."),
    (
        "Compare coldest day of /stations/oslo/temperature and of /stations/bergen/temperature in weather.h5.",
        [S(O), S(B)],
        "Oslo had the colder one with -9.11, against -6.31 in Bergen.",
    ),
    ("Give minimum and maximum of /stations/oslo/temperature in weather.h5.", [S(O)], "Minimum and maximum are -9.11 and 22.65."),
    ("Which of the files is the largest: weather.h5 or images.h5?", [LOOK[0], LOOK[28]], "The largest is weather.h5, with 49 kB."),
    (UNITS, [LOOK[30]], "In weather.h5, precipitation, temperature and wind_speed of each station have units, and so has /time/day_of_year."),
    (
        UNITS,
        [LOOK[30]],
        "- Bergen: precipitation, temperature, wind_speed\n- Oslo: precipitation, temperature, wind_speed\n"
        "- Tromso: precipitation, temperature, wind_speed\n- time: day_of_year",
    ),
]
BAD = [
    ("What is the range of /stations/oslo/temperature in weather.h5?", [LOOK[9], LOOK[10]], "It ranges from -9.11 to 22.65, a range of 32.76."),
    ("How many bytes do weather.h5 and images.h5 take together?", [LOOK[0], LOOK[28]], "Together they take 67,840 bytes."),
    ("Which is larger, weather.h5 or images.h5?", [LOOK[0], LOOK[28]], "images.h5 is larger: it has 49136 bytes and weather.h5 has 18344."),
    ("How many values of /stations/oslo/temperature in weather.h5 are below 0?", [LOOK[7]], "84 of the 365 values are below 0, which is about 27 %."),
    ("How large is weather.h5 in kilobytes?", [LOOK[0]], "weather.h5 has 49.1 MB."),
    ("Are /stations/oslo/temperature and /stations/bergen/temperature in weather.h5 the same?", [LOOK[6]], "Yes, they are identical."),
    (
        "Are /stations/oslo/temperature and /stations/bergen/temperature in weather.h5 the same?",
        [LOOK[6]],
        "They do not have the same shape; the largest difference is 10.91.",
    ),
    ("What are the mean and the spread of /stations/oslo/temperature in weather.h5?", [S(O)], "The mean is 6.88 and the standard deviation 6.61."),
    ("Give minimum and maximum of /stations/oslo/temperature in weather.h5.", [S(O)], "The minimum is 22.65 and the maximum is -9.11."),
    (
        "Compare the means of /stations/oslo/temperature and /stations/bergen/temperature in weather.h5.",
        [S(O), S(B)],
        "Oslo has the mean 7.87 and Bergen 6.61.",
    ),
    ("What was the highest value of /stations/oslo/temperature in weather.h5?", [LOOK[10]], "The highest value is -9.11."),
    ("What is the median of /stations/oslo/temperature in weather.h5?", [S(O)], "The median is 6.60836."),
    ("Which attributes does simulation.h5 have?", [LOOK[11]], "simulation.h5 has the attributes code, n_steps, author and version."),
    ("Which attributes does simulation.h5 have?", [LOOK[11]], "simulation.h5 has the attributes code, n_steps and version."),
    ("Which HDF5 files are there?", [LOOK[20]], "There are five files: images.h5, simulation.h5, variants.h5 and weather.h5."),
    ("What are the first 5 values of /stations/oslo/temperature in weather.h5?", [LOOK[18]], "The first five values are -2.47, 0.33, -3.94, -4.87 and -4.63."),
    ("How large are weather.h5 and images.h5?", [LOOK[0]], "weather.h5 has 49136 bytes, and images.h5 is smaller."),
    ("Which dtype does /chr7/variants in variants.h5 have?", [LOOK[16]], "It is a table with float64 entries."),
    ("Which compression does /stations/oslo/temperature in weather.h5 use?", [LOOK[4]], "It uses lzf compression at level 4."),
    ("Which compression does /stations/oslo/temperature in weather.h5 use?", [LOOK[4]], "It uses gzip without the shuffle filter."),
    (
        "What are the mean temperatures in /stations/oslo/temperature of weather.h5 and its compression?",
        [S(O)],
        "The mean is 6.61, and the file was last changed by A. Dahl.",
    ),
    ("Which value stands at index 7 of /stations/bergen/temperature in weather.h5?", [("read_element", {"file": W, "path": B, "index": [8]})], None),
    ("What is the minimum of /stations/oslo/temperature in weather.h5?", [S(B)], None),
    ("Which value has the version of simulation.h5?", [LOOK[12]], "The version is 2.10.4."),
    ( # made by a model of half a billion parameters
        UNITS,
        [LOOK[30]],
        "The units value for the file weather.h5 is stored in the datasets precipitation, temperature, wind_speed, oslo, precipitation, "
        "temperature, and wind_speed.",
    ),
    (UNITS, [LOOK[30]], "They are precipitation, temperature, wind_speed and day_of_year."),
    (UNITS, [LOOK[30]], "Oslo: precipitation, temperature and wind_speed."),
]


def made(request, calls, answer):
    calls = [Call(id=f"call_{i}", tool=tool, arguments=args) for i, (tool, args) in enumerate(calls, 1)]
    turns = (Turn(role="user", text=request), *(Turn(role="assistant", calls=(c,)) for c in calls))
    return Trajectory(turns=(*turns, Turn(role="assistant", text=answer or "?")))


@pytest.fixture(scope="module")
def run():
    async def ran(rows):
        async with hdf5_world() as w:
            return [await execute_trajectory(w, t) for t in rows]

    return lambda rows: asyncio.run(ran([made(*r) for r in rows]))


def said(t, answer):
    return t.but(turns=(*t.turns[:-1], t.turns[-1].model_copy(update={"text": answer})))


def test_honest_answers_pass(run):
    rows = run(HON)
    assert all(o.ok for t in rows for o in t.observations)
    wrong = {t.answer: found for t in rows if (found := objections(t, TOOLS))}
    assert not wrong


def test_careless_answers_do_not(run):
    rows = []
    for t in run(BAD):
        last = t.observations[-1].content
        rows.append(said(t, f"It is {last.get('value', last.get('min'))}.") if t.answer == "?" else t)
    assert [t.answer for t in rows if not objections(t, TOOLS)] == []


def test_all_faulty_rows_are_caught(data):
    file = data / "faulty/tools.json"
    if not file.exists():
        pytest.skip(f"{file} is not here")
    reasons = {}
    for r in json.loads(file.read_text()):
        turns = []
        for t in r["turns"]:
            calls = tuple(Call(**c) for c in t.get("calls", []))
            seen = [dict(status="ok", source="executed", world="hdf5", content=x) for x in t.get("results", [])]
            seen = tuple(Observation(call=c.id, **o) for c, o in zip(calls, seen, strict=True))
            turns.append(Turn(role=t["role"], text=t.get("text", ""), calls=calls, observations=seen))
        reasons[r["kind"]] = [x.split(":")[0] for x in objections(Trajectory(turns=tuple(turns)), TOOLS)]
    assert len(reasons) == 7 and all(reasons.values())
    assert reasons["second asked, first taken"] == ["wrong_place"] and reasons["invented unit"] == ["invented_unit"]
    assert "not_looked_up" in reasons["claim about something never looked up"]


def test_numbers_are_read_with_units_and_rounded():
    (m,) = [x for x in mentions("about 49,000 bytes in weather.h5") if x.kind == "number"]
    assert (m.value, m.unit) == (49000, "bytes") and says(m, 49136, "about 49,000 bytes")
    assert [x.text for x in mentions("/a/b of x_y.h5, v1.2.3") if x.kind == "code"] == ["/a/b", "x_y.h5", "v1.2.3"]
    long = "1," * 40_000 + "/a" * 20_000
    assert len(mentions(long)) > 1


def test_ordinals_pick_and_superlatives_do_not():
    assert picks("the second dataset, the last one, the second axis, the second largest value") == [1, -1]


def test_the_element_that_a_reference_takes_is_the_one_that_was_asked_for():
    search = Call(id="call_1", tool="find_by_attribute", arguments={"file": W, "name": "units", "value": "mm"})

    async def taking(request, at):
        take = Call(id="call_2", tool="find_extreme", arguments={"file": W}, refs=(Ref(param="/path", call="call_1", path=f"/paths/{at}"),))
        async with hdf5_world() as w:
            turns = (Turn(role="user", text=request), Turn(role="assistant", calls=(search,)), Turn(role="assistant", calls=(take,)))
            row = await execute_trajectory(w, Trajectory(turns=(*turns, Turn(role="assistant", text="-"))))
            c = row.observations[-1].content
            return objections(said(row, f"It is {c['value']}, at index {c['index'][0]}."), TOOLS)

    request = f"Of the datasets of {W} whose units are mm, take the {{}} one: where is its largest value?"
    assert not asyncio.run(taking(request.format("second"), 1)) and not asyncio.run(taking(request.format("last"), 2))
    assert asyncio.run(taking(request.format("second"), 0))[0].startswith("wrong_place")
    assert asyncio.run(taking(request.format("last"), 1))[0].startswith("wrong_place")


def test_texts_taken_over_word_for_word_make_no_claims(run):
    (row,) = run([("What is the title of weather.h5?", [("read_attribute", {"file": W, "path": "/", "name": "title"})], "-")])
    assert not objections_to_answer(evidence_of(said(row, "Its title is Daily station records."), TOOLS))
    assert objections_to_answer(evidence_of(said(row, "Its title is Weekly Station Survey."), TOOLS))


@pytest.mark.parametrize("text", ["normal", "notebook", "north", "none of your business", "-", "ok", "a" * 250])
def test_a_word_that_begins_with_no_says_something(text):
    assert not says_nothing(text)


@pytest.mark.parametrize("text", ["", "Unknown.", "(none)", "n/a", "no results", "No rows were found here", "nothing to show", "the path was not found"])
def test_a_text_that_says_nothing_is_read_as_that(text):
    assert says_nothing(text)


def test_a_row_that_found_nothing_says_nothing(run):
    nothing, zero = run(
        [
            ("What in weather.h5 is called zz*?", [("find_objects", {"file": W, "pattern": "zz*"})], "Nothing."),
            ("How many values of /stations/oslo/temperature in weather.h5 are below -50?",
             [("count_where", {"file": W, "path": O, "op": "<", "value": -50})], "None of 365."),
        ]
    )  # fmt: skip
    assert grounding_check(nothing, TOOLS).rationale.startswith("no_information") and informs(zero, TOOLS)


def test_what_did_not_run_is_not_called_verified(run):
    good = made("How long is /stations/oslo/temperature in weather.h5?", [("get_shape", {"file": W, "path": O})], "It has 365 values.")
    unseen = asyncio.run(verify([good], hdf5_tools()))
    assert accounts(unseen)["verified"] == 0 and accounts(unseen)["unexecuted"] == 1
    by = unseen.kept[0].origin[-1]
    assert by.faithful == "approximation" and by.note == "not checked: execution, semantic"
    seen = asyncio.run(verify([good], hdf5_tools(), hdf5_world))
    assert accounts(seen)["verified"] == 1 and seen.kept[0].origin[-1].note == "not checked: semantic"


@pytest.mark.parametrize("seed", range(8))
def test_every_seed_finds_the_tools_that_write(seed):
    async def look():
        async with hdf5_world() as w:
            return {f["tool"] for f in await survey(w, seed=seed, max_facts=2)}

    assert asyncio.run(look()) == set(TOOLS)


def test_a_known_unit_of_the_same_kind_is_still_wrong_and_lengths_count_what_is_named():
    from synthgen_nb.tools.answers import objections_to_answer
    from synthgen_nb.tools.evidence import Evidence, Step

    def said(request, answer, content, **args):
        return objections_to_answer(Evidence(request, answer, [Step("call_1", "f", args, content, True, False, ())], {}))

    assert said("Convert 25 km to m.", "25 m are 25000 m.", {"result": 25000}, value=25, to="m")
    assert not said("Convert 25 km to m.", "25 km are 25000 m.", {"result": 25000}, value=25, to="m")
    pet = {"id": 1, "category": {"name": "iris"}, "status": "sold"}
    assert said("What is the status of pet 1?", "The status is iris.", pet, petId=1)
    assert said("What is the status of pet 1?", "Pet 7 has the status sold.", pet, petId=1)
    assert not said("What is the status of pet 1?", "Pet 1, of the category iris, has the status sold.", pet, petId=1)
    assert said("What does it say?", "It has 7 lines.", {"text": "two words"})
    assert not said("Which pet is it?", "It is iris. All the details are shown above.", pet, petId=1)


NAMES = ["Heron model", "Tundra review", "Onyx survey", "Pine order"]
LISTED = {"decks": [{"id": i, "name": n} for i, n in enumerate(NAMES, 7)]}


@pytest.mark.parametrize("told", [NAMES, NAMES[:2] + NAMES[3:]])
def test_a_name_of_several_words_is_seen_in_a_list(told):
    call = Call(id="call_1", tool="list_decks", arguments={})
    there = Observation(call="call_1", status="ok", source="executed", world="x", content=LISTED)
    turns = (
        Turn(role="user", text="List all the decks."),
        Turn(role="assistant", calls=(call,), observations=(there,)),
        Turn(role="assistant", text=f"These are the decks: {', '.join(told[:-1])} and {told[-1]}."),
    )
    found = objections_to_answer(evidence_of(Trajectory(turns=turns), {}))
    assert any(x.startswith("lost_item") for x in found) == (told != NAMES)


def test_a_flag_of_success_is_no_information():
    tools = {"ping": hdf5_tools()[0].model_copy(update={"name": "ping", "effect": "read"})}
    for content, tells in (({"ok": True}, False), ({"success": True}, False), ({"ok": True, "n": 3}, True), ({"open": True}, True)):
        call = Call(id="call_1", tool="ping", arguments={})
        there = Observation(call="call_1", status="ok", source="executed", world="x", content=content)
        t = Trajectory(turns=(Turn(role="user", text="Ping."), Turn(role="assistant", calls=(call,), observations=(there,))))
        assert informs(t, tools) == tells, content


@pytest.mark.parametrize(
    "text, fails",
    [
        ("/files/a.md 19 B: Error - ENOENT: no such file or directory, open '/files/a.md'", True),
        ("EACCES: permission denied, open 'x'", True),
        ("404: not found", True),
        ("572", False),
        ("404", False),
        ("a.md:\nhello", False),
    ],
)
def test_errors_behind_a_path_and_numbers_that_are_none(text, fails):
    assert bool(worded(text)) == fails


def test_what_a_text_lists_can_be_counted():
    call = Call(id="call_1", tool="list_tables", arguments={})
    there = Observation(call="call_1", status="ok", source="executed", world="x", content="[{'name': 'products'}, {'name': 'orders'}]")
    turns = (
        Turn(role="user", text="Which tables are there?"),
        Turn(role="assistant", calls=(call,), observations=(there,)),
        Turn(role="assistant", text="There are 2 tables: products and orders."),
    )
    assert objections_to_answer(evidence_of(Trajectory(turns=turns), {})) == []


def test_a_number_of_things_is_the_number_of_those_that_are_named():
    files = [dict(file=f"{n}.h5", bytes=10) for n in ("images", "simulation", "variants", "weather")]
    tools = {t.name: t for t in hdf5_tools()}

    def counted(answer):
        return objections_to_answer(Evidence("Which files are there?", answer, [Step("call_1", "list_files", {}, files, True, False, ())], tools))

    four = "images.h5, simulation.h5, variants.h5 and weather.h5"
    for right in (f"There are 4 files: {four}.", f"The four files at hand are: {four}.", "4 files:\n" + "".join(f"- {f['file']}\n" for f in files)):
        assert not any(w.startswith("wrong_count") for w in counted(right)), right
    told = f"There are 2 files at hand: {four}.", "3 files:\n" + "".join(f"- {f['file']}\n" for f in files), "Each has 10 columns (file, bytes)."
    for wrong in told:
        assert any(w.startswith("wrong_count") for w in counted(wrong)), wrong
    edges = dict(counts=[339, 19, 1], edges=[0.0, 8.074, 16.148, 24.222])
    made = Step("call_1", "histogram", {}, edges, True, False, ())
    said = lambda a: objections_to_answer(Evidence("Count the values in 3 bins.", a, [made], tools))
    assert any(w.startswith("wrong_count") for w in said("It is divided into 3 bins: 0.0, 8.074, 16.148, 24.222."))
    assert not any(w.startswith("wrong_count") for w in said("The 3 bins are: 339, 19 and 1."))
