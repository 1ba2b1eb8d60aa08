"What a row has to teach: the gain of its evidence, difficulty, and the baselines"

import asyncio
import json
import math

import pytest

from synthgen_nb.core.models import open_model
from synthgen_nb.core.records import Evidence, Pair, Score, SynthgenError
from synthgen_nb.select.worth import WEIGHTS, begins, evidence_of, gain, ifd, select_worth

TEXT = "The chunk cache is described in chapter nine. It has 1 MiB for each open dataset, and so on."
ROW = Pair(question="What does the chunk cache have?", answer="1 MiB for each open dataset, and so on.", chunk_id="c")
KNOWN = Pair(question="Is the chunk cache described?", answer="Is the chunk cache described.", chunk_id="c")


@pytest.fixture
def model():
    return open_model(provider="offline")


def run(*a, **k):
    return asyncio.run(select_worth(*a, **k))


def test_the_weights_are_toolformers():
    assert [round(15 * w, 9) for w in WEIGHTS] == [5, 4, 3, 2, 1]


def test_gain_by_hand(model):
    "The score is the weighted difference of the log-probabilities that the model itself gives"
    s = asyncio.run(gain(ROW, model, TEXT, 0))
    start, values = begins(ROW.answer, 5), []
    for before in (f"{TEXT}\n\nQuestion: {ROW.question}\nAnswer: ", f"Question: {ROW.question}\nAnswer: "):
        values.append(asyncio.run(model.score(before + start, len(before))).value)
    assert start == "1 MiB for each open"
    assert s.value == pytest.approx(sum(w * (a - b) for w, a, b in zip(WEIGHTS, *values, strict=False))) and s.value > 1
    assert asyncio.run(gain(KNOWN, model, TEXT, 0)).value < s.value, "what the question says already is not learnt from the source"


def test_ifd_by_hand(model):
    s = asyncio.run(ifd(KNOWN, model, "", 0))
    mean = lambda before: sum(v := asyncio.run(model.score(before + KNOWN.answer, len(before))).value) / len(v)
    assert s.value == pytest.approx(mean(f"Question: {KNOWN.question}\nAnswer: ") / mean("\n")) and 0 < s.value < 1
    against = Pair(question="Which colour?", answer="lunch lunch lunch")
    hard = asyncio.run(ifd(against, model, "", 0))
    assert isinstance(hard, Score) or hard.reason == "question_does_not_help"


@pytest.mark.parametrize(
    "text, start", [("one", "one"), ("a b c d e f g", "a b c d e"), (" 日本語 です", " 日本語 です"), ("x" * 9000, "x" * 400), ("a\n\nb", "a\n\nb")]
)
def test_the_beginning_of_an_answer(text, start):
    assert begins(text, 5) == start


def test_evidence_is_the_places_where_they_are_known():
    p = ROW.but(evidence=(Evidence(claim="x", chunk="c", start=46, end=53), Evidence(claim="y", chunk="gone", start=0, end=3)))
    assert evidence_of(p, {"c": TEXT}) == TEXT[46:53] and evidence_of(ROW, {"c": TEXT}) == TEXT and evidence_of(ROW, {}) == ""


@pytest.mark.parametrize("by", ["gain", "ifd", "length", "random"])
def test_a_choice_accounts_for_every_row_in_any_order(model, by):
    pairs = [Pair(question=f"What is thing {i}?", answer=f"It is thing {i} of {'many ' * i}things.", chunk_id="c") for i in range(9)]
    a, b = (run(rows, model, by=by, top_k=3, evidence={"c": TEXT}) for rows in (pairs, pairs[::-1]))
    assert [p.id for p in a.kept] == [p.id for p in b.kept] and len(a.kept) + len(a.dropped) == 9
    assert all(p.origin[-1].faithful == "heuristic" and p.scores[-1].criterion == f"worth_{by}" for p in a.kept)
    if by == "length":
        assert [p.id for p in a.kept] == [p.id for p in pairs[:-4:-1]]


def test_what_cannot_be_scored_says_why(model, monkeypatch):
    out = run([ROW, KNOWN.but(chunk_id="away")], model, evidence={"c": TEXT})
    assert [p.id for p in out.kept] == [ROW.id] and out.reasons == {"no_evidence": 1}
    monkeypatch.setenv("ANTHROPIC_API_KEY", "none")
    mute = open_model(provider="anthropic", model="m")
    out = run([ROW], mute, evidence={"c": TEXT})
    assert not out.kept and out.dropped[0].reason == "no_logprobs" and "vllm" in out.dropped[0].detail
    for wrong, said in ((dict(by="gian"), "did you mean"), (dict(share=0), "share is 0"), (dict(top_k=0), "top_k is 0")):
        with pytest.raises(SynthgenError, match=said):
            run([ROW], model, evidence={"c": TEXT}, **wrong)
    assert not math.isnan(asyncio.run(gain(ROW.but(answer="."), model, TEXT, 0)).value)


def test_command(synthgen):
    rows = [dict(question=f"What is {w}?", answer=f"{w} is what the manual says of it.") for w in ("a chunk", "a group", "a filter", "a link")]
    (synthgen.folder / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    said = synthgen("select-worth", "rows.jsonl", "-o", "out.jsonl", "--by", "length", "--top-k", 2)
    assert "kept 2, dropped 2 (beyond_budget 2)" in said.stdout
    said = synthgen("select-worth", "rows.jsonl", "-o", "out.jsonl", ok=False)
    assert "no_evidence 4" in said.stderr and "--db" in said.stderr


def test_worth_is_a_step_of_a_run_and_an_arm_of_a_study(synthgen, docs):
    from synthgen_nb.core.methods import with_options
    from synthgen_nb.experiments.study import read_study
    file = synthgen.folder / "s.yaml"
    file.write_text("question: Do longer answers teach more?\nbase: {source: [docs], rewrite: false}\n"
                    "arms: {all: {}, longest: {steps: [worth by=length share=0.5]}}\n")
    assert [a.parameters["steps"] for a in read_study(file).arms] == [[], ["worth by=length share=0.5"]]
    synthgen("study", "s.yaml")
    rows = {a: [json.loads(x) for x in f.read_text().splitlines()] for f in synthgen.folder.glob("runs/*/*/records/final.jsonl") for a in [f.parts[-3]]}
    assert {*rows} == {"all", "longest"} and 1 < len(rows["longest"]) <= len(rows["all"]) // 2 + 1
    words = lambda arm: sorted(len(r["answer"].split()) for r in rows[arm])
    assert words("longest")[-1] == words("all")[-1] and words("longest")[0] > words("all")[0]
    listed = synthgen("runs", "--pipeline", "qa").stdout
    assert "study-s/all" in listed and "steps=worth by=length" in listed and "longest: done" in synthgen("show", "study-s/longest").stdout
    for wrong, says in (("worth of=length", "unknown setting of Worth"), ("worth share=much", "share of Worth is 'much'"),
                        ("wroth", "did you mean 'worth'"), ("worth 'by", "is no step")):
        with pytest.raises(SynthgenError, match=says): with_options(wrong)
