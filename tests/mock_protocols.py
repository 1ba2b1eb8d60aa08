"""The wire protocols of OpenAI, vLLM, Anthropic, Gemini and Ollama, as a server speaks them: what a request says, what is refused,
how a reply and an error look. No network here: `mock_server` has that. Error bodies and refusals are those of the real servers."""

import hashlib
import json
import math
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import pairwise


WIRE = ("reset", "rst", "hang", "slow", "half", "html", "html502", "malformed-body")  # faults of the wire
REPLY = ("malformed", "prose", "empty", "null", "empty-choices", "truncated", "refusal", "content-filter")  # faults of the reply
SORRY = "I'm sorry, but I can't help with that."
PROSE = "What a good passage to ask about! It makes one think of lamps and of who lights them. Shall I go on?"


def digest(x) -> str:
    return hashlib.sha256(json.dumps(x).encode()).hexdigest()


def stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# What is said


def tokens(text: str) -> list[str]:
    return re.findall(r"\s?\w+|\s?[^\w\s]|\s", text)


WORDS = " the, a, of, to, and, in, is, it, that, for, on, with, as, by, at, from, or, an, be, not".split(",")


def odds(before: str, token: str) -> list[tuple[str, float]]:
    "What could have stood here, likeliest first, the token itself among them: (token, log probability)"
    p = 0.3 + int(digest([before, token])[:2], 16) / 400
    others = [w for w in ([*"0123456789"] if token.strip().isdigit() else []) + WORDS if w != token][:20]
    both = [(token, p)] + [(w, (1 - p) / 2 ** (i + 1)) for i, w in enumerate(others)]
    return sorted(((t, math.log(q)) for t, q in both), key=lambda x: -x[1])


def logprobs(text: str, top: int) -> list[dict]:
    "The log probabilities of a reply, as OpenAI, vLLM and Ollama give them"
    one = lambda t, lp: dict(token=t, logprob=lp, bytes=list(t.encode()))
    said = tokens(text)
    ways = [odds(b, t) for b, t in pairwise(["", *said])]
    return [one(t, dict(w)[t]) | dict(top_logprobs=[one(*x) for x in w[:top]]) for t, w in zip(said, ways, strict=True)]


# A protocol


@dataclass
class Asked:
    "A request, read"

    body: dict
    model: str
    messages: list[dict]  # role and content, as text
    schema: dict | None = None
    temperature: float | None = None


@dataclass
class Refused(Exception):
    "A request that gets an error instead of a reply"

    kind: str  # a key of the protocol's errors
    says: str = ""  # in place of the message that is usual
    after: str = ""  # when to try again: "2" (seconds), "date 2"


@dataclass
class Protocol:
    read: Callable  # (request path, body) → Asked
    check: Callable  # (headers, Asked): raises Refused
    reply: Callable  # (Asked, text, fault) → body
    error: Callable  # (Asked, Refused) → status, body
    headers: Callable = field(default=lambda **kw: {})  # (limits) → headers of every reply


def words(content) -> str:
    "The text of a message: a string, or a list of parts"
    return content if isinstance(content, str) else "".join(p.get("text", "") for p in content or [])


def plain(messages: list[dict]) -> list[dict]:
    return [dict(role=m["role"], content=words(m.get("content"))) for m in messages]


def table(text: str) -> dict[str, tuple[int, str, str]]:
    "Errors as lines of `fault | status | type | message`; `*` is any status that has no line of its own"
    rows = [[c.strip() for c in line.split("|")] for line in text.strip().splitlines()]
    return {name: (int(status or 0), kind, says) for name, status, kind, says in rows}


def row(errors: dict, e: Refused, a: Asked) -> tuple[int, str, str]:
    "Status, type and message of an error"
    status, kind, says = errors.get(e.kind) or (
        int(e.kind),
        errors["*"][1],
        HTTPStatus(int(e.kind)).phrase if e.kind != "529" else "Overloaded",
    )
    return status, kind, e.says or says.replace("{model}", a.model)


