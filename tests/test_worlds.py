"""Worlds: real files, real processes, real servers, and tools that mean harm."""

import asyncio
import http.server
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import ClassVar

import pytest
import synthgen_nb
from conftest import own_server, rows

from synthgen_nb.core.records import SynthgenError, load, save
from synthgen_nb.worlds import sandbox
from synthgen_nb.worlds.hdf5 import hdf5_tools, hdf5_world
from synthgen_nb.worlds.http import HttpWorld, checked_address, is_public, request_of
from synthgen_nb.specs.trajectory import read_trajectories
from synthgen_nb.worlds.open import has_own_tools, open_world, place_of, worlds, worlds_help
from synthgen_nb.worlds.world import execute_trajectories
from synthgen_nb.specs.openapi import parse_openapi
from synthgen_nb.specs.parse import parse_tools
from synthgen_nb.worlds.sandbox import PythonWorld, walls
from synthgen_nb.specs.tool import Tool, look_up, problems
from synthgen_nb.worlds.synthetic import SyntheticWorld
from synthgen_nb.worlds.values import sample
from synthgen_nb.specs.trajectory import Call, Ref, Trajectory, Turn, literal_refs, put
from synthgen_nb.worlds.world import Local, ToolError, execute, execute_all, replay

run = asyncio.run
call = lambda tool, id="1", refs=(), **arguments: Call(id=id, tool=tool, arguments=arguments, refs=refs)


async def inside(world, *calls, initial=None, timeout=10):
    "What came of calls, after running them twice to see that they come out the same"
    async with world as w:
        seen = await execute_all(w, calls, initial, timeout)
        assert await replay(w, calls, seen, initial, timeout) == []
    return seen


# the interface


def test_references_are_resolved_by_path_or_said_to_lead_nowhere():
    tools = [
        Tool(name="make"),
        Tool(name="use", parameters={"type": "object", "properties": {"id": {"type": "integer"}, "tags": {"type": "array"}}}),
    ]
    world = Local("w", tools, {"make": lambda env: {"a/b": [{"id": 7}], "none": None}, "use": lambda env, **k: k}, lambda initial: None)
    ref = lambda path, of="m": (Ref(param="/id", call=of, path=path),)
    seen = run(
        inside(
            world,
            call("make", "m"),
            *[call("use", str(i), refs=r) for i, r in enumerate([ref("/a~1b/0/id"), ref("/a~1b/1/id"), ref("/none/x"), ref("", "gone")])],
        )
    )
    assert [o.status for o in seen] == ["ok", "ok"] + ["unresolved_reference"] * 3 and seen[1].content == {"id": 7}
    (o,) = run(inside(world, call("use", tags=["$step_1_result.id"])))
    assert o.status == "unresolved_reference" and literal_refs({"a": "${HOME}", "b": "costs $5"}) == []
    assert put({"a": [1, 2]}, "/a/2", 3) == {"a": [1, 2, 3]} and look_up({"a": {"": 0}}, "/a/") == 0


def test_a_result_that_is_falsy_large_or_no_json_is_told_apart():
    values = {"zero": 0, "empty": [], "none": None, "nan": float("nan"), "set": {1}, "long": "x" * 300_000, "no": False}
    tools = [
        Tool(
            name="give",
            parameters={"type": "object", "properties": {"what": {"type": "string"}}},
            returns={"type": ["integer", "array", "boolean"]},
        )
    ]
    world = Local("w", tools, {"give": lambda env, what: values[what]}, lambda initial: None)
    got = {k: o for k, o in zip([*values, "gone"], run(inside(world, *[call("give", k, what=k) for k in [*values, "gone"]])), strict=True)}
    assert {k: o.status for k, o in got.items()} == dict(
        zero="ok", empty="ok", none="ok", nan="error", set="error", long="too_large", no="ok", gone="error"
    )
    assert got["zero"].content == 0 and got["no"].content is False and got["empty"].content == [] and not got["zero"].mismatch
    assert got["none"].mismatch and got["gone"].error == "KeyError: 'gone'"


def test_a_tool_cannot_rewrite_the_record_of_its_call():
    world = Local("w", [Tool(name="f")], {"f": lambda env, x: x.append(1) or x}, lambda initial: None)
    c = call("f", x=[0])
    run(inside(world, c))
    assert c.arguments == {"x": [0]}


# HDF5


