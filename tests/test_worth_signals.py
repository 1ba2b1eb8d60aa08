"""What is known of a row before training, what it foretells, and where a student is wrong and sure."""
import asyncio, json, math
from importlib.util import find_spec
from random import Random
import numpy as np
import pytest
from synthgen_nb.core.calls import Calls
from synthgen_nb.core.models import open_model
from synthgen_nb.core.records import Chunk, Pair, Score, SynthgenError, save
from synthgen_nb.evaluate.failing import Try, by_chunk, calibrated, wrong_and_sure
from synthgen_nb.evaluate.foretold import KINDS, Named, bar_of, beyond, by_aim, by_signal, correlations, distinct, spearman, spoilt, tally
from synthgen_nb.evaluate.less import Point, influence, select_less, sketched
from synthgen_nb.evaluate.signals import Signal, by_scorer, highest, of_losses, overview, signals, with_signals
from synthgen_nb.select.active import Known, acquire
from synthgen_nb.select.worth import asked

needs_extra = pytest.mark.skipif(not (find_spec("trl") and find_spec("peft")), reason="the extra `train` is not installed")
TEXT = "The chunk cache is described in chapter nine. It has 1 MiB for each open dataset, and so on."
ROWS = [Pair(question="What does the chunk cache have?", answer="1 MiB for each open dataset, and so on.", chunk_id="c"),
        Pair(question="Is the chunk cache described?", answer="Is the chunk cache described.", chunk_id="c"),
        Pair(question="What else?", answer="perhaps lunch exists somewhere.", chunk_id="away")]


def run(*a, **k): return asyncio.run(signals(*a, **k))


# Signals

def test_losses_by_hand_and_what_they_cost():
    model = open_model(provider="offline")
    loss, ifd, gap = asyncio.run(of_losses(ROWS, by_scorer(model), texts={"c": TEXT}, by=model.name))
    mean = lambda before: -np.mean(asyncio.run(model.score(before + ROWS[0].answer, len(before))).value)
    q, alone, e = mean(asked(ROWS[0].question)), mean("\n"), mean(asked(ROWS[0].question, TEXT))
    assert loss.values[ROWS[0].id] == pytest.approx(q) and ifd.values[ROWS[0].id] == pytest.approx(q / alone)
    assert gap.values[ROWS[0].id] == pytest.approx(q - e) and gap.without == {ROWS[2].id: "no_evidence"}
    assert 0 < loss.tokens < ifd.tokens and gap.tokens > loss.tokens, "two readings cost both"


def test_ratings_come_with_what_they_took(tmp_path):
    rated = Pair(question="Why?", answer="So.", scores=(Score(criterion="overall", value=7, scale=(0, 10), judge="m", call="k"),))
    found = run([rated, *ROWS], model=open_model(provider="offline"), calls=Calls(tmp_path / "calls.db"))
    by = {s.name: s for s in found}
    assert by["rating"].values == {rated.id: 7.0} and by["rating"].tokens == 0 and "deita" not in by
    assert overview(found, 4)[1]["rows"] == "1 of 4"


def test_rows_keep_their_signals_once():
    once = with_signals(ROWS, run(ROWS, {"c": TEXT}, model=open_model(provider="offline")))
    again = with_signals(once, run(once, {"c": TEXT}, model=open_model(provider="offline")))
    assert [p.scores for p in once] == [p.scores for p in again] and once[0].id == ROWS[0].id
    assert {s.criterion for s in once[0].scores} == {"worth_length", "worth_loss", "worth_ifd", "worth_gap"}


def test_a_question_that_does_not_help_is_not_chosen():
    ifd = Signal("ifd", {ROWS[0].id: 0.9, ROWS[1].id: 1.2})
    assert highest(ROWS, ifd, 3) == [ROWS[0]] and highest(ROWS, Signal("gap", ifd.values), 3) == [ROWS[1], ROWS[0]]


