"""A redirect leads nowhere else, and a key is never shown: every provider against two servers on loopback."""

import asyncio
import json
import re

import pytest
from aiohttp import web

from synthgen_nb.core.batches import interface
from synthgen_nb.core.calls import Calls, rows
from synthgen_nb.core.embed import embed
from synthgen_nb.core.likelihood import likelihood
from synthgen_nb.core.models import Model, check, request_of
from synthgen_nb.core.prompts import Ask
from synthgen_nb.core.providers import PROVIDERS, shown_url
from synthgen_nb.core.records import SynthgenError
from synthgen_nb.core.settings import Provider, Settings, load_settings, provider_rows, scrub
from synthgen_nb.core.transport import Trouble, http, session

DOCUMENT, KEY = "The reactor of unit 4 was built in 1974.", "sk-of-the-user-1234"
HTTP = [n for n, s in PROVIDERS.items() if s.write]
STATUSES = (301, 302, 303, 307, 308)


def ask():
    messages = (dict(role="system", content="Be brief."), dict(role="user", content=DOCUMENT))
    return Ask(prompt="p", prompt_hash="", task="t", messages=messages, output=None)


class Two:
    "A provider's address, which answers as `answer` says, and somebody else's, which writes down all it gets"

    def __init__(self, answer):
        self.answer, self.got, self.first = answer, [], []

    async def __aenter__(self):
        self.runners = []
        for do in (self._other, self._first):
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", do)
            runner = web.AppRunner(app)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.runners.append(runner)
        self.other, self.url = (f"http://127.0.0.1:{r.addresses[0][1]}" for r in self.runners)
        return self

    async def __aexit__(self, *_):
        await (await session()).close()
        for r in self.runners:
            await r.cleanup()

    async def _other(self, request):
        self.got.append((request.path_qs, dict(request.headers), await request.text()))
        return web.json_response(dict(choices=[dict(message=dict(content="stolen"), finish_reason="stop")]))

    async def _first(self, request):
        self.first.append((request.method, request.path_qs, dict(request.headers), await request.text()))
        return self.answer(self, request)


def away(status, to="{other}/v1/collect"):
    return lambda two, request: web.Response(status=status, headers={"Location": to.format(other=two.other, url=two.url)})


def model(name, url, **more):
    return Model(name, Provider(model="m", base_url=url, api_key=KEY, patience=0.2, **more), Calls())


def alone(two, said):
    "Nothing went to the other server, and the message names it"
    assert two.got == [], two.got[:1]
    assert two.other in said and "redirect" in said and KEY not in said and "reactor" not in said, said


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("name", HTTP)
def test_a_redirect_to_another_origin_is_refused_and_named(name, status):
    async def go():
        async with Two(away(status)) as two:
            with pytest.raises(SynthgenError) as e:
                await model(name, f"{two.url}/v1").ask(ask())
            asked = [x for x in two.first if DOCUMENT in x[3]]
            assert len(asked) == 1 and KEY in str(asked[0][2]), "asked once, with the key, and not again"
            alone(two, str(e.value))
            assert str(status) in str(e.value) and name in str(e.value)

    asyncio.run(go())


@pytest.mark.parametrize("to", ["//{other_host}/v1", "https://{url_host}/v1", "http://localhost:{port}/v1", "file:///etc/passwd", "http://["])
def test_every_other_origin_is_another(to):
    async def go():
        def answer(two, request):
            where = to.format(other_host=two.other[7:], url_host=two.url[7:], port=two.url.rsplit(":")[-1])
            return web.Response(status=307, headers={"Location": where})

        async with Two(answer) as two:
            with pytest.raises(SynthgenError, match="redirects to"):
                await model("openai", f"{two.url}/v1").ask(ask())
            assert two.got == [] and len([x for x in two.first if x[0] == "POST"]) == 1

    asyncio.run(go())


