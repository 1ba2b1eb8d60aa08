"""What is counted of repeated beginnings, and several pairs of one chunk in one call of the judge."""

import asyncio
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from synthgen_nb.core.calls import requests_of
from synthgen_nb.core.curate import curate
from synthgen_nb.core.judge import load_rubric, pair_inputs
from synthgen_nb.core.models import open_model
from synthgen_nb.core.prompts import load_prompt
from synthgen_nb.core.records import Pair
from synthgen_nb.experiments.economy import cached, layouts, parts, per_row


def request(system, chunk, ask):
    user = f"Section: A\n\n<source>\n{chunk}\n</source>\n\n{ask}" if chunk else ask
    return dict(messages=[dict(role="system", content=system), dict(role="user", content=user)])


def test_the_parts_of_a_request_are_all_of_it():
    assert parts(request("Rate.", "A\n\nB", "Why?")) == ("Rate.", "Section: A\n\n<source>\nA\n\nB\n</source>\n", "\nWhy?")
    assert parts(request("Rate.", "", "Why?")) == ("Rate.", "", "Why?")


def test_a_bill_counts_what_is_cached_and_what_is_written():
    asked = [("a" * 4000, "c" * 4000, "e" * 400)] * 2
    row = per_row(asked, 100, 2)
    assert row["sent"] == 2100 and row["cached"] == row["cached_from_1024"] == 0.5 and row["written"] == 50
    assert row["billed_without_cache"] == 2100 + 250 and row["billed_own_server"] == row["billed_from_1024"] == 1050 + 105 + 250


PARTS = st.tuples(st.sampled_from(["", "a" * 40, "b" * 80]), st.sampled_from(["c" * 40, "d" * 8]), st.sampled_from("ef"))


@given(st.lists(PARTS, max_size=8), st.sampled_from([0, 15]))
@settings(max_examples=40, deadline=None)
def test_what_is_read_anew_and_what_is_cached_are_all_that_is_sent(asked, least):
    new, had = cached(asked, least)
    assert abs(new + had - sum(len(p) for r in asked for p in r) / 4) <= 1.5
    assert had <= cached(asked)[1] and cached(asked[:1])[1] == 0
    assert cached([*asked, *asked])[0] <= 2 * new + 2


def test_an_order_that_shares_more_reads_less_anew():
    stages = {s: [request(s * 10, c * 4000, q) for c in "xy"] for s, q in (("rewrite", "a"), ("judge", "b"))}
    as_it_is, chunk_first = layouts(stages, 2)
    assert as_it_is["sent"] == chunk_first["sent"] and chunk_first["new"] < as_it_is["new"], "here instructions are short and chunks long"
    assert chunk_first["cached_from_1024"] == 0


def test_pairs_of_one_chunk_are_judged_beside_one_copy_of_it():
    texts = {"a": "A chunk is the unit in which HDF5 reads. " * 30, "b": "A filter compresses chunks. " * 30}
    pairs = [Pair(question=f"What is a chunk, {i}?", answer="A chunk is the unit in which HDF5 reads.", chunk_id=c) for i, c in enumerate("aaab")]
    pairs.append(Pair(question="What has no source?", answer="This.", chunk_id="none"))
    judge = open_model(provider="offline").at("judge", 0.0)
    out = asyncio.run(curate(pairs, judge, load_rubric("workbench"), pair_inputs(texts), batch_size=5))
    assert len(out.kept) + len(out.dropped) == 5
    (one,) = [r for r in requests_of(judge.calls, judge.meter.keys) if r["task"] == "rate_many"]
    user = one["messages"][1]["content"]
    assert [len(re.findall(re.escape(t.strip()), user)) for t in texts.values()] == [1, 1] and user.count("<pair id=") == 5
    order = re.findall(r"<source>\n(A chunk|A filter|\n</source>)|<pair id", user)
    assert order == ["A chunk", "", "", "", "A filter", "", "\n</source>", ""], "a pair without a source does not take another's"


def test_the_judge_is_told_which_source_is_whose():
    assert "last one shown before it" in load_prompt("judge_batch").system
