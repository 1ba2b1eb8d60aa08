"""Tools from documents: seven formats, broken ones, hostile ones, and large ones."""

import json
import subprocess
import sys
import time

import pytest
from conftest import SYNTHGEN
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from synthgen_nb.core.records import SynthgenError, save
from synthgen_nb.worlds.hdf5 import hdf5_tools
from synthgen_nb.specs.openapi import parse_openapi, read_document
from synthgen_nb.specs.parse import parse_text, parse_tools
from synthgen_nb.specs.python import parse_python
from synthgen_nb.specs.tool import LONGEST, Tool, legal, problems, unsound, with_unique_names

SHOP = """
openapi: 3.0.3
info: {title: Shop, version: 1.0.0}
servers: [{url: "https://{region}.shop.example/api", variables: {region: {default: eu}}}]
paths:
  /carts/{cartId}/items/{id}:
    parameters:
      - {name: cartId, in: path, required: true, schema: {type: string, format: uuid}}
      - {name: X-Tenant, in: header, required: true, schema: {type: string}}
      - {name: Authorization, in: header, schema: {type: string}}
    put:
      operationId: put item!
      summary: Change an item
      description: |
        Change an item.

        A quantity of 0 removes it.
      tags: [carts]
      parameters:
        - {name: id, in: path, required: true, schema: {type: integer, minimum: 0, exclusiveMinimum: true}}
        - {name: id, in: query, schema: {type: string, default: latest}}
        - {name: X-Tenant, in: header, required: false, schema: {type: string, nullable: true}}
      requestBody:
        required: true
        content:
          text/plain: {schema: {type: string}}
          application/json: {schema: {$ref: "#/components/schemas/Item"}}
      responses:
        "404": {description: no such item}
        "200": {description: ok, content: {application/json: {schema: {$ref: "#/components/schemas/Page"}}}}
components:
  schemas:
    Base: {type: object, required: [sku], properties: {sku: {type: string, pattern: "^[A-Z]+$"}}}
    Item:
      allOf:
        - $ref: "#/components/schemas/Base"
        - type: object
          required: [id, count]
          properties:
            id: {type: integer, readOnly: true}
            count: {type: integer, enum: [1, 2, 3], default: 1, example: 2}
            note: {nullable: true, oneOf: [{type: string}, {type: object, properties: {text: {type: string}}}]}
    Page: {type: object, properties: {items: {type: array, items: {$ref: "#/components/schemas/Node"}}}}
    Node: {type: object, properties: {"$ref": {type: string}, children: {type: array, items: {$ref: "#/components/schemas/Node"}}}}
"""


def tool(text, where="doc"):
    got = parse_text(text, where)
    assert len(got.kept) == 1 and not got.dropped, got.dropped
    return got.kept[0]


def test_an_operation_loses_nothing():
    t = tool(SHOP)
    p = t.parameters
    assert t.name == "put_item" and t.binding["name"] == "put item!" and t.effect == "write" and t.category == "carts"
    assert t.description == "Change an item" and "A quantity of 0 removes it." in t.docs
    assert list(p["properties"]) == ["cartId", "X-Tenant", "id", "id_query", "body"], "path-level, header, a name used twice"
    assert p["required"] == ["cartId", "id", "body"], "the operation's own X-Tenant takes the place of the path's"
    assert p["properties"]["id"] == {"type": "integer", "exclusiveMinimum": 0}
    assert p["properties"]["id_query"]["default"] == "latest" and p["properties"]["X-Tenant"]["type"] == ["string", "null"]
    base, own = p["properties"]["body"]["allOf"]
    assert base["properties"]["sku"]["pattern"] == "^[A-Z]+$" and own["required"] == ["count"], "the server fills in what is readOnly"
    assert own["properties"]["count"] == {"type": "integer", "enum": [1, 2, 3], "default": 1, "examples": [2]}
    assert t.binding["servers"] == ["https://eu.shop.example/api"] and t.binding["places"]["id_query"] == {"in": "query", "name": "id"}
    assert t.returns["properties"]["items"]["items"] == {"$ref": "#/$defs/Node"}, "a cycle stays a reference"
    assert set(t.returns["$defs"]["Node"]["properties"]) == {"$ref", "children"}, "a property may be called $ref"
    assert t.meta["responses"]["404"]["description"] == "no such item"
    for s in (t.parameters, t.returns):
        Draft202012Validator.check_schema(s)


