"""A user's own acceptance: what it may say, what it comes to, and what the commands make of it."""

import json

import pytest
from conftest import command, rows, write_docs
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgen_nb.core.accept import accepted, check_accept, names_for, parsed
from synthgen_nb.core.judge import load_rubric
from synthgen_nb.core.records import Pair, Score, SynthgenError
from synthgen_nb.specs.trajectory import Call, Observation, Trajectory, Turn


def pair(answer="Yes.", rating=None, **scores):
    given = scores | (dict(overall=rating) if rating is not None else {})
    return Pair(question="Is it?", answer=answer, scores=[Score(criterion=k, value=v, scale=(0, 10)) for k, v in given.items()])


numbers = st.sampled_from(["rating", "accuracy", "len(answer)", "3", "7.5", "len(reasoning)", "answer.count('e')"])
sums = st.builds("({} {} {})".format, numbers, st.sampled_from("+-*"), numbers) | numbers
facts = st.builds("{} {} {}".format, sums, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), sums)
facts |= st.sampled_from(["'e' in answer", "lower(answer) != answer", "rating in (3, 7)", "answer.startswith('Y')", "1 < rating <= 8"])
wholes = st.recursive(facts, lambda x: st.builds("({} {} {})".format, x, st.sampled_from(["and", "or"]), x) | st.builds("(not {})".format, x), max_leaves=6)


@given(wholes, st.text("Yes. ", min_size=1).filter(str.strip), st.integers(0, 10), st.integers(0, 10))
@settings(max_examples=150, deadline=None)
def test_it_says_what_python_says(text, answer, rating, accuracy):
    row = pair(answer, rating, accuracy=accuracy)
    means = eval(text, dict(rating=rating, accuracy=accuracy, answer=answer, reasoning=(), len=len, lower=str.lower))
    out = accepted([row], text)
    assert bool(out.kept) is means and len(out.kept) + len(out.dropped) == 1
    assert means or out.dropped[0].reason == f"not_accepted:{text if len(text) <= 120 else text[:119].rstrip() + '…'}"


@given(st.text(max_size=60) | st.text("()[]{}'\".,:+-*/%<>=!@ \nabcaccuracyratinglenotdi0123456789", max_size=60))
@settings(max_examples=150, deadline=None)
def test_any_text_is_read_or_refused_in_words(text):
    try:
        parsed(text, names_for(Pair, ["accuracy"]))
    except SynthgenError as e:
        assert str(e).startswith("accept: ")
    else:
        assert len(accepted([pair(rating=9, accuracy=3)], text).check(1).kept) in (0, 1)


@pytest.mark.parametrize(
    "text, said",
    [
        ("ratng > 8", "there is no 'ratng': did you mean 'rating'? There are: rating, clarity"),
        ("answer > 8", "'answer' is a text, where a number is needed: len(answer) is its length"),
        ("len(answer)", "gives a number, not yes or no"),
        ("rating >", "is no expression"),
        ("rating = 8", "is no expression"),
        ("rating is 8", "use == instead of is"),
        ("open('x').read() == ''", "cannot be used"),
        ("().__class__ == 0", "cannot be used"),
        ("answer.format(answer) == ''", "cannot be used"),
        ("(lambda: 1)() == 1", "cannot be used"),
        ("[x for x in sources] == 1", "cannot be used"),
        ("answer == 'a' * 999999999", "is a text, where a number is needed"),
        ("rating ** 9 > 1", "cannot be used"),
        ("rating == True", "'True' cannot be used"),
        ("rating in answer", "looks for a text in a text"),
        ("-" * 900 + "1 > 0", "too deep"),
        ("1" * 2000, "at most 1000 are read"),
    ],
)
def test_what_it_cannot_say_is_named_before_any_work(text, said):
    with pytest.raises(SynthgenError, match="accept: ") as e:
        check_accept(text, Pair, load_rubric("workbench"))
    assert said in str(e.value)


def test_a_value_that_is_missing_is_neither_yes_nor_no():
    bare, scored = pair(), pair(rating=9)
    for text, why in (
        ("rating >= 8", "rating has no value"),
        ("not rating >= 8", "rating has no value"),
        ("depth > 1 or rating > 8", "depth has no value"),
        ("'New' in original_answer", "original_answer has no value"),
    ):
        (d,) = accepted([bare], text).dropped
        assert (d.stage, d.reason, d.detail) == ("accept", f"not_accepted:{text}", why)
    assert accepted([scored], "depth > 1 or rating > 8").kept and accepted([scored], "rating > 8 or depth > 1").kept
    assert accepted([scored], "1 / len(reasoning) > 0").dropped[0].detail == "division by zero"
    assert accepted([bare, scored], "").kept == [bare, scored]


def test_rows_with_tool_calls_name_their_tools():
    call, seen = Call(id="c1", tool="make", arguments={}), Observation(call="c1", status="ok", source="executed", world="hdf5")
    turns = (Turn(role="user", text="Make it"), Turn(role="assistant", calls=[call], observations=[seen]), Turn(role="assistant", text="Made."))
    t = Trajectory(turns=turns, tools=("make", "delete"))
    for text, good in (
        ("'make' in calls", 1),
        ("'delete' in calls", 0),
        ("'delete' in tools and len(calls) == 1", 1),
        ("instruction == 'Make it' and answer.endswith('.')", 1),
    ):
        assert len(accepted([t], text).kept) == good, text


def test_the_commands_count_what_was_not_accepted(tmp_path):
    write_docs(tmp_path / "docs", 3)
    run = command(tmp_path)
    run("ingest", "docs", "-o", "db")
    run("generate", "db", "-o", "pairs.jsonl")
    run("curate", "pairs.jsonl", "-o", "all.jsonl")
    text = "rating >= 8 and len(answer) < 90"
    said = run("curate", "pairs.jsonl", "-o", "mine.jsonl", "--accept", text).stdout
    wanted = [p for p in rows("all.jsonl") if p["scores"][-1]["value"] >= 8 and len(p["answer"]) < 90]
    assert rows("mine.jsonl") == wanted and 0 < len(wanted) < len(rows("all.jsonl"))
    lost = [d for d in rows("mine_dropped.jsonl") if d["reason"] == f"not_accepted:{text}"]
    assert len(lost) == len(rows("all.jsonl")) - len(wanted) == json.loads((tmp_path / "mine_metrics.json").read_text())["reasons"]["not_accepted"]
    assert f"not_accepted {len(lost)}" in said and "characters" in lost[0]["detail"]
    assert "did you mean 'rating'" in run("curate", "pairs.jsonl", "-o", "no.jsonl", "--accept", "ratng > 1", ok=False).stderr

    run("pipeline", "docs", "-o", "train.jsonl", "--target-pairs", "2", "--n-pairs", "2", "--accept", text, timeout=60)
    (record,) = [json.loads(f.read_text()) for f in tmp_path.glob("runs/*/run.json")]
    stage = {s["stage"]: s for s in record["funnel"]}
    assert stage["judge"]["out"] == stage["accept"]["in"] and stage["accept"]["out"] == stage["dedup"]["in"]
    assert stage["accept"]["why"] == f"not_accepted {stage['accept']['lost']}" and stage["target"]["out"] == len(rows("train.jsonl")) == 2
    assert all(len(r["messages"][-1]["content"]) < 90 for r in rows("train.jsonl"))
