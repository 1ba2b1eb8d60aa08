"Do two questions that look alike ask the same?"

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgen_nb.select.meaning import apart, asked, facts_apart, misspelt, one_slip

SAME = [
    ("What is the default of `chunks`?", "Please tell me what the default of chunks is."),
    ("How do I open a file?", "Hi! Could you tell me how one can open the file, please? Thanks a lot!"),
    ("What does the `load_class` method do?", "What does `load_class()` do?"),
    ("What's required to read 3 chunks?", "What is needed to read three chunks?"),
    ("How do I set up the 1,024 MB data set?", "How to setup a 1024MB dataset"),
    ("In h5py, what is a group?", "What is a group in h5py?"),
]
OTHER = [
    ("How do I enable X?", "How do I disable X?"),
    ("What is the default of `chunks`?", "What is the default of `shuffle`?"),
    ("What is the default of `chunks`?", "What is the default of `chunk`?"),
    ("What changed in h5py 2.0?", "What changed in h5py 3.0?"),
    ("What is the min size?", "What is the max size?"),
    ("What does `-v` do?", "What does `-V` do?"),
    ("What does --force do?", "What does --no-force do?"),
    ("Is A a parent of B?", "Is B a parent of A?"),
    ("How do I convert lists to tuples?", "How do I convert tuples to lists?"),
    ("What is `a` after a loop?", "What is `i` after a loop?"),
    ("Is it open?", "Isn't it open?"),
    ("How do I append steps to a pipeline?", "How do I append parameters to a pipeline?"),
    ("What does the `x` option do?", "What does the `x` method do?"),
    ("What does `with` do?", "What does `using` do?"),
    ("Where is the file written?", "When is the file written?"),
    ("What is 10²?", "What is 102?"),
]


@pytest.mark.parametrize(("a", "b"), SAME)
def test_worded_otherwise(a, b):
    assert apart(a, b) == apart(b, a) == "" and facts_apart(a, b) == ""


@pytest.mark.parametrize(("a", "b"), OTHER)
def test_asking_something_else(a, b):
    assert apart(a, b) and apart(b, a)


def test_facts_decide_where_words_may_differ():
    assert not facts_apart("How do I make a new pipeline in Jarvis?", "How can a pipeline be created in Jarvis?")
    for a, b in OTHER[:9]:
        if "lists" not in a:
            assert facts_apart(a, b) and facts_apart(b, a), (a, b)


def test_the_set_tells_a_slip_from_a_word():
    rows = Counter({"compression": 9, "compresion": 1, "insert": 5, "invert": 5})
    assert not apart("What is compression?", "What is compresion?", rows) and apart("What is compression?", "What is compresion?")
    assert apart("How do I insert a row?", "How do I invert a row?", rows)
    assert apart("What is `compression`?", "What is `compresion`?", rows), "names are not forgiven"
    assert not misspelt("enable", "disable", Counter(enable=1, disable=9)) and one_slip("group", "gruop")


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([q for pair in SAME + OTHER for q in pair]))
def test_politeness_says_nothing(q):
    low = q[0].lower() + q[1:]
    assert asked(f"Please, {low}") == asked(f"{q.rstrip('?')}, please?") == asked(f"Hello! {q} Thank you.") == asked(q)
