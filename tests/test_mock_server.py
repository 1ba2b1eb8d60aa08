"""The model server that the tests run against says what the real ones say: checked with the clients that are at hand."""

import asyncio
import json
import os
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import Server

NAMES = dict(vllm="hosted_vllm", openai="openai", ollama="ollama_chat", anthropic="anthropic", gemini="gemini")
SCHEMA = dict(
    type="object",
    required=["answer", "score"],
    additionalProperties=False,
    properties=dict(answer=dict(type="string"), score=dict(type="integer", minimum=0, maximum=3)),
)
HI = [dict(role="user", content="Hi.")]
CLAUDE = {"x-api-key": "sk-ant-mock", "anthropic-version": "2023-06-01"}
GPT = {"Authorization": "Bearer sk-mock"}


@pytest.fixture(scope="module")
def mock(tmp_path_factory):
    s = Server(tmp_path_factory.mktemp("mock") / "requests.log", 0.0)
    yield s
    s.stop()


@pytest.fixture(autouse=True)
def nothing_wrong(mock):
    mock.control(reset=True)


@pytest.fixture(scope="module")
def ask(mock):
    "One question through litellm: the reply, or what it raises"
    os.environ |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    import litellm

    litellm.suppress_debug_info = True
    runner = asyncio.Runner()  # closing it ends litellm's own tasks: left to the garbage collector, they crash the interpreter

    async def wait(call):
        return await call

    def run(provider, model="", **kw):
        env = mock.as_(provider)
        own = {k.rpartition(provider.upper() + "_")[2]: v for k, v in env.items()}
        call = litellm.acompletion(
            f"{NAMES[provider]}/{model or own['MODEL']}",
            messages=[dict(role="system", content="Be brief."), *HI],
            api_base=own["BASE_URL"],
            api_key=own.get("API_KEY"),
            **dict(temperature=0.0, max_tokens=50, max_retries=0, num_retries=0, timeout=5) | kw,
        )
        return runner.run(wait(call))

    yield run
    runner.close()


def http(method, url, body=None, headers=None):
    "Status, headers and body as they come over the wire"
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(url, data, {"Content-Type": "application/json"} | (headers or {}), method=method)
    try:
        with urllib.request.urlopen(asked, timeout=5) as r:
            return r.status, r.headers, r.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.headers, e.read().decode()


WHERE = dict(  # where each protocol has the schema
    vllm=("/v1/chat/completions", lambda b: b["response_format"]["json_schema"]["schema"]),
    openai=("/v1/chat/completions", lambda b: b["response_format"]["json_schema"]["schema"]),
    ollama=("/api/chat", lambda b: b["format"]),
    anthropic=("/v1/messages", lambda b: b["output_format"]["schema"]),
    gemini=("/v1beta/models/gemini-2.5-flash:generateContent", lambda b: b["generationConfig"]["response_json_schema"]),
)


@pytest.mark.parametrize("provider", NAMES)
def test_text_schema_and_usage(mock, ask, provider):
    r = ask(provider)
    assert (r.choices[0].message.content, r.choices[0].finish_reason) == ("Hello.", "stop")
    assert (r.usage.prompt_tokens, r.usage.completion_tokens) == (100, 20)
    r = ask(provider, response_format=dict(type="json_schema", json_schema=dict(name="reply", schema=SCHEMA)))
    last, (path, schema) = mock.control()["last"], WHERE[provider]
    assert set(json.loads(r.choices[0].message.content)) == {"answer", "score"} == set(schema(last["body"])["properties"])
    assert last["path"] == path


def test_schema_as_a_tool_that_must_be_called(mock, ask):
    r = ask("anthropic", "claude-opus-4-1", response_format=dict(type="json_schema", json_schema=dict(name="reply", schema=SCHEMA)))
    assert json.loads(r.choices[0].message.content) == {"answer": "It is plain.", "score": 3}
    assert mock.control()["last"]["body"]["tool_choice"]["name"] == "json_tool_call"