def test_every_hdf5_tool_runs_and_keeps_what_it_promises():
    assert len(hdf5_tools()) >= 24 and all(t.description and t.returns and t.examples for t in hdf5_tools())
    assert all(p.get("description") for t in hdf5_tools() for p in t.properties.values())

    async def all_of_them():
        async with hdf5_world() as w:
            for t in w.tools:
                args = t.examples[0]["arguments"]
                first = [call("open_file", "o", file=args["file"], mode="a")] if t.category == "changes" or t.name == "close_file" else []
                o = (await execute_all(w, [*first, call(t.name, **args)]))[-1]
                assert o.ok and o.executed and not o.mismatch and (o.before != o.after) == (t.effect == "write"), (t.name, o)

    run(all_of_them())


def test_hdf5_files_come_from_their_seed():
    c = [
        call("dataset_statistics", file="weather.h5", path="/stations/oslo/temperature"),
        call("read_head", "2", file="variants.h5", path="/chr7/variants"),
    ]
    a, b = run(inside(hdf5_world(), *c)), run(inside(hdf5_world(4), *c))
    again = run(inside(hdf5_world(), *c, initial={"seed": 4}))
    assert (
        a[0].content["mean"] != b[0].content["mean"] and [o.content for o in b] == [o.content for o in again] and a[0].before != b[0].before
    )


def test_hdf5_tools_refuse_what_is_not_theirs():
    seen = run(
        inside(
            hdf5_world(),
            call("file_info", file="../../etc/passwd"),
            call("read_dataset", "2", file="simulation.h5", path="/fields/velocity"),
            call("delete_object", "3", file="images.h5", path="/data"),
            call("read_slice", "4", file="simulation.h5", path="/fields/density", start=[0], count=[1]),
            call("dataset_statistics", "5", file="images.h5", path="/meta/class_names"),
            call("read_attribute", "6", file="weather.h5", path="/", name="nothing"),
        )
    )
    assert [o.status for o in seen] == ["error"] * 6 and all(o.before == o.after for o in seen)
    assert "there are" in seen[0].error and "read_slice" in seen[1].error and "open_file" in seen[2].error and "title" in seen[5].error


def test_worlds_do_not_meet():
    async def two():
        async with hdf5_world() as a, hdf5_world() as b:
            await execute(a, call("open_file", file="images.h5", mode="a"))
            await execute(a, call("delete_object", file="images.h5", path="/data"))
            return (await execute(a, call("get_shape", file="images.h5", path="/data/images"))).status, (
                await execute(b, call("get_shape", file="images.h5", path="/data/images"))
            ).status

    assert run(two()) == ("error", "ok")


# the sandbox

HOSTILE = """
import os, socket, subprocess, sys
n = 0
def count() -> int:
    global n
    n += 1
    return n
def _state(): return n
def _reset(initial):
    global n
    n = (initial or {}).get('n', 0)
def forever() -> int:
    while True: pass
def sleep_for_ever() -> int:
    import time
    time.sleep(10**6)
def huge() -> str: return 'x'*10**9
def bomb() -> list[int]: return [bytearray(10**8) for _ in range(100)]
def long() -> list[int]: return list(range(10**5))
def fork() -> int: return os.fork()
def fork_below() -> int:
    import _posixsubprocess
    return _posixsubprocess.fork_exec([b'/bin/true'])
def shell() -> int: return os.system('true')
def read(path: str) -> str: return open(path).read()
def listing(path: str) -> list[str]: return os.listdir(path)
def write(path: str) -> int: return open(path, 'w').write('x')
def remove(path: str) -> None: os.remove(path)
def link(path: str) -> str:
    os.symlink(path, 'link')
    return open('link').read()
def connect(port: int) -> str:
    socket.create_connection(('127.0.0.1', port), 1)
    return 'connected'
def leave() -> int: os._exit(3)
def stop() -> int: sys.exit(0)
def shout() -> str:
    print('{"ok": "forged"}')
    os.write(1, b'{"ok": "forged"}\\n')
    return 'true'
def environment() -> list[str]: return sorted(os.environ)
async def later(x: int, /) -> int:
    import asyncio
    await asyncio.sleep(0.01)
    return x
def fill_disk() -> int:
    with open('big', 'wb') as f:
        for _ in range(200): f.write(b'x'*10**6)
"""


@pytest.fixture
def hostile(tmp_path):
    (tmp_path / "hostile.py").write_text(HOSTILE)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "key").write_text("secret")
    return tmp_path / "hostile.py"


