"""Notebooks executed in this process: what they show is theirs, whoever runs beside them; errors and magics as in a kernel."""

import asyncio
import gc
import json
import signal
import subprocess
import sys
import time

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from synthgen_nb.experiments.executed import caught, execute, here, prepared

KERNEL = dict(kernelspec=dict(name="python3", display_name="python3", language="python"))


def notebook(path, *cells, parameters="n: int = 2"):
    made = [new_code_cell(parameters, metadata=dict(tags=["parameters"])), *map(new_code_cell, cells)]
    nbformat.write(new_notebook(cells=made, metadata=KERNEL), path)
    return path


def outputs(nb) -> list[str]:
    found = [o for c in nb.cells for o in c.get("outputs", [])]
    return [o.get("text") or o.get("evalue") or o["data"].get("text/plain") for o in found]


def test_two_at_once_keep_what_is_theirs(tmp_path, capsys):
    book = notebook(tmp_path / "n.ipynb", "import asyncio\nfor i in range(3):\n    print(n, i)\n    await asyncio.sleep(0.01)\nn * 21")

    async def both():
        made = [prepared(book, dict(n=i)) for i in (1, 2)]
        await asyncio.gather(*[execute(nb, tmp_path / f"{i}.ipynb") for i, nb in enumerate(made)])
        print("of the test")
        return made

    one, two = here(both())
    assert outputs(one) == ["1 0\n1 1\n1 2\n", "21"] and outputs(two) == ["2 0\n2 1\n2 2\n", "42"]
    assert capsys.readouterr().out == "of the test\n"


def test_an_error_ends_it_and_shows_the_line(tmp_path):
    nb = prepared(notebook(tmp_path / "n.ipynb", "print('before')", "def f(): return 1 / 0\nf()", "print('after')"), dict(n=1))
    assert isinstance(here(execute(nb, tmp_path / "done.ipynb")), ZeroDivisionError)
    assert outputs(nb) == ["before\n", "division by zero"]
    told = "\n".join(nb.cells[3].outputs[0].traceback)
    assert "return 1 / 0" in told and "executed.py" not in told


def test_magics_display_and_figures_of_a_users_notebook(tmp_path, synthgen):
    notebook(
        tmp_path / "own.ipynb",
        "%matplotlib inline\nfrom IPython.display import display\ndisplay({'a': n})\n!echo out",
        "import matplotlib.pyplot as plt\nplt.plot([1, 2]);",
    )
    synthgen("run", "own.ipynb", "-p", "n=3")
    (file,) = (tmp_path / "runs").glob("*-own/own.ipynb")
    data = [o.get("data", {}) or o["text"] for c in nbformat.read(file, 4).cells for o in c.get("outputs", [])]
    assert data[0]["text/plain"] == "{'a': 3}" and data[1].strip() == "out" and "image/png" in data[2]


def test_a_kernel_runs_the_same_notebook(tmp_path):
    "Plain papermill and a kernel of its own, as JupyterLab has one"
    (tmp_path / "doc.md").write_text("# The gear\n\nA gear is a toothed wheel that turns another one, and its ratio says how fast.\n")
    from synthgen_nb.experiments.runs import find_pipeline

    line = [sys.executable, "-m", "papermill", find_pipeline("qa"), "out.ipynb", "-k", "python3", "-y", "source: [doc.md]"]
    subprocess.run(line, cwd=tmp_path, check=True, capture_output=True)
    assert "error" not in {o.output_type for c in nbformat.read(tmp_path / "out.ipynb", 4).cells for o in c.get("outputs", [])}


def test_ctrl_c_is_heard_by_a_cell_that_only_computes(tmp_path):
    notebook(tmp_path / "n.ipynb", "open('there', 'w').close()\nx = 0\nwhile True: x += 1")
    code = "import sys\nfrom synthgen_nb.experiments.runs import run\ntry: run('n.ipynb', {})\nexcept KeyboardInterrupt: sys.exit(7)"
    heard = lambda: signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background has it ignored
    p = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stderr=subprocess.PIPE, text=True, preexec_fn=heard)
    until = time.monotonic() + 60
    while not (tmp_path / "there").exists() and time.monotonic() < until:
        time.sleep(0.05)
    p.send_signal(2)
    assert "stopped" in p.communicate(timeout=30)[1] and p.returncode == 7
    (record,) = (tmp_path / "runs").glob("*/run.json")
    assert json.loads(record.read_text())["status"] == "interrupted"


def test_ctrl_c_in_a_task_that_nobody_waits_for_is_no_noise(capsys):
    async def work():
        async def other():
            raise KeyboardInterrupt

        asyncio.get_running_loop().create_task(other())
        await asyncio.sleep(5)

    with pytest.raises(KeyboardInterrupt):
        here(work())
    gc.collect()
    assert not capsys.readouterr().err


def test_streams_are_given_back(capsys):
    was = sys.stdout, sys.stderr
    with caught():
        assert sys.stdout is not was[0] and not sys.stdout.isatty()
    assert (sys.stdout, sys.stderr) == was
