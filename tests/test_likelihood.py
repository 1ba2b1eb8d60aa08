"""How likely a model finds a given text, by each kind of server; replies of one token; a context that is full."""

import asyncio
import importlib.util
import math
import os
import re

import pytest
from aiohttp import web

from synthgen_nb.core.calls import Calls
from synthgen_nb.core.likelihood import Unscored, aligned, logprob_of, prompt_tokens
from synthgen_nb.core.models import Model, open_model
from synthgen_nb.core.prompts import Ask, Prompt, load_prompt
from synthgen_nb.core.records import SynthgenError
from synthgen_nb.core.settings import Provider
from synthgen_nb.core.transport import session, trouble_of
from synthgen_nb.qa.deita import by_logprobs, by_samples, ranked
from synthgen_nb.tools.toolformer import ToolCall, weighed

TEXT = "we add 20 and 31 and the sum is 51 ."


def pieces(text: str) -> list[str]:
    "A tokenizer: words with the space before them, digits one by one"
    return re.findall(r" ?[^\W\d]+| ?\d| ?[^\w\s]| ", text)


def odds(before: str, token: str) -> float:
    return -1 - len(before) / 100 - len(token) / 10


def of(text: str, start: int) -> list[float]:
    "What a right answer is"
    out, at = [], 0
    for t in pieces(text):
        if at and at + len(t) > start:
            out.append(odds(text[:at], t))
        at += len(t)
    return out


class Fake:
    "A server on loopback: `kind` says which protocol it speaks"

    def __init__(self, kind: str):
        self.kind, self.bodies, self.ids = kind, [], {}

    async def completions(self, request):
        b = await request.json()
        self.bodies.append(b)
        if self.kind == "refuses":
            return web.json_response(dict(error=dict(message="echo is not supported with logprobs")), status=400)
        prompt = b["prompt"] if isinstance(b["prompt"], str) else "".join({v: k for k, v in self.ids.items()}[i] for i in b["prompt"])
        usage = dict(prompt_tokens=len(pieces(prompt)), completion_tokens=1)
        choice = dict(index=0, text=" x", finish_reason="length", logprobs=None)
        told, at = [], 0
        for t in pieces(prompt):
            told.append((t, odds(prompt[:at], t) if at else None))
            at += len(t)
        if self.kind == "echo" and b.get("echo"):
            one = [*told, (" x", -0.5)]
            choice |= dict(text=prompt + " x", logprobs=dict(tokens=[t for t, _ in one], token_logprobs=[p for _, p in one]))
        if self.kind == "vllm" and b.get("prompt_logprobs"):
            own = lambda t, p: {"7": dict(logprob=p, rank=3, decoded_token=t), "1": dict(logprob=-0.1, rank=1, decoded_token=" likely")}
            choice |= dict(prompt_logprobs=[p and own(t, p) for t, p in told])
        if self.kind in ("llama", "candidates") and isinstance(b["prompt"], list):
            forced = int(next(iter(b["logit_bias"]))) if self.kind == "llama" else None
            names = {v: k for k, v in self.ids.items()}
            top = [dict(id=i, token=t, logprob=odds(prompt, t)) for t, i in self.ids.items()]
            here = next((x for x in top if x["id"] == forced), dict(id=9999, token=" zzz", logprob=-0.1))
            assert names
            choice |= dict(logprobs=dict(content=[here | dict(top_logprobs=top if self.kind == "candidates" else top[:1])]))
        return web.json_response(dict(choices=[choice], usage=usage))

    async def tokenize(self, request):
        text = (await request.json())["content"]
        return web.json_response(dict(tokens=[dict(id=self.ids.setdefault(t, len(self.ids)), piece=t) for t in pieces(text)]))

    async def chat(self, request):
        b = await request.json()
        self.bodies.append(b)
        most = b.get("max_tokens") or b["max_completion_tokens"]
        if self.kind == "thinks" and most < 100:
            return self.said("", "length", most, [])
        if self.kind == "full":
            return self.said("It is", "length", 292, [], 7900)
        if self.kind == "cut":
            return self.said("It is", "length", most, [])
        lp = [dict(token=t, logprob=p, bytes=None) for t, p in (("4", math.log(0.7)), ("5", math.log(0.3)))]
        return self.said("4", "length" if most == 1 else "stop", 1, [lp[0] | dict(top_logprobs=lp)] if b.get("logprobs") else [])

    def said(self, text, finish, wrote, lp, asked=44):
        choice = dict(message=dict(content=text), finish_reason=finish, logprobs=dict(content=lp) if lp else None)
        return web.json_response(dict(choices=[choice], usage=dict(prompt_tokens=asked, completion_tokens=wrote)))


