"""What a document must not do: control tokens, escape sequences and markup reach neither a trainer, nor a terminal, nor a page."""

import json
import os
import re
from pathlib import Path

import pytest
from conftest import rows

import synthgen_nb.cli.app as app
from synthgen_nb.cli.app import print as say
from synthgen_nb.cli.app import tried
from synthgen_nb.core.control import CONTROL, disarmed, leaked, rearmed, tokens_in
from synthgen_nb.core.records import Pair, SynthgenError, code_span, escape, fenced, harmless, markdown_table
from synthgen_nb.corpus.read import read_documents
from synthgen_nb.export.card import about_conversations, about_pairs, card
from synthgen_nb.export.fit import Target, fit
from synthgen_nb.export.formats import FORMATS, export
from synthgen_nb.export.pairs import chatml
from synthgen_nb.export.templates import TEMPLATES, load_templates, read_back, render
from synthgen_nb.specs.tool import Tool
from synthgen_nb.specs.trajectory import Call, Observation, Trajectory, Turn

LISTED = {t for line in CONTROL.values() for t in line.split()}
TOKENS = [*sorted(LISTED), "<|anything_else|>", "<｜tool▁call▁end｜>", "<unused42>"]
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
@pytest.mark.parametrize("token", "<|im_end|> </think> <think> <tool_call> [INST] <|eot_id|> <start_of_turn> </s> [TOOL_CALLS]".split())
def test_a_row_about_a_token_reads_back_in_every_template(token, template):
    said = f"A turn ends at {token}\nand {token} again; after it the answer follows."
    p = pair(f"What does {token} do?", said, reasoning=(f"The text says {token}.", "So it ends."))
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


LEAKS = ["It is so.<|im_end|>", "It is so.</s>", "<|im_start|>assistant\nIt is so.", "[/INST] It is so.", "So.<｜end▁of▁sentence｜>"]


@pytest.mark.parametrize("leak", LEAKS)
def test_a_leaked_token_drops_the_row(leak, tmp_path):
    dropped = []
    assert export([pair(answer=leak), pair()], tmp_path / "t.jsonl", sources={"c": "It is so."}, dropped=dropped) == 1
    assert [d.kind for d in dropped] == ["control_token"] and tokens_in((tmp_path / "t.jsonl").read_text()) == []
    with pytest.raises(SynthgenError, match=r"none of 1 rows is fit to train on .control_token 1"):
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
        with pytest.raises(SynthgenError, match=r"qwen3|mark, drop"):
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
    assert json.dumps(rearmed(row), ensure_ascii=False).count("<|im_end|>") >= 3 - (format == "text"), "a plain text has no list of tools"
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


SEQUENCES = ["\x1b[2J", "\x1b]8;;http://x\x07", "\x1b]52;c;eA==\x07", "\x9b31m", "safe\rover", "\u202etxt", "\u2066x", "a\x00b", "\x7f", "\ud800", "\u2028"]


@pytest.mark.parametrize("text", SEQUENCES)
def test_nothing_acts_on_a_terminal_or_a_page(text, capsys):
    say(text)
    shown = capsys.readouterr().out.removesuffix("\n")
    assert shown.isprintable() and harmless("é ü\n\tשלום 漢\r\n") == "é ü\n\tשלום 漢\r\n"
    assert escape(text).isprintable() and code_span(text).isprintable() and fenced(text).replace("\n", "").isprintable()


def test_every_notebook_of_commands_prints_with_the_one_function():
    for file in Path(app.__file__).parent.glob("[a-z]*.py"):
        code = file.read_text(encoding="utf-8")
        if re.search(r"(?<![\w.])print\(", code) and file.name != "app.py":
            assert re.search(r"from (?:\.|synthgen_nb\.cli\.)app import [^)]*\bprint\b", code), file.name


MARKUP = ["<script>alert(1)</script>", "![x](http://a.b/c.png)", "[go](javascript:alert(1))", "`code` | cell | **b**", "````\n# Not a heading\n````"]
MARKUP += ["&lt;img src=x&gt;", "$x$ {role}`x`"]


@pytest.mark.parametrize("text", MARKUP)
def test_markup_of_a_row_is_shown_in_the_card_and_not_done(text):
    from markdown_it import MarkdownIt

    p = Pair(question=text + "?", answer=text + "\n\n" + text, sources=(text,), evidence=(dict(claim=text, chunk="c", start=0, end=1),))
    t = trajectory(answer=text, asked=text)
    for shown in (card(text, [p], about_pairs([p]), "chatml", "t.jsonl", []), card("n", [t], about_conversations([t], "w", {}), "openai", "t.jsonl", [])):
        page = MarkdownIt("commonmark").enable("table").render(shown.split("---\n", 2)[2])
        assert not re.search(r"<(?:script|img|a )", page) and "<h1>Not" not in page
        assert "<tr>" in MarkdownIt("commonmark").enable("table").render(markdown_table([dict(a=text, b=1)]))


def test_hostile_files_are_named_and_not_opened(tmp_path, monkeypatch):
    docs = tmp_path / "docs"
    docs.mkdir()
    (tmp_path / "secret.md").write_text("# The key")
    (docs / "ok.md").write_text("# Chunks\n\nA chunk is the unit of a dataset.")
    (docs / "inside.md").symlink_to(docs / "ok.md")
    (docs / "out.md").symlink_to(tmp_path / "secret.md")
    (docs / "folder").symlink_to(tmp_path)
    (docs / "loop.md").symlink_to(docs / "loop.md")
    (docs / "zero.md").symlink_to("/dev/zero")
    os.mkfifo(docs / "pipe.md")
    (docs / "deep.html").write_text("<main>" + "<div>" * 10_000 + "x")
    (docs / "deep.ipynb").write_text("[" * 50_000 + "]" * 50_000)
    (docs / "red\x1b[31m.md").write_text("")
    found, dropped = read_documents(docs)
    assert [Path(d.path).name for d in found] == ["inside.md", "ok.md"]
    assert {Path(d.record["path"]).name: d.reason for d in dropped} == {
        "out.md": "outside", "folder": "outside", "loop.md": "outside", "zero.md": "outside", "pipe.md": "special_file",
        "deep.html": "too_deep", "deep.ipynb": "too_deep", "red\x1b[31m.md": "empty",
    }  # fmt: skip
    assert "\x1b" not in tried(f"ingest {docs} --db {tmp_path / 'db'}", tmp_path)


def test_the_table_of_hostile_documents_is_current():
    file = Path(app.__file__).parents[2] / "nbs" / "export" / "51b_fit.ipynb"
    cells = {c["id"]: c for c in json.loads(file.read_text(encoding="utf-8"))["cells"]}
    known: dict = {}
    for name in ("fit-run", "hostile", "hostile-table"):
        code = "".join(cells[name]["source"]) if name != "fit-run" else "from synthgen_nb.export.fit import *\nfrom synthgen_nb.core.records import Pair"
        exec(compile(code.rpartition("Markdown(markdown_table")[0] or code, name, "exec"), known)  # our own notebook
    stored = "".join(cells["hostile-table"]["outputs"][0]["data"]["text/markdown"])
    assert len(known["HOSTILE"]) >= 15 and stored == markdown_table([{"it holds": a, "what comes of it": b} for a, b in known["HOSTILE"]])
