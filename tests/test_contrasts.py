"""Arms of a study beside their base: what is read, what is counted, what is shown and what is not."""

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgen_nb.core.records import Origin, Pair, SynthgenError, drop, save
from synthgen_nb.core.curate import LONGEST, RANDOM
from synthgen_nb.experiments.arms import Line, Made, of_items, of_rows
from synthgen_nb.experiments.contrasts import Sums, apart, as_latex, as_markdown, contrasted, contrasts, plot_contrasts, shares_of, tex
from synthgen_nb.specs.trajectory import Call, Observation, Trajectory, Turn
from test_arms import CHUNKS, MARKS, OFTEN, run, score



@pytest.fixture(scope="module")
def study(tmp_path_factory):
    at = tmp_path_factory.mktemp("study")
    return dict(
        base=[run(at / "base", 0)],
        again=[run(at / "again", 10)],
        stricter=[run(at / "stricter", 0, keep=9, paid=0)],  # the base's calls, all of them from the store
        careless=[run(at / "careless", 20, lower=2.0)],
        other_judge=[run(at / "other", 30, judge="judge/b")],
    )


@pytest.fixture(scope="module")
def found(study):
    return contrasts(study, "base")


def of(found, arm, measure):
    return next(v for v in found.values if (v["arm"], v["measure"]) == (arm, measure))


def test_figures_of_an_arm_are_those_counted_by_hand(study, found):
    rows = [json.loads(x) for x in (study["base"][0] / "records" / "final.jsonl").read_text().splitlines()]
    calls = CHUNKS + 3 * (CHUNKS - 1)
    assert of(found, "base", "rows")["value"] == len(rows)
    assert of(found, "base", "yield")["value"] == pytest.approx(len(rows) / CHUNKS, rel=1e-5)  # the barren chunk counts
    assert of(found, "base", "per_1000_calls")["value"] == pytest.approx(1000 * len(rows) / calls, rel=1e-5)
    assert of(found, "base", "cost_per_row")["value"] == pytest.approx(0.001 * calls / len(rows), rel=1e-5)
    assert of(found, "base", "rating")["value"] == pytest.approx(np.mean([r["scores"][-1]["value"] for r in rows]), rel=1e-5)
    for v in found.values:
        assert v["value"] is None or v["low"] <= v["value"] <= v["high"]


def test_two_controls_of_the_same_size_cost_nothing_and_come_from_the_pool(study, found):
    pool = {json.loads(x)["id"] for x in (study["base"][0] / "records" / "rated.jsonl").read_text().splitlines()}
    size = len(found.ids("base"))
    for arm in (RANDOM, LONGEST):
        assert len(found.ids(arm)) == len(set(found.ids(arm))) == size and set(found.ids(arm)) <= pool
        assert of(found, arm, "cost_per_row")["value"] is None and of(found, arm, "rating")["value"] is not None
    assert contrasts(study, "base", seed=1).ids(RANDOM) != found.ids(RANDOM) == contrasts(study, "base").ids(RANDOM)
    words = {json.loads(x)["id"]: len(json.loads(x)["answer"].split()) for x in (study["base"][0] / "records" / "rated.jsonl").open()}
    assert min(words[i] for i in found.ids(LONGEST)) >= sorted(words.values())[-size]


def test_what_is_different_is_shown_and_what_is_not_is_not(found):
    shown = {(d["arm"], d["measure"]): d["shown"] for d in found.differences}
    assert shown["careless", "rating_of_all"] == shown["careless", "yield"] == "worse"
    assert shown["stricter", "rating"] == "better" and shown["stricter", "yield"] == "worse"
    assert {k: v for k, v in shown.items() if k[0] == "again" and v} == {}
    assert found.winners == []  # stricter pays for its rating with rows
    assert "base beats careless" in found.answer and "again" in found.answer.split("nothing sets ")[1]


def test_an_arm_that_only_chooses_otherwise_was_rated_the_same_and_costs_the_same(found):
    same = found.difference("stricter", "rating_of_all")
    assert same["value"] == same["low"] == same["high"] == 0 and same["p"] == 1
    assert found.difference("stricter", "rating_of_same")["value"] == 0
    per_row = lambda arm: of(found, arm, "cost_per_row")["value"] * of(found, arm, "rows")["value"]
    assert per_row("stricter") == pytest.approx(per_row("base"), rel=1e-4)  # what the store answered counts as well