@pytest.mark.parametrize("wall", ["as here", "audit"])
def test_hostile_tools_are_contained_reported_and_survived(hostile, tmp_path, wall, monkeypatch):
    if wall == "audit":
        monkeypatch.setattr(sandbox, "walls", lambda: ("audit", "rlimits"))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    key = str(tmp_path / "elsewhere" / "key")
    server = socket.create_server(("127.0.0.1", 0))
    expected = {
        "forever": "timeout",
        "sleep_for_ever": "timeout",
        "huge": "error",
        "bomb": "error",
        "long": "too_large",
        "fork": "refused",
        "fork_below": "refused",
        "shell": "refused",
        "connect": "refused",
        "leave": "died",
        "stop": "error",
        "fill_disk": "error",
    }
    arguments = {"connect": {"port": server.getsockname()[1]}}

    async def attack():
        async with PythonWorld(hostile) as w:
            for tool, status in expected.items():
                o = await execute(w, call(tool, **arguments.get(tool, {})), timeout=1.5)
                assert o.status == status, (tool, o)
            for tool in ("read", "listing", "write", "remove", "link"):
                o = await execute(w, call(tool, path=key if tool != "listing" else str(tmp_path / "elsewhere")), timeout=5)
                assert o.status in ("refused", "error") and "secret" not in json.dumps(o.content), (tool, o)
            assert (await execute(w, call("shout"))).content == "true"
            assert "OPENAI_API_KEY" not in (await execute(w, call("environment"))).content
            assert (await execute(w, call("write", path="own.txt"))).ok, "its own folder is its own"
            return w.guest.own

    own = run(attack())
    assert Path(key).read_text() == "secret" and not own.exists()
    server.settimeout(0.1)
    with pytest.raises(TimeoutError):
        server.accept()
    server.close()
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert "guest.py --serve" not in left or str(own) not in left


def test_the_state_of_a_file_begins_where_it_is_told_and_replays(hostile):
    seen = run(
        inside(
            PythonWorld(hostile),
            call("count"),
            call("count", "2"),
            call("later", "3", x=5),
            call("write", "4", path="a"),
            initial={"n": 40},
        )
    )
    assert [o.content for o in seen] == [41, 42, 5, 1] and len({o.after for o in seen}) == 3 and seen[1].after == seen[2].after
    assert walls()[-2:] == ("audit", "rlimits")


def test_a_file_that_cannot_be_loaded_says_why(tmp_path):
    (tmp_path / "bad.py").write_text("import nothing_like_this\ndef f(x: int) -> int: ...\n")
    with pytest.raises(SynthgenError, match="nothing_like_this"):
        run(inside(PythonWorld(tmp_path / "bad.py"), call("f", x=1)))
    (tmp_path / "none.py").write_text("x = 1\n")
    with pytest.raises(SynthgenError, match="no function"):
        PythonWorld(tmp_path / "none.py")


# MCP

DYING = '''
import os, time
@tool()
def die() -> str:
    """Dies."""
    os._exit(1)
@tool()
def hang() -> str:
    """Hangs."""
    time.sleep(1000)
@tool()
def huge() -> str:
    """Much."""
    return "x"*10**6
@tool()
def fail() -> str:
    """Fails."""
    raise ValueError("no luck")
@tool()
def note(text: str | None = None) -> dict:
    """Notes."""
    with open("notes.txt", "a") as f: f.write(f"{text}\\n")
    return {"lines": open("notes.txt").read().count("\\n"), "where": os.getcwd()}
serve()
'''


def test_an_mcp_server_that_dies_hangs_or_fails_is_survived(tmp_path):
    pytest.importorskip("mcp")
    (tmp_path / "dying.py").write_text(own_server(DYING))

    async def go():
        async with open_world(f"mcp:python {tmp_path}/dying.py") as w:
            assert {t.name for t in w.tools} == {"die", "hang", "huge", "fail", "note"}
            calls = [
                call("note", "1", text="a"),
                call("die", "2"),
                call("note", "3"),
                call("hang", "4"),
                call("huge", "5"),
                call("fail", "6"),
                call("note", "7", text=3),
            ]
            seen = await execute_all(w, calls, timeout=6)
            assert [o.status for o in seen] == ["ok", "died", "ok", "timeout", "too_large", "error", "bad_arguments"]
            assert seen[0].content == {"lines": 1, "where": "."} and seen[0].before != seen[0].after and "fail" in seen[5].error
            assert seen[2].content["lines"] == 1, "the new server has a folder of its own"
            assert await replay(w, calls[:1], seen[:1]) == []

    run(go())
    with pytest.raises(SynthgenError, match="oh no"):
        run(inside(open_world("""mcp:python -c 'import sys; sys.exit("oh no")'""")))


