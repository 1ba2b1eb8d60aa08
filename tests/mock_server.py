"""A small model server on loopback, in its own process, that speaks the wire protocols of OpenAI (and so of vLLM) and Ollama.

    python tests/mock_server.py --delay 0.2 --log requests.log      prints the port it listens on

It answers the workbench's prompts sensibly but without thought. `POST /control {"fault": "…", "times": n}` makes the next n
requests go wrong in the named way (n = -1: all of them); `{"delay": s}` changes how slow it is.
"""

import argparse
import asyncio
import hashlib
import json
import random
import re
import time

from aiohttp import web

STATE = dict(delay=0.0, fault="", times=0)


def between(text: str, tag: str) -> str:
    m = re.search(rf"<{tag}>\n(.*?)\n</{tag}>", text, re.S)
    return m[1] if m else ""


def of_method(props: dict, user: str) -> dict | str | None:
    "A reply to the prompt of a single method; None for any other"
    words = between(user, "answer") or between(user, "source") or between(user, "question") or user
    steps = ["Something is asked about one topic.", "What bears on it: " + " ".join(words.split())]
    variants = re.findall(r"^<variant (\d+)>$", user, re.M)
    if "reasoning" in props:
        return dict(reasoning=steps, agrees="wrong" not in words, remark="", answer=words)
    if "scores" in props:
        return dict(scores=[dict(index=int(i), score=1 + n % 6) for n, i in enumerate(variants)])
    if list(props) == ["question"]:
        return dict(question=between(user, "question").rstrip("?") + ", and why?")
    if "instructions" in props:
        names = [hashlib.sha256(f"{user} {i}".encode()).hexdigest() for i in range(int(re.search(r"exactly (\d+)", user)[1]))]
        return dict(instructions=[f"Tell {h[:4]} from {h[4:8]} and {h[8:12]}." for h in names])
    if "classification" in props:
        return dict(classification=False)
    if "instances" in props:
        return dict(instances=[dict(input="", output=(between(user, "passage") or "It depends.").strip().splitlines()[0])])
    if not props and "one digit" in user:
        return str(1 + len(words) % 6)
    return None


def content(messages: list[dict], schema: dict | None) -> str:
    "A reply that fits the schema"
    user = "\n".join(m["content"] for m in messages if m["role"] == "user")
    props = (schema or {}).get("properties", {})
    if (reply := of_method(props, user)) is not None:
        return reply if isinstance(reply, str) else json.dumps(reply)
    if "pairs" in props:
        passage = between(user, "passage") or between(user, "code")
        name = hashlib.sha256(passage.encode()).hexdigest()[:8]
        n = int(re.search(r"at most (\d+)", user)[1])
        sentence = next((s.strip() for s in re.split(r"(?<=\.)\s|\n", passage) if len(s.strip()) > 20), passage.strip())
        reply = dict(
            suitable=True,
            reason="It explains something.",
            pairs=[dict(question=f"What does topic {name} say, part {i}?", answer=sentence) for i in range(n)],
        )
        if "reasoning" in props["pairs"]["items"]["properties"]:
            reply["pairs"] = [
                p | dict(reasoning=["The topic is given.", f"It says this: {sentence[:-1]}, and no more."]) for p in reply["pairs"]
            ]
    elif list(props) == ["answer"]:
        reply = dict(answer=between(user, "draft"))
    elif "ratings" in props:  # several pairs in one call: out of order, one missing, one twice, one that nobody asked for
        ids = re.findall(r'<pair id="(\w+)">\n(?:<source>.*?</source>\n)?<question>\n(.*?)\n</question>', user, re.S)
        criteria = {k: p for k, p in props["ratings"]["items"]["properties"].items() if k != "id"}
        given = [
            dict(id=i) | {k: dict(rationale=f"About: {q}", score=p["properties"]["score"]["maximum"]) for k, p in criteria.items()}
            for i, q in ids
        ]
        reply = dict(ratings=[*given[:0:-1], *given[-1:], dict(given[0], id="nobody")])
    elif props:
        reply = {
            k: True if k == "topic_relevant" else dict(rationale="It is plain.", score=p["properties"]["score"]["maximum"])
            for k, p in props.items()
        }
    elif "The instruction:" in user:
        return f"Explain what {hashlib.sha256(user.encode()).hexdigest()[:8]} is about."
    elif "word Score" in user:
        return "It answers the instruction in full.\nScore: 5"
    elif "first line of your reply holds the score" in user:
        return "4.5\nIt is accurate."
    elif "first line of your reply holds two numbers" in user:
        return "8 6\nThe first is better."
    elif "<response>" in "".join(m["content"] for m in messages if m["role"] == "system"):
        return f"<response>\n{between(user, 'draft').strip()}\n</response>"
    else:
        return "Hello."
    return json.dumps(reply)


