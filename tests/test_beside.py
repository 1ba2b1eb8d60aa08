"""OpenAPI documents in several files, the newest dialect, and lists of tools in the shapes of other programs."""

import json
import os

import pytest

from synthgen_nb.core.records import SynthgenError
from synthgen_nb.specs.openapi import parse_openapi
from synthgen_nb.specs.parse import parse_text, parse_tools

PET = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "tail": {"$ref": "#/components/schemas/Tail"}}}
WHOLE = {
    "openapi": "3.1.0",
    "info": {"title": "Pets"},
    "paths": {
        "/pets/{id}": {
            "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}],
            "get": {
                "operationId": "getPet",
                "parameters": [{"$ref": "#/components/parameters/Limit"}],
                "responses": {"default": {"$ref": "#/components/responses/Pet"}},
            },
        },
        "/pets": {
            "post": {
                "operationId": "addPet",
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Pet"}, "example": {"$ref": "pet.json"}}},
                },
                "responses": {"201": {"description": "made"}},
            }
        },
    },
    "components": {
        "parameters": {"Limit": {"name": "limit", "in": "query", "schema": {"type": "integer", "maximum": 50}}},
        "responses": {"Pet": {"description": "one", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Pet"}}}}},
        "schemas": {"Pet": PET, "Tail": {"type": "object", "properties": {"example": {"type": "string"}, "of": {"$ref": "#/components/schemas/Pet"}}}},
    },
}


def plain(tools):
    return [t.model_dump(include={"name", "parameters", "returns", "effect"}) for t in tools]


def split(folder):
    "The same API as people keep it: an operation, a schema, a parameter in files of their own"
    put = lambda name, value: ((folder / name).parent.mkdir(exist_ok=True, parents=True), (folder / name).write_text(json.dumps(value)))
    paths = json.loads(json.dumps(WHOLE["paths"]))
    op = paths["/pets/{id}"]["get"]
    op["parameters"] = [{"$ref": "../shared/parameters.json#/Limit"}]
    op["responses"] = {"default": {"$ref": "../shared/responses.json#/Pet"}}
    put("operations/get_pet.json", op)
    put("shared/parameters.json", WHOLE["components"]["parameters"])
    put("shared/responses.json", {"Pet": {"description": "one", "content": {"application/json": {"schema": {"$ref": "../models/Pet.json"}}}}})
    put("models/Pet.json", {**PET, "properties": {"name": {"type": "string"}, "tail": {"$ref": "Tail.json"}}})
    put("models/Tail.json", {"type": "object", "properties": {"example": {"type": "string"}, "of": {"$ref": "Pet.json"}}})
    paths["/pets/{id}"]["get"] = {"$ref": "operations/get_pet.json"}
    paths["/pets"]["post"]["requestBody"]["content"]["application/json"]["schema"] = {"$ref": "models/Pet.json"}
    put("paths/pets.json", {"post": {"$ref": "../api.json#/x-add"}})
    add = paths.pop("/pets")["post"]
    put("api.json", {**WHOLE, "paths": {**paths, "/pets": {"$ref": "paths/pets.json"}}, "x-add": add, "components": {}})
    return folder / "api.json"


def test_files_beside_a_document_give_the_tools_of_the_whole(tmp_path):
    got = parse_tools(split(tmp_path))
    want = parse_openapi(WHOLE)
    assert not got.dropped and not want.dropped
    assert plain(got.kept) == plain(want.kept)
    assert got.kept[0].properties["limit"]["maximum"] == 50


def test_a_map_of_names_may_be_a_file(tmp_path):
    for section in ("schemas", "parameters", "responses"):
        (tmp_path / f"{section}.json").write_text(json.dumps(WHOLE["components"][section]).replace("#/components/", "api.json#/components/"))
    doc = {**WHOLE, "components": {s: {"$ref": f"{s}.json"} for s in ("schemas", "parameters", "responses")}}
    (tmp_path / "api.json").write_text(json.dumps(doc))
    got = parse_tools(tmp_path / "api.json")
    assert plain(got.kept) == plain(parse_openapi(WHOLE).kept)


def test_nothing_outside_the_folder_is_read_and_the_reason_is_said(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "secret.json").write_text('{"type": "string", "description": "the password is 1234"}')
    os.symlink(tmp_path / "secret.json", home / "link.json")
    (home / "deep.json").write_text('{"a":' * 3000 + "1" + "}" * 3000)
    (home / "bad.json").write_text("{no")
    refs = ["../secret.json", str(tmp_path / "secret.json"), "link.json", "none.json", "bad.json", "deep.json", "https://example.org/x.json"]
    paths = {f"/p{i}": {"get": {"operationId": f"p{i}", "parameters": [{"name": "x", "in": "query", "schema": {"$ref": r}}]}} for i, r in enumerate(refs)}
    (home / "api.json").write_text(json.dumps({"openapi": "3.0.0", "info": {}, "paths": {**paths, "/ok": {"get": {"operationId": "ok"}}}}))
    got = parse_tools(home / "api.json")
    assert [t.name for t in got.kept] == ["ok"]
    said = [d.detail for d in got.dropped]
    for i, why in enumerate(["outside the document's folder"] * 3 + ["there is no file", "cannot be read", "nested too deeply", "not fetched"]):
        assert why in said[i] and f"~1p{i}" in said[i] and "1234" not in said[i], said[i]


def test_files_that_refer_to_each_other_without_end(tmp_path):
    (tmp_path / "a.json").write_text('{"$ref": "b.json"}')
    (tmp_path / "b.json").write_text('{"$ref": "a.json"}')
    (tmp_path / "m.json").write_text('{"$ref": "n.json"}')
    (tmp_path / "n.json").write_text('{"$ref": "m.json"}')
    doc = {"openapi": "3.0.0", "info": {}, "paths": {"/a": {"get": {"$ref": "a.json"}}}, "components": {"schemas": {"$ref": "m.json"}}}
    (tmp_path / "api.json").write_text(json.dumps(doc))
    try:
        got = parse_tools(tmp_path / "api.json")
    except SynthgenError as e:
        assert "too deeply" in str(e)
    else:
        assert "without end" in got.dropped[0].detail


def test_operations_of_3_2_and_keys_that_mean_nothing():
    op = {"responses": {"200": {"description": "ok", "content": {"application/jsonl": {"itemSchema": {"type": "integer"}}}}}}
    doc = {
        "openapi": "3.2.0",
        "info": {},
        "paths": {
            "/s": {
                "query": {**op, "operationId": "q"},
                "additionalOperations": {"COPY": {"operationId": "c"}, "PROPFIND": {"operationId": "p"}},
                "Post": {},
                "sumary": "x",
                "x-own": 1,
            }
        },
    }
    got = parse_openapi(doc, "api")
    assert {t.name: (t.binding["method"], t.effect) for t in got.kept} == {"q": ("QUERY", "read"), "c": ("COPY", "write"), "p": ("PROPFIND", "read")}
    assert got.kept[0].returns == {"type": "array", "items": {"type": "integer"}}
    assert [d.detail.partition("/paths/~1s/")[2].split(":")[0] for d in got.dropped] == ["Post", "sumary"]


def test_what_is_said_to_others_than_a_caller_does_not_reach_the_model():
    schema = {
        "type": "object",
        "xml": {"name": "p"},
        "x-go-name": "P",
        "externalDocs": {"url": "u"},
        "discriminator": {"propertyName": "k"},
        "properties": {"xml": {"type": "string"}, "k": {"type": "string", "pattern": "(?<n", "x-order": 3}},
    }
    doc = {"openapi": "3.0.0", "info": {}, "paths": {"/s": {"put": {"operationId": "p", "requestBody": {"content": {"application/json": {"schema": schema}}}}}}}
    body = parse_openapi(doc).kept[0].function()["function"]["parameters"]["properties"]["body"]
    assert body == {"type": "object", "properties": {"xml": {"type": "string"}, "k": {"type": "string", "x-pattern": "(?<n"}}}


@pytest.mark.parametrize("taken", [["id_query"], ["id_query", "id_query_2"], []])
def test_a_suffix_never_takes_the_name_of_another_parameter(taken):
    params = [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}, {"name": "id", "in": "query", "schema": {"type": "integer"}}]
    params += [{"name": n, "in": "query", "schema": {"type": "boolean"}} for n in taken]
    tool = parse_openapi({"openapi": "3.1.0", "info": {}, "paths": {"/u/{id}": {"get": {"operationId": "u", "parameters": params}}}}).kept[0]
    assert {(p["in"], p["name"]) for p in tool.binding["places"].values()} == {(p["in"], p["name"]) for p in params}
    for n in taken:
        assert tool.binding["places"][n]["name"] == n and tool.properties[n]["type"] == "boolean"


