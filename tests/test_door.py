"""The door to a model: limits, batches, log probabilities, two processes at once, a server that goes and comes back."""

import asyncio
import importlib.util
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections import Counter

import pytest
from conftest import Server, command, fork, rows, write_docs

from synthgen_nb.core.calls import Calls, Request
from synthgen_nb.core.embed import embed
from synthgen_nb.core.models import Model, check, open_model
from synthgen_nb.core.prompts import Ask, load_prompt
from synthgen_nb.core.providers import PROVIDERS, named, shown_url
from synthgen_nb.core.records import SynthgenError
from synthgen_nb.core.settings import Provider, Settings, load_settings, provider_rows

PAGE = "A chunk is read whole. It is kept in a cache, so that it need not be read twice."


def question(i=0) -> Ask:
    return load_prompt("qa_text").render(text=f"Topic {i}. {PAGE}", section="", source=f"{i}.md", n=1, avoid=[], in_language="")


def model(server: Server, provider="vllm", calls=None, settings=None, **block) -> Model:
    env = {k.split("_")[-1].lower() if not k.endswith(("BASE_URL", "API_KEY")) else "_".join(k.split("_")[-2:]).lower(): v
           for k, v in server.as_(provider).items() if k != "SYNTHGEN_LLM_PROVIDER"}  # fmt: skip
    return Model(provider, Provider(**env | block), Calls() if calls is None else calls, settings=settings)


async def answers(m: Model, asks, **more) -> list:
    return [a async for a in m.map(asks, **more)]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    "A folder with a chunk database of twelve documents, and the command there"
    folder = tmp_path_factory.mktemp("door")
    write_docs(folder / "docs", 12)
    run = command(folder)
    run("ingest", "docs", "-o", "db", "--chunk-tokens", "32-1024")
    return run


def env_of(server, tmp_path, provider="vllm", **more) -> dict:
    own = f"SYNTHGEN_LLM_{provider.upper()}_"
    return (
        server.as_(provider)
        | {"SYNTHGEN_PATHS_CALLS": str(tmp_path / "calls.db")}
        | {k if k.startswith("SYNTHGEN_") else own + k: v for k, v in more.items()}
    )


# How hard a server is pressed


def test_pace_finds_how_much_the_server_takes(server):
    server.control(delay=0.03, concurrency=20)
    m = model(server, workers=256)
    got = asyncio.run(answers(m, map(question, range(600))))
    told = server.control()
    assert all(a.ok for a in got) and len({a.calls for a in got}) == 600
    assert 1 <= m.pace.climb.limit <= 60 and told["peak"] <= 256, "it came down from where it was refused"
    assert told["asked"] < 1200, f"{told['asked'] - 600} calls were refused on the way"


def test_rate_limits_are_learnt_from_headers_and_kept(server):
    server.control(rpm=60, window=3.0)
    m = model(server, requests_per_minute=1100)
    start = time.monotonic()
    asyncio.run(answers(m, map(question, range(30))))
    assert time.monotonic() - start > 0.5, "30 calls at 1100 a minute, of which a second's worth may go at once"
    m = model(server, model="other")
    asyncio.run(answers(m, map(question, range(100, 104))))
    assert m.pace.buckets["requests"].per_minute == 60, "as the server's header says"


@pytest.mark.parametrize(
    "limits, said", [(dict(max_calls=5), "max_calls is reached: 5 calls"), (dict(max_budget=0.0005), "max_budget is reached: $0.0")]
)
def test_limits_stop_cleanly_and_the_run_resumes(server, limits, said):
    calls, prices = Calls(), {"vllm/mock": dict(input=1.0, output=1.0)}  # 120 tokens: 0.00012 dollars a call
    with pytest.raises(SynthgenError, match="is reached") as e:
        asyncio.run(
            answers(
                model(server, calls=calls, settings=Settings(limits=limits, prices=prices), workers=2), map(question, range(12)), total=12
            )
        )
    sent = server.control()["asked"]
    assert said.replace("$", "") in str(e.value).replace("$", "") and "of 12 questions" in str(e.value) and sent == len(calls) <= 5
    assert all(a.ok for a in asyncio.run(answers(model(server, calls=calls), map(question, range(12)))))
    assert server.control()["asked"] == 12, "nothing was paid twice"


