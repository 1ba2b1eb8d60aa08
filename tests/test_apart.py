"""Somebody's data: servers that keep state where nobody looks, errors in words, live services. Real processes."""

import asyncio
import hashlib
import http.server
import json
import os
import sqlite3
import sys
import threading
from pathlib import Path
from typing import ClassVar

import pytest
from conftest import own_server

from synthgen_nb.core.listed import all_leaves, listed
from synthgen_nb.core.models import open_model
from synthgen_nb.core.records import SynthgenError
from synthgen_nb.specs.parse import parse_tools
from synthgen_nb.specs.tool import Tool, look_up
from synthgen_nb.specs.trajectory import Call, Ref, Trajectory, Turn, read_trajectories
from synthgen_nb.tools.apigen import NOT_REPEATABLE, accounts, verify
from synthgen_nb.tools.feeds import feeds
from synthgen_nb.tools.rows import Plan, make_rows
from synthgen_nb.tools.survey import noted, survey
from synthgen_nb.worlds import environment
from synthgen_nb.worlds.environment import layers_work, made, reaches_out, words_of
from synthgen_nb.worlds.open import notice, open_world
from synthgen_nb.worlds.outcomes import error_in_words
from synthgen_nb.worlds.world import Local, execute_all, execute_trajectory, replay, resettable

run = asyncio.run
call = lambda tool, id="1", refs=(), **arguments: Call(id=id, tool=tool, arguments=arguments, refs=refs)

NOTES = '''
import json, os, sqlite3, sys
from pathlib import Path
FILES = [Path.home() / "notes.txt", Path("/tmp") / os.environ["MARK"], Path(__file__).with_name("beside.txt"), Path(os.environ["NOTES"]) / "notes.txt"]
def lines(): return [l for f in FILES if f.exists() for l in f.read_text().splitlines()]
@tool()
def add_note(text: str) -> str:
    """Keep a note."""
    for f in FILES: f.open("a").write(text + "\\n")
    with sqlite3.connect(os.environ["NOTES"] + "/notes.db") as db: db.execute("insert into note values(?)", (text,))
    return f"Kept: {len(lines())} lines now"
@tool()
def list_notes() -> str:
    """All notes."""
    return "\\n".join("- " + l for l in lines()) or "There are no notes yet."
@tool()
def where() -> list[str]:
    """Where the notes are."""
    return [str(f) for f in FILES]
@tool()
def read(path: str) -> str:
    """Read a file of notes."""
    if not os.path.isabs(path): raise ValueError("the path must be absolute")
    return Path(path).read_text()
@tool()
def variables() -> list[str]:
    """Names of variables."""
    return sorted(os.environ)
serve()
'''


def contents(*folders: Path) -> dict:
    "Every file and folder, byte by byte"
    found = [p for f in folders for p in [f, *f.rglob("*")] if p.exists() and "__pycache__" not in p.parts]
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() if p.is_file() else "folder" for p in sorted(found)}


def in_tmp(folder: Path) -> Path:
    "Where the server keeps notes under a name of its own"
    return Path("/tmp") / f"synthgen-{folder.name}"


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    "A home, a server, and a folder with notes and a database"
    pytest.importorskip("mcp")
    for d in ("home", "server", "notes"):
        (tmp_path / d).mkdir()
    (tmp_path / "server/notes.py").write_text(own_server(NOTES))
    (tmp_path / "notes/notes.txt").write_text("buy plums\n")
    with sqlite3.connect(tmp_path / "notes/notes.db") as db:
        db.execute("create table note(text)")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    monkeypatch.setenv("SHOP_API_KEY", "secret")
    monkeypatch.setenv("MARK", in_tmp(tmp_path).name)
    return tmp_path


