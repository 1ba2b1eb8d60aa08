"The notebooks, the package, the README and the site agree"

import ast
import json
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
MOST_BYTES = 10_000_000  # of the site, with a study of the user's own
name = lambda p: p.relative_to(ROOT).as_posix()


def copied(folder: Path) -> Path:
    "The tree, to do things to; without what git ignores at its top"
    skip = shutil.ignore_patterns(".*", "_proc", "_site", "__pycache__", "dist", "build")
    runs = lambda folder, names: {n for n in names if Path(folder) == ROOT / "runs" and not n.startswith(("reference-", "README"))}
    return Path(shutil.copytree(ROOT, folder / "tree", ignore=lambda *a: {*skip(*a), *runs(*a)}))


@pytest.fixture
def copy(tmp_path):
    return copied(tmp_path)


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


PROSE = ["CONTRIBUTING.md", "README.md", "nbs/_docs/faults.md", "nbs/_docs/cluster.md", *map(name, sorted(ROOT.glob("nbs/_docs/start/*.md")))]


@pytest.mark.parametrize("page", PROSE)
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


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    "The site of a copy of this checkout, with a study of the user's own in it"
    pytest.importorskip("myst_nb")
    tree = copied(tmp_path_factory.mktemp("site"))
    shutil.copytree(tree / "runs/reference-study", tree / "runs/study-mine/report")
    status, told = run(sys.executable, "nbs/_docs/build.py", "runs/study-mine", cwd=tree)
    assert not status, told
    return tree / "_site"


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, str]:
    return {p: p.read_text(encoding="utf-8") for p in site.rglob("*.html")}


def test_site_builds_without_a_warning_and_needs_nothing_from_elsewhere(site, pages):
    assert "study-mine" in pages[site / "runs/study-mine/report/study.html"], "one of the user's own"
    assert len(pages) > len(NBS + RECORDS)
    fetched = re.compile(r'<(?:script|img|iframe)[^>]*src="(?:https?:)?//|<link[^>]*rel="stylesheet"[^>]*href="(?:https?:)?//')
    assert not [p.name for p, text in pages.items() if fetched.search(text)]


def test_every_link_of_the_site_leads_somewhere(site, pages):
    "Within the site to a page and a place on it; out of it only to what a list names, since nothing is fetched here"
    places = {p: {*re.findall(r'\bid="([^"]*)"', text)} for p, text in pages.items()}
    known, dead = set((ROOT / "nbs/_docs/links.txt").read_text().split()), []
    for p, text in pages.items():
        for url in re.findall(r'<(?:a|img|script)[^>]*?(?:href|src)="([^"]*)"', text):
            if out := re.match(r"https?://([^/]+)", url):
                dead += [(p.name, url)] * (out[1] not in known)
            elif not re.match(r"mailto:", url):
                path, _, place = url.partition("#")
                to = (p.parent / path.partition("?")[0]).resolve() if path else p
                dead += [(p.name, url)] * (not to.exists() or (to in places and bool(place) and place not in places[to]))
    assert not dead, f"{dead[:10]}: mend the link, or name a host that was looked at in nbs/_docs/links.txt"


def test_every_figure_of_the_site_says_what_it_shows(pages):
    figures = [(p.name, t) for p, text in pages.items() for t in re.findall(r"<img[^>]*>", text)]
    silent = [f for f in figures if len((re.search(r'alt="([^"]*)"', f[1]) or ["", ""])[1]) < 4 or re.search(r'alt="[^"]*\.(?:png|svg)"', f[1])]
    assert len(figures) > 50 and not silent, silent[:5]


def test_the_site_is_small_and_has_a_copy_for_programs(site):
    size = sum(f.stat().st_size for f in site.rglob("*") if f.is_file())
    assert size < MOST_BYTES, f"{size / 1e6:.1f} MB"
    told = (site / "llms.txt").read_text(encoding="utf-8")
    linked = re.findall(r"\]\(([^)]+\.md)\)", told)
    assert len(linked) > 60 and not [x for x in linked if not (site / x).is_file()]
    lima = (site / "qa/lima.md").read_text(encoding="utf-8")
    assert lima.startswith("# LIMA") and "`lima_select(" in lima and "{py:" not in lima and ":::" not in lima


FIRST = "do/pdf do/vllm do/provider do/openapi do/judge do/train start/row start/install".split()


def test_what_people_come_for_is_one_page_from_the_front(pages, site):
    "PDFs, a server of one's own, another provider, tools of an API, a judge, a student: named on the front page itself, and each a page with its commands"
    front = pages[site / "index.html"].partition("<article")[2]
    assert not [p for p in FIRST if f'href="{p}.html"' not in front or "synthgen" not in pages[site / f"{p}.html"]]
    assert '<a class="next-page" href="documents.html">' in pages[site / "start/install.html"], "a page leads to the next"


def test_versions_stand_beside_each_other(site, tmp_path):
    "Each in its folder, newest release first, in a browser with a way between them"
    served, add = tmp_path / "served", [sys.executable, ROOT / "nbs/_docs/versions.py", site]
    for name in ("main", "v0.9.0", "v0.10.0"):
        subprocess.run([*add, served, name], check=True, stdout=subprocess.DEVNULL)
    assert json.loads((served / "versions.json").read_text()) == ["v0.10.0", "v0.9.0", "main"]
    assert "v0.10.0/" in (served / "index.html").read_text() and (served / "main/qa/lima.html").is_file()
    assert subprocess.run([*add, served, "../x"], capture_output=True).returncode == 1


ASKED = {  # what people type → a page that answers it, to be among the first three
    "hugging face": "do/hub",
    "how do I add a provider": "do/provider",
    "resume after crash": "do/resume",
    "ollama": "do/ollama",
    "budget": "do/budget",
    "duplicate questions": "do/duplicates",
    "judge agreement": "do/judge",
    "pdf": "do/pdf",
    "word": "do/word",
    "openapi": "do/openapi",
    "mcp": "do/mcp",
    "loss mask": "do/train",
    "llama factory": "do/train",
    "train": "do/train",
    "compare two runs": "do/ablate",
    "why was this row dropped": "do/dropped",
    "cost": "do/budget",
    "rate limit 429": "do/limits",
    "seed": "do/seed",
    "ray cluster": "do/ray",
}


def test_the_search_answers_what_is_asked(site):
    "By the site's own scripts"
    if not (node := shutil.which("node")):
        pytest.skip("node is not here to run the search of the site")
    r = subprocess.run([node, ROOT / "tests/search.js", site], input=json.dumps([*ASKED]), capture_output=True, text=True, check=True)
    found = {q: [page.partition("#")[0] for page, _ in hits[:3]] for q, hits in json.loads(r.stdout).items()}
    assert not {q: found[q] for q, page in ASKED.items() if page not in found[q]}
