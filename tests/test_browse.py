"""`synthgen serve`: a real server, a real browser, and strangers at the door."""

import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar

import pytest
from conftest import ROOT

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture
def served(tmp_path):
    "The reference record, served from a copy"
    shutil.copytree(ROOT / "runs/reference-qa", tmp_path / "runs/20260101-a")
    shutil.copytree(ROOT / "runs/reference-qa", tmp_path / "runs/20260102-b")
    line = [sys.executable, "-c", "from synthgen_nb.cli.main import main; main()", "serve", "20260102-b", "--port", "0"]
    p = subprocess.Popen(line, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    yield tmp_path / "runs/20260102-b", p.stdout.readline().strip()
    p.terminate()
    p.wait()


def visitor():
    return urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))


def status(opener, url, data=None, **headers):
    try:
        return opener.open(urllib.request.Request(url, data, headers)).status
    except urllib.error.HTTPError as e:
        return e.code


def test_rows_are_filtered_read_labelled_and_compared(served):
    folder, url = served
    me, base = visitor(), url.split("/?")[0]
    get = lambda path: me.open(base + path).read().decode()
    first = me.open(url).read().decode()
    assert "24 rows" in first and "<script" not in first and 'class="dropped"' in first
    assert "20 rows" in get("/?state=kept") and "0 rows" in get("/?q=zzz") and "AttributeManager" in get("/?q=attributemanager")
    id = re.search(r'name="id" value="(\w+)"', first)[1]
    story = get(f"/row/{id}")
    assert "source" in story and "kept" in story
    for word in ("good", "bad"):
        me.open(base + "/label", urllib.parse.urlencode(dict(id=id, label=word, back="/?state=labelled")).encode())
        assert f"{id},{word}," in (folder / "labels.csv").read_text()
    assert "1 rows" in get("/?state=labelled") and "1 labels" in get("/")
    assert "20260101-a" in get("/diff?other=20260101-a")
    assert status(me, base + "/label", b"id=nobody&label=good") == 404 and status(me, base + "/row/nobody") == 404


def test_what_else_a_sheet_holds_stays_in_it(tmp_path):
    from synthgen_nb.cli.browse import Browsed
    from synthgen_nb.evaluate.labels import COLUMNS, read_sheet, write_lines

    run, sheet = ROOT / "runs/reference-qa", tmp_path / "sheet.csv"
    a, b, c = [r["id"] for r in Browsed(run, sheet).rows if r["kept"]][:3]
    own = [*COLUMNS, "who"]
    write_lines([(a, "", "one", "=1", "x.md", "odd", "Anna"), (b, "bad", "two", "2", "", "", "")], sheet, own)
    Browsed(run, sheet).label(c, True)
    Browsed(run, sheet).label(b, None)
    there = {r["id"]: r for r in read_sheet(sheet)}
    assert [r["label"] for r in there.values()] == ["", "", "good"] and (there[a]["remark"], there[a]["answer"]) == ("odd", "'=1")
    assert there[a]["who"] == "Anna" and list(there[c]) == own, "a column of the reader's own"
    Browsed(run, sheet).label(c, None)
    assert Browsed(run, sheet).labels == {}  # a sheet without a label yet is a sheet


def test_strangers_stay_outside(served):
    folder, url = served
    base = url.split("/?")[0]
    assert base.startswith("http://127.0.0.1:")
    assert status(visitor(), base + "/") == status(visitor(), base + "/?token=wrong") == status(visitor(), base + "/label", b"id=x") == 403
    me = visitor()
    assert status(me, url) == 200 and status(me, base + "/", Host="evil.example") == 403, "a name that was bound anew is not ours"
    assert not (folder / "labels.csv").exists()


@pytest.mark.skipif(not CHROMIUM, reason="no chromium here")
def test_in_a_real_browser(served, tmp_path):
    _, url = served
    line = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'browser'}", "--dump-dom", url]
    dom = subprocess.run(line, capture_output=True, text=True, timeout=120).stdout
    assert "20260102-b" in dom and dom.count('aria-pressed="false"') == 40 and "the first 200" not in dom
    assert subprocess.run([*line[:-1], url.split("?")[0]], capture_output=True, text=True, timeout=120).stdout.count("it holds a token") == 1


def test_what_cannot_be_served_is_said(synthgen):
    assert "no run 'last'" in synthgen("serve", ok=False).stderr
    shutil.copytree(ROOT / "runs/reference-qa", synthgen.folder / "runs/20260101-a")
    assert "ends in .csv" in synthgen("serve", "--labels", "x.txt", ok=False).stderr
    (synthgen.folder / "bad.csv").write_text("id,label\nnobody,good\n")
    assert "does not have" in synthgen("serve", "--labels", "bad.csv", ok=False).stderr
