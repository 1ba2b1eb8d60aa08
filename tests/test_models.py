"""Real models speak over a wire that breaks, servers that refuse, and replies that are not what was asked for."""

import json
import os
import subprocess
import sys
import time
from collections import Counter, defaultdict
from itertools import pairwise

import pytest
from conftest import Server, command, fork, rows, write_docs

KEY = "sk-" + "mock-0123456789abcdef"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    "A folder with a chunk database of four documents, and the command there"
    folder = tmp_path_factory.mktemp("models")
    write_docs(folder / "docs", 4)
    run = command(folder)
    run("ingest", "docs", "-o", "db")
    return run


@pytest.fixture
def generate(base, server, tmp_path):
    "`synthgen generate` against the server, with a call store and an output of its own"

    def run(*args, provider="vllm", ok=True, **env):
        run.env = (
            server.env
            | {
                "SYNTHGEN_PATHS_CALLS": str(tmp_path / "calls.db"),
                "SYNTHGEN_LLM_VLLM_PATIENCE": "6",
                "SYNTHGEN_LLM_OLLAMA_BASE_URL": server.url,
            }
            | env
        )
        return base("generate", "db", "-o", tmp_path / "out.jsonl", "--n-pairs", "2", "--provider", provider, *args, ok=ok, env=run.env)

    return run


SETTINGS = """
llm:
  provider: vllm
  vllm: {model: mock, base_url: URL/v1, api_key: "${MY_KEY}"}
temperatures: {generate: 0, judge: 0.25}
"""


def test_vllm_through_every_stage_with_a_key_that_stays_secret(tmp_path, synthgen, server, docs):
    (tmp_path / "synthgen.yaml").write_text(SETTINGS.replace("URL", server.url))
    r = synthgen("pipeline", "docs", "-o", "train.jsonl", env={"MY_KEY": KEY})
    asked, record = server.log(), json.loads(next(tmp_path.glob("runs/*/run.json")).read_text())
    assert len(rows(tmp_path / "train.jsonl")) == 12 and record["model"] == "vllm/mock"
    assert {(a["path"], a["has_schema"], a["auth"]) for a in asked} == {("/v1/chat/completions", True, f"Bearer {KEY}")}
    assert Counter(a["temperature"] for a in asked) == {0.0: 4, 0.3: 12, 0.25: 12}, "0 is sent as 0"
    assert [(s["stage"], s["calls"], s["paid"], s["input_tokens"], s["cost"]) for s in record["stages"]] == [
        ("generate", 4, 4, 400, None),
        ("rewrite", 12, 12, 1200, None),
        ("evidence", 0, 0, 0, 0.0),
        ("judge", 12, 12, 1200, None),
    ], "tokens as the server counted them; no price is made up"
    synthgen("calls", "--export", "calls.jsonl")
    for f in tmp_path.rglob("*"):
        assert f == tmp_path / "requests.log" or not f.is_file() or KEY.encode() not in f.read_bytes(), f"{f} holds the key"
    assert KEY not in r.stdout + r.stderr


def test_ollama_sends_the_schema_and_zero_temperature(tmp_path, generate, server):
    r = generate("--model", "llama-mock", provider="ollama", SYNTHGEN_TEMPERATURES_GENERATE="0")
    assert {(a["path"], a["has_schema"], a["temperature"]) for a in server.log()} == {("/api/chat", True, 0.0)}
    assert "kept 8" in r.stdout and {p["origin"][0]["model"] for p in rows(tmp_path / "out.jsonl")} == {"ollama/llama-mock"}


@pytest.mark.parametrize("fault, least", [("503", 0.4), ("429 2", 1.95), ("reset", 0.4)])
def test_passing_fault_is_survived(generate, server, fault, least):
    server.control(fault=fault, times=2)
    r = generate()
    at = defaultdict(list)
    for a in server.log():
        at[a["key"]].append(a["at"])
    assert "kept 8, dropped 0" in r.stdout and len(at) == 4 and sum(map(len, at.values())) == 4 + 2
    assert all(b - a >= least for times in at.values() for a, b in pairwise(times)), "not sooner than the server says"


@pytest.mark.parametrize("status, remedy", [("401", "Is the API key right?"), ("404", "Is the model installed there")])
def test_refusal_stops_at_once_and_says_what_to_do(tmp_path, generate, server, status, remedy):
    server.control(fault=status, times=-1)
    r = generate("--workers", "1", ok=False, SYNTHGEN_LLM_VLLM_API_KEY=KEY)
    assert r.returncode == 1 and f"answered {status}" in r.stderr and remedy in r.stderr and server.url in r.stderr and KEY not in r.stderr
    assert len(server.log()) <= 2 and not (tmp_path / "out.jsonl").exists()


