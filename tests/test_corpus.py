"""Reading, cutting, embedding and storing a corpus: real files, no mocks."""

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
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgen_nb.core.embed import embed
from synthgen_nb.core.records import SynthgenError
from synthgen_nb.core.settings import Settings
from synthgen_nb.corpus.chunk import chunk_document, chunk_documents, count_tokens, quality
from synthgen_nb.corpus.html import html_to_markdown
from synthgen_nb.corpus.read import Document, find_files, read_document, read_documents
from synthgen_nb.corpus.rst import rst_to_markdown
from synthgen_nb.corpus.search import search
from synthgen_nb.corpus.store import ingest, is_db, read_chunks, read_manifest, table_names

DATA = Path(os.environ.get("SYNTHGEN_DATA", Path(__file__).parents[2] / "shared" / "data"))
needs_data = pytest.mark.skipif(not (DATA / "corpus").is_dir(), reason=f"no shared data at {DATA}; set SYNTHGEN_DATA")
PROSE = "Chunks are read as a whole. The cache keeps what was read last. "


def doc(text, kind="markdown", path="x"):
    return Document(path=path, text=text, kind=kind)


def check_spans(d, chunks):
    "Every source reproduces its chunk, nothing overlaps, and only blanks and what a rule names are left out"
    for a, b in d.left_out:
        assert not any(s.start < b and a < s.end for c in chunks for s in c.sources if s.path == d.path)
    text = "".join(" " if any(a <= i < b for a, b in d.left_out) else ch for i, ch in enumerate(d.text)) if d.left_out else d.text
    places = sorted((s.start, s.end, s, c) for c in chunks for s in c.sources if s.path == d.path)
    end = 0
    for a, b, s, c in places:
        assert d.text[a:b] == c.text and c.text.strip()
        assert a >= end and not text[end:a].strip()
        assert (s.start_line, s.end_line) == (d.text.count("\n", 0, a) + 1, d.text.count("\n", 0, b) + 1)
        end = b
    assert not text[end:].strip()


# reading


def test_text_is_the_file_byte_for_byte(tmp_path):
    raw = "\ufeff# Tïtle\r\n\r\ntab\there\x0cfeed\u2028end".encode()
    (tmp_path / "a.md").write_bytes(raw)
    d = read_document(tmp_path / "a.md")
    assert d.text.encode() == raw[3:] and d.kind == "markdown" and d.title == "Tïtle"


def test_folder_is_walked_in_order_without_tools_and_loops(tmp_path):
    for f in ["b.md", "a/z.rst", "a/.git/x.md", ".hidden.md", "node_modules/m.md", "__pycache__/p.py", "README"]:
        (tmp_path / f).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f).write_text("text")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    names = [Path(f).relative_to(tmp_path).as_posix() for f in find_files(tmp_path)]
    assert names == ["README", "a/z.rst", "b.md"]


def test_relative_paths_stay_as_named(tmp_path, monkeypatch):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("x")
    monkeypatch.chdir(tmp_path)
    assert find_files(["docs", "docs/a.md"]) == ["docs/a.md"]


def test_what_cannot_be_read_is_named(tmp_path):
    files = {
        "good.md": b"# Hi",
        "latin.txt": b"\xe9t\xe9",
        "utf16.txt": "x".encode("utf-16"),
        "nul.md": b"a\0b",
        "empty.md": b" \n",
        "x.pdf": b"%PDF",
        "x.adoc": b"= Title",
        "LICENSE": b"MIT",
        "bad.ipynb": b'{"cells": 3}',
        "notjson.ipynb": b"oops",
    }
    for n, b in files.items():
        (tmp_path / n).write_bytes(b)
    (tmp_path / "gone.md").symlink_to(tmp_path / "nowhere")
    docs, dropped = read_documents(tmp_path)
    assert {Path(d.path).name: d.text for d in docs} == {"good.md": "# Hi", "latin.txt": "été", "utf16.txt": "x"}
    assert {Path(d.record["path"]).name: d.reason for d in dropped} == {
        "nul.md": "not_text",
        "empty.md": "empty",
        "x.pdf": "unreadable",
        "x.adoc": "unsupported_format",
        "LICENSE": "boilerplate:licence",
        "bad.ipynb": "unreadable",
        "notjson.ipynb": "unreadable",
        "gone.md": "unreadable",
    }
    assert all(d.detail for d in dropped)


def test_a_file_over_the_limit_is_dropped(tmp_path):
    with open(tmp_path / "big.txt", "wb") as f:
        f.truncate(20_000_001)
    (tmp_path / "a.md").write_text("x")
    assert [d.reason for d in read_documents(tmp_path)[1]] == ["too_large"]


