"""Arguments and their sources, calls held against gold answers, what is exported, and what the command line says."""

import asyncio
import json
import re
from pathlib import Path

import pytest
from conftest import rows

from synthgen_nb.core.models import open_model
from synthgen_nb.core.records import load
from synthgen_nb.export.conversations import TOOL_FORMATS, export_tools, features, trl
from synthgen_nb.specs.trajectory import Call, Observation, Ref, Trajectory, Turn
from synthgen_nb.tools.gorilla import bfcl_check, realised
from synthgen_nb.tools.grounding import sourced, stated
from synthgen_nb.tools.rows import Plan, make_rows
from synthgen_nb.worlds.hdf5 import hdf5_tools, hdf5_world

TOOLS = {t.name: t for t in hdf5_tools()}

PATH = "/stations/oslo/temperature"


# Grounding and matching


def test_values_come_from_the_instruction_or_an_earlier_result():
    seen = {"call_1": Observation(call="call_1", status="ok", source="executed", world="w", content={"paths": ["/b", PATH]})}
    call, lost = sourced(Call(id="call_2", tool="get_shape", arguments={"file": "weather.h5", "path": PATH}), TOOLS["get_shape"], "in weather.h5", seen)
    assert call.refs == (Ref(param="/path", call="call_1", path="/paths/1"),) and call.arguments == {"file": "weather.h5"} and not lost
    assert stated(0.86421, "about 0.864") and not stated(0.86421, "about 0.87") and not stated(12, "in 2012")


def test_gorilla_numbers_of_the_files_at_hand(data):

    from synthgen_nb.tools.gorilla import grade, reference

    want = {
        ("tensorflowhub", "RT_bm25"): (41.9, 2.77),
        ("tensorflowhub", "RT_gpt_index"): (64.96, 2.19),
        ("tensorflowhub", "FT_0_shot"): (83.94, 5.26),
        ("tensorflowhub", "RT_oracle"): (93.87, 2.34),
        ("torchhub", "RT_bm25"): (50.0, 5.91),
        ("torchhub", "FT_0_shot"): (75.81, 16.13),
    }
    read = lambda p: rows(data / "tools/apibench" / p)
    for (hub, cell), (overall, hallucination) in want.items():
        apis, exam = read(f"data/api/{hub}_api.jsonl"), read(f"data/apibench/{hub.removesuffix('hub') if hub[1] == 'e' else hub}_eval.json")
        answers = read(f"gorilla/eval/eval-data/responses/{hub}/response_{hub}_Gorilla_{cell}.jsonl")
        pairs = [(a["text"], exam[a["question_id"] - 1]["api_data"]["domain"]) for a in answers]
        assert grade(pairs, [reference(a["api_call"], hub) for a in apis], [a["domain"] for a in apis]) == dict(overall=overall, hallucination=hallucination)


def test_bfcl_gold_answers():
    package = pytest.importorskip("bfcl_eval")
    folder = Path(package.__path__[0]) / "data"
    n = ok = 0
    for part in (
        "simple_python",
        "multiple",
        "parallel",
        "parallel_multiple",
        "live_simple",
        "live_multiple",
        "live_parallel",
        "live_parallel_multiple",
    ):
        gold = {r["id"]: r["ground_truth"] for r in rows(folder / f"possible_answer/BFCL_v4_{part}.json")}
        for r in rows(folder / f"BFCL_v4_{part}.json"):
            calls = [realised(g) for g in gold[r["id"]]]
            good = not bfcl_check(r["function"], calls, gold[r["id"]])
            n, ok = n + 1, ok + good
            if good:
                name, args = calls[0]
                assert bfcl_check(r["function"], [(name + "_x", args), *calls[1:]], gold[r["id"]])
                assert bfcl_check(r["function"], [(name, args | {"not_there": 1}), *calls[1:]], gold[r["id"]])
                assert bfcl_check(r["function"], [*calls, calls[0]], gold[r["id"]]) == "wrong_count"
    assert (n, ok) == (2351, 2344)


# Formats


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
    export_tools([t, t], hdf5_tools(), tmp_path / f"rows.{ext}", "trl")
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


@pytest.mark.parametrize("name", TOOL_FORMATS)
def test_every_format_keeps_reasoning_results_and_arguments(tmp_path, made, name):
    t, _ = falsy()
    for row in (t, *made.rows[:6]):
        text = json.dumps(TOOL_FORMATS[name](row, TOOLS, "Be brief."), ensure_ascii=False).replace('\\"', '"')
        assert all(turn.thought[:30] in text for turn in row.turns) and row.answer[:60] in text
        assert all(c.tool in text for c in row.calls)
    text = json.dumps(TOOL_FORMATS[name](t, TOOLS, "Be brief."))
    assert name == "jsonl" or ("Be brief." in text and "false" in text and "None" not in text)
    chained = next(r for r in made.rows if any(c.refs for c in r.calls))
    if name != "jsonl":
        assert "call_1/" not in json.dumps(TOOL_FORMATS[name](chained, TOOLS)) and not re.search(r'"refs"', json.dumps(TOOL_FORMATS[name](chained, TOOLS)))
    assert export_tools(made.rows, hdf5_tools(), tmp_path / "x.jsonl", name) == 36 == len(rows(tmp_path / "x.jsonl"))


# The command line


def test_pipeline_on_the_default_world(synthgen):
    r = synthgen("tool-pipeline", "hdf5", "-o", "train.jsonl", "--target-pairs", 8)
    train = rows(synthgen.folder / "train.jsonl")
    assert len(train) == 8 and "every call executed in hdf5" in r.stdout and all(x["tools"] for x in train)
    folder = next((synthgen.folder / "runs").iterdir())
    record = json.loads((folder / "run.json").read_text())
    assert record["status"] == "done" and record["measures"]["failed_calls"] == 0 and record["world"] == "hdf5"
    for name in ("sequences.png", "coverage.png", "funnel.png", "README.md", "records/final.jsonl", "records/tools.jsonl"):
        assert (folder / name).stat().st_size
    assert "34 tools" in synthgen("show").stdout


def test_generate_and_curate_a_specification(synthgen, data):
    spec = data / "specs/readme/3.1-petstore.json"
    synthgen("tool-generate", spec, "-o", "rows.jsonl", "--target-pairs", 12, "--multi-step", "--max-steps", 3)
    made = load(synthgen.folder / "rows.jsonl", Trajectory)
    assert len(made) == 12 and all(2 <= len(t.calls) <= 3 and all(o.executed and o.ok for o in t.observations) for t in made)
    r = synthgen("tool-curate", "rows.jsonl", "-o", "good.jsonl", "--tools", spec, "--threshold", 5)
    good = load(synthgen.folder / "good.jsonl", Trajectory)
    assert good and all(any(s.criterion == "tool_selection" for s in t.scores) for t in good) and "difficulty" in r.stdout
    assert json.loads((synthgen.folder / "good_metrics.json").read_text())["kept"] == len(good)
    synthgen("tool-curate", "rows.jsonl", "-o", "rows.jsonl", ok=False)
    assert "name=value" in synthgen("tool-generate", spec, "-o", "x.jsonl", "--value", "petId", ok=False).stderr
