"""Ray: two nodes on one machine. The same rows as in one process, and whoever is killed, what was paid is kept."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter

import pytest
from conftest import SYNTHGEN, Server, write_docs

from synthgen_nb.corpus.store import address

pytest.importorskip("ray", reason='ray is not installed: pip install "synthgen_nb[scale]"')

SMALL = dict(num_cpus=1, object_store_memory=100 * 2**20)


def started(node, tries=3):
    "Ray gives a node 30 seconds to begin, which on a busy machine is not always enough"
    for left in reversed(range(tries)):
        try:
            return node()
        except Exception as e:
            if not left or "timed out during startup" not in str(e):
                raise


@pytest.fixture(scope="module")
def cluster():
    "A head and a node beside it, each with one processor"
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    c = started(lambda: Cluster(initialize_head=True, head_node_args=SMALL | dict(include_dashboard=False)))
    started(lambda: c.add_node(**SMALL))
    yield c
    c.shutdown()


@pytest.fixture
def there(cluster):
    "The environment of a command that runs on the cluster"
    return dict(SYNTHGEN_ENGINE=f"ray:{cluster.address}")


@pytest.fixture
def slow(tmp_path):
    s = Server(tmp_path / "requests.log", 0.2)
    yield s
    s.stop()


def begin(folder, env, *args):
    "A command that goes on while the test does something to it"
    own = {k: v for k, v in os.environ.items() if not k.startswith("SYNTHGEN_")} | env
    line = [sys.executable, SYNTHGEN, *map(str, args)]
    return subprocess.Popen(line, cwd=folder, env=own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def ended(folder, env, *args, ok=True):
    p = begin(folder, env, *args)
    said = p.communicate(timeout=300)[0]
    assert (p.returncode == 0) == ok, said
    assert "Traceback" not in said, said
    return said


def processes(name: str) -> list[int]:
    "Processes by the name that Ray gives them"
    found = []
    for p in filter(str.isdigit, os.listdir("/proc")):
        try:
            if open(f"/proc/{p}/cmdline").read().startswith(name):
                found.append(int(p))
        except OSError:
            continue
    return found


def until(what, seconds=120):
    end = time.monotonic() + seconds
    while not (got := what()):
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)
    return got


PIPELINE = ["pipeline", "docs", "-o", "train.jsonl", "--chunk-tokens", "32-1024"]


def test_the_same_rows(tmp_path, server, there):
    "Reading, embedding, duplicates and calls: byte for byte what one process makes"
    for name, env in (("one", {}), ("many", there)):
        (tmp_path / name).mkdir()
        write_docs(tmp_path / name / "docs", 40)
        ended(tmp_path / name, server.env | env, *PIPELINE)
    one, many = ((tmp_path / n / "train.jsonl").read_bytes() for n in ("one", "many"))
    assert one == many and one.count(b"\n") > 30
    assert set(Counter(r["key"] for r in server.log()).values()) == {2}, "both asked the same questions, each once"
    records = [json.loads(next((tmp_path / n / "runs").glob("*/run.json")).read_text()) for n in ("one", "many")]
    counts = [[{k: v for k, v in s.items() if k != "seconds"} for s in r["stages"]] for r in records]
    assert counts[0] == counts[1], "the accounts as well"


def killed(name: str) -> int:
    "kill -9 of the processes that Ray calls so"
    found = until(lambda: processes(name))
    for p in found:
        os.kill(p, signal.SIGKILL)
    return len(found)


def of_log(server) -> Counter:
    return Counter(r["key"] for r in server.log())


def whole(folder):
    assert sqlite3.connect(folder / ".synthgen/calls.db").execute("pragma integrity_check").fetchone() == ("ok",)


N, WORKERS = 100, 8
GENERATE = ["generate", "db", "-o", "out.jsonl", "--n-pairs", "1", "--workers", WORKERS]


@pytest.mark.parametrize("who", ["desk", "command"])
def test_killed_while_asking(tmp_path, slow, there, who):
    "A desk begins anew, and a command goes on where it stopped: twice paid is at most what was under way"
    write_docs(tmp_path / "docs", N)
    ended(tmp_path, {}, "ingest", "docs", "-o", "db", "--chunk-tokens", "32-1024")
    p = begin(tmp_path, slow.env | there, *GENERATE)
    until(lambda: len(slow.log("answered")) > N // 4)
    if who == "command":
        p.kill()
        p.wait()
        whole(tmp_path)
        until(lambda: not processes("ray::Desk"))
        p = begin(tmp_path, slow.env | there, *GENERATE)
    else:
        assert killed("ray::Desk") == 1
    said = p.communicate(timeout=200)[0]
    assert p.returncode == 0, said
    whole(tmp_path)
    asked = of_log(slow)
    twice = sum(asked.values()) - N
    print(f"{who}: {twice} of {N} asked twice")
    assert len(asked) == N and twice <= WORKERS
    ended(tmp_path, slow.env | there | {"SYNTHGEN_LLM_VLLM_MODEL": "mock"}, *GENERATE[:2], "-o", "again.jsonl", *GENERATE[4:])
    assert sum(of_log(slow).values()) == N + twice, "what is done asks nothing"
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "out.jsonl").read_bytes()


STUDY = """question: What does the threshold change?
base: {source: docs, chunk_tokens: 32-1024}
arms: {low: {threshold: 5}, exact: {dedup: exact}, plain: {rewrite: false}}
"""


def rows_of(folder):
    return {p.parent.name: p.read_bytes() for p in (folder / "runs/study-study").glob("*/train.jsonl")}


def test_a_study_whose_nodes_die(tmp_path, slow, cluster, there):
    "Arms anywhere are the arms of one process; a worker killed and a node gone cost at most what was under way"
    for name in ("one", "many"):
        (tmp_path / name).mkdir()
        write_docs(tmp_path / name / "docs", 10)
        (tmp_path / name / "study.yaml").write_text(STUDY)
    ended(tmp_path / "one", slow.env, "study", "study.yaml")
    n = len(slow.log())

    other = started(lambda: cluster.add_node(**SMALL))
    p = begin(tmp_path / "many", slow.env | there | dict(SYNTHGEN_LLM_VLLM_WORKERS="4"), "study", "study.yaml")
    until(lambda: len(slow.log()) > n + 5)
    assert killed("ray::_awaited")
    until(lambda: len(slow.log()) > n + 25 and processes("ray::_awaited"))
    cluster.remove_node(other, allow_graceful=False)
    said = p.communicate(timeout=400)[0]
    assert p.returncode == 0, said
    assert rows_of(tmp_path / "one") == rows_of(tmp_path / "many") and len(rows_of(tmp_path / "many")) == 4
    asked = of_log(slow)
    twice = sum(asked.values()) - 2 * len(asked)
    print(f"study: {twice} of {len(asked)} asked twice")
    assert set(asked.values()) <= {2, 3}, "the same questions"
    assert twice <= 8, f"{twice} more than were under way at two deaths"


def test_one_purse_and_one_pace(tmp_path, server, there):
    "The arms of a study spend from one purse and take turns, wherever they run"
    server.control(delay=0.1)
    there = there | dict(SYNTHGEN_LLM_VLLM_WORKERS="3")
    write_docs(tmp_path / "docs", 12)
    (tmp_path / "study.yaml").write_text(STUDY + "max_calls: 20\n")
    said = ended(tmp_path, server.env | there, "study", "study.yaml", ok=False)
    assert "max_calls is reached: 20 calls were sent" in said
    assert len(server.log()) == 20 and server.control()["peak"] <= 3


def test_tools_run_anywhere(tmp_path, there):
    "The same observations, row for row"
    ended(tmp_path, {}, "tool-pipeline", "hdf5", "-o", "a.jsonl", "--target-pairs", "6")
    for name, env in (("one", {}), ("many", there)):
        ended(tmp_path, env, "tool-execute", "a.jsonl", "-o", f"{name}.jsonl", "--world", "hdf5")
    from synthgen_nb.core.records import load
    from synthgen_nb.specs.trajectory import Trajectory
    from synthgen_nb.worlds.world import again_so

    one, many = (load(tmp_path / f"{n}.jsonl", Trajectory) for n in ("one", "many"))
    assert [t.id for t in one] == [t.id for t in many] and len(one) == 6
    assert all(again_so(a, b) for x, y in zip(one, many, strict=True) for a, b in zip(x.observations, y.observations, strict=True))


def test_object_storage(tmp_path, server, there):
    "Chunks on S3, read by arms on other nodes"
    moto = pytest.importorskip("moto.server", reason='moto is not installed: pip install "moto[s3,server]"')
    import boto3

    s3 = moto.ThreadedMotoServer(port=0)
    s3.start()
    try:
        at = f"http://127.0.0.1:{s3._server.server_port}"
        keys = dict(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_REGION="us-east-1", AWS_ENDPOINT=at, AWS_ALLOW_HTTP="true")
        made = boto3.client("s3", endpoint_url=at, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
        made.create_bucket(Bucket="corpus")
        write_docs(tmp_path / "docs", 6)
        ended(tmp_path, there | keys, "ingest", "docs", "-o", "s3://corpus/db", "--chunk-tokens", "32-1024")
        ended(tmp_path, {}, "ingest", "docs", "-o", "db", "--chunk-tokens", "32-1024")
        for name, env, db in (("far", there | keys, "s3://corpus/db"), ("near", {}, "db")):
            ended(tmp_path, server.env | env, "generate", db, "-o", f"{name}.jsonl", "--n-pairs", "1")
        far, near = ([json.loads(x) for x in (tmp_path / f"{n}.jsonl").read_text().splitlines()] for n in ("far", "near"))
        assert {address(r.pop("corpus")) for r in far} == {"s3://corpus/db"} and {r.pop("corpus") for r in near} == {"db"}
        assert far == near, "all but the name of the database"
    finally:
        s3.stop()


def test_errors_are_said(tmp_path, server, docs):
    "A cluster that is not there, and a setting that is none"
    said = ended(tmp_path, dict(SYNTHGEN_ENGINE="ray:127.0.0.1:1"), "ingest", "docs", "-o", "db", ok=False)
    assert "no cluster answers at 127.0.0.1:1" in said
    said = ended(tmp_path, {}, "--engine", "spark", "ingest", "docs", "-o", "db", ok=False)
    assert "engine" in said and "spark" in said
