"""The mutation lab: every mutant has the fault it is named after, honest forms have none, and what the checks make of both."""

import asyncio
import importlib
import json
import os
import random
import re
from collections import Counter
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest

from synthgen_nb.core.models import Answer
from synthgen_nb.core.records import Pair
from synthgen_nb.evaluate.faulty_calls import TOOL_FORMS, TOOL_KINDS, TOOL_MEANING, TOOL_MECHANICAL, FaultyRow, faulty_rows, retold
from synthgen_nb.evaluate.honest import FORMS
from synthgen_nb.experiments.lab import afresh, material, rate, table, verdicts
from synthgen_nb.evaluate.mutations import KINDS, MEANING, MECHANICAL, Mutant, Surroundings, code_spans, masked, mutants, names, values
from synthgen_nb.tools.apigen import verify
from synthgen_nb.worlds.open import open_world

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("SYNTHGEN_DATA", ROOT.parent / "shared" / "data"))
ROWS = material()
MUTANTS = mutants(ROWS, each=12)
HONEST = mutants(ROWS, FORMS, each=12)


def of(kind):
    return [m for m in MUTANTS if m.kind == kind]


def one(mutator, question, answer, source, **around):
    return mutator(Pair(question=question, answer=answer), Surroundings(source, **around), random.Random(1))


def test_every_kind_makes_a_mutant_and_every_form_an_honest_row():
    made, forms = Counter(m.kind for m in MUTANTS), Counter(m.kind for m in HONEST)
    assert not set(KINDS) - set(made), set(KINDS) - set(made)
    assert not set(FORMS) - set(forms) - {"comment", "list_as_sentence", "markup_added", "wrapped", "cells_joined"}, forms


@pytest.mark.parametrize("kind", KINDS)
def test_a_mutant_differs_is_made_again_the_same_and_comes_from_its_pair(kind):
    again = [m for m in mutants(ROWS, {kind: KINDS[kind]}, each=12)]
    assert [m.row.id for m in again] == [m.row.id for m in of(kind)]
    for m in of(kind):
        asked, told = m.row.question != m.good.question, m.row.answer != m.good.answer
        assert (asked, told) == ((True, False) if kind.startswith("question") else (False, True)), m
        assert m.good.id in m.row.parents


@pytest.mark.parametrize("kind", ["number", "number_glued", "version", "number_of_source", "unit_changed"])
def test_a_wrong_number_is_wrong(kind):
    for m in of(kind):
        fresh = values(m.row.answer) - values(m.good.answer)
        if kind in ("number", "number_glued"):
            assert fresh and not fresh & values(m.around.source), m.row.answer
        if kind == "number_of_source":
            assert fresh and fresh <= values(m.around.source), m.row.answer
        if kind == "unit_changed":
            assert not fresh and values(m.row.answer) == values(m.good.answer), m.row.answer


def test_units_of_two_names_are_one_unit():
    source = "The buffer holds 64 MB, and the wait is 5 seconds."
    for seed in range(30):
        m = KINDS["unit_changed"](Pair(question="?", answer="It waits 5 seconds."), Surroundings(source), random.Random(seed))
        assert not re.search(r"5 (?:s|seconds)\b", m.answer)


def test_a_swapped_entity_is_another_one_of_the_source():
    for m in of("entity"):
        gone, come = set(names(m.good.answer)) - set(names(m.row.answer)), set(names(m.row.answer)) - set(names(m.good.answer))
        assert len(gone) == len(come) == 1 and come.pop() in m.around.source


def test_swapped_definitions_keep_every_word():
    for m in of("definition"):
        words = [sorted(re.findall(r"\w+", a.lower())) for a in (m.good.answer, m.row.answer)]
        assert words[0] == words[1]
    same = one(KINDS["definition"], "?", "The method opens a log now. The `stop()` method closes a log later.", "")
    assert same is None  # the one subject may be the other


@pytest.mark.parametrize("kind", ["code_argument", "option_in_code", "keyword_renamed"])
def test_a_fault_of_code_stands_in_code(kind):
    for m in of(kind):
        assert masked(m.row.answer).replace("\0", "") == masked(m.good.answer).replace("\0", "")
        lines = {x.strip() for a, b in code_spans(m.row.answer) for x in m.row.answer[a:b].splitlines()}
        assert any(x and x not in m.around.source for x in lines)


@pytest.mark.parametrize("kind", ["option_in_prose", "claim_command", "claim_link"])
def test_an_invented_name_is_nowhere_else(kind):
    for m in of(kind):
        added = m.row.answer.removeprefix(m.good.answer.rstrip())
        assert added != m.row.answer and added.strip() not in m.around.source
        assert re.search(r"`[^`]+`|https?://|www\.|@", added)