def test_missing_and_empty_sources_are_errors(tmp_path):
    with pytest.raises(SynthgenError, match="no such file or folder"):
        read_documents(tmp_path / "nope")
    (tmp_path / "x.png").write_bytes(b"\x89")
    with pytest.raises(SynthgenError, match="unsupported_format"):
        read_documents(tmp_path)
    with pytest.raises(SynthgenError, match="no such file"):
        read_document(tmp_path / "nope.md")


def test_notebook_keeps_prose_and_code_only(tmp_path):
    cell = lambda kind, src, **meta: dict(cell_type=kind, source=src, metadata=meta, outputs=[dict(text="OUTPUT")])
    cells = [
        cell("markdown", "# T"),
        cell("code", "#| export\nx = 1"),
        cell("code", "#| hide\nsecret = 1"),
        cell("code", "y", tags=["remove-cell"]),
        cell("raw", "RAW"),
        cell("code", ["s = '''\n", "```\n", "'''"]),
    ]
    (tmp_path / "n.ipynb").write_text(json.dumps(dict(cells=cells, metadata={}, nbformat=4)))
    d = read_document(tmp_path / "n.ipynb")
    assert d.text == "# T\n\n```python\nx = 1\n```\n\n````python\ns = '''\n```\n'''\n````\n" and d.title == "T"


def test_html_keeps_what_is_said():
    md, title = html_to_markdown(
        "<html><head><title>T</title><style>p{}</style></head><body>"
        '<nav>MENU</nav><div class="sidebar">SIDE</div><main><h1>Head</h1>'
        "<p>Some words that are the page.</p>"
        '<h2>Sub</h2><pre><code class="language-c">int  x;\n\n\n  y;</code></pre>'
        "<table><tr><th>a</th></tr><tr><td>1</td></tr></table></main>"
        "<script>evil()</script><footer>FOOT</footer></body></html>"
    )
    assert title == "Head" and md.startswith("# Head\n")
    assert "## Sub" in md and "```c\nint  x;\n\n\n  y;\n```" in md and "| a |" in md
    assert not any(w in md for w in ("MENU", "SIDE", "evil", "FOOT", "p{}"))


# chunks

BITS = st.sampled_from(
    [
        "# H\n",
        "## Two\r\n",
        "T\n===\n",
        "```\n",
        "~~~py\n",
        "| a | b |\n|---|---|\n",
        "\t- x\n",
        "> q\n",
        "\r",
        "\r\n",
        "\n\n",
        "\x0c",
        "\x0b",
        "\x1c",
        "\x85",
        "\u2028",
        "\0",
        ".. code::\n\n   x\n",
        "::\n\n  lit\n",
        ".. _l:\n",
        "=== ===\na b\n=== ===\n",
        "def f():\n",
        "class A:\n",
        "  x = 1\n",
        "@d\n",
        '"""',
        "# c\n",
        "<table>\n\n",
        "</table>\n",
        "---\n",
        "a: b\n",
        "数据。",
        "A sentence. Another! ",
        "word " * 30,
        "x" * 300,
    ]
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(BITS | st.text(max_size=6), max_size=25).map("".join),
    st.sampled_from(["markdown", "rst", "python", "text"]),
    st.sampled_from([(512, 1024), (5, 10), (1, 1)]),
)
def test_any_text_is_cut_exactly(text, kind, tokens):
    d = doc(text, kind)
    chunks = chunk_document(d, tokens)
    check_spans(d, chunks)
    assert len({c.id for c in chunks}) == len(chunks)


def test_fences_and_tables_are_never_cut():
    fence = "```python\n" + "# no heading\n\nx = 1\n" * 400 + "```"
    table = "| a | b |\n|---|---|\n" + "| one | two |\n" * 400
    d = doc(f"# T\n\n{PROSE}\n\n{fence}\n\n{PROSE}\n\n{table}\n\n{PROSE}\n")
    chunks = chunk_document(d)
    check_spans(d, chunks)
    assert sum(fence in c.text for c in chunks) == 1 and sum(table.strip() in c.text for c in chunks) == 1
    assert all(c.text.startswith(("```", "| a")) for c in chunks if c.tokens > 1024)


def test_rst_literal_blocks_directives_and_tables_are_never_cut():
    literal = "Example::\n\n" + "    x = 1\n\n" * 400
    code = ".. code-block:: c\n\n" + "   int x;\n\n" * 400
    table = "=====  =====\na      b\n" + "=====  =====\n" + "one    two\n" * 400 + "=====  ====="
    source = f"T\n===\n\n{PROSE}\n\n{literal}\n{code}\n{table}\n\n{PROSE}\n"
    d = doc(rst_to_markdown(source), "rst")
    chunks = chunk_document(d)
    check_spans(d, chunks)
    for whole in ("```\n" + "x = 1\n\n" * 399 + "x = 1\n```", "```c\n" + "int x;\n\n" * 399 + "int x;\n```", "| one | two |\n" * 400):
        assert sum(whole.strip() in c.text for c in chunks) == 1
    assert d.text.split("\n")[:-1].index("```c") == source.split("\n").index("   int x;") - 1, "lines are where they were"