# OpenAI and vLLM

OPENAI = table("""
* | | server_error/ |
invalid | 400 | invalid_request_error/ | Invalid request.
400 | 400 | invalid_request_error/ | We could not parse the JSON body of your request.
401 | 401 | invalid_request_error/invalid_api_key | Incorrect API key provided: sk-mock****. You can find your API key at https://platform.openai.com.
403 | 403 | invalid_request_error/model_not_found | Project `proj_mock` does not have access to model `{model}`
404 | 404 | invalid_request_error/model_not_found | The model `{model}` does not exist or you do not have access to it.
429 | 429 | requests/rate_limit_exceeded | Rate limit reached for {model} in organization org-mock on requests per min (RPM): Limit 3, Used 3, Requested 1.
quota | 429 | insufficient_quota/insufficient_quota | You exceeded your current quota, please check your plan and billing details.
500 | 500 | server_error/ | The server had an error while processing your request. Sorry about that!
503 | 503 | server_error/ | The engine is currently overloaded, please try again later
context | 400 | invalid_request_error/context_length_exceeded | This model's maximum context length is 128000 tokens. Your messages resulted in 130045 tokens.
content-policy | 400 | /content_filter | The response was filtered due to the prompt triggering Azure OpenAI's content management policy.
no-schema | 400 | invalid_request_error/ | Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.
""")
VLLM = table("""
* | | InternalServerError |
invalid | 400 | BadRequestError | Invalid request.
400 | 400 | BadRequestError | Invalid request.
401 | 401 |  | Unauthorized
404 | 404 | NotFoundError | The model `{model}` does not exist.
429 | 429 | RateLimitError | Too many requests
context | 400 | BadRequestError | This model's maximum context length is 8192 tokens. However, you requested 9216 tokens.
content-policy | 400 | BadRequestError | Your request was rejected as a result of our safety system.
quota | 429 | RateLimitError | quota exceeded
no-schema | 400 | BadRequestError | This response_format type is unavailable now
""")
KNOWN = set(
    """messages model frequency_penalty logit_bias logprobs top_logprobs max_tokens max_completion_tokens modalities n prediction store
    parallel_tool_calls presence_penalty prompt_cache_key reasoning_effort response_format safety_identifier seed service_tier stop
    stream stream_options temperature tool_choice tools top_p user verbosity metadata""".split()
)


def is_openai(model: str) -> bool:
    return bool(re.match(r"(gpt-(?!oss)|chatgpt-|o\d)", model))


def openai_read(path: str, body: dict) -> Asked:
    schema = ((body.get("response_format") or {}).get("json_schema") or {}).get("schema")
    if openai_tool(body):
        schema = body["tools"][0]["function"]["parameters"]
    return Asked(body, body["model"], plain(body["messages"]), schema, body.get("temperature"))


def openai_tool(body: dict) -> str:
    "The tool that must be called, which is a way to ask for a schema"
    return body["tool_choice"]["function"]["name"] if isinstance(body.get("tool_choice"), dict) else ""


def objects(schema, at=()):
    "Every object of a schema, and where it stands"
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield at, schema
        for k, v in schema.items():
            yield from objects(v, (*at, k))
    elif isinstance(schema, list):
        for v in schema:
            yield from objects(v, at)


