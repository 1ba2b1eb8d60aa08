"The notebooks, the package, the README and the site agree"

import ast
import re
import shutil
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "synthgen_nb"
NBS = sorted(p for p in (ROOT / "nbs").rglob("*.ipynb") if not any(x[0] in "._" for x in p.relative_to(ROOT).parts))
RECORDS = sorted(ROOT.glob("runs/reference-*/*.ipynb"))
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if p.name not in ("__init__.py", "_modidx.py"))
name = lambda p: p.relative_to(ROOT).as_posix()


@pytest.fixture
def copy(tmp_path):
    "The tree, to do things to; without what git ignores at its top"
    skip = shutil.ignore_patterns(".*", "_proc", "_site", "__pycache__", "dist", "build")
    runs = lambda folder, names: {n for n in names if Path(folder) == ROOT / "runs" and not n.startswith(("reference-", "README"))}
    return Path(shutil.copytree(ROOT, tmp_path / "tree", ignore=lambda *a: {*skip(*a), *runs(*a)}))


def run(*args, cwd):
    "A program of this environment; its exit status, and what it said"
    exe = Path(sys.executable).parent / args[0] if args[0].startswith("nbdev_") else args[0]
    done = subprocess.run([str(exe), *map(str, args[1:])], cwd=cwd, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def files(root):
    return {
        f.relative_to(root).as_posix(): f.read_bytes()
        for d in ("nbs", "synthgen_nb")
        for f in (root / d).rglob("*")
        if f.is_file() and "__pycache__" not in f.parts and ".ipynb_checkpoints" not in f.parts and f.name != "_modidx.py"  # not in git
    }


def test_export_and_clean_leave_no_diff(copy):
    before = files(copy)
    for f in MODULES:
        (copy / name(f)).unlink()  # so that a module without a notebook is noticed
    for command in ("nbdev_export", "nbdev_clean"):
        status, said = run(command, cwd=copy)
        assert not status, said
    after = files(copy)
    assert not [f for f in before | after if before.get(f) != after.get(f)], "run nbdev_export and nbdev_clean"


def said(cell) -> str:
    "The text among a cell's outputs"
    outs = cell.get("outputs", [])
    data = [str(v) for o in outs for kind, v in o.get("data", {}).items() if not kind.startswith("image/")]
    return "\n".join([o.text for o in outs if o.output_type == "stream"] + data)


PLACE = re.compile(r"(?<![\w.:/])/(?!(?:home|Users)/(?:user\d|anna|runner)\b)(?:home|Users|root|tmp|private|usr|opt|var)/[\w.-]+|\b[A-Z]:\\Users")
ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}")
RANDOM = re.compile(r"(?=.*\d)[0-9a-f]{8}|[0-9a-f]{8}-[0-9a-f-]{27}")


@pytest.mark.parametrize("path", NBS + RECORDS, ids=name)
def test_notebook_is_valid_and_clean(path):
    nb = nbformat.read(path, 4)
    nbformat.validate(nb)
    ids = [c.id for c in nb.cells]
    assert len(ids) == len(set(ids))
    for c in nb.cells:
        assert not [o for o in c.get("outputs", []) if o.output_type == "error"], f"{c.id} holds an error"
        told = said(c)
        assert str(ROOT) not in told and not PLACE.search(told), f"{c.id} names a path of one machine"
        assert not ADDRESS.search(told), f"{c.id} prints an address, which differs from run to run"


@pytest.mark.parametrize("path", NBS, ids=name)
def test_notebook_opens_with_its_name_and_a_sentence(path):
    nb = nbformat.read(path, 4)
    assert re.fullmatch(r"# \S[^\n]*\n\n> \S[^\n]*", nb.cells[0].source), 'the first cell is "# Name", an empty line, "> one sentence"'
    assert not [c.id for c in nb.cells if RANDOM.fullmatch(c.id)], "cells have readable ids"


def test_readme_is_current():
    status, told = run(sys.executable, "nbs/_docs/readme.py", "--check", cwd=ROOT)
    assert not status, told


FLOORS = dict(core=1, corpus=2, specs=2, select=2, worlds=3, export=3, qa=4, tools=4, evaluate=4, experiments=5, cli=6)


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "README.md", "nbs/_docs/start.md", "nbs/_docs/faults.md", "nbs/_docs/cluster.md"])
def test_the_files_a_page_names_are_there(page):
    own = ("nbs/qa/69_shorten.ipynb", "nbs/worlds/39_dice.ipynb", "prompts/shorten.yaml")  # made in an example
    named = re.findall(r"\b(?:nbs|tests|prompts|runs)/[\w/-]+\.(?:ipynb|py|yaml|md)\b", (ROOT / page).read_text(encoding="utf-8"))
    assert not [n for n in named if n not in own and not (ROOT / n).exists()]


def dotted(path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def imports(path) -> set[str]:
    "The modules of this package that a module imports, lazily or not"
    known, out = set(map(dotted, MODULES)), set()
    here = dotted(path).split(".")
    for x in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(x, ast.Import):
            out |= {a.name for a in x.names}
        elif isinstance(x, ast.ImportFrom):
            base = ".".join([*here[: -x.level], *filter(None, [x.module])]) if x.level else x.module
            out |= {base, *(f"{base}.{a.name}" for a in x.names)}
    return out & known


GRAPH = {dotted(p): imports(p) for p in MODULES}
NOTEBOOK = {m[1]: p.stem for p in NBS if (m := re.search(r"#\| *default_exp ([\w.]+)", p.read_text(encoding="utf-8")))}  # module → notebook


def test_a_floor_imports_only_from_floors_below():
    floor = lambda mod: mod.split(".")[1]
    pairs = [(a, b) for a, bs in GRAPH.items() for b in bs if floor(a) != floor(b) and floor(a) != "offline"]
    assert not [f"{a} imports {b}" for a, b in pairs if floor(b) == "offline"], "the stand-in is imported by nothing real"
    assert not [f"{a} imports {b}" for a, b in pairs if FLOORS[floor(b)] >= FLOORS[floor(a)]]
    TopologicalSorter(GRAPH).prepare()  # raises on a circle


def test_no_import_runs_against_the_reading_order():
    number = lambda mod: re.match(r"\d+[a-z]*", NOTEBOOK[mod.removeprefix("synthgen_nb.")])
    against = [
        f"{a} imports {b}"
        for a, bs in GRAPH.items()
        for b in bs
        if a.split(".")[1] == b.split(".")[1] and (x := number(a)) and (y := number(b)) and y[0] >= x[0]
    ]
    assert not against


def test_site_builds_without_a_warning_and_needs_nothing_from_elsewhere(copy):
    pytest.importorskip("myst_nb")
    shutil.copytree(copy / "runs/reference-study", copy / "runs/study-mine/report")
    status, told = run(sys.executable, "nbs/_docs/build.py", "runs/study-mine", cwd=copy)
    assert not status, told
    assert "study-mine" in (copy / "_site/runs/study-mine/report/study.html").read_text(encoding="utf-8"), "one of the user's own"
    pages = list((copy / "_site").rglob("*.html"))
    assert len(pages) > len(NBS + RECORDS)
    fetched = re.compile(r'<(?:script|img|iframe)[^>]*src="(?:https?:)?//|<link[^>]*rel="stylesheet"[^>]*href="(?:https?:)?//')
    assert not [p.name for p in pages if fetched.search(p.read_text(encoding="utf-8"))]
