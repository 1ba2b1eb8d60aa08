"Scores by complexity and quality, their expectation over digits, and the choice of what is good and not there yet"

import asyncio
import json
import math

import numpy as np
import pytest
from conftest import rows
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgen_nb.core.methods import method
from synthgen_nb.core.models import Answer, open_model, parse_reply
from synthgen_nb.core.prompts import load_prompt
from synthgen_nb.core.records import Pair, Score, SynthgenError, load, save
from synthgen_nb.qa import deita as de


@pytest.mark.parametrize(
    "logits, score", [((1, 2, 3, 2, 1, 0), 3.072638850945592), ((-5.2, -3.1, -0.9, -0.8, -2.5, -6.0), 3.5699665458748204)]
)
def test_expectation_is_the_published_maths(logits, score):
    assert de.expectation(logits) == pytest.approx(score, abs=1e-12)
    assert de.expectation([x - 1000 for x in logits]) == pytest.approx(score, abs=1e-9)
    top = {str(k): x for k, x in zip(de.DIGITS, np.array(logits) - np.logaddexp.reduce(logits), strict=True)}
    assert de.read_logprobs([dict(token="3", logprob=top["3"], top=top)]).value == pytest.approx(score, abs=1e-9)


def test_digits_that_are_unlikely_are_not_a_score():
    token = lambda t, p, **top: dict(token=t, logprob=math.log(p), top={k: math.log(v) for k, v in top.items()})
    read = de.read_logprobs
    assert read([token("4", 1.0)]).value == 4
    assert read([token(" ", 1.0), token("4", 0.6, **{"4": 0.3, " 4": 0.3, "5": 0.2})]).value == pytest.approx((0.6 * 4 + 0.2 * 5) / 0.8)
    for said, why in (
        (None, "no_logprobs"),
        ([], "no_logprobs"),
        ([token("\n", 1.0)], "no_logprobs"),
        ([token("The", 0.9, **{"4": 0.1})], "not_a_digit"),
    ):
        got = read(said)
        assert got.value is None and got.why.startswith(why)
    assert read([token("7", 0.9, **{"10": 0.05})]).value is None, "only 1 to 6 are digits of the scale"


@pytest.mark.parametrize(
    "text, digit",
    [
        ("4", 4),
        (" 4.\n", 4),
        ("**4**", 4),
        ('"4"', 4),
        ("4/6", 4),
        ("4/10", None),
        ("4.5", None),
        ("7", None),
        ("0", None),
        ("44", None),
        ("four", None),
        ("", None),
        ("Score: 4", 4),
        ("4\nIt is clear.", 4),
        ("It is a 4", None),
    ],
)
def test_a_reply_is_one_digit_or_nothing(text, digit):
    assert de.read_digit(text) == digit


def test_draws_that_are_no_digit_are_left_out():
    got = de.mean_digit([Answer(value=v, text=v) for v in ("2", "five", "4")])
    assert got.value == 3 and got.n == 2 and got.spread == 1
    none = de.mean_digit([Answer(error="not_json: x", text="?")])
    assert none.value is None and none.why == "not_json: x"


@given(
    st.permutations(range(1, 7)),
    st.lists(st.integers(1, 6), min_size=6, max_size=6),
    st.sets(st.integers(1, 6)),
    st.sets(st.integers(1, 6)),
)
def test_ranks_reach_the_variant_they_name(order, scores, lost, doubled):
    said = (
        [dict(index=i, score=scores[i - 1]) for i in order if i not in lost]
        + [dict(index=i, score=1) for i in doubled]
        + [dict(index=9, score=3)]
    )
    got = de.scores_by_index(said, 6, 6)
    for i in range(1, 7):
        times = (i not in lost) + (i in doubled)
        assert got[i - 1] == (None if times != 1 else scores[i - 1] if i not in lost else 1)


PAIRS = [
    Pair(question=q, answer=a)
    for q, a in [
        ("What is a chunk?", "The unit in which HDF5 reads."),
        ("What does gzip do?", "It compresses."),
        ("Why tile?", "To read less."),
    ]
]


def test_scores_are_labelled_and_the_pair_stays():
    model = open_model(provider="offline", temperature=0.7)
    for scorer in ("sampled", "distilled"):
        made, about = asyncio.run(de.score_pairs(PAIRS, model, scorer, samples=2))
        assert about["faithful"] == "approximation" and about["unchecked"] == 0
        for p, x in zip(PAIRS, made, strict=True):
            assert (x.id, x.question, x.answer) == (p.id, p.question, p.answer)
            c, q, both = x.scores
            assert (c.criterion, q.criterion, both.criterion) == ("complexity", "quality", "deita") and f"deita:{scorer}@" in both.rubric
            assert (
                both.value == pytest.approx(c.value * q.value) and x.origin[-1].note == scorer and x.origin[-1].faithful == "approximation"
            )
        again, _ = asyncio.run(de.score_pairs(made, model, scorer, samples=2))
        assert again == made, "scoring twice does not collect scores"
    made, about = asyncio.run(de.score_pairs(PAIRS, model, "logprob"))
    assert about["unchecked"] == 3 and {s.status for p in made for s in p.scores} == {"unchecked"}
    out, _ = de.select_diverse(made)
    assert not out.kept and out.reasons == {"unscored": 3} and out.dropped[0].detail.startswith("no_logprobs")
    with pytest.raises(SynthgenError, match="unknown scorer 'sampld': did you mean 'sampled'"):
        asyncio.run(de.multi_score(PAIRS, model, "sampld"))
    with pytest.raises(SynthgenError, match="outside 2–12, the scale of the strategy 'sum'"):
        de.check_choice("sum", "sampled", 36)