def test_nothing_that_a_server_writes_stays_and_a_reset_resets(theirs):
    if not layers_work():
        pytest.skip("this kernel gives no layers")
    before, elsewhere = contents(theirs), in_tmp(theirs)

    async def go():
        async with open_world(f"mcp:python {theirs}/server/notes.py") as w:
            seen = await execute_all(w, [call("list_notes"), call("add_note", "2", text="sow rye"), call("list_notes", "3")])
            assert [o.ok for o in seen] == [True] * 3 and "buy plums" in seen[0].content["result"]
            assert seen[1].content["result"] == "Kept: 5 lines now", "it sees what it wrote, in all four places"
            assert seen[0].before == seen[0].after and seen[1].before != seen[1].after, "what it changed is seen, wherever it lies"
            changed = await w.state()
            assert {Path(p).name for p in changed["elsewhere"]} == {"notes.txt", elsewhere.name, "beside.txt", "notes.db"}
            assert await replay(w, [call("list_notes")], seen[:1]) == [], "the next begins where the first began"
        async with open_world(f"mcp:python {theirs}/server/notes.py") as w:
            assert (await execute_all(w, [call("list_notes")]))[0].content == seen[0].content
            names = (await execute_all(w, [call("variables")]))[0].content["result"]
            assert "NOTES" in names and "SHOP_API_KEY" not in names

    run(go())
    assert contents(theirs) == before and not elsewhere.exists()


def test_without_layers_copies_stand_in_and_paths_read_the_same_inside_and_outside(theirs, monkeypatch):
    monkeypatch.setattr(environment, "layers_work", lambda: False)
    folder, before = theirs / "notes", contents(theirs / "notes", theirs / "home")

    async def go():
        async with open_world(f"mcp:NOTES={folder} python {theirs}/server/notes.py") as w:
            assert w.place.copies and w.place.words[-1].endswith("server/notes.py")
            seen = await execute_all(w, [call("where"), call("add_note", "2", text="sow rye"), call("read", "3", path=str(folder / "notes.txt"))])
            paths = seen[0].content["result"]
            assert paths[3] == str(folder / "notes.txt") and paths[0] == "./notes.txt"
            assert seen[2].content["result"] == "buy plums\nsow rye\n", "a path that a result showed can be asked for"
            home = await execute_all(w, [call("add_note", text="x"), call("read", "2", path="./notes.txt")])
            assert home[1].content["result"] == "x\n"
            assert seen[1].before != seen[1].after and [o.content for o in await execute_all(w, [call("where")])] == [seen[0].content]

    run(go())
    assert contents(theirs / "notes", theirs / "home") == before
    for p in (theirs / "server/beside.txt", in_tmp(theirs)):
        p.unlink(missing_ok=True)


def test_what_reaches_out_is_only_read(theirs):
    for command, reason in (
        ("GITHUB_TOKEN=x server", "GITHUB_TOKEN"),
        ("server postgresql://me:pw@db.example.org/shop", "postgresql://db.example.org/shop"),
        ("server --api-key=x", "--api-key"),
        ("server /home/ann file:///x", ""),
    ):
        assert reaches_out(*words_of(command)) == reason

    async def go():
        name = f"mcp:SHOP_TOKEN=x NOTES={theirs}/notes python {theirs}/server/notes.py"
        async with open_world(name) as w:
            assert set(w.withheld) == {t.name for t in w.tools}, "no hint says that any of them only reads"
            (o,) = await execute_all(w, [call("add_note", text="no")])
            assert o.status == "refused" and "--live" in o.error and "add_note" in notice(w, w.tools)
        async with open_world(name, live=True) as w:
            assert not resettable(w) and not w.withheld and "stays changed" in notice(w, w.tools)
            (o,) = await execute_all(w, [call("add_note", text="yes")])
            assert o.ok

    run(go())
    assert (theirs / "notes/notes.txt").read_text() == "buy plums\nyes\n"
    in_tmp(theirs).unlink()


LIAR = '''
kept = ["rope"]
@tool(read_only=True)
def list_items() -> str:
    """The items."""
    return "Items:\\n" + "\\n".join("- " + k for k in kept)
@tool(read_only=True)
def look_up(item: str) -> str:
    """Look an item up, such as 'rope'."""
    kept.append(item)
    return f"{item} is on shelf 4"
@tool()
def shelf_of(item: str) -> str:
    """The shelf of an item."""
    return "shelf 4, at the door" if item == "rope" else f"{item}? Never heard of it."
serve()
'''


def test_hints_are_hints_and_what_a_tool_says_of_nothing_is_no_result(tmp_path):
    pytest.importorskip("mcp")
    (tmp_path / "liar.py").write_text(own_server(LIAR))

    async def go():
        async with open_world(f"mcp:python {tmp_path}/liar.py") as w:
            return await noted(w)

    notes = run(go())
    assert notes.run.effects["look_up"] == "write", "after it the list is another one"
    assert notes.run.effects["list_items"] == notes.run.effects["shelf_of"] == "read"
    assert notes.nothing["shelf_of"] == {"{}? Never heard of it."}
    assert {f["arguments"]["item"] for f in notes.facts if f["tool"] == "shelf_of"} == {"rope"}