def test_command(synthgen):
    said = lambda w, i: f"{w} is what the manual says of it{' and so on' * i}."
    rows = [dict(question=f"What is {w}?", answer=said(w, i)) for i, w in enumerate(("a chunk", "a group", "a filter"))]
    (synthgen.folder / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    said = synthgen("worth", "rows.jsonl", "-o", "out.jsonl").stdout
    assert "3 of 3 rows" in said and "gap: 3 rows no_evidence" in said and "mechanics alone" in said
    kept = [json.loads(x) for x in (synthgen.folder / "out.jsonl").read_text().splitlines()]
    assert [r["question"] for r in kept] == [r["question"] for r in rows] and {"worth_ifd", "worth_loss"} <= {s["criterion"] for s in kept[0]["scores"]}
    for wrong, says in ((["--by", "idf"], "did you mean 'ifd'"), (["--top-k", 1], "give --by too"), (["--target", "rows.jsonl"], "give --base too"),
                        (["--by", "rating"], "`synthgen curate` rates rows")):
        assert says in synthgen("worth", "rows.jsonl", "-o", "out.jsonl", *wrong, ok=False).stderr


# LESS

def test_a_sketch_keeps_inner_products():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 50_000))
    assert abs(sketched(x, 2048) @ sketched(y, 2048) - x @ y) < 5 * np.linalg.norm(x) * np.linalg.norm(y) / math.sqrt(2048)
    assert (sketched(x) == sketched(x)).all()


def test_influence_is_a_cosine_weighed_by_rates():
    one = Point(1, 1.0, dict(candidates=np.array([[1.0, 0], [0, 2]]), target=np.array([[3.0, 0]])))
    two = Point(2, 3.0, dict(candidates=np.array([[1.0, 0], [0, 2]]), target=np.array([[0, 1.0]])))
    assert influence([one, two]) == pytest.approx([0.25, 0.75])


@pytest.mark.parametrize("given, says", [({}, "needs a base"), (dict(base="m"), "needs a target"), (dict(base="m", target="none.jsonl"), "no such file"),
                                         (dict(share=0), "share is 0"), (dict(top_k=0), "top_k is 0")])
def test_less_says_what_it_needs(given, says):
    with pytest.raises(SynthgenError, match=says): asyncio.run(select_less(ROWS, None, **given))


@needs_extra
def test_less_finds_rows_of_the_target(tmp_path):
    from synthgen_nb.evaluate.student import tiny_base
    one = lambda kind, say, i: Pair(question=f"What is the number of {kind} {i}?", answer=say.format(i), sources=(f"{kind}.md",))
    of = lambda kind, say, n, at: [one(kind, say, i) for i in range(at, at + n)]
    valves, stews = of("valve", "It carries the number {} at the works.", 12, 0), of("stew", "Stir number {} slowly in the pot.", 12, 0)
    save(of("valve", "It carries the number {} at the works.", 4, 50), tmp_path / "target.jsonl")
    base = tiny_base([f"{p.question} {p.answer}" for p in [*valves, *stews]], tmp_path / "base")
    out = asyncio.run(select_less([*valves, *stews], None, base, str(tmp_path / "target.jsonl"), top_k=8, steps=4))
    assert sum("valve" in p.question for p in out.kept) >= 7 and len(out.dropped) == 16
    assert out.kept[0].origin[-1].method == "less" and out.kept[0].scores[-1].value >= out.kept[-1].scores[-1].value


# What they foretell

def rows_of(n, doc="abcd"): return [Pair(question=f"What is {i}?", answer=f"It is {i} of many.", sources=(f"{doc[i % len(doc)]}.md",)) for i in range(n)]


def test_rank_correlations_with_intervals():
    rng = np.random.default_rng(0)
    x = rng.normal(size=30)
    assert spearman(x, -x).value == pytest.approx(-1) and math.isnan(spearman([1, 2], [1, 2]).value)
    low = sum(not (r := spearman(rng.normal(size=16), rng.normal(size=16), k, 200)).low <= 0 <= r.high for k in range(40))
    assert low <= 6, "of 40 nothings two should be taken for something"
    groups = {str(k): rows_of(80)[8 * k:8 * k + 8] for k in range(10)}
    few = {p.id: 1.0 for p in rows_of(3)}
    assert correlations(dict(few=few), groups, {g: 0.0 for g in groups})[0]["groups"] == 0, "too few rows of a group have it"


@pytest.mark.parametrize("kind", KINDS)
def test_spoilt_arms_have_the_size_of_the_clean_one(kind):
    rows, away = rows_of(20), [Pair(question="How long?", answer="A day or two.", sources=("x.md",))]
    arm = spoilt(rows, kind, 0.5, 1, away)
    assert len(arm) == 20 and arm == spoilt(rows, kind, 0.5, 1, away)
    changed = 20 - len({p.id for p in arm} & {p.id for p in rows}) if kind != "duplicated" else 20 - len({p.id for p in arm})
    assert changed == 10
    with pytest.raises(SynthgenError, match="another subject"): spoilt(rows, "off_topic", 0.5)


