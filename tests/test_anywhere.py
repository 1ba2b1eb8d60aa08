"""Rows with tool calls from anywhere: every form is read whole, every export is read back, and what cannot be read is named."""

import json

import pytest
from conftest import rows

from synthgen_nb.export.anywhere import ASPECTS, LOST, lost, lost_in
from synthgen_nb.export.conversations import CONVERSATION_FORMATS, hf, openai
from synthgen_nb.export.formats import FORMATS, export
from synthgen_nb.export.templates import load_templates, render
from synthgen_nb.core.records import Pair, load
from synthgen_nb.specs.tool import Tool
from synthgen_nb.specs.trajectory import Call, Observation, Trajectory, Turn, as_trajectory, read_trajectories

SPEC = {
    "name": "get_size",
    "description": "Size of a path.",
    "parameters": {"type": "object", "properties": {"path": {"type": "string"}, "deep": {"type": "boolean"}}, "required": ["path"]},
}
ARGS = {"path": "/a", "deep": False}
CALL, TEXT = {"name": "get_size", "arguments": ARGS}, json.dumps(ARGS)
USER, END = {"role": "user", "content": "How large is /a?"}, {"role": "assistant", "content": "It has size 0."}
HUMAN, GPT = {"from": "human", "value": USER["content"]}, {"from": "gpt", "value": END["content"]}
SYSTEM = f"You may call these.\n<tools>\n{json.dumps({'type': 'function', 'function': SPEC})}\n</tools>\nBe brief."
REACT = f"\nThought: I look.\nAction: get_size\nAction Input: {TEXT}"
FINISH = "Thought: Done.\nAction: Finish\nAction Input: " + json.dumps({"return_type": "give_answer", "final_answer": END["content"]})


def asked(arguments=TEXT, id="c1", **more):
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": id, "type": "function", "function": {"name": "get_size", "arguments": arguments}}],
    } | more


def told(content="0", id="c1"):
    return {"role": "tool", "tool_call_id": id, "content": content}


def chat(*turns, **more):
    return {"messages": [USER, *turns, END], "tools": [{"type": "function", "function": SPEC}]} | more