def test_rst_titles_make_the_section_path():
    d = doc(rst_to_markdown(".. _top:\n\n====\nBook\n====\n\nPart\n----\n\nwords\n\nOther\n-----\n\nwords\n"), "rst")
    assert [c.sources[0].section for c in chunk_document(d, (1, 7))][-1] == ("Book", "Other")


def test_chunks_start_at_headings_and_fit():
    d = doc("# Book\n\n" + "\n\n".join(f"## Part {i}\n\n" + (PROSE * (5 + 7 * i % 25) + "\n\n") * 2 for i in range(30)))
    chunks = chunk_document(d)
    check_spans(d, chunks)
    assert all(c.tokens <= 1024 for c in chunks)
    assert sum(c.tokens >= 512 for c in chunks) / len(chunks) > 0.85
    assert sum(c.text.startswith("#") for c in chunks) / len(chunks) > 0.8
    assert chunks[0].sources[0].section == ("Book",)


def test_long_paragraph_is_cut_at_sentence_ends():
    d = doc(PROSE * 300)
    assert all(c.text.endswith(".") and c.text[0].isupper() for c in chunk_documents([d]))


def test_python_is_cut_at_definitions():
    code = '"doc"\nimport os\n\n' + "\n\n".join(
        f'# about f{i}\n@cache\ndef f{i}(x):\n    """{PROSE * 20}"""\n    return x + {i}' for i in range(20)
    )
    d = doc(code, "python")
    chunks = chunk_document(d)
    check_spans(d, chunks)
    assert all(c.kind == "code" for c in chunks) and all(c.text.startswith("# about") for c in chunks[1:])
    assert chunks[1].sources[0].section[0].startswith("f")


def test_one_text_in_two_places_is_one_chunk():
    a, b = doc("# A\n\nwords", path="a.md"), doc("# A\n\nwords", path="b.md")
    (c,) = chunk_documents([a, b])
    assert [s.path for s in c.sources] == ["a.md", "b.md"]


def test_impossible_limits_are_an_error():
    with pytest.raises(SynthgenError, match="tokens"):
        chunk_document(doc("x"), (1024, 512))


def test_count_tokens_is_near_a_real_vocabulary():
    assert count_tokens("") == 0 and count_tokens("chunk") == 1
    assert 0.8 < count_tokens(PROSE * 100) / (15 * 100) < 1.3


# vectors


def test_embed():
    v = embed(["a chunk of a dataset", "the chunk of the dataset", "vote on the budget", "", "\ud800"])
    assert v.shape == (5, 1024) and v.dtype == np.float32 and np.allclose(np.linalg.norm(v[:3], axis=1), 1)
    assert v[0] @ v[1] > v[0] @ v[2] and not v[3].any()
    assert embed([]).shape == (0, 1024)
    with pytest.raises(SynthgenError, match="hashing"):
        embed(["x"], model="other")


# the store


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


def test_importing_is_light():
    code = (
        "import sys, synthgen_nb.corpus.read, synthgen_nb.corpus.chunk, synthgen_nb.corpus.store, synthgen_nb.core.embed\n"
        "print([m for m in ('lancedb', 'pandas', 'sklearn', 'pyarrow', 'bs4', 'pypdf', 'mammoth', 'openpyxl', 'pptx',"
        " 'tree_sitter', 'pathspec', 'markdown_it', 'litellm') if m in sys.modules])"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    r = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert r.stdout.strip() == "[]"


# real data


@needs_data
def test_real_manuals():
    docs, dropped = read_documents([DATA / "corpus", DATA / "prototype/hdf5_docs_md"])
    chunks = chunk_documents(docs)
    for d in docs:
        check_spans(d, chunks)
    assert len(docs) == 36 and {d.kind for d in dropped} == {"boilerplate"}
    found = quality(docs, chunks)
    assert found["cut"] == 0 and found["between"] >= 0.85 and found["starts"] >= 0.8, found
    assert len({c.id for c in chunks}) == len(chunks)


@needs_data
def test_real_table_of_another_program():
    chunks = read_chunks(DATA / "prototype/phagocyte_rag")
    assert sum(len(c.sources) for c in chunks) > len(chunks) and len({c.id for c in chunks}) == len(chunks)
    assert all(c.kind == "code" and c.tokens > 0 for c in chunks)