def test_equal_arms_are_seldom_named_and_others_are():
    rng, rows = np.random.default_rng(0), rows_of(200)
    values = {p.id: float(rng.normal()) for p in rows}
    drawn = [Random(k).sample(rows, 80) for k in range(30)]
    assert sum(by_signal(values, d[:40], d[40:], k, 200).arm >= 0 for k, d in enumerate(drawn)) <= 5
    low = {p.id: values[p.id] - 2 * (i % 2) for i, p in enumerate(rows)}
    assert all(by_signal(low, rows[:40:2], rows[1:41:2], k, 200).arm == 0 for k in range(5))
    assert by_signal({}, rows[:9], rows[9:]).arm == -1


def test_a_bar_of_equal_pairs_lets_one_of_twenty_through():
    rng, passed = np.random.default_rng(0), []
    for _ in range(200):
        bar = bar_of(rng.standard_t(4, 40))  # whatever their distribution
        passed.append(np.mean(np.abs(rng.standard_t(4, 500)) > bar))
    assert 0.02 < np.mean(passed) < 0.055
    assert math.isinf(bar_of([1.0] * 18)) and bar_of([1.0, -3.0] * 10) == 3.0
    of = lambda far: Named(0, 1, 0, 1, far)
    assert [beyond(of(x), 2.0) for x in (3.0, -3.0, 1.0, -2.0)] == [0, 1, -1, -1]
    rows = rows_of(60)
    apart = by_signal({p.id: float(i < 30) + 0.01 * i for i, p in enumerate(rows)}, rows[30:], rows[:30])
    assert apart.far < -5 and apart.arm == 1


def test_copies_are_no_evidence():
    ids, n = distinct([*rows_of(3)] * 4)
    assert len(ids) == 3 and n.tolist() == [4, 4, 4]
    rng, rows = np.random.default_rng(0), rows_of(60)
    subject = np.eye(64)[0] * 4
    seen = [Point(1, 1.0, dict(candidates=subject + rng.normal(size=(60, 64)), target=subject + rng.normal(size=(8, 64))))]
    where, documents = {p.id: i for i, p in enumerate(rows)}, [f"{i % 4}" for i in range(8)]
    assert by_aim(seen, where, rows[:24], [*rows[:4]] * 6, documents).arm == 0, "few different rows point less well"
    assert by_aim(seen, where, rows[:24], rows[24:48], documents).arm == -1
    counted = tally([0, -1, 1, -1], [0, 0, 0, -1])
    assert [counted[k] for k in ("pairs", "right", "wrong", "unnamed", "equal", "equal_unnamed")] == [3, 1, 1, 1, 1, 1]


# Steered

def test_wrong_and_sure_is_calibrated():
    tries = [Try(str(i), "c", float(i % 2), 0.99 if i < 20 else 0.5) for i in range(40)]
    assert set(np.round(calibrated(tries), 6)) == {0.5}, "both are right half of the time, whatever they say"
    assert wrong_and_sure(tries)["0"] == pytest.approx(0.5) and wrong_and_sure(tries)["1"] == 0
    assert wrong_and_sure(tries[:2])["0"] == pytest.approx(0.99), "too few to calibrate"
    chunks = [Chunk(text=t) for t in ("one", "two")]
    latest = [Try("a", chunks[1].id, 0, 0.9), Try("a", chunks[1].id, 1, 0.9)]
    assert by_chunk(latest, chunks) == {1: 0.0} and by_chunk([], chunks) == {}


def test_failing_groups_get_more_chunks_and_nothing_known_is_coverage():
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(3, 8)), 20, 0) + 0.1 * rng.normal(size=(60, 8))
    known = Known((x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), np.repeat([0, 1, 2], 20))
    known.tried = {0: (2, 2), 20: (2, 2), 40: (2, 2)}
    assert acquire("student", known, 6) == acquire("coverage", known, 6)
    known.failing = {0: 0.1, 20: 0.1, 40: 0.8}
    got = np.bincount(known.groups[acquire("student", known, 12)], minlength=3)
    assert got[2] > got[0] and got[2] > got[1] and got.min() >= 1


def test_a_pipeline_that_is_steered_needs_a_student(synthgen):
    (synthgen.folder / "a.md").write_text("# Chunks\n\nA chunk is a unit of storage. It is read as a whole.\n")
    said = synthgen("pipeline", "a.md", "-o", "t.jsonl", "--target-pairs", 2, "--acquire", "student", ok=False)
    assert "the model that learns" in said.stderr + said.stdout