PART = [{"type": "text", "text": USER["content"]}]
FORMS = {
    "openai": chat(asked(), told()),
    "openai objects": chat(asked(ARGS), told()),
    "openai python": chat(asked(str(ARGS)), told()),
    "openai encoded twice": chat(asked(json.dumps(TEXT)), told()),
    "openai parts": {"messages": [{"role": "user", "content": PART}, asked(), told([{"type": "text", "text": "0"}]), END], "tools": json.dumps([SPEC])},
    "openai without ids": chat({"role": "assistant", "tool_calls": [{"function": CALL}]}, {"role": "tool", "content": "0"}),
    "openai columns of text": {"messages": json.dumps(chat(asked(), told())["messages"]), "tools": json.dumps([SPEC])},
    "function_call": chat(
        {"role": "assistant", "content": "", "function_call": {"name": "get_size", "arguments": TEXT}}, {"role": "function", "name": "get_size", "content": "0"}
    ),
    "sharegpt": {
        "conversations": [HUMAN, {"from": "function_call", "value": json.dumps(CALL)}, {"from": "observation", "value": "0"}, GPT],
        "tools": json.dumps([SPEC]),
        "system": "Be brief.",
    },
    "ms-swift": chat({"role": "tool_call", "content": json.dumps(CALL)}, {"role": "tool_response", "content": "0"}, tools=json.dumps([SPEC])),
    "hermes": {
        "conversations": [
            {"from": "system", "value": SYSTEM},
            HUMAN,
            {"from": "gpt", "value": f"I look.\n<tool_call>\n{CALL}\n</tool_call>"},
            {"from": "tool", "value": '<tool_response>\n{"name": "get_size", "content": 0}\n</tool_response>'},
            GPT,
        ]
    },
    "qwen": {
        "messages": [
            {"role": "system", "content": SYSTEM},
            USER,
            {"role": "assistant", "content": f"<think>\nLook.\n</think>\n\n<tool_call>\n{json.dumps(CALL)}\n</tool_call>"},
            {"role": "user", "content": "<tool_response>\n0\n</tool_response>"},
            END,
        ]
    },
    "toolbench converted": {
        "id": "a",
        "conversations": [
            {"from": "system", "value": f"Specifically, you have access to the following APIs: {[SPEC]}"},
            {"from": "user", "value": USER["content"]},
            {"from": "assistant", "value": REACT},
            {"from": "function", "value": "0"},
            {"from": "assistant", "value": FINISH},
        ],
    },
    "toolbench answer": {
        "answer_generation": {
            "query": USER["content"],
            "function": [SPEC],
            "train_messages": [
                [USER],
                [
                    {"role": "user", "content": f"\n{USER['content']}\nBegin!\n"},
                    {"role": "assistant", "content": "None", "function_call": {"name": "get_size", "arguments": TEXT}},
                    {"role": "function", "name": "get_size", "content": "0"},
                    {
                        "role": "assistant",
                        "content": "None",
                        "function_call": {"name": "Finish", "arguments": json.dumps({"return_type": "give_answer", "final_answer": END["content"]})},
                    },
                ],
            ],
        }
    },
    "toolace": {
        "system": f"Here is a list of functions in JSON format that you can invoke:\n{json.dumps([SPEC])}.",
        "conversations": [
            {"from": "user", "value": USER["content"]},
            {"from": "assistant", "value": '[get_size(path="/a", deep=False)]'},
            {"from": "tool", "value": "0"},
            {"from": "assistant", "value": END["content"]},
        ],
    },
    "glaive": {
        "system": f"SYSTEM: You are a helpful assistant with access to the following functions. Use them if required -\n{json.dumps(SPEC, indent=4)}\n",
        "chat": f'USER: {USER["content"]}\n\n\nASSISTANT: <functioncall> {{"name": "get_size", "arguments": \'{TEXT}\'}} <|endoftext|>\n\n\n'
        f"FUNCTION RESPONSE: 0\n\n\nASSISTANT: {END['content']} <|endoftext|>\n\n\n",
    },
    "anthropic": {
        "system": [{"type": "text", "text": "Be brief."}],
        "messages": [
            USER,
            {"role": "assistant", "content": [{"type": "text", "text": "I look."}, {"type": "tool_use", "id": "t1", "name": "get_size", "input": ARGS}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "0"}]}]},
            END,
        ],
        "tools": [{"name": "get_size", "description": SPEC["description"], "input_schema": SPEC["parameters"]}],
    },
    "gemini": {
        "contents": [
            {"role": "user", "parts": [{"text": USER["content"]}]},
            {"role": "model", "parts": [{"functionCall": {"name": "get_size", "args": ARGS}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "get_size", "response": {"result": 0}}}]},
            {"role": "model", "parts": [{"text": END["content"]}]},
        ],
        "tools": [{"functionDeclarations": [SPEC]}],
    },
    "trl": {"prompt": [USER], "completion": [asked(ARGS), told(), END], "tools": [SPEC]},
    "alpaca": {"instruction": USER["content"], "input": "", "output": f"{REACT.strip()}\nObservation: 0\nFinal Answer: {END['content']}", "tools": [SPEC]},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_says_the_same(form):
    t = as_trajectory(FORMS[form])
    assert t.instruction == USER["content"] and t.answer == END["content"]
    assert [(c.tool, c.arguments) for c in t.calls] == [("get_size", ARGS)]
    assert [(o.source, o.status, o.content) for o in t.observations] == [("given", "ok", 0)] and not any(o.executed for o in t.observations)
    assert [x.function()["function"] for x in t.own if x.name == "get_size"] == [SPEC] and "get_size" in t.tools
    assert ("system" in FORMS[form] or "system" in str(FORMS[form])[:60]) == (t.turns[0].role == "system")
    again = as_trajectory(hf(t, {}))
    assert set(lost(t, again, {})) <= {"scores and history"}


