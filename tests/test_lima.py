"LIMA: quotas to the example, rules that spare technical writing, and agreement that discounts ties"

import asyncio
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgen_nb.core import curate as curation
from synthgen_nb.core.methods import method
from synthgen_nb.core.records import Pair, SynthgenError
from synthgen_nb.qa import lima

few = settings(max_examples=25, deadline=None)


def test_published_size_and_filters():
    quotas = {"stem": 200, "other": 200, "wiki": 200, "prompts": 150, "tasks": 50, "authors": 200}
    pool = [Pair(question=f"{s} {i}?", answer="So.", sources=(s,)) for s, n in quotas.items() for i in range(n + 7)]
    out = lima.lima_select(pool, 1000, curation.document, quotas=quotas)
    assert Counter(map(curation.document, out.kept)) == quotas and out.reasons == {"over_quota": 42} and out.note == "quotas filled"
    with pytest.raises(SynthgenError, match="add up to 1000, more than the budget"):
        lima.lima_select(pool, 999, curation.document, quotas=quotas)
    text = ("A chunk is read as a whole. " * 50)[:1200]
    why = lambda a: [d.reason for d in curation.apply_rules([Pair(question="q?", answer=a)], lima.STACK_EXCHANGE).dropped]
    assert (why(text), why(text[:-1]), why((text * 4)[:4096]), why((text * 4)[:4097])) == (
        [],
        ["rule:long_enough"],
        [],
        ["rule:not_too_long"],
    )
    assert why(text + " I think.") == ["rule:no_first_person"] and why(text + " As @bob said.") == ["rule:no_other_answers"]


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 50), max_size=6), st.integers(0, 120), st.sampled_from([1, 2, 3, 50]))
@few
def test_a_budget_is_shared_out_to_the_pair(sizes, budget, flatten):
    got = lima.share_out(sizes, budget, flatten)
    assert sum(got.values()) == min(budget, sum(sizes.values())) and all(0 <= got[s] <= n for s, n in sizes.items())


def test_selection_is_diverse_and_repeatable():
    pairs = [
        Pair(question=f"How is {w} stored, case {i}?", answer="It is.", sources=("a.md",), meta=dict(votes=i))
        for w in ("alpha", "beta", "gamma", "delta")
        for i in range(9)
    ]
    select = lambda **kw: lima.lima_select(pairs, 8, curation.document, rules={}, **kw)
    one = select(seed=1)
    assert one.kept == select(seed=1).kept and len(one.kept) == 8
    capped = select(per_cluster=1)
    assert len(capped.kept) == 6 and capped.note == "quota not filled: a.md 6 of 8" and capped.reasons["cluster_full"]
    votes = select(worth=lambda p: p.meta["votes"])
    assert sum(p.meta["votes"] for p in votes.kept) > sum(p.meta["votes"] for p in one.kept)


def test_agreement_discounts_ties():
    a, b = ["win", "win", "win", "tie", "tie", "lose"], ["win", "tie", "lose", "tie", "lose", "lose"]
    assert lima.tie_discounted(a, b) == (1 + 0.5 + 0 + 1 + 0.5 + 1) / 6
    with pytest.raises(SynthgenError):
        lima.tie_discounted([], [])


@pytest.mark.parametrize(
    "text, why",
    [
        ("I think so.", "no_first_person"),
        ("It is, I'm sure.", "no_first_person"),
        ("In my case it works.", "no_first_person"),
        ("Do it myself.", "no_first_person"),
        ("Set I/O to async, or use MPI I/O.", ""),
        ("Part I is about files; Type I errors are not.", ""),
        ("Activate my-env with my_env and /my/path.", ""),
        ("As @bob said.", "no_other_answers"),
        ("@bob's answer is wrong.", "no_other_answers"),
        ("Thanks to @bob it works.", "no_other_answers"),
        ("As Bob pointed out.", "no_other_answers"),
        ("See the accepted answer.", "no_other_answers"),
        ("Load hdf5@1.14.0 and mpich@3.4.3, or hermes@master.", ""),
        ("uses: actions/checkout@v4, git@github.com:a/b and me@example.com", ""),
        ("Put @property or @jit above it, then @1.", ""),
        ("As previously mentioned, it is cached.", ""),
    ],
)
def test_patterns_spare_technical_writing(text, why):
    rules = {k: lima.STACK_EXCHANGE[k] for k in ("no_first_person", "no_other_answers")}
    out = curation.apply_rules([Pair(question="q?", answer=text)], rules)
    assert [d.reason for d in out.dropped] == ([f"rule:{why}"] if why else [])


def test_the_step_is_the_selection_by_document():
    pairs = [Pair(question=f"What is {w} {i}?", answer="So.", sources=(f"{w}.md",)) for w in "ab" for i in range(9)]
    step = method("lima").function()
    assert asyncio.run(step(pairs, None, budget=6)).kept == lima.lima_select(pairs, 6, curation.document).kept
    out = asyncio.run(step(pairs, None, budget=6, forum=True))
    assert not out.kept and out.reasons == {"rule": 18}
