"""Every method that makes rows of tools, with a model behind a server on loopback that answers as a provider does."""

import asyncio
import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from synthgen_nb.core import prompts
from synthgen_nb.core.models import open_model
from synthgen_nb.offline.model import reply
from synthgen_nb.tools.apigen import verify
from synthgen_nb.tools.by_method import made_by, makers
from synthgen_nb.worlds.hdf5 import hdf5_tools, hdf5_world
from synthgen_nb.worlds.world import replay

FEW = ("open_file", "get_shape", "get_dtype", "list_attributes", "read_attribute", "dataset_statistics", "find_extreme", "write_attribute")
TOOLS = [t for t in hdf5_tools() if t.name in FEW]
SETTINGS = dict(toolmind=dict(least=2, most=3), toucan=dict(most_tools=1), toolgrad=dict(negatives=0.0), apigen_mt=dict(parts=1))


class Provider(BaseHTTPRequestHandler):
    "OpenAI's chat protocol; what it says is the offline model's, found by the messages that were rendered"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        task, inputs = self.server.known[json.dumps(body["messages"][:2])]
        self.server.asked[task] += 1
        said = self.server.says(task, lambda: reply(task, inputs))
        choice = dict(index=0, finish_reason="stop", message=dict(role="assistant", content=said))
        out = json.dumps(dict(id="1", object="chat.completion", created=0, model=body["model"], choices=[choice],
                              usage=dict(prompt_tokens=9, completion_tokens=9, total_tokens=18))).encode()  # fmt: skip
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(out)))
        self.end_headers()
        self.wfile.write(out)

    def log_message(self, *args): pass


@pytest.fixture
def provider(tmp_path, monkeypatch):
    "A server whose replies `says` decides; the workbench takes it for a vLLM server"
    s = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    s.known, s.asked, s.says = {}, Counter(), lambda task, told: as_text(told())
    rendered = prompts._rendered

    def noted(p, output, inputs):
        ask = rendered(p, output, inputs)
        s.known[json.dumps(list(ask.messages))] = (ask.task, ask.inputs)
        return ask

    monkeypatch.setattr(prompts, "_rendered", noted)
    monkeypatch.setenv("SYNTHGEN_LLM_VLLM_BASE_URL", f"http://127.0.0.1:{s.server_port}/v1")
    monkeypatch.setenv("SYNTHGEN_LLM_VLLM_MODEL", "small")
    monkeypatch.chdir(tmp_path)
    threading.Thread(target=s.serve_forever, args=(0.01,), daemon=True).start()
    yield s
    s.shutdown()
    s.server_close()


def as_text(said) -> str: return said if isinstance(said, str) else json.dumps(said)


def made(name, target=2):
    model = open_model(provider="vllm")
    usual = lambda rows: verify(rows, TOOLS, hdf5_world)
    out = asyncio.run(made_by(makers()[name], TOOLS, model, hdf5_world, target, usual, options=SETTINGS.get(name)))
    model.calls.close()
    return out


@pytest.mark.parametrize("name", makers())
def test_a_method_makes_rows_that_run_again(name, provider):
    first = Counter()

    def says(task, told):  # the first reply to each prompt is no JSON
        first[task] += 1
        return "Sure! Here is what you asked for: {" if first[task] == 1 else f"```json\n{as_text(told())}\n```"

    provider.says = says
    out = made(name)
    assert len(out.rows) == 2, Counter(d.reason for d in out.solved.dropped)
    assert all(o.model in ("vllm/small", "") for t in out.rows for o in t.origin) and set(makers()[name].replies) & set(provider.asked)

    async def again(t):
        async with hdf5_world() as w: return await replay(w, t.calls, t.observations)

    assert [asyncio.run(again(t)) for t in out.rows] == [[], []]


@pytest.mark.parametrize("name", makers())
def test_a_model_that_cannot_help_ends_it_soon_with_no_row_and_a_reason(name, provider):
    provider.says = lambda task, told: "I'm sorry, but I can't help with that."
    out = made(name)
    assert not out.rows and out.ended.startswith("0 of 2") and out.solved.dropped
    assert all(d.reason and d.record is not None for d in out.solved.dropped)
    assert sum(provider.asked.values()) < 100, provider.asked
