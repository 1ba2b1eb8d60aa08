"Semantic duplicates, and the three kinds as one step"

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgen_nb.core.records import Pair, Score, SynthgenError
from synthgen_nb.core.shelf import Shelf, on_disk
from synthgen_nb.select import diversity
from synthgen_nb.select.diversity import repr_filter, sketch
from synthgen_nb.select.semantic import KINDS, deduplicate, semantic, semdedup, spherical


def unit(n: int, d: int, seed: int, like: float = 0.2) -> np.ndarray:
    r = np.random.default_rng(seed)
    v = r.normal(size=(max(1, n // 4), d))[r.integers(0, max(1, n // 4), n)] + like * r.normal(size=(n, d))
    return v / np.linalg.norm(v, axis=1, keepdims=True)


def pair(question, answer="A container.", rating=None):
    scores = (Score(criterion="overall", value=rating, scale=(0, 10)),) if rating is not None else ()
    return Pair(question=question, answer=answer, scores=scores)


ASKED = [
    "How do I open a file?",
    "how do i open a file",
    "How can one open the file?",
    "How do I open a file that is a file?",
    "How do I close a file?",
    "What is a group?",
    "What is `a_group`?",
]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(ASKED), st.sampled_from(["x", "Yes.", "No."]), st.none() | st.integers(0, 9)), max_size=9), st.sampled_from(KINDS))
def test_nothing_is_lost_and_kinds_are_nested(rows, kind):
    pairs = [pair(*r) for r in rows]
    out = deduplicate(pairs, kind)
    assert len(out.kept) + len(out.dropped) == len(pairs) and all(p in pairs for p in out.kept)
    assert {d.kind for d in out.dropped} <= {"duplicate_of", "conflicts_with", "near_duplicate_of", "semantic_duplicate_of"}
    kept = [{id(p) for p in deduplicate(pairs, k).kept} for k in KINDS]
    assert kept[0] >= kept[1] >= kept[2], "each kind includes those before it"
    shelved = deduplicate(Shelf(pairs), kind, out=on_disk())
    assert list(shelved.kept) == out.kept and [d.reason for d in shelved.dropped] == [d.reason for d in out.dropped]


def test_facts_keep_rows_apart_that_an_embedding_does_not():
    rows = [
        pair("Which version of the library came before 2.0 of h5py?"),
        pair("Which version of the library came before 3.0 of h5py?"),
        pair("Which of the library version came before 2.0 of h5py?"),
    ]
    assert set(semantic(rows, 0.3)) == {2} and set(semantic(rows, 0.3, large=0)) <= {0, 2}


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 150), st.integers(0, 10**6), st.lists(st.floats(0, 0.9), min_size=2, max_size=4))
def test_removals_are_nested(n, seed, epsilons):
    v = unit(n, 8, seed).astype(np.float32)
    gone = [semdedup(v, e) for e in sorted(epsilons)]
    assert all(a.keys() <= b.keys() for a, b in pairwise(gone))
    labels, centres = spherical(v, max(1, round(n**0.5)))
    hard = (v * centres[labels]).sum(1)
    for i, (j, how) in gone[-1].items():
        assert labels[i] == labels[j] and hard[j] <= hard[i] and how == pytest.approx(v[i] @ v[j], abs=1e-5) and how > 1 - max(epsilons)
    assert semdedup(v, 0.2, np.arange(n)).keys() == semdedup(v, 0.2, np.arange(n)).keys(), "the same again"


def test_of_two_copies_the_better_stays():
    v = unit(60, 16, 1, like=1.0).astype(np.float32)
    v[7] = v[3]
    assert semdedup(v, 0.001, np.arange(60.0)).keys() == {3} and semdedup(v, 0.001, -np.arange(60.0)).keys() == {7}


def test_pruning_is_exact(monkeypatch):
    r = np.random.default_rng(0)
    v = (r.normal(size=(800, 64))[r.integers(0, 800, 5000)] + 0.1 * r.normal(size=(5000, 64))) / np.sqrt(1 + np.arange(64))
    v = (v / np.linalg.norm(v, axis=1, keepdims=True)).astype(np.float32)
    s = r.normal(size=5000)
    bounds = sketch(v, 0.9)
    assert bounds is not None and (bounds[:200] @ bounds.T >= v[:200] @ v.T - 1e-5).all()
    pruned = repr_filter(v, s, 0.9)
    monkeypatch.setattr(diversity, "sketch", lambda *a: None)
    full = repr_filter(v, s, 0.9)
    assert pruned.kept == full.kept and pruned.near.keys() == full.near.keys()
    kept = repr_filter(v, s, 0.9, same=lambda a, b: a % 2 == b % 2)
    assert all(i % 2 == j % 2 for i, (j, _) in kept.near.items()) and len(kept.kept) > len(full.kept)


def test_the_command(synthgen, tmp_path):
    rows = [dict(question=q, answer="With open().") for q in ASKED[:5]] + [dict(question=ASKED[0], answer="Never.")]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    left = {}
    for kind in ("exact", ""):
        synthgen("dedup", tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl", *(["--kind", kind] if kind else []))
        left[kind] = len((tmp_path / "out.jsonl").read_text().splitlines())
    assert left[""] < left["exact"] == 4, "near is the default"
    reasons = "".join(f.read_text() for f in tmp_path.glob("out*") if f.name != "out.jsonl")
    assert "near_duplicate_of" in reasons and "conflicts_with" in reasons


def test_what_cannot_be_asked_for():
    for wrong in (dict(kind="nere"), dict(kind="exact", tau=0.5), dict(kind="near", tau=2), dict(kind="semantic", tau=0)):
        with pytest.raises(SynthgenError):
            deduplicate([pair("a"), pair("b")], **wrong)
    with pytest.raises(SynthgenError, match="epsilon"):
        semdedup(np.eye(2), 1)