SHAPES = {
    "gemini": [
        {
            "functionDeclarations": [
                {
                    "name": "f",
                    "parameters": {
                        "type": "OBJECT",
                        "properties": {"a": {"type": "STRING", "nullable": True}, "b": {"type": "ARRAY", "minItems": "1", "items": {"type": "INTEGER"}}},
                        "required": ["a"],
                    },
                }
            ]
        }
    ],
    "gemini, snake": {
        "tools": [
            {
                "function_declarations": [
                    {
                        "name": "f",
                        "parametersJsonSchema": {
                            "type": "object",
                            "properties": {"a": {"type": ["string", "null"]}, "b": {"type": "array", "minItems": 1, "items": {"type": "integer"}}},
                            "required": ["a"],
                        },
                    }
                ]
            }
        ]
    },
    "bedrock": {
        "toolConfig": {
            "tools": [
                {
                    "toolSpec": {
                        "name": "f",
                        "inputSchema": {
                            "json": {
                                "type": "object",
                                "properties": {"a": {"type": ["string", "null"]}, "b": {"type": "array", "minItems": 1, "items": {"type": "integer"}}},
                                "required": ["a"],
                            }
                        },
                    }
                }
            ]
        }
    },
    "by name": {
        "f": {
            "description": "",
            "parameters": {
                "type": "object",
                "properties": {"a": {"type": ["string", "null"]}, "b": {"type": "array", "minItems": 1, "items": {"type": "integer"}}},
                "required": ["a"],
            },
        }
    },
}


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_of_other_programs(shape):
    (tool,) = parse_text(json.dumps(SHAPES[shape]), "tools.json").kept
    assert (tool.name, tool.required) == ("f", ["a"])
    assert tool.properties == {"a": {"type": ["string", "null"]}, "b": {"type": "array", "minItems": 1, "items": {"type": "integer"}}}