EVERY = {
    "401": ("AuthenticationError", 401),
    "404": ("NotFoundError", 404),
    "408": ("Timeout", 408),
    "429": ("RateLimitError", 429),
    "500": ("InternalServerError", 500),
    "503": ("ServiceUnavailableError", 503),
    "context": ("ContextWindowExceededError", 400),
    "no-schema": ("BadRequestError", 400),
}
OTHERWISE = {  # litellm's own reading
    ("gemini", "503"): ("InternalServerError", 500),
    ("ollama", "context"): ("BadRequestError", 400),
    ("anthropic", "529"): ("InternalServerError", 500),
    ("anthropic", "content-policy"): ("ContentPolicyViolationError", 400),
    ("anthropic", "quota"): ("BadRequestError", 400),
    ("openai", "quota"): ("RateLimitError", 429),
    ("gemini", "403"): ("BadRequestError", 403),
    ("gemini", "malformed-body"): ("BadRequestError", 422),
    ("vllm", "malformed-body"): ("APIError", 200),
    ("vllm", "html502"): ("BadGatewayError", 502),
    ("openai", "half"): ("InternalServerError", 500),
    ("ollama", "reset"): ("APIConnectionError", 500),
}
FAULTS = {(p, f): k for f, k in EVERY.items() for p in NAMES} | OTHERWISE


@pytest.mark.parametrize("provider", NAMES)
def test_faults_are_known_for_what_they_are(mock, ask, provider):
    for fault, (name, status) in [(f, k) for (p, f), k in FAULTS.items() if p == provider]:
        mock.control(fault=fault)
        with pytest.raises(Exception) as e:
            ask(provider, response_format=dict(type="json_schema", json_schema=dict(name="reply", schema=SCHEMA)))
        assert (type(e.value).__name__, e.value.status_code) == (name, status), f"{fault}: {e.value}"


@pytest.mark.parametrize("provider", NAMES)
def test_when_to_come_back(mock, ask, provider):
    mock.control(fault="429 7")
    with pytest.raises(Exception) as e:
        ask(provider)
    if provider == "gemini":
        assert '"retryDelay": "7s"' in str(e.value) and "retry-after" not in e.value.litellm_response_headers
    else:
        assert e.value.litellm_response_headers["retry-after"] == "7"


ENDS = dict(
    openai=("length", "content_filter", "stop"),
    vllm=("length", "content_filter", "stop"),
    anthropic=("length", "content_filter", "content_filter"),
    gemini=("length", "content_filter", "stop"),
    ollama=("length", "stop", "stop"),
)


@pytest.mark.parametrize("provider", NAMES)
def test_replies_that_end_otherwise(mock, ask, provider):
    for fault, finish in zip(("truncated", "content-filter", "refusal"), ENDS[provider], strict=True):
        mock.control(fault=fault)
        assert ask(provider).choices[0].finish_reason == finish, fault
    mock.control(fault="empty")
    assert not ask(provider).choices[0].message.content


def test_what_the_real_servers_refuse(mock):
    chat, messages = f"{mock.url}/v1/chat/completions", f"{mock.url}/v1/messages"
    claude = dict(model="claude-sonnet-4-5", max_tokens=9, messages=HI)
    gemini = f"{mock.url}/v1beta/models/gemini-2.5-flash:generateContent"
    turns, google = [dict(parts=[dict(text="Hi.")])], {"x-goog-api-key": "AIza"}
    strict = dict(type="json_schema", json_schema=dict(name="r", strict=True, schema=dict(type="object", properties={})))
    form = dict(type="json_schema", schema=SCHEMA)
    for url, body, headers, status, says in [
        (chat, dict(model="gpt-4o", messages=HI), {}, 401, "provide an API key"),
        (chat, dict(model="gpt-4o", messages=HI, prompt_logprobs=1), GPT, 400, "Unrecognized request argument supplied: prompt_logprobs"),
        (chat, dict(model="gpt-5-mini", messages=HI, max_tokens=9), GPT, 400, "max_completion_tokens"),
        (chat, dict(model="gpt-4o", messages=HI, response_format=strict), GPT, 400, "additionalProperties"),
        (chat, dict(model="mock"), {}, 400, "messages"),
        (messages, claude, {}, 401, "x-api-key header is required"),
        (messages, claude, {"x-api-key": "k"}, 400, "anthropic-version"),
        (messages, claude | dict(temperature=1.5), CLAUDE, 400, "temperature"),
        (messages, dict(model="claude-sonnet-4-5", messages=HI), CLAUDE, 400, "max_tokens: Field required"),
        (messages, claude | dict(messages=[dict(role="system", content="x"), *HI]), CLAUDE, 400, "Unexpected role"),
        (messages, claude | dict(output_config=dict(format=form)), CLAUDE, 400, "'minimum' is not supported"),
        (messages, claude | dict(output_format=form), CLAUDE, 400, "Extra inputs are not permitted"),
        (gemini, dict(contents=turns), {}, 403, "unregistered callers"),
        (gemini, dict(contents=turns, generationConfig=dict(responseSchema=SCHEMA)), google, 400, "Unknown name"),
    ]:
        got, _, body = http("POST", url, body, headers)
        assert got == status and says in body, body