def test_the_whole_is_its_parts():
    model = open_model(provider="offline", temperature=0.7)
    run = lambda **kw: asyncio.run(de.multi_score(PAIRS, model, samples=2, **kw))
    marked, about = asyncio.run(de.score_pairs(PAIRS, model, samples=2))
    want, limit = de.select_diverse(marked, 2, tau=0.9)
    out = run(top_k=2, tau=0.9)
    assert out.kept == want.kept and out.dropped == want.dropped and len(out.kept) + len(out.dropped) == 3
    assert out.note == f"{de.report(about)}; τ 0.900" and run().note.endswith("(calibrated)") and limit == 0.9
    assert run(top_k=2, scorer="distilled").note.startswith("scorer distilled, faithful approximation, trained_on ")


def test_the_step_is_what_the_notebook_declares():
    m = method("deita")
    assert m.function() is de.multi_score and m.command == "multi-score"
    assert {model.prompt(p).task for model in [open_model()] for p in PROMPTS} == set(m.replies)


PROMPTS = ("score_complexity", "score_quality", "evolve_question", "evolve_answer", "rank")


def test_conversations_add_up():
    assert de.total([(2, 3), (4, 5)]) == 26 and de.total([(2, 3), (4, 5)], "sum") == 14 and de.total([]) == 0


def test_evolved_variants_start_from_the_row_and_do_not_repeat():
    model = open_model(provider="offline")
    for what in ("question", "answer"):
        chains = asyncio.run(de.evolve(PAIRS, model, what, {"": "A text."}))
        assert [c[0] for c in chains] == [getattr(p, what) for p in PAIRS]
        assert all(2 <= len(c) <= 6 and len(set(c)) == len(c) for c in chains)
        assert chains == asyncio.run(de.evolve(PAIRS, open_model(provider="offline"), what, {"": "A text."})), "a run repeats itself"


def test_a_distilled_scorer_needs_differences():
    with pytest.raises(SynthgenError, match="no difference to learn from"):
        de.distil([["a", "b"]], [[3, 3]])
    chains = [[f"what is {w} {'and why ' * k}" for k in range(6)] for w in "cache link group type space file heap tree index page".split()]
    got = de.distil(chains, [[1, 2, 3, 4, 5, 6]] * len(chains))
    assert got.trained_on == 60 and got.spearman > 0.8
    low, high = got(["what is heap", "what is heap and why and why and why and why and why"])
    assert 1 <= low < high <= 6


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 60), st.integers(0, 10**6), st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_a_stricter_score_bar_keeps_a_subset_of_the_fit(n, seed, a, b):
    pairs = [Pair(question=f"Q{i}?", answer="A") for i in range(n)]
    r = np.random.default_rng(seed)
    marked = [p.but(scores=(Score(criterion="deita", value=float(r.uniform(1, 36)), scale=(1, 36)),)) for p in pairs]
    low, high = sorted((1 + 35 * a, 1 + 35 * b))
    fit = lambda t: {p.id for p in de.select_diverse(marked, min_score=t, tau=1.0)[0].kept}
    assert fit(high) <= fit(low)


# the command


@pytest.mark.parametrize("mock", [False, True], ids=["offline", "server"])
def test_multi_score(tmp_path, synthgen, server, mock):
    good = Pair(
        question="How do chunk shape and cache size decide together whether a chunk is read at every access, and what follows for tiled reading?",
        answer="A chunk larger than the cache is read at every access, so its shape should follow the reading pattern and its size stay below the cache; "
        "tiles that cross chunks read several.",
        meta={"votes": 3},
    )
    twin = good.but(answer=good.answer.replace("several", "many"))
    others = [
        Pair(question=f"What is part {i}?", answer=f"Part {i} is the {w}.") for i, w in enumerate("cache header link heap tree".split())
    ]
    save([*others, twin, good], tmp_path / "in.jsonl")
    plain = ("multi-score", "in.jsonl", "-o", "out.jsonl", "--tau", "0.8")
    args = (*plain, "--scorer", "sampled", "--samples", "2")
    said = synthgen(*args, "--top-k", "3", env=server.env if mock else {}).stdout
    made, lost = load(tmp_path / "out.jsonl", Pair), rows(tmp_path / "out_dropped.jsonl")
    assert len(made) == 3 and len(made) + len(lost) == 7
    values = [de.deita(p).value for p in made]
    assert values == sorted(values, reverse=True) and all(1 <= v <= 36 for v in values)
    assert "scorer sampled, faithful approximation, unchecked 0; τ 0.800\n" in said and bool(server.log()) == mock
    assert {r["reason"].split(":")[0] for r in lost} <= {"similar_to", "beyond_budget"}
    if not mock:
        assert any(r["reason"].startswith("similar_to:") for r in lost)
        assert made[0].id in (good.id, twin.id) and sum(p.id in (good.id, twin.id) for p in made) == 1
        assert "scorer distilled" in (said := synthgen(*plain).stdout) and "trained_on" in said, "the paper's joint ranking is the default"
        assert "logprobs" in synthgen(*args, "--scorer", "logprob", ok=False).stderr
        assert "did you mean 'product'" in synthgen(*args, "--strategy", "prodct", ok=False).stderr
        assert "nothing came of 7 pairs (below_score 7)" in synthgen(*args, "--min-score", "36", ok=False).stderr


def test_a_model_s_reply_to_each_prompt_is_read():
    for name, value in dict(
        evolve_question=dict(question="Q?"),
        evolve_answer=dict(answer="A."),
        rank=dict(scores=[dict(index=2, score=6), dict(index=1, score=1)]),
    ).items():
        assert parse_reply(f"```json\n{json.dumps(value)}\n```", load_prompt(name).output) == (value, "")
    for name in ("score_complexity", "score_quality"):
        assert parse_reply(" 4\n", load_prompt(name).output) == ("4", "")