def test_the_hdf5_world_is_the_same_over_stdio_and_http():
    pytest.importorskip("mcp")
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-m", "synthgen_nb.worlds.serve", "--port", str(port)], stderr=subprocess.DEVNULL)
    calls = [
        call("list_files"),
        call("read_attribute", "2", file="weather.h5", path="/", name="year"),
        call("get_shape", "3", file="gone.h5", path="/"),
    ]

    async def compare():
        async with hdf5_world() as near:
            here = await execute_all(near, calls)
        for name in ("mcp:python -m synthgen_nb.worlds.serve", f"mcp:http://127.0.0.1:{port}/mcp"):
            async with open_world(name) as far:
                there = await execute_all(far, calls)
                assert [t.parameters for t in far.tools] == [t.parameters for t in hdf5_tools()] and [t.effect for t in far.tools] == [
                    t.effect for t in hdf5_tools()
                ]
            assert [(o.status, o.content) for o in there] == [(o.status, o.content) for o in here]
        assert there[0].before == "", "a server behind a URL shows no state"

    try:
        for _ in range(200):
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        run(compare())
    finally:
        server.kill()
        server.wait()


def test_live_reference_servers(tmp_path):
    pytest.importorskip("mcp_server_time", reason="mcp-server-time is not installed")
    pytest.importorskip("mcp_server_git", reason="mcp-server-git is not installed")
    (seen,) = run(
        inside(
            open_world("mcp:python -m mcp_server_time"),
            call("convert_time", source_timezone="UTC", time="12:00", target_timezone="Asia/Tokyo"),
        )
    )
    assert seen.content["time_difference"] == "+9.0h" and not seen.mismatch
    repo = tmp_path / "repo"
    git = lambda *a: subprocess.run(
        ["git", "-C", str(repo), "-c", "user.name=a", "-c", "user.email=a@example.org", *a], check=True, capture_output=True
    )
    repo.mkdir()
    git("init", "-q")
    (repo / "a.txt").write_text("one\n")
    git("add", ".")
    git("commit", "-qm", "first")
    (repo / "a.txt").write_text("one\ntwo\n")
    seen = run(
        inside(
            open_world(f"mcp:python -m mcp_server_git --repository {{copy:{repo}}}"),
            call("git_diff_unstaged", repo_path="repo"),
            call("git_add", "2", repo_path="repo", files=["a.txt"]),
            call("git_commit", "3", repo_path="repo", message="second"),
            call("git_log", "4", repo_path="repo", max_count=1),
        )
    )
    assert all(o.ok for o in seen) and "+two" in seen[0].content and seen[2].before != seen[2].after
    assert b"second" not in subprocess.run(["git", "-C", str(repo), "log"], capture_output=True).stdout, "the template is not touched"


# HTTP

API = {
    "openapi": "3.1.0",
    "info": {"title": "t", "version": "1"},
    "paths": {
        "/echo/{name}": {
            "post": {
                "operationId": "echo",
                "parameters": [
                    {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}},
                    {"name": "X-Key", "in": "header", "schema": {"type": "string"}},
                    {"name": "f", "in": "query", "style": "deepObject", "schema": {"type": "object"}},
                    {"name": "l", "in": "query", "explode": False, "schema": {"type": "array"}},
                ],
                "requestBody": {"content": {"application/json": {"schema": {"type": "object", "properties": {"n": {"type": "integer"}}}}}},
                "responses": {
                    "200": {
                        "description": "",
                        "content": {
                            "application/json": {
                                "schema": {"type": "object", "required": ["path"], "properties": {"n": {"type": "integer"}}}
                            }
                        },
                    }
                },
            }
        },
        **{
            f"/{p}": {"get": {"operationId": p, "responses": {"200": {"description": "", "content": {"application/json": {"schema": {}}}}}}}
            for p in ("redirect", "big", "slow", "fail", "liar", "cut")
        },
    },
}


