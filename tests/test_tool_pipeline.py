"""The tool pipeline as a user runs it: real worlds, real MCP servers, a model behind HTTP, and what goes wrong."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from conftest import Server, fork, own_server, rows

from synthgen_nb.core.records import load, save
from synthgen_nb.offline.wants import phrase
from synthgen_nb.specs.tool import Tool
from synthgen_nb.specs.trajectory import Trajectory


def test_time_as_one_would_type_it(synthgen):
    pytest.importorskip("mcp_server_time", reason="mcp-server-time is not installed")
    r = synthgen("tool-pipeline", "mcp:python -m mcp_server_time", "-o", "train.jsonl", "--target-pairs", 6)
    assert len(rows(synthgen.folder / "train.jsonl")) == 6 and "not reproducible, so left out: get_current_time" in r.stderr
    record = json.loads(next((synthgen.folder / "runs").glob("*/run.json")).read_text())
    assert record["not_reproducible"] == ["get_current_time"] and record["measures"]["tools_used"] == 1
    final = load(next((synthgen.folder / "runs").glob("*/records/final.jsonl")), Trajectory)
    assert {c.tool for t in final for c in t.calls} == {"convert_time"} and all(o.executed and o.ok for t in final for o in t.observations)


def test_git_as_one_would_type_it(synthgen):
    pytest.importorskip("mcp_server_git", reason="mcp-server-git is not installed")
    repo = synthgen.folder / "repo"
    git = lambda *a: subprocess.run(["git", "-C", repo, "-c", "user.name=a", "-c", "user.email=a@example.org", *a], check=True, capture_output=True, text=True)
    repo.mkdir()
    git("init", "-q", "-b", "master")
    (repo / "a.txt").write_text("one\n")
    git("add", ".")
    git("commit", "-qm", "first")
    step = lambda i, tool, **given: dict(id=i, tool=tool, arguments={"repo_path": "repo", **given})
    calls = [step("a", "git_create_branch", branch_name="new"), step("b", "git_branch", branch_type="local")]
    asked = dict(turns=[dict(role="user", text="?"), dict(role="assistant", calls=calls), dict(role="assistant", text="Done.")])
    (synthgen.folder / "in.jsonl").write_text(json.dumps(asked))
    synthgen("tool-execute", "in.jsonl", "-o", "rows.jsonl", "--world", "mcp:python -m mcp_server_git --repository {copy:repo}")
    (t,) = load(synthgen.folder / "rows.jsonl", Trajectory)
    assert all(o.executed and o.ok for o in t.observations) and "new" in str(t.observations[1].content), t.observations
    assert git("branch").stdout.split() == ["*", "master"], "the template is not touched"


@pytest.mark.parametrize(
    "name, description, said",
    [
        ("deletePet", "Deletes a pet", "delete a pet"),
        ("findPets", "Finds and filters Pets by status", "find and filter Pets by status"),
        ("modify", "Modifies the order.", "modify the order"),
        ("batch", "Processes a batch", "process a batch"),
        ("paginate", "Paginates the list", "paginate the list"),
        ("createUser", "This can only be done by the logged in user.", "create user"),
        ("status", "", "use status"),
        ("get_bus", "Get bus lines", "get bus lines"),
    ],
)
def test_requests_are_imperative(name, description, said):
    assert phrase(dict(name=name, description=description)) == said


# A model behind HTTP


@pytest.fixture
def slow_server(tmp_path):
    s = Server(tmp_path / "requests.log", 0.1)
    yield s
    s.stop()


def test_pipeline_with_a_served_model_that_dies_in_the_middle(tmp_path, synthgen, slow_server):
    command = ["tool-pipeline", "hdf5", "-o", "train.jsonl", "--target-pairs", "6", "--provider", "vllm"]
    env = slow_server.env | {"SYNTHGEN_LLM_VLLM_PATIENCE": "2"}
    del env["SYNTHGEN_LLM_PROVIDER"]
    with open(tmp_path / "said.txt", "w") as said:
        p = subprocess.Popen([*fork(), *command], cwd=tmp_path, env=os.environ | env, stdout=said, stderr=said)
        deadline = time.monotonic() + 90
        while len(slow_server.log("answered")) < 12 and time.monotonic() < deadline:
            time.sleep(0.02)
        slow_server.process.kill()
        assert p.wait(timeout=90) == 1, "a run without its model does not end well"
    assert "Traceback" not in (tmp_path / "said.txt").read_text() and not (tmp_path / "train.jsonl").exists()
    paid = Counter(r["key"] for r in slow_server.log("answered"))
    again = Server(slow_server.log_file, 0.0, slow_server.port)
    try:
        synthgen(*command, env=env)
        train = rows(tmp_path / "train.jsonl")
        assert len(train) == 6 and all(x["tools"] for x in train)
        total = Counter(r["key"] for r in again.log("answered"))
        assert sum(total.values()) - len(total) <= 8 and all(total[k] == 1 for k in list(paid)[:8]), "what was paid for is not paid again"
        n = sum(total.values())
        synthgen(*command, env=env)
        assert sum(Counter(r["key"] for r in again.log("answered")).values()) == n, "a finished run asks nothing"
    finally:
        again.stop()


# A model that plays the tools


def test_a_simulated_world_is_said_to_be_one(synthgen):
    shape = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    found = {"type": "object", "properties": {"city": {"type": "string"}, "degrees": {"type": "number"}}}
    names = {"get_weather": "Tells the weather", "get_forecast": "Forecasts the weather", "get_pollen": "Counts the pollen"}
    save(
        [Tool(name=n, description=d, parameters=shape, returns=found, effect="read") for n, d in names.items()],
        synthgen.folder / "tools.jsonl",
    )
    r = synthgen("tool-pipeline", "tools.jsonl", "--world", "simulated", "-o", "train.jsonl", "--target-pairs", 5)
    assert "every call simulated by a model, none executed" in r.stdout and "every call executed" not in r.stdout
    folder = next((synthgen.folder / "runs").iterdir())
    record, final = json.loads((folder / "run.json").read_text()), load(folder / "records/final.jsonl", Trajectory)
    assert record["measures"]["executed_calls"] == 0 and record["accounts"]["verified"] == 0 < record["accounts"]["simulated"]
    assert all(o.source == "simulated" for t in final for o in t.observations) and "played the tools" in (folder / "README.md").read_text()
    assert all(next(s for s in t.scores if s.criterion == "execution").status == "unchecked" for t in final)


# What goes wrong

DYING = """
import os
@tool(read_only=True)
def double(n: int) -> dict:
    "Doubles a number"
    return {"twice": 2 * n}
