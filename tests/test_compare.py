"Compare: the better set is named where it can be shown, and no other"

import asyncio
import json
import os
import random
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

import synthgen_nb.cli.measure  # registers the commands
from synthgen_nb.cli.app import tried
from synthgen_nb.core.models import open_model
from synthgen_nb.core.records import Pair, SynthgenError, load, save
from synthgen_nb.evaluate.compare import (
    Aligned, Measure, aligned, apart_interval, compare, comparison_text, copies, decided, difference, head_to_head, paired_interval, question_kind, said_of,
)  # fmt: skip
from synthgen_nb.evaluate.mutations import KINDS, Surroundings

DATA = Path(os.environ.get("SYNTHGEN_DATA", ROOT.parent / "shared" / "data"))
run = asyncio.run
ROWS = [Pair(question=f"How large is buffer {i}?", answer=f"Buffer {i} holds {64 + i} MB.", chunk_id=f"c{i}") for i in range(200)]
TEXT = {p.chunk_id: f"{p.answer} It is checked twice." for p in ROWS}


def spoilt(rows, share, seed=0):
    hit = set(random.Random(seed).sample(range(len(rows)), round(share * len(rows))))
    return [p.but(answer=p.answer.replace("holds ", "holds 9")) if i in hit else p for i, p in enumerate(rows)]


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2])
def test_the_better_set_wins_whatever_the_order(share):
    bad = random.Random(2).sample(spoilt(ROWS, share), len(ROWS))
    assert run(compare({"good": ROWS, "bad": bad}, evidence=TEXT)).winner == "good"
    assert run(compare({"bad": bad, "good": ROWS}, evidence=TEXT)).winner == "good"


def test_a_set_does_not_win_against_itself():
    c = run(compare({"a": ROWS, "b": list(reversed(ROWS))}, evidence=TEXT))
    assert c.winner == "" and {d.state for d in c.differences} == {"nothing_differs"} and "same rows" in said_of(c)


def test_no_half_of_one_set_wins_in_95_of_100_seeds():
    r = np.random.default_rng(0)
    rating = {p.id: float(v) for p, v in zip(ROWS, r.choice(11, len(ROWS)), strict=True)}

    async def score(rows):
        return [rating[p.id] for p in rows]

    measure, won = Measure("rating", "", (0, 10), score, 10), 0
    for seed in range(100):
        mixed = random.Random(seed).sample(ROWS, len(ROWS))
        d = run(difference((mixed[:100], mixed[100:]), ("a", "b"), Aligned((), (), False), measure, 0.99, seed))
        won += bool(d.better)
    assert won <= 5, won


def test_few_rows_never_decide():
    assert paired_interval([1.0] * 7, range(7), 0.99) == (-np.inf, np.inf)
    assert paired_interval([1.0] * 9, range(9), 0.99)[0] == 1
    assert paired_interval([1.0] * 30, [0] * 30, 0.99) == (-np.inf, np.inf), "thirty rows of one source are one"
    low, high = apart_interval([1.0, 1.0], [0.0, 0.0], (range(2), range(2)), 0.99)
    assert low == -np.inf and high == np.inf


def test_an_interval_holds_the_true_difference():
    r, held = np.random.default_rng(3), 0
    for i in range(24):
        low, high = apart_interval(r.normal(1, 1, 30), r.normal(0, 1, 30), (range(30), range(30)), 0.95, i)
        held += low <= 1 <= high
    assert held >= 20, held


def test_rows_meet_by_id_descent_and_question():
    told = [p.but(answer="Twice as much.") for p in ROWS[:5]]
    asked = [ROWS[5].but(question="How big is buffer 5?")]
    other = [Pair(question="how large is buffer 6", answer="x", chunk_id="c6")]
    x = aligned(ROWS[:7], [*other, *reversed(told), *asked])
    assert x.both == ((0, 5), (1, 4), (2, 3), (3, 2), (4, 1), (5, 6), (6, 0)) and x.paired and len(x.differ) == 7
    assert not aligned(ROWS[:50], ROWS[50:]).both and not aligned(ROWS, ROWS[:50]).paired


