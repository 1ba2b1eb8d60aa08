"""The store: kept in step with a folder, mended after a kill, open to tables of other programs."""

import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from conftest import DATA, PROSE, needs_data

from synthgen_nb.core.embed import embed
from synthgen_nb.core.records import SynthgenError
from synthgen_nb.core.settings import Settings
from synthgen_nb.corpus.chunk import chunk_documents
from synthgen_nb.corpus.read import read_documents
from synthgen_nb.corpus.search import search
from synthgen_nb.corpus.store import ingest, is_db, read_chunks, read_manifest, table_names


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("docs").mkdir()
    Path("docs/a.md").write_text("# A\n\n" + "\n\n".join(f"## Part {i}\n\n{PROSE * 30}" for i in range(6)))
    Path("docs/b.md").write_text(Path("docs/a.md").read_text())
    Path("docs/f.py").write_text("def f():\n    return 1\n")
    Path("docs/x.bin").write_bytes(b"\0")
    return tmp_path


def test_ingest_and_read_back(corpus):
    out = ingest("docs", "db")
    assert is_db("db") and table_names("db") == ["chunks", "documents"]
    chunks = read_chunks("db")
    assert len(chunks) == out.chunks == out.embedded and [d.reason for d in out.dropped] == ["unsupported_format"]
    assert chunks == chunk_documents(read_documents("docs")[0])
    assert [s.path for s in chunks[0].sources] == ["docs/a.md", "docs/b.md"] and out.repeats == len(chunks) - 1
    some = [chunks[-1].id, chunks[0].id]
    assert [c.id for c in read_chunks("db", ids=some)] == some[::-1]
    import lancedb

    t = lancedb.connect("db").open_table("chunks")
    assert t.schema.field("vector").type.list_size == 1024
    assert {"id", "content", "source_file", "section_path", "start_line", "token_count"} <= set(t.schema.names)
    assert [(r["path"], r["kind"], r["chunks"]) for r in read_manifest("db")][2] == ("docs/f.py", "python", 1)


def test_ingesting_again_does_only_what_changed(corpus):
    first = ingest("docs", "db")
    again = ingest("docs", "db")
    assert (again.new, again.changed, again.removed, again.embedded) == (0, 0, 0, 0) and again.chunks == first.chunks
    assert [d.reason for d in again.dropped] == ["unsupported_format"]
    Path("docs/f.py").write_text("def g():\n    return 2\n")
    Path("docs/b.md").unlink()
    Path("docs/0.md").write_text("# New\n\nA page.\n")
    third = ingest("docs", "db")
    assert (third.new, third.changed, third.removed, third.embedded) == (1, 1, 1, 2)
    assert read_chunks("db") == chunk_documents(read_documents("docs")[0])
    other = ingest("docs", "db", (5, 50))
    assert other.changed == 3 and read_chunks("db") == chunk_documents(read_documents("docs")[0], (5, 50))


def test_vectors_stay_with_their_texts(corpus):
    import lancedb

    ingest("docs", "db")
    Path("docs/b.md").unlink()
    Path("docs/c.md").write_text("# Other\n\nwords\n")
    ingest("docs", "db")
    rows = lancedb.connect("db").open_table("chunks").to_arrow().to_pylist()
    assert all(np.allclose(embed([r["content"]])[0], r["vector"], atol=1e-6) for r in rows) and len(rows) == len(read_chunks("db"))


STEP = """
import os, sys
from synthgen_nb.corpus import store
before = store.{at}
def dying(*args, **kwargs):
    if {after}: before(*args, **kwargs)
    os._exit(9)
store.{at} = dying
store.ingest("docs", "db")
"""