def test_rows_that_ask_the_same_are_paired(tmp_path):
    def half(name, ask, gain):
        rng = np.random.default_rng(3)
        marks = {(c, i): rng.choice(MARKS[:9], p=OFTEN[:9] / OFTEN[:9].sum()) for c in range(30) for i in range(2)}
        pairs = [
            Pair(question=f"Same {c}?" if i else f"{ask} {c}?", answer=f"{name}.", chunk_id=f"c{c}", scores=(score(m + gain * i),), sources=("d.md",))
            for (c, i), m in marks.items()
        ]
        save(pairs, tmp_path / name / "records" / "final.jsonl")
        (tmp_path / name / "run.json").write_text(json.dumps(dict(name=name, status="done")))
        return [tmp_path / name]

    found = contrasts(dict(base=half("base", "Old", 0), new=half("new", "New", 1)), "base")
    assert of(found, "new", "same_questions")["value"] == 0.5 and of(found, "new", "same_rows")["value"] == 0
    d = found.difference("new", "rating_of_same")
    assert d["value"] == 1 and d["shown"] == "better" and found.difference("new", "rating")["value"] == pytest.approx(0.5)


def test_ratings_of_another_judge_are_not_compared(found):
    assert of(found, "other_judge", "rating")["value"] is None
    assert any("other_judge" in n and "judge" in n for n in found.notes)
    assert ("other_judge", "yield") in {(d["arm"], d["measure"]) for d in found.differences}


def test_every_difference_opens_to_rows_that_exist(study, found):
    for d in found.differences:
        ours, base = (set(found.ids(arm, d["measure"])) for arm in (d["arm"], "base"))
        assert (d["value"] != 0) <= bool(d["moved"])
        for m in d["moved"]:
            assert set(m["ids"]) <= ours and set(m["base_ids"]) <= base
            assert (m["adds"] > 0) == (d["value"] > 0)


def test_what_is_found_is_json_and_the_same_in_another_order_of_rows_and_arms(study, found, tmp_path):
    text = json.dumps(found.as_dict(), allow_nan=False)
    assert json.loads(text)["answer"] == found.answer
    for arm, folders in study.items():
        at = tmp_path / arm
        (at / "records").mkdir(parents=True)
        (at / "run.json").write_text((folders[0] / "run.json").read_text())
        for f in (folders[0] / "records").iterdir():
            (at / "records" / f.name).write_text("\n".join(reversed(f.read_text().splitlines())) + "\n")
    again = contrasts({a: [tmp_path / a] for a in reversed(study)}, "base")
    for d in again.differences:
        there = found.difference(d["arm"], d["measure"])
        assert d["value"] == pytest.approx(there["value"], rel=1e-4, abs=1e-9) and d["shown"] == there["shown"]
        assert d["low"] == pytest.approx(there["low"], rel=0.1, abs=0.02)  # columns are in another order, not the signs


def test_measures_of_a_reader_stand_beside_ours(study):
    student = {arm: {f"item {i}": float((i * 7 + k) % 10 < 3 + 4 * (arm == "again")) for i in range(60)} for k, arm in enumerate(("base", "again"))}
    extra = dict(student=of_items("share of an exam", student, scale=(0, 1)), length=of_rows("words", lambda x: len(x.answer.split()), 0))
    found = contrasts({a: study[a] for a in ("base", "again")}, "base", extra=extra)
    assert of(found, "again", "student")["value"] == pytest.approx(np.mean(list(student["again"].values())))
    assert found.difference("again", "student")["shown"] == "better" and found.winners == ["again"]
    assert of(found, RANDOM, "student")["value"] is None and of(found, LONGEST, "length")["value"] > of(found, "base", "length")["value"]


def test_three_chunks_show_nothing_however_large_the_difference(tmp_path):
    def small(name, mark):
        pairs = [Pair(question=f"{name} {c} {i}?", answer="Yes.", chunk_id=f"c{c}", scores=(score(mark),)) for c in range(3) for i in range(5)]
        save(pairs, tmp_path / name / "records" / "final.jsonl")
        (tmp_path / name / "run.json").write_text(json.dumps(dict(name=name, status="done")))
        return [tmp_path / name]

    found = contrasts(dict(base=small("base", 9), bad=small("bad", 1)), "base")
    d = found.difference("bad", "rating")
    assert d["value"] == -8 and d["low"] is d["high"] is d["least"] is None and not d["shown"]
    assert of(found, "base", "per_1000_calls")["value"] is None and "(? to ?)" in as_markdown(found)


