"The list in the order of work, an example on every page, the tab key, and JSON for programs"

import inspect
import json
import os
import re
import shlex
import shutil
import subprocess

import pytest
import typer
from conftest import SYNTHGEN, example, write_docs

from synthgen_nb.cli import agents  # noqa: F401, declares an error
from synthgen_nb.cli import app as options
from synthgen_nb.cli.app import CODES, code_of
from synthgen_nb.cli.help import PANELS
from synthgen_nb.cli.main import app, asked
from synthgen_nb.cli.methods import method_commands
from synthgen_nb.core.declared import signature_in
from synthgen_nb.core.methods import Method
from synthgen_nb.core.patience import Spent  # noqa: F401, likewise
from synthgen_nb.core.records import Pair, SynthgenError, Waiting
from synthgen_nb.export.formats import formats_for
from synthgen_nb.specs.trajectory import Trajectory

METHODS = method_commands()  # before they are registered


def pages() -> dict:
    "Every command with its options, those of a group as `judge exam`"
    found, names = {}, [c.name or c.callback.__name__ for c in app.registered_commands]
    for name, c in typer.main.get_command(asked([*METHODS, *names])).commands.items():
        inner = getattr(c, "commands", None)
        found |= {f"{name} {n}": x for n, x in inner.items()} if inner else {name: c}
    return found


PAGES = pages()


def test_commands_stand_in_the_order_of_work():
    told = subprocess.run([SYNTHGEN, "--help"], capture_output=True, text=True, env=os.environ | {"COLUMNS": "200"}).stdout
    places = [told.index(f"\n{p}:\n") for p in PANELS]
    assert places == sorted(places) and "\nCommands:" not in told, "every command has a panel"


@pytest.mark.parametrize("name", PAGES)
def test_every_command_has_an_example_that_parses(name):
    example = PAGES[name].epilog
    assert example and f"{example} ".startswith(f"{name} ") and len(example) < 100
    rest = shlex.split(example)[len(name.split()) :]
    PAGES[name].make_context(name, rest)  # a wrong option, or a missing argument, is an error


