"""Ended from outside, and disks that take no more: the status says it, the record is closed, what was answered is kept."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import SYNTHGEN, Server, write_docs

from synthgen_nb.core.portable import command_line, hidden, paths_in, portable
from synthgen_nb.core.records import Chunk, SynthgenError, drop, no_room, save
from synthgen_nb.core.shelf import Lookup, Shelf, in_blocks, on_disk

ENV = {**{k: v for k, v in os.environ.items() if not k.startswith("SYNTHGEN_")}, "PYTHONPATH": str(Path(__file__).parents[1])}


@pytest.fixture
def slow(tmp_path):
    s = Server(tmp_path / "requests.log", 0.4)
    yield s
    s.stop()


def until(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("name, times, code", [("SIGTERM", 1, 143), ("SIGTERM", 2, 143), ("SIGHUP", 1, 129), ("SIGINT", 1, 130)])
def test_a_run_that_is_ended_closes_its_record(tmp_path, slow, name, times, code):
    write_docs(tmp_path / "docs", 20)
    line = [SYNTHGEN, "pipeline", "docs", "-o", "train.jsonl", "--workers", "2"]
    heard = lambda: [signal.signal(s, signal.SIG_DFL) for s in (signal.SIGHUP, signal.SIGTERM)] + [signal.signal(signal.SIGINT, signal.default_int_handler)]
    p = subprocess.Popen(  # a test run that began in the background passes on that these are ignored
        line, env=ENV | slow.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heard
    )
    until(lambda: len(slow.log("answered") or slow.log()) > 4)
    for _ in range(times):
        p.send_signal(getattr(signal, name))
        time.sleep(0.2)
    err = p.communicate(timeout=90)[1]
    assert p.returncode == code and "Traceback" not in err, err
    (record,) = (json.loads(f.read_text()) for f in Path("runs").glob("*/run.json"))
    assert record["status"] == "interrupted" and record["answered"] >= 1 and "pid" not in record
    assert f"{record['answered']} answers" in err and "run the same command again" in err
    assert name == "SIGINT" or name in err


def test_a_plain_command_that_is_ended_says_so(tmp_path, slow):
    write_docs(tmp_path / "docs", 8)
    subprocess.run([SYNTHGEN, "ingest", "docs", "-o", "db"], env=ENV, check=True, capture_output=True)
    line = [SYNTHGEN, "generate", "db", "-o", "pairs.jsonl", "--workers", "1"]
    p = subprocess.Popen(line, env=ENV | slow.env, stderr=subprocess.PIPE, text=True)
    until(lambda: len(slow.log()) > 2)
    p.terminate()
    err = p.communicate(timeout=60)[1]
    assert p.returncode == 143 and "interrupted by SIGTERM" in err and "Traceback" not in err
    before = len(slow.log())
    assert subprocess.run(line, env=ENV | slow.env, capture_output=True).returncode == 0
    assert len(slow.log()) - before < 8, "what was answered is not asked again"


# disks


def limited(size: int):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("line", ["ingest docs -o db", "pipeline docs -o train.jsonl", "export pairs.jsonl -o train.jsonl"])
def test_what_a_disk_refuses_is_said_in_words(tmp_path, line):
    write_docs(tmp_path / "docs", 30)
    rows = [dict(question=f"What is part {i}?", answer="A chunk is a unit. " * 20) for i in range(200)]
    Path("pairs.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    r = subprocess.run([SYNTHGEN, *line.split()], env=ENV, capture_output=True, text=True, preexec_fn=limited(20_000))
    assert r.returncode == 1 and "may not become so large" in r.stderr and "Traceback" not in r.stderr, r.stderr
    assert "NotJSON" not in r.stderr and ".rs:" not in r.stderr


@pytest.fixture
def small(tmp_path):
    "A disk of a few hundred kilobytes"
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("a disk cannot be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("line", ["ingest docs -o small/db", "pipeline docs -o train.jsonl", "tool-pipeline hdf5 -o tools.jsonl"])
def test_a_full_disk_names_its_folder(tmp_path, small, line):
    write_docs(tmp_path / "docs", 40)
    (small / "other").write_bytes(b"0" * 220_000)
    (tmp_path / "synthgen.yaml").write_text("paths:\n  runs: small/runs\n  calls: small/calls.db\n")
    r = subprocess.run([SYNTHGEN, *line.split()], env=ENV, capture_output=True, text=True)
    assert r.returncode == 1 and "the disk is full" in r.stderr and "small" in r.stderr, r.stderr
    assert "Traceback" not in r.stderr and "NotJSON" not in r.stderr


def test_refusals_have_words_whoever_says_them():
    assert "disk is full" in no_room(OSError(28, "No space left on device"), "runs") and no_room(OSError(28, "x"), "runs").startswith("runs:")
    assert "disk is full" in no_room(RuntimeError("lance error: No space left on device (os error 28)"), "db")
    assert "disk is full" in no_room(ValueError("database or disk is full"), "db")
    assert "read-only" in no_room(OSError(30, "x"), "db") and no_room(ValueError("other"), "db") == ""
    with pytest.raises(SynthgenError, match="proc"):
        save([Chunk(text="a")], "/proc/none/x.jsonl")


# whose machine


def test_paths_are_told_without_the_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "ann"))
    (tmp_path / "ann/work/docs").mkdir(parents=True)
    (tmp_path / "srv/data").mkdir(parents=True)
    monkeypatch.chdir("ann/work")
    assert [portable(p) for p in (tmp_path / "ann/work/docs", tmp_path / "ann/x", tmp_path / "srv/data", "docs")] == ["docs", "~/x", "…/data", "docs"]
    line = command_line(["synthgen", "run", "-p", f"source={tmp_path}/ann/my docs", f"{tmp_path}/ann/work/a.md"])
    assert line == "synthgen run -p source=~/'my docs' a.md"
    given = dict(source=[f"{tmp_path}/srv/data"], n=3, world=f"hdf5:{tmp_path}/srv/data/x.h5")
    text = hidden(json.dumps(given) + f" {tmp_path}/srv/data/b.md {tmp_path}/ann/work/c.md {tmp_path}/ann/d.md", paths_in(given))
    assert str(tmp_path) not in text and "…/data/b.md c.md ~/d.md" in text


# records on disk


def test_a_shelf_reads_like_a_list(tmp_path):
    chunks = [Chunk(text=f"chunk {i} \udcff", tokens=i) for i in range(20)]
    shelf = Shelf(chunks[:10], tmp_path)
    shelf += chunks[10:]
    assert list(shelf) == chunks and len(shelf) == 20 and shelf[-1] == chunks[-1] and list(shelf[3:9:2]) == chunks[3:9:2]
    assert list(shelf.taken([5, 1])) == [chunks[5], chunks[1]] and not shelf[:0] and chunks[7] in shelf
    texts = Lookup(shelf)
    assert dict(texts) == {c.id: c.text for c in chunks} and "no" not in texts and texts.get("no") is None
    with pytest.raises(IndexError):
        shelf[20]
    assert not list(tmp_path.iterdir()), "a shelf has no name, and goes with its process"


def test_blocks_give_what_the_whole_gives(tmp_path):
    import asyncio

    chunks = [Chunk(text=f"{i}") for i in range(50)]

    async def odd(some):
        out = on_disk(tmp_path)
        out.kept += [c for c in some if int(c.text) % 2]
        out.dropped += [drop(c, "odd", "even") for c in some if not int(c.text) % 2]
        return out

    got = asyncio.run(in_blocks(odd, chunks, on_disk(tmp_path), 7))
    assert [c.text for c in got.kept] == [c.text for c in chunks if int(c.text) % 2] and got.reasons == {"even": 25}


GROWS = """
import asyncio, tracemalloc
from synthgen_nb.core.calls import Calls
from synthgen_nb.core.models import open_model
from synthgen_nb.core.records import Chunk, Source
from synthgen_nb.core.shelf import Shelf, on_disk
from synthgen_nb.qa import grounded
words = 'A chunk is the unit in which part {i} reads and writes a dataset. It is kept in the cache of file {i}. ' * 10
chunks = Shelf(Chunk(text=f'# Part {i}\\n\\n' + words.format(i=i), sources=(Source(path=f'docs/{i % 50}.md'),)) for i in range(700))
out, held = on_disk(), []
def append(x, put=out.kept.append):
    put(x)
    if len(out.kept) == 100: tracemalloc.start()
    if len(out.kept) in (100, 356): held.append(tracemalloc.get_traced_memory()[0]) # a block of questions apart
out.kept.append = append
asyncio.run(grounded.generate(chunks, open_model(provider='offline', calls=Calls('calls.db')), 1, out=out))
print(len(out.kept), (held[1] - held[0]) // 1024)
"""


def test_memory_does_not_grow_with_the_chunks(tmp_path):
    r = subprocess.run([sys.executable, "-c", GROWS], env=ENV, capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    kept, kilobytes = map(int, r.stdout.split())
    assert kept == 700 and kilobytes < 256, f"{kilobytes} kB stay of 256 chunks, which are on disk with their pairs"