ERRORS = """Error: unknown article X9
Database error: near "nimbus": syntax error
ENOENT: no such file or directory, open '/x'
❌ Could not open it
Error executing tool get_task: 'x'
MCP error -32602: Invalid arguments for tool
Failed to fetch the page
fatal: ambiguous argument 'sage'
404 Not Found
Traceback (most recent call last):
Sorry, I have no such thing.
There is no user with that name.
Task 7 does not exist
Access denied - path outside allowed directories: /etc
KeyError: 'sage'
No entity named sage was found with
Invalid timezone: 'No time zone found with key sage'
[ERROR] disk
ERROR - nothing known about it
Unable to reach it"""
ANSWERS = """3 in stock
No matches found
There are no notes yet.
Error rates fell by half.
[FILE] errors.log
* master
Failure Island, Alaska
Added note #3
0 results
The failed coup of 1923
Sorrel and rye
Oslo: 3 degrees
Unknown
Missing Link (2019)
Successfully wrote to x
Invalides, Paris
Not bad at all"""


def test_errors_in_words_are_told_from_answers():
    assert [x for x in ERRORS.splitlines() if not error_in_words(x)] == []
    assert [x for x in ANSWERS.splitlines() if error_in_words(x)] == []
    log = "Error: disk full\n" + "12:00 all is well again, and stays so\n" * 60
    assert not error_in_words(log), "a long text is content"
    for x in ({"success": False, "message": "gone"}, {"result": "Error: no"}, {"error": {"code": 4}}, {"data": None, "errors": [{"message": "x"}]}):
        assert error_in_words(x), x
    for x in (
        {"id": 3, "name": "build", "status": "failed"},
        {"error": None, "id": 3},
        {"error": 0.02, "mean": 3},
        {"message": "Hello"},
        [],
        {"errors": [], "n": 3},
    ):
        assert not error_in_words(x), x
    assert error_in_words("It is not there", Tool(name="t", returns={"type": "object"})), "a text where an object was promised"


SHOP = """
STOCK = {"A1": 3, "B2": 0}
@tool()
def stock_of(sku: str) -> str:
    "How many of an article are in stock"
    return f"{STOCK[sku]} in stock" if sku in STOCK else f"Error: unknown article {sku}"
@tool()
def list_articles() -> str:
    "List the articles"
    return "Articles:\\n- A1\\n- B2"
serve()
"""


def test_no_row_shows_an_error_and_texts_give_references(tmp_path, monkeypatch):
    pytest.importorskip("mcp")
    (tmp_path / "shop.py").write_text(own_server(SHOP))
    world = lambda: open_world(f"mcp:python {tmp_path}/shop.py")

    async def go():
        async with world() as w:
            tools = list(w.tools)
            bad = Trajectory(
                turns=(
                    Turn(role="user", text="How many X9?"),
                    Turn(role="assistant", calls=(call("stock_of", sku="X9"),)),
                    Turn(role="assistant", text="None."),
                )
            )
            (o,) = await execute_all(w, bad.calls)
            assert o.status == "failed_in_words" and o.content["result"] == o.error == "Error: unknown article X9"
            _, chained = await execute_all(
                w, [call("list_articles", "a"), call("stock_of", "b", refs=(Ref(param="/sku", call="a", path="/result/articles/1"),))]
            )
            assert chained.content["result"] == "0 in stock"
        out = await verify([bad], tools, world)
        assert accounts(out)["failed_in_words"] == 1 and out.dropped[0].reason == "execution:failed_in_words"
        return await make_rows(tools, open_model(provider="offline"), world, Plan(4))

    made_ = run(go())
    assert made_.rows and all(o.ok and not error_in_words(o.content) for t in made_.rows for o in t.observations)


