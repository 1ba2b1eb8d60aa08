"""Conversations with tools in every training format: nothing lost, nothing padded, nothing made up."""

import asyncio
import json

import pytest
from conftest import rows

from synthgen_nb.core.listed import all_leaves
from synthgen_nb.core.models import open_model
from synthgen_nb.export.conversations import CONVERSATION_FORMATS, trl
from synthgen_nb.export.fit import Target, fit
from synthgen_nb.export.formats import export, features
from synthgen_nb.specs.tool import Tool
from synthgen_nb.specs.trajectory import Call, Observation, Ref, Trajectory, Turn
from synthgen_nb.tools.rows import Plan, make_rows
from synthgen_nb.worlds.hdf5 import hdf5_tools, hdf5_world

TOOLS = {t.name: t for t in hdf5_tools()}

TEMPLATE = """{% for t in tools %}{{ t.function.name }}({{ t.function.parameters.properties | list | join(',') }}) {% endfor %}
{% for m in messages %}<{{ m.role }}>{{ m.content or '' }}\
{% for c in m.tool_calls or [] %}[{{ c.id }} {{ c.function.name }} {{ c.function.arguments | tojson }}]{% endfor %}
{% endfor %}"""


def falsy():
    values = [0, False, [], "", None, {}]
    call = lambda i: Call(id=f"call_{i}", tool="list_files")
    seen = lambda i, v: Observation(call=f"call_{i}", status="ok", source="executed", world="w", content=v)
    turns = [Turn(role="assistant", thought=f"thought {i}", calls=(call(i),), observations=(seen(i, v),), train=i != 2) for i, v in enumerate(values)]
    return Trajectory(
        turns=(Turn(role="user", text="Go."), *turns, Turn(role="assistant", text="Done.")), tools=("list_files", "histogram", "get_shape")
    ), values


@pytest.mark.parametrize("ext", ["jsonl", "parquet"])
def test_schemas_are_not_padded_and_false_results_survive(tmp_path, ext):
    from datasets import load_dataset
    from jinja2 import Environment

    t, values = falsy()
    export([t, t], tmp_path / f"rows.{ext}", "trl", tools=hdf5_tools())
    kind = "json" if ext == "jsonl" else "parquet"
    back = load_dataset(kind, data_files=str(tmp_path / f"rows.{ext}"), split="train", features=features("trl"), cache_dir=str(tmp_path / "cache"))[0]
    assert back == trl(t, TOOLS) and back["tools"] == [TOOLS[n].function() for n in t.tools]
    results = [m["content"] for m in back["messages"] if m["role"] == "tool"]
    assert [json.loads(r) for r in results] == values
    ids = [c["id"] for m in back["messages"] for c in m.get("tool_calls", [])]
    assert ids == [m["tool_call_id"] for m in back["messages"] if m["role"] == "tool"]
    assert [x for m, x in zip(back["messages"], back["train_on"], strict=True) if m["role"] == "assistant"] == [i != 2 for i in range(7)]
    text = Environment().from_string(TEMPLATE).render(**back)
    assert "histogram(file,path,bins)" in text and "[call_0 list_files {}]" in text and "<tool>0\n" in text and "<tool>false\n" in text


@pytest.fixture(scope="module")
def made():
    return asyncio.run(make_rows(hdf5_tools(), open_model(provider="offline"), hdf5_world, Plan(36)))


@pytest.mark.parametrize("name", CONVERSATION_FORMATS)
def test_every_format_keeps_reasoning_results_and_arguments(tmp_path, made, name):
    t, _ = falsy()
    for row in (t, *made.rows[:6]):
        text = json.dumps(CONVERSATION_FORMATS[name](row, TOOLS, "Be brief."), ensure_ascii=False).replace('\\"', '"')
        assert all(turn.thought[:30] in text for turn in row.turns) and row.answer[:60] in text
        assert all(c.tool in text for c in row.calls)
    text = json.dumps(CONVERSATION_FORMATS[name](t, TOOLS, "Be brief."))
    assert name == "jsonl" or ("Be brief." in text and "false" in text and "None" not in text)
    chained = next(r for r in made.rows if any(c.refs for c in r.calls))
    if name != "jsonl":
        text = json.dumps(CONVERSATION_FORMATS[name](chained, TOOLS))
        assert "call_1/" not in text and '"refs"' not in text
    assert export(made.rows, tmp_path / "x.jsonl", name, tools=hdf5_tools()) == 36 == len(rows(tmp_path / "x.jsonl"))


def test_a_reference_into_a_text_survives_the_check_of_templates():
    "Templates are tried with slots for texts, and a slot lists nothing"
    listing = Observation(call="call_1", status="ok", source="executed", world="x", content={"content": "- a.txt\n- b.txt"})
    at = next(at for at, v in all_leaves(listing.content) if v == "b.txt")
    read = Observation(call="call_2", status="ok", source="executed", world="x", content="second")
    calls = (
        Call(id="call_1", tool="list_files", arguments={}),
        Call(id="call_2", tool="read_file", arguments={}, refs=(Ref(param="/path", call="call_1", path=at),)),
    )
    turns = (
        Turn(role="user", text="Read the second of the files."),
        Turn(role="assistant", calls=calls[:1], observations=(listing,)),
        Turn(role="assistant", calls=calls[1:], observations=(read,)),
        Turn(role="assistant", text="It says second."),
    )
    tools = [Tool(name=n, parameters={"type": "object", "properties": {"path": {"type": "string"}}}) for n in ("list_files", "read_file")]
    out = fit([Trajectory(turns=turns, tools=("list_files", "read_file"))], Target("hf"), tools)
    assert [d.detail for d in out.dropped] == [] and len(out.kept) == 1
