"""Instruction Backtranslation, Back-and-Forth Translation and curation: published figures, and what must always hold."""

import asyncio
import json
import random

import pytest
from conftest import rows
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgen_nb.core.judge import by_id, judge, load_rubric, mean_scores, read_score, scores_of
from synthgen_nb.core.models import Answer, open_model
from synthgen_nb.core.records import Chunk, Pair, Source, SynthgenError, load
from synthgen_nb.core.settings import Rule, load_settings
from synthgen_nb.core import curate as curation
from synthgen_nb.qa import backtranslation, rewriting

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
