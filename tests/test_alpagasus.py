"AlpaGasus: the published sizes and verdicts, and what must always hold"

import asyncio
import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgen_nb.core.judge import load_rubric, scores_of
from synthgen_nb.core.methods import method
from synthgen_nb.core.models import Answer, open_model
from synthgen_nb.core.records import Pair, SynthgenError
from synthgen_nb.qa import alpagasus

few = settings(max_examples=25, deadline=None)


def rated(values, rubric="alpagasus"):
    "Pairs with ratings"
    r = load_rubric(rubric)
    reply = lambda v: scores_of(Answer(value=f"{v:g}\nso", text=f"{v:g}\nso"), r)
    return [Pair(question=f"Question {i}?", answer=f"Answer {i}.", scores=reply(v)) for i, v in enumerate(values)]


def test_histogram_gives_the_published_sizes_and_threshold():
    hist = alpagasus.histogram([]) | {2.5: 1, 3.0: 1550, 3.5: 10811, 4.0: 30240, 4.5: 9218, 5.0: 11}
    assert (alpagasus.kept_at(hist, 4.5), alpagasus.kept_at(hist, 4.0), sum(hist.values())) == (9229, 39469, 51831)
    assert alpagasus.knee(hist) == 4.5
    other = dict(enumerate([14, 12, 261, 344, 94, 381, 897, 4025, 2466, 732, 92]))
    assert (sum(other.values()), alpagasus.kept_at(other, 7), alpagasus.knee(other)) == (9318, 7315, 8)
    assert alpagasus.knee({1: 0, 2: 9}) is None is alpagasus.knee({1: 0, 2: 0}), "full marks for all separate nothing"


def test_size_of_the_random_control(data):
    assert len(json.loads((data / "qa/alpagasus_random_9k.json").read_text())) == 9229


def test_recorded_reviews_give_the_published_verdicts(data):
    golden = json.loads((data / "qa/GOLDEN.json").read_text())
    found = alpagasus.recorded(data / "qa")
    assert found
    for name, (prefs, published) in found.items():
        t = alpagasus.tally(prefs)
        assert t["unrated"] == 0, "every first line is read"
        assert [t["win"], t["tie"], t["lose"]] == [int(published[k]) for k in ("win", "draw", "lose")]
        assert [t["win"], t["tie"], t["lose"]] == golden["judge_pairs_win_draw_lose"][name]
        assert f"{t['flips']}/{len(prefs)}" == golden["judge_pairs_items_whose_verdict_flips_with_order"][name]


def test_verdict_of_both_orders():
    verdict = lambda a, b: alpagasus.Preference(a, b).verdict
    assert verdict((9, 7), (7, 9)) == verdict((9, 7), (8, 8)) == verdict((8, 8), (7, 9)) == "win"
    assert verdict((9, 7), (9, 7)) == verdict((8, 8), (8, 8)) == "tie" and alpagasus.Preference((9, 7), (9, 7)).flips
    assert verdict((7, 9), (9, 7)) == verdict((8, 8), (9, 7)) == "lose"
    assert verdict((9, 7), None) == "unrated" and not alpagasus.Preference((9, 7), None).flips
    read = [alpagasus.read_two(t) for t in ("8 6\nok", "8, 6", "8/10 6/10", "**8 6**", "8.5 7", "8", "11 2", "8 6 because", "")]
    assert read == [(8, 6)] * 4 + [(8.5, 7)] + [None] * 4
    assert alpagasus.winning_score(dict(win=94, tie=71, lose=15)) == pytest.approx(1.4389, abs=1e-4)


@given(st.lists(st.sampled_from([x / 2 for x in range(11)]), min_size=1, max_size=40))
@few
def test_a_higher_threshold_keeps_a_subset(values):
    pairs, hist = rated(values), alpagasus.histogram(values)
    kept = [{p.id for p in pairs if p.rating >= t} for t in hist]
    assert all(b <= a for a, b in pairwise(kept)) and [len(k) for k in kept] == [alpagasus.kept_at(hist, t) for t in hist]
    best = alpagasus.top_share(pairs, 0.5, lambda p: "all")
    assert len(best.kept) == round(len(pairs) / 2)
    assert min((p.rating for p in best.kept), default=5) >= max((d.record.rating for d in best.dropped), default=0)


def test_the_whole_keeps_what_the_histogram_says():
    pairs = [Pair(question=f"What is chunk {i}?", answer=a) for i, a in enumerate(["It depends.", "A chunk is the unit of reading.", "Yes"])]
    run = lambda tau=None: asyncio.run(alpagasus.alpagasus(pairs, open_model(), tau))
    everything = run(0)
    assert len(everything.kept) == 3 and everything.note == "τ 0" and all(p.rating is not None for p in everything.kept)
    tau = alpagasus.knee(alpagasus.histogram(p.rating for p in everything.kept))
    want, _ = alpagasus.at_least(everything.kept, tau)
    assert run().kept == want and run().note == (f"τ {tau:g}" if tau is not None else "no threshold separates them")
    assert not alpagasus.at_least(rated([5, 5]), None)[0] and method("alpagasus").function() is alpagasus.alpagasus
    with pytest.raises(SynthgenError, match="one of each"):
        asyncio.run(alpagasus.prefer(["q"], ["a"], [], open_model()))
