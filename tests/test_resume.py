"""kill -9 anywhere, run the same command again: nothing is lost, nothing is doubled, hardly anything is paid twice."""

import os
import random
import signal
import sqlite3
import subprocess
import time
from collections import Counter

import pytest
from conftest import SYNTHGEN, Server, fork, rows, write_docs


@pytest.fixture
def slow_server(tmp_path):
    s = Server(tmp_path / "requests.log", 0.15)
    yield s
    s.stop()


def test_twelve_kills(tmp_path, synthgen, slow_server):
    n, workers, kills = 150, 8, 12
    write_docs(tmp_path / "docs", n)
    synthgen("ingest", "docs", "-o", "db", "--chunk-tokens", "32-1024")
    life = [*fork(), *f"generate db -o out.jsonl --n-pairs 1 --workers {workers}".split()]
    rng = random.Random(7)
    for _ in range(kills):
        before = len(slow_server.log())
        p = subprocess.Popen(life, cwd=tmp_path, env=os.environ | slow_server.env, stdout=subprocess.DEVNULL)
        goal, deadline = before + rng.randint(1, 8), time.monotonic() + 60
        while len(slow_server.log()) < goal and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(rng.random() * 0.1)
        assert p.poll() is None, "the run ended before it could be killed"
        p.kill()
        p.wait()
        assert sqlite3.connect(tmp_path / ".synthgen/calls.db").execute("pragma integrity_check").fetchone() == ("ok",)
        assert not (tmp_path / "out.jsonl").exists()
    assert subprocess.run(life, cwd=tmp_path, env=os.environ | slow_server.env, stdout=subprocess.DEVNULL).returncode == 0

    pairs = rows(tmp_path / "out.jsonl")
    assert [p["sources"][0] for p in pairs] == [f"docs/doc{i:03}.md" for i in range(n)], "each item once, in the order of the input"
    asked = Counter(r["key"] for r in slow_server.log())
    assert len(asked) == n
    twice = sum(asked.values()) - n
    print(f"{kills} kills, {n} calls, {twice} paid twice")
    assert twice <= kills * workers, f"{twice} calls were paid twice"
    synthgen("generate", "db", "-o", "again.jsonl", "--n-pairs", "1", env=slow_server.env)
    assert sum(Counter(r["key"] for r in slow_server.log()).values()) == n + twice, "a finished run asks nothing"
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "out.jsonl").read_bytes()


@pytest.mark.parametrize("more", [[], ["--together", "3"]], ids=["alone", "together"])
def test_pipeline_killed_and_resumed(tmp_path, synthgen, slow_server, more):
    write_docs(tmp_path / "docs", 16)
    command = ["pipeline", "docs", "-o", "train.jsonl", "--workers", "4", "--chunk-tokens", "32-1024", *more]
    p = subprocess.Popen(
        [SYNTHGEN, *command], cwd=tmp_path, env=os.environ | slow_server.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 90
    while len(slow_server.log("answered")) < 12 and time.monotonic() < deadline:
        time.sleep(0.02)
    p.kill()
    p.wait()
    assert "interrupted" in synthgen("runs").stdout
    synthgen(*command, env=slow_server.env)
    asked = Counter(r["key"] for r in slow_server.log())
    assert len(rows(tmp_path / "train.jsonl")) == 48
    assert sum(asked.values()) - len(asked) <= 2 * 4


def test_two_processes_share_a_store(tmp_path, synthgen, server):
    write_docs(tmp_path / "docs", 30)
    synthgen("ingest", "docs", "-o", "db")
    commands = [[*fork(), "generate", "db", "-o", f"out{i}.jsonl"] for i in range(2)]
    both = [subprocess.Popen(c, cwd=tmp_path, env=os.environ | server.env, stdout=subprocess.DEVNULL) for c in commands]
    assert [p.wait(120) for p in both] == [0, 0]
    assert (tmp_path / "out0.jsonl").read_bytes() == (tmp_path / "out1.jsonl").read_bytes()