def with_server(kind: str, work, provider="vllm", **block):
    "The outcome of `work(model)` with a server of this kind, and what it was sent"

    async def go():
        fake, app = Fake(kind), web.Application()
        routes = [web.post("/v1/completions", fake.completions), web.post("/v1/chat/completions", fake.chat)]
        app.add_routes(routes + ([web.post("/tokenize", fake.tokenize)] if kind in ("llama", "candidates") else []))
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        try:
            return await work(Model(provider, Provider(model="m", base_url=url, patience=2, **block), Calls(), 0.0)), fake.bodies
        finally:
            await (await session()).close()
            await runner.cleanup()

    return asyncio.run(go())


@pytest.mark.parametrize("kind, asked", [("echo", 1), ("vllm", 1), ("llama", 1 + 4), ("candidates", 1 + 4)])
def test_a_given_text_is_weighed_by_each_kind_of_server(kind, asked):
    start = TEXT.index(" 51")

    async def twice(m):
        return await m.score(TEXT, start), await m.score(TEXT, start), m.meter.row()

    (first, again, counted), bodies = with_server(kind, twice)
    if kind in ("llama", "candidates"):
        asked = 1 + len(of(TEXT, start))  # the first is ignored there
    assert first.ok and first.value == pytest.approx(of(TEXT, start)) and [t["token"] for t in first.logprobs] == pieces(TEXT[start:])
    assert next(t["at"] for t in first.logprobs) == start and len(bodies) == asked
    assert again.cached and again.value == first.value and again.calls == first.calls, "from the store"
    assert counted["calls"] == 1 == counted["paid"] and first.output_tokens == asked - (asked > 1)


def test_the_whole_text_has_all_tokens_but_the_first():
    a, _ = with_server("echo", lambda m: m.score(TEXT))
    assert a.value == pytest.approx(of(TEXT, 0)) and len(a.value) == len(pieces(TEXT)) - 1


def test_a_server_that_has_none_is_told_from_one_that_ignores_it():
    refuses, _ = with_server("refuses", lambda m: m.score(TEXT, 5))
    ignores, _ = with_server("ignores", lambda m: m.score(TEXT, 5))
    assert refuses.error.startswith("no_logprobs: the server says") and "echo is not supported" in refuses.error
    assert ignores.error.startswith("ignored: vllm/m at http") and "transformers" in ignores.error


def test_scores_of_other_texts_and_starts_are_other_calls():
    async def go(m):
        return [(await m.score(t, s)).calls for t, s in ((TEXT, 5), (TEXT, 6), (TEXT + "!", 5), (TEXT, 5))]

    keys, _ = with_server("echo", go)
    assert len({*keys}) == 3 and keys[0] == keys[3]


def test_what_cannot_be_scored_says_why():
    a = asyncio.run(Model("claude", Provider(model="sonnet"), Calls()).score(TEXT, 3))
    assert a.error.startswith("no_logprobs: claude gives none of a given text") and "vllm" in a.error
    offline = open_model(provider="offline")
    for text, start in (("", 0), (TEXT, len(TEXT)), (TEXT, -1)):
        with pytest.raises(SynthgenError, match="nothing to score"):
            asyncio.run(offline.score(text, start))
    a, _ = with_server("echo", lambda m: m.score("we"))
    assert a.error.startswith("no_context")


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is installed here")
def test_a_local_model_without_torch_is_a_clear_error():
    m = Model("transformers", Provider(model="some/folder"), Calls())
    with pytest.raises(SynthgenError, match="pip install torch transformers"):
        asyncio.run(m.score(TEXT, 5))
    with pytest.raises(SynthgenError, match="answers no questions"):
        asyncio.run(m.ask(load_prompt("score_complexity").render(question="Why?")))


def test_a_long_text_that_the_context_does_not_hold_is_refused_with_its_reason():
    for status, what in CONTEXTS:
        t = trouble_of(status, f'{{"error": {{"message": "{what}"}}}}')
        assert (t.kind, t.what[:10]) == ("question", "too_long: "), what