def test_a_flip_is_a_tie_and_measures_that_contradict_decide_nothing():
    said = run(head_to_head(ROWS[:3], ROWS[:3], open_model(provider="offline"), {}))
    assert [p.verdict for p in said] == ["tie"] * 3
    d = run(compare({"good": ROWS, "bad": spoilt(ROWS, 0.2)}, evidence=TEXT)).differences[0]
    from dataclasses import replace
    assert decided([d, replace(d, better="bad")]) == "" and decided([d, replace(d, better="")]) == "good"


def test_of_three_sets_one_must_beat_both():
    worse, worst = spoilt(ROWS, 0.2), spoilt(spoilt(ROWS, 0.2), 0.9, 1)
    c = run(compare({"good": ROWS, "worse": worse, "worst": worst}, evidence=TEXT))
    assert c.winner == "good" and ("good", "worse") in c.better and c.differences[0].level > 0.996
    c = run(compare({"a": ROWS, "b": ROWS, "bad": worse}, evidence=TEXT))
    assert c.winner == "" and {w for w, _ in c.better} == {"a", "b"}


def test_copies_and_kinds():
    assert copies([*ROWS[:3], ROWS[0], ROWS[1].but(answer="Never.")]) == (1, 1)
    assert [question_kind(q) for q in ("Why?", "How many are there?", "Is it so?", "为什么？", "Zip.")] == ["why", "amount", "yes_no", "why", "other"]


def test_one_set_is_none_to_compare():
    with pytest.raises(SynthgenError, match="two sets"):
        run(compare({"a": ROWS}))
    with pytest.raises(SynthgenError, match="holds no pair"):
        run(compare({"a": ROWS, "b": []}))


def test_the_command(tmp_path):
    save(ROWS[:40], tmp_path / "good.jsonl")
    save([p.but(answer="It depends.") if i % 2 else p for i, p in enumerate(ROWS[:40])], tmp_path / "vague.jsonl")
    said = tried("compare good.jsonl vague.jsonl -o r.md --seed 3", tmp_path)
    assert said.startswith("r.md: good is better"), said
    page, numbers = (tmp_path / "r.md").read_text(), json.loads((tmp_path / "r.json").read_text())
    assert "Where they differ" in page and numbers["winner"] == "good" and numbers["seed"] == 3
    again = tried("compare good.jsonl vague.jsonl -o s.md --seed 3", tmp_path)
    assert (tmp_path / "s.md").read_text() == page and "0 sent now" in again
    (tmp_path / "empty.jsonl").write_text("")
    assert "holds no pair" in tried("compare good.jsonl empty.jsonl -o t.md", tmp_path)
    assert "no such file" in tried("compare good.jsonl gone.jsonl -o t.md", tmp_path)


def test_real_rows_are_told_from_spoilt_ones():
    file = DATA / "prototype/qa/hdf5_gemini.json"
    if not file.is_file():
        pytest.skip("no prototype rows in SYNTHGEN_DATA")
    rows, by, r = load(file, Pair, [])[:400], defaultdict(list), random.Random(0)
    for p in rows:
        by[p.chunk_id].append(p)
    text = {c: "\n\n".join(f"{p.question}\n{p.answer}" for p in ps) for c, ps in by.items()}  # stands for the source
    around = lambda p: Surroundings(text[p.chunk_id], tuple(by[p.chunk_id]), ("The harbour office closes at noon.",))
    hit = set(r.sample(range(len(rows)), 40))
    made = {i: next(filter(None, (KINDS[k](rows[i], around(rows[i]), r) for k in r.sample(list(KINDS), len(KINDS)))), rows[i]) for i in hit}
    c = run(compare({"good": rows, "bad": [made.get(i, p) for i, p in enumerate(rows)]}, evidence=text))
    assert c.winner == "good" and "good" in comparison_text(c)