def test_arguments_are_checked_by_what_the_document_says():
    t = tool(SHOP)
    ok = {"cartId": "c", "id": 1, "body": {"sku": "AB", "count": 2, "note": None}}
    assert problems(ok, t.parameters) == []
    for change, said in [
        ({"id": 0}, "/id"),
        ({"body": {"sku": "ab", "count": 2}}, "/body/sku"),
        ({"body": {"sku": "AB", "count": 4}}, "/body/count"),
        ({"color": "red"}, "color"),
        ({"body": {"sku": "AB", "count": 1, "note": 5}}, "/body/note"),
    ]:
        found = problems(ok | change, t.parameters)
        assert found and said in " ".join(found), (change, found)


def test_json_and_yaml_are_told_apart_by_content(tmp_path):
    doc = read_document(SHOP)
    (tmp_path / "a.yaml").write_text(json.dumps(doc))
    (tmp_path / "b.json").write_text(SHOP)
    (tmp_path / "no_extension").write_text("\n\n" + SHOP)
    a, b, c = (parse_tools(tmp_path / n).kept for n in ("a.yaml", "b.json", "no_extension"))
    assert [t.parameters for t in a] == [t.parameters for t in b] == [t.parameters for t in c] and len(a) == 1


def test_swagger_2():
    t = tool("""
swagger: "2.0"
info: {title: Files, version: "1"}
host: files.example
basePath: /v2
schemes: [https]
paths:
  /files/{id}:
    post:
      consumes: [multipart/form-data]
      parameters:
        - {name: id, in: path, required: true, type: integer, format: int64}
        - {name: tags, in: query, type: array, items: {type: string}, collectionFormat: pipes}
        - {name: file, in: formData, type: file, required: true}
        - {name: note, in: formData, type: string, x-nullable: true}
      responses: {200: {description: ok, schema: {$ref: "#/definitions/File"}}}
definitions: {File: {type: object, properties: {size: {type: integer}}}}
""")
    body = t.properties["body"]
    assert t.name == "post_files_id" and t.required == ["id", "body"] and body["required"] == ["file"]
    assert body["properties"]["file"] == {"type": "string", "format": "binary"} and body["properties"]["note"]["type"] == ["string", "null"]
    assert t.binding["places"]["tags"]["style"] == "pipeDelimited" and t.binding["servers"] == ["https://files.example/v2"]
    assert t.returns == {"type": "object", "properties": {"size": {"type": "integer"}}}


def test_every_problem_is_named_with_its_place():
    doc = read_document(SHOP)
    doc["paths"] |= {
        "nothing": {"get": {}},
        "/a/{x}": {
            "get": {"responses": {}},
            "post": {"parameters": [{"in": "query"}, {"name": "q", "in": "nowhere"}, {"name": "r", "in": "query"}]},
        },
        "/b": {
            "get": {
                "parameters": [{"$ref": "#/components/parameters/Gone"}],
                "responses": {"200": {"content": {"application/json": {"schema": {"$ref": "other.yaml#/X"}}}}},
            }
        },
        "/c": {"post": {"requestBody": {"content": {"application/json": {"schema": {"type": "strin", "properties": []}}}}}},
    }
    got = parse_openapi(doc, "shop.yaml")
    said = [d.detail for d in got.dropped]
    assert [t.name for t in got.kept] == ["put_item"], "sound operations survive"
    for what in [
        "shop.yaml#/paths/nothing: a path must begin with /",
        "shop.yaml#/paths/~1a~1{x}/get: the path holds {x}",
        "parameters/0: a parameter without a name",
        "parameters/1: parameter 'q' is in 'nowhere'",
        "parameters/2: parameter 'r' has neither schema nor content",
        "'#/components/parameters/Gone', where there is nothing",
        "other.yaml#/X', which is outside this document",
        '"strin" is not one of',
    ]:
        assert any(what in s for s in said), (what, said)
    assert all(d.reason == "invalid_spec" for d in got.dropped)
    assert [d.detail for d in parse_openapi({"openapi": "4.0"}, "x").dropped] == [
        "x#: version 4.0; known are OpenAPI 3.0 to 3.2 and Swagger 2.0",
        "x#/info: missing",
        "x#/paths: missing, so there is no operation",
    ]