def test_a_redirect_on_the_same_server_is_followed_with_all_it_needs():
    def answer(two, request):
        if request.path != "/v1/v2/chat":
            return web.Response(status=308, headers={"Location": "v2/chat" if request.path.count("/") == 2 else "/v1/v2/chat"})
        return web.json_response(dict(choices=[dict(message=dict(content="Yes."), finish_reason="stop")]))

    async def go():
        async with Two(answer) as two:
            a = await model("openai", f"{two.url.replace('//', '//')}/v1").ask(ask())
            assert a.value == "Yes." and not two.got
            method, path, headers, body = two.first[-1]
            assert (method, path) == ("POST", "/v1/v2/chat") and KEY in headers["Authorization"] and DOCUMENT in body

    asyncio.run(go())


def test_a_circle_ends():
    async def go():
        async with Two(lambda two, request: web.Response(status=307, headers={"Location": request.path})) as two:
            with pytest.raises(SynthgenError, match="circle"):
                await model("vllm", f"{two.url}/v1").ask(ask())
            assert len(two.first) < 20

    asyncio.run(go())


@pytest.mark.parametrize("name", [n for n in HTTP if PROVIDERS[n].embedding])
def test_embeddings_go_nowhere_else_either(name, tmp_path):
    async def go():
        async with Two(away(307)) as two:
            s = Settings(llm={name: dict(model="x", base_url=f"{two.url}/v1", api_key=KEY, patience=0.1)}, paths=dict(vectors=tmp_path / "v.db"))
            with pytest.raises(SynthgenError) as e:
                await asyncio.to_thread(embed, [DOCUMENT], f"{name}/m", s)
            alone(two, str(e.value))
            assert two.first[0][0] == "POST" and DOCUMENT in two.first[0][3]

    asyncio.run(go())


@pytest.mark.parametrize("name", [n for n in HTTP if PROVIDERS[n].batch])
def test_batches_go_nowhere_else_either(name):
    async def go():
        async with Two(away(308)) as two:
            m = model(name, f"{two.url}/v1")
            r = request_of(m, ask(), 0, {})
            way = interface(r, m.block)
            for work in (way.submit([way.line(r, m.block)], r, m.block), way.state("b1", r, m.block)):
                with pytest.raises(Trouble) as t:
                    await work
                alone(two, str(t.value))

    asyncio.run(go())


def test_scores_and_checks_go_nowhere_else_either():
    async def go():
        async with Two(away(302)) as two:
            m = model("vllm", f"{two.url}/v1")
            with pytest.raises(SynthgenError) as e:
                await likelihood(m.line, dict(model=m.name, text=DOCUMENT, start=4))
            alone(two, str(e.value))
            s = Settings(llm=dict(openai=dict(model="m", base_url=f"{two.url}/v1", api_key=KEY)))
            ok, said = await check(s, "openai")
            assert not ok
            alone(two, said)

    asyncio.run(go())


# Keys in addresses

ADDRESSES = {
    "userinfo": "http://me:hush-hush@{host}/v1",
    "query": "http://{host}/v1?token=hush-hush",
    "both": "http://me:hush-hush@{host}/v1/?token=hush-hush&region=hush-eu",
    "bare": "http://{host}/v1?hush-hush",
    "odd": "http://me:hush-hush%40hush@{host}/v1?a=1;key=hush-hush#hush-hush",
}


@pytest.mark.parametrize("kind", ADDRESSES)
@pytest.mark.parametrize("name", HTTP)
def test_a_key_in_an_address_is_sent_and_never_shown(name, kind, tmp_path, capsys):
    said = []

    def echo(two, request): # a server that says all it got
        said.append((request.path_qs, dict(request.headers)))
        what = f"cannot read {request.url} with {dict(request.headers)} {two.base}"
        return web.json_response(dict(error=dict(message=what)), status=404)

    async def go():
        async with Two(echo) as two:
            two.base = ADDRESSES[kind].format(host=two.url[7:])
            m = Model(name, Provider(model="m", base_url=two.base, patience=0.2), Calls(tmp_path / "c.db"))
            with pytest.raises(SynthgenError) as e:
                await m.ask(ask())
            s = Settings(llm={name: dict(model="m", base_url=two.base)})
            shown = [str(e.value), m.where, str(m.endpoint), repr(s), str(s), repr(m.block), json.dumps(provider_rows(s), default=str)]
            shown += [json.dumps(list(rows(m.calls)))]
            m.calls.close()
            return shown

    shown = " ".join(asyncio.run(go())) + "".join(capsys.readouterr())
    assert "hush" not in shown and "aHVz" not in shown, re.findall(r".{60}hush.{20}", shown)[:3]
    path, headers = said[-1]
    if kind != "bare" and "me:" not in ADDRESSES[kind]:
        assert "hush-hush" in path and re.match(r"/v1(beta)?[\w/.:-]*\?", path), path
    if "me:" in ADDRESSES[kind]:
        assert headers["Authorization"].startswith("Basic ")


