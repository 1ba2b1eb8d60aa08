"""The wheel carries all it needs: installed away from the checkout it makes a training file."""

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from importlib.util import find_spec

from conftest import ROOT, rows


def test_wheel_works_away_from_the_checkout(tmp_path, docs):
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    away = lambda *args: subprocess.run(
        list(map(str, args)), cwd=tmp_path, env=clean, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    here = ["--no-build-isolation"] if find_spec("hatchling") else []  # else pip fetches it
    built = away(sys.executable, "-m", "pip", "wheel", "--no-deps", *here, "--disable-pip-version-check", "-q", "-w", "dist", ROOT)
    assert built.returncode == 0, built.stderr
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    for what, to in (("prompts", "prompts"), ("nbs/pipelines", "pipelines")):
        files = {
            f.relative_to(ROOT / what).as_posix()
            for f in (ROOT / what).rglob("*.*")
            if f.suffix in (".yaml", ".ipynb") and ".ipynb_checkpoints" not in f.parts
        }
        assert files and {f"synthgen_nb/_assets/{to}/{f}" for f in files} <= inside
    data = {f.relative_to(ROOT).as_posix() for f in (ROOT / "synthgen_nb").rglob("*.*") if f.suffix in (".yaml", ".txt")}
    assert data and data <= inside
    assert not [n for n in inside if n.startswith(("tests/", "nbs/", "runs/"))]

    # our own package comes from the wheel, what it depends on from the environment of the tests
    assert away(sys.executable, "-m", "venv", "--without-pip", "env").returncode == 0
    python, site = tmp_path / "env/bin/python", next((tmp_path / "env").glob("lib/python*/site-packages"))
    installed = away(
        sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", "--disable-pip-version-check", "-q", wheel
    )
    assert installed.returncode == 0, installed.stderr
    (site / "deps.pth").write_text(f"import sys; sys.path.append({sysconfig.get_path('purelib')!r})\n")
    synthgen = lambda *args: away(tmp_path / "env/bin/synthgen", *args)

    assert away(python, "-c", "import synthgen_nb; print(synthgen_nb.__file__)").stdout.startswith(str(site))
    listed = synthgen("prompts")
    assert listed.returncode == 0 and all(name in listed.stdout for name in ("qa_text", "rewrite", "workbench")), listed.stderr
    made = synthgen("pipeline", "docs", "-o", "train.jsonl", "--target-pairs", "3")
    assert made.returncode == 0, made.stderr
    assert len(rows(tmp_path / "train.jsonl")) == 3
    record = json.loads(next(tmp_path.glob("runs/*/run.json")).read_text())
    assert record["status"] == "done" and "commit" not in record["versions"], "it is not of any repository around"