def test_documents_made_to_explode_do_not():
    wide = {
        f"S{i}": {"type": "object", "properties": {f"p{j}": {"$ref": f"#/components/schemas/S{i + 1}"} for j in range(10)}}
        for i in range(30)
    }
    wide["S30"] = {"type": "string"}
    loop = {
        "A": {"$ref": "#/components/schemas/B"},
        "B": {"$ref": "#/components/schemas/A"},
        "C": {"allOf": [{"$ref": "#/components/schemas/C"}]},
    }
    body = lambda n: {"post": {"requestBody": {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{n}"}}}}}}
    doc = {"openapi": "3.1.0", "info": {}, "paths": {f"/{n}": body(n) for n in ("S0", "A", "C")}, "components": {"schemas": wide | loop}}
    start = time.process_time()
    got = parse_openapi(doc)
    assert len(got.kept) == 3 and len(json.dumps(got.kept[0].parameters)) < 100_000
    assert all(unsound(t.parameters) == [] for t in got.kept)
    turns = {"openapi": "3.1.0", "info": {}, "paths": {"/x": {"$ref": "#/paths/~1y"}, "/y": {"$ref": "#/paths/~1x"}}}
    assert "without end" in parse_openapi(turns).dropped[0].detail
    assert "nested too deeply" in str(
        parse_openapi(
            json.loads(
                '{"openapi":"3.1.0","info":{},"paths":{"/x":{"post":{"requestBody":{"content":{"application/json":{"schema":'
                + '{"items":' * 300
                + "{}"
                + "}" * 300
                + "}}}}}}}"
            )
        ).dropped
    )
    assert time.process_time() - start < 20
    with pytest.raises(SynthgenError, match="nodes"):
        read_document("a0: &a0 [x]\n" + "\n".join(f"a{i + 1}: &a{i + 1} [{', '.join([f'*a{i}'] * 10)}]" for i in range(9)), "bomb")
    with pytest.raises(SynthgenError, match="neither JSON nor YAML"):
        read_document("!!python/object/apply:os.system ['true']", "evil")


def test_mcp_listings_and_openai_functions():
    now = {
        "name": "now",
        "title": "Now",
        "inputSchema": {"type": "object", "properties": {"tz": {"type": ["string", "null"], "enum": ["UTC", None]}}},
        "outputSchema": {"type": "object"},
        "annotations": {"readOnlyHint": True},
    }
    mcp = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"tools": [now]}})
    t = tool(mcp)
    assert t.kind == "mcp" and t.effect == "read" and t.properties["tz"]["type"] == ["string", "null"] and t.returns == {"type": "object"}
    nested = {
        "type": "object",
        "properties": {"at": {"$ref": "#/$defs/P"}},
        "$defs": {"P": {"type": "object", "properties": {"x": {"type": "number"}}}},
    }
    for d in (
        {"type": "function", "function": {"name": "f.g", "parameters": nested, "strict": True}},
        {"type": "function", "name": "f.g", "parameters": nested},
    ):
        t = tool(json.dumps([d]))
        assert t.name == "f_g" and t.binding["name"] == "f.g" and t.parameters == nested and t.kind == "openai"
        assert t.function()["function"]["parameters"] == nested
    assert (
        "is not a number"
        in parse_text('[{"name": "x", "inputSchema": {"type": "object", "properties": {"a": {"minimum": "low"}}}}]').dropped[0].detail
    )


def test_the_workbench_format():
    d = dict(
        tool_id="h5.read",
        name="read rows",
        category="io",
        description="Read rows.",
        complexity="medium",
        examples=[{"rows": 3}],
        parameters=[
            dict(name="path", type="string", description="where", required=True),
            dict(name="rows", type="int", default=5),
            dict(name="how", type="str", enum=["a", "b"], required=False),
            dict(name="shape", type="List[int]"),
        ],
        returns={"type": "list", "description": "the rows"},
        author="me",
    )
    t = tool(json.dumps([d]))
    assert t.name == "read_rows" and t.required == ["path", "shape"] and t.properties["rows"] == {"type": "integer", "default": 5}
    assert t.properties["shape"] == {"type": "array", "items": {"type": "integer"}} and t.returns == {
        "type": "array",
        "description": "the rows",
    }
    assert t.category == "io" and t.complexity == "medium" and t.examples == ({"rows": 3},) and t.meta == {"author": "me"}
    assert t.binding == {"name": "read rows", "tool_id": "h5.read"}


