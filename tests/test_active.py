"Which chunks next: what the acquisition functions choose, that it pays, and a run that uses them"

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgen_nb.core.records import Chunk, Outcome, Pair, SynthgenError, drop
from synthgen_nb.select.active import ACQUISITIONS, Known, acquire, asked_in_turn, grouped, order_of, outcomes_of

RATES = (0.1, 0.9, 0.3, 0.05, 0.6, 0.2)


def corpus(n: int, rates=RATES, seed: int = 0, d: int = 16) -> Known:
    r = np.random.default_rng(seed)
    groups = np.sort(r.integers(0, len(rates), n))
    x = r.normal(size=(len(rates), d))[groups] + 0.4 * r.normal(size=(n, d))
    return Known((x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), groups)


@pytest.mark.parametrize("name", ACQUISITIONS)
@settings(max_examples=12, deadline=None)
@given(st.integers(1, 40), st.integers(0, 40), st.integers(0, 50), st.integers(0, 99))
def test_a_choice_is_of_chunks_that_were_not_tried(name, n, tried, k, seed):
    known = corpus(n, seed=seed)
    known.tried = {i: (2, i % 3) for i in range(min(tried, n))}
    got = acquire(name, known, k, seed)
    assert len(got) == len(set(got)) == min(k, n - len(known.tried)) and not set(got) & set(known.tried)
    assert got == acquire(name, known, k, seed), "deterministic by its seed"


def accepted(name: str, seed: int, rates=RATES, calls: int = 80) -> int:
    true, r = corpus(400, rates, seed), np.random.default_rng(seed)
    luck = r.random((400, 2))
    ask = lambda i: (2, int((luck[i] < rates[true.groups[i]]).sum()))
    got = asked_in_turn(name, grouped(true.vectors, seed), ask, calls, 10, seed)
    assert len(got) == calls and got == sorted(got)
    return got[-1]


def test_expected_yield_beats_chance_in_every_seed():
    for seed in range(3):
        chance, gained = accepted("random", seed), accepted("expected_yield", seed)
        assert gained > 1.3 * chance, (seed, gained, chance)
    assert sum(accepted("hybrid", s) for s in range(3)) > sum(accepted("random", s) for s in range(3))


def test_where_all_groups_are_alike_nothing_is_gained():
    same = [accepted("expected_yield", s, (0.5,) * 6) / accepted("random", s, (0.5,) * 6) for s in range(3)]
    assert 0.8 < np.mean(same) < 1.2


def test_coverage_visits_every_group_and_uncertainty_the_unknown_ones():
    known = corpus(120)
    assert len({known.groups[i] for i in acquire("coverage", known, 6)}) >= 5
    known.tried = {int(np.flatnonzero(known.groups == g)[0]): (40, 20) for g in range(3)}
    assert {int(known.groups[i]) for i in acquire("uncertainty", known, 3)} <= {3, 4, 5}
    known.tried = {int(np.flatnonzero(known.groups == g)[0]): (2, 1) for g in range(6)}
    known.spread = {i: 3.0 if known.groups[i] == 4 else 0.1 for i in known.tried}
    assert {int(known.groups[i]) for i in acquire("uncertainty", known, 2)} == {4}, "where a judge's draws spread"


def test_posterior_is_counted_by_group():
    known = Known(np.eye(4, dtype=np.float32), np.array([0, 0, 1, 2]), {0: (3, 2), 1: (3, 3), 2: (2, 0)})
    assert known.counts().tolist() == [[6, 2], [1, 3], [1, 1]]
    with pytest.raises(SynthgenError, match="did you mean 'hybrid'"):
        acquire("hybird", known, 1)


def test_what_came_of_each_chunk():
    chunks = [Chunk(text=f"text {i}") for i in range(5)]
    pair = lambda i, q: Pair(question=q, answer="Yes.", chunk_id=chunks[i].id)
    kept = [pair(0, "Why?"), pair(0, "How?"), pair(0, "When?"), pair(1, "Who?")]
    made = Outcome(kept, [drop(chunks[2], "generate", "unsuitable"), drop(pair(3, "Where?"), "generate", "beyond_target")])
    assert outcomes_of(chunks, made, kept[1:3], 2) == {0: (3, 2), 1: (2, 0), 2: (2, 0), 3: (2, 0)}
    known = Known(np.eye(5, dtype=np.float32), np.zeros(5, int), {3: (2, 1), 1: (2, 0)})
    order = order_of("random", known, [1, 0, 3, 2, 4], 1)
    assert order[:2] == [1, 3] and sorted(order) == [0, 1, 2, 3, 4], "what was tried stays in front"


@pytest.mark.parametrize("n", [1, 2, 3, 4, 50])
def test_groups_of_a_few_chunks(n):
    got = grouped(corpus(n).vectors).groups
    assert len(got) == n and sorted(set(got.tolist())) == list(range(got.max() + 1))


def test_a_run_chooses_its_chunks(synthgen):
    topics = ["cache", "filter", "group", "link", "header", "driver", "page", "queue", "lock", "heap"]
    for t in topics:
        body = f"# The {t}\n\nThe {t} is a part of the format that holds {len(t)} entries. If the {t} is larger than 64 KiB, it is written to disk.\n"
        (synthgen.folder / f"{t}.md").write_text(body)
    run = lambda *more, ok=True: synthgen("pipeline", *[f"{t}.md" for t in topics], "-o", "train.jsonl", *more, ok=ok)
    said = run("--target-pairs", 6, "--n-pairs", 1, "--acquire", "expected_yield").stdout
    assert "training file: train.jsonl (6 rows" in said and "chunks chosen: by expected_yield, in" in said
    record = json.loads(next((synthgen.folder / "runs").glob("*/run.json")).read_text())
    rounds = record["acquired"]["rounds"]
    assert len(rounds) > 1 and [r["calls"] for r in rounds] == sorted(r["calls"] for r in rounds)
    assert rounds[-1]["calls"] <= 10, "what a chunk was asked in an earlier round is not asked again"
    assert rounds[-1]["accepted"] >= 6 and Counter(len(r) for r in rounds).total() == len(rounds)


def test_an_unknown_name_is_an_error_before_any_work(synthgen):
    (synthgen.folder / "a.md").write_text("# A\n\nA chunk is the unit of reading and writing.\n")
    assert "did you mean 'coverage'" in synthgen("pipeline", "a.md", "-o", "t.jsonl", "--target-pairs", 1, "--acquire", "coverag", ok=False).stderr
