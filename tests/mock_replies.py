"""What the mock model says: a reply that fits the prompt and its schema, sensible but without thought."""

import hashlib
import json
import re


def between(text: str, tag: str) -> str:
    m = re.search(rf"<{tag}>\n(.*?)\n</{tag}>", text, re.S)
    return m[1] if m else ""


def fill(schema: dict):
    "The plainest value that fits a schema; numbers as high as they go"
    if options := schema.get("enum") or ([schema["const"]] if "const" in schema else None):
        return options[0]
    if options := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
        return fill(options[0])
    kind = schema.get("type", "object")
    kind = str(kind[0] if isinstance(kind, list) else kind).lower()  # Gemini writes types in capitals
    if kind == "object":
        return {k: fill(p) for k, p in schema.get("properties", {}).items()}
    if kind == "array":
        return [fill(schema.get("items", {"type": "string"})) for _ in range(schema.get("minItems", 1))]
    return dict(string="It is plain.", boolean=True, null=None).get(kind, schema.get("maximum", schema.get("minimum", 1)))


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


def calls_in(text: str) -> list[tuple[str, dict]]:
    "Calls written as name({json})"
    read = json.JSONDecoder().raw_decode
    return [(m[1], read(text, m.end())[0]) for m in re.finditer(r"([\w-]+)\((?=\{)", text)]


def value(text: str):
    "A number where it is one"
    try:
        return json.loads(text)
    except ValueError:
        return text


def requests(system: str, user: str) -> dict:
    "Requests for tools, each two or three of the calls that were tried, in a form that `step` can read again: no request names a tool"
    tried, before = [], ""
    for m in re.finditer(r"^- (first )?([\w-]+), with (.*); (?:then|what came back:)$", user, re.M):
        args = {k: value(v) for k, v in re.findall(r"(\w+): (.*?)(?=, \w+: |$)", m[3])}
        before += f"{m[2]}({json.dumps(args)}) "
        if not m[1]:
            tried.append(before)
            before = ""
    single = 'In "tools" give the one tool' in system
    out = []
    for i in range(60):
        shuffled = sorted(tried, key=lambda t: hashlib.sha256(f"{t} {i} {user}".encode()).digest())
        calls = [c for t in shuffled[: 1 if single else 2 + i % 2] for c in calls_in(t)]
        text = "Please do this: " + "; ".join(f"{name.replace('_', '-')}({json.dumps(args)})" for name, args in calls)
        if calls and text not in user and text not in [x["instruction"] for x in out]:
            out.append(dict(instruction=text, tools=[name for name, _ in calls]))
    return dict(instructions=out[: int(re.search(r"Write (\d+) request", user)[1])])


RESULT = re.compile(r"^call_\d+: [^\n]*\n(\w+):\n<result>\n(.*?)\n</result>$", re.M | re.S)


def step(user: str) -> dict:
    "The next call of a request, or an answer that repeats the results"
    tools = {n.replace("_", "-"): n for n in re.findall(r"^- ([\w-]+): ", user, re.M)}
    calls, done = [(tools.get(n, n), args) for n, args in calls_in(between(user, "request"))], RESULT.findall(user)
    last = dict(thought="That is what was asked.", action="give_up_and_restart", arguments=[], answer="")
    if (done and done[-1][0] != "ok") or "has been tried" in user:
        return last
    if len(done) == len(calls):
        return last | dict(action="give_answer", answer=" ".join(f"The result is {result[:400]}." for _, result in done))
    name, args = calls[len(done)]
    given = [dict(name=k, value=json.dumps(v), call="", path="") for k, v in args.items()]
    return last | dict(action=name, arguments=given)


def pairs(props: dict, user: str) -> dict:
    passage = between(user, "passage") or between(user, "code")
    name = hashlib.sha256(passage.encode()).hexdigest()[:8]
    n = int((re.search(r"at most (\d+)", user) or [0, 1])[1])
    sentence = next((s.strip() for s in re.split(r"(?<=\.)\s|\n", passage) if len(s.strip()) > 20), passage.strip())
    said = [dict(question=f"What does topic {name} say, part {i}?", answer=sentence) for i in range(n)]
    if "reasoning" in props["pairs"]["items"]["properties"]:
        said = [p | dict(reasoning=["The topic is given.", f"It says this: {sentence[:-1]}, and no more."]) for p in said]
    return dict(suitable=True, reason="It explains something.", pairs=said)


def ratings(props: dict, user: str) -> dict:
    "Several pairs in one call: out of order, one missing, one twice, one that nobody asked for"
    ids = re.findall(r'<pair id="(\w+)">\n(?:<source>.*?</source>\n)?<question>\n(.*?)\n</question>', user, re.S)
    criteria = {k: p for k, p in props["ratings"]["items"]["properties"].items() if k != "id"}
    best = lambda q: {k: dict(rationale=f"About: {q}", score=p["properties"]["score"]["maximum"]) for k, p in criteria.items()}
    given = [dict(id=i) | best(q) for i, q in ids]
    return dict(ratings=[*given[:0:-1], *given[-1:], dict(given[0], id="nobody")])


