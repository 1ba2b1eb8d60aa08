"""What models write is read without altering it: a corpus of spoilt replies, and any object spoilt in any way."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgen_nb.core.replies import form, parse_reply, reask

CORPUS = yaml.safe_load(Path(__file__).with_name("replies.yaml").read_text(encoding="utf-8"))
SCHEMAS, CASES = CORPUS["schemas"], CORPUS["cases"]


@pytest.mark.parametrize("case", CASES, ids=[c["name"] for c in CASES])
def test_corpus(case):
    value, error = parse_reply(case["reply"], SCHEMAS[case["schema"]])
    if "value" in case:
        assert (value, error) == (case["value"], ""), error
    else:
        assert value is None and error.startswith(case["reask"]), (value, error)


def test_share_of_the_corpus_that_is_recovered():
    whole = [c for c in CASES if "value" in c or c.get("whole")]
    read = [c for c in whole if parse_reply(c["reply"], SCHEMAS[c["schema"]]) == (c.get("value"), "")]
    assert len(CASES) >= 160 and len({c["name"] for c in CASES}) == len(CASES)
    assert len(read) / len(whole) >= 0.95, f"{len(read)} of {len(whole)} replies whose content is whole"


# Any object that fits a schema, spoilt in a known way

WORDS = st.text(
    st.characters(
        codec="utf-8", categories=("L", "N", "P", "S", "Z", "M"), include_characters="\n\t\"'\\{}[],:`“”/#<>", exclude_characters="…"
    ),
    min_size=1,
    max_size=40,
)
CODE = st.sampled_from(
    [
        '{"a": [1, 2]}',
        "d = {'k': 'v'}",
        "don't",
        "\\frac{a}{b}",
        "C:\\new\\table",
        "```sh\nmake\n```",
        '"},',
        "// x",
        "</think>",
        "<think>",
        "], }",
    ]
)
TEXT = st.lists(st.one_of(WORDS, CODE), min_size=1, max_size=3).map(" ".join).filter(lambda s: s.strip() and s.strip() not in ("…", "..."))
OBJECT = st.fixed_dictionaries(
    dict(
        suitable=st.booleans(),
        reason=TEXT,
        pairs=st.lists(st.fixed_dictionaries(dict(question=TEXT, answer=TEXT)), max_size=3),
    )
)


def quoted(s, q):
    "A string as Python or JavaScript may write it"
    body = s.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace(q, "\\" + q)
    return q + body + q


def written(v, string=lambda s: json.dumps(s, ensure_ascii=False), key=None, gap=" ", end="", words=("true", "false")):
    "A value as text, in the hand of a careless writer"
    args = (string, key, gap, end, words)
    if isinstance(v, dict):
        return "{" + f",{gap}".join(f"{(key or string)(k)}: {written(x, *args)}" for k, x in v.items()) + end + gap + "}"
    if isinstance(v, list):
        return "[" + f",{gap}".join(written(x, *args) for x in v) + (end if v else "") + "]"
    return words[not v] if isinstance(v, bool) else string(v)


def raw(s):
    return '"' + s.replace("\\", "\\\\").replace('"', '\\"') + '"'


MENDED = {
    "plain": lambda v: json.dumps(v),
    "trailing commas": lambda v: written(v, end=","),
    "raw new lines": lambda v: written(v, string=raw),
    "raw new lines and trailing commas": lambda v: written(v, string=raw, end=","),
    "comments": lambda v: written(v, gap=' // a note, {not} "content"\n  '),
    "comments of C": lambda v: written(v, gap=" /* a note: [x] */ "),
    "comments of Python": lambda v: written(v, gap=" # it's a note\n", end=","),
    "keys without quotes": lambda v: written(v, key=str),
    "Python": lambda v: repr(v),
    "single quotes": lambda v: written(v, string=lambda s: quoted(s, "'"), words=("True", "False")),
    "zero-width spaces": lambda v: written(v, gap="\u200b\ufeff "),
    "fence": lambda v: f"```json\n{json.dumps(v, indent=2, ensure_ascii=False)}\n```",
    "prose around": lambda v: f"Sure, here it is (see [1]):\n\n{written(v, end=',')}\n\nI hope that's what you meant!",
    "thinking": lambda v: f'<think>\nPerhaps {{"suitable": false}}? No, {{that isn\'t it.\n</think>\n{written(v, end=",")}',
    "channels": lambda v: f"<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>{json.dumps(v)}<|return|>",
    "envelope": lambda v: json.dumps({"response": v}),
    "tool call": lambda v: json.dumps({"name": "reply", "arguments": json.dumps(v)}),
    "list of one": lambda v: written([v], end=","),
    "string": lambda v: json.dumps(json.dumps(v)),
    "twice": lambda v: json.dumps(v) + "\n" + json.dumps(v, indent=1),
}
DAMAGED = {  # may be read or refused, but not as something else
    "smart quotes": lambda v: written(v, string=lambda s: f"“{json.dumps(s, ensure_ascii=False)[1:-1]}”"),
    "quotation marks without a backslash": lambda v: written(v, string=lambda s: raw(s).replace('\\"', '"')),
    "single quotes without a backslash": lambda v: written(v, string=lambda s: quoted(s, "'").replace("\\'", "'")),
    "no last bracket": lambda v: json.dumps(v)[:-1],
    "no commas": lambda v: json.dumps(v, separators=(" ", ": ")),
    "no commas, new lines": lambda v: json.dumps(v, indent=1, separators=("", ": ")),
    "fence, cut": lambda v: "```json\n" + json.dumps(v, indent=1)[:-3],
    "the last row without its bracket": lambda v: json.dumps(v).replace('"}]}', '"]}') if v["pairs"] else json.dumps(v),
}


@pytest.mark.parametrize("spoil", MENDED.values(), ids=MENDED)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(value=OBJECT)
def test_spoilt_syntax_is_mended(spoil, value):
    text = spoil(value)
    doubt = re.search(r"\\[xU]", text) or "</think>" in text.lower()  # escapes of Python, and thoughts that may have had no beginning
    read, error = parse_reply(text, SCHEMAS["pairs"])
    assert read == value or (doubt and read is None), error


@pytest.mark.parametrize("spoil", DAMAGED.values(), ids=DAMAGED)
@settings(max_examples=150, deadline=None, derandomize=True)
@given(value=OBJECT)
def test_damage_is_mended_or_refused(spoil, value):
    text = spoil(value)
    read, error = parse_reply(text, SCHEMAS["pairs"])
    assert read == value if not error else read is None


@settings(max_examples=200, deadline=None, derandomize=True)
@given(value=OBJECT, cut=st.floats(0, 1), mark=st.sampled_from(["", ",", "\n```", '"', "}"]))
def test_a_reply_that_was_cut_off_is_not_completed(value, cut, mark):
    text = json.dumps(value)
    text = text[: int(cut * (len(text) - 1))] + mark
    read, error = parse_reply(text, SCHEMAS["pairs"])
    assert error or read == value


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    text=st.text(st.sampled_from("{}[]\"'“”,: \n\\/#*`aN1-.+")),
    around=st.sampled_from(["{}", '{{"answer": "{}"}}', '{{"answer": {}}}', "<think>{}"]),
)
def test_whatever_comes_ends_in_a_value_or_a_reason(text, around):
    value, error = parse_reply(around.replace("{}", text).replace("{{", "{").replace("}}", "}"), SCHEMAS["answer"])
    assert bool(error) != bool(value)
    assert not error or error.partition(":")[0] in ("empty_reply", "not_json", "schema_error", "ambiguous")


HUGE = 10_000
DEEP = {
    "open lists": "[" * HUGE,
    "open objects": '{"a":' * HUGE,
    "closed lists": "[" * HUGE + "]" * HUGE,
    "a deep value": '{"answer": ' + "[" * HUGE + "]" * HUGE + "}",
    "bare keys": "{a:" * HUGE,
    "half a megabyte of quotation marks": '{"answer": "' + '" ' * 250_000,
    "and of comments": '{"answer": "' + '" // ' * 100_000,
    "and of thoughts": "x</think>" * 50_000,
}


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP)
def test_deep_and_long_rubbish_is_refused(text):
    value, error = parse_reply(text, SCHEMAS["answer"])
    assert value is None and error


def test_a_long_reply_is_read():
    long = 'A "long" answer with \\ and\n' * 40_000
    for text in (json.dumps({"answer": long}), json.dumps({"answer": long})[:-1] + ",}"):
        assert parse_reply(text, SCHEMAS["answer"]) == ({"answer": long}, "")
    said = 'say "x" so ' * 50_000
    assert parse_reply(f'{{"answer": "{said}"}}', SCHEMAS["answer"]) == ({"answer": said}, "")


def test_without_a_schema_the_text_is_the_value():
    assert parse_reply("<think>…</think>\nYes. \n", None) == ("Yes.", "")
    assert parse_reply("<think>Yes.", None)[1].startswith("empty_reply")


def test_an_error_says_what_was_found_and_what_was_wanted():
    _, error = parse_reply('{"clarity": {"rationale": "r", "score": 4}}', SCHEMAS["rate"])
    assert error == "schema_error: clarity.score: Input should be less than or equal to 3, found 4"
    _, error = parse_reply(json.dumps({"pairs": "x" * 500}), SCHEMAS["list"])
    assert error.startswith("schema_error: pairs: Input should be a valid list, found") and len(error) < 150


@pytest.mark.parametrize("name", SCHEMAS)
def test_asking_again_shows_the_error_and_the_form(name):
    text = "<think>Hm.</think>No."
    error = parse_reply(text, SCHEMAS[name])[1]
    model, user = reask(error, text, SCHEMAS[name])
    assert model == dict(role="assistant", content="No."), "its thinking is not part of the conversation"
    assert user["role"] == "user" and error.partition(": ")[2] in user["content"] and form(SCHEMAS[name]) in user["content"]


def test_asking_again_after_nothing_or_too_much():
    assert [m["role"] for m in reask("empty_reply: nothing is said", "", None)] == ["assistant", "user"], "templates want turns in turn"
    assert all(m["content"].strip() for m in reask("empty_reply: nothing is said", "<think>a", None))
    cut = reask("truncated: it reached 9 tokens; raise llm.vllm.max_tokens", "x" * 10_000, SCHEMAS["answer"])
    assert len(cut[0]["content"]) < 1000 and "fewer words" in cut[1]["content"] and "llm." not in cut[1]["content"]
    assert form(SCHEMAS["rate"]) == '{"clarity": {"rationale": "…", "score": whole number from 0 to 3}}'


def test_the_form_itself_is_no_answer():
    for name in ("answer", "list", "pairs", "rate", "note"):
        assert parse_reply(form(SCHEMAS[name]), SCHEMAS[name])[0] is None


def test_reading_replies_imports_nothing_heavy():
    code = (
        "import sys; from synthgen_nb.core.replies import parse_reply; parse_reply('{\"a\": 1,}', {'type': 'object', 'properties': {}}); "
    )
    heavy = "sorted({'litellm', 'json_repair', 'pandas'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code + f"sys.exit(str({heavy}) if {heavy} else 0)"]).returncode == 0
