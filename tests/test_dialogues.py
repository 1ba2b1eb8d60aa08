"""Dialogues, rows without a call, several calls in a turn: what may ground a turn, and what may not."""

import asyncio
import json
import sys

import pytest
from conftest import own_server

from synthgen_nb.core.models import open_model
from synthgen_nb.core.records import SynthgenError, save
from synthgen_nb.export.conversations import CONVERSATION_FORMATS
from synthgen_nb.export.formats import export
from synthgen_nb.specs.rounds import rounds
from synthgen_nb.specs.trajectory import Call, Ref, Trajectory, Turn, as_trajectory, read_trajectories
from synthgen_nb.specs.views import as_pair
from synthgen_nb.tools.apigen import accounts, complexity, format_check, successful, verify
from synthgen_nb.tools.grounding import trajectory_inputs
from synthgen_nb.worlds.hdf5 import hdf5_tools, hdf5_world
from synthgen_nb.worlds.open import open_world
from synthgen_nb.worlds.world import execute_trajectories, execute_trajectory, failure, replay, start_from

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


def call(id, tool, train=True, **arguments):
    return calls(Call(id=id, tool=tool, arguments={"file": "weather.h5"} | arguments), train=train)


HOW_LONG, LONG = user(f"How many values does {OSLO} in weather.h5 hold?"), says("It holds 365 values.")
MEAN, IS_MEAN = call("c9", "dataset_statistics", path=OSLO), says("Its mean is 6.61.")
LENGTH = (HOW_LONG, calls(shape("c1")), LONG)
HONEST = {
    "pronoun": (*LENGTH, user("And what is its mean?"), MEAN, IS_MEAN),
    "second used in third": (
        user("Which files are there?"),
        calls(Call(id="c0", tool="list_files")),
        says("There are four: images.h5, simulation.h5, variants.h5 and weather.h5."),
        user(f"I mean the dataset {OSLO} in the last one."),
        calls(shape("c1")),
        says("That dataset holds 365 values."),
        user("Where is its largest value?"),
        call("c2", "find_extreme", path=OSLO, which="max"),
        says("The largest value, 22.65, stands at index 210."),
    ),
    "from memory": (*LENGTH, user("How many was that again?"), LONG, user("Thank you!"), says("You are welcome.")),
    "asks back": (user("How many values does the temperature of Oslo hold?"), says("In which file?"), user("weather.h5"), calls(shape("c1")), LONG),
    "compares": (
        user(f"What is the mean of {OSLO} in weather.h5?"),
        MEAN,
        IS_MEAN,
        user(f"Is that more than the mean of {BERGEN}?"),
        call("c2", "dataset_statistics", path=BERGEN),
        says(f"No: the mean of {BERGEN} is larger, 7.87 against 6.61."),
    ),
    "together": (user(f"How many values do {OSLO} and {BERGEN} in weather.h5 hold?"), calls(shape("c1"), shape("c2", BERGEN)), says("Both hold 365.")),
    "a masked call fails": (HOW_LONG, calls(shape("c0", "/nowhere"), train=False), calls(shape("c1")), LONG),
    "a masked answer is wrong": (*LENGTH[:2], says("It holds 366 values.", train=False), user("Are you sure?"), LONG),
}
FAULTY = {
    "unsupported_number:memory": (*LENGTH, user("How many was that again?"), says("It holds 356 values.")),
    "unsupported_number:only a masked turn said it": (
        *LENGTH[:2],
        says("It holds 365 values, of which 17 are missing.", train=False),
        user("How many are missing?"),
        says("17 are missing."),
    ),
    "ungrounded_argument:said later": (
        user("How long is the record?"),
        calls(shape("c1")),
        LONG,
        user(f"I meant {OSLO} in weather.h5."),
        calls(shape("c2")),
        LONG,
    ),
    "not_looked_up:the other one": (*LENGTH, user(f"And {BERGEN}?"), calls(shape("c2")), LONG),
    "untold:the answer to the first": (*LENGTH, user("And what is its mean?"), MEAN, LONG),
    "unsupported_number:invented in the first": (*LENGTH[:2], says("It holds 365 values and 12 attributes."), *HONEST["pronoun"][3:]),
    "claimed_action:deleted": (*LENGTH, user("Delete it, please."), says("I have deleted it.")),
    "ungrounded_argument:of the same turn": (
        user("What is the units attribute of the first temperature dataset in weather.h5?"),
        calls(
            Call(id="c1", tool="find_objects", arguments={"file": "weather.h5", "pattern": "temperature"}),
            Call(id="c2", tool="read_attribute", arguments={"file": "weather.h5", "path": BERGEN, "name": "units"}),
        ),
        says("It is degC."),
    ),
    "swapped:across requests": (*HONEST["compares"][:5], says(f"Yes: the mean of {OSLO} is 7.87, that of {BERGEN} is 6.61.")),
    "untold:a number of before": (*HONEST["compares"][:3], user("And how many values are there?"), calls(shape("c2")), says("There are 6.61 values.")),
    "unsupported_number:of another request": (
        *HONEST["compares"][:3],
        user("List the HDF5 files that are at hand, please."),
        calls(Call(id="c2", tool="list_files")),
        says("There are 6.61 files: images.h5, simulation.h5, variants.h5 and weather.h5."),
    ),
}


