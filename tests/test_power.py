"""What a study cannot tell apart, said beforehand."""

import json

import numpy as np
import pytest

from synthgen_nb.core.records import Pair, Score, SynthgenError, save
from synthgen_nb.experiments.arms import of_rows
from synthgen_nb.experiments.contrasts import Sums, apart
from synthgen_nb.experiments.power import least, least_difference, noise
from test_arms import REFERENCE, run


def parts(marks):
    return [((f"c{i}", "d"), float(v), 1.0) for i, some in enumerate(marks) for v in some]


def test_noise_is_that_of_rows_and_not_what_chunks_share():
    rng = np.random.default_rng(0)
    marks = rng.normal(8, 1, (2000, 4)) + rng.normal(0, 3, (2000, 1))
    value, v, within = noise(parts(marks))
    assert within and value == pytest.approx(marks.mean()) and v == pytest.approx(1 / 4, rel=0.1)
    value, v, within = noise(parts(marks.mean(1, keepdims=True)))
    assert not within and v == pytest.approx(9 + 1 / 4, rel=0.1)
    assert noise(parts(np.full((5, 2), 7.0))) == (7.0, 0.0, True)


def test_more_chunks_and_seeds_show_less_and_more_comparisons_need_more():
    assert least(1, 400) == pytest.approx(least(1, 100) / 2, rel=0.05)
    assert least(1, 100, seeds=4) == pytest.approx(least(1, 100) / 2)
    assert least(1, 100, 50) > least(1, 100, 5) > least(1, 100) and least(1, 5) is None


def test_four_studies_of_five_show_the_least_difference_and_few_half_of_it():
    by, chunks, shown = least(1 / 3, 80, 6), 80, {1.0: 0, 0.5: 0}
    n = np.full((1, chunks), 3.0)
    for share in shown:
        for seed in range(100):
            rng = np.random.default_rng(seed)
            arm = lambda shift: Sums((rng.normal(8 + shift, 1, (chunks, 3)).sum(1))[None], n)  # noqa: B023
            base = arm(0)
            found = apart([(arm(share * by), base), *((arm(0), base) for _ in range(5))], 300, seed)
            shown[share] += found[0].low > 0
    assert 70 <= shown[1.0] <= 92 and shown[0.5] < 35


def test_every_measure_of_a_pilot_is_foretold_in_its_own_unit(tmp_path):
    made = run(tmp_path / "pilot", 0)
    extra = dict(length=of_rows("words of an answer", lambda x: len(x.answer.split())))
    rows = {r["measure"]: r for r in least_difference(made, 200, 20, extra=extra)}
    assert {"yield", "per_1000_calls", "cost_per_row", "rating", "rating_of_all", "diversity", "length"} == rows.keys()
    larger = {r["measure"]: r for r in least_difference(made, 800, 20, extra=extra)}
    for k, r in rows.items():
        assert r["least"] > 0
        if k != "diversity":  # it is taken at the size of the study
            assert larger[k]["least"] < r["least"]
    assert rows["rating"]["within"] and not rows["yield"]["within"]
    json.dumps(list(rows.values()), allow_nan=False)
    assert all(r["least"] is None for r in least_difference(REFERENCE, 4, 20))


def test_a_pilot_that_kept_nothing_is_refused(tmp_path):
    save([], tmp_path / "records" / "final.jsonl")
    (tmp_path / "run.json").write_text(json.dumps(dict(name="x", status="done")))
    with pytest.raises(SynthgenError, match="kept no row"):
        least_difference(tmp_path, 100)
    save([Pair(question="A?", answer="B.", scores=(Score(criterion="overall", value=1, scale=(0, 10)),))], tmp_path / "records" / "final.jsonl")
    assert least_difference(tmp_path, 100)
