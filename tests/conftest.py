"""What the tests share: real documents, a real model server on loopback, and the real command line."""

import atexit
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
SYNTHGEN = Path(sys.executable).with_name("synthgen")


def pytest_addoption(parser):
    parser.addoption("--renew", action="store_true", help="write anew the pages that tests keep true")
    parser.addoption("--kills", type=int, default=3, help="how often a study is killed in the test of that")


@pytest.fixture(scope="session")
def data() -> Path:
    "Public documents that are not part of the repository"
    folder = Path(os.environ.get("SYNTHGEN_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the shared test data is not here ({folder.name}; set SYNTHGEN_DATA)")
    return folder


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    "Every test works in a folder of its own, so the call store and the runs are its own too"
    monkeypatch.chdir(tmp_path)
    for k in [k for k in os.environ if k.startswith("SYNTHGEN_") and k != "SYNTHGEN_DATA"]:
        monkeypatch.delenv(k)


@cache
def fork() -> list[str]:
    "`synthgen` as a fork of a process that has imported what is slow to import, as a command line"
    folder = Path(tempfile.mkdtemp(prefix="synthgen-forks-"))
    place, code = folder / "socket", [sys.executable, "-I", "-S", str(ROOT / "tests/forks.py")]
    env = {k: v for k, v in os.environ.items() if not k.startswith("SYNTHGEN_")}
    server = subprocess.Popen([sys.executable, ROOT / "tests/forks.py", place], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)
    assert server.stdout.read(1), "the process to fork from has not started"

    def stop():
        server.stdin.close()
        server.wait()
        shutil.rmtree(folder)

    atexit.register(stop)
    return [*code, str(place), "synthgen"]


def command(folder: Path, program: list | None = None):
    "The command in a folder, as a user would run it; gives the finished process. Several may run at once"

    def run(*args, ok=True, env=None, timeout=300):
        own = {k: v for k, v in os.environ.items() if not k.startswith("SYNTHGEN_")} | (env or {})
        line = [*(program or fork()), *map(str, args)]
        r = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL, env=own)
        if ok is not None:
            assert (r.returncode == 0) == ok, f"status {r.returncode}\n{r.stdout}\n{r.stderr}"
        assert "Traceback" not in r.stderr, r.stderr
        return r

    run.folder = folder
    return run


@pytest.fixture
def synthgen(tmp_path):
    return command(tmp_path)


def own_server(tools: str) -> str:
    "The script of an MCP server with these tools, see `small_mcp`"
    return f"{(ROOT / 'tests/small_mcp.py').read_text()}\n{tools}"


TOPICS = ["chunk cache", "fill value", "hyperslab", "link table", "object header", "data space", "free list", "page buffer"]


def write_docs(folder: Path, n: int = 4) -> Path:
    "A few documents worth asking about"
    folder.mkdir(exist_ok=True)
    for i in range(n):
        name = f"{TOPICS[i % len(TOPICS)]} {i}"
        (folder / f"doc{i:03}.md").write_text(f"""# The {name}

The {name} is a part of the storage layer that keeps related blocks together. It is used to avoid reading the same block twice,
because every read costs a seek. If the {name} is full, the block that was used least recently is written back to the file.

## How to size the {name}

Set `size_{i}` to the number of blocks that are needed at the same time, usually {i + 2}. Larger values take more memory and
rarely help. To switch the {name} off, set `size_{i}` to 0.
""")
    return folder


@pytest.fixture
def docs(tmp_path) -> Path:
    return write_docs(tmp_path / "docs")


