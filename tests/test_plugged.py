"""A package from elsewhere adds a method, a world, a provider, prompts and a reader; one that is broken is named, and the rest works on."""
import os
import subprocess
import sys
import sysconfig
from importlib.util import find_spec

import pytest
from conftest import ROOT, rows

from synthgen_nb.core.records import Pair, save

ICS = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nSUMMARY:Release day\r\nDTSTART:20260105T100000Z\r\nDESCRIPTION:{}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"


@pytest.fixture(scope="module")
def away(tmp_path_factory):
    "A throw-away environment: this package and what it needs from the one of the tests, the template as a wheel"
    at = tmp_path_factory.mktemp("plugged")
    env = {k: v for k, v in os.environ.items() if not k.startswith("SYNTHGEN_")} | {"PYTHONPATH": str(ROOT)}

    def run(*args, ok=True):
        r = subprocess.run(list(map(str, args)), cwd=at, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert (r.returncode == 0) == ok, r.stdout + r.stderr
        return r

    here = ["--no-build-isolation"] if find_spec("hatchling") else []  # else pip fetches it
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", *here, "--disable-pip-version-check", "-q", "-w", "dist", ROOT / "nbs/_docs/plugin")
    run(sys.executable, "-m", "venv", "--without-pip", "env")
    python, site = at / "env/bin/python", next((at / "env").glob("lib/python*/site-packages"))
    (site / "deps.pth").write_text(sysconfig.get_path("purelib") + "\n")
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", "--disable-pip-version-check", "-q",
        next((at / "dist").glob("*.whl")))
    run.at, run.site = at, site
    run.synthgen = lambda *args, ok=True: run(python, "-c", "from synthgen_nb.cli.main import main; main()", *args, ok=ok)
    save([Pair(question="What is a chunk?", answer="A chunk is a piece of a document that is stored whole.")], at / "pairs.jsonl")
    return run


def test_the_method_is_a_command_with_its_prompt_and_its_offline_reply(away):
    assert "shorten" in away.synthgen("--help").stdout
    assert "--max-words" in away.synthgen("shorten", "--help").stdout
    away.synthgen("shorten", "pairs.jsonl", "-o", "short.jsonl", "--max-words", "3")
    assert rows(away.at / "short.jsonl")[0]["answer"] == "A chunk is"


def test_the_provider_answers(away):
    assert "echo" in away.synthgen("list-providers").stdout
    away.synthgen("shorten", "pairs.jsonl", "-o", "echoed.jsonl", "--provider", "echo")
    made = rows(away.at / "echoed.jsonl")[0]
    assert made["answer"].endswith("stored whole.") and made["origin"][-1]["model"] == "echo/echo-1"


def test_the_world_runs_calls(away):
    away.synthgen("tool-parse", "dice:20", "-o", "tools.jsonl")
    assert rows(away.at / "tools.jsonl")[0]["name"] == "roll"


def test_the_rubric_and_the_prompt_are_there(away):
    listed = away.synthgen("prompts").stdout
    assert "brief" in listed and "shorten" in listed
    away.synthgen("curate", "pairs.jsonl", "-o", "good.jsonl", "--rubric", "brief", "--threshold", "0")
    assert {s["criterion"] for s in rows(away.at / "good.jsonl")[0]["scores"]} >= {"clarity", "usefulness"}


def test_the_reader_reads(away):
    (away.at / "release.ics").write_text(ICS.format("The chunk cache is one mebibyte from this release on. " * 5))
    (away.at / "broken.ics").write_text("nothing of the kind")
    made = away.synthgen("ingest", "release.ics", "broken.ics", "-o", "db")
    assert "1 chunks in db from 1 documents" in made.stdout and "no event in it" in made.stderr
    assert "release.ics" in away.synthgen("search", "db", "chunk cache").stdout


def test_what_does_not_load_is_named_and_the_rest_works_on(away):
    info = away.site / "synthgen_broken-0.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: synthgen-broken\nVersion: 0.3\n")
    (info / "entry_points.txt").write_text(
        "[synthgen_nb.qa]\ngone = no_such_package.method\nhalf = half_method\nours = taken_method\n[synthgen_nb.worlds]\nbad = bad_package.world\n"
        "[synthgen_nb.providers]\nopenai = own_openai\nodd = odd_provider\n[synthgen_nb.prompts]\nnone = no_such_package\n")
    (away.site / "half_method.py").write_text("METHOD = Method(name='half', title='Half')\n")
    (away.site / "taken_method.py").write_text("METHOD = Method(name='lima', title='L', faithful='paper', claim='c', takes='pairs')\n")
    (away.site / "own_openai.py").write_text("PROVIDER = Service(model='x')\n")
    (away.site / "odd_provider.py").write_text("PROVIDER = Service(model='x', colour='red')\n")
    (away.site / "bad_package").mkdir()
    (away.site / "bad_package/__init__.py").write_text("raise RuntimeError('no licence key')\n")
    try:
        r = away.synthgen("shorten", "pairs.jsonl", "-o", "short.jsonl")
        said = [line for line in r.stderr.splitlines() if line.startswith("plug-in")]
        for name, why in (("gone", "No module named 'no_such_package'"), ("half", "with faithful, claim, takes"), ("ours", "the name lima is taken"),
                          ("bad", "no licence key"), ("openai", "the name openai is taken"), ("odd", "colour"), ("none", "no_such_package")):
            assert [line for line in said if f"'{name}' of synthgen-broken 0.3" in line and why in line], (name, r.stderr)
        assert len(said) == len(set(said)) and rows(away.at / "short.jsonl")
        assert away.synthgen("tool-parse", "hdf5", "-o", "tools.jsonl") and away.synthgen("list-providers")
    finally:
        (info / "entry_points.txt").unlink()
