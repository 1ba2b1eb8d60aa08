"""Replies in words: refusals, prefaces, labels, alternatives, scores and yes, told from honest texts that begin like them."""

import json

import pytest

from synthgen_nb.core.models import parse_reply
from synthgen_nb.core.prompts import load_prompt
from synthgen_nb.core.replies import lost_rows, reask
from synthgen_nb.core.spoken import number_said, refusal, truth_said

REFUSED = """I'm sorry, but I can't help with that
I’m sorry, but I can’t assist with that request.
I cannot fulfill this request.
I am unable to provide an instruction for this text.
As an AI language model, I can't generate that.
As a language model, I am not able to create such content.
I must decline this request.
I can't help you with that. Is there anything else I can help with?
**I'm sorry, but I can't help with that.**
I'm afraid I can't do that.
I cannot and will not provide that.
There is not enough information in the text to write an instruction.
Es tut mir leid, aber ich kann dir dabei nicht helfen.
Leider kann ich diese Anfrage nicht beantworten.
Je suis désolé, mais je ne peux pas vous aider.
Lo siento, pero no puedo ayudarte con eso.
Mi dispiace, ma non posso aiutarti.
Desculpe, mas não posso ajudar com isso.
Sorry, maar daar kan ik je niet mee helpen.
Przepraszam, ale nie mogę pomóc.
Извините, но я не могу помочь с этим.
很抱歉，我无法提供帮助。
申し訳ありませんが、お答えできません。
죄송하지만 도와드릴 수 없습니다.""".splitlines()

HONEST = """I'm sorry, I can't open my HDF5 file. What is wrong?
I can't write to a dataset that was opened read-only; explain why.
I cannot find the group `x`. How do I list all groups?
Sorry if this is a basic question: explain chunks.
As an AI engineer, explain how attention works.
As an AI researcher, I can't reproduce the benchmark; list what to check.
I can't create a dataset larger than 2 GB on Windows. Explain the limit.
I am unable to write the file to disk after upgrading; tell me what changed.
Unfortunately, my program crashes on close. Explain how to debug it.
I'm sorry to bother you, but describe the chunk cache.
I can't provide a chunk shape to create_dataset; describe how HDF5 guesses one.
I can't complete the installation on macOS. List the steps.
There is no information in the log about my crash. Describe how to enable it.
Ich kann die Datei nicht öffnen. Erkläre, woran das liegt.
Je ne peux pas écrire dans le fichier, explique pourquoi.
No puedo abrir el archivo; explica por qué.
我无法打开文件，请说明原因。
Write an apology that begins with: I'm sorry, but I can't help with that.""".splitlines()


@pytest.mark.parametrize("text", REFUSED)
def test_a_refusal_is_asked_again(text):
    ask = load_prompt("backward").render(answer="A text.", seeds=[])
    value, error = parse_reply(text, ask.output, ask.reads)
    assert value is None and error.startswith("refusal_in_words: ")
    assert "Give what was asked for" in reask(error, text, ask.output)[1]["content"]


@pytest.mark.parametrize("text", HONEST)
def test_an_honest_text_is_no_refusal(text):
    assert not refusal(text) and parse_reply(text, None, "instruction") == (text, "")


WANTED = "What is a chunk in HDF5?"


@pytest.mark.parametrize(
    "around",
    [
        "{}",
        "Sure! Here is the instruction: {}",
        "Instruction: {}",
        "**Instruction:** {}",
        "## Instruction\n{}",
        '"{}"',
        "**{}**",
        "“{}”",
        "```\n{}\n```",
        "<instruction>{}</instruction>",
        "Certainly! {}",
        "Sure, here you go:\n\n{}",
        'Here\'s a question that it answers:\n\n"{}"',
        "{}\n\nExplanation: the text defines it.",
        "{}\n\nLet me know if you need more.",
        "<think>Hm. Define?</think>{}",
        "Question: {}\nAnswer: It is a unit.",
        'Based on the text, the instruction would be: "{}"',
        "Great question! {}",
    ],
)
def test_what_stands_around_an_instruction_goes(around):
    assert parse_reply(around.format(WANTED), None, "instruction") == (WANTED, "")


@pytest.mark.parametrize(
    "text",
    [
        "Option 1: What is a chunk? Option 2: Define chunks.",
        "1. What is a chunk?\n2. How large is one?",
        "- What is a chunk?\n- What is a page?",
        "Here are two options:\n\n**Option 1:** What?\n\n**Option 2:** How?",
        "What is a chunk?\nor\nWhat is a page?",
        '"What is a chunk?" or "Define chunks."',
    ],
)
def test_of_alternatives_none_is_chosen(text):
    assert parse_reply(text, None, "instruction")[1].startswith("alternatives: ")