@tool(read_only=True)
def crash(n: int) -> dict:
    "Crashes"
    os._exit(3)
serve()
"""


def test_a_server_that_dies_in_a_call_costs_only_that_tool(synthgen):
    pytest.importorskip("mcp")
    (synthgen.folder / "dying.py").write_text(own_server(DYING))
    source = f"mcp:{sys.executable} {synthgen.folder / 'dying.py'}"
    synthgen("tool-generate", source, "-o", "rows.jsonl", "--target-pairs", 3, ok=None)
    assert {c.tool for t in load(synthgen.folder / "rows.jsonl", Trajectory) for c in t.calls} == {"double"}


def test_a_folder_is_opened_or_explained(synthgen):
    one, two = synthgen.folder / "one", synthgen.folder / "two"
    for folder in (one, two, synthgen.folder / "none"):
        folder.mkdir()
        (folder / "package.json").write_text('"no tools"')
    spec = json.dumps([dict(name="f", parameters=[])])
    (one / "spec.json").write_text(spec)
    (two / "a.json").write_text(spec)
    (two / "b.json").write_text(spec)
    assert "1 tools" in synthgen("tool-parse", "one", "-o", "o.json").stdout
    assert "two/a.json, two/b.json" in synthgen("tool-parse", "two", "-o", "o.json", ok=False).stderr
    assert "none is a folder" in synthgen("tool-parse", "none", "-o", "o.json", ok=False).stderr


def test_more_rows_than_the_world_can_give(synthgen):
    "As many as there are, and it says so; none at all is an error"
    nothing = {"type": "object", "properties": {}}
    save(
        [Tool(name="ping", description="Pings the host", parameters=nothing, returns={"type": "integer"}, effect="read")],
        synthgen.folder / "one.jsonl",
    )
    r = synthgen("tool-generate", "one.jsonl", "-o", "rows.jsonl", "--target-pairs", 50, ok=False)
    assert r.returncode == 1 and "fewer rows than asked for" in r.stderr, "a script must notice"
    assert 1 <= len(rows(synthgen.folder / "rows.jsonl")) < 50 and "of 50" in r.stderr
    many = {"type": "object", "properties": {f"p{i}": {"type": "string"} for i in range(60)}, "required": [f"p{i}" for i in range(60)]}
    save([Tool(name="big", description="Stores sixty values", parameters=many, returns={"type": "integer"})], synthgen.folder / "big.jsonl")
    synthgen("tool-generate", "big.jsonl", "-o", "big_rows.jsonl", "--target-pairs", 1)
    for text in ("", "{}", "<html>", "[1, 2]", "openapi: 3.1.0\npaths: 7"):
        (synthgen.folder / "bad.yaml").write_text(text)
        assert synthgen("tool-generate", "bad.yaml", "-o", "x.jsonl", ok=False).stderr
        assert not Path(synthgen.folder / "x.jsonl").exists()


def test_pipeline_on_the_default_world(synthgen):
    r = synthgen("tool-pipeline", "hdf5", "-o", "train.jsonl", "--target-pairs", 8, "--accept", "len(calls) < 3 and rating > 7")
    train = rows(synthgen.folder / "train.jsonl")
    assert len(train) == 8 and "every call executed in hdf5" in r.stdout and all(x["tools"] for x in train)
    folder = next((synthgen.folder / "runs").iterdir())
    record = json.loads((folder / "run.json").read_text())
    assert record["status"] == "done" and record["measures"]["failed_calls"] == 0 and record["world"] == "hdf5"
    stage = {x["stage"]: x for x in record["funnel"]}
    own = [d for d in rows(folder / "records/dropped.jsonl") if d["reason"] == "not_accepted:len(calls) < 3 and rating > 7"]
    assert stage["rate"]["out"] == stage["accept"]["in"] and stage["accept"]["out"] == stage["dedup"]["in"] and stage["accept"]["lost"] == len(own) > 0
    assert all(len([c for m in x["messages"] for c in m.get("tool_calls") or []]) < 3 for x in train)
    for name in ("sequences.png", "coverage.png", "funnel.svg", "README.md", "records/final.jsonl", "records/tools.jsonl"):
        assert (folder / name).stat().st_size
    assert "34 tools" in synthgen("show").stdout


def test_generate_and_curate_a_specification(synthgen, data):
    spec = data / "specs/readme/3.1-petstore.json"
    synthgen("tool-generate", spec, "-o", "rows.jsonl", "--target-pairs", 12, "--multi-step", "--max-steps", 3)
    made = load(synthgen.folder / "rows.jsonl", Trajectory)
    assert len(made) == 12 and all(2 <= len(t.calls) <= 3 and all(o.executed and o.ok for o in t.observations) for t in made)
    r = synthgen("tool-curate", "rows.jsonl", "-o", "good.jsonl", "--tools", spec, "--threshold", 5)
    good = load(synthgen.folder / "good.jsonl", Trajectory)
    assert good and all(any(s.criterion == "tool_selection" for s in t.scores) for t in good) and "difficulty" in r.stdout
    assert json.loads((synthgen.folder / "good_metrics.json").read_text())["kept"] == len(good)
    synthgen("tool-curate", "rows.jsonl", "-o", "rows.jsonl", ok=False)
    assert "name=value" in synthgen("tool-generate", spec, "-o", "x.jsonl", "--value", "petId", ok=False).stderr
