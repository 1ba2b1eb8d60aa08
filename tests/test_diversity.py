"Best first and nothing too near: the selection filter, its threshold, and the effective number of different rows"

import json

import numpy as np
import pytest
from conftest import static_vectors
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgen_nb.core.records import SynthgenError
from synthgen_nb.select.diversity import calibrate_tau, nearest_better, repr_filter, vendi


def unit(n: int, d: int, seed: int, like: float = 0.2) -> np.ndarray:
    r = np.random.default_rng(seed)
    v = r.normal(size=(max(1, n // 4), d))[r.integers(0, max(1, n // 4), n)] + like * r.normal(size=(n, d))
    return v / np.linalg.norm(v, axis=1, keepdims=True)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 80), st.integers(0, 10**6), st.floats(0, 1), st.integers(1, 90), st.integers(1, 90))
def test_selection_invariants(n, seed, tau, budget, block):
    v, s = unit(n, 8, seed), np.random.default_rng(seed).permutation(n).astype(float)
    got = repr_filter(v, s, tau, budget, block)
    x = v[got.kept]
    assert ((x @ x.T)[~np.eye(len(x), dtype=bool)] <= tau + 1e-9).all(), "no two chosen rows are alike"
    assert (np.diff(s[got.kept]) < 0).all() and got.kept[0] == s.argmax() and len(got.kept) <= budget
    assert sorted([*got.kept, *got.near, *got.rest]) == list(range(n)), "every row is accounted for"
    for i, (j, how) in got.near.items():
        assert j in got.kept and s[j] > s[i] and how > tau and how == pytest.approx(v[i] @ v[j], abs=1e-6)
    order = np.random.default_rng(seed + 1).permutation(n)
    assert [int(order[i]) for i in repr_filter(v[order], s[order], tau, budget).kept] == got.kept, "the order of the input does not matter"
    top = repr_filter(v, s, 1.1, budget)
    assert top.kept == np.argsort(-s)[:budget].tolist(), "without a threshold it is the top"


def test_of_two_copies_one_survives():
    v = unit(20, 16, 1, like=1.0)
    v[7] = v[3]
    got = repr_filter(v, np.arange(20.0), 0.999)
    assert 7 in got.kept and 3 not in got.kept and got.near[3][0] == 7


def test_tau_is_calibrated_by_share():
    v, s = unit(500, 16, 2), np.random.default_rng(0).normal(size=500)
    order = np.argsort(-s)
    literal = [max(v[order[:i]] @ v[order[i]]) for i in range(1, 500)]
    assert nearest_better(v, s, 64) == pytest.approx(literal)
    taus = [calibrate_tau(v, s, share) for share in (0.01, 0.05, 0.2, 0.5)]
    assert taus == sorted(taus, reverse=True)
    for share, tau in zip((0.01, 0.05, 0.2, 0.5), taus, strict=True):
        assert len(repr_filter(v, s, tau).near) <= share * 500
    assert calibrate_tau(v[:5], s[:5], 0.05) == 0.999, "five rows say nothing about one in twenty"
    with pytest.raises(SynthgenError, match="a share of the rows is between 0 and 1"):
        calibrate_tau(v, s, 5)


def test_vendi():
    assert vendi(np.tile(np.eye(5)[0], (5, 1))) == pytest.approx(1) and vendi(np.eye(5)) == pytest.approx(5)
    v = unit(300, 16, 3)
    assert 1 <= vendi(v) <= 16 and vendi(v[:10]) <= 10
    w = np.linalg.eigvalsh(v @ v.T / 300)
    assert vendi(v) == pytest.approx(np.exp(-sum(x * np.log(x) for x in w if x > 1e-12)), rel=1e-6), "the short way is the long way"


def test_selection_from_alpaca_is_what_was_measured(data):
    pytest.importorskip("tokenizers")
    pool = json.loads((data / "qa/alpagasus_random_9k.json").read_text())
    x = static_vectors(
        ["\n".join(filter(None, (r["instruction"], r["input"], r["output"]))) for r in pool], data / "qa/static_embedding_128d"
    )
    length = np.array([len(r["output"]) for r in pool])
    for tau, scanned, score in ((0.95, 1001, 37.98), (0.9, 1029, 38.70), (0.8, 1271, 43.25), (0.7, 2014, 51.29), (0.6, 3975, 64.02)):
        got = repr_filter(x, length, tau, 1000)
        assert got.scanned == scanned and vendi(x[got.kept]) == pytest.approx(score, abs=0.01)
    far = 0
    for a in range(0, len(x), 2048):  # the widespread reading: distance to the nearest of the whole pool at least 0.9
        like = x[a : a + 2048] @ x.T
        like[np.arange(len(like)), np.arange(a, a + len(like))] = -1
        far += int((1 - like.max(1) >= 0.9).sum())
    assert far == 0, "it keeps nothing at all"