def test_lists_and_steps():
    ask = "Which are the drivers?", "The drivers are sec2, stdio, core and mpio."
    lost, more = one(KINDS["item_lost"], *ask, "`family`"), one(KINDS["item_added"], *ask, "`family` of drivers")
    items = lambda p: set(re.findall(r"\w+", p.answer)) - {"and"}
    assert len(items(lost)) == 6 and len(items(more)) >= 8 and "sec2" in items(lost)
    steps = "1. Stop it.\n2. Erase it.\n3. Start it."
    assert sorted(one(KINDS["order"], "How?", steps, "").answer) == sorted(steps)
    assert re.findall(r"^\d", one(KINDS["item_lost"], "What are the steps?", steps, "").answer, re.M) == ["1", "2"]
    assert one(KINDS["item_lost"], "Does it start?", ask[1], "") is None  # nobody asked for the list


def test_what_would_still_be_right_is_left_alone():
    assert one(KINDS["only"], "?", "It needs only a single read.", "") is None
    assert one(KINDS["condition"], "What happens if the buffer is full?", "If the buffer is full, the oldest frame is dropped.", "") is None
    assert one(KINDS["number"], "?", "1. Stop it.\n2. Start it.", "1 2") is None
    assert one(KINDS["yes_no"], "?", "No synchronisation is needed.", "") is None
    close = Pair(question="How large is the buffer of it?", answer="It has 64 MB.")
    assert one(KINDS["neighbour"], "How large is the buffer?", "The buffer has 64 MB.", "", neighbours=(close,)) is None


def test_an_honest_form_says_the_same():
    for m in HONEST:
        assert m.row.question == m.good.question
        told = [values(m.good.answer), values(m.row.answer)]
        assert told[0] == told[1], (m.kind, m.row.answer)
    for m in MUTANTS[:40]:
        assert values(afresh(m)) == values(m.good.answer)


def test_the_table_adds_up():
    told = verdicts(MUTANTS, {"all": lambda m: "no", "none": lambda m: "", "numbers": lambda m: "x" if m.kind == "number" else ""})
    rows = table(told, "sum")
    assert [r["made"] for r in rows[:-1]] == [len(of(r["kind"])) for r in rows[:-1]] and rows[-1]["made"] == len(MUTANTS)
    assert rate(rows[:-1]) == 1 and rate(rows[:-1], by="none") == 0 and rate(rows[:-1], ["number", "rule"], "numbers") == 0.5


# tools


@pytest.fixture(scope="module")
def tool_rows():
    pytest.importorskip("h5py")
    import lab_tools

    async def go():
        good = await lab_tools.honest("hdf5")
        async with open_world("hdf5") as w:
            return good, await faulty_rows(w, good, each=6), await faulty_rows(w, good, TOOL_FORMS, each=4)

    return asyncio.run(go())


def test_every_kind_of_tool_fault_is_made_and_its_calls_ran(tool_rows):
    good, faulty, honest = tool_rows
    made = Counter(x.kind for x in faulty)
    assert not set(TOOL_KINDS) - set(made) - {"answer_unit_changed"}, made
    assert all(o.ok and o.executed for x in [*faulty, *honest] for o in x.row.observations)
    assert len(good) > 80 and len(honest) > 20


def test_a_tool_fault_is_the_named_one(tool_rows):
    _, faulty, _ = tool_rows
    for x in faulty:
        calls, before = [c.model_dump() for c in x.row.calls], [c.model_dump() for c in x.good.calls]
        if x.kind == "call_dropped":
            assert len(calls) == len(before) - 1 and x.row.answer == x.good.answer
        elif x.kind in ("argument", "choice", "reference"):
            changed = [(a, b) for a, b in zip(calls, before, strict=True) if a != b]
            assert len(changed) == 1 and x.row.answer != x.good.answer
            assert (changed[0][0]["refs"] != changed[0][1]["refs"]) == (x.kind == "reference")
            assert not all(a.same(b) for a, b in zip(x.row.observations, x.good.observations, strict=True))
        else:
            assert calls == before and x.row.answer != x.good.answer
            assert x.row.observations == x.good.observations


def test_an_answer_is_told_anew_from_new_results(tool_rows):
    good = next(t for t in tool_rows[0] if "take the second one" in t.instruction)
    new = [o.model_copy(update={"content": o.content | {"mean": 99.5}}) if "mean" in o.content else o for o in good.observations]
    old = next(o.content["mean"] for o in good.observations if "mean" in o.content)
    assert retold(good, new) == good.answer.replace(str(old), "99.5") and retold(good, good.observations) == good.answer