@pytest.mark.parametrize("form", FORMS)
def test_forms_in_files_of_each_kind(form, tmp_path):
    t = as_trajectory(FORMS[form])
    (tmp_path / "one.json").write_text(json.dumps(FORMS[form]))
    (tmp_path / "list.json").write_text(json.dumps([FORMS[form]]))
    (tmp_path / "rows.jsonl").write_text("\ufeff" + json.dumps(FORMS[form]) + "\n\n")
    for name in ("one.json", "list.json", "rows.jsonl"):
        assert read_trajectories(tmp_path / name).kept == [t], name


def test_columns_of_arrow_are_read_without_their_padding(tmp_path):
    from datasets import Dataset

    Dataset.from_list([FORMS["openai"] | {"source": None}, FORMS["openai"] | {"source": "x"}]).to_parquet(tmp_path / "rows.parquet")
    got = read_trajectories(tmp_path / "rows.parquet").kept
    assert [c.arguments for t in got for c in t.calls] == [ARGS, ARGS] and [o.content for t in got for o in t.observations] == [0, 0]
    assert got[1].meta["source"] == "x"


def test_calls_made_together():
    two = [dict(CALL, arguments={"path": p}) for p in "ab"]
    parallel = {
        "openai": chat({"role": "assistant", "tool_calls": [{"id": x["arguments"]["path"], "function": x} for x in two]}, told("1", "b"), told("[]", "a")),
        "ms-swift": chat(*[{"role": "tool_call", "content": json.dumps(x)} for x in two], *[{"role": "tool_response", "content": x} for x in ("[]", "1")]),
        "one list": {
            "conversations": [HUMAN, {"from": "function_call", "value": json.dumps(two)}, {"from": "observation", "value": "[[], 1]"}, GPT],
            "tools": [SPEC],
        },
        "hermes": chat(
            {"role": "assistant", "content": "".join(f"<tool_call>{json.dumps(x)}</tool_call>" for x in two)},
            {"role": "tool", "content": "<tool_response>[]</tool_response>\n<tool_response>1</tool_response>"},
        ),
        "xlam": {"query": "Both?", "answers": json.dumps(two), "tools": json.dumps([SPEC])},
        "bracketed": chat({"role": "assistant", "content": '[get_size(path="a"), get_size(path="b")]'}, {"role": "tool", "content": "[[], 1]"}),
    }
    for name, row in parallel.items():
        t = as_trajectory(row)
        assert [[c.arguments for c in x.calls] for x in t.turns if x.calls] == [[{"path": "a"}, {"path": "b"}]], name
        assert [o.content for o in t.observations] == ([] if name == "xlam" else [[], 1]), name


def test_masks_of_each_trainer_and_columns_of_others():
    for mask in ({"train": False}, {"weight": 0}, {"loss": False}):
        t = as_trajectory({"messages": [USER, END | mask, USER, END], "topic": "sizes", "id": 7})
        assert [x.train for x in t.turns if x.role == "assistant"] == [False, True] and t.meta == {"topic": "sizes", "id": 7}
    t = as_trajectory({"messages": [USER, END, USER, END], "train_on": [False, True, False, False], "id": "row-1"})
    assert [x.train for x in t.turns if x.role == "assistant"] == [True, False] and t.id == "row-1"
    t = as_trajectory({"messages": [USER | {"name": "Ann"}, END | {"refusal": None}], "train_on": [True], "tools": [SPEC], "functions": ["other"]})
    assert t.meta["kept"] == {"/messages/0/name": "Ann"} and t.meta["train_on"] == [True] and t.meta["functions"] == ["other"]
    assert "train_on" in t.meta["reading"][0]


