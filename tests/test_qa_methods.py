"""LIMA, AlpaGasus and curation: published figures, and what must always hold."""

import asyncio
import json
import random
from collections import Counter
from itertools import pairwise

import pytest
from conftest import rows
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgen_nb.core.judge import by_id, judge, load_rubric, mean_scores, read_score, scores_of
from synthgen_nb.core.models import Answer, open_model
from synthgen_nb.core.records import Chunk, Pair, Source, SynthgenError, load
from synthgen_nb.core.settings import Rule, load_settings
from synthgen_nb.core import curate as curation
from synthgen_nb.qa import alpagasus, lima

few = settings(max_examples=25, deadline=None)


def rated(values, rubric="alpagasus"):
    "Pairs with ratings"
    r = load_rubric(rubric)
    reply = lambda v: scores_of(Answer(value=f"{v:g}\nso", text=f"{v:g}\nso"), r)
    return [Pair(question=f"Question {i}?", answer=f"Answer {i}.", scores=reply(v)) for i, v in enumerate(values)]


# reading scores


@pytest.mark.parametrize(
    "text, score",
    [
        ("4.5\nok", 4.5),
        ("Score: 4.5\nok", 4.5),
        ("Score:4.5\nok", 4.5),
        ("score: 4.5\nok", 4.5),
        ("4.5/5\nok", 4.5),
        ("**4.5**", 4.5),
        ("\n5\n", 5),
        ("0\nwrong", 0),
        ("4.3\nok", None),
        ("6\nok", None),
        ("-1", None),
        ("9/10\nok", None),
        ("It is right.\n4.5", None),
        ("4.5 because it is right", None),
        ("", None),
    ],
)
def test_first_line(text, score):
    assert read_score(text, load_rubric("alpagasus").criteria[0], "first_line") == score


@pytest.mark.parametrize(
    "text, score",
    [
        ("Good.\nScore: 5", 5),
        ("Good.\n**Score:** 5", 5),
        ("Good.\n**Score: 5**", 5),
        ("Good.\nScore: 5/5\n\n", 5),
        ("Score: 5 is too much.\nScore: 4", 4),
        ("Good.\nScore: 4.5", None),
        ("Good.\nScore: 91", None),
        ("Good.\nScore: 0", None),
        ("Good.\nScore: -4", None),
        ("Score: 5\nHope this helps", None),
        ("Good.\n5", None),
        ("", None),
    ],
)
def test_last_line(text, score):
    assert read_score(text, load_rubric("humpback").criteria[0], "last_line") == score


def test_what_cannot_be_read_is_unrated_and_kept_apart():
    r = load_rubric("humpback")
    (bad,) = scores_of(Answer(value="Great!", text="Great!"), r)
    assert (bad.status, bad.value, bad.raw) == ("unrated", None, "Great!") and bad.rationale.startswith("unreadable_score")
    five, four = (scores_of(Answer(value=f"So.\nScore: {n}", text=""), r) for n in (5, 4))
    mean = mean_scores([five, (bad,), four])
    assert mean[-1].value == 4.5 and "mean of 5, 4 (1 unreadable)" in mean[0].rationale
    assert mean_scores([(bad,), (bad,)]) == (bad,)
    with pytest.raises(SynthgenError, match="temperature 0 are the same draw"):
        asyncio.run(alldraws())


async def alldraws():
    return [v async for v in judge(rated([3]), open_model(), load_rubric("humpback"), {}, draws=3)]


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


# judging several pairs in one call


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=12), st.integers(1, 6))
@few
def test_batch_ratings_go_to_nobody_else(said, n):
    "Dropped, reordered, repeated, invented: an id gets a rating only if all that was said of it is the same"
    ids = [f"id{i}" for i in range(n)]
    found = by_id({"ratings": [dict(id=f"id{i}", score=s) for i, s in said]}, set(ids))
    for i in range(n):
        mine = {s for j, s in said if j == i}
        assert (found.get(f"id{i}") == dict(id=f"id{i}", score=mine.pop())) if len(mine) == 1 else f"id{i}" not in found


@pytest.mark.parametrize("seed", range(4))
def test_a_judge_that_drops_reorders_and_repeats_never_misassigns(seed):
    rng, rubric = random.Random(seed), load_rubric("workbench")
    pairs = [Pair(question=f"What is thing {i}?", answer=f"Thing {i}.") for i in range(11)]
    mark = {p.question: i % 4 for i, p in enumerate(pairs)}
    row = lambda q: {c.name: dict(rationale=q, score=min(mark[q], c.high)) for c in rubric.criteria}
    alone = []

    class Judge:  # a model whose replies are spoilt in every way a batch can be spoilt
        name, temperature = "mock/judge", 0.0

        async def map(self, asks, total=None):
            for a in asks:
                if a.task == "rate":
                    alone.append(a.inputs["question"])
                    value = row(a.inputs["question"])
                else:
                    out = [dict(id=x["id"]) | row(x["question"]) for x in a.inputs["batch"]]
                    rng.shuffle(out)
                    out = out[rng.randrange(2) :] + out[: rng.randrange(2)] + [dict(out[0], id="stray")]
                    out.append(dict(out[0], clarity=dict(rationale="?", score=0)))  # says two things of one id, perhaps
                    value = dict(ratings=out)
                yield Answer(value=value, text="", calls=("c",), model=self.name)

    async def run():
        return [v async for v in judge(pairs, Judge(), rubric, {}, batch_size=4)]

    for p, v in zip(pairs, asyncio.run(run()), strict=True):
        assert {s.rationale for s in v.scores[:-1]} == {p.question} and v.scores[0].value == min(mark[p.question], 3)
    assert alone, "who was left out is asked about alone"


# curation


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
    run = lambda ps: asyncio.run(curation.curate(ps, open_model(), load_rubric("workbench"), {"c": text}, 0, "HDF5", batch_size=batch))
    once = run(pairs)
    assert run(once.kept).kept == once.kept
    assert [(p.id, p.question, p.answer, p.meta) for p in once.kept] == [(p.id, p.question, p.answer, p.meta) for p in pairs]
    assert [curation.pair_format(p) for p in once.kept] == ["cot" if k == "cot" else "qa" for k in kinds]
    assert all(sum(s.criterion == "topic_relevant" for s in p.scores) == 1 for p in once.kept)


def test_rules_are_applied_by_name():
    rules = dict(
        logs=Rule(field="source", drop=r"_log\.md$"), short=Rule(field="answer", min_chars=5), how=Rule(field="question", keep="^How")
    )
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
    "The rule of an earlier program, on its own pairs: it keeps next to none of its subject"
    pairs = load(data / "prototype/qa/jarvis_qa_text_chunks.jsonl", Pair, [])
    out = curation.apply_rules(pairs, dict(ci=Rule(field="question", drop=r"(?i)\bpipeline\b")))
    share = {r["stratum"]: r["share"] for r in curation.retention(out.kept, out.dropped, curation.mentions("pipeline"))}
    assert share["(none of them)"] == 1 and share["pipeline"] < 0.5


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
    assert (
        "rates one pair in a call"
        in synthgen("curate", "in.jsonl", "-o", "x.jsonl", "--batch-size", "3", "--rubric", "alpagasus", ok=False).stderr
    )


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


def test_a_run_says_that_the_budget_ended_it(tmp_path, synthgen, docs):
    r = synthgen("pipeline", "docs", "-o", "train.jsonl", "--chunk-tokens", "32-1024", "--target-pairs", "500", "--max-calls", "6")
    assert "budget spent" in r.stderr and "of 500" in synthgen("show").stdout and len(rows(tmp_path / "train.jsonl")) < 12