@pytest.mark.parametrize("at, after", [("_commit", False), ("_commit", True), ("_tidy", True)])
def test_a_kill_between_any_two_steps_is_mended_by_the_next_run(corpus, at, after):
    ingest("docs", "db")
    old = read_chunks("db")
    Path("docs/f.py").write_text("def g():\n    return 2\n")
    Path("docs/a.md").write_text("# A\n\nshort now\n")
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    r = subprocess.run([sys.executable, "-c", STEP.format(at=at, after=after)], env=env, capture_output=True, text=True)
    assert r.returncode == 9, r.stderr
    new = chunk_documents(read_documents("docs")[0])
    key = lambda cs: sorted(c.id for c in cs)
    assert key(read_chunks("db")) in (key(old), key(new)), "all of the old chunks or all of the new ones"
    ingest("docs", "db")
    assert read_chunks("db") == new


def test_an_address_is_opened_as_lancedb_does(corpus):
    uri = f"file://{corpus}/far"
    assert not is_db(uri)
    ingest("docs", uri)
    assert is_db(uri) and is_db(Path(uri)) and read_chunks(uri) == chunk_documents(read_documents("docs")[0])
    assert ingest("docs", uri).embedded == 0


def test_store_errors_are_words(corpus):
    with pytest.raises(SynthgenError, match="no such database"):
        read_chunks("nope")
    with pytest.raises(SynthgenError, match="not a LanceDB"):
        read_chunks("docs")
    with pytest.raises(SynthgenError, match="a file stands"):
        ingest("docs", "docs/a.md")
    ingest("docs", "db")
    with pytest.raises(SynthgenError, match="no table 'other'"):
        read_chunks("db", tables=["other"])
    with pytest.raises(SynthgenError, match="no chunk with the id"):
        read_chunks("db", ids=["o'no"])


