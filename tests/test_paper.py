"""A record reads as a paper, and as a page: every number of its head is one of the record, and nothing in it acts."""

import json
import re
from pathlib import Path

import nbformat
import pytest
from conftest import ROOT, command, rows, write_docs
from hypothesis import given, settings
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from synthgen_nb.core.records import Pair, load
from synthgen_nb.experiments.page import page
from synthgen_nb.experiments.paper import abstract, accepted, headed, limits, title_of


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    "A run with a name, and its record"
    folder = tmp_path_factory.mktemp("paper")
    write_docs(folder / "docs", 3)
    do = command(folder)
    do("run", "qa", "-p", "source=docs", "-p", "name=demo", "-p", "seed=2", "-p", "threshold=9", "-p", "target_pairs=4")
    (do.run,) = folder.glob("runs/*")
    do.record = json.loads((do.run / "run.json").read_text())
    do.book = nbformat.read(do.run / "qa.ipynb", 4)
    return do


def test_the_head_says_what_was_made_and_from_what(run):
    r, (head, provenance, *_) = run.record, run.book.cells
    assert head.source.startswith("# demo: 4 question-answer pairs from docs\n\n> 4 rows in `train.jsonl`")
    good, made, unit = accepted(r["funnel"])
    assert f"Of {made} pairs {good} were accepted" in head.source and unit == "pairs" and 4 <= good <= made
    final = load(run.run / "records/final.jsonl", Pair)
    assert r["rating"] == pytest.approx(sum(p.rating for p in final) / 4, abs=1e-3) and f"{r['rating']:.2f} on average" in head.source
    assert "## Provenance" in provenance.source and re.search(r"seed \| 2 ", provenance.source)
    assert "synthgen run qa -p source=docs" in provenance.source and r["started"][:10] in provenance.source


def test_nothing_stands_in_the_way_of_reading(run):
    code = [c for c in run.book.cells if c.cell_type == "code"]
    assert all(c.metadata.jupyter.source_hidden and "hide-input" in c.metadata.tags for c in code)
    shown = [o for c in code for o in c.outputs]
    assert not [o for o in shown if "IPython.core.display" in str(o.get("data", {}).get("text/plain", "")) and "text/markdown" not in o.data]
    pictures = [o for o in shown if "image/png" in o.get("data", {})]
    drawn = [o for o in shown if "image/svg+xml" in o.get("data", {})]
    assert len(drawn) == 1 and drawn[0].data["image/svg+xml"] == (run.run / "funnel.svg").read_text()
    assert "judge: " in drawn[0].metadata["image/svg+xml"]["alt"] and "prefers-color-scheme:dark" in drawn[0].data["image/svg+xml"]
    assert len(pictures) == 2 and all(len(o.metadata["image/png"]["alt"]) > 30 for o in pictures)
    captions = [c.source for c in run.book.cells if c.cell_type == "markdown" and c.source.startswith("*Figure ")]
    assert [c.split(".")[0] for c in captions] == ["*Figure 1", "*Figure 2", "*Figure 3"]
    assert {f.name for f in run.run.glob("*.png")} == {"corpus.png", "ratings.png"}


def test_examples_are_drawn_by_the_seed(run):
    told = next(c for c in run.book.cells if c.id == "examples").outputs[0].data["text/markdown"]
    ids = {p["id"] for p in rows(run.run / "records/final.jsonl")}
    assert len(set(re.findall(r"`([0-9a-f]{16})`", told)) & ids) == 3
    limits_said = next(c for c in run.book.cells if c.id == "limits").outputs[0].data["text/markdown"]
    assert "both wrote and judged" in limits_said and "No evaluation set" in limits_said


def test_a_page_of_it_needs_nothing_else(run):
    assert "kB" in run("show", "--html", "record.html").stdout
    html = (run.folder / "record.html").read_text()
    assert len(html) < 2e6 and html.count("<img ") == html.count(" alt=\"") == 3 and "<title>demo: 4 question" in html
    assert not re.search(r"<script|<link|src=\"(?!data:image/(png|svg\+xml);base64,)|@import|url\(", html)
    assert html.count("<details>") >= sum(c.cell_type == "code" for c in run.book.cells) and "width=device-width" in html


def test_a_failed_run_says_why_first_and_shows_the_cell(run):
    run("run", "qa", "-p", "source=docs", "-p", "name=none", "-p", "topic=volcanoes of Iceland", ok=False)
    book = nbformat.read(max(run.folder.glob("runs/*/qa.ipynb")), 4)
    assert book.cells[0].source.startswith("# QA pipeline\n\n> failed: no row is left")
    (failed,) = [c for c in book.cells if c.cell_type == "code" and any(o.output_type == "error" for o in c.outputs)]
    assert "jupyter" not in failed.metadata


@settings(max_examples=40, deadline=None)
@given(st.text())
def test_what_a_cell_wrote_is_material(text):
    outs = [new_output("display_data", data={"text/markdown": text}), new_output("stream", text=text)]
    html = page(new_notebook(cells=[new_markdown_cell(text), new_code_cell("x", outputs=outs)]))
    assert not re.search(r"<(script|iframe|img|object|style(?!>\n:root))|\son\w+=[^<]*>|href=\"(javascript|data|vbscript):", html.partition("<main>")[2])


def test_surplus_is_no_loss():
    stage = lambda name, n, m, why="": {"stage": name, "unit": "pairs", "in": n, "out": m, "lost": n - m, "why": why}
    funnel = [stage("generate", 12, 10, "beyond_target 2"), stage("judge", 10, 8, "below_threshold 2"), stage("target", 8, 5, "beyond_target 3")]
    assert accepted(funnel) == (8, 10, "pairs") and accepted([]) == (0, 0, "")


def test_records_of_earlier_versions_have_a_head_as_well():
    for name in ("reference-qa", "reference-small-model"):
        r = json.loads((ROOT / "runs" / name / "run.json").read_text())
        nb = new_notebook(cells=[new_markdown_cell("# QA pipeline\n\n> A sentence.")])
        headed(nb, r)
        assert title_of(r) in nb.cells[0].source and abstract(r) in nb.cells[0].source and len(nb.cells) == 2
        headed(nb, r)
        assert len(nb.cells) == 2, "once is enough"


def test_limits_name_what_is_ours():
    final = load(ROOT / "runs/reference-qa/records/final.jsonl", Pair)
    said = limits(final, judge="openai/other")
    assert "both wrote" not in said and "grounded" in said and "offline" in said
    assert limits([]) == "None that a program could tell."
