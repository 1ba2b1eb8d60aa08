"""Rubrics and judges: scores are read or the row is unrated, and no rating goes to a neighbour."""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgen_nb.core.curate import curate
from synthgen_nb.core.judge import by_id, draws_of, judge, judge_ask, load_rubric, mean_scores, pair_inputs, read_score, scores_of
from synthgen_nb.core.models import Answer, Model, open_model
from synthgen_nb.core.prompts import load_prompt
from synthgen_nb.core.records import Pair, Score, SynthgenError

few = settings(max_examples=25, deadline=None)


# reading scores


@pytest.mark.parametrize(
    "text, score",
    [
        ("4.5\nok", 4.5),
        ("Score: 4.5\nok", 4.5),
        ("Score:4.5\nok", 4.5),
        ("score: 4.5\nok", 4.5),
        ("4.5/5\nok", 4.5),
        ("**4.5**", 4.5),
        ("\n5\n", 5),
        ("0\nwrong", 0),
        ("4.3\nok", None),
        ("6\nok", None),
        ("-1", None),
        ("9/10\nok", None),
        ("It is right.\n4.5", None),
        ("4.5 because it is right", None),
        ("", None),
    ],
)
def test_first_line(text, score):
    assert read_score(text, load_rubric("alpagasus").criteria[0], "first_line") == score


@pytest.mark.parametrize(
    "text, score",
    [
        ("Good.\nScore: 5", 5),
        ("Good.\n**Score:** 5", 5),
        ("Good.\n**Score: 5**", 5),
        ("Good.\nScore: 5/5\n\n", 5),
        ("Score: 5 is too much.\nScore: 4", 4),
        ("Good.\nScore: 4.5", None),
        ("Good.\nScore: 91", None),
        ("Good.\nScore: 0", None),
        ("Good.\nScore: -4", None),
        ("Score: 5\nHope this helps", None),
        ("Good.\n5", None),
        ("", None),
    ],
)
def test_last_line(text, score):
    assert read_score(text, load_rubric("humpback").criteria[0], "last_line") == score


def test_what_cannot_be_read_is_unrated_and_kept_apart():
    r = load_rubric("humpback")
    (bad,) = scores_of(Answer(value="Great!", text="Great!"), r)
    assert (bad.status, bad.value, bad.raw) == ("unrated", None, "Great!") and bad.rationale.startswith("unreadable_score")
    five, four = (scores_of(Answer(value=f"So.\nScore: {n}", text=""), r) for n in (5, 4))
    mean = mean_scores([five, (bad,), four])
    assert mean[-1].value == 4.5 and "mean of 5, 4 (1 unreadable)" in mean[0].rationale
    assert mean_scores([(bad,), (bad,)]) == (bad,)
    with pytest.raises(SynthgenError, match="temperature 0 are the same draw"):
        asyncio.run(alldraws())


async def alldraws():
    return [v async for v in judge([Pair(question="Why?", answer="So.")], open_model(), load_rubric("humpback"), pair_inputs({}), draws=3)]


# any row


def test_a_judge_is_given_what_its_prompt_takes_and_no_more():
    p, m = Pair(question="What is a chunk?", answer="The unit of I/O.", chunk_id="c"), open_model()
    ask = judge_ask(pair_inputs({"c": "A source."})(p), m.prompt("judge_alpagasus"), load_rubric("alpagasus"))
    assert set(ask.inputs) == set(m.prompt("judge_alpagasus").inputs) and "A source." not in ask.messages[1]["content"]
    with pytest.raises(SynthgenError, match=r"a judge is not given .'no_call', 'rounds', 'tools'."):
        judge_ask(pair_inputs({})(p), m.prompt("tool_rate"), load_rubric("tools"))


def test_conversations_are_judged_by_their_own_prompt():
    "A row of any kind, shown as its rubric's prompt wants it"
    row, m = Pair(question="Which files are there?", answer="a.h5"), open_model().at("judge")
    step = dict(call="c1", tool="ls", arguments={}, status="ok", result="a.h5", content="a.h5", thought="I list them.", learnt=True)
    one = lambda p: dict(system="", instruction=p.question, steps=[step], answer=p.answer, learnt=True)
    show = lambda p: dict(tools=[dict(name="ls", description="Lists files", parameters={})], rounds=[one(p)], no_call="")
    out = asyncio.run(curate([row], m, load_rubric("tools"), show, 0))
    (kept,) = out.kept
    assert [s.criterion for s in kept.scores] == ["tool_selection", "parameters", "reasoning", "usefulness", "overall"]
    assert kept.origin[-1].method == "judge:tools" and kept.origin[-1].prompt == "tool_rate"
    with pytest.raises(SynthgenError, match="rates one pair in a call"):
        asyncio.run(curate([row], m, load_rubric("tools"), show, batch_size=2))


# judging several pairs in one call


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=12), st.integers(1, 6))
@few
def test_batch_ratings_go_to_nobody_else(said, n):
    "Dropped, reordered, repeated, invented: an id gets a rating only if all that was said of it is the same"
    ids = [f"id{i}" for i in range(n)]
    found = by_id({"ratings": [dict(id=f"id{i}", score=s) for i, s in said]}, set(ids))
    for i in range(n):
        mine = {s for j, s in said if j == i}
        assert (found.get(f"id{i}") == dict(id=f"id{i}", score=mine.pop())) if len(mine) == 1 else f"id{i}" not in found


@pytest.mark.parametrize("seed", range(4))
def test_a_judge_that_drops_reorders_and_repeats_never_misassigns(seed):
    rng, rubric = random.Random(seed), load_rubric("workbench")
    pairs = [Pair(question=f"What is thing {i}?", answer=f"Thing {i}.") for i in range(11)]
    mark = {p.question: i % 4 for i, p in enumerate(pairs)}
    row = lambda q: {c.name: dict(rationale=q, score=min(mark[q], c.high)) for c in rubric.criteria}
    alone = []

    class Judge:  # a model whose replies are spoilt in every way a batch can be spoilt
        name, temperature = "mock/judge", 0.0
        prompt, over = staticmethod(load_prompt), Model.over

        async def map(self, asks, total=None):
            for a in asks:
                if a.task == "rate":
                    alone.append(a.inputs["question"])
                    value = row(a.inputs["question"])
                else:
                    out = [dict(id=x["id"]) | row(x["question"]) for x in a.inputs["batch"]]
                    rng.shuffle(out)
                    out = out[rng.randrange(2) :] + out[: rng.randrange(2)] + [dict(out[0], id="stray")]
                    out.append(dict(out[0], clarity=dict(rationale="?", score=0)))  # says two things of one id, perhaps
                    value = dict(ratings=out)
                yield Answer(value=value, text="", calls=("c",), model=self.name)

    async def run():
        return [v async for v in judge(pairs, Judge(), rubric, pair_inputs({}), batch_size=4)]

    for p, v in zip(pairs, asyncio.run(run()), strict=True):
        assert {s.rationale for s in v.scores[:-1]} == {p.question} and v.scores[0].value == min(mark[p.question], 3)
    assert alone, "who was left out is asked about alone"


def test_the_draws_behind_a_mean_can_be_read_again():
    said = [(Score(criterion="overall", value=v, scale=(0, 10), rationale="Clear."),) for v in (7, 8.5, 6)]
    (mean,) = mean_scores(said)
    assert draws_of(mean) == [7, 8.5, 6] and mean.value == 21.5 / 3 and draws_of(said[0][0]) == []