def test_rows_are_held_against_each_other():
    left = []  # what no reset reaches

    def tally(env, item):
        left.append(item)
        return {"before": len(left) - 1 if len(left) < 3 else 2}

    does = {"tally": tally}
    tools = [Tool(name="tally", effect="write", parameters={"type": "object", "required": ["item"], "properties": {"item": {"enum": list("abcd")}}})]

    def world():
        w = Local("tally", tools, dict(does), lambda initial: None)
        w.watched = True
        return w

    from synthgen_nb.tools.rows import Making, dependent

    async def go():
        m = Making(tools, open_model(provider="offline"), world, Plan(), None, watched=True)
        async with world() as w:
            for item in "abcd":
                t = Trajectory(turns=(Turn(role="user", text=item), Turn(role="assistant", calls=(call("tally", item=item),))))
                m.pool.append(await execute_trajectory(w, t))
        return await dependent(m), m

    n, m = run(go())
    assert n == 2 == len(m.pool) and {d.reason for d in m.made.repeated} == {"depends_on_earlier_row"}
    assert len(left) == 8, "one came out otherwise, so all were run again"
    does["tally"] = lambda env, item: {"before": left.append(item)}
    assert run(go())[0] == 0 and len(left) == 8 + 4 + 1, "nothing is left behind: one row for every tool is enough"


def test_texts_are_read_for_what_they_list():
    assert listed("[FILE] pier.txt\n[DIR] plans") == {"items": [{"kind": "file", "name": "pier.txt"}, {"kind": "dir", "name": "plans"}]}
    assert listed("| id | title |\n|---|:-:|\n| 1 | sow |\n| 3 | reap |")["rows"][1] == {"id": 3, "title": "reap"}
    assert listed("Commit: 'a1b2'\nAuthor: Ann\n\nCommit: 'c3d4'\nAuthor: Bo")["records"][1]["commit"] == "c3d4"
    assert listed("[{'name': 'products'}]") == [{"name": "products"}]
    assert listed("It was late. The pier was long.\nAnd so they went home.") is None
    assert look_up({"content": "Allowed directories:\n/home/ann"}, "/content/path/0") == "/home/ann"
    assert ("/t/items/1", "spring") in list(all_leaves({"t": "* master\n  spring"}))
    with pytest.raises(LookupError):
        look_up({"t": "nothing here"}, "/t/0")
    for giver, field, taker, name in (
        ("git_branch", "items", "git_checkout", "branch_name"),
        ("list_tables", "name", "describe_table", "table_name"),
        ("git_log", "commit", "git_show", "revision"),
        ("list_notes", "id", "get_note", "note_id"),
        ("convert_time", "timezone", "convert_time", "source_timezone"),
        ("list_articles", "articles", "stock_of", "article_id"),
    ):
        assert feeds(field, giver, name, taker), (giver, field, name)
    assert not feeds("name", "list_files", "table_name", "describe_table") and not feeds("id", "list_orders", "from_id", "get_pet")


SPEC = {
    "openapi": "3.1.0",
    "info": {"title": "Notes", "version": "1"},
    "servers": [{"url": "https://notes.example.org/v1"}],
    "paths": {
        "/notes": {
            "get": {"operationId": "listNotes", "responses": {"200": {"description": "", "content": {"application/json": {"schema": {"type": "array"}}}}}},
            "post": {
                "operationId": "addNote",
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"type": "object", "required": ["title"], "properties": {"title": {"type": "string"}}}}},
                },
                "responses": {"201": {"description": ""}},
            },
        },
        "/notes/{noteId}": {
            "parameters": [{"name": "noteId", "in": "path", "required": True, "schema": {"type": "integer"}}],
            "get": {"operationId": "getNote", "responses": {"200": {"description": ""}}},
            "delete": {"operationId": "deleteNote", "responses": {"204": {"description": ""}}},
        },
    },
}


class Notes(http.server.BaseHTTPRequestHandler):
    kept: ClassVar[dict] = {}
    asked: ClassVar[list] = []

    def answer(self):
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "null")
        Notes.asked.append(self.command)
        last = self.path.rsplit("/", 1)[1]
        status, x = 200, None
        if not self.path.startswith("/v1/notes"):
            status, x = 404, {"error": "nothing here"}
        elif self.command == "POST":
            n = max(Notes.kept, default=0) + 1
            Notes.kept[n] = body["title"]
            x = {"noteId": n, "title": body["title"]}
        elif last == "notes":
            x = [{"noteId": n, "title": t} for n, t in Notes.kept.items()]
        elif int(last) not in Notes.kept:
            status, x = 404, {"error": f"no note {last}"}
        elif self.command == "DELETE":
            x = {"deleted": Notes.kept.pop(int(last))}
        else:
            x = {"noteId": int(last), "title": Notes.kept[int(last)]}
        out = json.dumps(x).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(out)))
        self.end_headers()
        self.wfile.write(out)

    do_GET = do_POST = do_DELETE = answer

    def log_message(self, *a):
        pass


