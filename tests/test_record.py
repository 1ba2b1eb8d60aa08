"""However a notebook is started, it leaves the same record, and one that ends early is taken for what it is."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import nbformat
import papermill
import pytest
from conftest import fork, rows, write_docs
from execnb.shell import CaptureShell
from jupyter_client.manager import start_new_kernel
from nbformat.v4 import new_code_cell, new_notebook

from synthgen_nb.core.calls import Calls
from synthgen_nb.core.calls import rows as call_rows
from synthgen_nb.core.models import DRAWS
from synthgen_nb.core.records import Pair, SynthgenError
from synthgen_nb.experiments.record import begin, finish
from synthgen_nb.export.formats import export, formats_for
from synthgen_nb.experiments.runs import find_pipeline, read_run

IMPORTS = "from synthgen_nb.experiments.record import begin, finish"


def until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def kernels(monkeypatch):
    "Kernels start quickly"
    monkeypatch.setenv("JUPYTER_PATH", str(Path(fork()[-2]).parent))


def test_papermill_and_the_command_leave_the_same_record(kernels, docs, synthgen):
    synthgen("run", "qa", "-p", "source=docs", "-p", "target_pairs=4")
    papermill.execute_notebook(find_pipeline("qa"), "out.ipynb", dict(source=["docs"], target_pairs=4), progress_bar=False, kernel_name="python3")
    a, b = (json.loads(f.read_text()) for f in sorted(Path("runs").glob("*/run.json")))
    first = nbformat.read(Path("runs", a["name"], "qa.ipynb"), 4).cells[0].source
    shown = [o.data["text/markdown"] for c in nbformat.read("out.ipynb", 4).cells for o in c.get("outputs", []) if "text/markdown" in o.get("data", {})]
    title, about = first.split("\n\n> ")
    assert shown[0].startswith(title) and about.split(" It rests on")[0] in shown[0] and "## Provenance" in shown[0], "its head, from within"
    assert a["status"] == b["status"] == "done" and a["seconds"] > 0 < b["seconds"]
    differing = {"name", "started", "seconds", "command", "parameters", "stages"}
    assert [*a] == [*b] and {k: v for k, v in a.items() if k not in differing} == {k: v for k, v in b.items() if k not in differing}
    p, q = a["parameters"], b["parameters"]
    assert {k for k in p if p[k] != q[k]} == {"run_dir", "command"} and q["run_dir"] == f"runs/{b['name']}" and [*p] == [*q]
    assert sum(s["paid"] for s in a["stages"]) > 0 == sum(s["paid"] for s in b["stages"]), "the store is the same"
    assert {f.name for f in Path(p["run_dir"]).iterdir()} - {f.name for f in Path(q["run_dir"]).iterdir()} == {"qa.ipynb"}


def test_an_early_end_is_told_in_a_kernel_that_goes_on(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    km, kc = start_new_kernel(kernel_name="python3")

    def run(code: str, wait: bool = True) -> str:
        m = kc.execute(code, stop_on_error=False)
        while wait and (r := kc.get_shell_msg(timeout=60))["parent_header"].get("msg_id") != m:
            pass
        return r["content"]["status"] if wait else ""

    state = lambda: {k: v for k, v in read_run(Path("at").read_text()).items() if k in ("status", "error", "counts")}
    new = "out = begin('k', globals())\nopen('at', 'w').write(str(out))"
    try:
        assert run(f"{IMPORTS}\nimport time\nn: int = 3\n{new}") == "ok" and state() == dict(status="running")
        run("open('begun', 'w').close()\ntime.sleep(60)", wait=False)
        until(lambda: Path("begun").exists())
        km.interrupt_kernel()
        until(lambda: state() == dict(status="interrupted", error="Ctrl-C"))
        assert run(new) == "ok" and run("1 / 0") == "error"
        assert state() == dict(status="failed", error="ZeroDivisionError: division by zero")
        assert run("finish(out, dict(counts=n))") == "ok" and state() == dict(status="done", counts=3), "mended, and gone on"
        assert run("1 / 0") == "error" and state()["status"] == "done", "what is tried afterwards is no part of it"
        assert run(new) == "ok"
    finally:
        km.shutdown_kernel(now=True)
    assert state() == dict(status="interrupted"), "its process is gone"


def test_a_killed_process_leaves_an_interrupted_run():
    code = f"import os\n{IMPORTS}\nn: int = 3\nbegin('k', globals())\nos.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])})
    (folder,) = Path("runs").iterdir()
    assert read_run(folder)["status"] == "interrupted" and read_run(folder)["parameters"] == dict(n=3)


def test_a_notebook_of_ones_own_under_the_command(synthgen):
    cells = [
        new_code_cell("n: int = 4  # how many\nrun_dir: str = ''", metadata=dict(tags=["parameters"])),
        new_code_cell(f"{IMPORTS}\nout = begin('squares', globals(), run_dir)"),
        new_code_cell("finish(out, dict(counts=dict(squares=12 // n)))"),
    ]
    kernel = dict(kernelspec=dict(name="python3", display_name="python3", language="python"))
    nbformat.write(new_notebook(cells=cells, metadata=kernel), "squares.ipynb")
    synthgen("run", "squares.ipynb", "-p", "n=6")
    synthgen("run", "squares.ipynb", "-p", "n=0", ok=False)
    good, bad = (json.loads(f.read_text()) for f in sorted(Path("runs").glob("*/run.json")))
    assert good["status"] == "done" and good["counts"] == dict(squares=2) and good["parameters"]["n"] == 6
    assert good["command"] == "synthgen run squares.ipynb -p n=6" and "pid" not in good
    assert bad["status"] == "failed" and "ZeroDivisionError" in bad["error"] and "counts" not in bad


def test_keys_are_refused_and_a_shell_without_cells_is_fine():
    names = dict(__annotations__=dict(note=str), note="sk-abcdefgh12345678")
    with pytest.raises(SynthgenError, match="looks like a secret"):
        begin("k", names)
    assert not Path("runs").exists(), "nothing was begun"
    out = begin("k", dict(__annotations__=dict(n=int), n=1), "here")
    finish(out, {})
    assert read_run("here")["status"] == "done"


def test_two_notebooks_in_one_process_keep_apart():
    first, second = CaptureShell(), CaptureShell()
    for s, n in ((first, 1), (second, 0)):
        s.run(f"{IMPORTS}\nn: int = {n}\nout = begin('k', globals())")
    second.run("1 / n")
    first.run("finish(out, dict(counts=n))")
    assert [read_run(s.user_ns["out"])["status"] for s in (first, second)] == ["done", "failed"]


def test_another_seed_shares_no_call_and_takes_other_chunks(tmp_path, synthgen):
    write_docs(tmp_path / "docs", 6)

    def made(*more) -> tuple[dict, set[str]]:
        synthgen("run", "qa", "-p", "source=docs", "-p", "max_chunks=3", *more)
        folder = Path("runs", max(os.listdir("runs")))
        chunks = {p["chunk_id"] for p in rows(folder / "records/generated.jsonl")}
        return json.loads((folder / "run.json").read_text()), chunks

    sent = lambda r: (sum(s["calls"] for s in r["stages"]), sum(s["paid"] for s in r["stages"]))
    first, chunks = made()
    one, chunks_1 = made("-p", "seed=1")
    assert sent(one)[0] == sent(one)[1] > 0 and len(chunks_1) == len(chunks) == 3 and chunks_1 != chunks
    with Calls(".synthgen/calls.db") as calls:
        draws = Counter(c["request"]["sample"] for c in call_rows(calls))
    assert draws == {0: sent(first)[0], DRAWS: sent(one)[0]}, "without a seed the calls are those of before there were any"


def test_every_format_names_its_records_and_none_does_without_ids(tmp_path):
    p = Pair(question="What is a chunk?", answer="The unit of I/O.", reasoning=("It is read whole.", "So it is the unit."))
    ways = [(f, r) for f in formats_for(Pair) for r in ("think", "multitask") if f != "jsonl"]
    for f, r in ways:
        export([p], tmp_path / "with.jsonl", f, reasoning=r)
        export([p], tmp_path / "without.jsonl", f, reasoning=r, ids=False)
        named, bare = rows(tmp_path / "with.jsonl"), rows(tmp_path / "without.jsonl")
        assert {x.get("pair_id", x["id"]) for x in named} == {p.id}, f
        assert bare == [{k: v for k, v in x.items() if k not in ("id", "pair_id")} for x in named] and p.id not in str(bare)


@pytest.mark.parametrize("text, why", [('{"name": "x"}', "has no status"), ("[1]", "cannot be read"), ("{", "cannot be read")])
def test_a_record_that_is_none_is_named(tmp_path, text, why):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(SynthgenError, match=f"run.json.*{why}"):
        read_run(tmp_path)
