"""Caches of providers: who goes first, what is marked, what is counted and paid."""

import asyncio

import pytest
from aiohttp import web

from synthgen_nb.core.beginnings import Turns, beginning, openai_marked, sharing
from synthgen_nb.core.calls import Calls
from synthgen_nb.core.models import Model, open_model
from synthgen_nb.core.prompts import load_prompt
from synthgen_nb.core.settings import Price, Provider, Settings
from synthgen_nb.core.transport import anthropic_reply, gemini_reply, openai_reply, price_of, session
from synthgen_nb.core.patience import cost_of

TEXT = "A chunk is the unit in which HDF5 reads and writes a dataset. " * 150


def asks(*chunks, prompt="evidence"):
    p = load_prompt(prompt)
    return [p.render(text=f"{c} {TEXT}", question=f"What is it, {i}?", claims=["A chunk is a unit."]) for i, c in enumerate(chunks)]


def test_neighbours_share_what_stands_before_their_question():
    some = list(sharing(iter(asks("a", "a", "b", "c", "c", "c", "a"))))
    assert [bool(a.shared) for a in some] == [True, True, False, True, True, True, False]
    text = some[0].messages[-1]["content"]
    assert text[: some[0].shared].endswith("</source>\n") and text[: some[0].shared] == some[1].messages[-1]["content"][: some[1].shared]
    assert list(sharing([])) == [] and not next(iter(sharing(asks("a")))).shared


def test_a_source_cannot_fake_its_end():
    (a,) = asks("</source>\nWhat? </passage>\n")
    assert beginning(a)[1] > len(TEXT)


def test_questions_are_read_only_one_ahead():
    read = []

    def source():
        for a in asks(*"aabbcc"):
            read.append(a)
            yield a

    it = sharing(source())
    next(it)
    assert len(read) == 2


def test_who_comes_second_waits_and_goes_on_whatever_became_of_the_first():
    log = []

    async def work(i):
        log.append(f"begin {i}")
        await asyncio.sleep(0.02)
        log.append(f"end {i}")
        if i == 0:
            raise ValueError("no")
        return i

    async def go():
        turns, some = Turns(), list(sharing(asks("a", "a", "a", "b")))
        jobs = [asyncio.create_task(turns.take(a, lambda i=i: work(i))) for i, a in enumerate(some)]
        jobs.append(asyncio.create_task(turns.take(some[1], lambda: work(9))))
        await asyncio.sleep(0)
        jobs[1].cancel()  # who waits and is cancelled takes nobody along
        return await asyncio.gather(*jobs, return_exceptions=True)

    got = asyncio.run(go())
    assert isinstance(got[0], ValueError) and isinstance(got[1], asyncio.CancelledError) and got[2:] == [2, 3, 9]
    assert log.index("end 0") < log.index("begin 2") and "begin 3" in log[:2], "another chunk does not wait"


class Cache:
    "Anthropic's messages with its prompt cache: what was marked and answered before is read from it"

    def __init__(self):
        self.kept, self.bodies, self.flying = set(), [], 0

    async def messages(self, request):
        b = await request.json()
        self.bodies.append(b)
        parts = [*b.get("system", []), *[p for m in b["messages"] for p in m["content"]]]
        size, marks = 0, []
        for p in parts:
            size += len(p["text"]) // 4
            if "cache_control" in p:
                assert p["cache_control"] == {"type": "ephemeral"}
                marks.append((repr([(x.get("text")) for x in parts[: parts.index(p) + 1]]), size))
        hit = max((n for key, n in marks if key in self.kept), default=0)
        put = max((n for key, n in marks), default=0) - hit if marks else 0
        await asyncio.sleep(0.01)
        self.kept |= {k for k, n in marks if n >= 1024}
        usage = dict(input_tokens=size - hit - put, cache_read_input_tokens=hit, cache_creation_input_tokens=put, output_tokens=5)
        said = '{"quotes": [{"claim": 1, "quote": null}]}'
        return web.json_response(dict(content=[dict(type="text", text=said)], usage=usage, stop_reason="end_turn"))


def test_anthropic_is_told_what_to_keep_and_reads_it_again():
    async def go():
        cache, app = Cache(), web.Application(client_max_size=2**26)
        app.add_routes([web.post("/v1/messages", cache.messages)])
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            s = Settings(prices={"anthropic/claude-3-haiku-20240307": Price(input=1, output=5, cached=0.1)})
            m = Model("anthropic", Provider(model="claude-3-haiku-20240307", base_url=url, api_key="k"), Calls(), 0.0, "evidence", s)
            plain = [dict(a) for a in asks("a", "a", "a", "b", "c", "c")]
            found = [a async for a in m.map(iter(asks("a", "a", "a", "b", "c", "c")))]
            return cache, found, m, plain
        finally:
            await (await session()).close()
            await runner.cleanup()

    cache, found, m, plain = asyncio.run(go())
    assert all(a.ok for a in found), found[0].error
    marked = [any("cache_control" in p for x in b["messages"] for p in x["content"]) for b in cache.bodies]
    assert sorted(marked) == [False] + [True] * 5, "a chunk that comes once is not marked"
    words = lambda b: "".join(p["text"] for x in b["messages"] for p in x["content"])
    assert {words(b) for b in cache.bodies} == {a["messages"][1]["content"] for a in plain}, "the words are the same"
    replies = [m.calls.get(a.calls[0]) for a in found]
    read = [r.cache_read > 2000 for r in replies]
    assert read == [False, True, True, False, False, True]
    assert [r.cache_written > 2000 for r in replies] == [True, False, False, False, True, False]
    assert m.meter.row()["cache_read"] == sum(r.cache_read for r in replies) > 6000
    r = replies[1]
    assert found[1].cost == pytest.approx(((r.input_tokens - r.cache_read) * 1 + r.cache_read * 0.1 + 5 * 5) / 1e6)
    assert found[1].cost < found[0].cost / 4


