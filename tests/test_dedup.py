"One question, one row"

from hypothesis import given, settings
from hypothesis import strategies as st

from synthgen_nb.core.records import Pair, Score
from synthgen_nb.select.dedup import dedup, normal_form


def pair(question, answer="A container.", rating=None):
    scores = (Score(criterion="overall", value=rating, scale=(0, 10)),) if rating is not None else ()
    return Pair(question=question, answer=answer, scores=scores)


def test_differences_that_do_not_matter():
    assert normal_form("What is  a ﬁle?") == normal_form("WHAT IS A FILE") == "what is a file"
    assert normal_form("a.b") == "a.b" and normal_form(" ?! ") == "" and normal_form("a b") != normal_form("ab")


ONE = [
    "What is the purpose of `X`?",
    "what is the purpose of X",
    "What is the purpose of **X**?",
    "What is the “purpose” of 'X' ?",
    "What is, the purpose, of [X](x.html)?",
]
APART = ["a_b", "a.b", "a b", "a-b", "-1", "1", "C", "C++", "C#", "x<y", "x>y", "x==1", "x=1", "3.5", "35", ">=1.2", "1.2", "/path/a", "path a", "-v", "-V"]
APART += ["64 Mb", "64 MB", "f(x)", "f x", ".git", "git", "`a?`", "a", "10²", "102", "__init__", "init", "*.py", ".py", "$HOME", "HOME", "1,5", "15"]


def test_markup_is_no_difference_and_signs_are():
    assert len({normal_form(q) for q in ONE}) == 1
    assert len({normal_form(f"What is {x}?") for x in APART}) == len(APART)
    assert normal_form("What is a?\n```\nif x:\n```") != normal_form("What is a?\n```\nif x\n```"), "punctuation of code stays"


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40))
def test_any_text_has_a_form_that_case_and_space_do_not_change(text):
    assert normal_form(f"  {text}\n") == normal_form(text) and isinstance(normal_form(text), str)


def test_the_best_rated_stays_and_the_first_among_equals():
    plain, low, high = pair("What is a group?"), pair("what is a group", rating=2), pair("What is a  group ?", "A set.", rating=9)
    assert dedup([plain, low]).kept == [low] and dedup([plain, plain.but(answer="A set.")]).kept == [plain]
    out = dedup([plain, low, high])
    assert out.kept == [high] and [d.reason for d in out.dropped] == [f"conflicts_with:{high.id}"] * 2
    assert dedup([plain, low]).dropped[0].reason == f"duplicate_of:{low.id}"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["Q a?", "q A", "Q b?", "Q c"]), st.sampled_from(["x", "y"]), st.none() | st.integers(0, 10)), max_size=12))
def test_one_row_a_question_and_nothing_lost(rows):
    pairs = [pair(*r) for r in rows]
    out = dedup(pairs)
    asked = [normal_form(p.question) for p in out.kept]
    assert len(set(asked)) == len(asked) and set(asked) == {normal_form(p.question) for p in pairs}
    assert len(out.kept) + len(out.dropped) == len(pairs) and dedup(out.kept).kept == out.kept
