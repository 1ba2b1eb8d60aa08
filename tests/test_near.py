"Near duplicates: found by hashing, verified by counting, dropped where they ask the same"

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgen_nb.core.records import Pair, Score, SynthgenError
from synthgen_nb.select.near import bands, jaccard, near, near_pairs, near_rows, of_characters, of_words, templates

WORDS = "open close read write file group dataset chunk filter index".split()
texts = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=9).map(" ".join), min_size=1, max_size=40, unique=True)


def pair(question, answer="A container.", rating=None):
    scores = (Score(criterion="overall", value=rating, scale=(0, 10)),) if rating is not None else ()
    return Pair(question=question, answer=answer, scores=scores)


def literal(a, b, n=3):
    x, y = ({f" {t} ".ljust(n)[i : i + n] for i in range(max(n, len(t) + 2) - n + 1)} for t in (a, b))
    return len(x & y) / len(x | y)


@settings(max_examples=40, deadline=None)
@given(texts)
def test_the_similarity_is_exact(some):
    a, b = np.triu_indices(len(some), 1)
    assert jaccard(of_characters(some), a, b) == pytest.approx([literal(some[i], some[j]) for i, j in zip(a, b, strict=True)])


def test_in_parts_as_on_a_cluster(monkeypatch):
    "The same pairs, whatever is a part"
    some = [f"how is the {w} of a {v} {u}" for w in WORDS[4:] for v in WORDS[5:] for u in ("set", "set to 1", "found")]
    whole = near_pairs(some, 0.6)
    monkeypatch.setattr("synthgen_nb.select.near.ROWS", 7)
    assert near_pairs(some, 0.6) == whole and len(whole) > 20


@settings(max_examples=40, deadline=None)
@given(texts, st.randoms(use_true_random=False))
def test_pairs_are_nested_and_do_not_depend_on_the_order(some, r):
    low, high = near_pairs(some, 0.5), near_pairs(some, 0.8)
    assert high.keys() <= low.keys() and all(literal(some[a], some[b]) == pytest.approx(j) for (a, b), j in low.items())
    order = r.sample(range(len(some)), len(some))
    again = near_pairs([some[i] for i in order], 0.5)
    assert {frozenset((order[a], order[b])) for a, b in again} == {frozenset(ab) for ab in low}


def test_nearly_all_pairs_are_found():
    r = np.random.default_rng(0)
    some = list(dict.fromkeys(" ".join(r.choice(WORDS, 8)) for _ in range(300)))
    a, b = np.triu_indices(len(some), 1)
    like = jaccard(of_characters(some), a, b)
    true = {(int(i), int(j)) for i, j, how in zip(a, b, like, strict=True) if how >= 0.7}
    assert len(true) > 20 and len(near_pairs(some, 0.7).keys() & true) >= 0.97 * len(true)


def test_a_crowd_costs_no_square():
    some = [f"what is the default value of the parameter number {i} of the function" for i in range(3000)]
    assert len(near_pairs(some, 0.7)) < 3000 * 200


def test_how_signatures_are_cut():
    assert [bands(k, t, 0.5) for k, t in ((128, 0.7), (128, 0.8), (128, 0.9), (240, 0.7), (256, 0.7))] == [(14, 9), (9, 13), (5, 25), (24, 10), (25, 10)]


def test_words_of_long_texts_and_texts_at_the_boundary():
    long = " ".join(WORDS * 8)
    assert len(long) > 400 and near_pairs([long, long[:-6]]) and not near_pairs([long, long[::-1]])
    edge = " ".join(WORDS * 9)[:400]
    assert near_pairs([edge[:-1], edge]), "one is compared by characters, the other by words as well"
    assert of_words(["a b c d"])[2].tolist() == [2]


def test_a_shared_preamble_is_set_aside():
    preamble = "You can call these tools: search(query) looks a thing up, and add(a, b) gives the sum of two numbers. Now: "
    rows = [f"{preamble}what is the {a} of {b}?" for a in ("height", "age", "name", "weight") for b in ("a tree", "the queen", "paris", "gold", "rice", "him")]
    assert min(templates(rows)) > 90 and templates(rows[:5]) == [0] * 5
    assert not near_rows(rows, [0] * len(rows))
    assert near_rows([*rows, rows[3].replace("?", ", please?")], [0] * 25) == {24: (3, 1.0)}


ASKED = [
    "How do I open a file?",
    "How can one open the file, please?",
    "HOW DO I OPEN A FILE!",
    "How do I close a file?",
    "How do I open 2 files?",
    "How do I open 3 files?",
]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(ASKED), st.integers(0, 10)), min_size=1, max_size=8, unique_by=(lambda x: x[0], lambda x: x[1])),
    st.randoms(use_true_random=False),
)
def test_exactly_one_survives_whatever_the_order(rows, r):
    def stays(some):
        pairs = [pair(q, rating=v) for q, v in some]
        gone = near(pairs)
        assert all(pairs[i].rating < next(p.rating for p in pairs if p.id in why) for i, (why, _) in gone.items())
        return {some[i] for i in range(len(some)) if i not in gone}

    kept = stays(rows)
    assert kept == stays(r.sample(rows, len(rows)))
    groups = {q: next((g for g in (ASKED[:3],) if q in g), [q])[0] for q, _ in rows}
    assert len(kept) == len(set(groups.values())) == len({groups[q] for q, _ in kept})


def test_partner_score_and_conflict_are_named():
    rows = [
        pair("How do I open the file?", "With open().", 2),
        pair("How do I open a file?", "With open().", 8),
        pair("Please, how do I open a file?", "Not with open().", 5),
    ]
    gone = near(rows)
    assert gone[0][0] == f"near_duplicate_of:{rows[1].id} (1.00)" and gone[2][0] == f"conflicts_with:{rows[1].id} (1.00)"
    slips = [
        pair(q)
        for q in ["What does compression do?"] * 3
        + ["What is fast compression?", "Why use compression?", "What does compresion do to a file?", "What does compression do to a file?"]
    ]
    assert re.fullmatch(r"near_duplicate_of:\w+ \(0\.\d\d\)", near(slips[3:] + slips[:1])[3][0]), "the first stays"
    assert "How do I open a file?" in gone[0][1] and "not" in gone[2][1]
    with pytest.raises(SynthgenError, match="more than 0"):
        near_pairs(["a", "b"], 0)


def test_instructions_that_were_filtered_when_they_were_made_have_none(data):
    rows = json.loads((data / "qa" / "alpagasus_random_9k.json").read_text())
    assert not near_pairs([" ".join(re.findall(r"\w+", r["instruction"].lower())) for r in rows], 0.7, long=0)
