"""What a model holds is known before anything is sent: each kind of server on loopback, and what is reported."""

import asyncio

import pytest
from aiohttp import web

from synthgen_nb.core.calls import Calls
from synthgen_nb.core.models import Model
from synthgen_nb.core.prompts import Ask
from synthgen_nb.core.records import Chunk
from synthgen_nb.core.settings import Provider
from synthgen_nb.core.transport import session
from synthgen_nb.core.window import bounds
from synthgen_nb.qa import grounded

MODELS = "/v1/models"
OWN = {  # what each says of itself, and where
    "vllm": ("vllm", "/v1", {MODELS: dict(data=[dict(id="m", max_model_len=2000)])}),
    "llama.cpp": (
        "vllm",
        "/v1",
        {
            MODELS: dict(data=[dict(id="file.gguf", owned_by="llamacpp", meta=dict(n_ctx_train=32768))]),
            "/props": dict(default_generation_settings=dict(n_ctx=2000)),
        },
    ),
    "llama.cpp, trained": ("openai", "/v1", {MODELS: dict(data=[dict(id="m", owned_by="llamacpp", meta=dict(n_ctx_train=2000))])}),
    "a gateway": ("openai", "/v1", {MODELS: dict(data=[dict(id="other"), dict(id="m", context_length=2000)])}),
    "ollama": ("ollama", "", {"/api/show": dict(model_info={"general.architecture": "q", "q.context_length": 2000})}),
    "ollama, num_ctx": ("ollama", "", {"/api/show": dict(model_info={"q.context_length": 99999}, parameters="num_ctx   2000\nstop x")}),
    "gemini": ("gemini", "/v1beta", {"/v1beta/models/m": dict(name="models/m", inputTokenLimit=2000)}),
    "anthropic": ("anthropic", "", {"/v1/models/m": dict(id="m", max_input_tokens=2000)}),
}
SAID = dict(
    choices=[dict(message=dict(content="Yes."), finish_reason="stop")],
    message=dict(content="Yes."),
    content=[dict(type="text", text="Yes.")],
    candidates=[dict(content=dict(parts=[dict(text="Yes.")]))],
)


def ask(n, **more):
    return Ask(prompt="qa_text", prompt_hash="", task="t", messages=(dict(role="user", content="word " * n),), inputs=more)


def serve(replies, work, count=None):
    "What `work(url)` came to, and the paths that were asked"

    async def go():
        asked = []

        async def answer(request):
            asked.append(request.path)
            if request.path == "/tokenize" and count:
                return web.json_response(count(await request.json()))
            if request.path in replies:
                return web.json_response(replies[request.path])
            posted = request.method == "POST" and request.path not in ("/tokenize", "/api/show")
            return web.json_response(SAID if posted else {}, status=200 if posted else 404)

        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            return await work(f"http://127.0.0.1:{runner.addresses[0][1]}"), asked
        finally:
            await (await session()).close()
            await runner.cleanup()

    return asyncio.run(go())


@pytest.mark.parametrize("kind", OWN)
def test_a_request_that_cannot_fit_is_not_sent_and_says_how_large_it_is(kind):
    name, path, replies = OWN[kind]

    async def work(url):
        m = Model(name, Provider(model="m", base_url=url + path, max_tokens=100, api_key="k"), Calls())
        return await m.ask(ask(100)), await m.ask(ask(9000, source="docs/big.md"))

    (fits, no), asked = serve(replies, work)
    assert fits.value == "Yes."
    assert no.error.startswith("refused: too_long: not sent") and not no.ok
    for part in ("qa_text", "docs/big.md", "45,000 characters", "2,000", f"{name}/m", "chunk"):
        assert part in no.error, (part, no.error)
    posts = [p for p in asked if p not in replies and p not in ("/tokenize", "/props")]
    assert len(posts) == 1 and len([p for p in asked if p in replies]) == len(replies), asked


def test_a_server_that_says_nothing_is_asked_once_and_then_as_before():
    async def work(url):
        m = Model("openai", Provider(model="m", base_url=f"{url}/v1"), Calls())
        return [a async for a in m.map(ask(n) for n in (9000, 10, 20))]

    answers, asked = serve({}, work)
    assert [a.value for a in answers] == ["Yes."] * 3 and asked.count(MODELS) == 1


def test_many_at_once_wait_for_the_same_question_about_the_context():
    async def work(url):
        m = Model("vllm", Provider(model="m", base_url=f"{url}/v1", max_tokens=100), Calls())
        return [a async for a in m.map(ask(10 + n) for n in range(40))]

    answers, asked = serve(OWN["vllm"][2], work)
    assert all(a.ok for a in answers) and asked.count(MODELS) == 1


def words(b):
    return len(b["content"].split())


@pytest.mark.parametrize("said", [lambda b: dict(count=words(b), max_model_len=2000), lambda b: dict(tokens=list(range(words(b))))])
def test_the_servers_own_tokenizer_decides_where_it_is_near(said):
    async def work(url):
        m = Model("vllm", Provider(model="m", base_url=f"{url}/v1", max_tokens=100), Calls())
        return await m.ask(ask(1890)), await m.ask(ask(1950)), await m.ask(ask(100))

    (fits, no, small), asked = serve(OWN["vllm"][2], work, said)
    assert fits.ok and small.ok and "1,950 tokens" in no.error and "or more" not in no.error
    assert asked.count("/tokenize") == 2, "a short one needs no counting"


def test_the_reply_counts_where_the_server_keeps_room_for_it():
    async def work(url):
        block = dict(model="m", base_url=f"{url}/v1")
        ms = [Model("vllm", Provider(max_tokens=n, **block), Calls()) for n in (1900, 100)]
        return [await m.ask(ask(500)) for m in ms]

    (whole, little), _ = serve(OWN["vllm"][2], work)
    assert "with up to 1,900 of the reply" in whole.error and little.ok


def test_a_chunk_that_does_not_fit_is_dropped_with_its_reason():
    async def work(url):
        m = Model("vllm", Provider(model="m", base_url=f"{url}/v1", max_tokens=100), Calls())
        chunks = [Chunk(text="word " * 90_000, kind="text", sources=[dict(path="docs/log.md", start=0, end=1)])]
        return await grounded.generate(chunks, m, 1), chunks

    (out, chunks), asked = serve(OWN["vllm"][2], work)
    assert [d.id for d in out.dropped] == [chunks[0].id] and not out.kept
    said = out.dropped[0].reason + out.dropped[0].detail
    assert "too_long" in said and "2,000" in said and "log.md" in said, said
    assert [p for p in asked if p.endswith("completions")] == []


def test_bounds_hold_for_what_servers_counted():
    code, prose, chinese = ("def f(x):\n    return x\n", 800), ("A dataset is created chunked. ", 700), ("数据集是分块创建的。", 800)
    for text, n in [(t * 100, n) for t, n in (code, prose, chinese)]:
        low, high = bounds(text)
        assert low <= n <= high, (text[:20], low, high)
    assert bounds(" " * 100_000)[0] < 10 and bounds("-" * 100_000)[0] < 10 and bounds("")[0] == 0
