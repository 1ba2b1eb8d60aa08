"""What the README and CONTRIBUTING tell a reader to type does what they say; and looking at help costs nothing."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from itertools import pairwise
from pathlib import Path

import fpdf
import pytest
import typer
import yaml
from conftest import EXAMPLES, ROOT, SYNTHGEN, command, example, fork, rows, write_docs

from synthgen_nb.cli.main import app, register

ELSEWHERE = {  # lines that are run by somebody else, or by hand
    "make demo": "CI",
    "make test": "CI",
    "make docs": "test_repo builds the site",
    "make export": "test_repo exports",
    "make lab": "opens JupyterLab",
    "python nbs/_docs/rhythm.py": "test_rhythm",
    "python nbs/_docs/build.py runs/study-mine": "test_repo builds the site with it",
    ". .venv/bin/activate": "the tests run in an environment already",
}
HEAVY = ("litellm", "datasets", "lancedb", "pandas", "pyarrow", "numpy", "sklearn", "matplotlib", "papermill", "IPython", "pydantic")


def text(name: str) -> str:
    "A document, or those of a folder in the order in which they are read"
    if name != "nbs/_docs/start":
        return (ROOT / name).read_text()
    order = re.search(r"^START = '(.*?)'", (ROOT / "nbs/_docs/book.py").read_text(), re.M)[1].split()
    return "\n".join((ROOT / name / f"{n}.md").read_text() for n in order)


def lines(name: str) -> list[str]:
    "The commands in the sh blocks of a document, in order, without comments"
    blocks = re.findall(r"^```(?:sh|bash|console|shell)\n(.*?)^```", text(name), re.S | re.M)
    return [c for b in blocks for line in b.splitlines() if (c := line.split(" #")[0].strip()) and not c.startswith("#")]


HOW_TOS = sorted((ROOT / "nbs/_docs/do").glob("*.md"))
# an archive, documents with something to look up, a trained model, another run; or it stays until it is stopped
NEEDS_MORE = {"unpack", "tool-annotate", "student", "select-less", "ablate", "bundle", "replay", "serve", "tool-serve", "mcp"}


def test_every_command_shows_what_it_prints():
    register([])
    command = typer.main.get_command(app)
    names = {f"{n} {x}" for n, c in command.commands.items() for x in getattr(c, "commands", {})}
    names |= {n for n, c in command.commands.items() if not hasattr(c, "commands")}
    shown = yaml.safe_load(EXAMPLES.read_text())
    assert {*shown} <= names and names - {*shown} <= NEEDS_MORE
    assert not [n for n, e in shown.items() if "/tmp/" in e["prints"] or "Traceback" in e["prints"]]


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "nbs/_docs/start", "nbs/_docs/skill/SKILL.md"])
def test_every_documented_line_runs_as_written(tmp_path, server, name, pytestconfig):
    write_docs(tmp_path / "docs", 5)
    write_docs(tmp_path / "pages", 12)
    env = {k: v for k, v in os.environ.items() if not k.startswith("SYNTHGEN_")} | {"SYNTHGEN_LLM_OLLAMA_BASE_URL": server.url}
    synthgen, ran = fork(), []
    for box in re.findall(r"```yaml\n(question:.*?)```", text(name), re.S):
        (tmp_path / "study.yaml").write_text(box)
    for line in lines(name):
        program, *args = shlex.split(line)
        if program != "synthgen":
            assert line in ELSEWHERE, f"{name} says {line!r}, which nobody runs: add it to ELSEWHERE with who does"
            continue
        r = subprocess.run([*synthgen, *args], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
        assert r.returncode == 0, f"{line}\n{r.stdout}\n{r.stderr}"
        assert r.stdout.strip() and "Traceback" not in r.stderr, line
        ran.append(line)
        if name == "nbs/_docs/start":
            example(pytestconfig, line, r.stdout, tmp_path, name)
        for flag, file in pairwise(args):
            assert flag != "-o" or (tmp_path / file).exists(), f"{line} wrote no {file}"
        if "--target-pairs 20" in line:
            assert len(rows(tmp_path / "train.jsonl")) == 20 or "corpus exhausted" in r.stderr
    assert ran and (len(server.log()) > 0) == any("ollama" in line for line in ran)


FORMS = "http://schemas.openxmlformats.org"
WORD = f'<w:document xmlns:w="{FORMS}/wordprocessingml/2006/main"><w:body>{{}}</w:body></w:document>'
TYPES = (
    f'<Types xmlns="{FORMS}/package/2006/content-types"><Default Extension="xml" ContentType="application/xml"/><Override PartName='
    '"/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
RELATIONS = (
    f'<Relationships xmlns="{FORMS}/package/2006/relationships"><Relationship Id="r1" Type='
    f'"{FORMS}/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>'
)


def prepare(folder):
    "What the how-tos speak of as the reader's own: documents of several kinds"
    docs = write_docs(folder / "docs", 3)
    shutil.copytree(docs, folder / "project")
    (folder / "project/cache.py").write_text('def put(key, value):\n    "Keep a value until the cache is full."\n    STORE[key] = value\n')
    text = (docs / "doc000.md").read_text()
    (folder / "pages").mkdir()
    body = "".join(f"<p>{p}</p>" for p in text.split("\n\n") if p[0] != "#")
    (folder / "pages/cache.html").write_text(f"<html><head><title>Cache</title></head><body><main><h1>The cache</h1>{body}</main></body></html>")
    (folder / "papers").mkdir()
    pdf = fpdf.FPDF()
    pdf.add_page()
    pdf.set_font("helvetica", size=11)
    pdf.multi_cell(0, 6, text)
    pdf.output(str(folder / "papers/manual.pdf"))
    (folder / "office").mkdir()
    paragraphs = "".join(f"<w:p><w:r><w:t>{p}</w:t></w:r></w:p>" for p in text.replace("`", "").split("\n\n"))
    names = {"_rels/.rels": RELATIONS, "word/document.xml": WORD.format(paragraphs), "[Content_Types].xml": TYPES}
    with zipfile.ZipFile(folder / "office/manual.docx", "w") as z:
        for name, part in names.items():
            z.writestr(name, part)


@pytest.mark.parametrize("page", HOW_TOS, ids=lambda p: p.stem)
def test_every_how_to_runs(tmp_path, server, page, pytestconfig):
    "The boxes of a page, saved and run in its order; the model is the offline one where the page names none"
    told = page.read_text()
    prepare(tmp_path)
    run = command(tmp_path)
    for name, box in re.findall(r"^(?:Save|.*\bsave) this as `([\w./]+)`[^\n]*\n\n```\w+\n(.*?)^```", told, re.S | re.M):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(box)
    env = {"SYNTHGEN_LLM_OLLAMA_BASE_URL": server.url, "SYNTHGEN_LLM_VLLM_BASE_URL": f"{server.url}/v1", "MY_SERVER": server.url, "MY_KEY": "sk-mock"}
    env["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # as for somebody who has activated .venv
    if page.stem in ("ollama", "vllm", "budget"):
        (tmp_path / "synthgen.yaml").unlink()  # the page shows it for later
    said = lines(f"nbs/_docs/do/{page.name}")
    if any("docs_db" in line for line in said):
        run("ingest", "docs", "-o", "docs_db")
    for line in said:
        program, *args = shlex.split(line)
        if program == "python":
            subprocess.run([sys.executable, *args], cwd=tmp_path, check=True)
            continue
        assert program == "synthgen", line
        r = run(*args, env=env)
        assert r.stdout.strip(), line
        example(pytestconfig, line, r.stdout, tmp_path, page.stem)
        for flag, file in pairwise(args):
            assert flag != "-o" or (tmp_path / file).exists(), f"{line} wrote no {file}"
    shown = re.findall(r"^```text\n(.*?)^```", told, re.S | re.M)
    known = {c.name or c.callback.__name__.replace("_", "-") for c in app.registered_commands} | {g.name for g in app.registered_groups}
    for name in re.findall(r"^synthgen (?:--engine \S+ )?([a-z-]+)", "\n".join(shown), re.M):
        assert name in known or name == "shorten", name
    assert said or shown or "make export" in told


def test_what_the_cluster_page_shows_can_be_read():
    "Values as YAML, the script by the shell"
    blocks = re.findall(r"^```(yaml|bash)\n(.*?)^```", (ROOT / "nbs/_docs/cluster.md").read_text(), re.S | re.M)
    for kind, text in blocks:
        if kind == "yaml":
            assert isinstance(yaml.safe_load(text), dict)
        else:
            r = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True)
            assert r.returncode == 0 and text.startswith("#!"), r.stderr
    assert {k for k, _ in blocks} == {"yaml", "bash"}


def test_help_names_every_command():
    register([])
    env, names = os.environ | {"COLUMNS": "200"}, [c.name or c.callback.__name__ for c in app.registered_commands]
    names += [g.name for g in app.registered_groups]
    ask = lambda *args: subprocess.run([SYNTHGEN, *args], capture_output=True, text=True, env=env)
    said = ask("--help")
    assert said.returncode == 0 and len(names) >= 12
    told = dict(re.findall(r"^  ([a-z-]+)  +(\S.*)$", said.stdout.split("\nBegin:")[1], re.M))
    assert set(told) == set(names) and all(told.values())
    for flag in ("--target-pairs", "--threshold", "--provider", "--chunk-tokens", "--format"):
        assert flag in ask("pipeline", "-h").stdout


HELP = """
import sys
from synthgen_nb.cli.main import main
sys.argv = ["synthgen", "--help"]
try: main()
except SystemExit: pass
"""


@pytest.mark.parametrize("code", ["import synthgen_nb.cli.main", HELP], ids=["import", "help"])
def test_looking_costs_nothing(code):
    code += f"\nimport sys; print('loaded:', [m for m in {HEAVY} if m in sys.modules])"
    r = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert r.returncode == 0 and r.stdout.splitlines()[-1] == "loaded: []", r.stdout + r.stderr


def test_offline_pipeline_imports_no_network_client(tmp_path, docs):
    for name in ("litellm", "openai", "datasets", "torch"):  # take the place of the real ones, and tell
        (tmp_path / "guard" / name).mkdir(parents=True)
        (tmp_path / "guard" / name / "__init__.py").write_text(
            f"open({str(tmp_path / 'imported')!r}, 'a').write(__name__)\nraise ImportError(__name__)\n"
        )
    env = {"PYTHONPATH": os.pathsep.join(filter(None, [str(tmp_path / "guard"), os.environ.get("PYTHONPATH")]))}
    subprocess.run([sys.executable, "-c", "import litellm"], env=os.environ | env, capture_output=True)
    assert (tmp_path / "imported").read_text() == "litellm", "the guard works"
    (tmp_path / "imported").unlink()
    command(tmp_path, [SYNTHGEN])("pipeline", "docs", "-o", "train.jsonl", "--target-pairs", "2", env=env)
    assert len(rows(tmp_path / "train.jsonl")) == 2 and not (tmp_path / "imported").exists(), (tmp_path / "imported").read_text()
