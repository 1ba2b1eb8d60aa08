"What a kept row costs: beginnings counted once, rows divided by, and prompts that let a server keep them"

import asyncio
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgen_nb.core import account
from synthgen_nb.core.calls import Reply, Request, requests_of
from synthgen_nb.core.judge import load_rubric, pair_inputs
from synthgen_nb.core.models import open_model
from synthgen_nb.core.prompts import load_prompt
from synthgen_nb.core.records import Pair
from synthgen_nb.core.transport import Rates

few = settings(max_examples=40, deadline=None)


def asked(*texts):
    return [dict(messages=[dict(role="user", content=t)]) for t in texts]


def in_order(texts):
    "The same by definition: what of each request an earlier one began with, looked at one by one"
    full, shared = [f"user\n{t}\n" for t in texts], 0
    for i, t in enumerate(full):
        shared += max((next((k for k in range(len(t) + 1) if k == len(t) or t[: k + 1] != o[: k + 1])) for o in full[:i]), default=0)
    return shared / sum(map(len, full))


@given(st.lists(st.text("ab", max_size=6), min_size=1, max_size=8))
@few
def test_sorted_neighbours_count_what_earlier_requests_began_with(texts):
    assert account.shared_prefix(asked(*texts)) == pytest.approx(in_order(texts))
    assert account.shared_prefix(asked(*reversed(texts))) == pytest.approx(account.shared_prefix(asked(*texts)))


def test_short_beginnings_can_be_left_out():
    same = asked("a" * 50 + "1", "a" * 50 + "2")
    assert account.shared_prefix(same) > 0.4 and account.shared_prefix(same, 100) == 0 and account.shared_prefix([]) == 0


def test_a_row_pays_for_those_that_were_dropped_too():
    model = open_model(provider="offline").at("judge", 0.0)
    pairs = [Pair(question=f"What is part {i}?", answer="A chunk is a unit.", chunk_id="c") for i in range(4)]
    asyncio.run(account.curate(pairs, model, load_rubric("workbench"), pair_inputs({"c": "A chunk is a unit. " * 40})))
    stage, total = account.row_costs([model.meter, model.at("reason", 0.0).meter], model.calls, 2)
    assert stage["stage"] == "judge" and stage["calls"] == 4 and stage["calls_per_row"] == 2, "a stage that asked nothing is left out"
    assert stage["input_per_row"] == round(model.meter.input_tokens / 2) and 0.7 < stage["repeated"] < 1
    assert {k: v for k, v in total.items() if k != "stage"} == {k: v for k, v in stage.items() if k != "stage"}
    assert stage["billed_per_row"] == round((model.meter.input_tokens + 5 * model.meter.output_tokens) / 2)
    assert account.row_costs([], model.calls, 0) == [] and len(requests_of(model.calls, ["no such key", *model.meter.keys])) == 4


def test_requests_come_in_the_order_of_the_keys():
    model = open_model(provider="offline")
    some = [Request(messages=[dict(role="user", content=str(i))], model="m") for i in range(1100)]
    for r in some:
        model.calls.put(r, Reply("so"))
    keys = [r.key for r in reversed(some)]
    assert [r["messages"][0]["content"] for r in requests_of(model.calls, keys)] == [str(i) for i in reversed(range(1100))]


@pytest.mark.parametrize(
    "name",
    "qa_text qa_code cot_text cot_code rewrite evidence revise judge same explain solve tasks_input_first tasks_output_first".split(),
)
def test_what_a_prompt_begins_with_is_the_same_for_all_pairs_of_a_chunk(name):
    p = load_prompt(name)
    at, of_the_chunk = p.user.index("{{ text | material }}"), {"text", "source", "section", "language"}
    if name == "rewrite":  # a pair stands under the heading that its own place has
        of_the_chunk -= {"section"}
    for varies in set(p.inputs) - of_the_chunk:
        found = [p.user.find(mark) for mark in (f"{{{{ {varies}", f"if {varies}", f"in {varies}") if mark in p.user]
        assert all(i > at for i in found), f"{varies} stands before the chunk"
        if varies not in ("rubric", "topic", "reasoning"):
            placed = re.sub(r"'[^']*'", "", " ".join(re.findall(r"{{(.*?)}}", p.system)))
            assert varies not in placed.split(), varies


def test_a_bill_is_at_the_price_of_the_model_where_there_is_one():
    m = open_model(provider="offline").at("judge").meter
    m.count("k", Reply("Yes.", 1000, 10, cache_read=600, cache_written=300), True)
    assert account.billed(m) == pytest.approx(100 + 60 + 375 + 50)
    assert account.billed(m, Rates(2.0, 8.0, 1.0, 2.0)) == pytest.approx(100 + 300 + 300 + 40)
    assert account.billed(m, Rates(0.0, 0.0, 0.0, 0.0)) == account.billed(m), "a free model has the usual proportions"


def test_rows_asked_both_ways_are_compared_with_themselves():
    pairs = [Pair(question=f"What is part {i}?", answer="A chunk is a unit.", chunk_id="c") for i in range(4)]
    together = [p.but(answer="A unit.") for p in pairs[:3]]
    one, two = account.compared("rewrite", pairs[1:], together, [together[1], *pairs[2:]])
    assert one["rows"] == two["rows"] == 2, "only those that were asked both ways"
    assert (one["changed"], two["changed"], one["same"], one["words"], two["words"]) == (2, 1, 1, 2.0, 3.5)
