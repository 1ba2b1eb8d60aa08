"""What comes in: every format, every kind of bad file, and what the rules leave out. Files are made here, with other programs where there are any."""

import io
import json
import subprocess
import zipfile
from pathlib import Path

import pytest
from fpdf import FPDF
from pypdf import PdfReader, PdfWriter

from synthgen_nb.core.records import SynthgenError
from synthgen_nb.core.settings import Corpus
from synthgen_nb.corpus.chunk import chunk_document, chunk_documents, token_counter
from synthgen_nb.corpus.read import find, read_document, read_documents
from synthgen_nb.corpus.rst import rst_to_markdown
from synthgen_nb.corpus.search import search

WORDS = "A dataset is stored in one piece or in chunks, and every chunk is read as a whole when one of its values is wanted. "


def saved(x, path):
    f = io.BytesIO()
    x.save(f)
    path.write_bytes(f.getvalue())


@pytest.fixture
def pdf(tmp_path):
    "Four pages with headers, footers, headings, a divided word and code, written by another program"
    p = FPDF(format=(148, 210))
    p.set_compression(True)
    for n in range(1, 5):
        p.add_page()
        p.set_font("Helvetica", size=8)
        p.text(20, 8, "The storage manual")
        p.text(70, 205, f"Page {n} of 4")
        p.set_xy(15, 20)
        p.set_font("Helvetica", "B", 18)
        p.cell(0, 10, f"Part {n}", new_x="LMARGIN", new_y="NEXT")
        p.set_font("Helvetica", size=10)
        p.multi_cell(0, 5, WORDS * 4 + "It is an algo-\nrithm, and well-\nknown. A well-known one.")
        p.ln(4)
        p.set_font("Courier", size=9)
        p.multi_cell(0, 4, "for c in chunks:\n    read(c)", align="L")
    p.output(str(tmp_path / "manual.pdf"))
    return tmp_path / "manual.pdf"


def test_pdf_pages_headings_and_paragraphs(pdf):
    d = read_document(pdf)
    assert [line for line in d.text.split("\n") if line.startswith("#")] == [f"# Part {n}" for n in range(1, 5)]
    assert "storage manual" not in d.text and "Page 1" not in d.text
    assert d.text.count((WORDS * 4).strip()) == 4, "a paragraph is one line again"
    assert "algorithm, and well-known." in d.text, "a hyphen goes unless the word is written with it elsewhere"
    assert d.text.count("for c in chunks:\n") == 4 and "    read(c)" in d.text
    assert [d.text[a:].split("\n")[0] for a in d.pages] == [f"# Part {n}" for n in range(1, 5)]
    chunks = chunk_document(d, (100, 250))
    assert [c.sources[0].page for c in chunks] == [1, 2, 3, 4] and chunks[2].section == "Part 3"


def test_pdfs_that_cannot_be_read_have_a_reason(pdf, tmp_path):
    w = PdfWriter(PdfReader(str(pdf)))
    w.encrypt("secret")
    w.write(str(tmp_path / "locked.pdf"))
    (tmp_path / "cut.pdf").write_bytes(pdf.read_bytes()[:300])
    blank = PdfWriter()
    blank.add_blank_page(100, 100)
    blank.write(str(tmp_path / "scan.pdf"))
    docs, dropped = read_documents(tmp_path)
    assert [Path(d.path).name for d in docs] == ["manual.pdf"]
    assert {Path(d.record["path"]).name: d.reason for d in dropped} == {
        "locked.pdf": "password_protected",
        "cut.pdf": "unreadable",
        "scan.pdf": "no_text",
    }


def test_a_file_that_takes_too_long_is_left_and_the_next_one_read(pdf, tmp_path):
    "A page of articles in articles, which takes the square of their number"
    (tmp_path / "a_slow.html").write_text("<article>words " * 9000)
    docs, dropped = read_documents(tmp_path, Corpus(seconds=4))
    assert [(Path(d.record["path"]).name, d.reason) for d in dropped] == [("a_slow.html", "timed_out")]
    assert [Path(d.path).name for d in docs] == ["manual.pdf"]


