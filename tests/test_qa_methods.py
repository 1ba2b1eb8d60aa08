"""Instruction Backtranslation, Back-and-Forth Translation, LIMA, AlpaGasus and curation: published figures, and what must always hold."""

import asyncio
import json
import random
from collections import Counter
from itertools import pairwise

import pytest
from conftest import rows
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgen_nb.core.judge import load_rubric, scores_of
from synthgen_nb.core.models import Answer, open_model
from synthgen_nb.core.records import Chunk, Pair, Source, SynthgenError, load
from synthgen_nb.core.settings import Rule, load_settings
from synthgen_nb.core import curate as curation
from synthgen_nb.qa import alpagasus, backtranslation, lima, rewriting

few = settings(max_examples=25, deadline=None)


def rated(values, rubric="alpagasus"):
    "Pairs with ratings"
    r = load_rubric(rubric)
    reply = lambda v: scores_of(Answer(value=f"{v:g}\nso", text=f"{v:g}\nso"), r)
    return [Pair(question=f"Question {i}?", answer=f"Answer {i}.", scores=reply(v)) for i, v in enumerate(values)]


# AlpaGasus: published figures


def test_histogram_gives_the_published_sizes_and_threshold():
    hist = alpagasus.histogram([]) | {2.5: 1, 3.0: 1550, 3.5: 10811, 4.0: 30240, 4.5: 9218, 5.0: 11}
    assert (alpagasus.kept_at(hist, 4.5), alpagasus.kept_at(hist, 4.0), sum(hist.values())) == (9229, 39469, 51831)
    assert alpagasus.knee(hist) == 4.5
    other = dict(enumerate([14, 12, 261, 344, 94, 381, 897, 4025, 2466, 732, 92]))
    assert (sum(other.values()), alpagasus.kept_at(other, 7), alpagasus.knee(other)) == (9318, 7315, 8)
    assert alpagasus.knee({1: 0, 2: 9}) is None is alpagasus.knee({1: 0, 2: 0}), "full marks for all separate nothing"


def test_size_of_the_random_control(data):
    assert len(json.loads((data / "qa/alpagasus_random_9k.json").read_text())) == 9229


def test_recorded_reviews_give_the_published_verdicts(data):
    golden = json.loads((data / "qa/GOLDEN.json").read_text())
    found = alpagasus.recorded(data / "qa")
    assert found
    for name, (prefs, published) in found.items():
        t = alpagasus.tally(prefs)
        assert t["unrated"] == 0, "every first line is read"
        assert [t["win"], t["tie"], t["lose"]] == [int(published[k]) for k in ("win", "draw", "lose")]
        assert [t["win"], t["tie"], t["lose"]] == golden["judge_pairs_win_draw_lose"][name]
        assert f"{t['flips']}/{len(prefs)}" == golden["judge_pairs_items_whose_verdict_flips_with_order"][name]


def test_verdict_of_both_orders():
    verdict = lambda a, b: alpagasus.Preference(a, b).verdict
    assert verdict((9, 7), (7, 9)) == verdict((9, 7), (8, 8)) == verdict((8, 8), (7, 9)) == "win"
    assert verdict((9, 7), (9, 7)) == verdict((8, 8), (8, 8)) == "tie" and alpagasus.Preference((9, 7), (9, 7)).flips
    assert verdict((7, 9), (9, 7)) == verdict((8, 8), (9, 7)) == "lose"
    assert verdict((9, 7), None) == "unrated" and not alpagasus.Preference((9, 7), None).flips
    read = [alpagasus.read_two(t) for t in ("8 6\nok", "8, 6", "8/10 6/10", "**8 6**", "8.5 7", "8", "11 2", "8 6 because", "")]
    assert read == [(8, 6)] * 4 + [(8.5, 7)] + [None] * 4
    assert alpagasus.winning_score(dict(win=94, tie=71, lose=15)) == pytest.approx(1.4389, abs=1e-4)


@given(st.lists(st.sampled_from([x / 2 for x in range(11)]), min_size=1, max_size=40))
@few
def test_a_higher_threshold_keeps_a_subset(values):
    pairs, hist = rated(values), alpagasus.histogram(values)
    kept = [{p.id for p in pairs if p.rating >= t} for t in hist]
    assert all(b <= a for a, b in pairwise(kept)) and [len(k) for k in kept] == [alpagasus.kept_at(hist, t) for t in hist]
    best = alpagasus.top_share(pairs, 0.5, lambda p: "all")
    assert len(best.kept) == round(len(pairs) / 2)
    assert min((p.rating for p in best.kept), default=5) >= max((d.record.rating for d in best.dropped), default=0)


# Instruction Backtranslation and Back-and-Forth Translation


def passage(text, section="Chunking", **kw):
    return Chunk(text=text, sources=(Source(path="a.md", end=len(text), section=(section,) if section else ()),), **kw)