# the checks, on documents that are at hand: switched on by their modules


def pair_checks() -> dict:
    "Every check of a pair, with a judge that gives full marks; a mutant goes in, a reason comes out"
    evidence, agreement, support = (importlib.import_module(f"synthgen_nb.core.{n}") for n in ("evidence", "agreement", "support"))

    def looked(m):
        "As the pipeline looks, with a model that quotes the likeliest sentence for whatever claim it is asked about"
        e = evidence.looked_at(m.row, m.around.source)
        likeliest = lambda c: [e.source.segments[i].text for i in support.best(e.source, support.words_in(c.text), 1)]
        quotes = [dict(claim=n, quote=q) for n, c in enumerate(e.open, 1) for q in likeliest(c)]
        if e.open:
            evidence.read_quotes(e, Answer(dict(quotes=quotes)))
        return e

    told = lambda m: (m.row.answer, afresh(m), m.row.question)
    return {
        "question": lambda m: looked(m).hopeless,
        "evidence": lambda m: "; ".join(looked(m).objections),
        "roundtrip": lambda m: agreement.agree(*told(m)) is False and (agreement.disagreement(*told(m)) or "other words"),
    }


def without(told: list[dict], check: str) -> list[dict]:
    return [{k: v for k, v in x.items() if k != check} for x in told]


def aside(rows: list) -> list:
    "Every second of each kind: the half that nobody developed a check against"
    return [x for k in dict.fromkeys(x.kind for x in rows) for x in [x for x in rows if x.kind == k][1::2]]


def lab(data: Path):
    "Mutants and honest rows of the data"
    import lab_rows

    rows = lab_rows.pairs(data)
    return aside(mutants(rows, each=60)), aside([*[Mutant("as it is", p, p, s) for p, s in rows], *mutants(rows, FORMS, each=60)])


@pytest.mark.skipif(not (ROOT / "synthgen_nb/core/evidence.py").exists(), reason="core.evidence is not here yet")
@pytest.mark.skipif(not (DATA / "prototype/qa").is_dir(), reason=f"no prototype pairs at {DATA}; set SYNTHGEN_DATA")
def test_the_wanted_rates_of_pairs():
    faulty, honest = (verdicts(rows, pair_checks()) for rows in lab(DATA))
    caught, lost = table(faulty), table(without(honest, "roundtrip"), "all")
    report = json.dumps([*caught, *lost], indent=1)
    assert rate(table(without(faulty, "roundtrip")), list(MECHANICAL)) >= 0.9, report
    assert rate(caught, list(MEANING)) >= 0.6, report
    assert lost[-1]["any"] / lost[-1]["made"] <= 0.03, report


async def verified(rows: list[FaultyRow], world: str) -> list[dict]:
    "What the verification of tool rows says of each, without a judge"
    async with open_world(world) as w:
        tools = list(w.tools)
    out = await verify(list({x.row.id: x.row for x in rows}.values()), tools, partial(open_world, world))
    why = {d.id: d.reason for d in out.dropped}
    return [dict(kind=x.kind, verify=why.get(x.row.id, "")) for x in rows]


async def tool_lab(world: str, each: int) -> tuple[list[dict], list[dict]]:
    import lab_tools

    good = await lab_tools.honest(world)
    async with open_world(good[0].world) as w:
        faulty, forms = await faulty_rows(w, good, each=each), await faulty_rows(w, good, TOOL_FORMS, each=each)
    honest = [*[FaultyRow("as it is", t, t) for t in good], *forms]
    return await verified(aside(faulty), good[0].world), await verified(aside(honest), good[0].world)


@pytest.mark.skipif(not (ROOT / "synthgen_nb/tools/answers.py").exists(), reason="tools.answers is not here yet")
def test_the_wanted_rates_of_tool_rows():
    pytest.importorskip("h5py")
    worlds = ["hdf5"]
    if find_spec("bfcl_eval"):
        worlds += [f"bfcl:{x}" for x in ("MathAPI", "VehicleControlAPI", "TradingBot", "TravelAPI", "GorillaFileSystem")]
    if (DATA / "specs").is_dir():
        worlds += ["synthetic:"]
    told = [asyncio.run(tool_lab(w, 24 if w == "hdf5" else 8)) for w in worlds]
    caught, lost = table([x for t in told for x in t[0]]), table([x for t in told for x in t[1]], "all")
    report = json.dumps([*caught, *lost], indent=1)
    assert rate(caught, list(TOOL_MECHANICAL)) >= 0.9, report
    assert rate(caught, list(TOOL_MEANING)) >= 0.6, report
    assert lost[-1]["any"] / lost[-1]["made"] <= 0.03, report
