"""A bundle gives the same bytes in another folder with its server gone, and says what is wrong with it."""

import json
import os
import stat
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest
from conftest import Server, command, write_docs

from synthgen_nb.core.calls import Calls, rows
from synthgen_nb.core.records import SynthgenError
from synthgen_nb.experiments import bundle as b

STUDY = """question: What does rewriting change?
base: {source: docs, chunk_tokens: 32-1024, rewrite: false}
arms: {rewritten: {rewrite: true}}
"""


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    "A run from absolute documents with a prompt and a key of its own, and a study, both in bundles; their server is gone"
    home = tmp_path_factory.mktemp("packed")
    server, synthgen = Server(home / "requests.log", 0.0), command(home)
    try:
        write_docs(home / "docs", 3)
        own = (Path(b.__file__).parents[2] / "prompts/rewrite.yaml").read_text()
        (home / "own").mkdir()
        (home / "own/rewrite.yaml").write_text(own.replace("You ", "Be brief. You ", 1))
        env = server.as_("openai") | {"SYNTHGEN_PATHS_PROMPTS": "own"}
        users = {k: v.replace("//", "//me:pw99@") for k, v in server.env.items()}
        synthgen("pipeline", home / "docs", "-o", "train.jsonl", "--chunk-tokens", "32-1024", "--format", "jsonl", env=env)
        (home / "s.yaml").write_text(STUDY)
        synthgen("study", "s.yaml", env=users)
        synthgen("bundle", "last", "-o", "run.zip", env=env)
        synthgen("bundle", "study-s", "-o", "study.zip", env=users)
    finally:
        server.stop()
    return home


def altered(file: Path, to: Path, change) -> Path:
    "A bundle in which some files are others"
    with zipfile.ZipFile(file) as z, zipfile.ZipFile(to, "w") as w:
        for n in z.namelist():
            w.writestr(n, change(n, z.read(n)))
    return to


@pytest.mark.parametrize("name, files", [("run", 1), ("study", 2)])
def test_the_same_bytes_elsewhere(packed, synthgen, name, files):
    said = synthgen("replay", packed / f"{name}.zip", "-o", "there").stdout
    assert said.count("same bytes") == files == len(said.splitlines())
    for new in synthgen.folder.glob("there/runs/**/train.jsonl"):
        assert new.read_bytes() == (packed / new.relative_to(synthgen.folder / "there")).read_bytes()
    there = command(synthgen.folder / "there")
    if name == "run":
        assert "done" in there("show", "last").stdout, "it is a folder to work in"


@pytest.mark.parametrize("name", ["run", "study"])
def test_no_keys_and_no_places_of_this_machine(packed, tmp_path, name):
    about = b.unpack(packed / f"{name}.zip", tmp_path / "out")
    held = {f: f.read_bytes() for f in (tmp_path / "out").rglob("*") if f.is_file()}
    for secret in (b"sk-mock", b"pw99", str(packed).encode(), os.path.expanduser("~").encode() + b"/"):
        assert not [f for f, data in held.items() if secret in data]
    assert b"Be brief." in (tmp_path / "out/prompts/rewrite.yaml").read_bytes() or name == "study"
    with Calls(packed / ".synthgen/calls.db") as every, Calls(tmp_path / "out/.synthgen/calls.db") as some:
        assert 0 < len(some) < len(every), "only calls that its rows rest on"
    assert set(about.holds) == {f.relative_to(tmp_path / "out").as_posix() for f in held} - {"bundle.json"}


def test_a_bundle_that_was_changed_is_told(packed, tmp_path, synthgen):
    def other(name, data):
        return data.replace(b"generate:", b"generate: ") + b"\n" if name == "synthgen.yaml" else data

    f = altered(packed / "run.zip", tmp_path / "a.zip", other)
    assert "synthgen.yaml is not what was packed" in synthgen("replay", f, ok=False).stderr

    def wanted(name, data):
        if name != "bundle.json":
            return data
        d = json.loads(data)
        d["parts"][0]["made"] = {"train.jsonl": "0" * 64}
        return json.dumps(d).encode()

    r = synthgen("replay", altered(packed / "run.zip", tmp_path / "b.zip", wanted), "-o", "there", ok=False)
    assert "train.jsonl: its bytes differ" in r.stdout


