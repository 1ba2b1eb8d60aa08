"""Adding a method or a world touches its own notebook and its prompts, and nothing else: shown with one of each, from nothing to a command."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from conftest import rows, write_docs
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from synthgen_nb.core.methods import Method, declared, method, methods
from synthgen_nb.core.records import SynthgenError

ROOT = Path(__file__).resolve().parents[1]

EXAMPLE = ROOT / "nbs/_docs/plugin/synthgen_example"  # the same method as a package of its own
SHORTEN = [
    "# Shorten\n\n> Answers in at most so many words.",
    "#| default_exp qa.shorten",
    "#| export\n" + (EXAMPLE / "shorten.py").read_text().replace("synthgen_example.shorten", "synthgen_nb.qa.shorten").partition("\n")[2],
]
PROMPT = (EXAMPLE / "prompts/shorten.yaml").read_text()
DICE = [
    "# Dice\n\n> A world of one tool.",
    "#| default_exp worlds.dice",
    """#| export
from synthgen_nb.specs.tool import Tool
from synthgen_nb.worlds.world import Local, World, WorldKind""",
    """#| export
WORLD = WorldKind(name='dice', usage='dice, dice:SIDES', help='dice with so many sides', maker='open_dice', own_tools=True)

def open_dice(rest: str, tools, model) -> World:
    roll = Tool(name='roll', effect='read', description='Roll a die.', returns={'type': 'integer'})
    return Local('dice', [roll], {'roll': lambda env: int(rest or 6)}, lambda initial: None)""",
]


def notebook(path, cells):
    made = [new_markdown_cell(cells[0], id="title")] + [new_code_cell(s, id=f"cell-{i}x") for i, s in enumerate(cells[1:])]
    nbformat.write(new_notebook(cells=made, metadata=dict(kernelspec=dict(name="python3", display_name="python3", language="python"))), path)


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    "A copy of the checkout with a method and a world more, exported; the files that this changed; and a way to run it"
    tree = tmp_path_factory.mktemp("grown")
    for part in ("nbs", "synthgen_nb", "prompts", "settings.ini", "pyproject.toml", "README.md"):
        here = ROOT / part
        (shutil.copytree if here.is_dir() else shutil.copy)(here, tree / part)
    kept = lambda f: f.is_file() and "__pycache__" not in f.parts and f.name != "_modidx.py"  # nbdev's index is not in git
    state = lambda: {f.relative_to(tree).as_posix(): f.read_bytes() for f in tree.rglob("*") if kept(f)}
    before = state()
    notebook(tree / "nbs/qa/69_shorten.ipynb", SHORTEN)
    (tree / "prompts/shorten.yaml").write_text(PROMPT)
    notebook(tree / "nbs/worlds/39_dice.ipynb", DICE)
    subprocess.run([Path(sys.executable).with_name("nbdev_export")], cwd=tree, check=True, capture_output=True)
    after = state()
    env = {k: v for k, v in os.environ.items() if not k.startswith("SYNTHGEN_")} | {"PYTHONPATH": str(tree)}

    def run(*args, ok=True):
        code = "from synthgen_nb.cli.main import main; main()"
        r = subprocess.run([sys.executable, "-c", code, *map(str, args)], cwd=tree, env=env, capture_output=True, text=True, timeout=300)
        assert (r.returncode == 0) == ok, r.stdout + r.stderr
        return r

    write_docs(tree / "docs", 3)
    run.tree, run.changed = tree, sorted(f for f in after if before.get(f) != after[f])
    return run


def test_nothing_but_its_own_files_is_touched(grown):
    own = ["nbs/qa/69_shorten.ipynb", "nbs/worlds/39_dice.ipynb", "prompts/shorten.yaml"]
    made = ["synthgen_nb/qa/shorten.py", "synthgen_nb/worlds/dice.py"]  # by nbdev_export
    assert grown.changed == sorted(own + made)


def test_the_method_has_a_command_and_an_offline_reply(grown):
    assert "Answers in at most so many words" in grown("--help").stdout
    assert "--max-words" in grown("shorten", "--help").stdout
    grown("ingest", "docs", "-o", "db")
    grown("generate", "db", "-o", "pairs.jsonl", "--n-pairs", 1)
    told = grown("shorten", "pairs.jsonl", "-o", "short.jsonl", "--max-words", 3).stdout
    short = rows(grown.tree / "short.jsonl")
    assert len(short) == 3 and all(len(p["answer"].split()) <= 3 for p in short) and "kept 3, dropped 0" in told
    assert all(p["origin"][-1]["method"] == "shorten" and p["origin"][-1]["prompt_hash"] for p in short)


def test_the_method_is_a_stage_of_the_pipeline(grown):
    grown("pipeline", "docs", "-o", "train.jsonl", "--step", "shorten", "--no-rewrite")
    said = [r["messages"][-1]["content"] for r in rows(grown.tree / "train.jsonl")]
    assert said and all(len(s.split()) <= 5 for s in said)
    (record,) = grown.tree.glob("runs/*/run.json")
    assert "shorten" in [f["stage"] for f in json.loads(record.read_text())["funnel"]]


def test_a_misspelt_step_is_an_error_that_names_the_nearest(grown):
    told = grown("pipeline", "docs", "-o", "train2.jsonl", "--step", "shortn", ok=False).stderr
    assert "shortn" in told and "did you mean 'shorten'" in told and "Traceback" not in told


def test_the_world_opens_by_its_name_and_stands_in_the_help(grown):
    told = grown("tool-parse", "dice", "-o", "tools.json").stdout
    assert "1 tools (1 read)" in told
    made = grown("tool-generate", "dice", "-o", "rolls.jsonl", "--target-pairs", 1, "--single-step").stdout
    assert "every call executed in dice" in made
    assert "dice" in grown("tool-execute", "--help").stdout


def test_every_declaration_is_sound():
    for m in methods().values():
        assert isinstance(m, Method) and m.module.startswith("synthgen_nb.")
        if m.step:
            assert callable(m.function()), m.module
        for task, place in m.replies.items():
            module, _, function = place.partition(":")
            assert hasattr(__import__(module, fromlist=["x"]), function), f"{m.name}: no {place} for {task}"
    with pytest.raises(SynthgenError, match="did you mean 'deita'"):
        method("deitta")
    assert len(declared("worlds", "WORLD")) >= 7


def test_the_command_that_a_method_names_is_there_with_its_option():
    from typer.main import get_command

    from synthgen_nb.cli.main import app, register
    from synthgen_nb.core.methods import methods

    register([])
    there = get_command(app).commands
    for m in methods().values():
        name, *rest = m.command.split() or [""]
        assert name in there, f"{m.name} names {m.command!r}"
        assert {w for w in rest if w[:2] == "--"} <= {o for p in there[name].params for o in p.opts}, m.command