def test_budget_without_a_price_is_refused_before_any_call(base, server, tmp_path):
    env = env_of(server, tmp_path, SYNTHGEN_LIMITS_MAX_BUDGET="1")
    r = base("generate", "db", "-o", tmp_path / "out.jsonl", env=env, ok=False)
    assert "max_budget needs a price, and that of vllm/mock is not known" in r.stderr and server.control()["asked"] == 0


def test_server_that_goes_and_comes_back(base, tmp_path):
    first = Server(tmp_path / "first.log", 0.1)
    args = [*fork(), "generate", "db", "-o", str(tmp_path / "out.jsonl"), "--n-pairs", "1", "--workers", "4"]
    p = subprocess.Popen(
        args, cwd=base.folder, env=os.environ | env_of(first, tmp_path), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    while len(first.log("answered")) < 4 and p.poll() is None:
        time.sleep(0.02)
    first.stop()
    time.sleep(2.5)
    second = Server(tmp_path / "second.log", 0.0, first.port)
    out, said = p.communicate(timeout=90)
    second.stop()
    assert p.returncode == 0 and "kept 12" in out and "trying again" in said and "answers again" in said, said
    assert len({r["key"] for r in first.log("answered") + second.log()}) == 12 and len(second.log()) <= 8


# What is paid for once


def test_two_processes_do_not_pay_for_the_same_call(base, server, tmp_path):
    server.control(delay=0.3)
    env = os.environ | env_of(server, tmp_path)
    both = [
        subprocess.Popen([*fork(), "generate", "db", "-o", str(tmp_path / f"{i}.jsonl"), "--n-pairs", "1", "--workers", "3"], cwd=base.folder, env=env,
                         stdout=subprocess.DEVNULL)
        for i in range(2)
    ]  # fmt: skip
    assert [p.wait(90) for p in both] == [0, 0]
    asked = Counter(r["key"] for r in server.log())
    assert len(asked) == 12 and set(asked.values()) == {1}
    assert (tmp_path / "0.jsonl").read_bytes() == (tmp_path / "1.jsonl").read_bytes()


def test_store_of_the_first_format_is_read(tmp_path):
    db = sqlite3.connect("calls.db")
    db.execute("""create table calls (key text primary key, created real not null, model text not null, prompt text not null, request text not null,
        text text not null, input_tokens integer, output_tokens integer, cost real, seconds real, attempts integer,
        finish text, ok integer not null, hits integer not null default 0) without rowid""")
    r = Request(model="m", sample=0)
    db.execute("insert into calls values (?, 1, 'm', '', ?, 'Yes.', 1, 2, null, 0.1, 1, 'stop', 1, 0)", (r.key, r.json.decode()))
    db.execute("pragma user_version=1")
    db.commit()
    with Calls("calls.db") as c:
        assert c.get(r.key).text == "Yes." and c.get(r.key).logprobs is None


def test_map_holds_neither_all_questions_nor_all_answers():
    m, taken, lead = open_model(provider="offline"), 0, 0

    def many():
        nonlocal taken
        for i in range(3000):
            taken += 1
            yield question(i)

    async def go():
        nonlocal lead
        m.block = m.block.model_copy(update=dict(workers=8))
        n = 0
        async for _ in m.map(many()):
            n += 1
            lead = max(lead, taken - n)
        return n

    assert asyncio.run(go()) == 3000 and lead <= 256 + 4 * 8


# Batches


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_batch_is_submitted_waited_for_and_fetched_once(base, server, tmp_path, provider):
    server.control(batch_seconds=4.0)
    env = env_of(server, tmp_path, provider, MODE="batch") | {"SYNTHGEN_TEMPERATURES_GENERATE": "0"}
    args = ["generate", "db", "-o", str(tmp_path / "out.jsonl"), "--n-pairs", "1"]
    p = subprocess.Popen([*fork(), *args], cwd=base.folder, env=os.environ | env, stderr=subprocess.PIPE, text=True)
    for line in p.stderr:
        if "is handed over" in line:
            break
    p.kill()  # it may take a day; the machine need not stay on
    p.wait()
    r = base(*args, env=env)
    assert "kept 12" in r.stdout and "12 calls (12 sent now" in r.stdout and "handed over" not in r.stderr
    asked = server.log()
    assert len(asked) == 12 == len({a["key"] for a in asked}) and server.control()["statuses"] is not None
    assert {a["temperature"] for a in asked} == {0.0} and all(a["has_schema"] for a in asked)
    assert base(*args, env=env).stdout.count("(0 sent now, 12 from the store)") == 1


def test_what_a_batch_leaves_out_is_asked_directly(server):
    server.control(batch_seconds=0.5, batch_end="expired")
    m = model(server, "openai", mode="batch")
    got = asyncio.run(answers(m, map(question, range(8))))
    assert all(a.ok for a in got) and m.meter.row()["calls"] == 8
    asked = Counter(r["key"] for r in server.log())
    assert len(asked) == 8


def test_batch_is_for_those_who_take_it(base, server, tmp_path):
    r = base("generate", "db", "-o", tmp_path / "out.jsonl", env=env_of(server, tmp_path, MODE="batch"), ok=False)
    assert "llm.vllm.mode: only openai and anthropic take batches" in r.stderr


# Log probabilities, and what is sent


def test_log_probabilities_where_there_are_some(server):
    for provider in ("openai", "vllm"):
        a = asyncio.run(model(server, provider).ask(question(), logprobs=5))
        assert (
            a.ok and "".join(t["token"] for t in a.logprobs) == a.text and all(t["logprob"] <= 0 and len(t["top"]) == 5 for t in a.logprobs)
        )
    calls = Calls()
    first, again = (asyncio.run(model(server, calls=calls).ask(question(), prompt_logprobs=1)) for _ in range(2))
    assert first.prompt_logprobs[0] is None and first.prompt_logprobs[1]["logprob"] <= 0
    assert again.cached and again.prompt_logprobs == first.prompt_logprobs
    assert asyncio.run(model(server, "anthropic").ask(question(), logprobs=5)).logprobs is None, "not available there"


def test_scores_are_read_from_log_probabilities(base, server, tmp_path):
    pairs = [dict(question=f"What does part {i} do?", answer=f"It keeps block {i}.") for i in range(3)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(p) + "\n" for p in pairs))
    args = ["multi-score", tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl", "--scorer", "logprob"]
    base(*args, env=env_of(server, tmp_path))
    lost = tmp_path / "out_dropped.jsonl"
    scored = rows(tmp_path / "out.jsonl") + [d["record"] for d in (rows(lost) if lost.exists() else [])]
    assert len(scored) == 3 and all(s["value"] is not None for p in scored for s in p["scores"])
    assert server.control()["last"]["body"]["top_logprobs"] == 20 and server.control()["asked"] == 6, "one call a score, not eight"
    r = base(*args, env=env_of(server, tmp_path, "anthropic"), ok=False)
    assert "no_logprobs" in r.stderr and "--scorer sampled" in r.stderr


@pytest.mark.parametrize("provider, prefix", [("ollama", "ollama_chat"), ("anthropic", "anthropic"), ("gemini", "gemini")])
def test_what_is_sent_is_what_litellm_would_send(server, provider, prefix):
    m, ask = model(server, provider), question()
    asyncio.run(m.ask(ask))
    ours = server.control()["last"]["body"]
    from synthgen_nb.core.transport import _format, _litellm, schema_text

    async def theirs():
        await _litellm().acompletion(
            f"{prefix}/{m.block.model}", messages=list(ask.messages), temperature=0.0, max_tokens=4096, max_retries=0, api_base=m.block.base_url,
            api_key=m.block.api_key and m.block.api_key.get_secret_value(), response_format=_format(schema_text(ask.output)))  # fmt: skip

    with asyncio.Runner() as run:
        run.run(theirs())
    sent = server.control()["last"]["body"]
    for m in sent.get("messages", []):
        assert m.pop("images", []) == [], "litellm names the pictures of a message that has none"
    assert ours == sent


def test_extra_fields_reach_the_server_and_the_key(server):
    m = model(server, extra=dict(chat_template_kwargs=dict(enable_thinking=False)))
    plain = model(server)
    asyncio.run(m.ask(question()))
    assert server.control()["last"]["body"]["chat_template_kwargs"] == dict(enable_thinking=False)
    assert m._request(question(), 0, {}).key != plain._request(question(), 0, {}).key


def test_no_temperature_is_sent_where_none_is_set(server):
    m = model(server, "openai", model="gpt-5-mini").at("judge", None)
    assert asyncio.run(m.ask(question())).ok and "temperature" not in server.control()["last"]["body"]


def test_list_providers_checks(base, server, tmp_path):
    env = (
        env_of(server, tmp_path)
        | {"SYNTHGEN_LLM_OLLAMA_BASE_URL": server.url}
        | {"GEMINI_API_KEY": "", "OPENAI_API_KEY": "", "ANTHROPIC_API_KEY": ""}
    )
    said = base("list-providers", "--check", env=env).stdout
    assert "* vllm       ok      answered in" in said and "  ollama     ok " in said and "set OPENAI_API_KEY" in said
    server.control(fault="401")
    r = base("list-providers", "--check", env=env, ok=False)
    assert r.returncode == 1 and "* vllm       failed  vllm/mock at http" in r.stdout and "Is the API key right?" in r.stdout


# Servers of one's own


OWN = """
llm:
  provider: groq
  groq: {like: openai, base_url: URL/v1, model: llama-mock, api_key: "${GROQ_KEY}"}
  lab: {like: vllm, base_url: "http://127.0.0.1:1/v1", model: qwen-mock, patience: 2}
prices:
  groq/llama-mock: {input: 1.0, output: 2.0}
"""


@pytest.fixture
def two(server, tmp_path):
    "Two servers, the settings file that declares them, and an environment that moves the second to where it is"
    second = Server(tmp_path / "second.log", 0.0)
    file = tmp_path / "own.yaml"
    file.write_text(OWN.replace("URL", server.url))
    env = {"GROQ_KEY": "gsk-right", "SYNTHGEN_LLM_LAB_BASE_URL": f"{second.url}/v1", "SYNTHGEN_PATHS_CALLS": str(tmp_path / "own.db")}
    yield server, second, file, env
    second.stop()


def test_two_servers_of_ones_own_at_once(base, two, tmp_path):
    groq, lab, file, env = two
    args = ["generate", "db", "--n-pairs", "1", "--config", file]
    base(*args, "-o", tmp_path / "groq.jsonl", env=env)
    base(*args, "-o", tmp_path / "lab.jsonl", "--provider", "lab", env=env)
    assert {(a["auth"], a["path"]) for a in groq.log()} == {("Bearer gsk-right", "/v1/chat/completions")} and len(groq.log()) == 12
    assert not any(a["auth"] for a in lab.log()), "a key never goes to another server"
    assert len(lab.log()) == 12, "the environment says where it is"
    made = lambda name: {p["origin"][0]["model"] for p in rows(tmp_path / name)}
    assert (made("groq.jsonl"), made("lab.jsonl")) == ({"groq/llama-mock"}, {"lab/qwen-mock"})
    base(*args, "-o", tmp_path / "other.jsonl", "--model", "lab/meta/other", env=env)
    assert made("other.jsonl") == {"lab/meta/other"} and lab.control()["last"]["body"]["model"] == "meta/other"


def test_a_server_of_ones_own_has_a_price_a_budget_and_a_check(two, monkeypatch):
    _, lab, file, env = two
    for k, v in env.items():
        monkeypatch.setenv(k, v)
    s = load_settings(file, limits__max_budget=5)
    a = asyncio.run(open_model(s).ask(question()))
    assert a.ok and a.cost == pytest.approx(a.input_tokens * 1e-6 + a.output_tokens * 2e-6)
    with pytest.raises(SynthgenError, match=r"set prices\.lab/qwen-mock"):
        open_model(s, "lab")
    assert [asyncio.run(check(load_settings(file), name))[0] for name in ("groq", "lab")] == [True, True]
    listed = {r["provider"].strip("* "): r for r in provider_rows(s)}
    assert set(listed) == {*PROVIDERS, "groq", "lab"} and listed["groq"]["state"] == "configured"
    assert listed["lab"]["address"] == f"{lab.url}/v1" and [r for r in provider_rows(s) if r["provider"] == "* groq"]
    monkeypatch.delenv("GROQ_KEY")
    assert {r["provider"]: r["state"] for r in provider_rows(s)}["* groq"] == "set GROQ_KEY"


def test_a_server_of_ones_own_takes_batches_if_it_is_like_openai(server):
    server.control(batch_seconds=0.2)
    s = Settings(llm=dict(provider="groq", groq=dict(like="openai", base_url=f"{server.url}/v1", model="gpt-mock", api_key="sk-mock", mode="batch")))
    m = open_model(s)
    got = asyncio.run(answers(m, map(question, range(4))))
    assert all(a.ok for a in got) and m.name == "groq/gpt-mock" and len(server.log()) == 4


def test_embeddings_of_a_server_of_ones_own(tmp_path):
    import http.server
    import threading

    asked = []

    class Vectors(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((body["model"], len(body["input"]), self.headers["Authorization"]))
            data = [dict(object="embedding", index=i, embedding=[1.0, len(t)]) for i, t in enumerate(body["input"])]
            said = json.dumps(dict(object="list", data=data, model="m", usage=dict(prompt_tokens=1, total_tokens=1))).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Vectors)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    block = dict(like="openai", base_url=f"http://127.0.0.1:{server.server_port}/v1", api_key="gsk-right")
    s = Settings(llm=dict(groq=block), paths=dict(vectors=tmp_path / "vectors.db"))
    try:
        assert embed(["a", "bcd"], "groq/nomic", s).shape == (2, 2) and embed(["a", "bcd"], "groq/nomic", s).shape == (2, 2)
    finally:
        server.shutdown()
    assert asked == [("nomic", 2, "Bearer gsk-right")], "once"


@pytest.mark.parametrize(
    "text, words",
    [
        ("llm: {olama: {model: m}}", ["unknown provider 'llm.olama': did you mean 'ollama'?", "`like: openai`"]),
        ("llm: {zork: {model: m, base_url: u}}", ["unknown provider 'llm.zork'", "`like: openai`"]),
        ("llm: {groq: {like: opnai, model: m}}", ["llm.groq.like: no provider 'opnai': did you mean 'openai'?"]),
        ("llm: {groq: {like: offline}}", ["llm.groq.like: no provider 'offline'"]),
        ("llm: {groq: {lik: openai, model: m}}", ["unknown key 'llm.groq.lik': did you mean 'like'?"]),
        ("llm: {groq: {like: openai, base_ulr: u, api_key: sk-secret}}", ["unknown key 'llm.groq.base_ulr': did you mean 'base_url'?"]),
        ("llm: {groq: {like: openai, workers: many, api_key: sk-secret}}", ["llm.groq.workers", "got 'many'"]),
        ("llm: {vllm: {like: openai}}", ["llm.vllm.like: vllm is in the table"]),
        ("llm: {provider: grok, groq: {like: openai}}", ["llm.provider: no provider 'grok': did you mean 'groq'?"]),
        ("llm: {'a/b': {like: openai}}", ["'a/b' cannot be a name"]),
        ("llm: {groq: openai}", ["unknown key 'llm.groq'"]),
    ],
)
def test_what_is_wrong_with_a_block_is_said_by_its_name(tmp_path, text, words):
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(SynthgenError) as e:
        load_settings(tmp_path / "own.yaml", environ={})
    assert str(e.value).startswith(f"{tmp_path}/own.yaml: ") and all(w in str(e.value) for w in words), e.value
    assert "sk-secret" not in str(e.value)


def test_a_variable_counts_where_the_file_declares_the_server(tmp_path):
    env = {"SYNTHGEN_LLM_GROQ_BASE_URL": "http://there/v1"}
    with pytest.raises(SynthgenError, match="unknown environment variable SYNTHGEN_LLM_GROQ_BASE_URL"):
        load_settings(environ=env)
    (tmp_path / "synthgen.yaml").write_text("llm: {groq: {like: openai, model: m}}")
    s = load_settings(environ=env, llm__groq__workers=3)
    assert (s.llm.groq.base_url, s.llm.groq.workers, s.llm.groq.api_key) == ("http://there/v1", 3, None)
    with pytest.raises(SynthgenError, match=r"llm\.groq needs base_url"):
        load_settings(environ={}).provider("groq")


def test_every_function_of_the_table_is_there():
    paths = {v for row in PROVIDERS.values() for k, v in vars(row).items() if isinstance(v, str) and v.startswith("synthgen_nb.")}
    assert len(paths) > 12 and all(named(p) for p in paths)


def test_a_key_in_an_address_is_never_shown(tmp_path):
    url = "http://me:hush-hush@127.0.0.1:1/v1?key=hush-too"
    m = Model("vllm", Provider(model="m", base_url=url, patience=0.1), Calls(tmp_path / "c.db"))
    with pytest.raises(SynthgenError) as e:
        asyncio.run(m.ask(question()))
    assert "hush" not in str(e.value) + m.where + m.endpoint and "127.0.0.1:1" in str(e.value)
    assert shown_url("http://localhost:8000/v1") == "http://localhost:8000/v1"


# Where more is installed


CLAUDE = '''#!{python}
"""Speaks the protocol of the claude command: JSON lines on stdin and stdout"""
import json, sys
if "-v" in sys.argv or "--version" in sys.argv:
    print("2.1.300 (Claude Code)"); sys.exit()
say = lambda d: print(json.dumps(d), flush=True)
for line in sys.stdin:
    m = json.loads(line)
    if m["type"] == "control_request":
        say(dict(type="control_response", response=dict(subtype="success", request_id=m["request_id"], response=dict(commands=[]))))
    elif m["type"] == "user":
        open("{log}", "a").write(json.dumps(sys.argv) + "\\n")
        reply = dict(suitable=True, reason="r", pairs=[dict(question="What is read whole?", answer="A chunk is read whole.")])
        bad = "logged out" in "{mode}"
        say(dict(type="result", subtype="success", duration_ms=5, duration_api_ms=4, is_error=bad, num_turns=1, session_id="s", total_cost_usd=0.01,
                 usage=dict(input_tokens=10, output_tokens=5), result="Invalid API key · Please run /login" if bad else json.dumps(reply),
                 **({{}} if bad else dict(structured_output=reply))))
        sys.exit(0)
'''


@pytest.mark.skipif(
    not importlib.util.find_spec("claude_agent_sdk"), reason="the Claude Agent SDK is not installed: pip install 'synthgen_nb[claude]'"
)
@pytest.mark.parametrize("mode", ["logged in", "logged out"])
def test_claude_by_subscription(tmp_path, mode):
    cli = tmp_path / "claude"
    cli.write_text(CLAUDE.format(python=sys.executable, log=tmp_path / "argv", mode=mode))
    cli.chmod(0o755)
    m = Model("claude", Provider(model="sonnet", extra=dict(cli_path=str(cli)), patience=5), Calls(), 0.7)
    if mode == "logged out":
        with pytest.raises(SynthgenError, match="Run `claude` once and log in"):
            asyncio.run(m.ask(question()))
        return
    a = asyncio.run(m.ask(question()))
    assert a.ok and a.cost == 0.01 and a.input_tokens == 10 and m.temperature is None
    argv = json.loads((tmp_path / "argv").read_text().splitlines()[0])
    assert "sonnet" in argv and "--json-schema" in argv


def test_claude_without_its_sdk_says_what_to_install(base, tmp_path):
    if importlib.util.find_spec("claude_agent_sdk"):
        pytest.skip("the Claude Agent SDK is installed")
    r = base(
        "generate",
        "db",
        "-o",
        tmp_path / "out.jsonl",
        "--provider",
        "claude",
        env={"SYNTHGEN_PATHS_CALLS": str(tmp_path / "c.db")},
        ok=False,
    )
    assert "pip install 'synthgen_nb[claude]'" in r.stderr


PROXY = """
model_list:
  - {model_name: mock, litellm_params: {model: openai/mock, api_key: none, mock_response: "Hello."}}
  - {model_name: claude-mock, litellm_params: {model: anthropic/claude-sonnet-4-5, api_key: none, mock_response: "Hello."}}
  - {model_name: gemini-mock, litellm_params: {model: gemini/gemini-2.5-flash, api_key: none, mock_response: "Hello."}}
general_settings: {master_key: sk-right}
"""


@pytest.mark.skipif(not importlib.util.find_spec("fastapi_sso"), reason="litellm's proxy is not installed: pip install 'litellm[proxy]'")
def test_a_server_that_is_not_ours(tmp_path):
    import socket
    import urllib.request

    (tmp_path / "proxy.yaml").write_text(PROXY)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    env = os.environ | dict(LITELLM_LOCAL_MODEL_COST_MAP="True", LITELLM_TELEMETRY="False", LITELLM_LOG="ERROR", DISABLE_ADMIN_UI="True")
    program = os.path.join(os.path.dirname(sys.executable), "litellm")
    p = subprocess.Popen(
        [program, "--config", str(tmp_path / "proxy.yaml"), "--host", "127.0.0.1", "--port", str(port), "--telemetry", "False"], env=env
    )
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health/liveliness").read()
                break
            except OSError:
                time.sleep(0.25)
        hello = Ask(prompt="p", prompt_hash="", task="t", messages=(dict(role="user", content="Say hello."),))
        for provider, name, path in [
            ("openai", "mock", "/v1"),
            ("vllm", "mock", "/v1"),
            ("anthropic", "claude-mock", ""),
            ("gemini", "gemini-mock", "/v1beta"),
        ]:
            block = Provider(model=name, base_url=f"http://127.0.0.1:{port}{path}", api_key="sk-right")
            a = asyncio.run(Model(provider, block, Calls()).ask(hello))
            assert (a.value, a.error) == ("Hello.", "") and a.output_tokens > 0, (provider, a)
    finally:
        p.kill()