def test_python_files_are_read_and_never_run(tmp_path):
    mark = tmp_path / "ran"
    source = f'''
import pathlib
pathlib.Path({str(mark)!r}).touch()
from enum import Enum
class Color(Enum):
    RED = "red"
    BLUE = "blue"
class Node(TypedDict, total=False):
    value: Required[int]
    next: "Node"
def paint(node: Node, color: Color = "red", *, times: Annotated[int, Field(ge=1)] = 1, hint: np.ndarray = object()) -> list[Node] | None:
    """Paint a node.

    Args:
        node: what is painted
        times (int): how often,
            at least once

    Returns:
        what was painted
    """
def old(x, y): ...
def many(*xs: int): ...
'''
    (tmp_path / "tools.py").write_text(source)
    got = parse_tools(tmp_path / "tools.py")
    assert not mark.exists()
    (t,) = got.kept
    assert {d.detail.split(": ")[1] for d in got.dropped} == {"old", "many"}
    assert t.required == ["node"] and t.properties["times"] == {
        "type": "integer",
        "minimum": 1,
        "description": "how often, at least once",
        "default": 1,
    }
    assert t.parameters["$defs"]["Color"]["enum"] == ["red", "blue"] and t.parameters["$defs"]["Node"]["properties"]["next"] == {
        "$ref": "#/$defs/Node"
    }
    assert t.properties["hint"] == {"x-python": "np.ndarray", "x-default": "object()"} and t.description == "Paint a node."
    assert problems({"node": {"value": 1}, "color": "green"}, t.parameters) and not problems({"node": {"value": 1}}, t.parameters)
    assert parse_python("def f(:", "bad.py").dropped[0].reason == "syntax_error"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats(-1, 1).map(float) | st.text(max_size=3),
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.sampled_from("ab"), x, max_size=2),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(JSON, min_size=1, max_size=6))
def test_a_value_seen_before_is_judged_as_if_it_were_new(values):
    schema = {"type": ["object", "array", "integer"], "properties": {"a": {"type": "integer"}}, "items": {"enum": [1, "1", None]}}
    anew = [len(list(Draft202012Validator(schema).iter_errors(v))) for v in values]
    for _ in range(2):
        assert [len(problems(v, schema)) for v in values] == anew
    assert problems((1, 1), schema) and not problems([1, 1], schema)  # JSON has no tuples


@given(st.lists(st.text(max_size=90), max_size=12))
@settings(max_examples=60, deadline=None)
def test_names_are_legal_and_unique(names):
    got = [t.name for t in with_unique_names([Tool(name=n, description=str(i)) for i, n in enumerate(names)])]
    assert len(set(got)) == len(names) and all(0 < len(n) <= LONGEST and legal(n) == n for n in got)


def test_what_is_written_is_read_again(tmp_path, synthgen):
    (tmp_path / "shop.yaml").write_text(SHOP)
    for ext in (".json", ".jsonl", ".parquet"):
        synthgen("tool-parse", "shop.yaml", "-o", f"tools{ext}")
        assert parse_tools(tmp_path / f"tools{ext}").kept == parse_tools(tmp_path / "shop.yaml").kept
    assert parse_tools(save(hdf5_tools(), tmp_path / "h5.jsonl")).kept == list(hdf5_tools())


def test_the_command_names_problems_and_fails_when_nothing_is_left(tmp_path, synthgen):
    (tmp_path / "bad.json").write_text('{"openapi": "3.1.0", "info": {}, "paths": {"/x": {"get": {"parameters": [{"in": "query"}]}}}}')
    r = synthgen("tool-parse", "bad.json", "-o", "tools.json", ok=False)
    assert "bad.json#/paths/~1x/get/parameters/0: a parameter without a name" in r.stderr and not (tmp_path / "tools.json").exists()
    assert "no such file" in synthgen("tool-parse", "gone.yaml", "-o", "tools.json", ok=False).stderr
    assert "34 tools" in synthgen("tool-parse", "hdf5", "-o", "tools.json").stdout


def test_real_documents(data):
    for name, n in (
        ("2.0-petstore", 20),
        ("3.0-petstore", 20),
        ("3.1-petstore", 20),
        ("3.0-circular", 1),
        ("3.0-circular-paths", 3),
        ("3.0-schema-circular", 3),
        ("3.0-http-status-codes", 89),
        ("3.0-parameters-style", 25),
        ("3.0-schema-types", 21),
        ("2.0-schema-circular", 1),
    ):
        got = parse_tools(data / "specs/readme" / f"{name}.json")
        assert (len(got.kept), len(got.dropped)) == (n, 0), name
    for name, n in (("time", 2), ("git", 12), ("memory", 9)):
        assert len(parse_tools(data / "specs/mcp" / f"{name}.json").kept) == n
    big = parse_tools(data / "specs/openai/openapi.json")
    assert len(big.kept) == 288 == len({t.name for t in big.kept}) and not big.dropped
    for t in big.kept[::24]:
        Draft202012Validator.check_schema(t.parameters)
        Draft202012Validator.check_schema(t.returns)
    assert [len(parse_tools(data / "prototype/specs" / f).kept) for f in ("hdf5_tools.json", "jarvis_tools.json")] == [24, 29]


def test_nothing_heavy_is_imported_for_help():
    code = "import sys; from synthgen_nb import cli; print([m for m in ('mcp', 'h5py', 'jsonschema', 'yaml') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
    assert SYNTHGEN.exists()
