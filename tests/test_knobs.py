"""The knobs of a method's own notebook: run with other values, kept with its figures, swept by a study."""

import json
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from test_repo import NBS, name

from synthgen_nb.core.records import Figures, SynthgenError
from synthgen_nb.experiments.frames import run_rows, runs_df
from synthgen_nb.experiments.runs import find_pipeline, parameters_of, resolve_parameters

LESSONS = [p for p in NBS if p.parent.name in ("qa", "tools") and '"parameters"' in p.read_text(encoding="utf-8")]


def cells(path):
    return nbformat.read(path, 4).cells


def tagged(path, tag):
    return [i for i, c in enumerate(cells(path)) if tag in c.metadata.get("tags", [])]


@pytest.mark.parametrize("path", LESSONS, ids=name)
def test_a_lesson_has_few_knobs_with_their_meaning_and_ends_with_its_figures(path):
    known = parameters_of(path)
    assert 2 <= len(known) <= 5 and all(v["help"] and v["type"] != "None" for v in known.values())
    (at,), (end,) = tagged(path, "parameters"), tagged(path, "result")
    assert end == len(cells(path)) - 1 and "#| export" not in cells(path)[at].source
    shown = [o.data["application/json"] for o in cells(path)[end].outputs if "application/json" in o.get("data", {})]
    assert len(shown) == 1 and shown[0] and not set(shown[0]) & set(known), "figures and knobs have names of their own"


@pytest.fixture
def dice(tmp_path):
    kernel = dict(kernelspec=dict(name="python3", language="python", display_name="python3"))
    knobs = new_code_cell("sides: int = 6  # of a die\nseed: int = 0  # of the throws", metadata=dict(tags=["parameters"]))
    thrown = new_code_cell("import random\nfrom synthgen_nb.core.records import Figures\nthrow = random.Random(seed).choices(range(1, sides + 1), k=20)")
    end = new_code_cell("Figures(mean=sum(throw) / 20, highest=max(throw))", metadata=dict(tags=["result"]))
    title = new_markdown_cell("# Dice\n\n> The mean of some throws.")
    nbformat.write(new_notebook(cells=[title, knobs, thrown, end], metadata=kernel), tmp_path / "dice.ipynb")
    return tmp_path / "dice.ipynb"


def test_a_run_of_a_lesson_keeps_its_figures(tmp_path, synthgen, dice):
    for sides in (6, 20):
        synthgen("run", "dice.ipynb", "-p", f"sides={sides}")
    few, many = run_rows(tmp_path / "runs")
    assert few["figures"]["highest"] == 6 < many["figures"]["highest"] and many["parameters"]["sides"] == 20
    assert list(runs_df(tmp_path / "runs", where=["mean>6"])["p.sides"]) == [20]
    listed = synthgen("runs").stdout
    assert "sides=20" in listed and "highest=20" in listed
    title = cells(tmp_path / "runs" / many["run"] / "dice.ipynb")[0].source
    assert title.startswith("# Dice\n\n> The mean of some throws. With sides 20, seed 0: mean ") and "highest 20" in title
    said = synthgen("run", "dice.ipynb", "-p", "side=20", ok=False).stderr
    assert "no parameter 'side': did you mean 'sides'?" in said


def test_a_study_sweeps_the_knobs_of_a_lesson(tmp_path, synthgen, dice):
    (tmp_path / "s.yaml").write_text("question: What do sides do?\npipeline: dice.ipynb\ngrid: {sides: [4, 20]}\nseeds: 3\n")
    out = synthgen("study", "s.yaml").stdout
    report = tmp_path / "runs/study-s/report"
    told = json.loads((report / "run.json").read_text())
    assert [a["arm"] for a in told["arms"]] == ["base (sides=4)", "sides=20"] and "Mean goes from" in out
    assert (report / "study.html").is_file() and "What do sides do?" in (report / "study.html").read_text()
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "runs/study-s").glob("*/run.json") if p.parent != report}
    synthgen("study", "s.yaml")
    assert len(before) == 6 and {p: p.stat().st_mtime_ns for p in before} == before, "what is done is not done again"
    dice.write_text(dice.read_text().replace("k=20", "k=40"))
    synthgen("study", "s.yaml")
    assert all(p.stat().st_mtime_ns > t for p, t in before.items()), "another notebook is another result"
    assert "nothing to foretell" in synthgen("plan", "s.yaml", ok=False).stderr


def test_a_notebook_without_knobs_says_so(tmp_path):
    kernel = dict(kernelspec=dict(name="python3", language="python", display_name="python3"))
    nbformat.write(new_notebook(cells=[new_code_cell("1")], metadata=kernel), tmp_path / "a.ipynb")
    with pytest.raises(SynthgenError, match="no cell tagged `parameters`"):
        resolve_parameters(tmp_path / "a.ipynb", dict(x=1))


def test_figures_are_plain_numbers_and_a_table():
    np = pytest.importorskip("numpy")
    shown = Figures(share=np.float64(2 / 3), rows=np.int64(3), names=["a"])._repr_mimebundle_()
    assert shown["application/json"] == dict(share=0.666667, rows=3, names=["a"]) and "| 0.666667 | 3 |" in shown["text/plain"]


def test_a_list_of_numbers_is_read_as_people_write_it():
    take = lambda v: resolve_parameters(find_pipeline("student"), dict(sizes=v))["sizes"]
    assert take(["[20, 40]"]) == take("[20,40]") == take(["20", "40"]) == take([20, 40]) == [20, 40] and take([]) == []
    for wrong in ("[20", "twenty", "[20, 1.5]", [True], ["[[20]]"], None):
        with pytest.raises(SynthgenError, match="parameter sizes: expected whole numbers"): take(wrong)