def test_office_files(tmp_path):
    import openpyxl
    import pptx

    parts = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="xml" '
        'ContentType="application/xml"/><Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-'
        'officedocument.wordprocessingml.document.main+xml"/></Types>',
        "_rels/.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Type='
        '"http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>',
        "word/document.xml": '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" xmlns:m='
        '"http://schemas.openxmlformats.org/officeDocument/2006/math"><w:body><w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr><w:r><w:t>'
        "Chunks</w:t></w:r></w:p><w:p><w:r><w:t>Half: </w:t></w:r><m:oMath><m:f><m:num><m:r><m:t>1</m:t></m:r></m:num><m:den><m:r><m:t>2"
        "</m:t></m:r></m:den></m:f></m:oMath></w:p></w:body></w:document>",
    }
    with zipfile.ZipFile(tmp_path / "a.docx", "w") as z:
        for name, text in parts.items():
            z.writestr(name, text)
    deck = pptx.Presentation()
    for n in (1, 2):
        s = deck.slides.add_slide(deck.slide_layouts[1])
        s.shapes.title.text, s.placeholders[1].text = f"Slide about {n}", "one\ntwo"
    saved(deck, tmp_path / "b.pptx")
    book = openpyxl.Workbook()
    for r in [("size", "reads"), *[(i, "x" * 60) for i in range(100)]]:
        book.active.append(r)
    saved(book, tmp_path / "c.xlsx")
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as z, z.open("xl/workbook.xml", "w", force_zip64=True) as part:
        for _ in range(21):
            part.write(bytes(10_000_000))
    (tmp_path / "bomb.xlsx").write_bytes(bomb.getvalue())
    (tmp_path / "entities.docx").write_bytes(zipped("word/document.xml", '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'))
    (tmp_path / "locked.docx").write_bytes(bytes.fromhex("d0cf11e0a1b11ae1") + "EncryptedPackage".encode("utf-16-le"))
    (tmp_path / "half.pptx").write_bytes((tmp_path / "b.pptx").read_bytes()[:2000])
    docs, dropped = read_documents(tmp_path)
    word, slides, sheet = docs
    assert "Chunks" in word.text and r"$\frac{1}{2}$" in word.text
    assert slides.text.startswith("## Slide about 1\n\n- one\n- two") and [c.sources[0].end_page for c in chunk_document(slides)] == [2]
    assert sheet.text.count("| size | reads |") > 1 and all(f"| {i} | x" in sheet.text for i in range(100)), (
        "every part of a sheet has its header"
    )
    assert {Path(d.record["path"]).name: d.reason for d in dropped} == {
        "bomb.xlsx": "zip_bomb",
        "entities.docx": "zip_bomb",
        "locked.docx": "password_protected",
        "half.pptx": "unreadable",
    }


def zipped(name, text):
    f = io.BytesIO()
    with zipfile.ZipFile(f, "w") as z:
        z.writestr(name, text)
    return f.getvalue()


RST = """.. _top:

====
Book
====

See :ref:`sizes`, :meth:`~h5py.File.close` and ``x *= 2``; `HDF5 <https://hdfgroup.org>`_ says so. |name| too.

.. |name| replace:: The library

.. note:: Read *this*.

   And this.

.. code-block:: python
   :linenos:

   x = 1

.. _sizes:

Sizes
-----

+------+-------+
| size | reads |
+======+=======+
| 8    | 64    |
+------+-------+

.. list-table::
   :header-rows: 1

   * - a
     - b
   * - 1
     - 2

.. py:function:: resize(size)

   Change it.

   :param size: how much

family
    Many files::

        a = 1

.. comment: gone
"""


def test_rst_becomes_markdown_line_for_line():
    md = rst_to_markdown(RST)
    lines = md.split("\n")
    assert len(lines) == RST.count("\n") + 2
    for n, line in enumerate(RST.split("\n")):
        if line.strip() in ("Book", "Sizes", "x = 1", "And this.", "Change it.", "a = 1"):
            assert line.strip() in lines[n], (n, line, lines[n])
    parts = [
        "# Book",
        "## Sizes",
        "```python\nx = 1\n```",
        "| size | reads |\n| --- | --- |\n| 8 | 64 |",
        "| a | b |\n| --- | --- |\n| 1 | 2 |",
    ]
    parts += [
        "See Sizes, `close()` and `x *= 2`; [HDF5](https://hdfgroup.org) says so. The library too.",
        "### `resize(size)`",
        "- **size**: how much",
        "**family**",
    ]
    for part in parts:
        assert part in md, part
    assert not any(x in md for x in ("::", ":ref:", "..", "comment", "linenos"))