def in_words(system: str, user: str) -> str:
    "A reply to a prompt that asks for text"
    if "The instruction:" in user:
        return f"Explain what {hashlib.sha256(user.encode()).hexdigest()[:8]} is about."
    if "word Score" in user:
        return "It answers the instruction in full.\nScore: 5"
    if "first line of your reply holds the score" in user:
        return "4.5\nIt is accurate."
    if "first line of your reply holds two numbers" in user:
        return "8 6\nThe first is better."
    if "<response>" in system:
        return f"<response>\n{between(user, 'draft').strip()}\n</response>"
    return "Hello."


# The passages of the peers' benchmark, each about a lamp of its own


def lamp(messages: list[dict]) -> str:
    "The lamp that a request is about, also where the last message asks for it again"
    found = (re.search(r"\bL\d{4}\b", str(m.get("content", ""))) for m in reversed(messages))
    return next((m[0] for m in found if m), "")


def of_lamp(name: str, schema: dict | None, asked: str) -> str:
    "A right question and answer about a lamp, in the form that is asked for"
    question, answer = f"Where does lamp {name} hang?", f"Lamp {name} hangs in hall {int(name[1:])} of the museum."
    if schema:
        return json.dumps(fit(schema, schema.get("$defs", {}), "", question, answer))
    if found := re.search(r'\{"(properties|\$defs|description|title|type)"', asked):  # a schema in words
        schema = json.JSONDecoder().raw_decode(asked, found.start())[0]
        return f"```json\n{of_lamp(name, schema, asked)}\n```"
    if '"question":' in asked:  # an example in words
        return json.dumps([dict(question=question, answer=answer)])
    return f"[QUESTION]\n{question}\n[ANSWER]\n{answer}\n[END]"


def fit(schema: dict, defs: dict, name: str, question: str, answer: str):
    "The value of a schema whose texts are a question where their name says so, and else its answer"
    schema = defs.get(schema.get("$ref", "").removeprefix("#/$defs/"), schema)
    if options := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
        return None if dict(type="null") in options else fit(options[0], defs, name, question, answer)
    own = dict(defs=defs, question=question, answer=answer)
    if "properties" in schema:
        return {k: fit(p, name=k, **own) for k, p in schema["properties"].items()}
    if schema.get("type") == "array":
        items = schema.get("items", {})
        if {"role", "content"} <= set(defs.get(items.get("$ref", "").removeprefix("#/$defs/"), items).get("properties", {})):
            return [dict(role="user", content=question), dict(role="assistant", content=answer)]
        return [fit(items, name=name, **own) for _ in range(schema.get("minItems", 1))]
    if schema.get("type", "string") != "string" or "enum" in schema or "const" in schema:
        return fill(schema)
    return question if re.search("question|instruction|prompt|user", name) else answer


def content(messages: list[dict], schema: dict | None) -> str:
    "A reply that fits the schema"
    if not schema and (m := re.search(r"fit this JSON Schema:\n(\{.*\})", messages[-1]["content"])):
        schema = json.loads(m[1])  # a caller that asks in words, because a server takes no schema
    system, user = ("\n".join(m["content"] for m in messages if m["role"] == role) for role in ("system", "user"))
    if name := lamp(messages):
        return of_lamp(name, schema, system + user)
    props = (schema or {}).get("properties", {})
    if list(props) == ["replies"]:  # each case as if it were alone
        before, one = user.partition("</source>\n"), props["replies"]["items"]
        own = {k: v for k, v in one["properties"].items() if k != "id"}
        cases = re.findall(r'<case id="(\w+)">\n(.*?)\n</case>', before[2], re.S)
        alone = lambda text: [dict(role="system", content=system), dict(role="user", content="".join(before[:2]) + text)]
        return json.dumps(dict(replies=[dict(id=k) | json.loads(content(alone(t), one | dict(properties=own))) for k, t in cases]))
    if "action" in props:
        return json.dumps(step(user))
    if "tool_selection" in props:
        return json.dumps(fill(schema))
    if props.get("instructions", {}).get("items", {}).get("type") == "object":
        return json.dumps(requests(system, user))
    if (reply := of_method(props, user)) is not None:
        return reply if isinstance(reply, str) else json.dumps(reply)
    if not schema:
        return in_words(system, user)
    if "pairs" in props:
        return json.dumps(pairs(props, user))
    if "ratings" in props:
        return json.dumps(ratings(props, user))
    if list(props) == ["answer"]:
        return json.dumps(dict(answer=between(user, "draft") or "It is plain."))
    return json.dumps(fill(schema))