class Api(http.server.BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def log_message(self, *a):
        pass

    def reply(self, status, body, **headers):
        self.send_response(status)
        for k, v in ({"Content-Type": "application/json", "Content-Length": len(body)} | headers).items():
            self.send_header(k, str(v))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.asked.append(self.path)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.reply(
            200,
            json.dumps(
                {"path": self.path, "key": self.headers["X-Key"], "n": body.get("n")} if body.get("n") != 13 else {"n": "wrong"}
            ).encode(),
        )

    def do_GET(self):
        self.asked.append(self.path)
        what = self.path.strip("/")
        if what == "redirect":
            self.send_response(302)
            self.send_header("Location", "http://169.254.169.254/")
            self.end_headers()
        elif what == "big":
            self.reply(200, b'"' + b"x" * 3_000_000 + b'"')
        elif what == "slow":
            time.sleep(3)
        elif what == "cut":
            self.reply(200, b'{"a": 1', **{"Content-Length": 100})
            self.close_connection = True
        else:
            self.reply(500 if what == "fail" else 200, b"not json")


@pytest.fixture
def api():
    Api.asked = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_requests_carry_arguments_to_their_places_and_responses_are_checked(api):
    world = HttpWorld(parse_openapi(API).kept, allow=["127.0.0.1"], base=api, live=True)
    seen = run(
        inside(
            world,
            call("echo", name="../a b/?x", **{"X-Key": "k", "f": {"a": "1&2"}, "l": ["p", "q"], "body": {"n": 0}}),
            call("echo", "2", name="x", body={"n": "no"}),
            call("echo", "3", name="x", body={"n": 13}),
            call("echo", "4", name="x", **{"X-Key": "a\r\nEvil: 1", "body": {}}),
        )
    )
    assert (
        seen[0].content == {"path": "/echo/..%2Fa%20b%2F%3Fx?f%5Ba%5D=1%262&l=p%2Cq", "key": "k", "n": 0}
        and not seen[0].mismatch
        and seen[0].before == ""
    )
    assert seen[1].status == "bad_arguments" and len(Api.asked) == 4, "a wrong request never leaves"
    assert seen[2].ok and len(seen[2].mismatch) == 2, "a response that breaks its promise is told"
    assert seen[3].status == "error"


def test_nothing_is_sent_to_where_it_was_not_named(api):
    tools = parse_openapi(API).kept
    at = lambda base, *allow: run(inside(HttpWorld(tools, allow=allow, base=base), call("fail")))[0]
    port = api.rsplit(":", 1)[1]
    assert at(api).status == "refused" and at(api, "api.example.org").status == "refused"
    assert (
        "not public" in at(f"http://localhost.localdomain:{port}", "localhost.localdomain").error
        or at(f"http://localhost.localdomain:{port}", "localhost.localdomain").status == "error"
    )
    assert (
        at(f"http://localhost:{port}", "localhost").error.startswith("HTTP 500")
        or at(f"http://localhost:{port}", "localhost").status == "died"
    )
    assert (
        at("file:///etc/passwd", "127.0.0.1").status == "refused" and at("http://169.254.169.254/latest", "127.0.0.1").status == "refused"
    )
    assert not Api.asked or set(Api.asked) == {"/fail"}
    for a in (
        "127.0.0.1",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "::1",
        "fe80::1",
        "fd00:ec2::254",
        "::ffff:10.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
    ):
        assert not is_public(a), a
    assert is_public("93.184.215.14") and is_public("2606:2800:21f:cb07:6820:80da:af6b:8b2c")
    with pytest.raises(ToolError):
        checked_address("127.0.0.1", 80, ["localhost"])


def test_servers_that_misbehave(api):
    world = HttpWorld(parse_openapi(API).kept, allow=["127.0.0.1"], base=api)
    seen = run(inside(world, *[call(t, t) for t in ("redirect", "big", "slow", "fail", "liar", "cut")], timeout=1))
    assert {o.call: o.status for o in seen} == dict(
        redirect="refused", big="too_large", slow="timeout", fail="error", liar="error", cut="died"
    )


def test_styles_of_parameters(data):
    tools = parse_tools(data / "specs/readme/3.0-parameters-style.json").kept
    for t in tools:
        method, url, _headers, _body = request_of(t, sample(t.parameters, random.Random(1)), "https://x.example")
        assert method and url.startswith("https://x.example/") and "{" not in url.split("?")[0]


# BFCL and synthetic services


def test_all_gold_trajectories_of_bfcl_replay():
    pytest.importorskip("bfcl_eval", reason="BFCL is not installed: pip install --no-deps bfcl-eval mpmath")
    from synthgen_nb.worlds.bfcl import bfcl_world, gold_trajectories

    async def go():
        statuses, tasks = [], gold_trajectories()
        for t in tasks:
            async with bfcl_world(t["backends"]) as w:
                calls = [c for turn in t["calls"] for c in turn]
                seen = await execute_all(w, calls, t["initial"])
                assert await replay(w, calls, seen, t["initial"]) == [], t["id"]
                statuses += [o.status for o in seen]
        return len(tasks), len(statuses), [s for s in statuses if s != "ok"]

    assert run(go()) == (200, 1142, ["bad_arguments"]), "one gold call gives a text where its own documentation asks for a number"


def test_a_synthetic_service_remembers(data):
    w = SyntheticWorld(parse_tools(data / "specs/readme/3.1-petstore.json").kept)
    pet = {"name": "Rex", "photoUrls": [], "status": "sold"}
    new = lambda param: (Ref(param=param, call="add", path="/id"),)
    calls = [
        call("addPet", "add", body=pet),
        call("getPetById", "get", refs=new("/petId")),
        call("placeOrder", "order", body={"quantity": 2}, refs=new("/body/petId")),
        call("findPetsByStatus", "find", status=["sold"]),
        call("deletePet", "delete", refs=new("/petId")),
        call("getPetById", "again", refs=new("/petId")),
    ]
    got = {o.call: o for o in run(inside(w, *calls))}
    assert got["get"].content == got["add"].content and got["get"].content["name"] == "Rex" and got["add"].before != got["add"].after
    assert got["order"].content["petId"] == got["add"].content["id"] and got["order"].content["quantity"] == 2
    assert got["add"].content["id"] in [p["id"] for p in got["find"].content] and all(p["status"] == "sold" for p in got["find"].content)
    assert got["delete"].ok and got["again"].status == "error" and "404" in got["again"].error
    assert not any(o.mismatch for o in got.values())
    first = lambda world: run(inside(world, call("findPetsByStatus", status=["available", "sold", "pending"])))[0].content
    assert first(SyntheticWorld(w.tools, seed=1)) != first(w)


def test_any_specification_runs_and_its_results_fit(data):
    async def go(path):
        tools = parse_tools(path).kept
        async with SyntheticWorld(tools) as w:
            seen = []
            for t in tools:
                args = sample(t.parameters, random.Random(t.name))
                assert problems(args, t.parameters) == [] or "ncompatible" in t.name or "?" in t.binding.get("path", ""), t.name
                seen.append(await execute(w, call(t.name, **args)))
            return seen

    for f in ("readme/3.0-schema-circular.json", "readme/3.0-schema-types.json", "mcp/memory.json", "mcp/git.json", "openai/openapi.json"):
        seen = run(go(data / "specs" / f))
        wrong = [o for o in seen if o.mismatch]
        assert len(wrong) <= len(seen) / 100, wrong[:2]
        assert {o.status for o in seen} <= {"ok", "error", "bad_arguments"}


# files and the command


def test_trajectories_are_executed_from_files(tmp_path, synthgen, data):
    said = "axes of the density field"
    chat = {
        "messages": [
            {"role": "user", "content": said},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "a",
                        "type": "function",
                        "function": {"name": "get_shape", "arguments": json.dumps({"file": "simulation.h5", "path": "/fields/density"})},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "a", "content": "made up"},
            {"role": "assistant", "content": "16 × 12 × 8"},
        ]
    }
    slow = {"turns": [{"role": "user", "text": "?"}, {"role": "assistant", "calls": [{"id": "a", "tool": "nothing"}]}]}
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, [chat, slow, {"turns": []}, {"x": 1}])))
    r = synthgen("tool-execute", "in.jsonl", "-o", "out.jsonl", "--world", "hdf5")
    (t,) = load(tmp_path / "out.jsonl", Trajectory)
    assert t.observations[0].content["shape"] == [16, 12, 8] and t.world == "hdf5" and t.answer == "16 × 12 × 8" and t.instruction == said
    assert "1 calls executed, 0 simulated" in r.stdout and "skipped" in r.stderr
    assert [d["reason"] for d in rows(tmp_path / "out_dropped.jsonl")] == ["invalid_row", "unknown_tool:nothing", "no_calls"]
    synthgen("tool-execute", "out.jsonl", "-o", "again.jsonl")
    (u,) = load(tmp_path / "again.jsonl", Trajectory)
    assert u.id == t.id and u.observations[0].same(t.observations[0]), "executed again in the world it names"
    assert "do not say in which world" in synthgen("tool-execute", "in.jsonl", "-o", "o.jsonl", ok=False).stderr
    assert "unknown world" in synthgen("tool-execute", "in.jsonl", "-o", "o.jsonl", "--world", "hd", ok=False).stderr
    old = data / "prototype/tools/jarvis_tool_validated.json"
    got = run(execute_trajectories(read_trajectories(old).kept, lambda: open_world(f"synthetic:{data}/prototype/specs/jarvis_tools.json")))
    steps = [o for d in got.dropped for o in d.record.observations]
    assert sum(o.status == "unresolved_reference" for o in steps) == 316