DROPPED = {
    "invalid_arguments": [[USER, asked('{"path": "/')], [USER, asked([1])], [USER, asked("three")], [USER, asked("{'a': {1}}")]],
    "result_without_call": [
        [USER, told()],
        [USER, asked(), told(), told()],
        [USER, asked(), told("0", "z")],
        [USER, asked(), USER, {"role": "tool", "content": "0"}],
    ],
    "invalid_call": [
        [USER, {"role": "assistant", "tool_calls": [{"function": {"name": 3}}]}],
        [USER, {"role": "assistant", "tool_calls": "x"}],
        [USER, {"role": "tool_call", "content": "{"}],
    ],
    "not_text": [[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}], [{"role": "user", "content": [3]}]],
    "unknown_role": [[{"role": "narrator", "content": "x"}], [{"content": "x"}], [{"role": ["user"], "content": "x"}]],
    "invalid_message": [[[USER]], ["x"], [USER | {"function_call": CALL}]],
    "nested_too_deeply": [
        [USER, asked(json.loads('{"a":' * 300 + "1" + "}" * 300))],
        [USER, asked('{"a":' * 100_000 + "1" + "}" * 100_000)],
        [USER, asked("[" * 5_000)],
    ],
}


@pytest.mark.parametrize("kind", DROPPED)
def test_what_cannot_be_read_is_dropped_with_file_row_and_reason(kind, tmp_path):
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps(r) for r in [FORMS["openai"], *({"messages": m} for m in DROPPED[kind])]))
    got = read_trajectories(tmp_path / "rows.jsonl")
    assert len(got.kept) == 1 and [d.reason for d in got.dropped] == [f"invalid_row:{kind}"] * len(DROPPED[kind])
    for i, d in enumerate(got.dropped, 2):
        assert d.detail.startswith(f"{tmp_path / 'rows.jsonl'}: line {i}: ") and d.stage == "load" and d.record


def test_bad_lines_cost_a_line(tmp_path):
    lines = [
        json.dumps(FORMS["openai"]),
        '{"messages": [',
        "3",
        "null",
        "[]",
        '"x"',
        "{}",
        "[" * 100_000,
        '{"messages": null}',
        '{"messages": {}}',
        '{"turns": 3}',
        '{"turns": [3]}',
        '{"contents": 1}',
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    got = read_trajectories(tmp_path / "rows.jsonl")
    assert len(got.kept) == 1 and [d.detail.split(": ")[1] for d in got.dropped] == [f"line {i}" for i in range(2, len(lines) + 1)]
    assert len({d.id for d in got.dropped}) > 5


def test_calls_without_results_are_unseen_and_never_made_up():
    t = as_trajectory({"messages": [USER, asked(), told(), asked("{}", "c2")], "tools": [SPEC]})
    assert [o.status for o in t.observations] == ["ok", "unseen"] and not t.observations[1].ok
    assert [m["role"] for m in hf(t, {})["messages"]] == ["user", "assistant", "tool", "assistant"]
    assert as_trajectory(hf(t, {})).turns == t.turns
    assert as_trajectory({"messages": [USER, asked(""), END]}).observations == []


def test_ids_that_repeat(tmp_path):
    t = as_trajectory(chat(asked(), told("1"), asked(), told("2")))
    assert [c.id for c in t.calls] == ["c1", "c1_2"] == [o.call for o in t.observations] and [o.content for o in t.observations] == [1, 2]
    assert "c1_2" in t.meta["reading"][0]
    one, other = chat(asked(), told(), id="r"), chat(asked(), told("3"), id="r")
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, (one, one, other))))
    a, b, c = read_trajectories(tmp_path / "rows.jsonl").kept
    assert a == b and a.id == "r" != c.id and c.parents == ("r",) and "earlier row" in c.meta["reading"][0]


def test_results_keep_their_words():
    for text, value in {
        "0": 0,
        "1.10": "1.10",
        "007": "007",
        "NaN": "NaN",
        "": "",
        "null": None,
        '"a"': "a",
        "No such file": "No such file",
        '{"error": ""}': {"error": ""},
    }.items():
        (o,) = as_trajectory(chat(asked(), told(text))).observations
        assert (o.status, o.content) == ("ok", value), text
    (o,) = as_trajectory(chat(asked(), told('{"error": "no such path"}'))).observations
    assert (o.status, o.error) == ("error", "no such path")
    failed = FORMS["anthropic"] | {
        "messages": [
            *FORMS["anthropic"]["messages"][:2],
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "is_error": True, "content": "gone"}]},
        ]
    }
    assert as_trajectory(failed).observations[0].error == "gone"


