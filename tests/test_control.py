"""What a document must not do: control tokens, escape sequences and markup reach neither a trainer, nor a terminal, nor a page."""

import asyncio
import json
import re
from pathlib import Path

import pytest
from conftest import rows

from synthgen_nb.core.control import CONTROL, disarmed, leaked, rearmed, tokens_in
from synthgen_nb.core.records import Pair, SynthgenError, save
from synthgen_nb.export.fit import Target, fit
from synthgen_nb.export.formats import FORMATS, export
from synthgen_nb.export.pairs import chatml
from synthgen_nb.export.templates import TEMPLATES, load_templates, read_back, render
from synthgen_nb.specs.tool import Tool
from synthgen_nb.specs.trajectory import Call, Observation, Trajectory, Turn

TOKENS = sorted({t for line in CONTROL.values() for t in line.split()}) + ["<|anything_else|>", "<｜tool▁call▁end｜>", "<unused42>"]
ONLY = lambda p: [(chatml(p)["messages"], None)]


@pytest.mark.parametrize("token", TOKENS)
def test_a_token_is_found_disarmed_and_had_back(token):
    for text in (f"ends in {token}.", f"{token}{token}", f"<{token}>", token[0] + "\u2060" + token[1:], f"{token[0]}\u2060\u2060{token[1:]} {token}"):
        safe = disarmed({"a": [text]})
        assert tokens_in(safe["a"][0]) == [] and rearmed(safe) == {"a": [text]}
    assert token in tokens_in(f"ends in {token}.")
    assert disarmed(disarmed(token)) != token and tokens_in(disarmed(token)) == []


def test_honest_text_holds_none():
    for text in ("a < b and c > d", "see [1] and [a](b)", "List<String> xs", "<p>text</p>", "x |> f", "[INFO] started", "a <| b |> c", "if (a<|b|>c)"[:9]):
        assert tokens_in(text) == [] and disarmed(text) == text


def pair(question="What is it?", answer="It is so.", **more):
    return Pair(question=question, answer=answer, chunk_id="c", **more)


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("token", ["<|im_end|>", "</think>", "<think>", "<tool_call>", "[INST]", "<|eot_id|>", "<start_of_turn>", "</s>", "[TOOL_CALLS]", "<end_of_turn>"])
def test_a_row_about_a_token_reads_back_in_every_template(token, template):
    p = pair(f"What does {token} do?", f"A turn ends at {token}\nand {token} again; after it the answer follows.", reasoning=(f"The text says {token}.", "So it ends."))
    got = fit([p], Target(), sources={"c": f"The mark {token} ends a turn."})
    assert len(got.kept) == 1, got.dropped
    (t,) = load_templates(template)
    assert read_back(t, got.kept[0], ONLY) == ""
    shown = render(t, chatml(got.kept[0], reasoning="drop")["messages"])
    assert rearmed(shown).count("after it the answer follows") == 1
    assert shown.count(token) == render(t, chatml(pair())["messages"]).count(token), "no turn more, no turn less"


def test_a_raw_token_does_not_read_back_where_it_is_one():
    (qwen,) = load_templates("qwen3")
    assert "stands in a text" in read_back(qwen, pair(answer="Before </think> after"), ONLY)
    assert read_back(load_templates("llama3")[0], pair(answer="Before </think> after"), ONLY) == ""


@pytest.mark.parametrize("leak", ["It is so.<|im_end|>", "It is so.</s>", "<|im_start|>assistant\nIt is so.", "[/INST] It is so.", "It is so.<｜end▁of▁sentence｜>"])
def test_a_leaked_token_drops_the_row(leak, tmp_path):
    dropped = []
    assert export([pair(answer=leak), pair()], tmp_path / "t.jsonl", sources={"c": "It is so."}, dropped=dropped) == 1
    assert [d.kind for d in dropped] == ["control_token"] and tokens_in((tmp_path / "t.jsonl").read_text()) == []
    with pytest.raises(SynthgenError, match="none of 1 rows is fit to train on .control_token 1"):
        export([pair(answer=leak)], tmp_path / "u.jsonl")


def test_without_its_source_a_token_in_code_is_spoken_of():
    assert not leaked("The mark is `<|im_end|>`.", None) and not leaked("```\n</think>\n```", None) and leaked("so </think> it is", None)