def test_runs_with_several_seeds_and_arms_that_have_none_yet(study, tmp_path):
    base = [run(tmp_path / f"b{i}", i) for i in range(3)]
    calm = [run(tmp_path / f"c{i}", 40 + i) for i in range(3)]
    moved = [run(tmp_path / f"m{i}", 50 + i, lower=l) for i, l in enumerate((-1.2, 0.0, 1.2))]
    found = contrasts(dict(base=base, calm=calm, moved=moved, later=[]), "base")
    wide = {a: (d := found.difference(a, "rating_of_all"))["high"] - d["low"] for a in ("calm", "moved")}
    assert wide["moved"] > 1.5 * wide["calm"]  # seeds that move everything are not made good by many chunks
    assert not found.difference("moved", "rating_of_all")["shown"]
    assert [a["name"] for a in found.arms] == ["base", "calm", "moved", RANDOM, LONGEST] and "later has no run yet." in found.notes
    assert [len(a["runs"]) for a in found.arms] == [3] * 5


def chain(i, mark, tools):
    calls = tuple(Call(id=f"call_{k}", tool=t) for k, t in enumerate(tools))
    seen = tuple(Observation(call=c.id, status="ok", source="executed", world="w", content=i) for c in calls)
    turns = (Turn(role="user", text=f"Do thing {i}."), Turn(role="assistant", calls=calls, observations=seen), Turn(role="assistant", text=f"Done {i}."))
    return Trajectory(turns=turns, tools=("a", "b", "c"), scores=(score(mark),), origin=(Origin(method="m", faithful="paper", calls=(f"k{i}",)),))


def test_tool_rows_are_compared_by_the_tools_they_call(tmp_path):
    def tools(name, seed):
        rng = np.random.default_rng(seed)
        sets = [("a",), ("b",), ("a", "b"), ("c",), ("a", "c"), ("b", "c"), ("a", "b", "c")]
        rows = [chain(f"{name}{i}", rng.choice(MARKS, p=OFTEN), sets[i % 7]) for i in range(42)]
        good = [r for r in rows if r.rating >= 7]
        save(good, tmp_path / name / "records" / "final.jsonl")
        save([drop(r, "curate", "below_threshold") for r in rows if r.rating < 7], tmp_path / name / "records" / "dropped.jsonl")
        funnel = [dict(stage="instruct", unit="chains", **{"in": 84, "out": 42, "lost": 42, "why": "x 42"})]
        record = dict(name=name, status="done", model="m", funnel=funnel, stages=[dict(stage="solve", calls=168, paid=168, cost=1.68)])
        (tmp_path / name / "run.json").write_text(json.dumps(record))
        return [tmp_path / name], len(good)

    (one, n), (two, _) = tools("one", 0), tools("two", 1)
    found = contrasts(dict(one=one, two=two), "one")
    assert (found.unit, found.units) == ("tool set", 7)
    assert of(found, "one", "yield")["value"] == pytest.approx(n / 84, rel=1e-5)
    assert of(found, "one", "per_1000_calls")["value"] == pytest.approx(1000 * n / 168, rel=1e-5)
    assert len(found.ids(RANDOM)) == n


def test_arms_that_cut_documents_otherwise_are_compared_by_document(tmp_path):
    def cut(name, size):
        pairs = [
            Pair(question=f"{name} {d} {i}?", answer="Yes.", chunk_id=f"{size}-{d}-{i // size}", sources=(f"d{d}.md",), scores=(score(8),))
            for d in range(12)
            for i in range(6)
        ]
        save(pairs, tmp_path / name / "records" / "final.jsonl")
        (tmp_path / name / "run.json").write_text(json.dumps(dict(name=name, status="done")))
        return [tmp_path / name]

    found = contrasts(dict(small=cut("small", 2), again=cut("again", 2), large=cut("large", 3)), "small")
    assert (found.unit, found.units) == ("chunk", 36)  # one such arm does not widen the intervals of the others
    assert {a["name"]: a["unit"] for a in found.arms if not a["control"]} == dict(small="chunk", again="chunk", large="document")
    assert any("by document: large." in n for n in found.notes)
    assert {m["unit"] for m in found.difference("large", "yield")["moved"]} <= {f"d{i}.md" for i in range(12)}


@pytest.mark.parametrize(
    "arms, base, what",
    [(dict(a=[]), "b", "no arm is called 'b'"), (dict(a=[]), "a", "has no run"), ({"a": ["x"], RANDOM: []}, "a", "control")],
)
def test_what_cannot_be_compared_is_said(arms, base, what):
    with pytest.raises(SynthgenError, match=what):
        contrasts(arms, base)