def openai_check(headers, a: Asked):
    if not a.messages:
        raise Refused("invalid", "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.")
    if not is_openai(a.model):  # a vLLM server takes what it does not know, and needs no key
        return
    if not headers.get("Authorization", "").removeprefix("Bearer").strip():
        raise Refused("401", "You didn't provide an API key.")
    if strange := [k for k in a.body if k not in KNOWN]:
        raise Refused("invalid", f"Unrecognized request argument supplied: {strange[0]}")
    if re.match(r"o\d|gpt-5", a.model):  # models that reason
        if "max_tokens" in a.body:
            says = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
            raise Refused("invalid", says)
        if a.temperature not in (None, 1):
            raise Refused("invalid", f"Unsupported value: 'temperature' does not support {a.temperature} with this model.")
    if a.schema and a.body["response_format"]["json_schema"].get("strict"):
        for at, o in objects(a.schema):
            where = f"Invalid schema for response_format '{a.body['response_format']['json_schema'].get('name')}': In context={at},"
            if o.get("additionalProperties") is not False:
                raise Refused("invalid", f"{where} 'additionalProperties' is required to be supplied and to be false.")
            if missing := set(o.get("properties", {})) - set(o.get("required", [])):
                raise Refused(
                    "invalid", f"{where} 'required' is required to be an array including every key in properties. Missing '{min(missing)}'."
                )


def prompt_logprobs(a: Asked, top: int) -> list:
    "vLLM's log probabilities of the prompt: by token id, none for the first"
    prompt = "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in a.messages)
    if a.body.get("continue_final_message"):
        prompt = prompt.removesuffix("<|im_end|>\n")
    elif a.body.get("add_generation_prompt", True):
        prompt += "<|im_start|>assistant\n"
    out: list = [None]
    for before, token in pairwise(tokens(prompt)):
        ways = [(t, dict(logprob=lp, rank=i + 1, decoded_token=t)) for i, (t, lp) in enumerate(odds(before, token))]
        out.append({str(int(digest(t)[:4], 16)): w for i, (t, w) in enumerate(ways) if i < top or t == token})
    return out


def openai_reply(a: Asked, text: str | None, fault: str) -> dict:
    finish = dict(truncated="length", **{"content-filter": "content_filter"}).get(fault, "stop")
    message = dict(role="assistant", content=text, refusal=None)
    if fault == "refusal":
        message = dict(role="assistant", content=None, refusal=SORRY)
    elif (tool := openai_tool(a.body)) and fault != "prose":  # a model may answer in prose all the same
        call = dict(id=f"call_{digest(text)[:12]}", type="function", function=dict(name=tool, arguments=text))
        message = dict(role="assistant", content=None, refusal=None, tool_calls=[call])
    probs = dict(content=logprobs(text or "", a.body.get("top_logprobs") or 0), refusal=None) if a.body.get("logprobs") else None
    choices = [dict(index=i, message=message, logprobs=probs, finish_reason=finish) for i in range(a.body.get("n") or 1)]
    usage = dict(prompt_tokens=100, completion_tokens=20, total_tokens=120)
    out = dict(id=f"chatcmpl-{digest(a.messages)[:12]}", object="chat.completion", created=int(time.time()), model=a.model)
    out |= dict(choices=[] if fault == "empty-choices" else choices, usage=usage, system_fingerprint=None)
    if not is_openai(a.model):
        top = a.body.get("prompt_logprobs")
        out |= dict(prompt_logprobs=None if top is None else prompt_logprobs(a, top), kv_transfer_params=None)
    return out


def openai_error(a: Asked, e: Refused) -> tuple[int, dict]:
    status, kind, says = row(OPENAI if is_openai(a.model) else VLLM, e, a)
    if not is_openai(a.model):
        return status, dict(error=dict(message=says, type=kind, param=None, code=status) if kind else says)
    kind, _, code = kind.partition("/")
    param = dict(context="messages").get(e.kind) or ("response_format" if "response_format" in says else None)
    error = dict(message=says, type=kind or None, param=param, code=code or None)
    if e.kind == "content-policy":  # Azure's; OpenAI itself answers with finish_reason or a refusal
        error |= dict(param="prompt", status=400, innererror=dict(code="ResponsibleAIPolicyViolation", content_filter_result={}))
    return status, dict(error=error)