SOURCES = {
    "a.c": "/* opens */\nint open_it(const char *n) {\n  return 1;\n}\n\nint close_it(void) {\n  return 0;\n}\n",
    "a.cpp": "namespace h5 {\n// a group\nclass Group {\n public:\n  int size() const { return 0; }\n};\n}\n",
    "A.java": "class Group {\n  /** Opens. */\n  void open() { }\n}\n",
    "a.js": "// opens\nfunction open() { return 1 }\n",
    "a.ts": "export interface Box { n: number }\nexport function open(b: Box): number { return b.n }\n",
    "a.go": "package h5\n\n// Open opens.\nfunc Open() error { return nil }\n",
    "a.rs": "/// A box\nstruct Box { n: u8 }\n\nimpl Box {\n    fn size(&self) -> u8 { self.n }\n}\n",
    "a.sh": "#!/bin/sh\n# opens\nopen_it() {\n  echo 1\n}\n",
    "a.py": "def f():\n    return 1\n\n\nclass Grün:\n    pass\n",
}
DEFINED = {
    "a.c": "open_it",
    "a.cpp": "Group",
    "A.java": "Group",
    "a.js": "open",
    "a.ts": "Box",
    "a.go": "Open",
    "a.rs": "Box",
    "a.sh": "open_it",
    "a.py": "f",
}


def test_code_is_cut_at_definitions_in_nine_languages(tmp_path):
    for name, text in SOURCES.items():
        (tmp_path / name).write_text(text)
    docs, _ = read_documents(tmp_path)
    assert len(docs) == 9
    for d in docs:
        chunks = chunk_document(d, (1, 12))
        assert "".join(c.text.split() and "".join(c.text.split()) for c in chunks) == "".join(d.text.split()), "nothing is lost"
        assert all(c.kind == "code" and c.language == d.language and d.text[s.start : s.end] == c.text for c in chunks for s in c.sources)
        assert DEFINED[Path(d.path).name] in {part for c in chunks for part in c.sources[0].section}, d.path
    c = next(d for d in docs if d.path.endswith("a.c"))
    assert [x.text.split("\n")[0] for x in chunk_document(c, (5, 25))] == ["/* opens */", "int close_it(void) {"]


def test_a_git_checkout_is_read_as_git_sees_it(tmp_path):
    repo = tmp_path / "repo"
    files = {
        "README.md": "# Hi",
        ".gitignore": "build/\n*.log.md\n!keep.log.md\n",
        "build/x.md": "built",
        "a.log.md": "log",
        "keep.log.md": "kept",
        "docs/.gitignore": "/draft.md",
        "docs/draft.md": "draft",
        "docs/page.md": "page",
        "third_party/lib.c": "int x;",
        "LICENSE": "Permission is hereby granted, free of charge, to any person",
        "gen.go": "// Code generated by tool. DO NOT EDIT.\npackage x\n",
    }
    for name, text in files.items():
        (repo / name).parent.mkdir(parents=True, exist_ok=True)
        (repo / name).write_text(text)
    git = lambda *a: (
        subprocess.run(
            ["git", "-C", str(repo), "-c", "user.name=x", "-c", "user.email=x@y", *a], check=True, capture_output=True, text=True
        ).stdout
    )
    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "one")
    docs, dropped = read_documents(repo)
    names = lambda xs: [Path(x).relative_to(repo).as_posix() for x in xs]
    assert names(d.path for d in docs) == ["README.md", "docs/page.md", "keep.log.md"]
    seen = git("ls-files", "--cached", "--others", "--exclude-standard").split()
    assert {d.record["path"].removeprefix(f"{repo}/"): d.reason for d in dropped} == {
        "LICENSE": "boilerplate:licence",
        "a.log.md": "git_ignored",
        "build": "git_ignored",
        "docs/draft.md": "git_ignored",
        "gen.go": "boilerplate:generated",
        "third_party": "boilerplate:vendored",
    }
    assert not {"a.log.md", "build/x.md", "docs/draft.md"} & set(seen), "git agrees"
    assert {(d.commit, d.licence) for d in docs} == {(git("rev-parse", "HEAD").strip(), "MIT")}
    assert names(find(repo / "docs")[0]) == ["docs/page.md"], "a folder inside a checkout obeys the patterns above it"


PAGE = """---
title: Chunks
tags: [a]
---
[Home](/)
[Guide](/guide)
[Search](/search)
[Login](/login)

# Chunks

A chunk is the unit of I/O.

We use cookies. By using this site you accept our cookie policy.

- [h5py](https://h5py.org) reads them.

[Next](/next)
[Imprint](/imprint)
"""


def test_rules_leave_out_by_name_and_say_so(tmp_path):
    (tmp_path / "page.md").write_text(PAGE)
    (tmp_path / "x.py").write_text("# Copyright 2020 A\n# Licensed under the MIT license\n\n# adds\ndef f():\n    return 1\n")
    (tmp_path / "CHANGELOG.md").write_text("# 1.0")
    docs, dropped = read_documents(tmp_path)
    chunks = chunk_documents(docs)
    assert sorted(d.reason for d in dropped) == [
        f"boilerplate:{r}" for r in ("changelog", "cookie_banner", "front_matter", "licence_header", "page_furniture", "page_furniture")
    ]
    assert [c.text for c in chunks] == [
        "# Chunks\n\nA chunk is the unit of I/O.",
        "- [h5py](https://h5py.org) reads them.",
        "# adds\ndef f():\n    return 1",
    ]
    docs, dropped = read_documents(tmp_path, Corpus(leave_out=[]))
    assert not dropped and len(docs) == 3 and any("cookie" in c.text for c in chunk_documents(docs)), (
        "a rule that is not in use does nothing"
    )