def test_malformed_reply_is_asked_again_once_showing_the_error(tmp_path, generate, server):
    server.control(fault="malformed", times=1)
    r = generate("--workers", "1")
    pairs, asked = rows(tmp_path / "out.jsonl"), server.log()
    assert "kept 8, dropped 0" in r.stdout and len(asked) == 5 == len({a["key"] for a in asked})
    assert [len(p["origin"][0]["calls"]) for p in pairs] == [2, 2, 1, 1, 1, 1, 1, 1], "a record names both calls it rests on"


@pytest.mark.parametrize("fault, reason", [("malformed", "not_json"), ("empty", "empty_reply"), ("truncated", "truncated")])
def test_replies_of_no_use_are_counted_and_never_made_up(tmp_path, generate, server, fault, reason):
    server.control(fault=fault, times=4)
    r = generate("--workers", "1")  # the first two documents get two bad replies each
    pairs, dropped = rows(tmp_path / "out.jsonl"), rows(tmp_path / "out_dropped.jsonl")
    assert "kept 4, dropped 2 (no_reply 2)" in r.stdout and len(server.log()) == 6
    assert [d["reason"] for d in dropped] == [f"no_reply:{reason}"] * 2 and all(d["detail"].startswith(reason) for d in dropped)
    assert not {p["sources"][0] for p in pairs} & {d["record"]["sources"][0]["path"] for d in dropped}
    r = generate("--workers", "1")
    assert "kept 8, dropped 0" in r.stdout and len(server.log()) == 8, "the same command asks again for the failed ones alone"


def test_judge_that_cannot_be_read_leaves_pairs_unrated(tmp_path, generate, base, server):
    generate("--max-chunks", "1")
    server.control(fault="truncated", times=-1)
    r = base("curate", tmp_path / "out.jsonl", "-o", tmp_path / "good.jsonl", "--provider", "vllm", ok=False, env=generate.env)
    rated = rows(tmp_path / "good_rated.jsonl")
    assert r.returncode == 1 and "unrated 2" in r.stderr and not (tmp_path / "good.jsonl").exists()
    assert [(p["scores"][-1]["status"], p["scores"][-1]["value"]) for p in rated] == [("unrated", None)] * 2
    assert json.loads((tmp_path / "good_metrics.json").read_text())["distribution"] == {"unrated": 2}


def test_server_that_is_not_there(tmp_path, generate, server):
    server.stop()
    r = generate(ok=False, SYNTHGEN_LLM_VLLM_PATIENCE="2")
    assert (
        r.returncode == 1
        and f"vllm/mock at {server.url}/v1" in r.stderr
        and "Is the server running?" in r.stderr
        and "run the same command again" in r.stderr
    )
    assert r.stdout == "" and not (tmp_path / "out.jsonl").exists()
    assert [line.split(" ")[0] for line in r.stderr.splitlines()] == ["vllm/mock", "error:"], "one remark while it tries, then the error"


def test_server_that_dies_mid_run_costs_only_what_was_missing(tmp_path, base):
    own = {"SYNTHGEN_PATHS_CALLS": str(tmp_path / "calls.db"), "SYNTHGEN_LLM_VLLM_PATIENCE": "2"}
    args = list(map(str, ("generate", "db", "-o", tmp_path / "out.jsonl", "--n-pairs", "1", "--workers", "1")))
    first = Server(tmp_path / "first.log", 0.3)
    p = subprocess.Popen(
        [*fork(), *args], cwd=base.folder, env=os.environ | first.env | own, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    while len(first.log("answered")) < 2 and p.poll() is None:
        time.sleep(0.02)
    first.stop()
    _, said = p.communicate(timeout=60)
    assert p.returncode == 1 and "has not answered for" in said and "Traceback" not in said and not (tmp_path / "out.jsonl").exists()

    second = Server(tmp_path / "second.log", 0.0, first.port)
    r = base(*args, env=second.env | own)
    second.stop()
    before, asked = {r["key"] for r in first.log("answered")}, [r["key"] for r in second.log()]
    assert "kept 4" in r.stdout and len(rows(tmp_path / "out.jsonl")) == 4
    assert 2 <= len(before) < 4 and len(before | set(asked)) == 4 and len(asked) == len(set(asked)) <= 4 - len(before) + 1, (
        "only what was on the wire is asked again"
    )