def test_what_can_be_an_answer():
    prose = " ".join(f"Sentence number {i} says something else about chunk {i * 7}." for i in range(20))
    unfit = lambda *a, **kw: backtranslation.unfit(passage(*a, **kw))
    assert (unfit("x" * 599), unfit("x" * 600), unfit("x" * 3000), unfit("x" * 3001)) == ("too_short", "", "", "too_long")
    assert unfit(prose) == "" and unfit(prose + " A chunk is a unit of storage here." * 2) == "repeats_itself"
    assert (unfit(prose, ""), unfit(prose, "BUY NOW"), unfit(prose, "HDF5")) == ("no_header", "shouted_header", "")
    assert [unfit(prose, h) for h in ("Advertisement", "Quick links", "Our newsletter", "Forums")] == ["menu_header"] * 4
    assert unfit("x = 1\n" * 200, kind="code") == "code"


def test_chunks_are_the_answers_and_every_iteration_grades_all_of_them():
    text = "A chunk is the unit in which HDF5 reads and writes a dataset. It is read as a whole."
    chunks = [passage(f"# Chunk {i}\n\n{text} Case {i}.\n", f"Chunk {i}") for i in range(4)] + [
        passage("- [a](b.html)\n- [c](d.html)\n- [e](f.html)\n", "Links")
    ]
    model = open_model()
    seed = Pair(question="What is a group?", answer="A container.")
    pool = asyncio.run(backtranslation.backtranslate(chunks, model, [seed])).kept
    assert [p.answer for p in pool] == [c.text for c in chunks] and {p.origin[0].method for p in pool} == {"backtranslation:1-shot"}
    assert {p.origin[0].faithful for p in pool} == {"approximation"}
    tuned = asyncio.run(backtranslation.backtranslate(chunks[:1], model, tuned=True)).kept[0]
    assert (tuned.origin[0].method, tuned.origin[0].faithful) == ("backtranslation:finetuned", "paper")
    rubric = load_rubric("humpback")
    run = lambda k: asyncio.run(backtranslation.self_curate(pool, [model, model], rubric, k))
    a4, a5 = run(4), run(None)
    assert all(len(o.kept) + len(o.dropped) == len(pool) for o in [*a4, *a5]), "all of A is graded again"
    ids = lambda o: {p.id for p in o.kept}
    assert ids(a5[0]) <= ids(a4[0]) < {p.id for p in pool} and ids(a5[0])
    train = backtranslation.tagged([seed], a5[-1].kept)
    assert [r["messages"][0]["content"] for r in train] == [backtranslation.SEED_TAG] + [backtranslation.CORPUS_TAG] * len(a5[-1].kept)
    with pytest.raises(SynthgenError, match="takes no seed pairs"):
        asyncio.run(backtranslation.backtranslate(chunks, model, [seed], tuned=True))
    texts = {c.id: c.text for c in chunks}
    done = asyncio.run(rewriting.rewrite(a5[-1].kept, model, texts)).kept
    assert all(p.origin[-1].method == "back_and_forth" and p.origin[-1].faithful == "paper" for p in done)
    assert all(p.original_answer == texts[p.chunk_id] and "#" not in p.answer for p in done)


@pytest.mark.parametrize(
    "reply, why", [("<response>\nYes.\n</response>", ""), ("Yes.", "no_response_tags"), ("<response>Yes.", "no_response_tags")]
)
def test_a_response_stands_between_its_tags(reply, why):
    new, error = rewriting.response_of(Answer(value=reply))
    assert (new, error.split(":")[0]) == ("" if why else "Yes.", why)


def test_new_content_is_found_by_kind():
    known = "The `level` goes from 0 to 9 in HDF5. Call h5py.File to open it. Use MPI."
    novel = rewriting.novel_content
    for same in (
        "Set `level` to 9.",
        "1. Open it.\n2. Use MPI in HDF5.",
        "It goes to 9; The level is fine.",
        "```\nThe `level`\n```" if False else "HDF5 is it.",
    ):
        assert not novel(same, known), same
    n = novel("Set `speed` to 11 with set_level() or --fast, as Google Snappy and ZFP do: read_all, CamelCase.", known)
    assert (n.numbers, n.entities) == (("11",), ("Google Snappy", "ZFP"))
    assert set(n.code) == {"speed", "set_level", "--fast", "read_all", "CamelCase"} or set(n.code) >= {
        "speed",
        "--fast",
        "read_all",
        "CamelCase",
    }
    pair = Pair(question="Which level?", answer="From 0 to 9.", chunk_id="c")
    report = rewriting.novel_report([pair, pair.but(answer="From 0 to 12 by Zstandard, as Zstandard says.")], {"c": known})
    assert rewriting.novel_counts(report) == dict(answers=1, numbers=1, code=0, entities=1)
    assert rewriting.novel_report([pair.but(chunk_id="gone", answer="42")], {"c": known}) == []


@given(st.text("abc", max_size=12), st.text("abc", max_size=12))
@few
def test_longest_common_subsequence(a, b):
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
    assert rewriting.lcs(a, b) == table[-1][-1]