def test_what_tab_offers(tmp_path):
    (tmp_path / "runs" / "20260101-a").mkdir(parents=True)
    (tmp_path / "runs" / "20260101-a" / "run.json").write_text("{}")

    def tab(line: str) -> list[str]:
        words = line.split(" ")
        env = {"_SYNTHGEN_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
        said = subprocess.run([SYNTHGEN], capture_output=True, text=True, env=os.environ | env, cwd=tmp_path)
        assert not said.stderr
        return said.stdout.split()

    assert tab("synthgen tool-p") == ["tool-parse", "tool-pipeline"]
    assert tab("synthgen pipeline docs --thr") == ["--threshold"]
    assert tab("synthgen pipeline docs --provider o") == ["offline", "ollama", "openai"]
    assert tab("synthgen show ") == ["last", "20260101-a"] and tab("synthgen judge exam 2") == ["20260101-a"]
    (tmp_path / "synthgen.yaml").write_text("paths: {runs: [")
    assert tab("synthgen show ") == [], "a file that cannot be read is no noise in the line that is typed"


SHELLS = dict(  # what the key does in each, after the script that it installs
    bash='COMP_WORDS=(synthgen tool-p); COMP_CWORD=1; _synthgen_completion synthgen; printf "%s\\n" "${COMPREPLY[@]}"',
    zsh='words=(synthgen tool-p); CURRENT=2; _synthgen_completion',
    fish='complete -C "synthgen tool-p"',
)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_of_each_shell_offers_commands(shell):
    "Run by the shell itself; zsh draws its list only at a terminal, so what it is given to draw is printed"
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    env = os.environ | {"PATH": f"{SYNTHGEN.parent}:{os.environ['PATH']}"}
    script = subprocess.run([SYNTHGEN], capture_output=True, text=True, env=env | {"_SYNTHGEN_COMPLETE": f"source_{shell}"}).stdout
    drawn = 'compdef() {}\n_arguments() { print -r -- "$@" }\n' * (shell == "zsh")
    said = subprocess.run([shell, "-c", f"{drawn}{script}\n{SHELLS[shell]}"], capture_output=True, text=True, env=env)
    assert re.findall(r"tool-p\w+", said.stdout) == ["tool-parse", "tool-pipeline"] and not said.stderr, said


def test_errors_have_codes_for_programs(synthgen):
    told = synthgen("show", "nowhere", "--json", ok=False)
    error = json.loads(told.stdout)["error"]
    assert (error["code"], error["status"]) == ("not-possible", 1) and told.stderr == f"error: {error['message']}\n"
    kinds = {c.__name__ for c in [SynthgenError, *SynthgenError.__subclasses__()]}
    assert {*CODES} - kinds == {"NoRoom", "Usage", "Interrupted"}, "a code is of a type there is, or of what no type is for"
    codes = [code for code, _, _ in CODES.values()]
    assert len({*codes}) == len(codes) and all(re.fullmatch("[a-z-]+", c) for c in codes) and code_of(Waiting("x")) == "waiting" and CODES["Waiting"][1] == 75


def test_a_press_of_the_key_loads_nothing_heavy():
    code = "import sys; sys.argv = ['synthgen']\nfrom synthgen_nb.cli.main import main\ntry: main()\nexcept SystemExit: pass\n"
    code += "print('loaded:', [m for m in ('pydantic', 'asyncio', 'rich', 'numpy', 'yaml') if m in sys.modules])"
    env = {"_SYNTHGEN_COMPLETE": "complete_bash", "COMP_WORDS": "synthgen curate x --rubric w", "COMP_CWORD": "4"}
    said = subprocess.run([SYNTHGEN.with_name("python"), "-c", code], capture_output=True, text=True, env=os.environ | env)
    assert said.stdout.split("\n") == ["workbench", "loaded: []", ""], said.stderr


def test_formats_that_are_offered_are_those_there_are():
    assert options.PAIR_FORMATS.split() == [f for f in options.PAIR_FORMATS.split() if f in formats_for(Pair)]
    assert {*options.PAIR_FORMATS.split()} == {*formats_for(Pair)} and {*options.TOOL_FORMATS.split()} == {*formats_for(Trajectory)}


def test_tables_are_json_for_programs(synthgen):
    write_docs(synthgen.folder / "docs", 2)
    synthgen("ingest", "docs", "-o", "db")
    synthgen("generate", "db", "-o", "pairs.jsonl")
    read = lambda *line: json.loads(synthgen(*line, "--json").stdout)
    assert {r["source"] for r in read("sources", "db")} == {"docs"}
    assert len(read("search", "db", "cache", "-k", "2")) == 2 and read("search", "db", "xyzzyq", "--kind", "text") == []
    assert {r["kind"] for r in read("prompts")} == {"prompt", "rubric"}
    assert [r for r in read("list-providers") if r["provider"] == "* offline"]
    assert {r["model"] for r in read("calls")} == {"offline/extractive"}
    assert read("compare", "pairs.jsonl", "./pairs.jsonl", "-o", "report.md", "--sample-size", "2")["differences"]
    assert read("judge", "exam", "pairs.jsonl", "--rows", "2")["judge"] == "offline/extractive"
    assert {d["document"] for d in read("coverage", "pairs.jsonl")["documents"]} == {"docs/doc000.md", "docs/doc001.md"}


def test_options_that_are_read_are_those_of_the_step():
    read = 0
    for d in METHODS.values():
        given = inspect.signature(Method(**d).function()).parameters
        if found := signature_in(d["module"], d["step"], d.get("options", {})):
            assert found == {k: (given[k].annotation, given[k].default) for k in d.get("options", {})}
            read += 1
    assert read > 8 and signature_in("synthgen_nb.core.records", "nowhere", ["n"]) is None


def test_parameters_from_a_file_and_from_a_record(synthgen):
    write_docs(synthgen.folder / "docs", 2)
    file = synthgen.folder / "p.yaml"
    file.write_text("source: [docs]\ntarget_pairs: 2\ndedup: exact\n")
    synthgen("run", "qa", "-f", "p.yaml", "-p", "target_pairs=3")
    first = json.loads(synthgen("show", "last", "--json").stdout)
    assert first["export"]["rows"] == 3 and first["parameters"]["dedup"] == "exact", "-p goes before the file"
    synthgen("run", "qa", "-f", f"runs/{first['name']}/run.json")
    again = json.loads(synthgen("show", "last", "--json").stdout)
    same = lambda r: {k: v for k, v in r["parameters"].items() if k not in ("command", "run_dir")}
    assert again["name"] != first["name"] and same(again) == same(first)
    assert "no such file" in synthgen("run", "qa", "-f", "nowhere.yaml", ok=False).stderr
    file.write_text("sauce: docs\n")
    assert "'sauce'" in synthgen("run", "qa", "-f", "p.yaml", ok=False).stderr
    file.write_text("- docs\n")
    assert "expected keys" in synthgen("run", "qa", "-f", "p.yaml", ok=False).stderr


# the others are typed as they stand in the documents, see test_documented, or take a world or a run, and are tried where those are
ORDER = """ingest sources search generate enrich curate coverage evaluate agreement compare evidence lima multi-score
enhance-cot generate-cot round-trip worth prompts tool-parse tool-deps tool-generate-from-topic calls""".split()
DEAR = """doctor init self-instruct select-coverage select-worth tool-generate tool-curate tool-evaluate tool-generate-calls tool-generate-dialogues
tool-counterfactuals tool-generate-chain tool-generate-walks tool-generate-tasks""".split()


def test_examples_do_what_they_say(synthgen, pytestconfig):
    "Typed one after the other in a folder of documents, each works as it stands; the dear ones, which other tests run, only with --renew"
    write_docs(synthgen.folder / "docs", 4)
    for name in ORDER + DEAR * pytestconfig.getoption("--renew"):
        said = synthgen(*shlex.split(PAGES[name].epilog)).stdout
        assert said.strip(), name
        example(pytestconfig, f"synthgen {PAGES[name].epilog}", said, synthgen.folder, "help")