def test_what_is_kept_of_a_run_holds_no_key(tmp_path):
    def answer(two, request):
        return web.json_response(dict(choices=[dict(message=dict(content="Yes."), finish_reason="stop")]))

    async def go():
        async with Two(answer) as two:
            url = f"http://me:hush-hush@{two.url[7:]}/v1?token=hush-hush"
            m = Model("vllm", Provider(model="m", base_url=url), Calls(tmp_path / "c.db"))
            assert (await m.ask(ask())).value == "Yes."
            m.calls.close()
            assert "token=hush-hush" in two.first[-1][1]

    asyncio.run(go())
    assert all(b"hush" not in f.read_bytes() for f in tmp_path.iterdir())


def test_an_address_with_a_user_and_a_key_is_an_error_in_words():
    with pytest.raises(SynthgenError, match="room for one of them") as e:
        asyncio.run(model("openai", "http://me:hush-hush@127.0.0.1:9/v1").ask(ask()))
    assert "hush" not in str(e.value)


@pytest.mark.parametrize(
    "text",
    [
        "llm:\n  vllm: {base_url: 'http://me:hush-hush@gpu/v1', api_key: hush-key\n",
        "llm:\n  vllm: 'http://me:hush-hush@gpu/v1'\n",
        "llm:\n  vllm:\n    workers: 'http://me:hush-hush@gpu/v1?key=hush-hush'\n",
        "llm:\n  vllm:\n    api_key: hush-key: more\n",
        "llm:\n  vllm:\n    base_url: {a: 'http://me:hush-hush@gpu/v1'}\n",
    ],
)
def test_a_wrong_settings_file_shows_no_key(text, tmp_path):
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(SynthgenError) as e:
        load_settings(tmp_path / "s.yaml", environ={})
    assert "hush" not in str(e.value), str(e.value)


def test_addresses_are_shown_without_what_may_be_a_key():
    for url, shown in (
        ("http://localhost:8000/v1", "http://localhost:8000/v1"),
        ("http://u:p@h/v1", "http://***@h/v1"),
        ("http://u:p@q@h/v1", "http://***@h/v1"),
        ("http://u:p/q@h/v1", "http://***@h/v1"),
        ("http://h/v1?k=a&b=c", "http://h/v1?k=***&b=***"),
        ("http://h/v1?abc", "http://h/v1?***"),
        ("h:1/v1#abc", "h:1/v1#***"),
        ("u:p@h/v1", "***@h/v1"),
        ("", ""),
    ):
        assert shown_url(url) == shown


def test_long_texts_are_scrubbed_in_time_that_grows_with_them():
    block = Provider(model="m", base_url="http://me:hush-hush@h/v1", api_key=KEY)
    for text in ("a" * 200_000, "http://" * 30_000, "http://a" + "?x=1" * 50_000, "@" * 100_000, "a" * 100_000 + "://"):
        assert "hush" not in scrub(text + " hush-hush", block)


def test_a_proxy_or_a_page_in_the_way_is_no_redirect():
    async def go():
        async with Two(lambda two, request: web.Response(status=304)) as two:
            raw, _ = await http("GET", two.url, {}, 2)
            assert raw == b""

    asyncio.run(go())
