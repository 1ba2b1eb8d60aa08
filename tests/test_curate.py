"""Curation and rules: what is kept, why the rest was dropped, and what a rule costs a subject."""

import asyncio
import json

import pytest
from conftest import rows
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgen_nb.core import curate as curation
from synthgen_nb.core import judge
from synthgen_nb.core.models import Answer, open_model
from synthgen_nb.core.records import Chunk, Origin, Pair, Source, SynthgenError, load
from synthgen_nb.core.settings import Rule, load_settings

few = settings(max_examples=25, deadline=None)


@given(
    st.lists(st.sampled_from(["plain", "cot", "judged"]), min_size=1, max_size=4),
    st.dictionaries(st.sampled_from(["votes", "difficulty", "note"]), st.one_of(st.integers(), st.text(max_size=5)), max_size=2),
    st.sampled_from([1, 3]),
)
@few
def test_curating_twice_changes_nothing_in_any_format(kinds, meta, batch):
    extra = dict(plain={}, cot=dict(reasoning="1. So."), judged=dict(reasoning="Clear.", rating=9))
    text = "A chunk is the unit in which HDF5 reads and writes a dataset."
    pairs = [Pair(question=f"What is chunk {i}?", answer=text, chunk_id="c", meta=meta | extra[k]) for i, k in enumerate(kinds)]
    run = lambda ps: asyncio.run(curation.curate(ps, open_model(), judge.load_rubric("workbench"), judge.pair_inputs({"c": text}), 0, "HDF5", batch_size=batch))
    once = run(pairs)
    assert run(once.kept).kept == once.kept
    assert [(p.id, p.question, p.answer, p.meta) for p in once.kept] == [(p.id, p.question, p.answer, p.meta) for p in pairs]
    assert [curation.pair_format(p) for p in once.kept] == ["cot" if k == "cot" else "qa" for k in kinds]
    assert all(sum(s.criterion == "topic_relevant" for s in p.scores) == 1 for p in once.kept)


@pytest.mark.parametrize("name, criterion", [("workbench", "accuracy"), ("tools", "parameters")])
@pytest.mark.parametrize("score, reason", [(0, "below_floor"), (0.5, "below_floor"), (1, "")])
def test_a_floor_holds_whatever_the_sum_and_the_threshold(name, criterion, score, reason):
    rubric = judge.load_rubric(name)
    given = {c.name: dict(rationale=f"Why {c.name}.", score=score if c.name == criterion else c.high) for c in rubric.criteria}
    answer = Answer(value=given, text="")
    verdict = judge.Verdict(judge.scores_of(answer, rubric), None, answer, Origin(method=f"judge:{name}", faithful="heuristic"))
    assert verdict.rating == 7 + score, "the sum alone would keep it"
    for threshold in (0, 7):
        why, detail = curation.reason(verdict, rubric, threshold)
        assert why == (f"{reason}:{criterion}" if reason else "") and (not why or f"Why {criterion}." in detail)


def test_a_floor_is_on_its_scale_and_papers_have_none():
    one = dict(name="fit", low=1, high=5, question="Is it?", anchors={})
    for floor in (1, 0, 6):
        with pytest.raises(ValueError, match="floor"):
            judge.Criterion(**one, floor=floor)
    assert judge.Criterion(**one, floor=5).floor == 5
    assert all(c.floor is None for r in ("alpagasus", "humpback") for c in judge.load_rubric(r).criteria)


def test_a_floor_of_ones_own_holds_on_the_command_line(tmp_path, synthgen):
    "The offline judge finds nothing of the second answer in the source, so accuracy is 0; a threshold of 0 does not save it"
    (tmp_path / "docs").mkdir()
    text = "# Chunks\n\nA chunk is the unit in which HDF5 reads and writes a dataset, because compression needs whole blocks."
    (tmp_path / "docs" / "a.md").write_text(text)
    synthgen("ingest", "docs", "-o", "db")
    synthgen("generate", "db", "-o", "pairs.jsonl", "--n-pairs", "1")
    (one,) = rows(tmp_path / "pairs.jsonl")[:1]
    wrong = one | dict(id="", question="What is a chunk?", answer="Volcanoes erupt magma near 2031 Iceland ridge.")
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(p) + "\n" for p in (one, wrong)))
    synthgen("curate", "in.jsonl", "-o", "good.jsonl", "--db", "db", "--threshold", "0")
    (dropped,) = rows(tmp_path / "good_dropped.jsonl")
    assert [p["answer"] for p in rows(tmp_path / "good.jsonl")] == [one["answer"]]
    assert dropped["reason"] == "below_floor:accuracy" and dropped["record"]["scores"][-1]["value"] > 0
    assert "accuracy from 1" in synthgen("prompts").stdout