def test_servers_by_name_keep_their_tools_apart():
    got = parse_text(
        json.dumps(
            {"time": {"tools": [{"name": "now", "inputSchema": {"type": "object"}}]}, "git": {"tools": [{"name": "log", "inputSchema": {"type": "object"}}]}}
        )
    )
    assert {t.name: t.category for t in got.kept} == {"now": "time", "log": "git"}


@pytest.mark.parametrize(
    "word, required", [("str, optional", False), ("optional str", False), ("str (optional)", False), ("str", True), ("str, required", True), ("Str", True)]
)
def test_types_that_say_whether_they_are_needed(word, required):
    (tool,) = parse_text(
        json.dumps([{"name": "f", "parameters": {"unit": {"type": word, "description": "u"}, "n": {"type": "int, required", "default": 2}}}])
    ).kept
    assert tool.properties["unit"] == {"type": "string", "description": "u"}
    assert tool.required == (["unit", "n"] if required else ["n"])


@pytest.mark.parametrize("key", ["mcpServers", "servers"])
def test_a_client_configuration_is_told_from_tools(key, tmp_path, synthgen):
    config = {
        key: {
            "files": {"command": "npx", "args": ["-y", "server", "my folder"], "env": {"KEY": "sk-secret"}},
            "far": {"url": "https://u:pw@mcp.example/sse?key=abc"},
        }
    }
    (tmp_path / "client.json").write_text(json.dumps(config))
    r = synthgen("tool-parse", str(tmp_path / "client.json"), "-o", str(tmp_path / "o.jsonl"), ok=False)
    said = r.stdout + r.stderr
    assert "names MCP servers" in said and "mcp:npx -y server" in said and "sk-secret" not in said
