"""Runs as a comparison needs them, and the measures and controls that are made of them."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthgen_nb.core.records import Chunk, Origin, Pair, Score, Source, drop, save
from synthgen_nb.experiments.arms import COUNTED, effective, money, of_items, of_rows, paid_calls, ratio, read_made, spread

REFERENCE = Path(__file__).resolve().parents[1] / "runs" / "reference-qa"
MARKS, OFTEN = np.arange(11), np.array([1, 0, 1, 1, 2, 3, 8, 20, 30, 20, 14]) / 100
CHUNKS = 40


def score(mark, judge="judge/a", rubric="r@1"):
    return Score(criterion="overall", value=float(mark), scale=(0, 10), judge=judge, rubric=rubric)


def run(folder, seed, keep=7, lower=0.0, judge="judge/a", paid=1.0, cost=0.001, each=3):
    "A run of the QA pipeline, as its records look; chunk 0 gave nothing"
    rng, level = np.random.default_rng(seed), np.random.default_rng(1).normal(0, 0.7, CHUNKS)
    rows = []
    for c in range(1, CHUNKS):
        for i in range(each):
            mark = np.clip(rng.choice(MARKS, p=OFTEN) + level[c] - lower, 0, 10).round()
            origin = [
                Origin(method="m", faithful="heuristic", calls=(f"g{seed}-{c}",)),
                Origin(method="judge", faithful="heuristic", calls=(f"j{seed}-{c}-{i}",)),
            ]
            rows.append(
                Pair(
                    question=f"What does part {c} do with case {i} of kind {int(rng.integers(4))}?",
                    answer="It " + "really " * int(rng.integers(9)) + "works.",
                    chunk_id=f"c{c}",
                    sources=(f"d{c // 8}.md",),
                    scores=(score(mark, judge),),
                    origin=tuple(origin),
                )
            )
    good = [p for p in rows if p.rating >= keep]
    barren = Chunk(id="c0", text="Nothing.", sources=(Source(path="d0.md"),))
    lost = [*(drop(p, "curate", "below_threshold") for p in rows if p.rating < keep), drop(barren, "generate", "nothing_to_ask")]
    for name, some in (("final", good), ("rated", rows), ("dropped", lost)):
        save(some, folder / "records" / f"{name}.jsonl")
    n = dict(generate=CHUNKS, judge=len(rows))
    stages = [
        dict(stage=s, calls=k, paid=round(paid * k), cost=None if cost is None else cost * round(paid * k))
        for s, k in n.items()
    ]
    (folder / "run.json").write_text(json.dumps(dict(name=folder.name, status="done", model="m/x", stages=stages)))
    return folder


def test_the_reference_run_is_read_as_its_own_record_counts_it():
    made, record = read_made("a", REFERENCE, {}), json.loads((REFERENCE / "run.json").read_text())
    funnel = {(f["stage"], f["unit"]): f for f in record["funnel"]}
    assert len(made.rows) == record["export"]["rows"]
    assert len(made.asked) == funnel["ask", "chunks"]["in"]
    assert len(made.pool) == funnel["judge", "pairs"]["in"]
    assert sum(made.calls.values()) == pytest.approx(sum(s["calls"] for s in record["stages"]))


def test_a_chunk_that_gave_nothing_was_asked_and_took_a_call(tmp_path):
    made = read_made("a", run(tmp_path / "a", 0), {})
    assert ("c0", "d0.md") in made.asked and made.calls["c0", "d0.md"] == pytest.approx(1, rel=0.05)
    assert sum(made.asked.values()) == CHUNKS and ratio(COUNTED["yield"], made) == len(made.rows) / CHUNKS


@given(st.integers(0, 100), st.integers(1, 100), st.floats(0, 5))
def test_a_run_costs_what_it_would_alone_whatever_the_store_had(stored, calls, each):
    stored = min(stored, calls)
    paid = dict(model="m", stages=[dict(stage="s", calls=calls, paid=calls, cost=each * calls)])
    cheap = dict(model="m", stages=[dict(stage="s", calls=calls, paid=calls - stored, cost=each * (calls - stored))])
    assert money(cheap, paid_calls([paid, cheap])) == pytest.approx(money(paid, {}), abs=1e-9)


def test_what_nobody_paid_for_has_no_price():
    stage = dict(stage="s", calls=5, paid=0, cost=0.0)
    assert paid_calls([dict(model="m", stages=[stage])]) == {} and money(dict(model="m", stages=[stage]), {}) is None
    assert money({}, {}) is None and money(dict(model="m", stages=[stage | dict(paid=5, cost=None)]), {("m", "s"): 1.0}) is None
    assert money(dict(model="other", stages=[stage]), {("m", "s"): 1.0}) is None


@given(st.floats(0, 1e6), st.dictionaries(st.tuples(st.sampled_from("abc"), st.sampled_from("de")), st.floats(0.01, 1e3), min_size=1))
def test_a_total_is_the_sum_of_its_parts(total, over):
    parts = spread(total, over)
    assert sum(parts.values()) == pytest.approx(total) and parts.keys() == over.keys()
    assert spread(None, over) is None and spread(total, {}) is None


def test_diversity_counts_rows_that_differ_whatever_the_size_of_the_set():
    apart, alike = np.eye(50), np.ones((50, 1))
    assert effective(apart, 20)[0] == pytest.approx(20) and effective(alike, 20)[0] == pytest.approx(1)
    rng = np.random.default_rng(0)
    points = rng.normal(size=(2000, 8))
    points /= np.linalg.norm(points, axis=1)[:, None]
    small, large = effective(points[:400], 100), effective(points, 100)
    assert small[0] == pytest.approx(large[0], rel=0.05) and abs(small[1].sum()) < 1e-6


def test_measures_of_a_reader(tmp_path):
    made = read_made("a", run(tmp_path / "a", 0), {})
    assert ratio(of_rows("words", lambda x: len(x.answer.split())), made) > 1
    assert ratio(of_rows("nothing", lambda x: None), made) is None
    items = of_items("marks", {"a": {"1": 1.0, "2": 0.0}})
    assert ratio(items, made) == 0.5 and ratio(of_items("marks", {"b": {"1": 1.0}}), made) is None