def openai_headers(limits: dict) -> dict:
    h = {"x-request-id": f"req_{random.getrandbits(64):x}", "openai-processing-ms": "20"}
    for what, (limit, left, reset) in limits.items():
        h[f"x-ratelimit-limit-{what}"], h[f"x-ratelimit-remaining-{what}"] = str(limit), str(left)
        minutes, seconds = divmod(reset, 60)
        h[f"x-ratelimit-reset-{what}"] = f"{reset * 1000:.0f}ms" if reset < 1 else (f"{minutes:.0f}m" if minutes else "") + f"{seconds:g}s"
    return h


# Anthropic

ANTHROPIC = table("""
* | | api_error |
invalid | 400 | invalid_request_error | Invalid request.
400 | 400 | invalid_request_error | Invalid request.
401 | 401 | authentication_error | invalid x-api-key
403 | 403 | permission_error | Your API key does not have permission to use the specified resource.
404 | 404 | not_found_error | model: {model}
429 | 429 | rate_limit_error | This request would exceed your organization's rate limit of 50 requests per minute.
500 | 500 | api_error | Internal server error
529 | 529 | overloaded_error | Overloaded
quota | 400 | invalid_request_error | Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade.
context | 400 | invalid_request_error | prompt is too long: 208310 tokens > 200000 maximum
content-policy | 400 | invalid_request_error | Output blocked by content filtering policy
no-schema | 400 | invalid_request_error | '{model}' does not support output format.
""")


def anthropic_tool(body: dict) -> dict | None:
    "The tool that the model is made to call: how a schema was asked for before there was `output_format`"
    name = (body.get("tool_choice") or {}).get("name")
    return next((t for t in body.get("tools", []) if t.get("name") == name), None)


def anthropic_format(body: dict) -> dict:
    return body.get("output_format") or (body.get("output_config") or {}).get("format") or {}


def anthropic_read(path: str, body: dict) -> Asked:
    system = [dict(role="system", content=words(body["system"]))] if body.get("system") else []
    schema = anthropic_format(body).get("schema") or (anthropic_tool(body) or {}).get("input_schema")
    return Asked(body, body["model"], system + plain(body["messages"]), schema, body.get("temperature"))


def anthropic_key(headers):
    if not (headers.get("x-api-key") or headers.get("Authorization", "").startswith("Bearer ")):
        raise Refused("401", "x-api-key header is required")
    if not headers.get("anthropic-version"):
        raise Refused("invalid", "anthropic-version: header is required")


def anthropic_check(headers, a: Asked):
    anthropic_key(headers)
    if "max_tokens" not in a.body:
        raise Refused("invalid", "max_tokens: Field required")
    if any(m["role"] == "system" for m in a.body["messages"]):
        raise Refused("invalid", 'messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter.')
    if not 0 <= (a.temperature or 0) <= 1:
        raise Refused("invalid", "temperature: range: 0..1")
    if "output_format" in a.body and "structured-outputs" not in headers.get("anthropic-beta", ""):
        raise Refused("invalid", "output_format: Extra inputs are not permitted")
    if schema := anthropic_format(a.body).get("schema"):
        where = "output_format.schema" if "output_format" in a.body else "output_config.format.schema"
        if any(o.get("additionalProperties") is not False for _, o in objects(schema)):
            raise Refused("invalid", f"{where}: For 'object' type, 'additionalProperties' must be explicitly set to false")
        if bad := re.search(r'"(minimum|maximum|minLength|maxLength|maxItems)": ?\d', json.dumps(schema)):
            raise Refused("invalid", f"{where}: property '{bad[1]}' is not supported")


def anthropic_reply(a: Asked, text: str | None, fault: str) -> dict:
    blocks = (
        [] if text is None or fault in ("empty-choices", "content-filter", "refusal") else [dict(type="text", text=text, citations=None)]
    )
    stop = {"truncated": "max_tokens", "content-filter": "refusal", "refusal": "refusal"}.get(fault, "end_turn")
    if blocks and (tool := anthropic_tool(a.body)):  # its input always parses: a spoilt one lacks what is required
        blocks = [dict(type="tool_use", id="toolu_01", name=tool["name"], input={} if fault else json.loads(text or "{}"))]
        stop = stop if fault == "truncated" else "tool_use"
    out = dict(id=f"msg_{digest(a.messages)[:16]}", type="message", role="assistant", model=a.model, content=blocks, stop_reason=stop)
    return out | dict(stop_sequence=None, usage=dict(input_tokens=100, cache_creation_input_tokens=0, cache_read_input_tokens=0,
                      output_tokens=20, service_tier="standard"))  # fmt: skip