def test_tools_that_cannot_be_read_are_named_and_the_others_used():
    t = as_trajectory(
        chat(
            asked(),
            told(),
            tools=[SPEC, "x", {"name": "bad", "parameters": {"type": "object", "properties": {"a": {"type": 3}}}}, SPEC, SPEC | {"description": "Other."}],
        )
    )
    assert t.tools == ("get_size",) and [u["why"].split(":")[0] for u in t.meta["unread_tools"]] == ["tools/1", "tools/2", "tools/4"]
    xlam = [{"name": "get.size", "description": "", "parameters": {"path": {"type": "str, optional", "description": "where"}}}]
    t = as_trajectory({"query": "How?", "answers": [{"name": "get.size", "arguments": {}}], "tools": xlam})
    assert t.tools == ("get.size",) and t.own[0].properties["path"]["type"] == "string" and t.own[0].required == []


def hard():
    seen = lambda id, content=None, status="ok", error="": Observation(call=id, status=status, source="executed", world="w", content=content, error=error)
    calls = (Call(id="x9", tool="list"), Call(id="x7", tool="get_size", arguments={"path": 'é "{}" <b>\n', "deep": None}))
    turns = [
        Turn(role="system", text="You know files."),
        Turn(role="user", text="Both?\n\nNow."),
        Turn(role="assistant", thought="A\nB", calls=calls, observations=(seen("x9", ["/a", {"value": 1}]), seen("x7", status="error", error="no such path"))),
    ]
    falsy = [0, False, [], "", None, {}, {"value": 2}, "0", "[1]", "a\nb"]
    turns += [
        Turn(role="assistant", thought=f"t{i}", calls=(Call(id=f"y{i}", tool="list"),), observations=(seen(f"y{i}", v),), train=i != 3)
        for i, v in enumerate(falsy)
    ]
    return Trajectory(
        tools=("get_size", "list"),
        turns=(*turns, Turn(role="assistant", text="Done.\n\n- a"), Turn(role="user", text="Thanks."), Turn(role="assistant", text="Yes.")),
    )


TOOLS = {"get_size": Tool(**SPEC), "list": Tool(name="list", parameters={"type": "object", "properties": {"type": {"type": "string", "enum": ["A", "b"]}}})}


@pytest.mark.parametrize("format", CONVERSATION_FORMATS)
def test_exports_lose_what_the_table_says_and_nothing_else(format):
    assert set(LOST) == set(CONVERSATION_FORMATS) and all(x in ASPECTS for gone in LOST.values() for x in gone)
    gone = set(lost_in(format, [hard()], TOOLS))
    assert gone <= set(LOST[format]) and not {"calls", "results", "words", "tools", "thoughts", "which calls were made together", "id"} & gone


def test_the_default_renders_and_a_text_is_encoded_twice():
    for t in load_templates(""):
        good, bad = (render(t, f(hard(), TOOLS)["messages"], f(hard(), TOOLS)["tools"]) for f in (hf, openai))
        assert '"path": "é' in good and r"\"path\"" not in good and r"\"path\"" in bad, t.name


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    from conftest import command

    run = command(tmp_path_factory.mktemp("made"))
    run("tool-pipeline", "hdf5", "-o", "a.jsonl", "--target-pairs", "20")
    return run