def test_rules_are_applied_by_name():
    rules = dict(logs=Rule(field="source", drop=r"_log\.md$"), short=Rule(field="answer", min_chars=5), how=Rule(field="question", keep="^How"))
    p = lambda q="How so?", a="Thus it is.", s=("a.md",): Pair(question=q, answer=a, sources=s)
    pairs = [p(), p(s=("x_log.md",)), p(s=("x_log.md", "a.md")), p(a="No."), p(q="Why?"), p(s=())]
    out = curation.apply_rules(pairs, rules)
    assert [d.reason for d in out.dropped] == ["rule:logs", "rule:short", "rule:how"]
    assert curation.per_rule(out.dropped, rules) == dict(logs=1, short=1, how=1)
    assert curation.apply_rules(out.kept, rules).kept == out.kept and not curation.apply_rules(pairs, {}).dropped
    chunk = Chunk(text="short", sources=(Source(path="a_log.md"),))
    assert curation.apply_rules([chunk], rules).dropped[0].reason == "rule:logs", "a rule about answers says nothing about chunks"
    table = curation.retention(out.kept, out.dropped, curation.document)
    assert sum(r["pairs"] for r in table) == len(pairs) and sum(r["kept"] for r in table) == len(out.kept)


@pytest.mark.parametrize(
    "rule, words",
    [
        ("{field: source, dorp: x}", r"unknown key 'rules.r.dorp': did you mean 'drop'"),
        ("{field: answr, drop: x}", "rules.r.field"),
        ('{field: source, drop: "("}', "not a regular expression"),
        ("{field: source}", "it drops nothing"),
    ],
)
def test_wrong_rules_are_explained(tmp_path, rule, words):
    (tmp_path / "synthgen.yaml").write_text(f"rules:\n  r: {rule}\n")
    with pytest.raises(SynthgenError, match=words):
        load_settings()


def test_retention_of_the_domains_own_words_is_shown(data):
    "A rule about one word, on pairs about that subject: it keeps next to none of them"
    pairs = load(data / "prototype/qa/jarvis_qa_text_chunks.jsonl", Pair, [])
    out = curation.apply_rules(pairs, dict(ci=Rule(field="question", drop=r"(?i)\bpipeline\b")))
    share = {r["stratum"]: r["share"] for r in curation.retention(out.kept, out.dropped, curation.mentions("pipeline"))}
    assert share["(none of them)"] == 1 and share["pipeline"] < 0.5


def test_curate_in_batches_on_a_server_that_loses_and_repeats(tmp_path, synthgen, server):
    given = [dict(question=f"What is thing {i}?", answer=f"Thing {i}.") for i in range(7)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(g) + "\n" for g in given))
    r = synthgen("curate", "in.jsonl", "-o", "good.jsonl", "--batch-size", "3", env=server.env)
    good = rows(tmp_path / "good.jsonl")
    assert [p["question"] for p in good] == [g["question"] for g in given] and "judged alone as well: 7 pairs; 0" in r.stdout
    said = [(p["question"], p["scores"][0]["rationale"]) for p in good]
    assert all(why in (f"About: {q}", "It is plain.") for q, why in said) and len({why for _, why in said}) > 2
    metrics = json.loads((tmp_path / "good_metrics.json").read_text())
    assert metrics["alone"]["compared"] == 7 and metrics["formats"] == {"qa": 7}
    assert "rates one pair in a call" in synthgen("curate", "in.jsonl", "-o", "x.jsonl", "--batch-size", "3", "--rubric", "alpagasus", ok=False).stderr


def test_rules_and_topic_of_the_settings(tmp_path, synthgen, docs):
    (tmp_path / "synthgen.yaml").write_text(
        "topic: basket weaving\nrules:\n  no-how: {field: question, drop: '^How'}\n  no-zero: {field: source, drop: 'doc000'}\n"
    )
    synthgen("ingest", "docs", "-o", "db")
    r = synthgen("generate", "db", "-o", "pairs.jsonl")
    assert "no-how 0, no-zero 1 of" in r.stderr and not any("doc000" in s for p in rows(tmp_path / "pairs.jsonl") for s in p["sources"])
    asked = rows(tmp_path / "pairs.jsonl")
    r = synthgen("curate", "pairs.jsonl", "-o", "good.jsonl", ok=False)
    metrics = json.loads((tmp_path / "good_metrics.json").read_text())
    how = sum(p["question"].startswith("How") for p in asked)
    assert metrics["rules"] == {"no-how": how, "no-zero": 0} and how and metrics["reasons"]["off_topic"] and "off_topic" in r.stderr
    synthgen("curate", "pairs.jsonl", "-o", "good.jsonl", "--topic", "storage layer block cache")
    good = rows(tmp_path / "good.jsonl")
    assert all(s["value"] == 1 for p in good for s in p["scores"] if s["criterion"] == "topic_relevant") and len(good[0]["scores"]) == 6


def test_a_judge_that_wrote_the_row_is_an_approximation_of_its_paper():
    step = lambda model, faithful: Origin(method="judge:alpagasus", faithful=faithful, model=model)
    wrote = [Origin(method="grounded_qa", faithful="heuristic", model="a/large"), step("b/judge", "paper")]
    assert curation.of_judge(step("c/other", "paper"), wrote) == step("c/other", "paper")
    assert curation.of_judge(step("b/judge", "paper"), wrote).faithful == "paper", "judged before is not written"
    own = curation.of_judge(step("a/large", "paper"), wrote)
    assert own.faithful == "approximation" and own.note == curation.OWN_WORK
    assert curation.of_judge(step("a/large", "heuristic"), wrote).faithful == "heuristic"