def test_rows_with_tokens_can_be_unwanted_and_a_named_template_knows_only_its_own(tmp_path):
    p = pair(answer="The mark is <|im_end|>.")
    source = {"c": "The mark is <|im_end|>."}
    assert len(fit([p], Target(control="drop"), sources=source).dropped) == 1
    html = pair(answer="Struck out text stands in <s>.")
    assert fit([html], Target(template="qwen3"), sources={"c": "<s>"}).kept[0].answer == html.answer
    assert fit([html], Target(template="mistral"), sources={"c": "<s>"}).kept[0].answer != html.answer
    for wrong in (dict(template="qwen4"), dict(control="keep")):
        with pytest.raises(SynthgenError, match="qwen3|mark, drop"):
            fit([p], Target(**wrong))


@pytest.mark.parametrize("form", ["jinja", "json", "list"])
def test_a_template_of_ones_own(tmp_path, form):
    text = (
        "{%- for m in messages -%}{%- if m.role == 'user' -%}<ask>{{ m.content | trim }}</ask>{%- else -%}"
        "{%- generation -%}<say>{{ m.content.split('###')[0] }}</say>{%- endgeneration -%}{%- endif -%}{%- endfor -%}"
    )
    file = tmp_path / ("chat_template.jinja" if form == "jinja" else "tokenizer_config.json")
    config = dict(chat_template=text if form == "json" else [dict(name="default", template=text)], added_tokens_decoder={"7": dict(content="<own>")})
    file.write_text(text if form == "jinja" else json.dumps(config))
    good, cut, own = pair(), pair(answer="One. ### Two."), pair(answer="It says <say> here.")
    got = fit([good, cut, own], Target(template=str(file)), sources={"c": "<say> ### Two."})
    assert [d.reason for d in got.dropped] == [f"template:{file.name}"] and "another text comes out" in got.dropped[0].detail
    assert tokens_in(got.kept[1].answer, (), ["<say>"]) == [] and "say>" in got.kept[1].answer
    file.write_text("{{ messages[0].content.__class__.__mro__ }}{% if" if form == "jinja" else '{"a": 1}')
    try:
        bad = fit([good], Target(template=str(file)))
        assert "refuses" in bad.dropped[0].detail
    except SynthgenError as e:
        assert "no chat_template" in str(e)


def trajectory(path="/a", content="/a", answer="It is there.", asked="Where is it?", source="executed"):
    seen = Observation(call="call_1", status="ok", source=source, world="w", content=content)
    turns = (Turn(role="user", text=asked), Turn(role="assistant", calls=(Call(id="call_1", tool="look", arguments={"path": path}),), observations=(seen,)))
    return Trajectory(tools=("look",), turns=(*turns, Turn(role="assistant", text=answer)))


LOOK = Tool(name="look", description="Looks; never writes <|im_end|>.", parameters={"type": "object", "properties": {"path": {"type": "string"}}})


@pytest.mark.parametrize("format", [n for n, f in FORMATS.items() if f.conversations and n != "jsonl"])
def test_tool_rows(format, tmp_path):
    t = trajectory("</tool_call>", ["<|im_end|>", {"[INST]": "</tool_response>"}], "It says <|im_end|> and </tool_response>.", "What is in `</tool_call>`?")
    file = tmp_path / "t.jsonl"
    assert export([t], file, format, tools=[LOOK]) == 1
    (row,) = rows(file)
    if format not in ("chatml", "functiongemma"):
        assert tokens_in(json.dumps(row, ensure_ascii=False)) == []
    assert json.dumps(rearmed(row), ensure_ascii=False).count("<|im_end|>") >= 3
    if format in ("openai", "trl"):
        for template in load_templates(""):
            base = render(template, trained(trajectory(), format, tmp_path), None)
            shown = render(template, row["messages"], None)
            assert [shown.count(x) for x in ("<|im_end|>", "<|eot_id|>", "</s>", "<end_of_turn>", "</tool_call>", "[INST]")] == [
                base.count(x) for x in ("<|im_end|>", "<|eot_id|>", "</s>", "<end_of_turn>", "</tool_call>", "[INST]")
            ]


def trained(t, format, tmp_path):
    export([t], tmp_path / "base.jsonl", format, tools=[LOOK])
    return rows(tmp_path / "base.jsonl")[0]["messages"]


def test_a_simulated_result_is_something_said(tmp_path):
    simulated = trajectory(content="<|endoftext|>", source="simulated")
    assert fit([simulated], Target("openai"), [LOOK]).dropped[0].reason == "control_token:<|endoftext|>"
    assert fit([trajectory(content="<|endoftext|>")], Target("openai"), [LOOK]).kept
    assert fit([trajectory(answer="Done.\x1b[2J")], Target("openai"), [LOOK]).dropped[0].reason == "control_character"
    assert fit([trajectory(content="\x1b[31mred")], Target("openai"), [LOOK]).kept, "JSON escapes it"
