"""The benchmark of the peers: each has a program and pinned versions, its runs can be killed, and the record holds all of them."""

import json
import os
import re
import signal
import subprocess
import sys

from conftest import ROOT

PEERS = ROOT / "nbs/benchmarks/peers"
RECORD = ROOT / "runs/reference-peers"
NAMES = ["curator", "datadesigner", "sdg_hub", "distilabel", "synthetic_data_kit", "dataflow", "deepfabric"]


def test_each_has_a_program_and_pinned_versions():
    assert {f.stem for f in PEERS.glob("*.txt")} == set(NAMES)
    assert {f.stem.removeprefix("with_") for f in PEERS.glob("with_*.py")} == {*NAMES, "ours"}
    for f in PEERS.glob("*.txt"):
        lines = [x for x in f.read_text().splitlines() if not x.startswith("#")]
        assert lines and all(re.fullmatch(r"[\w.-]+==[\w.+]+", x) for x in lines), f.name


def test_forks_tell_how_a_program_ended(tmp_path):
    (tmp_path / "with_it.py").write_text("import sys, time\ndef main(n):\n    print(n)\n    time.sleep(60) if n == 'wait' else sys.exit(int(n))\n")
    (tmp_path / "fork.py").write_text((PEERS / "fork.py").read_text())
    forks = subprocess.Popen([sys.executable, tmp_path / "fork.py", "with_it"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert forks.stdout.readline() == "ready\n"

    def begin(n: str) -> int:
        forks.stdin.write(json.dumps(dict(cwd=str(tmp_path), env={}, args=[n], log=str(tmp_path / "log.txt"))) + "\n")
        forks.stdin.flush()
        return int(forks.stdout.readline())

    for n in ("0", "3"):
        begin(n)
        assert forks.stdout.readline() == n + "\n"
    pid = begin("wait")
    assert pid > 1 and os.getpgid(pid) == pid  # a group of its own, which alone is killed
    os.killpg(pid, signal.SIGKILL)
    assert forks.stdout.readline() == "-9\n"
    forks.stdin.close()
    assert forks.wait() == 0


def test_the_records_hold_whole_jobs_and_whole_faults():
    speed, faults = (json.loads((RECORD / f"{what}.json").read_text()) for what in ("speed", "faults"))
    assert [s["program"] for s in speed["rows"]] == ["ours", *NAMES]
    assert all(s["rows"] == speed["parameters"]["calls"] and s["calls a row"] >= 1 for s in speed["rows"])
    n = faults["parameters"]["fault_calls"]
    assert {r["program"] for r in faults["rows"]} <= {"ours", *NAMES} and len({r["fault"] for r in faults["rows"]}) == 9
    assert all(0 <= r["lost"] <= n and 0 <= r["paid_again"] and r["status"] for r in faults["rows"])