@pytest.fixture
def service(tmp_path):
    Notes.kept, Notes.asked = {1: "Harbour trip", 2: "Groceries"}, []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Notes)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (tmp_path / "notes.json").write_text(json.dumps(SPEC))
    yield f"http:{tmp_path}/notes.json#127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_live_service_is_only_read_until_somebody_says_so(service):
    world, tools = (lambda live=False: open_world(service, live=live)), list(open_world(service).tools)
    said = notice(world(), tools)
    assert "POST /notes" in said and "DELETE /notes/{noteId}" in said and "--live" in said
    made_ = run(make_rows(tools, open_model(provider="offline"), world, Plan(3)))
    assert set(Notes.asked) == {"GET"} and made_.rows and {c.tool for t in made_.rows for c in t.calls} <= {"listNotes", "getNote"}
    assert set(made_.withheld) == {"addNote", "deleteNote"} and accounts(made_.accepted)["verified"] >= 3
    Notes.asked.clear()
    made_ = run(make_rows(tools, open_model(provider="offline"), lambda: world(True), Plan(4)))
    first = next(i for i, m in enumerate(Notes.asked) if m != "GET")
    assert first >= 3, "reads are surveyed before any write: a list, and each of its notes"
    wrote = [t for t in made_.rows if {c.tool for c in t.calls} & {"addNote", "deleteNote"}]
    assert all(any(s.rationale.startswith(NOT_REPEATABLE) for s in t.scores) for t in wrote)
    a = accounts(made_.accepted)
    assert a["attempts"] == a["verified"] + a.get("executed_not_repeatable", 0) + a["failed_execution"] + a["failed_grounding"] + a["failed_format"]


def test_a_host_may_be_named_with_its_port(service):
    async def go():
        async with open_world(service) as w:
            return await execute_all(w, [call("listNotes"), call("getNote", "2", noteId=9), call("deleteNote", "3", noteId=1)])

    seen = run(go())
    assert [o.status for o in seen] == ["ok", "error", "refused"] and seen[0].content[0]["title"] == "Harbour trip"
    assert "404" in seen[1].error and "DELETE /notes/{noteId}" in seen[2].error and Notes.asked == ["GET", "GET"]
    with pytest.raises(SynthgenError, match="no host"):
        open_world(service.rsplit(":", 1)[0] + ":port").tools and run(go_wrong(service))


async def go_wrong(service):
    async with open_world(service.rsplit(":", 1)[0] + ":port") as w:
        await execute_all(w, [call("listNotes")])


ROOT_REF = """
PLACE = {"type": "object", "required": ["city"], "properties": {"city": {"type": "string", "enum": ["Oslo", "Rome"]}}}
@tool(takes={"type": "object", "$ref": "#/$defs/In", "$defs": {"In": PLACE}})
def weather(city: str) -> str:
    "Weather of a city."
    return f"3 degrees in {city}"
serve()
"""


def test_small_things_of_the_command_line(synthgen, tmp_path):
    pytest.importorskip("mcp")
    (tmp_path / "root.py").write_text(own_server(ROOT_REF))
    r = synthgen("tool-generate", f"mcp:python {tmp_path}/root.py", "-o", tmp_path / "rows.jsonl", "--target-pairs", 6, "--provider", "offline", ok=False)
    assert "fewer rows than asked for" in r.stderr and "of 6" in r.stderr and r.returncode == 1
    rows = read_trajectories(tmp_path / "rows.jsonl").kept
    assert rows and {c.tool for t in rows for c in t.calls} == {"weather"}, "its arguments stand behind a reference at the root"
    for noise in ("asyncio", "exception was never", "Task ", "unhandled"):
        assert noise not in r.stderr
    for command in ("tool-generate", "tool-pipeline"):
        r = synthgen(command, "hdf5", "-o", tmp_path / "x.jsonl", "--multi-step", "--max-steps", 1, ok=False)
        assert "--multi-step" in r.stderr and "--max-steps 1" in r.stderr
    r = synthgen("tool-generate", "hdf5", "-o", tmp_path / "x.jsonl", "--target-pairs", 1, "--single-step", "--value", "flie=a.h5")
    assert "--value flie" in r.stderr and "file" in r.stderr