def test_a_simulated_result_never_counts_as_executed(tmp_path, synthgen):
    save([Trajectory(turns=(Turn(role="user", text="?"), Turn(role="assistant", calls=(call("f"),))))], tmp_path / "in.jsonl")
    save([Tool(name="f")], tmp_path / "tools.jsonl")
    r = synthgen("tool-execute", "in.jsonl", "-o", "o.jsonl", "--world", "simulated", "--tools", "tools.jsonl")
    assert "0 calls executed, 1 simulated" in r.stdout
    assert "needs tools" in synthgen("tool-execute", "in.jsonl", "-o", "o.jsonl", "--world", "simulated", ok=False).stderr


# the table of worlds

TOY = '''
from synthgen_nb.specs.tool import Tool
from synthgen_nb.worlds.world import Local, WorldKind

# %% WORLD
WORLD = WorldKind(name='toy', usage='toy, toy:NAME', help='greets', maker='toy_of', own_tools=True)

# %% maker
def toy_of(rest, tools=None, model=None):
    return Local(f'toy:{rest}', [Tool(name='greet')], {'greet': lambda env: f'hello {rest}'}, lambda initial: None)
'''


def test_a_new_world_is_a_module_that_declares_itself_and_nothing_else(tmp_path):
    shutil.copytree(Path(synthgen_nb.__file__).parent, tmp_path / "synthgen_nb")
    (tmp_path / "synthgen_nb/worlds/toy.py").write_text(TOY)
    (tmp_path / "try.py").write_text("""
import asyncio, sys
from synthgen_nb.specs.trajectory import Call
from synthgen_nb.worlds.open import has_own_tools, open_world, place_of, tools_of, worlds_help
from synthgen_nb.worlds.world import execute
assert "toy, toy:NAME" in worlds_help() and has_own_tools("toy:x") and place_of("toy:x") == "toy:x"
assert not any(m in sys.modules for m in ("synthgen_nb.worlds.toy", "synthgen_nb.worlds.hdf5", "synthgen_nb.worlds.mcp")), "help imports no world"
async def go():
    async with open_world("toy:you") as w: return await execute(w, Call(id="1", tool="greet"))
print(asyncio.run(go()).content, [t.name for t in asyncio.run(tools_of("toy")).kept])
""")
    r = subprocess.run([sys.executable, "try.py"], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True)
    assert r.stdout == "hello you ['greet']\n", r.stderr


def test_names_of_worlds(tmp_path, data):
    for name, says in {
        "hdf": "did you mean 'hdf5'",
        "hdf5:x": "a seed, a whole number",
        "python:": "needs a Python file",
        "mcp": "needs a command",
        "synthetic": "needs tools",
        "simulated": "needs tools",
        "http:": "hosts that may be reached",
        f"synthetic:{tmp_path}/none.json": "no such file",
    }.items():
        with pytest.raises(SynthgenError, match=says):
            open_world(name)
    with pytest.raises(SynthgenError, match="needs a model"):
        open_world("simulated", [Tool(name="f")])
    spec = data / "specs/readme/3.0-petstore.json"
    assert has_own_tools(f"synthetic:{spec}") and not has_own_tools(str(spec)) and place_of(str(spec)) == f"synthetic:{spec}"
    assert open_world(f"http:{spec}#petstore.example,127.0.0.1").allow == ("petstore.example", "127.0.0.1")
    (tmp_path / "hdf5").write_text("[]")
    assert not has_own_tools("hdf5"), "a file of that name is a document"
    for kind in worlds().values():
        assert kind.usage.startswith(kind.name) and kind.usage in worlds_help()
