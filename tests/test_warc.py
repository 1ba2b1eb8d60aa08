"""Archives of the web become folders of pages; mirrors are read whatever their files are called."""
import gzip
import io
import subprocess
import sys
from pathlib import Path

import pytest
from synthgen_nb.core.records import SynthgenError
from synthgen_nb.corpus.read import kind_of, read_documents

PAGE = "<!DOCTYPE html><html><head><title>{0}</title></head><body><main><h1>{0}</h1><p>{1}</p></main></body></html>"


def crawl(path: Path, replies) -> Path:
    warcio = pytest.importorskip("warcio", reason='warcio is not installed: pip install "synthgen_nb[web]"')
    from warcio.statusandheaders import StatusAndHeaders
    from warcio.warcwriter import WARCWriter
    assert warcio
    with open(path, "wb") as f:
        w = WARCWriter(f, gzip=path.suffix == ".gz")
        w.write_record(w.create_warcinfo_record(path.name, {"software": "a test"}))
        for url, body, kind, status, *more in replies:
            head = StatusAndHeaders(status, [("Content-Type", kind), *more], protocol="HTTP/1.1")
            w.write_record(w.create_warc_record(url, "response", payload=io.BytesIO(body), http_headers=head))
            w.write_record(w.create_warc_record(url, "request", payload=io.BytesIO(b""), http_headers=StatusAndHeaders("GET / HTTP/1.1", [])))
    return path


def test_a_crawl_is_unpacked_and_read(tmp_path):
    long = "The chunk cache keeps what was read last, one mebibyte by default, and is set for each file on its own. " * 3
    file = crawl(tmp_path / "crawl.warc.gz", [
        ("https://x.org/guide/", PAGE.format("Größe", long).encode("latin-1"), "text/html; charset=ISO-8859-1", "200 OK"),
        ("https://x.org/page.php?id=3", gzip.compress(PAGE.format("Cache", long).encode()), "text/html", "200 OK", ("Content-Encoding", "gzip")),
        ("https://x.org/../../evil", PAGE.format("Evil", long).encode(), "text/html", "200 OK"),
        ("https://x.org/gone", b"", "text/html", "404 Not Found"), ("https://x.org/logo.png", b"PNG", "image/png", "200 OK")])
    run = subprocess.run([sys.executable, "-c", "from synthgen_nb.cli.main import main; main()", "unpack", str(file), "-o", str(tmp_path / "in" / "pages")],
                         capture_output=True, text=True)
    assert run.returncode == 0 and "3 pages; left out 2 replies (status:404 1, kind:image/png 1)" in run.stdout, run.stderr
    assert sorted(p.relative_to(tmp_path / "in").as_posix() for p in (tmp_path / "in").rglob("*") if p.is_file()) == [
        "pages/x.org/evil.html", "pages/x.org/guide/index.html", "pages/x.org/page.php_id=3.html"]
    docs, dropped = read_documents(tmp_path / "in" / "pages")
    assert not dropped and {d.title for d in docs} == {"Größe", "Cache", "Evil"} and all("mebibyte" in d.text for d in docs)


@pytest.mark.parametrize("data", [b"", b"WARC/1.0\r\nno", gzip.compress(b"nothing of the kind", mtime=0)])
def test_an_archive_that_is_none_is_an_error(tmp_path, data):
    pytest.importorskip("warcio")
    from synthgen_nb.corpus.warc import unpack
    (tmp_path / "a.warc").write_bytes(data)
    with pytest.raises(SynthgenError, match=r"a\.warc"): unpack(tmp_path / "a.warc", tmp_path / "pages")
    with pytest.raises(SynthgenError, match="no such file"): unpack(tmp_path / "b.warc", tmp_path / "pages")


def test_a_crawl_without_a_page_is_an_error_and_ingest_says_what_to_do(tmp_path):
    file = crawl(tmp_path / "a.warc", [("https://x.org/gone", b"", "text/html", "404 Not Found")])
    from synthgen_nb.corpus.warc import unpack
    with pytest.raises(SynthgenError, match="none of 1 replies in it is a page"): unpack(file, tmp_path / "pages")
    with pytest.raises(SynthgenError, match="synthgen unpack"): read_documents(file)


def test_the_pages_of_a_mirror_are_known_by_how_they_begin(tmp_path):
    page = PAGE.format("Cache", "The chunk cache keeps what was read last. " * 10)
    for name in ("page.php?id=3", "about", "index.html?lang=de", "a.aspx"): (tmp_path / name).write_text(page)
    (tmp_path / "data.bin").write_bytes(b"\x00<html")
    (tmp_path / "old.xhtml5").write_text("<?xml version='1.0'?>\n<!-- saved -->\n" + page.replace("<!DOCTYPE html>", ""))
    docs, dropped = read_documents(tmp_path)
    assert [d.path.rpartition("/")[2] for d in docs] == ["a.aspx", "about", "index.html?lang=de", "old.xhtml5", "page.php?id=3"]
    assert [d.reason for d in dropped] == ["unsupported_format"] and {d.kind for d in docs} == {"html"}
    assert kind_of(tmp_path / "none.php") is None
