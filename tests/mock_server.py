"""A model server on loopback, in its own process, that speaks the wire protocols of OpenAI, vLLM, Anthropic, Gemini and Ollama.

    python tests/mock_server.py --delay 0.2 --log requests.log      prints the port it listens on

It answers the workbench's prompts sensibly but without thought, and refuses what the real servers refuse. On `/v1` a model named
`gpt-…`, `chatgpt-…`, `o1…` is OpenAI's, any other is vLLM's. What goes wrong is set by `POST /control`, read back by `GET /control`:

    {"fault": "503", "times": 2}         the next two requests fail (-1, the default: all). Faults, each in the protocol's own words:
        any status · "429 2" (seconds to wait) · "429 date 2" · quota · context · content-policy · no-schema (only where one is asked for)
        reset (closed) · rst (TCP reset) · hang · "slow 2" · half · html · html502 · malformed-body       (the wire)
        malformed · prose · empty · null · empty-choices · truncated · refusal · content-filter            (the reply)
    {"only": "text"}                     only requests whose body holds this text; "/v1/batches": requests to this path
    {"share": 0.1}                       only every tenth of those, evenly
    {"delay": s, "load": s}              a reply takes delay ± 50 %, and `load` more for every request under way
    {"concurrency": k, "rpm": n, "window": s}   429 above k at once, and above n in a window of (60) seconds
    {"limits": {"requests": [limit, left, reset_seconds], "tokens": […]}}   the headers that tell of rate limits
    {"batch_seconds": s, "batch_end": "completed" | "failed" | "expired"}   of batches made from now on; faults hit single lines
    {"reset": true}                      all of this off, the counters at zero
"""

import argparse
import asyncio
import json
import math
import random
import re
import socket
import struct
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate

from aiohttp import web
from mock_replies import content, lamp
from mock_protocols import (
    NOBODY,
    OPENAI,
    PROSE,
    REPLY,
    WIRE,
    Asked,
    Protocol,
    Refused,
    anthropic,
    anthropic_key,
    anthropic_tool,
    digest,
    gemini,
    ollama,
    openai,
    stamp,
)

PLAIN = dict(delay=0.0, load=0.0, fault="", times=0, only="", share=1.0, concurrency=0, rpm=0, window=60.0, limits={}, batch_seconds=1.0)
STATE = PLAIN | dict(batch_end="completed", log="")
COUNTS = dict(asked=0, answered=0, in_flight=0, max_in_flight=0, peak=0)  # max: ever; peak: since the last reset
SPARED: Counter = Counter()  # by fault: requests that it could have hit
STATUSES: Counter = Counter()
LAST: dict = {}  # the request that came last
STARTS: deque = deque()  # when the requests of this window began


# What goes wrong


def fault_for(where: str, text: str, has_schema: bool = False) -> tuple[str, str]:
    "The fault that hits this request, and its particular; counted as used"
    name, _, particular = STATE["fault"].partition(" ")
    only = STATE["only"]
    here = only in where if only.startswith("/") else only in text
    if not name or not STATE["times"] or not here or (name == "no-schema" and not has_schema):
        return "", ""
    SPARED[name] += 1
    if int(SPARED[name] * STATE["share"]) == int((SPARED[name] - 1) * STATE["share"]):
        return "", ""
    STATE["times"] -= STATE["times"] > 0
    return name, particular