@pytest.mark.parametrize("kind", HONEST)
def test_an_honest_dialogue_passes(kind):
    out = verified(Trajectory(turns=HONEST[kind]))
    assert len(out.kept) == 1, out.dropped[0].detail


@pytest.mark.parametrize("kind", FAULTY)
def test_a_faulty_dialogue_fails(kind):
    out = verified(Trajectory(turns=FAULTY[kind]))
    assert out.dropped and out.dropped[0].reason == f"grounding:{kind.split(':')[0]}", out.kept or out.dropped[0].detail


def test_each_request_of_a_dialogue_needs_an_answer():
    assert verified(Trajectory(turns=(*LENGTH[:2], *HONEST["pronoun"][3:]))).dropped[0].reason == "format:no_answer"


def test_a_judge_sees_the_whole_dialogue():
    t = asyncio.run(execute_trajectories([Trajectory(turns=HONEST["a masked answer is wrong"])], hdf5_world, workers=1)).kept[0]
    m = open_model()
    text = m.prompt("tool_judge").render(**trajectory_inputs(list(TOOLS.values()))(t)).messages[1]["content"]
    for part in ("Are you sure?", "366", "365", "Request 2 of 2", "Request 1 of 2"):
        assert part in text
    assert text.count("not part of what you check") == 0, "its call is learnt"


# masks

MASKED = (
    *LENGTH,
    user(f"And {BERGEN}?"),
    calls(shape("c2", "/wrong"), train=False),
    calls(shape("c3", BERGEN)),
    says("It holds 365 values, too."),
)


def learnt(format, row):
    "All that a trainer of this format takes a loss on, as one text"
    if format in ("hf", "trl", "openai", "chatml"):
        return json.dumps([m for m, on in zip(row["messages"], row["train_on"], strict=True) if on])
    if format == "sharegpt":
        return json.dumps([m for m in row["conversations"] if m["from"] in ("gpt", "function_call") and m.get("train", True)])
    return row["text"] if "text" in row else row["output"] + json.dumps(row.get("history", ""))


@pytest.mark.parametrize("format", ["hf", "trl", "openai", "chatml", "sharegpt", "alpaca", "functiongemma", "text"])
def test_no_format_teaches_a_masked_turn(format, tmp_path):
    async def run():
        async with hdf5_world() as w:
            return [await execute_trajectory(w, Trajectory(turns=x, world="hdf5", tools=("get_shape",))) for x in (MASKED, MASKED[3:], LENGTH)]

    dropped = []
    export(asyncio.run(run()), tmp_path / "out.jsonl", format, tools=TOOLS.values(), dropped=dropped)
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    taught = [learnt(format, r) for r in rows]
    assert taught and not any("/wrong" in x for x in taught), taught
    assert sum(OSLO in x for x in taught) == 2, "what may be learnt is still there"
    whole = format in ("functiongemma", "text")
    assert [d.reason for d in dropped] == (["cannot_mask"] if whole else []) and len(rows) == (2 if whole else 4 if format == "alpaca" else 3)
    if format == "alpaca":
        assert "/wrong" in rows[1]["instruction"] and "history" not in rows[1]
    elif not whole:
        assert [x.train for x in as_trajectory(rows[0]).turns if x.role == "assistant"] == [True, True, False, True, True]


def test_a_row_of_which_nothing_may_be_learnt_is_no_training_row(tmp_path):
    dropped, row = [], Trajectory(turns=(user("How?"), says("So.", train=False)))
    with pytest.raises(SynthgenError, match="nothing_to_learn"):
        export([row], tmp_path / "out.jsonl", "hf", dropped=dropped)


@pytest.mark.parametrize("format", ["hf", "openai", "chatml", "sharegpt", "functiongemma", "alpaca"])
def test_calls_made_together_come_back_together(format):
    t = asyncio.run(execute_trajectories([Trajectory(turns=HONEST["together"], tools=("get_shape",))], hdf5_world, workers=1)).kept[0]
    back = as_trajectory(CONVERSATION_FORMATS[format](t, TOOLS))
    assert [[c.arguments["path"] for c in x.calls] for x in back.turns if x.calls] == [[OSLO, BERGEN]]
    assert [o.content["path"] for o in back.observations] == [OSLO, BERGEN]


