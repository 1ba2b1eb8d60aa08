"""Every fault of every provider, from the command line: what the user sees is the table that the documentation shows."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from queue import Queue

import pytest
from conftest import ROOT, Server, command, rows

PAGE = ROOT / "nbs/_docs/faults.md"
PROVIDERS = ["openai", "vllm", "ollama", "anthropic", "gemini"]
PASSING = ["408", "409", "429", "429 1", "429 date 1", "500", "502", "503", "529", "reset", "rst", "half", "html", "html502"]
PASSING += ["malformed-body", "slow 6", "hang"]
STOPS = ["401", "403", "404", "quota"]
ONE = ["context", "content-policy", "refusal", "content-filter", "truncated", "malformed", "empty", "null", "empty-choices"]
TITLES = {
    "429 1": "429, Retry-After in seconds",
    "429 date 1": "429, Retry-After as a date",
    "reset": "connection closed",
    "rst": "connection reset",
    "half": "half a body",
    "html": "an HTML page, status 200",
    "html502": "an HTML page, status 502",
    "malformed-body": "body is not JSON",
    "slow 6": "first byte later than the timeout",
    "hang": "no answer at all",
    "quota": "what the account may use is used up",
    "context": "question too long for the model",
    "content-policy": "question filtered",
    "refusal": "the model declines",
    "content-filter": "reply filtered",
    "truncated": "reply cut off",
    "malformed": "reply is not JSON",
    "empty": "reply is empty",
    "null": "reply is null",
    "empty-choices": "no reply in the reply",
    "no-schema": "server takes no schema",
    "dead": "503 for longer than our patience",
}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    docs = folder / "docs"
    docs.mkdir()
    for name in ("cache", "buffer"):
        text = f"# The {name}\n\nThe {name} is the part of the storage layer that keeps related blocks together, so that no block is read twice.\n"
        (docs / f"{name}.md").write_text(text)
    run = command(folder)
    run("ingest", "docs", "-o", "db", "--chunk-tokens", "8-512")
    servers = Queue()
    for i in range(6):
        servers.put(Server(folder / f"server{i}.log", 0.0))
    yield run, servers
    while not servers.empty():
        servers.get().stop()


NOT = {("vllm", "quota"), ("ollama", "quota")}  # what these servers have no word for


def outcome(base, provider: str, fault: str) -> tuple[str, str]:
    "What came of a run of two calls, in a word, and what the user read"
    if (provider, fault) in NOT:
        return "–", ""
    run, servers = base
    server = servers.get()
    try:
        times = 2 if fault in PASSING else -1
        server.control(reset=True, fault="503" if fault == "dead" else fault, times=times, only="The cache" if fault in ONE else "")
        own, out = f"SYNTHGEN_LLM_{provider.upper()}_", run.folder / f"{provider}-{fault}.jsonl"
        env = server.as_(provider) | {
            own + "TIMEOUT": "4" if fault in ("slow 6", "hang") else "60",  # far more than a loaded machine takes
            own + "PATIENCE": "2" if fault == "dead" else "90",
            "SYNTHGEN_PATHS_CALLS": str(out.with_suffix(".db")),
        }
        r = run("generate", "db", "-o", out, "--n-pairs", "1", env=env, ok=None)
        sent = server.control()["asked"]
    finally:
        servers.put(server)
    said = (r.stdout + r.stderr).replace(server.url, "http://…").replace(str(out), "out.jsonl")
    assert not re.search("sk-mock|sk-ant-mock|AIza-mock", said) and "Traceback" not in said
    dropped = out.with_name(f"{out.stem}_dropped.jsonl")
    if r.returncode == 0 and "dropped 0" in r.stdout:
        assert len(rows(out)) == 2
        return ("asked in words, all kept" if fault == "no-schema" else f"tried again, all kept ({sent} sent)"), said
    if r.returncode == 0:
        assert len(rows(out)) == 1
        return f"dropped: `{':'.join(rows(dropped)[0]['detail'].split(': ')[: 2 if 'refused' in rows(dropped)[0]['detail'] else 1])}`", said
    assert r.returncode == 1 and not out.exists() and r.stderr.splitlines()[-1].startswith("error: ")
    return "the run stops", said


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_fault(base, provider, request):
    faults = [*PASSING, *STOPS, *ONE, "no-schema", "dead"]
    with ThreadPoolExecutor(6) as pool:
        found = dict(zip(faults, pool.map(lambda f: outcome(base, provider, f), faults), strict=True))
    for f in PASSING:
        assert found[f][0] == "tried again, all kept (4 sent)", (f, found[f])
    for f in [f for f in STOPS if (provider, f) not in NOT]:
        assert found[f][0] == "the run stops" and re.search(r"answered 40[1-4]: .*\?.* run the same command again", found[f][1]), (
            f,
            found[f],
        )
    for f in ONE:
        assert found[f][0].startswith("dropped: `"), (f, found[f])
    assert found["context"][0] == "dropped: `refused:too_long`" and found["truncated"][0] == "dropped: `truncated`"
    assert found["no-schema"][0] == "asked in words, all kept", found["no-schema"]
    assert found["dead"][0] == "the run stops" and "has not answered for" in found["dead"][1], found["dead"]
    told = json.loads(re.search(r"<!-- (.*) -->", PAGE.read_text())[1]) if PAGE.exists() else {}
    cells = {f: found[f][0] for f in faults}
    if request.config.getoption("--renew"):
        told = {p: (told | {provider: cells})[p] for p in PROVIDERS if p in told or p == provider}
        PAGE.write_text(page(told))
    assert told.get(provider) == cells, "nbs/_docs/faults.md is out of date: pytest tests/test_faults.py --renew"


def page(told: dict) -> str:
    lines = [
        "# When things go wrong",
        "",
        "What `synthgen generate` does with every fault of every provider. The table is made, and kept true, by `tests/test_faults.py`,",
        "which runs the command against servers on loopback that speak the providers' protocols. Two calls are made; a passing fault hits",
        "two requests, a fault of one question hits one of the two documents, and the others hit every request.",
        "",
        "| fault | " + " | ".join(told) + " |",
        "|---|" + "---|" * len(told),
    ]
    for f in next(iter(told.values())):
        cells = [told[p][f] for p in told]
        lines.append(f"| {TITLES.get(f, f)} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", f"<!-- {json.dumps(told)} -->", ""])


def test_page_is_of_its_data():
    assert page(json.loads(re.search(r"<!-- (.*) -->", PAGE.read_text())[1])) == PAGE.read_text()
    assert list(json.loads(re.search(r"<!-- (.*) -->", PAGE.read_text())[1])) == PROVIDERS