def test_the_default_export_is_curated_whole(made):
    said = made("tool-curate", "a.jsonl", "-o", "b.jsonl")
    assert "kept 20 of 20" in said.stdout
    final = load(next((made.folder / "runs").glob("*/records/final.jsonl")), Trajectory)
    written, kept = rows(made.folder / "a.jsonl"), load(made.folder / "b.jsonl", Trajectory)
    assert [r["id"] for r in written] == [t.id for t in final] == [t.id for t in kept], "lineage needs no line numbers"
    assert all(isinstance(c["function"]["arguments"], dict) for r in written for m in r["messages"] for c in m.get("tool_calls", []))
    assert {o.source for t in kept for o in t.observations} == {"given"}, "nothing was executed by reading it"
    assert not any(s.criterion == "execution" for t in kept for s in t.scores)


@pytest.mark.parametrize("format", CONVERSATION_FORMATS)
def test_a_file_goes_through_every_format_and_is_curated(made, format):
    assert f"20 rows, {format}" in made("export", "a.jsonl", "-o", f"{format}.jsonl", "-f", format).stdout
    assert "kept 20 of 20" in made("tool-curate", f"{format}.jsonl", "-o", f"{format}-b.jsonl").stdout
    first, again = (read_trajectories(made.folder / f).kept for f in ("a.jsonl", f"{format}.jsonl"))
    assert [t.id for t in first] == [t.id for t in again]
    assert not {x for a, b in zip(first, again, strict=True) for x in lost(a, b, {})} - set(LOST[format])


def test_given_results_are_executed_and_compared(made):
    made("tool-execute", "a.jsonl", "-o", "ran.jsonl", "--world", "hdf5")
    ran = load(made.folder / "ran.jsonl", Trajectory)
    assert len(ran) == 20 and {o.source for t in ran for o in t.observations} == {"executed"}
    claims = {t.id: [o.content for o in t.observations] for t in read_trajectories(made.folder / "a.jsonl").kept}
    assert sorted(map(str, claims.values())) == sorted(str([o.content for o in t.observations]) for t in ran)


def test_a_claim_is_not_verified_by_being_claimed():
    import asyncio

    from synthgen_nb.tools.apigen import accounts, verify
    from synthgen_nb.worlds.hdf5 import hdf5_tools, hdf5_world

    ask = {"role": "user", "content": "How many files are at hand? Please list them."}
    row = lambda result: as_trajectory(
        {
            "messages": [
                ask,
                {"role": "assistant", "tool_calls": [{"function": {"name": "list_files"}}]},
                {"role": "tool", "content": result},
                {"role": "assistant", "content": "There is one: invented.h5."},
            ]
        }
    )
    claimed = row('{"files": ["invented.h5"]}')
    unrun = asyncio.run(verify([claimed], hdf5_tools()))
    assert accounts(unrun)["verified"] == 0
    (d,) = asyncio.run(verify([claimed], hdf5_tools(), hdf5_world)).dropped
    assert d.reason == "execution:not_reproducible"


def test_errors_in_words_are_errors_of_a_row_too(made):
    (made.folder / "words.jsonl").write_text(json.dumps(chat(asked(), told("Error: no such path /a"))))
    made("tool-curate", "words.jsonl", "-o", "w.jsonl", ok=False)
    (d,) = rows(made.folder / "w_dropped.jsonl")
    assert d["reason"] in ("low_success", "grounding:no_information")
    assert [o["status"] for x in d["record"]["turns"] for o in x["observations"]] == ["failed_in_words"]


def test_the_command_names_what_it_skips(made):
    (made.folder / "mixed.jsonl").write_text(
        "\n".join([json.dumps(FORMS["hermes"]), "{", json.dumps({"messages": [USER, told()]}), json.dumps(chat(asked(), told(), asked(), told()))])
    )
    said = made("export", "mixed.jsonl", "-o", "out.jsonl")
    assert "2 rows, hf; 2 rows could not be read (invalid_row:not_json 1, invalid_row:result_without_call 1)" in said.stdout
    assert (
        "mixed.jsonl: line 2: is not JSON" in said.stderr
        and "mixed.jsonl: line 3: a result for c1 has no call" in said.stderr
        and "meta.reading" in said.stderr
    )
    assert [d["reason"] for d in rows(made.folder / "out_dropped.jsonl")] == ["invalid_row:not_json", "invalid_row:result_without_call"]
    (made.folder / "none.jsonl").write_text('{"messages": 3}\n')
    assert "holds no row with tool calls; 1 rows could not be read" in made("tool-curate", "none.jsonl", "-o", "n.jsonl", ok=False).stderr