# LIMA


def test_published_size_and_filters():
    quotas = {"stem": 200, "other": 200, "wiki": 200, "prompts": 150, "tasks": 50, "authors": 200}
    pool = [Pair(question=f"{s} {i}?", answer="So.", sources=(s,)) for s, n in quotas.items() for i in range(n + 7)]
    out = lima.lima_select(pool, 1000, curation.document, quotas=quotas)
    assert Counter(map(curation.document, out.kept)) == quotas and out.reasons == {"over_quota": 42} and out.note == "quotas filled"
    with pytest.raises(SynthgenError, match="add up to 1000, more than the budget"):
        lima.lima_select(pool, 999, curation.document, quotas=quotas)
    text = ("A chunk is read as a whole. " * 50)[:1200]
    why = lambda a: [d.reason for d in curation.apply_rules([Pair(question="q?", answer=a)], lima.STACK_EXCHANGE).dropped]
    assert (why(text), why(text[:-1]), why((text * 4)[:4096]), why((text * 4)[:4097])) == (
        [],
        ["rule:long_enough"],
        [],
        ["rule:not_too_long"],
    )
    assert why(text + " I think.") == ["rule:no_first_person"] and why(text + " As @bob said.") == ["rule:no_other_answers"]


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 50), max_size=6), st.integers(0, 120), st.sampled_from([1, 2, 3, 50]))
@few
def test_a_budget_is_shared_out_to_the_pair(sizes, budget, flatten):
    got = lima.share_out(sizes, budget, flatten)
    assert sum(got.values()) == min(budget, sum(sizes.values())) and all(0 <= got[s] <= n for s, n in sizes.items())


def test_selection_is_diverse_and_repeatable():
    pairs = [
        Pair(question=f"How is {w} stored, case {i}?", answer="It is.", sources=("a.md",), meta=dict(votes=i))
        for w in ("alpha", "beta", "gamma", "delta")
        for i in range(9)
    ]
    select = lambda **kw: lima.lima_select(pairs, 8, curation.document, rules={}, **kw)
    one = select(seed=1)
    assert one.kept == select(seed=1).kept and len(one.kept) == 8
    capped = select(per_cluster=1)
    assert len(capped.kept) == 6 and capped.note == "quota not filled: a.md 6 of 8" and capped.reasons["cluster_full"]
    votes = select(worth=lambda p: p.meta["votes"])
    assert sum(p.meta["votes"] for p in votes.kept) > sum(p.meta["votes"] for p in one.kept)


def test_agreement_discounts_ties():
    a, b = ["win", "win", "win", "tie", "tie", "lose"], ["win", "tie", "lose", "tie", "lose", "lose"]
    assert lima.tie_discounted(a, b) == (1 + 0.5 + 0 + 1 + 0.5 + 1) / 6
    with pytest.raises(SynthgenError):
        lima.tie_discounted([], [])


# the command line


def test_back_and_forth_from_the_command_line_on_a_server(tmp_path, synthgen, server):
    (tmp_path / "docs").mkdir()
    for i in range(3):
        body = " ".join(
            f"Part {j} of subject {i} keeps {j * 7 + i} blocks together, since every one is read at another time." for j in range(9)
        )
        (tmp_path / f"docs/doc{i}.md").write_text(f"# Subject {i}\n\n{body}\n")
    synthgen("ingest", "docs", "-o", "db", "--chunk-tokens", "64-600")
    run = lambda *args, **kw: synthgen(*args, env=server.env, **kw)
    synthgen("generate", "db", "-o", "pool.jsonl", "--method", "backtranslation")
    run("curate", "pool.jsonl", "-o", "fives.jsonl", "--rubric", "humpback")
    r = run("enrich", "fives.jsonl", "-o", "rich.jsonl")
    assert "not in the source: 0 numbers" in r.stdout
    pool, done = rows(tmp_path / "pool.jsonl"), rows(tmp_path / "rich.jsonl")
    assert len(pool) == len(done) and done[0]["origin"][-1]["method"] == "back_and_forth" and done[0]["scores"][-1]["value"] == 5
    assert json.loads((tmp_path / "rich_novel.json").read_text())["counts"]["answers"] == 0
    synthgen("curate", "pool.jsonl", "-o", "best.jsonl", "--rubric", "alpagasus", "--threshold", "4")
    assert {p["scores"][-1]["scale"][1] for p in rows(tmp_path / "best.jsonl")} == {5} and {
        len(p["scores"]) for p in rows(tmp_path / "best.jsonl")
    } == {2}


def test_a_run_says_that_the_budget_ended_it(tmp_path, synthgen, docs):
    r = synthgen("pipeline", "docs", "-o", "train.jsonl", "--chunk-tokens", "32-1024", "--target-pairs", "500", "--max-calls", "6")
    assert "budget spent" in r.stderr and "of 500" in synthgen("show").stdout and len(rows(tmp_path / "train.jsonl")) < 12
