"Agreement of judges: values of the literature, states where nothing can be said, and probes that find what was planted"

import asyncio
import random

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import kendalltau
from sklearn.metrics import cohen_kappa_score

import synthgen_nb.cli.measure  # registers the commands
from synthgen_nb.cli.app import tried
from synthgen_nb.core.judge import load_rubric, pair_inputs
from synthgen_nb.core.models import open_model
from synthgen_nb.core.preference import Preference
from synthgen_nb.core.records import Origin, Pair, Score, SynthgenError, save
from synthgen_nb.evaluate.agreement import (
    LEVELS, agreement, alpha, kappas, of_two, position_probe, ratings_of, retention, self_preference, share, table_of, taus, verbosity_probe,
)  # fmt: skip

FOUR = [
    [None if x == "." else int(x) for x in line.split()]
    for line in ("1 2 3 3 2 1 4 1 2 . . .", "1 2 3 3 2 2 4 1 2 5 . 3", ". 3 3 3 2 3 4 2 2 5 1 .", "1 2 3 3 2 4 4 1 2 5 1 .")
]
spread = lambda table: [p for a, row in enumerate(table) for b, n in enumerate(row) for p in [(a, b)] * n]


@pytest.mark.parametrize("table, kappa", [([[20, 5], [10, 15]], 0.4), ([[45, 15], [25, 15]], 0.1304), ([[25, 35], [5, 35]], 0.2593)])
def test_kappa_of_known_tables(table, kappa):
    a, b = zip(*spread(table), strict=True)
    m = of_two("kappa", a, b)
    assert round(m.value, 4) == kappa and m.low < m.value < m.high and m.n == len(a)


@pytest.mark.parametrize("level, value", [*zip(LEVELS, (0.743, 0.815, 0.849), strict=True)])
def test_alpha_of_krippendorffs_example_with_gaps(level, value):
    assert round(alpha(FOUR, level).value, 3) == value


def test_alpha_of_two_without_gaps():
    assert round(alpha([list(map(int, "0100000010")), list(map(int, "1110010000"))], "nominal").value, 3) == 0.095
    names = [["abcde".index(c) for c in line] for line in ("aabbdcccedda", "babbbccceddd")]
    assert round(alpha(names, "nominal").value, 3) == 0.692


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=3, max_size=40))
def test_as_the_libraries_have_it(pairs):
    a, b = zip(*pairs, strict=True)
    t = table_of(a, b)
    if len(t.values) > 1:
        ours, theirs = float(kappas(t.whole, t.values)), cohen_kappa_score(a, b)
        assert ours == pytest.approx(theirs, abs=1e-6)
    if np.array_equal(t.values, np.arange(t.values[0], t.values[0] + len(t.values))) and len(t.values) > 1:
        assert float(kappas(t.whole, t.values, "quadratic")) == pytest.approx(cohen_kappa_score(a, b, weights="quadratic"), abs=1e-6)
    tau = float(taus(t.whole)) if len(t.values) else float("nan")
    assert tau == pytest.approx(float(kendalltau(a, b).statistic), abs=1e-6, nan_ok=True)


@pytest.mark.parametrize(
    "a, b, state",
    [
        ([5, 5, 5], [5, 5, 5], "one_category"),
        ([1, 2, None], [None, None, 3], "no_overlap"),
        ([1, 2], [None, None], "one_rater"),
        ([], [], "one_rater"),
    ],
)
def test_where_nothing_can_be_said_there_is_no_number(a, b, state):
    for m in (of_two("kappa", a, b), of_two("tau_b", a, b), of_two("kappa_quadratic", a, b), alpha([a, b])):
        assert m.value is None and m.low is None and m.state == state, m


def test_a_judge_that_never_varies_has_no_order():
    m = of_two("tau_b", [5, 5, 5, 5], [1, 2, 3, 4])
    assert (m.value, m.state) == (None, "constant") and of_two("kappa", [5, 5, 5, 5], [4, 5, 5, 4]).value == 0


def test_rows_of_one_source_are_drawn_together():
    rng = random.Random(0)
    a = [rng.randint(1, 5) for _ in range(20)]
    b = [rng.choice([x, x, 6 - x]) for x in a]
    wide = lambda m: m.high - m.low
    many, groups = (a * 6, b * 6), [i for _ in range(6) for i in range(20)]
    assert wide(of_two("kappa", *many, groups)) > 1.5 * wide(of_two("kappa", *many))


def rated(judge, values, **more):
    score = lambda v: Score(criterion="overall", value=v, scale=(0, 10), judge=judge) if v is not None else None
    return [Pair(question=f"Q{i}?", answer="A.", chunk_id=f"c{i}", scores=(score(v),), **more) for i, v in enumerate(values) if v is not None]


def test_raters_of_files_judges_and_other_programs():
    r = ratings_of({"x": rated("a/b", [7, 8, None]), "y": rated("a/b", [7, 9, 1])})
    assert list(r.raters) == ["x: a/b", "y: a/b"] and r.of("x: a/b") == [7, 8, None]
    assert list(ratings_of({"x": rated("a/b", [7]), "y": rated("c/d", [7])}).raters) == ["a/b", "c/d"]
    theirs = Pair(question="Q?", answer="A.", meta={"rating": 7})
    assert ratings_of({"z": [theirs]}).raters == {"z": {theirs.id: 7}}
    with pytest.raises(SynthgenError, match="rate the rows"):
        ratings_of({"z": [Pair(question="Q?", answer="A.")]})


def test_what_is_kept():
    r = ratings_of({"x": rated("a/b", [7, 8, 3, 9]), "y": rated("c/d", [6, 9, 3, 9])})
    assert [round(m.value * m.n) for m in retention(r, 7)] == [3, 2, 2, 3]
    assert share("x", 0, 10).low == 0 and 0.25 < share("x", 0, 10).high < 0.31 and share("x", 0, 0).value is None
    assert len(agreement(r, 7).pairs) == 1


def test_probes_find_what_was_planted():
    flips, first, favour = position_probe([Preference((8, 5), (8, 5))] * 20)
    assert flips.value == 1 and first.value == 1 and favour.value == 1
    assert position_probe([])[0].value is None
    wrote = lambda rows: [p.but(origin=(Origin(method="m", faithful="heuristic", model="a/b" if i % 2 else "c/d"),)) for i, p in enumerate(rows)]
    base = [3 + i % 5 for i in range(40)]
    vain, fair = wrote(rated("a/b", [v + i % 2 for i, v in enumerate(base)])), wrote(rated("c/d", base))
    m = self_preference({"x": vain, "y": fair}, "a/b")
    assert m.value == 1 and self_preference({"x": vain}, "a/b").state == "one_rater"
    some = rated("x/y", [1, 2])
    v = asyncio.run(verbosity_probe(some, open_model(provider="offline"), load_rubric("workbench"), pair_inputs({})))
    assert v.n == 2


def test_the_command(tmp_path):
    save(rated("a/b", [7, 8, 3, 9, 5, 6]), tmp_path / "one.jsonl")
    save(rated("a/b", [7, 7, 3, 9, 7, 6]), tmp_path / "two.jsonl")
    said = tried("agreement one.jsonl two.jsonl -o r.md", tmp_path)
    assert "one: a/b" in said and (tmp_path / "r.md").is_file() and (tmp_path / "r.json").is_file()
    assert "There is one rater" in tried("agreement one.jsonl", tmp_path)
    save([Pair(question="Q?", answer="A.")], tmp_path / "none.jsonl")
    assert "synthgen curate" in tried("agreement none.jsonl", tmp_path)