# where a row begins

TILLS = """
held = {}

@tool()
def put(till: str, amount: int) -> dict:
    "Put an amount into a till."
    held[till] = held.get(till, 0) + amount
    return {"till": till, "held": held[till]}

@tool()
def count(till: str) -> dict:
    "Count what a till holds."
    return {"till": till, "held": held.get(till, 0)}

serve()
"""
FUNCTIONS = """
held = {}

def put(till: str, amount: int) -> dict:
    "Put an amount into a till."
    held[till] = held.get(till, 0) + amount
    return {"till": till, "held": held[till]}

def count(till: str) -> dict:
    "Count what a till holds."
    return {"till": till, "held": held.get(till, 0)}
"""


@pytest.mark.parametrize("kind", ["mcp", "python"])
def test_a_row_begins_where_its_calls_bring_the_world(kind, tmp_path):
    if kind == "mcp":
        pytest.importorskip("mcp")
    file = tmp_path / "tills.py"
    file.write_text(own_server(TILLS) if kind == "mcp" else FUNCTIONS)
    name = f"mcp:{sys.executable} {file}" if kind == "mcp" else f"python:{file}"
    setup = {"calls": [{"tool": "put", "arguments": {"till": "north", "amount": 740}}]}
    put = Call(id="call_1", tool="put", arguments={"till": "north", "amount": 25})
    count = Call(id="call_2", tool="count", arguments={"till": "north"})
    row = Trajectory(
        turns=(user("Put 25 into the till north, then count it."), calls(put), calls(count), says("The till north holds 765 now.")),
        initial=setup,
    )

    async def go():
        async with open_world(name) as w:
            tools = {t.name: t for t in w.tools}
            ran = await execute_trajectory(w, row)
            again = await replay(w, ran.calls, ran.observations, setup)
            elsewhere = await replay(w, ran.calls, ran.observations)
        return list(tools.values()), ran, again, elsewhere

    tools, ran, again, elsewhere = asyncio.run(go())
    assert ran.observations[1].content == {"till": "north", "held": 765} and again == [] and elsewhere == ["call_1", "call_2"]
    bad = [row.but(initial=x) for x in ({"calls": [{"tool": "pour"}]}, {"calls": "put"}, *[{"seed": 3}] * (kind == "mcp"))]
    out = asyncio.run(verify([ran, *bad], tools, lambda: open_world(name), workers=1))
    assert len(out.kept) == 1 and {d.reason for d in out.dropped} == {"execution:no_start"} and len(out.dropped) == len(bad)
    assert "pour" in out.dropped[0].detail


OPENED = [
    {"tool": "open_file", "arguments": {"file": "weather.h5", "mode": "a"}},
    {"tool": "create_group", "arguments": {"file": "weather.h5", "path": "/new"}},
]


def test_a_state_and_calls_go_together():
    row = Trajectory(turns=LENGTH, initial={"seed": 5, "calls": OPENED})

    async def go():
        async with hdf5_world() as w:
            await start_from(w, row.initial)
            here = await w.state()
            await start_from(w, {"seed": 5})
            return here, await w.state()

    with_group, without = asyncio.run(go())
    assert with_group != without


# choosing among conversations


def test_what_chooses_takes_conversations_and_what_rewrites_says_why_not(tmp_path, synthgen):
    rows = [Trajectory(turns=HONEST[k]) for k in ("pronoun", "from memory", "asks back")]
    rated = rows[0].model_copy(update=dict(id="again"))
    file = tmp_path / "rows.jsonl"
    save([*rows, rated], file)
    synthgen("dedup", file, "-o", tmp_path / "one.jsonl")
    kept = read_trajectories(tmp_path / "one.jsonl").kept
    dropped = json.loads((tmp_path / "one_dropped.jsonl").read_text())
    assert kept == rows and dropped["reason"] == f"duplicate_of:{rows[0].id}" and dropped["record"]["turns"]
    synthgen("multi-score", file, "-o", tmp_path / "best.jsonl", "--top-k", "2", "--scorer", "sampled")
    best = read_trajectories(tmp_path / "best.jsonl").kept
    assert len(best) == 2 and all(t.calls and {"complexity", "quality"} <= {s.criterion for s in t.scores} for t in best)
    said = synthgen("enrich", file, "-o", tmp_path / "no.jsonl", ok=False)
    assert said.returncode and "takes pairs" in said.stderr and not (tmp_path / "no.jsonl").exists()


def test_a_view_holds_what_may_be_learnt():
    p = as_pair(Trajectory(turns=HONEST["a masked answer is wrong"][2:]))
    assert (p.question, p.answer) == ("Are you sure?", LONG.text) and as_pair(Trajectory(turns=(user("a"), says("")))) is None
