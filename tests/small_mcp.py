"""A server of the Model Context Protocol in the standard library alone, which starts in the time of Python itself.

Tests write it in front of their tools: `own_server(TOOLS)` is a script in which `tool` marks a function, and `serve()` ends it. Results and errors
have the shapes of the official SDK, whose servers are tried as well (git, time, our own)."""

import inspect
import json
import sys
import threading
import typing

TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", dict: "object", list: "array"}
TOOLS = {}


def schema_of(t):
    kinds = [x for x in typing.get_args(t) if x is not type(None)]
    if type(None) in typing.get_args(t):
        return {"anyOf": [schema_of(kinds[0]), {"type": "null"}]}
    kind = typing.get_origin(t) or t
    return {"type": TYPES[kind]} | ({"items": schema_of(kinds[0])} if kind is list and kinds else {})


def tool(read_only=None, takes=None):
    "Marks a function as a tool; `takes`: the schema of its arguments, where annotations cannot say it"

    def marked(f):
        params = inspect.signature(f).parameters.values()
        needed = [p.name for p in params if p.default is p.empty]
        given = {p.name: schema_of(p.annotation) | ({} if p.default is p.empty else {"default": p.default}) for p in params}
        returns = f.__annotations__["return"]
        whole = {"type": "object"} if returns is dict else {"type": "object", "required": ["result"], "properties": {"result": schema_of(returns)}}
        own = dict(name=f.__name__, description=f.__doc__, outputSchema=whole, inputSchema=takes or dict(type="object", properties=given, required=needed))
        TOOLS[f.__name__] = f, own | ({} if read_only is None else {"annotations": {"readOnlyHint": read_only}})
        return f

    return marked


def say(**message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0"} | message) + "\n")
    sys.stdout.flush()


def called(id, name, arguments):
    try:
        got = TOOLS[name][0](**arguments)
    except Exception as e:
        say(id=id, result=dict(content=[dict(type="text", text=f"Error executing tool {name}: {e}")], isError=True))
    else:
        held = got if isinstance(got, dict) else {"result": got}
        text = got if isinstance(got, str) else json.dumps(got)
        say(id=id, result=dict(content=[dict(type="text", text=text)], structuredContent=held, isError=False))


def answer(id, method, params):
    if method == "initialize":
        say(id=id, result=dict(protocolVersion=params["protocolVersion"], capabilities={"tools": {}}, serverInfo=dict(name="small", version="1")))
    elif method == "tools/list":
        say(id=id, result=dict(tools=[own for _, own in TOOLS.values()]))
    elif method == "tools/call":
        threading.Thread(target=called, args=(id, params["name"], params.get("arguments") or {}), daemon=True).start()
    elif method == "ping":
        say(id=id, result={})
    elif id is not None:
        say(id=id, error=dict(code=-32601, message=f"there is no {method}"))


def serve():
    for line in sys.stdin:
        asked = json.loads(line)
        answer(asked.get("id"), asked.get("method"), asked.get("params") or {})
