"""Several sources in one database: what belongs to which, what goes, what stays, and who may write."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SYNTHGEN, write_docs

from synthgen_nb.core.calls import Calls
from synthgen_nb.core.calls import rows as stored
from synthgen_nb.core.records import SynthgenError
from synthgen_nb.core.settings import Settings
from synthgen_nb.corpus.alone import alone
from synthgen_nb.corpus.store import ingest, read_chunks, read_manifest, read_sources

ENV = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}


def page(path, text="One page.", n=1):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(f"# About {Path(path).stem}\n\n{text}\n")


def paths(db="db"):
    return [r["path"] for r in read_manifest(db)]


@pytest.fixture
def two(tmp_path):
    page("docs/a.md", "The first page.")
    page("docs/sub/b.md", "The second page.")
    page("notes/c.md", "A note.")
    ingest("docs", "db")
    return tmp_path


def test_a_second_source_leaves_the_first(two):
    got = ingest("notes", "db")
    assert paths() == ["docs/a.md", "docs/sub/b.md", "notes/c.md"] and got.removed == 0 and got.gone == []
    assert {c.path for c in read_chunks("db")} == set(paths())
    Path("docs/sub/b.md").unlink()
    Path("notes/c.md").unlink()
    page("notes/d.md", "Another note.")
    got = ingest("docs", "db")
    assert got.gone == ["docs/sub/b.md"] and paths() == ["docs/a.md", "notes/c.md"], "what another source lost is not looked at"
    assert ingest("notes", "db").gone == ["notes/c.md"]
    got = ingest("notes", "db", replace=True)
    assert got.gone == ["docs/a.md"] and paths() == ["notes/d.md"]
    assert [c.path for c in read_chunks("db")] == ["notes/d.md"]


@pytest.mark.parametrize("spelled", ["docs/", "./docs", "docs/../docs", "{here}/docs", "link", "docs/sub/.."])
def test_one_folder_by_two_spellings_is_one_source(two, spelled):
    Path("link").symlink_to("docs")
    got = ingest(spelled.format(here=two), "db")
    assert (got.new, got.changed, got.removed, got.embedded) == (0, 0, 0, 0) and len(read_sources("db")) == 1


def test_from_inside_the_folder_it_is_the_same_source(two, monkeypatch):
    monkeypatch.chdir("docs")
    assert ingest(".", "../db").embedded == 0 and paths("../db") == ["docs/a.md", "docs/sub/b.md"]


def test_a_part_of_a_source_brings_only_that_part_in_step(two):
    Path("docs/a.md").unlink()
    page("docs/sub/b.md", "The second page, anew.")
    page("docs/sub/e.md", "A third page.")
    got = ingest("docs/sub", "db")
    assert (got.new, got.changed, got.removed) == (1, 1, 0) and paths() == ["docs/a.md", "docs/sub/b.md", "docs/sub/e.md"]
    page("docs/sub/b.md", "The second page, once more.")
    assert ingest("docs/sub/b.md", "db").changed == 1 and [r["source"] for r in read_sources("db")] == ["docs"]
    assert ingest("docs", "db").gone == ["docs/a.md"]


def test_a_source_around_others_takes_them_in(tmp_path):
    page("docs/sub/b.md")
    page("docs/a.md", "Another.")
    ingest(["docs/sub", "docs/a.md"], "db")
    assert sorted(paths()) == ["a.md", "sub/b.md"]
    got = ingest("docs", "db")
    assert paths() == ["docs/a.md", "docs/sub/b.md"] and got.embedded == 0 and len(got.notes) == 2
    assert [s.path for c in read_chunks("db") for s in c.sources] == paths(), "no place is left under the old name"


def test_overlapping_sources_of_one_command_are_read_once(two):
    ingest(["docs/sub", "docs", "docs/a.md"], "one")
    assert sorted(paths("one")) == ["docs/a.md", "docs/sub/b.md"]


def test_folders_of_one_name_are_told_apart(tmp_path):
    page("x/docs/a.md", "Of x.")
    page("y/docs/a.md", "Of y.")
    ingest("x/docs", "db")
    ingest("y/docs", "db")
    assert paths() == ["docs/a.md", "docs-2/a.md"]
    assert ingest(["y/docs", "x/docs"], "db").embedded == 0 and paths() == ["docs/a.md", "docs-2/a.md"]


@pytest.mark.parametrize("name", ["handbook", "moved/docs"])
def test_a_renamed_folder_is_the_same_source(two, name):
    ingest("notes", "db")
    Path(name).parent.mkdir(exist_ok=True)
    Path("docs").rename(name)
    got = ingest(name, "db")
    short = Path(name).name
    assert sorted(paths()) == sorted([f"{short}/a.md", f"{short}/sub/b.md", "notes/c.md"]) and got.embedded == 0
    assert "not there any more" in got.notes[0]


def test_a_source_that_is_not_there_stays_unless_its_files_are_elsewhere(two):
    Path("docs").rename("away")
    page("other/x.md", "Something else.")
    assert ingest("other", "db").notes == [] and paths() == ["docs/a.md", "docs/sub/b.md", "other/x.md"]
    assert "not there now" in read_sources("db")[0]["given"]


def test_chunks_that_are_made_anew_are_those_of_all_sources(two):
    page("notes/c.md")
    ingest("notes", "db")
    for f in Path("db/chunks.lance/data").iterdir():
        f.write_bytes(b"")
    assert ingest("notes", "db").documents == 3 and {c.path for c in read_chunks("db")} == set(paths())
    for f in Path("db/chunks.lance/data").iterdir():
        f.write_bytes(b"")
    Path("docs").rename("away")
    with pytest.raises(SynthgenError, match=r"docs is not there .*--replace"):
        ingest("notes", "db")
    assert ingest("notes", "db", replace=True).documents == 1


def test_a_list_of_an_earlier_version_is_taken_over(two):
    import lancedb

    t = lancedb.connect("db").open_table("documents").to_arrow()
    lancedb.connect("db").create_table("documents", t.drop(["source", "root", "given", "taken"]), mode="overwrite")
    ingest("notes", "db")
    assert sorted(paths()) == ["docs/a.md", "docs/sub/b.md", "notes/c.md"]
    assert ingest("docs", "db").removed == 0 and len(paths()) == 3 and len(read_sources("db")) == 2


def test_nothing_to_read_leaves_no_folder(tmp_path):
    Path("empty").mkdir()
    with pytest.raises(SynthgenError, match="nothing to read"):
        ingest("empty", "new/db")
    assert not Path("new/db").exists()


# one writer

HOLD = "import sys, time; from synthgen_nb.corpus.alone import alone\nwith alone('db'): print('in', flush=True); time.sleep(60)"


def test_another_writer_is_named_and_one_that_was_killed_is_forgotten(two):
    p = subprocess.Popen([sys.executable, "-c", HOLD], env=ENV, stdout=subprocess.PIPE, text=True)
    assert p.stdout.readline() == "in\n"
    assert len(read_chunks("db")) == 2, "readers need no turn"
    with pytest.raises(SynthgenError, match=rf"process {p.pid}, since .* is writing to this database"), alone("db", patience=0.2):
        pass
    p.send_signal(signal.SIGKILL)
    p.wait()
    assert ingest("notes", "db").documents == 3


def test_two_commands_at_once_both_come_to_their_end(tmp_path, synthgen):
    write_docs(Path("docs"), 4)
    write_docs(Path("more"), 8)
    line = lambda folder: [SYNTHGEN, "ingest", folder, "-o", "db"]
    both = [subprocess.Popen(line(f), env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for f in ("docs", "more")]
    said = [p.communicate() for p in both]
    assert [p.returncode for p in both] == [0, 0], said
    assert not re.search(r"\.rs\b|Traceback", str(said))
    assert len(paths()) == 12 and {r["source"] for r in read_sources("db")} == {"docs", "more"}
    assert {s.path for c in read_chunks("db") for s in c.sources} == set(paths())


# names and places

def test_no_path_of_this_machine_leaves_it(tmp_path, synthgen, server):
    (tmp_path / "clients/acme").mkdir(parents=True)
    write_docs(tmp_path / "clients/acme/manual", 3)
    (tmp_path / "clients/acme/manual/x.bin").write_bytes(b"\0")
    work = tmp_path / "work"
    work.mkdir()
    given = tmp_path / "clients/acme/manual"
    r = subprocess.run([SYNTHGEN, "pipeline", given, "-o", tmp_path / "out.jsonl", "-f", "jsonl", "--target-pairs", "4"], cwd=work,
                       env=ENV | server.env, capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert all(row["sources"][0].startswith("manual/doc") for row in rows)
    with Calls(work / Settings().paths.calls) as calls:
        asked = json.dumps(list(stored(calls)))
    assert "manual/doc00" in asked and str(tmp_path) not in asked and "acme" not in asked
    for f in [*work.rglob("*.json*"), *work.rglob("*.md"), *work.rglob("*.ipynb"), tmp_path / "out.jsonl"]:
        assert str(tmp_path) not in f.read_text() and "acme" not in f.read_text(), f.relative_to(tmp_path)


def test_the_list_of_sources(tmp_path, synthgen):
    write_docs(Path("docs"), 2)
    page("notes.md", "A note.")
    synthgen("ingest", "docs", "-o", "db")
    synthgen("ingest", "notes.md", "-o", "db")
    out = synthgen("sources", "db").stdout
    assert re.search(r"^docs +2 +2 +markdown 2 .*docs$", out, re.M) and re.search(r"^notes.md +1 +1 +markdown 1 .*notes.md$", out, re.M)
    Path("docs/doc000.md").unlink()
    r = synthgen("ingest", "docs", "-o", "db")
    assert "gone from the database: docs/doc000.md" in r.stderr and "1 gone" in r.stdout
    r = synthgen("ingest", "docs", "-o", "db", "--replace")
    assert "gone from the database: notes.md" in r.stderr


def test_a_new_model_of_vectors_reads_all_sources_again(two):
    ingest("notes", "db")
    other = Settings(corpus=Settings().corpus.model_copy(update=dict(min_tokens=0)))
    assert ingest("docs", "db", (5, 50), other).documents == 3
