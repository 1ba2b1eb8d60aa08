"""Runs as data: what a folder of runs says of itself, in frames and on the command line."""

import json
from pathlib import Path

import pytest
from conftest import command, rows, write_docs

from synthgen_nb.core.records import SynthgenError
from synthgen_nb.experiments.frames import calls_df, differing, fulfils, rows_df, run_rows, runs_df


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    "Three runs of a pipeline that differ in two parameters; commands run there"
    folder = tmp_path_factory.mktemp("lab")
    write_docs(folder / "docs", 3)
    run = command(folder)
    for more in ("threshold=7", "threshold=9", "rewrite=no"):
        run("run", "qa", "-p", "source=docs", "-p", more)
    return run


@pytest.fixture
def runs(lab, monkeypatch):
    monkeypatch.chdir(lab.folder)
    return Path("runs")


def test_a_run_is_a_line(runs):
    df = runs_df(runs)
    assert list(df.status) == ["done"] * 3 and set(df.pipeline) == {"qa"} and list(df["p.rewrite"]) == [True, True, False]
    for name, r in df.iterrows():
        final = rows(runs / name / "records/final.jsonl")
        assert r["rows"] == len(final) and 0 < r["yield"] <= 1
        assert r.rating == pytest.approx(sum(x["scores"][-1]["value"] for x in final) / len(final), abs=1e-3)
    assert df.paid.iloc[1] == 0 < df.paid.iloc[0], "a run that differs in its threshold pays nothing"
    assert runs_df(runs, where=["threshold>8"]).index.tolist() == [df.index[1]]


def test_rows_and_their_fate(runs):
    name = runs_df(runs).index[1]
    df, made = rows_df(name, runs), rows(runs / name / "records/generated.jsonl")
    assert df.index.is_unique and set(df[df.kept].index) == {r["id"] for r in rows(runs / name / "records/final.jsonl")}
    assert len(df) == len(made) and (df[~df.kept].reason != "").all()
    below = df[df.reason.fillna("").str.startswith("below_threshold")]
    assert len(below) and (below.rating < 9).all() and (df[df.kept].rating >= 9).all()
    parts = df[[c for c in df if c.startswith("s.")]]
    assert (parts.sum(axis=1) == df.rating)[df.rating.notna()].all(), "criteria add up"
    assert rows_df(name, runs, dropped=False).kept.all()


def test_calls_are_those_that_the_rows_name(runs):
    df, calls = rows_df("last", runs), calls_df("last", runs)
    assert set(calls.index) >= {k for ks in df.calls for k in ks} and calls.ok.all()
    r = json.loads((runs / runs_df(runs).index[-1] / "run.json").read_text())
    used = [s for s in r["stages"] if s["calls"]]
    assert len(calls) == sum(s["calls"] for s in used) and calls.input_tokens.sum() == sum(s["input_tokens"] for s in used)
    assert calls_df("last", runs, store="nowhere.db").empty


def test_the_list_says_what_differs(lab):
    lines = lab("runs").stdout.splitlines()
    assert lines[0].split()[-1] == "differs" and len(lines) == 4
    assert [line.split()[-2:] for line in lines[1:]] == [
        ["rewrite=True", "threshold=7.0"],
        ["rewrite=True", "threshold=9.0"],
        ["rewrite=False", "threshold=None"],
    ]
    assert len(lab("runs", "--where", "threshold=9").stdout.splitlines()) == 2
    assert "no such run" in lab("runs", "--status", "failed").stdout
    found = json.loads(lab("runs", "--json", "--pipeline", "qa", "--where", "rewrite=false").stdout)
    assert len(found) == 1 and found[0]["parameters"]["rewrite"] is False and found[0]["yield"] > 0
    assert "threshold" in lab("runs", "--where", "treshold>8", ok=False).stderr
    assert "no condition" in lab("runs", "--where", "many rows", ok=False).stderr


def test_conditions():
    row = dict(run="a", rows=12, rating=None, parameters=dict(source=["docs", "more"], cot=False, rows_of="x"))
    holds = {"rows>9": True, "rows >= 12": True, "rows<12": False, "rating>1": False, "source=docs,more": True, "cot=False": True, "source~more": True}
    assert {c: fulfils(row, c) for c in holds} == holds
    for bad in ("rows", ">3", "rows 3", ""):
        with pytest.raises(SynthgenError, match="no condition"):
            fulfils(row, bad)


def test_names_and_folders_are_no_difference(tmp_path):
    for i, n in enumerate((3, 3, 4)):
        (tmp_path / f"{i}").mkdir()
        params = dict(n=n, name=f"{i}", run_dir=f"runs/{i}", command=f"synthgen {i}")
        (tmp_path / f"{i}/run.json").write_text(json.dumps(dict(notebook="qa.ipynb", status="done", parameters=params)))
    found = run_rows(tmp_path)
    assert differing(found) == [dict(n=3), dict(n=3), dict(n=4)] and differing(found[:2]) == [{}, {}]
    assert runs_df(tmp_path / "nothing").empty