def anthropic_error(a: Asked, e: Refused) -> tuple[int, dict]:
    status, kind, says = row(ANTHROPIC, e, a)
    return status, dict(type="error", error=dict(type=kind, message=says), request_id="req_mock")


def anthropic_headers(limits: dict) -> dict:
    h = {"request-id": f"req_{random.getrandbits(64):x}", "anthropic-organization-id": "org-mock"}
    for what, (limit, left, reset) in limits.items():
        one = f"anthropic-ratelimit-{what}"
        h |= {f"{one}-limit": str(limit), f"{one}-remaining": str(left), f"{one}-reset": stamp(time.time() + reset)}
    return h


# Gemini

GEMINI = table("""
* | | UNKNOWN |
invalid | 400 | INVALID_ARGUMENT | Invalid request.
400 | 400 | INVALID_ARGUMENT | Request contains an invalid argument.
401 | 400 | INVALID_ARGUMENT | API key not valid. Please pass a valid API key.
403 | 403 | PERMISSION_DENIED | Method doesn't allow unregistered callers (callers without established identity). Please use API Key.
404 | 404 | NOT_FOUND | models/{model} is not found for API version v1beta.
409 | 409 | ABORTED | The operation was aborted.
429 | 429 | RESOURCE_EXHAUSTED | You exceeded your current quota, please check your plan and billing details.
quota | 429 | RESOURCE_EXHAUSTED | You exceeded your current quota, please check your plan and billing details.
500 | 500 | INTERNAL | An internal error has occurred. Please retry.
503 | 503 | UNAVAILABLE | The model is overloaded. Please try again later.
504 | 504 | DEADLINE_EXCEEDED | The request timed out. Please try again.
context | 400 | INVALID_ARGUMENT | The input token count (1200045) exceeds the maximum number of tokens allowed (1048576).
no-schema | 400 | INVALID_ARGUMENT | JSON mode is not enabled for models/{model}
""")


def gemini_read(path: str, body: dict) -> Asked:
    how = body.get("generationConfig") or {}
    turns = [body[k] | {"role": "system"} for k in ("systemInstruction", "system_instruction") if k in body] + body["contents"]
    messages = [dict(role=dict(model="assistant").get(t.get("role"), t.get("role", "user")), content=words(t["parts"])) for t in turns]
    keys = ("responseSchema", "responseJsonSchema", "response_schema", "response_json_schema")
    schema = next((how[k] for k in keys if how.get(k)), None)
    return Asked(body, path.split("/models/")[-1].split(":")[0], messages, schema, how.get("temperature"))


def gemini_check(headers, a: Asked):
    if not headers.get("x-goog-api-key"):
        raise Refused("403")
    how = a.body.get("generationConfig") or {}
    if '"additionalProperties"' in json.dumps(how.get("responseSchema")):
        says = "Invalid JSON payload received. Unknown name \"additionalProperties\" at 'generation_config.response_schema': Cannot find field."
        raise Refused("invalid", says)