def test_log_probabilities(mock):
    ask = dict(model="mock", messages=HI, logprobs=True, top_logprobs=3)
    said = json.loads(http("POST", f"{mock.url}/v1/chat/completions", ask | dict(prompt_logprobs=2))[2])
    tokens = said["choices"][0]["logprobs"]["content"]
    assert "".join(bytes(t["bytes"]).decode() for t in tokens) == "Hello." and all(len(t["top_logprobs"]) == 3 for t in tokens)
    first, *rest = said["prompt_logprobs"]
    assert first is None and all(2 <= len(p) <= 3 and all(x["logprob"] < 0 for x in p.values()) for p in rest)
    assert json.loads(http("POST", f"{mock.url}/api/chat", ask | dict(stream=False))[2])["logprobs"] == tokens


def until(look, good):
    "What is seen on the way, and at last"
    seen = [look()]
    while not good(seen[-1]):
        time.sleep(0.02)
        seen.append(look())
    return seen


def test_openai_batch(mock, ask):  # `ask` has paid for importing the client
    from openai import OpenAI

    client = OpenAI(base_url=f"{mock.url}/v1", api_key="sk-mock", max_retries=0)
    line = lambda i: dict(custom_id=f"c{i}", method="POST", url="/v1/chat/completions", body=dict(model="gpt-4o-mini", messages=HI))
    upload = lambda ids: client.files.create(file=("in.jsonl", "\n".join(json.dumps(line(i)) for i in ids).encode()), purpose="batch").id
    start = lambda ids: client.batches.create(input_file_id=upload(ids), endpoint="/v1/chat/completions", completion_window="24h")
    text = lambda name: [json.loads(x) for x in client.files.content(name).text.splitlines()]
    end = lambda b: until(lambda: client.batches.retrieve(b.id), lambda b: b.status in ("completed", "failed", "expired", "cancelled"))

    mock.control(batch_seconds=0.3, fault="context", times=2)
    seen = end(start(range(10)))
    order = ["validating", "in_progress", "finalizing", "completed"]
    assert [order.index(b.status) for b in seen] == sorted(order.index(b.status) for b in seen)
    good, bad = text(seen[-1].output_file_id), text(seen[-1].error_file_id)
    assert len(good) == 8 and len(bad) == 2 and [g["custom_id"] for g in good] != [f"c{i}" for i in range(2, 10)], "in another order"
    assert good[0]["response"]["body"]["choices"][0]["message"]["content"] == "Hello."
    assert {b["response"]["body"]["error"]["code"] for b in bad} == {"context_length_exceeded"}

    assert end(start([1, 1]))[-1].errors.data[0].code == "duplicate_custom_id"
    mock.control(batch_end="expired")
    late = end(start(range(4)))[-1]
    assert late.status == "expired" and {x["error"]["code"] for x in text(late.error_file_id)} == {"batch_expired"}
    assert len(text(late.output_file_id)) == 2
    b = start(range(4))
    assert client.batches.cancel(b.id).status == "cancelling" and end(b)[-1].status == "cancelled"
    assert len(client.batches.list().data) == 4


def test_anthropic_batch(mock):
    root = f"{mock.url}/v1/messages/batches"
    get = lambda url: json.loads(http("GET", url, headers=CLAUDE)[2])
    params = dict(model="claude-sonnet-4-5", max_tokens=9, messages=HI)
    make = lambda ids: http("POST", root, dict(requests=[dict(custom_id=i, params=params) for i in ids]), CLAUDE)
    mock.control(batch_seconds=0.2, fault="content-policy", times=1)
    b = json.loads(make([f"c{i}" for i in range(6)])[2])
    assert b["results_url"] is None and b["request_counts"]["processing"] == 6
    last = until(lambda: get(f"{root}/{b['id']}"), lambda b: b["processing_status"] == "ended")[-1]
    results = [json.loads(x) for x in http("GET", last["results_url"], headers=CLAUDE)[2].splitlines()]
    kinds = {r["custom_id"]: r["result"]["type"] for r in results}
    assert kinds == {"c0": "errored"} | {f"c{i}": "succeeded" for i in range(1, 6)} and list(kinds) != sorted(kinds)
    assert last["request_counts"] == dict(processing=0, succeeded=5, errored=1, canceled=0, expired=0)
    b = json.loads(make(["a", "b"])[2])
    assert json.loads(http("POST", f"{root}/{b['id']}/cancel", headers=CLAUDE)[2])["processing_status"] == "canceling"
    assert make(["a", "a"])[0] == 400 and make(["a:b"])[0] == 400 and http("GET", root)[0] == 401


