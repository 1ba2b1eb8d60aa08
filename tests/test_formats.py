"""What comes in: every format, every kind of bad file, and what the rules leave out. Files are made here, with other programs where there are any."""

import io
import json
import zipfile
from pathlib import Path

import pytest
from conftest import WORDS
from fpdf import FPDF
from pypdf import PdfReader, PdfWriter

from synthgen_nb.core.settings import Corpus
from synthgen_nb.corpus.chunk import chunk_document, chunk_documents
from synthgen_nb.corpus.read import read_document, read_documents


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
        "# Chunks\n\nA chunk is the unit of I/O.\n\n\n- [h5py](https://h5py.org) reads them.",
        "# adds\ndef f():\n    return 1",
    ]
    docs, dropped = read_documents(tmp_path, Corpus(leave_out=[]))
    assert not dropped and len(docs) == 3 and any("cookie" in c.text for c in chunk_documents(docs)), (
        "a rule that is not in use does nothing"
    )


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