def gemini_reply(a: Asked, text: str | None, fault: str) -> dict:
    rated = [dict(category="HARM_CATEGORY_DANGEROUS_CONTENT", probability="HIGH", blocked=True)]
    candidate = dict(content=dict(parts=[dict(text=SORRY if fault == "refusal" else text)], role="model"), finishReason="STOP", index=0)
    if text is None:
        candidate["content"] = dict(role="model")
    if fault == "truncated":
        candidate["finishReason"] = "MAX_TOKENS"
    if fault == "content-filter":
        candidate = dict(finishReason="SAFETY", index=0, safetyRatings=rated)
    usage = dict(promptTokenCount=100, candidatesTokenCount=20, totalTokenCount=120)
    out = dict(candidates=[candidate], usageMetadata=usage, modelVersion=a.model, responseId=digest(a.messages)[:16])
    if fault in ("empty-choices", "content-policy"):
        del out["candidates"]
    return out | (dict(promptFeedback=dict(blockReason="PROHIBITED_CONTENT")) if fault == "content-policy" else {})


def gemini_error(a: Asked, e: Refused) -> tuple[int, dict]:
    status, kind, says = row(GEMINI, e, a)
    google = lambda name, **kw: {"@type": f"type.googleapis.com/google.rpc.{name}"} | kw
    details = []
    if e.kind == "401":
        details = [google("ErrorInfo", reason="API_KEY_INVALID", domain="googleapis.com", metadata=dict(service="mock"))]
    if status == 429:
        per = "Day" if e.kind == "quota" else "Minute"
        metric = dict(quotaMetric="generativelanguage.googleapis.com/generate_content_free_tier_requests", quotaValue="10")
        details = [google("QuotaFailure", violations=[metric | dict(quotaId=f"GenerateRequestsPer{per}PerProjectPerModel-FreeTier")])]
        if e.after:  # Google says it here and in no header
            details.append(google("RetryInfo", retryDelay=f"{e.after.removeprefix('date ')}s"))
    return status, dict(error=dict(code=status, message=says, status=kind, **(dict(details=details) if details else {})))


# Ollama

OLLAMA = table("""
* | |  |
invalid | 400 |  | invalid request
401 | 401 |  | unauthorized
404 | 404 |  | model '{model}' not found
429 | 429 |  | too many requests
500 | 500 |  | llama runner process has terminated: signal: killed
503 | 503 |  | server busy, please try again.  maximum pending requests exceeded
quota | 429 |  | you've reached your hourly usage limit, please upgrade to continue
context | 400 |  | the input length exceeds the context length
content-policy | 400 |  | content policy violation
no-schema | 400 |  | json: cannot unmarshal object into Go struct field ChatRequest.format of type string
""")


def ollama_read(path: str, body: dict) -> Asked:
    schema = body.get("format") if isinstance(body.get("format"), dict) else None
    return Asked(body, body["model"], plain(body["messages"]), schema, (body.get("options") or {}).get("temperature"))


def ollama_reply(a: Asked, text: str | None, fault: str) -> dict:
    said = SORRY if fault in ("refusal", "content-filter") else text or ""  # it has no null
    done = dict(model=a.model, created_at=stamp(time.time()), message=dict(role="assistant", content=said), done=True)
    if fault == "empty-choices":  # all that it answers when it has only loaded the model
        return done | dict(message=dict(role="assistant", content=""), done_reason="load")
    if a.body.get("logprobs"):
        done["logprobs"] = logprobs(said, a.body.get("top_logprobs") or 0)
    times = dict(total_duration=174560334, load_duration=101397084, prompt_eval_duration=13074791, eval_duration=52479709)
    return done | dict(done_reason="length" if fault == "truncated" else "stop", prompt_eval_count=100, eval_count=20) | times


def ollama_error(a: Asked, e: Refused) -> tuple[int, dict]:
    status, _, says = row(OLLAMA, e, a)
    return status, dict(error=says)


openai = Protocol(openai_read, openai_check, openai_reply, openai_error, openai_headers)
anthropic = Protocol(anthropic_read, anthropic_check, anthropic_reply, anthropic_error, anthropic_headers)
gemini = Protocol(gemini_read, gemini_check, gemini_reply, gemini_error)
ollama = Protocol(ollama_read, lambda headers, a: None, ollama_reply, ollama_error)
NOBODY = Asked({}, "gpt-mock", [])  # whom an error is about that is about no model call