def test_limits_and_counters(mock):
    ask = lambda text="Hi.": http(
        "POST", f"{mock.url}/v1/chat/completions", dict(model="mock", messages=[dict(role="user", content=text)]), GPT
    )
    mock.control(concurrency=3, delay=1.0)
    with ThreadPoolExecutor(8) as pool:
        got = sorted(r[0] for r in pool.map(lambda _: ask(), range(8)))
    now = mock.control()
    assert got.count(200) >= 3 and set(got) == {200, 429} and now["asked"] == 8 and now["answered"] == got.count(200)
    assert now["peak"] > 3 and now["statuses"] == {"200": got.count(200), "429": got.count(429)}

    assert mock.control(reset=True)["peak"] == 0
    mock.control(rpm=2, window=30)
    told = [(r[0], r[1]["x-ratelimit-remaining-requests"], r[1]["Retry-After"]) for r in (ask(), ask(), ask())]
    assert told == [(200, "1", None), (200, "0", None), (429, "0", "30")]

    mock.control(reset=True, fault="500", only="poison")
    assert [ask()[0], ask("poison")[0], ask()[0]] == [200, 500, 200]
    mock.control(reset=True, fault="503", only="/v1/models", times=1)
    assert [ask()[0], http("GET", f"{mock.url}/v1/models")[0], http("GET", f"{mock.url}/v1/models")[0]] == [200, 503, 200]
    assert http("POST", f"{mock.url}/control", dict(fault="sneeze"))[0] == 400


def post(mock, body: dict) -> tuple[int, dict]:
    "A plain request to the protocol of OpenAI"
    ask = urllib.request.Request(mock.url + "/v1/chat/completions", json.dumps(dict(model="mock") | body).encode())
    try:
        with urllib.request.urlopen(ask) as r:
            return r.status, json.load(r)
    except urllib.error.HTTPError as e:
        return e.code, json.load(e)


LAMP = dict(messages=[dict(role="user", content="Write one question.\n\nLamp L0017 hangs in hall 17 of the museum.")])


def test_a_share_of_requests_is_hit_evenly(mock):
    mock.control(reset=True, fault="503", share=0.25)
    assert [post(mock, LAMP)[0] for _ in range(8)] == [200, 200, 200, 503] * 2
    mock.control(reset=True)


def test_a_lamp_in_the_form_that_is_asked_for(mock):
    mock.control(reset=True)
    right = dict(question="Where does lamp L0017 hang?", answer="Lamp L0017 hangs in hall 17 of the museum.")
    schema = dict(type="object", properties=dict(question=dict(type="string"), answer=dict(type="string")))
    of = lambda more: post(mock, LAMP | more)[1]["choices"][0]["message"]
    words = lambda text: [dict(role="system", content=text), *LAMP["messages"]]
    assert json.loads(of(dict(response_format=dict(type="json_schema", json_schema=dict(name="pair", schema=schema))))["content"]) == right
    tool = dict(tools=[dict(type="function", function=dict(name="pair", parameters=schema))])
    tool["tool_choice"] = dict(type="function", function=dict(name="pair"))
    assert json.loads(of(tool)["tool_calls"][0]["function"]["arguments"]) == right
    fenced = of(dict(messages=words(f"Fit this: {json.dumps(dict(title='Pair') | schema)}")))["content"]
    assert json.loads(fenced.removeprefix("```json").removesuffix("```")) == right
    assert json.loads(of(dict(messages=words('[{"question": "…"}]')))["content"]) == [right]
    assert of(dict(messages=words("With marks.")))["content"] == f"[QUESTION]\n{right['question']}\n[ANSWER]\n{right['answer']}\n[END]"
    again = [*LAMP["messages"], dict(role="assistant", content="What?"), dict(role="user", content="As JSON, please.")]
    assert "L0017" in of(dict(messages=again))["content"]
    mock.control(fault="prose")
    assert "lamps" in of(tool)["content"] and "tool_calls" not in of(tool)
    assert post(mock, dict(messages=[]))[0] == 400
    mock.control(reset=True)
