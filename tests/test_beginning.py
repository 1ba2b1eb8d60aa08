"The first two commands: a settings file for what is at hand, and whether all is well"

import json
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from conftest import ROOT

from synthgen_nb.cli.beginning import PARTS, Found, checks, servers, settings_text
from synthgen_nb.core.settings import load_settings

NO_KEYS = {k: "" for k in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY")}


@pytest.fixture
def listening():
    "Loopback servers that answer every GET alike; gives a function (body) → port"
    made = []

    def start(body: bytes) -> int:
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        s = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        threading.Thread(target=s.serve_forever, daemon=True).start()
        made.append(s)
        return s.server_port

    yield start
    for s in made:
        s.shutdown()
        s.server_close()


def test_servers_are_known_by_what_they_serve(listening):
    ports = {
        listening(b'{"models": [{"name": "llama3.1:8b"}]}'): "ollama",
        listening(b'{"data": [{"id": "qwen3-32b"}, {"id": "other"}]}'): "vllm",
        listening(b"<html>a web site</html>"): "vllm",
        listening(b'{"data": "no list"}'): "vllm",
        listening(b'{"data": [1, {"id": 2}]}'): "vllm",
        9: "vllm",
    }
    assert [(f.provider, f.models) for f in servers(ports)] == [("ollama", ["llama3.1:8b"]), ("vllm", ["qwen3-32b", "other"]), ("vllm", [])]


@pytest.mark.parametrize(
    "found, environ, chosen",
    [
        ([], {}, "offline"),
        ([], {"ANTHROPIC_API_KEY": "sk-secret"}, "anthropic"),
        ([Found("vllm", "http://localhost:1234/v1", [])], {}, "offline"),
        ([Found("vllm", "http://localhost:8000/v1", ['a "model": #1'])], {"OPENAI_API_KEY": "sk-secret"}, "vllm"),
        ([Found("ollama", "http://localhost:11434", ["m"]), Found("vllm", "http://localhost:8000/v1", ["n"])], {}, "ollama"),
    ],
)
def test_the_file_is_settings_and_uses_what_is_at_hand(tmp_path, found, environ, chosen):
    text, named = settings_text(found, environ)
    (tmp_path / "s.yaml").write_text(text)
    s = load_settings(tmp_path / "s.yaml", environ={})
    assert s.llm.provider == named == chosen
    if found and found[0].models:
        assert s.llm.blocks[chosen].model == found[0].models[0]
    with_all = "\n".join(x.replace("# ", "", 1) if x.startswith("  # ") else x for x in text.splitlines())
    (tmp_path / "s.yaml").write_text(with_all)
    load_settings(tmp_path / "s.yaml", environ={})  # each comment is a line that may be used
    assert "sk-secret" not in text, "a key stays in the environment"


def test_init_writes_once_and_doctor_says_what_stands_in_the_way(synthgen):
    said = synthgen("init", env=NO_KEYS).stdout
    assert "synthgen.yaml" in said and "synthgen doctor" in said
    file = synthgen.folder / "synthgen.yaml"
    file.write_text(file.read_text() + "topic: mine\n")
    assert "--force" in synthgen("init", ok=False, env=NO_KEYS).stderr and "topic: mine" in file.read_text()
    found = {c["what"]: c for c in json.loads(synthgen("doctor", "--json", env=NO_KEYS).stdout)}
    assert found["packages"]["state"] == found["settings"]["state"] == found["call store"]["state"] == "ok"
    file.write_text("llm: {provider: openai}\n")
    r = synthgen("doctor", ok=False, env=NO_KEYS)
    assert r.returncode == 1 and "OPENAI_API_KEY" in r.stdout
    file.write_text("llm: {provdier: openai}\n")
    assert "did you mean 'provider'" in synthgen("doctor", ok=False, env=NO_KEYS).stdout


def test_doctor_finds_a_server_that_is_gone_and_a_store_that_is_none(tmp_path, listening):
    port = listening(b"{}")
    said = lambda: {c.what: c for c in checks(tmp_path / "s.yaml")}
    file = tmp_path / "s.yaml"
    file.write_text(f'llm: {{provider: vllm, vllm: {{base_url: "http://user:secret@localhost:{port}/v1"}}}}\n')
    assert said()["provider"].state == "ok" and "secret" not in said()["provider"].said
    file.write_text('llm: {provider: vllm, vllm: {base_url: "http://localhost:9/v1"}}\n')
    assert said()["provider"].state == "fails" and "Is it running" in said()["provider"].said
    (tmp_path / ".synthgen").mkdir()
    (tmp_path / ".synthgen/calls.db").write_bytes(b"not a data base at all, but long enough to be looked at as one" * 20)
    assert said()["call store"].state == "fails"


def test_every_extra_is_an_optional_part():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {*PARTS} == {*extras} - {"dev"}