CONTEXTS = [
    (400, "This model's maximum context length is 8192 tokens. However, you requested 9216 tokens (5120 in the messages, 4096 in the completion)."),
    (400, "Your input exceeds the context window of this model. Please adjust your input and try again."),
    (400, "'max_tokens' or 'max_completion_tokens' is too large: 4096. This model's maximum context length is 2048 tokens"),
    (400, "The decoder prompt (length 9000) is longer than the maximum model length of 8192."),
    (400, "request (9001 tokens) exceeds the available context size (8192 tokens), try increasing it"),
    (500, "Context size has been exceeded."),
    (400, "the input length exceeds the context length"),
    (400, "litellm.ContextWindowExceededError: litellm.BadRequestError"),
    (422, "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 3000 `inputs` tokens and 2000 `max_new_tokens`"),
    (400, "prompt is too long: 208310 tokens > 200000 maximum"),
    (400, "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000"),
    (400, "The input token count (1200045) exceeds the maximum number of tokens allowed (1048576)."),
    (400, "This model's maximum prompt length is 131072 but the request contains 537812 tokens."),
]


def test_other_errors_are_no_full_context():
    for status, what, kind in (
        (500, "The server had an error", "down"),
        (400, "top_p must be below 1", "stop"),
        (400, "max_tokens is too large: 20000. This model supports at most 16384 completion tokens", "stop"),
        (400, "response_format is not supported", "schema"),
    ):
        assert trouble_of(status, what).kind == kind, what


def test_tokens_are_found_where_they_stand():
    assert aligned("the sum", ["<s>", "the", "sum"]) == [(0, 1), (0, 3), (3, 7)], "a lost space is no matter"
    assert aligned("a 🧬 b", ["a", " \ufffd", "\ufffd", " b"])[-1] == (3, 5)
    assert aligned("🧬" * 9 + " abc", ["\ufffd"] * 27 + [" abc"])[-1] == (9, 13)
    with pytest.raises(Unscored, match="unaligned"):
        aligned("the sum of all of them", ["quite", " another", " text"])


def test_a_token_is_read_in_each_form():
    legacy = dict(tokens=[" 5"], token_logprobs=[-1.5], top_logprobs=[{" 5": -1.5, " 6": -2.5}])
    assert logprob_of(dict(choices=[dict(logprobs=legacy)]), 3, " 6") == -2.5
    native = dict(completion_probabilities=[dict(id=8, token=" 5", logprob=-1.5, top_logprobs=[])])
    assert logprob_of(native, 8, " 5") == -1.5 and logprob_of(dict(choices=[dict(logprobs=None)]), 8, " 5") is None
    with pytest.raises(Unscored, match="too_unlikely"):
        logprob_of(native, 9, " 7")
    assert prompt_tokens(dict(choices=[dict(logprobs=dict(tokens=[" x"], token_logprobs=[-1.0]))]), "we") is None


def test_toolformer_weighs_calls_by_a_server():
    call = ToolCall(TEXT.index(" 51"), "Calculator", "20 + 31", "51")
    for kind in ("vllm", "llama"):
        (got,), _bodies = with_server(kind, lambda m: weighed(m, TEXT, [call]))
        def loss(z):
            text, start = (z + " " if z else "") + TEXT, len(z + " " if z else "") + TEXT.index(" 51")
            return -sum(w * p for w, p in zip((5 / 15, 4 / 15, 3 / 15, 2 / 15, 1 / 15), of(text, start), strict=False))
        asked, told = "[Calculator(20 + 31)]", "[Calculator(20 + 31) -> 51]"
        assert got.gain == pytest.approx(min(loss(""), loss(asked)) - loss(told)), kind


# Replies of a few tokens


def ask(**more) -> Ask:
    return load_prompt("score_complexity").render(question="Why?").model_copy(update=more)


def test_a_prompt_without_a_limit_is_the_call_it_was():
    p, m = load_prompt("qa_text"), Model("vllm", Provider(model="m", max_tokens=500), Calls())
    assert p.max_tokens is None
    d = p.model_dump()
    short = Prompt(**d | dict(max_tokens=8))
    plain = Prompt(**{k: v for k, v in d.items() if k != "max_tokens"})
    assert plain.hash == p.hash != short.hash
    given = dict(text="A chunk is read whole.", section="", source="a.md", n=1, avoid=[], in_language="")
    asked = [m._request(q.render(**given), 0, {}) for q in (p, short)]
    assert [r["max_tokens"] for r in asked] == [500, 8] and asked[0].key != asked[1].key
    small = Model("vllm", Provider(model="m", max_tokens=4), Calls())
    assert small._request(short.render(**given), 0, {})["max_tokens"] == 4, "the smaller of both"
    assert "max_tokens" not in asked[0]["messages"][0] and set(asked[0]) == {*asked[1]}