def test_patterns_length_and_language(tmp_path):
    (tmp_path / "old").mkdir()
    german = "Die Blöcke eines Datensatzes werden einzeln gelesen und geschrieben, und ihre Größe steht von Anfang an fest. " * 2
    for name, text in {"a.md": WORDS * 2, "b.md": german, "c.md": "short", "d.txt": WORDS, "old/e.md": WORDS}.items():
        (tmp_path / name).write_text(text)
    docs, dropped = read_documents(tmp_path, Corpus(include=["*.md"], exclude=["old/"], min_tokens=10, languages=["en"]))
    assert [Path(d.path).name for d in docs] == ["a.md"]
    assert {Path(d.record["path"]).name: d.reason for d in dropped} == {
        "b.md": "language:de",
        "c.md": "too_short",
        "d.txt": "not_included",
        "old": "excluded",
    }


def test_settings_of_the_corpus_are_read_by_the_command(tmp_path, synthgen):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/a.md").write_text(f"# Chunks\n\n{WORDS}\n\n# Filters\n\nA filter packs a chunk.\n")
    (tmp_path / "docs/b.md").write_text("# Groups\n\nA group holds datasets, as a folder holds files.\n")
    (tmp_path / "synthgen.yaml").write_text("corpus:\n  exclude: [b.md]\n")
    assert "from 1 documents" in synthgen("ingest", "docs", "-o", "db").stdout
    r = synthgen("ingest", "docs", "-o", "db", env={"SYNTHGEN_CORPUS_EXCLUDE": ""})
    assert "2 documents (1 new, 1 as before)" in r.stdout
    said = synthgen("search", "db", "group of datasets", "-k", "1").stdout
    assert "docs/b.md:1-3" in said and "Groups" in said
    for kind in ("text", "vector", "both"):
        assert [h.chunk.section for h in search(tmp_path / "db", "group of datasets", 1, kind)] == ["Groups"]
    for db, query, kind, words in (
        ("db", "x", "vectors", "did you mean 'vector'"),
        ("db", " ", "both", "query is empty"),
        ("nowhere", "x", "both", "no such database"),
    ):
        with pytest.raises(SynthgenError, match=words):
            search(tmp_path / db, query, kind=kind)
    r = synthgen("search", "nowhere", "x", ok=False)
    assert r.returncode == 1 and "no such database" in r.stderr and "Traceback" not in r.stderr
    (tmp_path / "synthgen.yaml").write_text("corpus:\n  leave_out: [licenze]\n")
    r = synthgen("ingest", "docs", "-o", "db", ok=False)
    assert r.returncode == 1 and "licence" in r.stderr


def test_a_tokenizer_of_ones_own_counts(tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers

    t = Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
    t.pre_tokenizer = pre_tokenizers.Whitespace()
    t.save(str(tmp_path / "tokenizer.json"))
    count = token_counter(str(tmp_path / "tokenizer.json"))
    assert count("a b c.") == 4
    (tmp_path / "x.txt").write_text(" ".join(f"Sentence number {i} says a little more. " for i in range(90)))
    chunks = chunk_document(read_document(tmp_path / "x.txt"), (20, 50), count)
    assert all(count(c.text) == c.tokens <= 50 for c in chunks) and len(chunks) > 5


def test_real_files(data):
    docs = {Path(d.path).name: d for d in read_documents([data / "corpus/office", data / "corpus/pdf"])[0]}
    manual = docs["AMD_UserGuide.pdf"]
    assert len(manual.pages) == 18 and list(manual.pages) == sorted(manual.pages)
    assert manual.text[manual.pages[1] :].startswith("## ") or "## 1 Overview" in manual.text
    assert [
        h for h in ("## 2 Availability", "### 4.1 Control parameters", "## 9 The AMD routines", "## References") if h not in manual.text
    ] == []
    assert "approximate minimum degree ordering algorithm to permute" in manual.text
    assert r"\frac{mλ}{a}" in docs["markitdown_equations.docx"].text
    assert "| ColA | ColB |" in docs["markitdown_test.pptx"].text and len(docs["markitdown_test.pptx"].pages) == 6
    assert "## Sheet1" in docs["markitdown_test.xlsx"].text
    assert json.dumps(manual.model_dump())
