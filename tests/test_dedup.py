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