def log(kind: str, messages: list[dict], extra=None):
    if STATE.get("log"):
        with open(STATE["log"], "a") as f:
            f.write(
                json.dumps(
                    dict(kind=kind, key=hashlib.sha256(json.dumps(messages).encode()).hexdigest()[:16], at=time.time(), **(extra or {}))
                )
                + "\n"
            )


async def faulty(request: web.Request) -> web.StreamResponse | str:
    "The response of a fault, or how the text is to be spoilt"
    fault = STATE["fault"] if STATE["times"] else ""
    if STATE["times"] > 0:
        STATE["times"] -= 1
    if not fault or fault in ("malformed", "empty", "truncated"):
        return fault
    if fault == "reset":
        request.transport.abort()
        raise asyncio.CancelledError
    if fault == "hang":
        await asyncio.sleep(3600)
    status, _, after = fault.partition(" ")
    return web.json_response(
        dict(error=dict(message=f"fault {fault}", type="mock")), status=int(status), headers={"Retry-After": after} if after else {}
    )


async def answer(request: web.Request, schema: dict | None, body: dict, shape) -> web.StreamResponse:
    log(
        "asked",
        body["messages"],
        dict(
            temperature=body.get("temperature", body.get("options", {}).get("temperature")),
            path=request.path,
            has_schema=schema is not None,
            auth=request.headers.get("Authorization", ""),
        ),
    )
    await asyncio.sleep(STATE["delay"] * random.uniform(0.5, 1.5))
    fault = await faulty(request)
    if not isinstance(fault, str):
        return fault
    text = content(body["messages"], schema)
    text = {"malformed": "Well, " + text[:-9], "empty": "", "truncated": text[: len(text) // 2]}.get(fault, text)
    log("answered", body["messages"])
    return web.json_response(shape(body["model"], text, "length" if fault == "truncated" else "stop"))


async def openai(request: web.Request):
    body = await request.json()
    schema = (body.get("response_format") or {}).get("json_schema", {}).get("schema")
    return await answer(
        request,
        schema,
        body,
        lambda model, text, finish: dict(
            id="chatcmpl-1",
            object="chat.completion",
            created=1,
            model=model,
            choices=[dict(index=0, message=dict(role="assistant", content=text), finish_reason=finish)],
            usage=dict(prompt_tokens=100, completion_tokens=20, total_tokens=120),
        ),
    )


async def ollama(request: web.Request):
    body = await request.json()
    return await answer(
        request,
        body.get("format") or None,
        body,
        lambda model, text, finish: dict(
            model=model,
            created_at="2026-01-01T00:00:00Z",
            message=dict(role="assistant", content=text),
            done=True,
            done_reason=finish,
            prompt_eval_count=100,
            eval_count=20,
        ),
    )


async def control(request: web.Request):
    STATE.update(await request.json())
    return web.json_response({k: v for k, v in STATE.items()})


async def main():
    p = argparse.ArgumentParser()
    p.add_argument("--delay", type=float, default=0.0)
    p.add_argument("--log", default="")
    p.add_argument("--port", type=int, default=0, help="0: any that is free")
    a = p.parse_args()
    STATE.update(delay=a.delay, log=a.log)
    app = web.Application(client_max_size=2**24)
    app.add_routes([web.post("/v1/chat/completions", openai), web.post("/api/chat", ollama), web.post("/control", control)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", a.port)
    await site.start()
    print(site._server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
