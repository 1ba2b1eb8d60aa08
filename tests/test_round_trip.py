"""A question is asked afresh, and a pair stays if both answers say the same."""

import asyncio
import json

import pytest
from conftest import rows

from synthgen_nb.core.models import Answer, open_model
from synthgen_nb.core.records import Pair, save
from synthgen_nb.corpus.store import ingest
from synthgen_nb.qa import round_trip as rt

TEXT = """A dataset with chunked storage can be resized. A contiguous dataset has a fixed size.

Chunks between 10 KiB and 1 MiB are a good choice."""
SIZE = "Which size of chunks is a good choice?"


def pair(question, answer):
    return Pair(question=question, answer=answer, chunk_id="c")


@pytest.mark.parametrize(
    "given, again, why",
    [
        ("Chunks between 10 KiB and 1 MiB.", "Between 10 KiB and 1 MiB.", ""),
        ("Chunks between 10 KiB and 4 MiB.", "Between 10 KiB and 1 MiB.", "MiB"),
        ("Yes, any size will do.", "No, it should be at most 1 MiB.", "yes"),
        ("Chunks between 10 KiB and 1 MiB.", None, "cannot be answered"),
        ("Small ones that fit the cache.", "Those which are read as a whole.", None),
    ],
)
def test_what_the_program_can_tell(given, again, why):
    got = rt.verdict(pair(SIZE, given), Answer(value=dict(reasoning=["a", "b"], answer=again)))
    assert got == why if why in ("", None) else got and why in got


def test_a_reply_that_cannot_be_used_is_not_agreement():
    assert "refused" in rt.verdict(pair(SIZE, "Any."), Answer(error="refused: 400"))


def test_nothing_is_lost_and_every_drop_says_what_differs():
    pairs = [pair(SIZE, "Chunks between 10 KiB and 1 MiB."), pair(SIZE, "Chunks between 1 MiB and 10 MiB."), pair("Who was Hegel?", "A philosopher.")]
    elsewhere = Pair(question=SIZE, answer="Any size.", chunk_id="gone")
    model = open_model()
    out = asyncio.run(rt.round_trip([*pairs, elsewhere], model, {"c": TEXT}))
    assert [p.answer for p in out.kept] == [pairs[0].answer]
    assert [(d.reason, d.record.id) for d in out.dropped] == [
        ("inconsistent", pairs[1].id),
        ("inconsistent", pairs[2].id),
        ("no_source", elsewhere.id),
    ]
    assert all(d.detail for d in out.dropped) and out.kept[0].origin[-1].method == "round_trip"
    assert model.meter.row()["calls"] == 2, "one for each question, asked once however often it comes; none was left for a judge"


def test_a_judge_is_asked_in_both_orders_where_counting_does_not_tell():
    x = pair("Why is it so?", "A contiguous dataset is one block that other data follows.")
    again = {x.id: Answer(value=dict(answer="The size is fixed since there is no room to grow."))}
    model = open_model()
    assert rt.verdict(x, again[x.id]) is None
    got = asyncio.run(rt.judged([x], again, model, {"c": TEXT}))
    assert set(got) == {x.id} and model.meter.row()["calls"] == 2


def test_the_command_and_the_parameter_of_the_pipeline(tmp_path, synthgen):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "storage.md").write_text(f"# Chunked storage\n\n{TEXT}\n")
    ingest([docs], tmp_path / "db")
    synthgen("generate", "db", "-o", "pairs.jsonl")
    wrong = json.loads((tmp_path / "pairs.jsonl").read_text().splitlines()[0])
    save([Pair(**{**wrong, "id": ""}).but(answer="It is 77 KiB."), *[Pair(**r) for r in rows(tmp_path / "pairs.jsonl")]], tmp_path / "all.jsonl")
    said = synthgen("round-trip", "all.jsonl", "-o", "same.jsonl", "--db", "db").stdout
    assert "dropped" in said and "It is 77 KiB." not in (tmp_path / "same.jsonl").read_text()
    synthgen("pipeline", "docs", "-o", "train.jsonl", "--verify", "roundtrip")
    record = json.loads(next(tmp_path.glob("runs/*-qa/run.json")).read_text())
    assert [x["stage"] for x in record["funnel"] if x["stage"] in ("evidence", "round trip", "judge")] == ["evidence", "round trip", "judge"]
    bad = synthgen("pipeline", "docs", "-o", "train.jsonl", "--verify", "roundtrips", ok=False).stderr
    assert "roundtrip" in bad, "the nearest name is said"