def made(p: Protocol, a: Asked, name: str, particular: str = "") -> dict:
    "The body of the reply, spoilt as the fault says; raises Refused"
    if name and name not in WIRE + REPLY and not (name == "content-policy" and p is gemini):
        raise Refused(name, after=particular)
    text = content(a.messages, a.schema)
    text = {"malformed": "Well, " + text[:-9], "prose": PROSE, "empty": "", "null": None, "truncated": text[: len(text) // 2]}.get(name, text)
    if name == "content-filter":
        text = text[: len(text) // 3]
    return p.reply(a, text, name)


def over_limits():
    "Refuse what comes above the limits"
    now = time.monotonic()
    while STARTS and STARTS[0] < now - STATE["window"]:
        STARTS.popleft()
    if STATE["concurrency"] and COUNTS["in_flight"] > STATE["concurrency"]:
        raise Refused("429")
    if STATE["rpm"]:
        if len(STARTS) >= STATE["rpm"]:
            raise Refused("429", after=str(math.ceil(STARTS[0] + STATE["window"] - now)))
        STARTS.append(now)


def limits() -> dict:
    if not STATE["rpm"]:
        return STATE["limits"]
    reset = max(0.0, STARTS[0] + STATE["window"] - time.monotonic()) if STARTS else 0.0
    return dict(requests=[STATE["rpm"], max(0, STATE["rpm"] - len(STARTS)), round(reset, 3)]) | STATE["limits"]


def refusal(p: Protocol, a: Asked, e: Refused) -> web.Response:
    status, body = p.error(a, e)
    headers = p.headers(limits=limits()) | ({"x-should-retry": "true"} if p is anthropic and status in (429, 529) else {})
    if e.after and p is not gemini:
        seconds = e.after.removeprefix("date ")
        headers["Retry-After"] = formatdate(time.time() + float(seconds), usegmt=True) if seconds != e.after else e.after
    return web.json_response(body, status=status, headers=headers)


async def on_the_wire(request: web.Request, name: str, particular: str, response: web.Response) -> web.StreamResponse:
    "Send a response, or make of it what the fault says"
    if name == "hang":
        await asyncio.sleep(3600)
    if name == "slow":
        await asyncio.sleep(float(particular))
    if name == "rst":
        request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if name in ("reset", "rst"):
        request.transport.abort()
        raise asyncio.CancelledError
    if name == "half":
        half = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(response.body))})
        await half.prepare(request)
        await half.write(response.body[: len(response.body) // 2])
        request.transport.close()
        raise asyncio.CancelledError
    if name in ("html", "html502"):
        title, status = ("502 Bad Gateway", 502) if name == "html502" else ("Sign in", 200)
        page = f"<html>\n<head><title>{title}</title></head>\n<body><h1>{title}</h1></body>\n</html>\n"
        return web.Response(text=page, content_type="text/html", status=status)
    if name == "malformed-body":
        return web.Response(body=response.body[: len(response.body) // 2], content_type="application/json")
    return response


# Serving


def log(kind: str, a: Asked, **extra):
    if STATE["log"]:
        with open(STATE["log"], "a") as f:
            f.write(json.dumps(dict(kind=kind, key=digest(a.messages)[:16], lamp=lamp(a.messages), at=time.time(), **extra)) + "\n")


def log_asked(a: Asked, path: str, headers):
    auth = headers.get("Authorization") or headers.get("x-api-key") or headers.get("x-goog-api-key") or ""
    log("asked", a, temperature=a.temperature, path=path, has_schema=a.schema is not None, auth=auth)


def chat(p: Protocol):
    "The handler of a protocol's model calls"

    async def handle(request: web.Request) -> web.StreamResponse:
        COUNTS["asked"] += 1
        COUNTS["in_flight"] += 1
        for k in ("max_in_flight", "peak"):
            COUNTS[k] = max(COUNTS[k], COUNTS["in_flight"])
        a = NOBODY
        try:
            text = await request.text()
            try:
                a = p.read(request.path, json.loads(text))
            except (ValueError, KeyError, TypeError, AttributeError) as e:
                raise Refused("invalid", f"This is not a request: {e!r}") from None
            LAST.update(path=request.path, headers=dict(request.headers), body=a.body)
            log_asked(a, request.path, request.headers)
            p.check(request.headers, a)
            over_limits()
            await asyncio.sleep(STATE["delay"] * random.uniform(0.5, 1.5) + STATE["load"] * COUNTS["in_flight"])
            name, particular = fault_for(request.path, text, a.schema is not None and not anthropic_tool(a.body))
            body = made(p, a, name, particular)
            response = web.json_response(body, headers=p.headers(limits=limits()))
            if p is ollama and a.body.get("stream", True):  # streams unless told not to
                first = body | dict(done=False)
                last = body | dict(message=dict(role="assistant", content=""))
                lines = [{k: v for k, v in first.items() if k in ("model", "created_at", "message", "done")}, last]
                response = web.Response(text="".join(json.dumps(x) + "\n" for x in lines), content_type="application/x-ndjson")
            response = await on_the_wire(request, name, particular, response)
            COUNTS["answered"] += 1
            log("answered", a)
        except Refused as e:
            response = refusal(p, a, e)
            log("refused", a)
        finally:
            COUNTS["in_flight"] -= 1
        STATUSES[response.status] += 1
        return response

    return handle


def quick(p: Protocol, work: Callable):
    "The handler of a call that asks no model: `work` gives a body, or raises Refused"

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            name, particular = fault_for(request.path, "") if STATE["only"].startswith("/") else ("", "")
            if name and name not in WIRE:
                raise Refused(name, after=particular)
            if p is anthropic:
                anthropic_key(request.headers)
            body = await work(request)
            response = (
                web.json_response(body) if isinstance(body, dict) else web.Response(body=body, content_type="application/octet-stream")
            )
            return await on_the_wire(request, name, particular, response)
        except Refused as e:
            return refusal(p, NOBODY, e)

    return handle


# Batches

FILES: dict[str, dict] = {}
BATCHES: dict[str, "Batch"] = {}


@dataclass
class Batch:
    "Many requests at once. What comes of each is settled when it is made; how much of it shows is a matter of time"

    id: str
    lines: list[tuple[str, int, dict]]  # custom id, status, body
    told: dict = field(default_factory=dict)  # what it was made with
    errors: list[dict] = field(default_factory=list)  # why it cannot be run
    cancelled: float = 0.0
    created: float = field(default_factory=time.time)
    seconds: float = field(default_factory=lambda: STATE["batch_seconds"])
    end: str = field(default_factory=lambda: STATE["batch_end"])

    def share(self) -> float:
        return min(1.0, ((self.cancelled or time.time()) - self.created) / max(self.seconds, 1e-9))

    def phase(self) -> str:
        if self.cancelled:
            return "cancelled" if time.time() > self.cancelled + self.seconds / 10 else "cancelling"
        end = "failed" if self.errors else self.end
        steps = [(0.1, "validating"), (0.1 if end == "failed" else 0.9, "in_progress"), (0.1 if end == "failed" else 1.0, "finalizing")]
        return next((name for until, name in steps if self.share() < until), end)

    def done(self) -> list:
        "The lines that were run: half of a batch that expires"
        n = len(self.lines)
        return [] if self.phase() == "failed" else self.lines[: n // 2 if self.phase() == "expired" else int(n * self.share())]

    def shuffled(self, rows: list[dict]) -> bytes:
        random.Random(self.id).shuffle(rows)
        return "".join(json.dumps(r) + "\n" for r in rows).encode()


def line(p: Protocol, custom_id: str, body: dict, path: str, headers) -> tuple[str, int, dict]:
    "What one line of a batch comes to"
    a = NOBODY
    try:
        a = p.read(path, body)
        COUNTS["asked"] += 1
        log_asked(a, path, headers)
        p.check(headers, a)
        name, particular = fault_for("", json.dumps(body), a.schema is not None) if not STATE["only"].startswith("/") else ("", "")
        return custom_id, 200, made(p, a, name, particular)
    except Refused as e:
        return custom_id, *p.error(a, e)


def found(kind: str, where: dict, key: str):
    if key not in where:
        raise Refused("404", f"No {kind} found with id '{key}'.")
    return where[key]


async def put_file(request: web.Request) -> dict:
    form = await request.post()
    if form.get("purpose") != "batch" or not hasattr(form.get("file"), "file"):
        raise Refused("invalid", "'purpose' and 'file' are required.")
    data, name = form["file"].file.read(), f"file-{len(FILES)}{random.getrandbits(40):x}"
    told = dict(object="file", id=name, purpose="batch", filename=form["file"].filename, bytes=len(data), created_at=int(time.time()))
    FILES[name] = dict(data=data, told=told | dict(status="processed", status_details=None, expires_at=None))
    return FILES[name]["told"]


async def get_file(request: web.Request) -> bytes:
    name = request.match_info["id"]
    if name in FILES:
        return FILES[name]["data"]
    kind, _, batch = name.removeprefix("file-").partition("-")
    b = found("File", BATCHES, batch)
    wrap = lambda c, response, error: dict(id=f"batch_req_{digest(c)[:12]}", custom_id=c, response=response, error=error)
    done = [(s == 200, wrap(c, dict(status_code=s, request_id=digest(c)[:12], body=body), None)) for c, s, body in b.done()]
    why = dict(code=f"batch_{b.phase()}", message="This request could not be executed before the completion window expired.")
    undone = [wrap(c, None, why) for c, _, _ in b.lines[len(done) :]]
    return b.shuffled([r for ok, r in done if ok] if kind == "output" else [r for ok, r in done if not ok] + undone)


def openai_batch(b: Batch) -> dict:
    phase, when = b.phase(), lambda share: int(b.created + share * b.seconds)
    over = phase in ("completed", "expired", "cancelled")
    done = b.done() if over or phase != "validating" else []
    bad = sum(s != 200 for _, s, _ in done)
    if over and phase != "completed":
        bad += len(b.lines) - len(done)
    out = dict(id=b.id, object="batch", status=phase, **b.told, created_at=int(b.created), expires_at=int(b.created) + 86400)
    out |= dict(errors=dict(object="list", data=b.errors) if b.errors else None)
    out |= dict(output_file_id=f"file-output-{b.id}" if over and any(s == 200 for _, s, _ in done) else None)
    out |= dict(error_file_id=f"file-error-{b.id}" if over and bad else None)
    times = dict(in_progress_at=0.1, finalizing_at=0.9, completed_at=1.0)
    out |= {k: when(s) if b.share() >= s and phase in ("completed", "finalizing", "in_progress") else None for k, s in times.items()}
    out |= dict.fromkeys(("failed_at", "expired_at", "cancelling_at", "cancelled_at"))
    out |= {f"{phase}_at": int(b.cancelled or when(1.0))} if phase in ("failed", "expired", "cancelling", "cancelled") else {}
    return out | dict(request_counts=dict(total=len(b.lines), completed=len([1 for _, s, _ in done if s == 200]), failed=bad))


async def make_batch(request: web.Request) -> dict:
    told = await request.json()
    data = found("File", FILES, told.get("input_file_id", ""))["data"]
    if told.get("endpoint") != "/v1/chat/completions" or told.get("completion_window") != "24h":
        raise Refused("invalid", "'endpoint' must be '/v1/chat/completions' and 'completion_window' '24h' here.")
    lines, errors, seen = [], [], set()
    for i, text in enumerate(data.decode().splitlines(), 1):
        try:
            one = json.loads(text)
            custom_id, body = one["custom_id"], one["body"]
            assert (one["method"], one["url"]) == ("POST", told["endpoint"])
        except (ValueError, KeyError, AssertionError):
            errors.append(dict(code="invalid_json_line", message="This line is not a valid request.", param=None, line=i))
            continue
        if custom_id in seen:
            says = f"The custom_id for this request is a duplicate of another request: {custom_id}."
            errors.append(dict(code="duplicate_custom_id", message=says, param="custom_id", line=i))
        seen.add(custom_id)
        lines.append((custom_id, body))
    if not lines:
        errors = [dict(code="empty_file", message="The input file is empty.", param=None, line=None)]
    if not errors and STATE["batch_end"] == "failed":
        errors = [dict(code="token_limit_exceeded", message="Enqueued token limit reached for this model.", param=None, line=None)]
    ran = [] if errors else [line(openai, c, b, "/v1/batches", request.headers) for c, b in lines]
    told = {k: told.get(k) for k in ("endpoint", "input_file_id", "completion_window", "metadata")}
    b = Batch(f"batch_{len(BATCHES)}{random.getrandbits(40):x}", ran, told, errors)
    BATCHES[b.id] = b
    return openai_batch(b)


def anthropic_batch(b: Batch) -> dict:
    over = b.phase() in ("completed", "failed", "expired", "cancelled")
    kinds = Counter(r["result"]["type"] for r in anthropic_rows(b)) if over else Counter(processing=len(b.lines))
    counts = {k: kinds[k] for k in ("processing", "succeeded", "errored", "canceled", "expired")}
    status = "ended" if over else "canceling" if b.cancelled else "in_progress"
    url = f"{b.told['root']}/v1/messages/batches/{b.id}/results"
    out = dict(id=b.id, type="message_batch", processing_status=status, request_counts=counts, results_url=url if over else None)
    out |= dict(ended_at=stamp(time.time()) if over else None, created_at=stamp(b.created), expires_at=stamp(b.created + 86400))
    return out | dict(archived_at=None, cancel_initiated_at=stamp(b.cancelled) if b.cancelled else None)


def anthropic_rows(b: Batch) -> list[dict]:
    done = b.lines if b.phase() == "failed" else b.done()
    ends = [(c, dict(type="succeeded", message=body) if s == 200 else dict(type="errored", error=body)) for c, s, body in done]
    rest = dict(type="canceled" if b.cancelled else "expired")
    return [dict(custom_id=c, result=r) for c, r in ends + [(c, rest) for c, _, _ in b.lines[len(done) :]]]


async def make_message_batch(request: web.Request) -> dict:
    asked = (await request.json()).get("requests") or []
    ids = [r.get("custom_id", "") for r in asked]
    if not asked or len(set(ids)) < len(ids):
        raise Refused("invalid", "requests: custom_id must be unique, and there must be one request at least")
    for i, c in enumerate(ids):
        if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", c):
            raise Refused("invalid", f"requests.{i}.custom_id: String should match pattern '^[a-zA-Z0-9_-]{{1,64}}$'")
    ran = [line(anthropic, r["custom_id"], r["params"], request.path, request.headers) for r in asked]
    b = Batch(f"msgbatch_{len(BATCHES)}{random.getrandbits(40):x}", ran, dict(root=str(request.url.origin())))
    BATCHES[b.id] = b
    return anthropic_batch(b)


async def message_results(request: web.Request) -> bytes:
    b = found("message batch", BATCHES, request.match_info["id"])
    if not anthropic_batch(b)["results_url"]:
        raise Refused("404", f"Results of {b.id} are not available yet.")
    return b.shuffled(anthropic_rows(b))


def batch(shape: Callable, cancel: bool = False):
    async def work(request: web.Request) -> dict:
        b = found("batch", BATCHES, request.match_info["id"])
        if cancel and b.phase() in ("completed", "failed", "expired", "cancelled"):
            raise Refused("409", f"Cannot cancel a batch with status '{b.phase()}'.")
        if cancel:
            b.cancelled = b.cancelled or time.time()
        return shape(b)

    return work


def batches(shape: Callable, prefix: str):
    async def work(request: web.Request) -> dict:
        rows = [shape(b) for b in reversed(BATCHES.values()) if b.id.startswith(prefix)]
        ends = dict(first_id=rows[0]["id"] if rows else None, last_id=rows[-1]["id"] if rows else None)
        return dict(data=rows, has_more=False, **ends) | (dict(object="list") if shape is openai_batch else {})

    return work


# The rest


async def models(request: web.Request) -> dict:
    if "anthropic-version" in request.headers:
        return dict(data=[dict(type="model", id="claude-mock", display_name="Claude Mock", created_at=stamp(0))], has_more=False)
    return dict(object="list", data=[dict(id=m, object="model", created=0, owned_by="mock") for m in ("mock", "gpt-mock")])


async def tags(request: web.Request) -> dict:
    details = dict(format="gguf", family="llama", families=["llama"], parameter_size="1B", quantization_level="Q4_K_M", parent_model="")
    return dict(
        models=[dict(name="mock:latest", model="mock:latest", modified_at=stamp(0), size=1, digest=digest("mock"), details=details)]
    )


async def version(request: web.Request) -> dict:
    return dict(version="0.13.0")


async def show(request: web.Request) -> dict:
    info = {"general.architecture": "llama", "llama.context_length": 8192}
    return dict(details=dict(format="gguf", family="llama"), model_info=info, capabilities=["completion"])


async def control(request: web.Request):
    if request.method == "POST":
        new = await request.json()
        if new.pop("reset", False):
            STATE.update(PLAIN, batch_end="completed")
            COUNTS.update(asked=0, answered=0, peak=COUNTS["in_flight"])
            for seen in (STATUSES, STARTS, SPARED):
                seen.clear()
        name = new.get("fault", "").partition(" ")[0]
        known = set(WIRE + REPLY) | set(OPENAI) | {"409", "408", "502", "529"} | set(map(str, range(400, 600)))
        if strange := [k for k in new if k not in STATE] or [name] * (name not in known | {""}):
            return web.json_response(dict(error=f"no such thing: {strange[0]}"), status=400)
        STATE.update(dict(times=-1) if name else {}, **new)
    return web.json_response(STATE | COUNTS | dict(statuses=STATUSES, last=LAST))


def routes() -> list:
    v1, ant = "/v1/batches", "/v1/messages/batches"
    return [
        web.post("/v1/chat/completions", chat(openai)),
        web.post("/v1/messages", chat(anthropic)),
        web.post(r"/v1beta/models/{model}:generateContent", chat(gemini)),
        web.post("/api/chat", chat(ollama)),
        web.post("/v1/files", quick(openai, put_file)),
        web.get("/v1/files/{id}/content", quick(openai, get_file)),
        web.post(v1, quick(openai, make_batch)),
        web.get(v1, quick(openai, batches(openai_batch, "batch_"))),
        web.get(v1 + "/{id}", quick(openai, batch(openai_batch))),
        web.post(v1 + "/{id}/cancel", quick(openai, batch(openai_batch, cancel=True))),
        web.post(ant, quick(anthropic, make_message_batch)),
        web.get(ant, quick(anthropic, batches(anthropic_batch, "msgbatch_"))),
        web.get(ant + "/{id}", quick(anthropic, batch(anthropic_batch))),
        web.post(ant + "/{id}/cancel", quick(anthropic, batch(anthropic_batch, cancel=True))),
        web.get(ant + "/{id}/results", quick(anthropic, message_results)),
        web.get("/v1/models", quick(openai, models)),
        web.get("/api/tags", quick(ollama, tags)),
        web.get("/api/version", quick(ollama, version)),
        web.post("/api/show", quick(ollama, show)),
        web.get("/control", control),
        web.post("/control", control),
    ]


async def main():
    p = argparse.ArgumentParser()
    p.add_argument("--delay", type=float, default=0.0)
    p.add_argument("--log", default="")
    p.add_argument("--port", type=int, default=0, help="0: any that is free")
    a = p.parse_args()
    STATE.update(delay=a.delay, log=a.log)
    app = web.Application(client_max_size=2**28)
    app.add_routes(routes())
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", a.port)
    await site.start()
    print(site._server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