def test_a_run_without_rows_is_named_and_one_that_kept_none_is_not_an_error(study, tmp_path):
    (tmp_path / "run.json").write_text(json.dumps(dict(name="x", status="interrupted")))
    with pytest.raises(SynthgenError, match=r"arm half.*interrupted"):
        contrasts(dict(base=study["base"], half=[tmp_path]), "base")
    none = run(tmp_path / "none", 3, keep=11)
    found = contrasts(dict(base=study["base"], none=[none]), "base")
    assert of(found, "none", "rows")["value"] == 0 and of(found, "none", "rating")["value"] is None
    assert found.difference("none", "yield")["shown"] == "worse"


def test_tables_and_figure_hold_all_arms_whatever_they_are_called(study):
    odd = r"[50 %] a_b & {c} <d> \e"
    found = contrasts({"base": study["base"], odd: study["careless"]}, "base")
    latex = as_latex(found)
    bare = re.sub(r"\\\\|\\[{}%#_&]", "", latex)  # line ends and escaped characters set aside
    assert tex(odd) in latex and bare.count("{") == bare.count("}") and not set("%#_") & set(bare)
    lines = [x for x in latex.splitlines() if x.endswith(r"\\")]
    assert len({len(re.findall(r"(?<!\\)&", x)) for x in lines}) == 1 and len(lines) == 1 + len(found.arms) - 1
    page = as_markdown(found)
    columns = lambda table: {len(re.split(r"(?<!\\)\|", x)) for x in table.splitlines()}
    assert "\\{c\\}" in page and all(len(columns(x)) == 1 for x in page.split("\n\n") if x.startswith("|"))
    fig = plot_contrasts(found)
    assert {t.get_text() for t in fig.axes[0].get_yticklabels()} == {odd, RANDOM, LONGEST} and "Worse than base" in fig._suptitle.get_text()


arrays = st.integers(4, 30).flatmap(lambda n: st.tuples(*[st.lists(st.integers(0, 10), min_size=n, max_size=n)] * 4))


@settings(deadline=None, max_examples=40)
@given(arrays)
def test_an_interval_excludes_0_exactly_where_the_test_does_and_turns_round_with_the_arms(four):
    x, y, n, m = (np.array(v, float)[None] for v in four)
    a, b = Sums(x, n + 1), Sums(y, m + 1)
    assert np.allclose(shares_of(a, b), -shares_of(b, a))
    assert shares_of(a, b).sum() == pytest.approx(a.value - b.value, abs=1e-9)
    one, other = apart([(a, b)], 200)[0], apart([(b, a)], 200)[0]
    assert one.p <= 5 / 201 if one.low > 0 or one.high < 0 else one.p >= 4 / 201
    assert one.value == pytest.approx(-other.value, abs=1e-9)
    if np.isfinite(one.low):
        assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=1e-6)


def test_one_row_of_another_kind_is_no_winner():
    n = np.ones((1, 60))
    one = Sums(n * 8 - 5 * (np.arange(60) == 7), n)
    d = apart([(one, Sums(n * 8, n))])[0]
    assert d.value < 0 and d.low < d.value < d.high and d.low <= 0 <= d.high


def made(name, seed, spoilt=0.0, chunks=60):
    rng, level = np.random.default_rng(seed), np.random.default_rng(1).normal(0, 0.7, chunks)
    marks = (rng.choice(MARKS, (chunks, 3), p=OFTEN) + level[:, None] - 4 * (rng.random((chunks, 3)) < spoilt)).clip(0, 10).round()
    lines = [Line(f"{name}{c}-{i}", f"c{c}", "d", f"{name} {c} {i}?", "Yes.", float(m), "j", ()) for c, ms in enumerate(marks) for i, m in enumerate(ms)]
    asked = {(f"c{c}", "d"): 1.0 for c in range(chunks)}
    return [Made(name, name, [x for x in lines if x.rating >= 7], lines, asked, asked, asked)]


def test_where_nothing_is_nothing_is_named_and_a_spoilt_arm_is():
    named = spoilt = 0
    for seed in range(0, 45, 3):
        found = contrasted(dict(base=made("base", seed), again=made("again", seed + 1), bad=made("bad", seed + 2, 0.3)), "base", seed)
        named += any(d["shown"] for d in found.differences if d["arm"] == "again")
        spoilt += found.difference("bad", "rating_of_all")["shown"] == "worse"
    assert named <= 1 and spoilt >= 13


def test_a_price_that_nobody_knows_is_none(tmp_path):
    arms = dict(base=[run(tmp_path / "base", 0, cost=None)], b=[run(tmp_path / "b", 1)])
    found = contrasts(arms, "base")
    assert of(found, "base", "cost_per_row")["value"] is None and of(found, "b", "cost_per_row")["value"] is not None
    assert "cost_per_row" not in {d["measure"] for d in found.differences}