class Server:
    def __init__(self, log: Path, delay: float, port: int = 0):
        self.log_file = log
        self.process = subprocess.Popen(
            [sys.executable, ROOT / "tests/mock_server.py", "--delay", str(delay), "--log", str(log), "--port", str(port)],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = int(self.process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = self.as_("vllm")

    def as_(self, provider: str) -> dict[str, str]:
        "The environment in which the workbench takes this server for that provider's"
        path, model, key = dict(
            vllm=("/v1", "mock", ""),
            openai=("/v1", "gpt-4o-mini", "sk-mock"),
            ollama=("", "mock", ""),
            anthropic=("", "claude-sonnet-4-5", "sk-ant-mock"),
            gemini=("/v1beta", "gemini-2.5-flash", "AIza-mock"),
        )[provider]
        own = f"SYNTHGEN_LLM_{provider.upper()}_"
        env = {"SYNTHGEN_LLM_PROVIDER": provider, own + "BASE_URL": self.url + path, own + "MODEL": model}
        return env | ({own + "API_KEY": key} if key else {})

    def control(self, **state) -> dict:
        "Set what goes wrong; without arguments, only look. What the server says of itself: counters, statuses, its last request"
        body = json.dumps(state).encode() if state else None
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/control", body, {"Content-Type": "application/json"})) as r:
            return json.load(r)

    def log(self, kind="asked") -> list[dict]:
        if not self.log_file.exists():
            return []
        return [r for r in map(json.loads, self.log_file.read_text().rpartition("\n")[0].splitlines()) if r["kind"] == kind]

    def stop(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def server(tmp_path):
    "A model server that answers at once"
    s = Server(tmp_path / "requests.log", 0.0)
    yield s
    s.stop()


EXAMPLES = ROOT / "nbs/_docs/examples.yaml"
VARIES = {"doctor", "init", "list-providers", "calls", "show"}  # with what is installed, reachable or stored


def shape(said: str) -> list[str]:
    "The words without numbers, ids and how wide a column is"
    return re.sub(r"\b[\w.,:%–-]*\d[\w.,:%–-]*", "0", said).split()


def example(config, line: str, said: str, folder: Path, page: str) -> None:
    "What the page of a command shows is what it prints; with --renew the first of its lines that are run is recorded"
    known = yaml.safe_load(EXAMPLES.read_text())
    words = line.split()[1:3]
    name = " ".join(words) if words[0] == "judge" else words[0]
    printed = [x.rstrip()[:140] for x in said.replace(f"{folder}/", "").splitlines()]
    now = dict(run=line, page=page, prints="\n".join(printed[:16] + ["…"] * (len(printed) > 16)))
    shown = known.get(name, now)
    if (shown["run"], shown["page"]) != (line, page):
        return
    if config.getoption("--renew"):
        EXAMPLES.write_text(yaml.safe_dump(known | {name: now}, allow_unicode=True, width=1000))
    elif name in known and name not in VARIES:
        assert shape(now["prints"]) == shape(shown["prints"]), "what a page shows is no longer printed: run pytest with --renew, look at the difference"


def rows(path) -> list[dict]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


# a corpus

DATA = Path(os.environ.get("SYNTHGEN_DATA", ROOT.parent / "shared" / "data"))
needs_data = pytest.mark.skipif(not (DATA / "corpus").is_dir(), reason=f"no shared data at {DATA}; set SYNTHGEN_DATA")
PROSE = "Chunks are read as a whole. The cache keeps what was read last. "
WORDS = "A dataset is stored in one piece or in chunks, and every chunk is read as a whole when one of its values is wanted. "


def doc(text, kind="markdown", path="x"):
    from synthgen_nb.corpus.read import Document

    return Document(path=path, text=text, kind=kind)


def check_spans(d, chunks):
    "Every source leads back to the document, nothing overlaps, and only blanks and what a rule names are left out"
    from synthgen_nb.corpus.chunk import _copied
    from synthgen_nb.corpus.meant import as_meant

    meant, held = as_meant(d), set()
    places = sorted((s.start, s.end, s, c) for c in chunks for s in c.sources if s.path == d.path)
    end = 0
    for a, b, s, c in places:
        assert _copied(d.text, s, c.text) and c.text.strip()
        assert s.copied or d.text[a:b] == c.text
        assert a >= end
        for _, at, n in s.copied or ((0, a, b - a),):
            assert not any(at < z and x < at + n for x, z in d.left_out)
            held.update(range(at, at + n))
        assert (s.start_line, s.end_line) == (d.text.count("\n", 0, a) + 1, d.text.count("\n", 0, b) + 1)
        end = b
    assert all(d.text[i].isspace() or i in held for _, at, n in meant.runs for i in range(at, at + n))


def static_vectors(texts, folder):
    "The public static embedding: the mean of its int8 token vectors"
    import numpy as np
    from tokenizers import Tokenizer

    raw = (folder / "model.safetensors").read_bytes()
    size = int.from_bytes(raw[:8], "little")
    shape = json.loads(raw[8 : 8 + size])["embeddings"]["shape"]
    table = np.frombuffer(raw[8 + size :], np.int8)[: np.prod(shape)].reshape(shape).astype(np.float32)
    tok = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tok.no_truncation()
    unknown, usual = tok.token_to_id("[UNK]"), int(np.median([len(w) for w in tok.get_vocab()]))
    ids = [[i for i in e.ids if i != unknown][:512] for e in tok.encode_batch_fast([t[: 512 * usual] for t in texts], add_special_tokens=False)]
    v = np.array([table[i].mean(0) if i else np.zeros(shape[1], np.float32) for i in ids])
    return v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-12)


def complete(handler, text: str) -> None:
    "Answer a request of OpenAI's chat protocol with one message"
    message = dict(role="assistant", content=text)
    said = dict(choices=[dict(index=0, message=message, finish_reason="stop")], usage=dict(prompt_tokens=9, completion_tokens=9))
    reply = json.dumps(said | dict(id="x", object="chat.completion", model="m")).encode()
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(reply)))
    handler.end_headers()
    handler.wfile.write(reply)