@pytest.mark.parametrize("where", ["data", "_versions"])
@pytest.mark.parametrize("damage", ["empty", "half", "garbage", "gone"])
def test_a_damaged_table_is_named_and_made_anew(corpus, where, damage):
    ingest("docs", "db")
    chunks = read_chunks("db")
    for f in list(Path("db/chunks.lance", where).iterdir()):
        b = f.read_bytes()
        if damage == "gone":
            f.unlink()
        else:
            f.write_bytes({"empty": b"", "half": b[: len(b) // 2], "garbage": b"\x07" * len(b)}[damage])
    with pytest.raises(SynthgenError, match="'chunks' cannot be read"):
        read_chunks("db")
    if where == "_versions" and damage != "gone":
        with pytest.raises(SynthgenError, match="delete that folder"):
            ingest("docs", "db")
        shutil.rmtree("db/chunks.lance")
    ingest("docs", "db")
    assert read_chunks("db") == chunks


def test_another_programs_tables_are_read_and_never_written(corpus):
    import lancedb
    import pyarrow as pa

    long = PROSE * 900
    rows = pa.table(
        dict(
            id=["a:1", "a:1", "b:1", "c:1", "d:7"],
            content=["x = 1", "x = 1", "y = 2", None, long],
            source_file=["1/a", "2/a", "b", "c", "d.txt"],
            start_line=[3, 3, 1, 1, 7],
            end_line=[3, 3, 1, 1, 7],
            start_char=[0, 0, 0, 0, 100],
            section_path=pa.nulls(5),
            language=pa.nulls(5),
            vector=pa.array([[0.0] * 7] * 5, pa.list_(pa.float32(), 7)),
        )
    )
    lancedb.connect("theirs").create_table("code_chunks", rows)
    chunks = read_chunks("theirs")
    seen = [(c.text, [s.path for s in c.sources], c.sources[0].start_line) for c in chunks[:2]]
    assert seen == [("x = 1", ["1/a", "2/a"], 3), ("y = 2", ["b"], 1)]
    pieces = chunks[2:]
    assert len(long) > 55_000 and len({c.id for c in chunks}) == len(chunks) and all(c.tokens <= 1024 and c.path == "d.txt" for c in pieces)
    assert all(long[s.start - 100 : s.end - 100] == c.text for c in pieces for s in c.sources)
    assert [h.chunk.text for h in search("theirs", "y 2", k=1)] == ["y = 2"]
    with pytest.raises(SynthgenError, match="another program"):
        ingest("docs", "theirs")
    lancedb.connect("none").create_table("people", pa.table(dict(name=["x"])))
    with pytest.raises(SynthgenError, match="people"):
        read_chunks("none")


def test_a_database_of_two_tables_becomes_one(corpus):
    import lancedb
    import pyarrow.compute as pc

    ingest("docs", "db")
    want, db = read_chunks("db"), lancedb.connect("db")
    ours = db.open_table("chunks").to_arrow()
    code = pc.equal(ours["kind"], "code")
    for name, rows in (("code_chunks", ours.filter(code)), ("text_chunks", ours.filter(pc.invert(code)))):
        db.create_table(name, rows)
    db.drop_table("chunks")
    assert {c.id for c in read_chunks("db")} == {c.id for c in want}
    again = ingest("docs", "db")
    assert again.embedded == len(want) and read_chunks("db") == want
    assert sorted(db.list_tables().tables) == ["chunks", "documents"]


class Vectors(http.server.BaseHTTPRequestHandler):
    "An embedding server: OpenAI's protocol, three numbers a text, in reverse order; it counts what it is asked"

    asked, size = [], 3

    def do_POST(self):
        texts = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["input"]
        type(self).asked.append(len(texts))
        data = [dict(object="embedding", index=i, embedding=[len(t), t.count("f"), 1, 0][: self.size]) for i, t in enumerate(texts)][::-1]
        body = json.dumps(dict(object="list", data=data, model="m", usage=dict(prompt_tokens=1, total_tokens=1))).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def test_a_text_is_embedded_once_by_a_server(corpus):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Vectors)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    s = Settings(
        llm=dict(vllm=dict(model="x", base_url=f"http://127.0.0.1:{server.server_port}/v1")),
        corpus=dict(embedding="vllm/m"),
        paths=dict(vectors=corpus / "vectors.db"),
    )
    ingest("docs", "db", settings=Settings())
    n = len(read_chunks("db"))
    try:
        assert ingest("docs", "db", settings=s).changed == 3, "another model: all is embedded anew"
        assert sum(Vectors.asked) == n + 1, "and one text to learn the size"
        assert len(Vectors.asked) == 2, "many texts in one request"
        Path("docs/f.py").write_text("def f():\n    return 2\n")
        assert ingest("docs", "db", settings=s).embedded == 1 and sum(Vectors.asked) == n + 2, "only the file that was touched"
        shutil.rmtree("db")
        assert ingest("docs", "db", settings=s).embedded == n and sum(Vectors.asked) == n + 2, "what was paid for is not paid for again"
        assert search("db", "return 2", k=1, kind="vector", settings=s)[0].chunk.kind == "code"
        Vectors.size = 4
        with pytest.raises(SynthgenError, match="numbers"):
            search("db", "other words", kind="vector", settings=s)
    finally:
        server.shutdown()
        server.server_close()
    old = read_chunks("db")
    nowhere = s.model_copy(update=dict(corpus=s.corpus.model_copy(update=dict(embedding="vllm/other"))))
    nowhere.llm.vllm.patience = 0.1
    with pytest.raises(SynthgenError, match="no embeddings"):
        ingest("docs", "db", settings=nowhere)
    assert read_chunks("db") == old, "a failure leaves what was there"


def test_a_first_ingestion_killed_before_its_commit_can_be_repeated(corpus):
    Path("db/chunks.lance/data").mkdir(parents=True)
    Path("db/chunks.lance/data/half.lance").write_bytes(b"x")
    assert ingest("docs", "db").chunks == len(read_chunks("db"))


@needs_data
def test_real_table_of_another_program():
    chunks = read_chunks(DATA / "prototype/phagocyte_rag")
    assert sum(len(c.sources) for c in chunks) > len(chunks) and len({c.id for c in chunks}) == len(chunks)
    assert all(c.kind == "code" and c.tokens > 0 for c in chunks)