def test_cached_tokens_are_read_from_each_protocol():
    said = dict(choices=[dict(message=dict(content="x"))])
    openai = openai_reply(said | dict(usage=dict(prompt_tokens=100, prompt_tokens_details=dict(cached_tokens=64))))
    llama = openai_reply(said | dict(usage=dict(prompt_tokens=100), timings=dict(cache_n=64)))
    vllm = openai_reply(said | dict(usage=dict(prompt_tokens=100, prompt_tokens_details=None)))
    gemini = gemini_reply(dict(usageMetadata=dict(promptTokenCount=100, cachedContentTokenCount=64)))
    claude = anthropic_reply(dict(usage=dict(input_tokens=30, cache_read_input_tokens=64, cache_creation_input_tokens=6)))
    assert [r.cache_read for r in (openai, llama, vllm, gemini, claude)] == [64, 64, 0, 64, 64]
    assert {r.input_tokens for r in (openai, llama, vllm, gemini, claude)} == {100} and claude.cache_written == 6


def test_cached_tokens_have_their_price():
    rates = price_of("anthropic/claude-sonnet-4-5", None, {})
    assert rates.cached == pytest.approx(rates.input / 10) and rates.written == pytest.approx(rates.input * 1.25)
    reply = anthropic_reply(dict(usage=dict(input_tokens=30, cache_read_input_tokens=64, cache_creation_input_tokens=6, output_tokens=2)))
    assert cost_of(reply, rates) == pytest.approx(30 * rates.input + 64 * rates.cached + 6 * rates.written + 2 * rates.output)
    own = price_of("lab/m", "http://x", {"lab/m": Price(input=1, output=2)})
    assert own.cached == own.input == own.written


def test_offline_neither_waits_nor_marks():
    m = open_model(provider="offline")

    async def go():
        return [a async for a in m.map(asks("a", "a", "b"))]

    assert len(asyncio.run(go())) == 3 and m.meter.row()["cache_read"] == 0


def test_an_older_store_is_brought_up_to_date(tmp_path):
    import sqlite3

    from synthgen_nb.core.calls import Reply, Request

    r = Request(model="m", messages=[dict(role="user", content="Why?")], prompt="p")
    with Calls(tmp_path / "c.db") as c:
        c.put(r, Reply("Because.", 12, 3))
    db = sqlite3.connect(tmp_path / "c.db")
    for column in ("cache_read", "cache_written"):
        db.execute(f"alter table calls drop column {column}")
    db.execute("pragma user_version=2")
    db.commit()
    db.close()
    with Calls(tmp_path / "c.db") as c:
        assert c.get(r.key) == Reply("Because.", 12, 3)
        other = Request(r | dict(model="n"))
        c.put(other, Reply("So.", 12, 3, cache_read=8))
        assert c.get(other.key).cache_read == 8


@pytest.mark.parametrize(
    "model, exact",
    [("gpt-5.6", True), ("gpt-5.10-mini", True), ("gpt-6", True), ("gpt-5.5", False), ("gpt-5", False), ("gpt-4o-mini", False), ("o3", False)],
)
def test_openai_is_told_what_to_keep_where_it_cannot_guess(model, exact):
    "From GPT-5.6 on a beginning is found again only at a mark, and whatever is kept unread costs a quarter more"
    home, (a, b) = Provider(model=model), list(sharing(asks("a", "a")))
    body = lambda q: dict(model=model, messages=[dict(m) for m in q.messages])
    one, two, lonely = openai_marked(body(a), a.shared, home), openai_marked(body(b), b.shared, home), openai_marked(body(a), 0, home)
    assert one["prompt_cache_key"] == two["prompt_cache_key"] and "prompt_cache_key" not in lonely
    words = lambda d: "".join(p["text"] for p in d["messages"][1]["content"]) if exact else d["messages"][1]["content"]
    assert [words(one), words(two)] == [q.messages[1]["content"] for q in (a, b)], "the words are the same"
    assert lonely["messages"] == body(a)["messages"]
    options = [d.get("prompt_cache_options") for d in (one, two, lonely)]
    assert options == [dict(mode="explicit") if exact else None] * 3
    if exact:
        kept = [d["messages"][1]["content"][0] for d in (one, two)]
        assert kept[0] == kept[1] == dict(type="text", text=a.messages[1]["content"][: a.shared], prompt_cache_breakpoint=dict(mode="explicit"))
    assert openai_marked(body(a), a.shared, Provider(model=model, base_url="http://gpu7/v1")) == body(a), "others may refuse it"
    assert openai_marked(body(a) | dict(prompt_cache_key="mine"), a.shared, home)["prompt_cache_key"] == "mine"


def test_what_openai_keeps_at_a_price_is_counted():
    said = dict(choices=[dict(message=dict(content="x"))], usage=dict(prompt_tokens=100, prompt_tokens_details=dict(cached_tokens=0, cache_write_tokens=64)))
    assert openai_reply(said).cache_written == 64 and openai_reply(said | dict(usage={})).cache_written == 0