PAIR = Pair(question="What is a chunk?", answer="A unit.", reasoning=("It is read whole.",))


@pytest.mark.parametrize("ext", ["json", "jsonl"])
@pytest.mark.parametrize("format", FORMATS)
def test_loaders_take_the_files_and_find_the_ids(tmp_path, format, ext):
    from datasets import load_dataset

    talk = hard().but(turns=tuple(x.model_copy(update=dict(train=True)) for x in hard().turns))  # masks: tests/test_dialogues.py
    kinds = [(PAIR, ())] * FORMATS[format].pairs + [(talk, TOOLS.values())] * FORMATS[format].conversations
    for row, tools in kinds:
        other = row.but(answer="Another.") if isinstance(row, Pair) else row.but(turns=row.turns[:3] + row.turns[-3:-2])
        export([row, other], tmp_path / f"x.{ext}", format, tools=tools)
        back = load_dataset("json", data_files=str(tmp_path / f"x.{ext}"), split="train", cache_dir=str(tmp_path / "cache"))
        assert back["id"] == [row.id, other.id], format


def test_pairs_as_openai_transformers_and_trl_take_them(tmp_path):
    for format in ("openai", "hf", "trl"):
        export([PAIR], tmp_path / "x.jsonl", format, system="Be brief.")
        (row,) = rows(tmp_path / "x.jsonl")
        messages = row["prompt"] + row["completion"] if format == "trl" else row["messages"]
        assert [m["role"] for m in messages] == ["system", "user", "assistant"] and row["id"] == PAIR.id
        assert messages[-1]["content"].endswith("A unit.") and (format != "trl" or len(row["completion"]) == 1)


def test_published_rows(data):
    trees = sorted((data / "tools/toolbench/G1_answer").glob("*.json"))
    for file in trees:
        made = json.loads(file.read_text())["answer_generation"]
        got = read_trajectories(file)
        if not made.get("train_messages"):
            assert [d.reason for d in got.dropped] == ["invalid_row:no_path"]
            continue
        (t,) = got.kept
        assert t.instruction == made["query"] and {f["name"] for f in made["function"]} == set(t.tools) | {
            u["tool"]["name"] for u in t.meta.get("unread_tools", [])
        }
        assert t.calls and len(t.observations) == len(t.calls) and all(o.source == "given" for o in t.observations)
        assert not made["final_answer"] or t.answer == json.loads(made["final_answer"]).get("final_answer", "")
    queries = read_trajectories(data / "tools/toolbench/G1_query.json")
    assert len(queries.kept) == 5 and all(t.own and not t.calls for t in queries.kept)
    nestful = read_trajectories(data / "tools/nestful/executable/executable-data.json")
    assert not nestful.dropped and all(t.calls for t in nestful.kept)
    for name in ("all", "chains", "validated"):
        old = read_trajectories(data / f"prototype/tools/jarvis_tool_{name}.json")
        assert not old.dropped and old.kept


def test_bfcl_questions_are_read():
    from importlib.util import find_spec
    from pathlib import Path

    if not (spec := find_spec("bfcl_eval")):
        pytest.skip("bfcl-eval is not installed")
    n = 0
    for file in sorted((Path(spec.origin).parent / "data").glob("BFCL_v*_*.json")):
        if file.read_text().startswith("{\n"):
            continue
        lines = [json.loads(x) for x in file.read_text().splitlines() if x.strip()]
        for row in lines[:20]:
            if not {"question", "function"} <= set(row):
                continue
            t = as_trajectory(row)
            assert (
                t.turns
                and not t.calls
                and set(t.tools) | {u["tool"].get("name") for u in t.meta.get("unread_tools", [])} == {f["name"] for f in row["function"]}
            )
            n += 1
    assert n > 50