@pytest.mark.parametrize("wrong", [0, -1, "many"])
def test_a_limit_that_is_none_is_refused(tmp_path, wrong):
    from synthgen_nb.core.declared import assets

    text = (assets("prompts") / "score_complexity.yaml").read_text()
    (tmp_path / "score_complexity.yaml").write_text(re.sub(r"max_tokens: 8", f"max_tokens: {wrong}", text))
    with pytest.raises(SynthgenError, match="max_tokens"):
        load_prompt("score_complexity", tmp_path)


def test_a_score_costs_one_token_and_is_not_thrown_away():
    (r,), bodies = with_server("scores", lambda m: by_logprobs([ask()], m))
    assert r.value == pytest.approx(4.3) and not r.why
    assert [b["max_tokens"] for b in bodies] == [1] and bodies[0]["top_logprobs"] == 20
    (r,), bodies = with_server("scores", lambda m: by_logprobs([ask()], m), max_tokens=1)
    assert r.value == pytest.approx(4.3), "also where the provider allows no more"
    (r,), bodies = with_server("scores", lambda m: by_samples([ask()], m, 2))
    assert r.value == 4 and {b["max_tokens"] for b in bodies} == {8}


def test_a_model_that_thinks_first_gets_all_its_tokens():
    a, bodies = with_server("thinks", lambda m: m.ask(ask()))
    assert a.value == "4" and [b["max_tokens"] for b in bodies] == [8, 4096] and len(a.calls) == 2
    assert bodies[0]["messages"] == bodies[1]["messages"], "the question is the same"


def test_a_text_that_is_cut_stays_truncated_with_log_probabilities():
    plain = Ask(prompt="p", prompt_hash="", task="t", messages=(dict(role="user", content="Why?"),))
    a, _ = with_server("scores", lambda m: m.ask(plain, logprobs=5), max_tokens=1)
    assert a.error.startswith("truncated: it reached 1 tokens; raise llm.vllm.max_tokens")


@pytest.mark.parametrize(
    "kind, says",
    [("full", "the server's context was full (7900 tokens read and 292 of at most 4096 written)"), ("cut", "raise llm.vllm.max_tokens")],
)
def test_a_full_context_is_told_from_too_few_tokens(kind, says):
    plain = Ask(prompt="p", prompt_hash="", task="t", messages=(dict(role="user", content="Why?"),))
    a, _ = with_server(kind, lambda m: m.ask(plain))
    assert a.error.startswith("truncated: ") and says in a.error
    assert ("max_tokens" in a.error) == (kind == "cut") and ("--chunk-tokens" in a.error) == (kind == "full")
    if kind == "cut":
        a, _ = with_server(kind, lambda m: m.ask(ask()))
        assert "raise max_tokens of the prompt score_complexity" in a.error


def test_a_ranking_ends_with_its_last_variant():
    async def go(m):
        return await ranked([["a", "b", "c"]], m)

    _, bodies = with_server("scores", go)
    rows = bodies[0]["response_format"]["json_schema"]["schema"]["properties"]["scores"]
    assert rows["maxItems"] == 3 and bodies[0]["max_tokens"] == 400


LM = os.environ.get("LOCAL_LM", "")  # a folder or a GGUF file that transformers opens


@pytest.mark.skipif(importlib.util.find_spec("torch") is None or not LM, reason="needs torch and a model: set LOCAL_LM to its folder or GGUF file")
def test_a_real_model_gives_what_it_gives_without_us():
    import torch

    from synthgen_nb.core.likelihood import local_model

    m = Model("transformers", Provider(model=LM), Calls())

    async def at_once():
        return await asyncio.gather(*[m.score(TEXT, n) for n in (3, 10, 20)])

    assert all(a.ok for a in asyncio.run(at_once())) and local_model.cache_info().misses == 1, "it is opened once"
    _, tokenizer, lm = local_model(LM)
    for text in (TEXT, "A naïve café, 日本語 and 😀: 12.5 MB\n\n    x = f(1)\n"):
        a = asyncio.run(m.score(text))
        ids = tokenizer(text, return_tensors="pt").input_ids
        with torch.no_grad():
            loss = lm(ids, labels=ids).loss.item()
        assert a.ok and -sum(a.value) == pytest.approx(loss * (ids.shape[1] - 1), rel=1e-3)
        assert all(text[t["at"] :].lstrip().startswith(t["token"].strip()) for t in a.logprobs if "\ufffd" not in t["token"])
    right, wrong = (asyncio.run(m.score(f"1 , 2 , 3 , 4 , {n}", 16)).value for n in (5, 9))
    assert sum(right) > sum(wrong)
