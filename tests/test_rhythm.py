"How the notebooks read: the table that `nbs/_docs/rhythm.py` prints, and that what a notebook names is there"

import re
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "nbs" / "_docs"))
import rhythm  # noqa: E402

NBS = sorted(p for p in (ROOT / "nbs").rglob("*.ipynb") if not any(x[0] in "._" for x in p.relative_to(ROOT).parts))
name = lambda p: p.relative_to(ROOT).as_posix()


def test_the_table_of_rhythm():
    every = rhythm.measure(rhythm.notebooks())
    methods = rhythm.measure([p for p in rhythm.notebooks() if rhythm.is_method(p)])
    assert every.share_shown >= 0.65 and methods.share_shown >= 0.75, rhythm.each(rhythm.notebooks())
    assert every.share_over_20 <= 0.15
    assert every.longest <= 40
    assert every.first <= 80
    assert every.share_over_120 <= 0.01
    assert (every.semicolons, every.deep) == (0, 0)


@pytest.mark.parametrize("code, joined", [("a = 1; b = 2", 1), ("if a:\n    b = 1; c = 2; d = 3", 2), ("s = 'a; b'", 0), ("a = 1\nb = 2", 0)])
def test_semicolons_are_counted_as_statements(code, joined):
    assert rhythm.joined(code) == joined


def test_a_definition_counts_as_shown_only_if_the_next_cell_is_no_definition():
    exported, lesson = rhythm.Cell("a", True, "def f(): pass"), rhythm.Cell("b", False, "f()")
    assert rhythm.shown([exported, exported, lesson]) == [False, True]
    assert rhythm.shown([exported, lesson, exported]) == [True, False]
    assert rhythm.first_look([exported, exported, lesson]) == 2


@pytest.mark.parametrize("path", NBS, ids=name)
def test_a_notebook_is_not_two(path):
    nb = nbformat.read(path, 4)
    assert len(nb.cells) <= 110 and path.stat().st_size <= 200_000, f"{len(nb.cells)} cells, {path.stat().st_size} bytes"


LINK = re.compile(r"\]\(([^)\s]+)\)")
NAMED = re.compile(r"`((?:nbs|tests|prompts|synthgen_nb)/[\w./-]+|[\w-]+\.(?:ipynb|yaml|py))`|\b(tests/\w+\.py|test_\w+\.py)\b")
SOMEWHERE = {p.name for p in ROOT.rglob("*") if p.is_file() and ".venv" not in p.parts and ".git" not in p.parts}
THE_USERS = {"synthgen.yaml", "study.yaml", "tools.py", "api.yaml"}  # files of whoever reads it


@pytest.mark.parametrize("path", NBS, ids=name)
def test_what_a_notebook_names_is_there(path):
    text = "\n".join(c.source for c in nbformat.read(path, 4).cells if c.cell_type == "markdown")
    missing = []
    for url in LINK.findall(text):
        if not re.match(r"[a-z]+:|#", url) and not (path.parent / url.split("#")[0]).exists():
            missing.append(url)
    for a, b in NAMED.findall(text):
        file = a or b
        if not (ROOT / file).exists() and Path(file).name not in SOMEWHERE | THE_USERS:
            missing.append(file)
    assert not missing
