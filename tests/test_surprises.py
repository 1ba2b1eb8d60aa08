"""What a user would be surprised by: runs that eat runs, inputs that are overwritten, thresholds from nowhere, Ctrl-C."""

import json
import os
import signal
import subprocess
import time

from conftest import fork, rows, write_docs


def test_a_corpus_does_not_feed_on_what_was_made_from_it(tmp_path, synthgen):
    write_docs(tmp_path, 2)
    for name in ("runs/old/run.json", "runs/old/README.md", "db/chunks.lance/notes.md", ".synthgen/notes.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("# Old\n\nThis was made by an earlier run and is not a document.\n")
    (tmp_path / "loop").symlink_to(tmp_path)
    r = synthgen("ingest", ".", "-o", "chunks")
    assert "from 2 documents" in r.stdout


def test_inputs_and_other_peoples_folders_are_left_alone(tmp_path, synthgen):
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text('{"question": "What is a chunk?", "answer": "The unit of I/O."}\n')
    before = pairs.read_bytes()
    for command in ("enrich", "curate", "dedup", "export"):
        r = synthgen(command, "pairs.jsonl", "-o", "pairs.jsonl", ok=False)
        assert r.returncode == 1 and "is the input as well" in r.stderr and pairs.read_bytes() == before
    write_docs(tmp_path / "docs", 1)
    r = synthgen("ingest", "docs", "-o", "docs", ok=False)
    assert "holds other files" in r.stderr and len(list((tmp_path / "docs").iterdir())) == 1


def test_a_rubric_brings_its_own_threshold(tmp_path, synthgen):
    rubric = dict(purpose="One question", source="this test", version=1, combine="sum", threshold=3, criteria=[
        dict(name="helpful", low=1, high=5, question="Does it help?", anchors={1: "No.", 5: "Yes."})])  # fmt: skip
    (tmp_path / "mine/rubrics").mkdir(parents=True)
    (tmp_path / "mine/rubrics/help.yaml").write_text(json.dumps(rubric))
    (tmp_path / "synthgen.yaml").write_text("paths: {prompts: mine}\n")
    write_docs(tmp_path / "docs", 2)
    synthgen("ingest", "docs", "-o", "db")
    synthgen("generate", "db", "-o", "pairs.jsonl")
    threshold = lambda: json.loads((tmp_path / "good_metrics.json").read_text())["threshold"]
    synthgen("curate", "pairs.jsonl", "-o", "good.jsonl", "--rubric", "help")
    assert threshold() == 3 and rows(tmp_path / "good.jsonl")[0]["scores"][0]["criterion"] == "helpful"
    (tmp_path / "synthgen.yaml").write_text("paths: {prompts: mine}\nthresholds: {rating: 2}\n")
    synthgen("curate", "pairs.jsonl", "-o", "good.jsonl", "--rubric", "help")
    assert threshold() == 2
    synthgen("curate", "pairs.jsonl", "-o", "good.jsonl", "--rubric", "help", "--threshold", "1")
    assert threshold() == 1
    r = synthgen("dedup", "good.jsonl", "-o", "unique.jsonl")
    assert len(rows(tmp_path / "unique.jsonl")) <= len(rows(tmp_path / "good.jsonl")) and "kept" in r.stdout


def test_ctrl_c_says_that_the_run_can_go_on(tmp_path, synthgen, server):
    write_docs(tmp_path / "docs", 20)
    server.control(delay=0.5)
    command = [*fork(), "pipeline", "docs", "-o", "train.jsonl", "--chunk-tokens", "32-1024", "--workers", "2"]
    p = subprocess.Popen(command, cwd=tmp_path, env=os.environ | server.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 90
    while len(server.log("answered")) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    p.send_signal(signal.SIGINT)
    _, err = p.communicate(timeout=60)
    assert p.returncode == 130 and "run the same command again" in err and "Traceback" not in err
    assert "interrupted" in synthgen("runs").stdout and not (tmp_path / "train.jsonl").exists()


def test_ids_of_other_programs_go_through_every_stage(tmp_path, synthgen):
    given = [{"id": i, "question": f"What is chunk {i}?", "answer": "The unit of I/O."} for i in ("row-1", 2)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in given))
    synthgen("curate", "in.jsonl", "-o", "good.jsonl", "--rubric", "alpagasus", "--threshold", "0")  # which has no floor
    good = rows(tmp_path / "good.jsonl")
    assert good[0]["id"] == "row-1" and good[1]["meta"]["id"] == 2 and [p["question"] for p in good] == [p["question"] for p in given]