@pytest.mark.parametrize(
    "text",
    [
        "Answer both:\n1. What is a chunk?\n2. How large is one?",
        "Compare: chunks and pages.",
        'What does "chunk" mean in "HDF5"?',
        "Summarize this text: chunks are units.",
        "Write code for the following task: sort a list.",
        "Here is my code output: 5. Explain it.",
        "**Bold** or *italic*: which is right in **Markdown**?",
    ],
)
def test_an_instruction_keeps_what_is_its_own(text):
    assert parse_reply(text, None, "instruction") == (text, "")


def test_a_response_stands_between_its_tags():
    read = lambda t: parse_reply(t, None, load_prompt("rewrite_document").reads)
    assert read("Sure!\n<response>\nYes.\n</response>") == ("Yes.", "") and read("<response></response>") == ("", "")
    assert read("<think>x</think><RESPONSE>Yes.</RESPONSE>") == ("Yes.", "")
    for bad in ("Yes.", "<response>Yes.", "Yes.</response>"):
        assert read(bad)[1].startswith("no_response_tags")
    assert read("<response>Yes.</response> or <response>No.</response>")[1].startswith("alternatives")


@pytest.mark.parametrize(
    "text, score",
    [
        ("Score: 5", 5),
        ("5 - accurate", 5),
        ("5/5", 5),
        ("**5**", 5),
        ("5.", 5),
        ("4 out of 5", 4),
        ("Final score: 3", 3),
        ("5: all of it", 5),
        ("between 3 and 4", None),
        ("7 out of 10", None),
        ("3-4", None),
        ("3 or 4", None),
        ("9", None),
        ("almost 5", None),
        ("-5", None),
        ("4.5", None),
        ("5 - no, four", None),
        ("not 5", None),
        ("5%", None),
        ("high", None),
    ],
)
def test_a_score_in_words(text, score):
    schema = dict(type="object", required=["score"], properties=dict(score=dict(type="integer", minimum=1, maximum=5)))
    for reply in (text, json.dumps(dict(score=text))):
        value, error = parse_reply(reply, schema)
        assert value == (None if score is None else dict(score=score)) and bool(error) == (score is None)


@pytest.mark.parametrize(
    "text, said",
    [("Yes", True), ("`true`", True), ("True.", True), ("No - it asks for text.", False), ("Yes and no", None), ("Yes, but not all", None), ("maybe", None)],
)
def test_a_yes_in_words(text, said):
    assert truth_said(text) is said
    value, error = parse_reply(text, load_prompt("tasks_classify").output)
    assert value == (None if said is None else dict(classification=said)) and bool(error) == (said is None)


def test_several_pairs_lose_only_the_bad_ones():
    good = dict(question="Why?", answer="So.")
    bad = [dict(question="How?"), dict(question="", answer="x"), dict(question="Who?", answer=["a"]), "a pair", None, dict(question="…", answer="…")]
    output = load_prompt("qa_text").output
    value, error = parse_reply(json.dumps(dict(suitable=True, reason="", pairs=[*bad[:3], good, *bad[3:]])), output)
    assert not error and value == dict(suitable=True, reason="", pairs=[good])
    lost = lost_rows(value, "pairs")
    assert len(lost) == len(bad) and all(row in bad and why for row, why in lost) and any("answer" in why for _, why in lost)
    assert lost_rows(parse_reply(json.dumps(dict(suitable=True, reason="", pairs=[good])), output)[0], "pairs") == []
    assert parse_reply(json.dumps(dict(suitable="perhaps", reason="", pairs=[good, bad[0]])), output)[1].startswith("schema_error")


def test_arguments_of_a_call_are_parts_of_one_thing():
    item = dict(type="object", required=["name", "value"], properties=dict(name=dict(type="string"), value=dict(type="string")))
    schema = dict(type="object", required=["arguments"], properties=dict(arguments=dict(type="array", items=item)))
    assert parse_reply(json.dumps(dict(arguments=[dict(name="a", value="1"), dict(name="b")])), schema)[1].startswith("schema_error")


@pytest.mark.parametrize(
    "text",
    ["\n" * 200_000, "<response>" * 20_000, '"' * 200_000, "Option 1: " * 20_000, "**" * 100_000, "sorry, " * 30_000, "(" * 200_000, "here is " * 30_000],
)
def test_long_replies_are_read_to_the_end(text):
    for said in ("x" + text + "x", text + "x"):
        for reads in ("instruction", "response"):
            value, error = parse_reply(said, None, reads)
            assert (value is None) == bool(error)
        assert not number_said(said, 5) and truth_said(said) is None
