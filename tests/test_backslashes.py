"""What a model wrote with one backslash in JSON is what it meant, and honest line breaks stay: LaTeX, paths, regular expressions, code."""

import ast
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import synthgen_nb
from synthgen_nb.core.backslashes import COMMANDS, mended
from synthgen_nb.core.calls import Reply
from synthgen_nb.core.models import answer_of, open_model
from synthgen_nb.core.prompts import Ask
from synthgen_nb.core.replies import parse_reply

ANSWER = {"type": "object", "required": ["answer"], "properties": {"answer": {"type": "string", "minLength": 1}}}
LATEX = sorted(COMMANDS) + """alpha beta bar begin bigl binom boldsymbol bot forall frac flat rho right rangle rceil rfloor rm underline
upsilon uparrow underbrace usepackage varphi sum int left langle ldots mathbb operatorname sqrt hat vec dot partial infty cdot leq geq
quad phi psi omega gamma delta lambda mu sigma xi zeta eta kappa prod log sin""".split()


def careless(text):
    "As a model writes it that forgets to double backslashes"
    return '{"answer": "' + text.replace('"', '\\"') + '"}'


def answer(text, source=""):
    value, error = parse_reply(text, ANSWER, source=source)
    assert not error, error
    return value["answer"]


@pytest.mark.parametrize("command", LATEX)
@pytest.mark.parametrize(
    "form", [r"It is $\{}{{x}}$ here.", r"with $x^2 + \{} y$, and", r"so \({} = \{} z\) holds", "The pair $\\alpha$, $\\{}_0$."]
)
def test_a_command_in_a_formula_is_read_as_written(command, form):
    text = form.replace("({}", "(a").format(command)
    assert answer(careless(text)) == text


@pytest.mark.parametrize("command", LATEX)
def test_the_source_decides_outside_of_formulas(command):
    text = rf"The macro \{command} is used."
    assert answer(careless(text), f"As the manual says, \\{command} is a macro.") == text


def test_the_source_decides_for_the_line_break_too():
    text = "x = 1\nu = 2\nto = 3\n\ttan = 4"
    assert answer(json.dumps({"answer": text}), f"```\n{text}\n```") == text
    assert answer(json.dumps({"answer": text})) == text


@pytest.mark.parametrize(
    "text",
    [
        r"Look in C:\temp\new\bin.",
        r"The folder is D:\reports\next\table_1.txt, and E:\Users\Public\notes is for all.",
        r"Open C:\Program Files\nodejs\readme.txt first",
        r"It lies on \\server\share\tools\new.",
        r"Match \bword\b, \d+ or \w*\b.",
        r"The class [^\n]* takes the rest of the line, and [^\t\n] no tab.",
        r"A line ends in \r?\n here.",
        r"Join them with `\t`, not with `\n`.",
    ],
)
def test_paths_and_patterns(text):
    assert answer(careless(text), "" if "server" not in text and "?" not in text else f"source: {text}") == text


@pytest.mark.parametrize("code", ['print("one\\ntwo")', 'puts("a\\tb\\n");', "re.split('[\\n\\t]+', s)", "grep -P '\\bfoo\\b\\tbar'"])
def test_escapes_in_code_are_those_of_the_source(code):
    assert answer(careless(f"Write {code} for it."), f"An example:\n\n    {code}\n") == f"Write {code} for it."


ROOT = Path(synthgen_nb.__file__).parents[1]
HONEST = [*sorted((ROOT / "synthgen_nb").rglob("*.py"))[::3], *sorted((ROOT / "tests").glob("*.py"))[::3], Path(ast.__file__), Path(json.__file__)]


@pytest.mark.parametrize("path", HONEST, ids=lambda p: p.name)
def test_honest_code_and_text_stay(path):
    text = path.read_text(encoding="utf-8").replace("$", "")
    for k in range(0, min(len(text), 30_000), 1500):
        piece = text[k : k + 1500]
        for source in ("", text[: k + 4000]):
            m = mended(json.dumps({"answer": piece}), source)
            assert (m.signs, m.doubt) == ((), "") and json.loads(m.text)["answer"] == piece


HONEST_PIECES = ["\n", "\t", "\n\n", " ", '"', "'", "the", "and", "Then", "x = 1", "- item", "```", "$HOME", "a/b", "№", "{", "}"]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(HONEST_PIECES)).map("".join))
def test_what_was_escaped_as_json_wants_it_stays(text):
    m = mended(json.dumps({"answer": text}))
    assert (m.signs, m.doubt) == ((), "") and json.loads(m.text)["answer"] == text


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([*(f"\\{c} " for c in LATEX), "C:\\temp\\new ", "\\d+", "\\n", "$", "\n", "x ", "so "])).map("".join))
def test_doubled_backslashes_are_left_alone(text):
    text = text + "."
    assert answer(json.dumps({"answer": text}), text) == text


def test_the_reply_of_the_issue_and_the_count_of_what_was_mended():
    decay = r"$s(t) = s_0 e^{-t/\tau}$, $\nabla s$ in $\text{mm}^{-1}$; $\beta$, $\rho$, $\frac{1}{\nu}$"
    model = open_model(provider="offline")
    ask = Ask(prompt="p", prompt_hash="", task="t", messages=(dict(role="user", content="x"),), output=ANSWER, inputs=dict(source=decay))

    got = answer_of(model, ask, "k", Reply(careless(decay), 10, 10), cached=False)
    assert (got.value, got.error) == ({"answer": decay}, "")
    assert model.meter.row()["mended"] == 7


@pytest.mark.parametrize("char", ["\x00", "\x07", "\x1b", "\x7f", "\x9b", "\r"])
def test_no_other_control_character_reaches_a_row(char):
    value, error = parse_reply(json.dumps({"answer": f"a{char} b"}), ANSWER)
    assert value is None and error.startswith("control_character: answer")
    value, error = parse_reply(f"a{char} b", None)
    assert value is None and error.startswith("control_character")


def test_a_long_reply_takes_time_in_proportion():
    "By the number of characters that are looked at, not by a clock: a million signs come back unaltered"
    text = "\n\t" * 50_000 + "$" * 1000 + "C:\\" * 1000
    assert json.loads(mended(json.dumps({"answer": text})).text)["answer"] == text