def test_a_call_that_is_missing_is_named(packed, tmp_path, synthgen):
    about = b.unpack(packed / "run.zip", tmp_path / "out")
    with Calls(tmp_path / "out/.synthgen/calls.db") as calls:
        keys = [r["key"] for r in rows(calls)]
    b.copy_calls(tmp_path / "out/.synthgen/calls.db", {*keys[1:]}, tmp_path / "less.db")
    data, was = (tmp_path / "less.db").read_bytes(), about.holds[".synthgen/calls.db"]

    def less(name, old):
        if name == ".synthgen/calls.db":
            return data
        return old.replace(was.encode(), sha256(data).hexdigest().encode()) if name == "bundle.json" else old

    r = synthgen("replay", altered(packed / "run.zip", tmp_path / "less.zip", less), "-o", "again", ok=False)
    assert f"train.jsonl: less.zip lacks the call {keys[0]} (" in r.stdout


def test_what_cannot_be_replayed_is_not_packed(packed, synthgen):
    (run,) = [f for f in (packed / "runs").glob("*-qa")]
    empty = {"SYNTHGEN_PATHS_CALLS": str(synthgen.folder / "none.db"), "SYNTHGEN_LLM_PROVIDER": "vllm"}
    empty |= {"SYNTHGEN_LLM_VLLM_MODEL": "m", "SYNTHGEN_LLM_VLLM_BASE_URL": "http://127.0.0.1:9/v1"}
    said = synthgen("bundle", run, "-o", "x.zip", env=empty, ok=False).stderr
    assert "does not come out as it did" in said and "of its calls are not in the store" in said
    assert not (synthgen.folder / "x.zip").exists()


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "a\\x", "C:/x", "a//x", "link"])
def test_a_zip_of_a_stranger_writes_nowhere_else(packed, tmp_path, name):
    i = zipfile.ZipInfo(name)
    i.external_attr = (stat.S_IFLNK | 0o777) << 16 if name == "link" else 0
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as z:
        z.writestr("bundle.json", "{}")
        z.writestr(i, "/etc/passwd")
    with pytest.raises(SynthgenError, match="link" if name == "link" else "no place in a folder"):
        b.replay(tmp_path / "x.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists() and not (tmp_path / "x").exists()


def test_a_zip_that_is_none_or_too_large(tmp_path, monkeypatch):
    (tmp_path / "x.zip").write_bytes(b"PK no")
    with pytest.raises(SynthgenError, match="not a whole bundle"):
        b.replay(tmp_path / "x.zip", tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "y.zip", "w") as z:
        z.writestr("bundle.json", "[1]")
    with pytest.raises(SynthgenError, match="not a whole bundle"):
        b.replay(tmp_path / "y.zip", tmp_path / "out")
    monkeypatch.setattr(b, "MOST", 2)
    with pytest.raises(SynthgenError, match="holds more than"):
        b.replay(tmp_path / "y.zip", tmp_path / "out")


@pytest.mark.parametrize(
    "change, says",
    [
        (dict(pipeline="/tmp/mine.ipynb"), "holds no programs"),
        (dict(folder="runs/../../x"), "its own folder"),
        (dict(parameters=dict(output="../x")), "its own folder"),
        (dict(parameters=dict(dump="/tmp/x")), "its own folder"),
        (dict(made={"../x": "0"}), "its own folder"),
        (dict(pipeline="tools", parameters=dict(source="mcp:rm -rf x")), "leave this process"),
        (dict(pipeline="tools", parameters=dict(source="x.json", world="http:x")), "leave this process"),
        (dict(pipeline="tools", parameters=dict(source="python:x.py")), "leave this process"),
    ],
)
def test_a_part_of_a_stranger_runs_nothing_else(change, says):
    part = dict(folder="runs/x", pipeline="qa", parameters={}, made={"train.jsonl": "0"}) | change
    with pytest.raises(SynthgenError, match=says):
        b.part_checked(b.Packed(**part))
