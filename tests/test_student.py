"""What a student is asked, what it learns, and which difference counts; trained where the extra is installed."""
import json, os, re, signal, subprocess, sys, time
from importlib.util import find_spec
from pathlib import Path
import numpy as np
import pytest
from synthgen_nb.core.records import Pair, SynthgenError
from synthgen_nb.evaluate.gains import curves, detectable, gain, gains, gains_table, grid, plot_curves, verdict
from synthgen_nb.core.curate import LONGEST, RANDOM
from synthgen_nb.evaluate.held_out import answer_length, beside, corrupted, hold_out, places_of, units_of
from synthgen_nb.evaluate.marks import exam_of, fact_f1, token_f1
from synthgen_nb.evaluate.targets import MASK, labelled, prompt_of, spans, talks, targets_of
from synthgen_nb.export.templates import TEMPLATES, load_templates
from synthgen_nb.specs.tool import Tool
from synthgen_nb.specs.trajectory import Call, Observation, Trajectory, Turn

needs_extra = pytest.mark.skipif(not (find_spec("trl") and find_spec("peft")), reason="the extra `train` is not installed")


def pairs(documents="abcdef", each=4):
    one = lambda d, i: Pair(question=f"What is part {i} of document {d}?", answer=f"Part {i} of {d} weighs {i + 3} kg.", sources=(f"{d}.md",))
    return [one(d, i) for d in documents for i in range(each)]


def pieces(text):
    at = [m.span() for m in re.finditer(r"<\|?\w+\|?>|\w+|\s|.", text)]
    return [len(text[a:b]) for a, b in at], at


# The split

def test_no_document_stands_on_both_sides():
    split = hold_out({"all": pairs(), "some": pairs()[::2]}, 0.3)
    held = {*split.places}
    assert all(places_of(r) & held for r in split.test)
    assert not any(places_of(r) & held for rows in split.arms.values() for r in rows)
    assert len(split.arms["all"]) + split.unused["all"] + len(split.dropped["all"]) == len(pairs())
    assert json.loads(json.dumps(split.as_dict()))["held_out"] == split.places


def test_a_row_of_two_documents_is_asked_when_one_is_held_out():
    rows = pairs()
    first = hold_out({"all": rows}, 0.3)
    both = Pair(question="What do both say?", answer="Nothing.", sources=(first.places[0], "z.md"))
    assert both in hold_out({"all": [*rows, both]}, 0.3).test or "z.md" in hold_out({"all": [*rows, both]}, 0.3).places


def test_an_arm_more_leaves_the_exam_as_it_is():
    one, two = hold_out({"all": pairs()}, 0.3), hold_out({"all": pairs(), "other": pairs("xyz")}, 0.3)
    assert [r.id for r in one.test] == [r.id for r in two.test]


def test_what_is_near_the_test_is_not_learnt():
    split = hold_out({"all": pairs()}, 0.3)
    twin = Pair(question=split.test[0].question.replace("What is", "What's"), answer="Copied.", sources=("elsewhere.md",))
    again = hold_out({"all": pairs(), "leaky": [twin, *pairs("xyz")]}, 0.3)
    assert [d.record.answer for d in again.dropped["leaky"]] == ["Copied."]
    assert again.dropped["leaky"][0].reason.startswith("leaked:")


def test_tool_rows_are_split_by_world_and_tool():
    def row(tool, n):
        turns = (Turn(role="user", text=f"Please do {n} with {tool} in the morning."), Turn(role="assistant", calls=(Call(id="call_1", tool=tool),)))
        return Trajectory(turns=turns, world="hdf5")
    rows = [row(t, n) for t in ("open", "close", "read", "write", "list") for n in range(3)]
    split = hold_out({"all": rows}, 0.3)
    assert all(p.startswith("hdf5/") for p in split.places) and split.test


def calling(*names):
    calls = tuple(Call(id=f"call_{i}", tool=n) for i, n in enumerate(names))
    return Trajectory(turns=(Turn(role="user", text=f"Do {names}."), Turn(role="assistant", calls=calls)), world="w")


def test_rows_that_share_a_held_out_place_are_one_draw():
    rows = [calling("d", "c"), calling("a", "b"), calling("b", "c"), calling("e", "x"), calling("f", "x"), calling()]
    assert units_of(rows, ["w/a", "w/b", "w/c", "w/d", "w/e", "w/f"]) == ["w/a", "w/a", "w/a", "w/e", "w/f", rows[5].id], "x is learnt, and ties nothing"
    assert units_of(rows)[3] == units_of(rows)[4] == "w/e" and units_of([]) == []
    assert units_of(rows[::-1], ["w/b", "w/c"]) == units_of(rows, ["w/b", "w/c"])[::-1], "whatever their order"
    copied = [Pair(question=f"What is {s}?", answer="It.", sources=s) for s in (("b.md", "a.md"), ("b.md",), ("c.md",))]
    assert [q.place for q in exam_of(copied, held=["a.md", "b.md", "c.md"])] == ["a.md", "a.md", "c.md"]


def test_of_one_unit_no_difference_is_told():
    student = lambda arm, loss, s: dict(arm=arm, seed=s, curve={}, marks=[dict(place="w/a", column="alone", loss=loss + s / 10)])
    found = gains([student(a, x, s) for a, x in (("all", 1.0), ("less", 2.0)) for s in range(3)], "all", ["loss"], ["loss"])
    assert found[1]["gain"] == -1 and found[1]["low"] is found[1]["high"] is None and not found[1]["shown"] and "no difference" in verdict(found)
    assert "(-1.000, no interval)" in gains_table(found) and json.loads(json.dumps(found, allow_nan=False))
    drawn = curves([student("all", 1.0, s) for s in range(3)], [exam_of(pairs()[:1])[0]], [2.0], 5)
    plot_curves(drawn).canvas.draw()


def talks_of(tools=("list_files", "file_info", "list_keys", "find_objects", "get_shape"), each=2):
    ask = ["Show me what {} gives, please.", "I should like to see the outcome of {} now.", "Run {} for the report of today."]
    args = lambda t: {} if t == "list_files" else {"path": "/"} if t == "get_shape" else {}
    def one(t, i):
        turns = (Turn(role="user", text=ask[i].format(t.replace("_", " "))), Turn(role="assistant", calls=(Call(id="call_1", tool=t, arguments=args(t)),)),
                 Turn(role="assistant", text=f"It said {t} {i}."))
        return Trajectory(turns=turns, tools=(t,), world="hdf5")
    return [one(t, i) for t in tools for i in range(each)]


def test_pairs_and_conversations_are_not_taught_together(tmp_path):
    from synthgen_nb.core.records import save
    from synthgen_nb.experiments.taught import arms_for, read_given
    save(pairs(), tmp_path / "p.jsonl")
    save(talks_of(), tmp_path / "t.jsonl")
    given = [read_given(str(tmp_path / f"{n}.jsonl")) for n in "tp"]
    with pytest.raises(SynthgenError, match=r"cannot be taught together \(t 0 pairs and 10 conversations with tools, p 24 pairs and 0"): arms_for(given)
    (tmp_path / "both.jsonl").write_text((tmp_path / "t.jsonl").read_text() + (tmp_path / "p.jsonl").read_text())
    with pytest.raises(SynthgenError, match="24 of 34 rows are no conversations"): read_given(str(tmp_path / "both.jsonl"))


def test_a_run_with_tools_brings_its_tools_and_all_that_was_solved(tmp_path):
    from synthgen_nb.core.records import save
    from synthgen_nb.experiments.taught import arms_for, read_given
    rows = talks_of()
    shown = [r.but(tools=(*r.tools, "get_dtype")) for r in rows]  # as the pipeline finishes what it keeps
    save(shown[:8], tmp_path / "records/final.jsonl")
    save(rows, tmp_path / "records/solved.jsonl")
    save([Tool(name=n) for n in ("list_files", "get_dtype")], tmp_path / "records/tools.jsonl")
    given = read_given(f"mine={tmp_path}")
    assert len(given.pool) == 10 and {r.id for r in shown[:8]} < {r.id for r in given.pool} and [t.name for t in given.tools] == ["list_files", "get_dtype"]
    split, arms = arms_for([given], 0.3)
    assert {*arms} == {"mine", RANDOM, LONGEST, "20% corrupted"} and len({len(r) for r in arms.values()}) == 1
    assert all(p.startswith("hdf5/") for p in json.loads(json.dumps(split.as_dict()))["held_out"])


def test_a_corrupted_conversation_answers_another_request():
    rows = talks_of()
    spoilt = [(a, b) for a, b in zip(rows, corrupted(rows, 0.3), strict=True) if a != b]
    assert len(spoilt) == 3
    for a, b in spoilt:
        assert b.instruction == a.instruction and b.calls[0].tool != a.calls[0].tool and {*a.tools, b.calls[0].tool} == {*b.tools}


@pytest.mark.parametrize("arms, says", [({"all": pairs("ab")}, "four documents"), ({"all": []}, "holds no row"),
                                        ({"all": pairs(), "none": pairs()[:0]}, "none holds no row")])
def test_a_split_that_cannot_be_is_an_error(arms, says):
    with pytest.raises(SynthgenError, match=says): hold_out(arms)


@pytest.mark.parametrize("share", [0, 1, -1, 7])
def test_a_share_is_between_0_and_1(share):
    with pytest.raises(SynthgenError, match="between 0 and 1"): hold_out({"all": pairs()}, share)


def test_controls_are_of_one_size_and_corrupted_rows_are_counted():
    pool = [Pair(question=f"What is {i}?", answer="It is " + "very " * i + "good.", sources=(f"{i % 5}.md",)) for i in range(20)]
    found = beside(pool[:5], pool)
    assert len(found[RANDOM]) == len(found[LONGEST]) == 5
    assert min(map(answer_length, found[LONGEST])) == sorted(map(answer_length, pool))[-5]
    assert sum(a.answer != b.answer for a, b in zip(pool, corrupted(pool, 0.2), strict=True)) == 4
    with pytest.raises(SynthgenError, match="one document"): corrupted(pairs("a"), 0.5)


# Targets

def conversation():
    turns = (Turn(role="system", text="Be brief."), Turn(role="user", text="Open a.h5."), Turn(role="assistant", text="SECRET", train=False),
             Turn(role="user", text="Do not guess."),
             Turn(role="assistant", calls=(Call(id="call_1", tool="open", arguments={"path": "a.h5"}),),
                  observations=(Observation(call="call_1", status="ok", source="executed", world="", content="opened"),)),
             Turn(role="assistant", text="It is open."))
    tool = Tool(name="open", description="Opens.", parameters={"type": "object", "properties": {"path": {"type": "string"}}})
    return Trajectory(turns=turns, tools=("open",)), {"open": tool}


@pytest.mark.parametrize("name", TEMPLATES)
def test_only_turns_of_the_assistant_that_may_be_learnt_are(name):
    row, tools = conversation()
    template = load_templates(name)[0]
    text, places = spans(template, talks(row, tools)[0])
    _, labels = labelled(text, places, pieces)
    _, at = pieces(text)
    said = "".join(text[a:b] for (a, b), x in zip(at, labels, strict=True) if x != MASK)
    assert "It is open." in said and "a.h5" in said and "open" in said
    assert not any(w in said for w in ("SECRET", "guess", "Be brief", "opened"))
    silent = "".join(text[a:b] for (a, b), x in zip(at, labels, strict=True) if x == MASK)
    assert "SECRET" in silent and "opened" in silent and len(said) + len(silent) == len(text)


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_prompt_ends_where_the_answer_begins(name):
    template, p = load_templates(name)[0], pairs()[0]
    text, [(start, end)] = spans(template, talks(p)[0])
    assert text[:start] == prompt_of(template, talks(p)[0].messages[:1])
    assert text[start:].startswith(p.answer) and len(text[start:end]) > len(p.answer)


def test_a_row_that_is_cut_before_it_says_anything_is_dropped():
    kept, gone = targets_of(pairs()[:2], load_templates("chatml")[0], pieces, longest=5)
    assert not kept and [d.reason for d in gone] == ["nothing_to_learn"] * 2


# Marks and gains

def test_marks_of_answers():
    assert token_f1("", "a") == 0 and token_f1("a b", "a b") == 1
    assert fact_f1("It is 5 mm", "It is 5 mm long") == 1 and fact_f1("It is 6 mm", "It is 5 mm") == 0
    assert fact_f1("whatever", "No number here.") is None


def students(arm, shift, seeds=3, places="abcdefgh"):
    rng = np.random.default_rng(len(arm))
    mark = lambda p: dict(item=p, place=p, column="alone", loss=2 + ord(p) / 100 + shift + rng.normal(0, 0.02))
    return [dict(arm=arm, seed=s, marks=[mark(p) for p in places]) for s in range(seeds)]


def test_a_winner_only_where_the_interval_excludes_0():
    found = gains([*students("all", 0), *students("same!", 0), *students("spoilt", 0.4), *students("base", 1, seeds=1)], "all", ["loss"], ["loss"])
    assert {r["arm"]: r["shown"] for r in found} == {"all": "", "same!": "", "spoilt": "worse", "base": "worse"}
    assert "no difference" in verdict(found) and "spoilt is worse" in verdict(found)


def test_more_arms_make_wider_intervals_and_few_documents_show_nothing():
    d = np.random.default_rng(0).normal(0.3, 0.2, (3, 6))
    one, five = gain(d), gain(d, 5)
    assert five.low < one.low < one.value < one.high < five.high
    assert not gain(d[:, :1]).shown
    assert detectable(d, 3, 6, 5) > detectable(d, 3, 6) > detectable(d, 10, 60)


def test_a_document_without_a_mark_is_left_out_for_all():
    rows = students("all", 0)
    for s in rows: s["marks"][0]["loss"] = None
    assert np.isnan(grid(rows, "all", "alone", "loss", "abcdefgh")[:, 0]).all()
    assert gain(grid(rows, "all", "alone", "loss", "abcdefgh")).places == 7
    with pytest.raises(SynthgenError, match="no student"): grid(rows, "none", "alone", "loss", "ab")


# Trained: a model of a million weights, which shows mechanics

def tiny(folder):
    from synthgen_nb.evaluate.student import open_base, tiny_base
    return open_base(tiny_base([f"{p.question} {p.answer}" for p in pairs()], folder))


def quick(**how):
    from synthgen_nb.evaluate.student import Recipe
    return Recipe(**dict(steps=6, pack=2, longest=96, rank=0, rate=3e-3, save_every=2) | how)


@needs_extra
def test_packing_masks_and_seeds(tmp_path):
    import torch
    from synthgen_nb.evaluate.marks import losses
    from synthgen_nb.evaluate.student import trained
    torch.set_num_threads(1)
    base = tiny(tmp_path / "tiny")
    targets, _ = targets_of(pairs(), base.template, base.encode)
    for t, p in zip(targets, pairs(), strict=True):
        assert base.tokenizer.decode([i for i in t.labels if i != MASK]) == p.answer + "<|im_end|>"
    with trained(base, targets, quick(steps=1, pack=50), tmp_path / "whole") as (_, [packed]):
        alone, n = losses(base.model, targets), [sum(i != MASK for i in t.labels) for t in targets]
    assert packed == pytest.approx(sum(a * k for a, k in zip(alone, n, strict=True)) / sum(n), rel=2e-2)  # rows do not see each other
    runs = []
    for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
        with trained(base, targets, quick(seed=seed), tmp_path / folder) as (_, made): runs.append(made)
    assert runs[0] == runs[1] != runs[2] and runs[0][-1] < runs[0][0]
    with pytest.raises(SynthgenError, match="holds a training with rate"):
        with trained(base, targets, quick(rate=1e-3), tmp_path / "a"): pass


KILLED = """
import os, signal, sys
from tests.test_student import *
from synthgen_nb.evaluate.student import open_base, trained
import torch
torch.set_num_threads(1)
at, folder = int(sys.argv[1]), Path(sys.argv[2])
base = open_base(str(folder.parent / "tiny"))
targets, _ = targets_of(pairs(), base.template, base.encode)
stop = lambda model, step: os.kill(os.getpid(), signal.SIGKILL) if at else None
with trained(base, targets, quick(), folder, stop, [at]) as (model, made):
    print(json.dumps([len(made), [float(p.double().sum()) for p in model.parameters()]]))
"""


@needs_extra
def test_a_killed_training_goes_on_to_the_same_weights(tmp_path):
    tiny(tmp_path / "tiny")
    root = Path(__file__).parents[1]
    env = os.environ | {"PYTHONPATH": f"{root}:{os.environ.get('PYTHONPATH', '')}"}
    run = lambda at, folder: subprocess.run([sys.executable, "-c", KILLED, str(at), str(tmp_path / folder)], cwd=root, env=env, capture_output=True, text=True)
    whole = json.loads(run(0, "whole").stdout.splitlines()[-1])
    assert run(5, "cut").returncode == -signal.SIGKILL
    assert {p.name for p in (tmp_path / "cut").glob("checkpoint-*")} == {"checkpoint-2", "checkpoint-4"}
    (tmp_path / "cut/checkpoint-6").mkdir()  # as of a process that died while it wrote
    steps, weights = json.loads(run(0, "cut").stdout.splitlines()[-1])
    assert (whole[0], steps) == (6, 2) and weights == whole[1]


@needs_extra
def test_preferences_go_on_from_their_checkpoint(tmp_path):
    import torch
    from synthgen_nb.evaluate.student import Better, preferred, trained
    torch.set_num_threads(1)
    base = tiny(tmp_path / "tiny")
    rows = [Better(p.question, p.answer, "I do not know.") for p in pairs()[:8]]
    of = lambda steps: quick(steps=steps, rank=4, rate=5e-3)
    targets, _ = targets_of(pairs(), base.template, base.encode)
    with trained(base, targets, quick(steps=4), tmp_path / "before") as (_, before): pass
    with preferred(base, rows, of(4), tmp_path / "whole") as (_, whole): pass
    with preferred(base, rows, of(2), tmp_path / "cut") as (_, half): assert half == whole[:2]
    with preferred(base, rows, of(4), tmp_path / "cut") as (_, rest): assert rest == pytest.approx(whole) and rest[-1] < rest[0]
    with trained(base, targets, quick(steps=4), tmp_path / "after") as (_, after): assert after == before, "the base is as it was"
    with pytest.raises(SynthgenError, match="holds a training with digest"):
        with preferred(base, rows[::-1], of(4), tmp_path / "cut"): pass
    with pytest.raises(SynthgenError, match="rank above 0"):
        with preferred(base, rows, quick(), tmp_path / "none"): pass


@needs_extra
def test_students_of_conversations_act_in_worlds(synthgen):
    from synthgen_nb.core.records import save
    save(talks_of(), synthgen.folder / "rows.jsonl")
    few = ["--seeds", 1, "--steps", 2, "--questions", 2, "-p", "answer_tokens=4"]
    r = json.loads(synthgen("student", "rows.jsonl", *few, "--json").stdout)
    assert {x["measure"] for x in r["gains"]} == {"loss", "exact", "end_state"}
    assert {x["arm"] for x in r["gains"]} == {"base", "rows", RANDOM, LONGEST, "20% corrupted"}
    assert all(0 <= x["value"] <= 1 for x in r["gains"] if x["measure"] != "loss")
    said = synthgen("student", "rows.jsonl", *few, "-p", "judge=offline/extractive", ok=False)
    assert "judge is for pairs of question and answer" in said.stdout + said.stderr


def test_preferences_are_read_or_named(tmp_path):
    from synthgen_nb.evaluate.student import Better, better_of
    (tmp_path / "a.jsonl").write_text('{"question": "Is it?", "chosen": "Yes.", "rejected": "No."}\n')
    (tmp_path / "b.jsonl").write_text('{"question": "Is it?", "chosen": "Yes."}\n')
    assert better_of(tmp_path / "a.jsonl") == [Better("Is it?", "Yes.", "No.")]
    with pytest.raises(SynthgenError, match="chosen and rejected"): better_of(tmp_path / "b.jsonl")


def test_a_learning_curve_by_rows_nests_its_arms():
    from synthgen_nb.experiments.taught import Given, arms_for
    _, arms = arms_for([Given("all", pairs(), pairs(), "")], 0.3, sizes=[4, 8])
    few, more = ({r.id for r in arms[f"all, {n} rows"]} for n in (4, 8))
    assert few < more < {r.id for r in arms["all"]}
    with pytest.raises(SynthgenError, match="not between 1"): arms_for([Given("all", pairs(), pairs(), "")], 0.3, sizes=[400])


def test_a_judge_in_both_orders_is_a_measure():
    import asyncio
    from synthgen_nb.core.models import open_model
    from synthgen_nb.evaluate.judged import judged
    from synthgen_nb.evaluate.marks import Question
    exam = [Question(d, d, f"What weighs the {d}?", f"The {d} weighs 3 kg.", f"The {d} weighs 3 kg.") for d in "abcd"]
    told = lambda arm, seed, say: dict(arm=arm, seed=seed, marks=[dict(item=q.id, place=q.place, column="alone", said=say(q)) for q in exam])
    rows = [told("all", 0, lambda q: q.answer), told("mute", 0, lambda q: ""), dict(arm="mute", seed=1, marks=[dict(item="a", place="a", column="alone")])]
    found, count = asyncio.run(judged(rows, exam, "all", open_model(provider="offline")))
    assert [m["judge"] for m in found[0]["marks"]] == [0.5] * 4 and [m["judge"] for m in found[1]["marks"]] == [0] * 4
    assert found[2]["marks"][0]["judge"] is None and count["lose"] == 4
    with pytest.raises(SynthgenError, match="answered in words"): asyncio.run(judged(rows, exam, "none", open_model(provider="offline")))


def test_without_the_extra_the_command_says_what_to_install(tmp_path):
    if find_spec("trl"): pytest.skip("the extra `train` is installed")
    from synthgen_nb.evaluate.student import trainers
    with pytest.raises(SynthgenError, match=r'pip install "synthgen_nb\[train\]"'): trainers()


@pytest.mark.parametrize("given, says", [({}, "give a base"), ({"base": "m", "stpes": 3}, "did you mean 'steps'"),
                                         ({"base": "m", "steps": "many"}, "has to be int"), ({"base": "m", "rate": -1}, "rate is -1"), ([], "give a base")])
def test_a_student_of_a_study_is_checked(given, says):
    from synthgen_nb.evaluate.student import student_settings
    with pytest.raises(SynthgenError, match=re.escape(says)): student_settings(given)


def test_a_study_reads_its_student(tmp_path):
    from synthgen_nb.experiments.study import read_study
    text = "question: Does it teach?\nbase: {source: gear.md}\narms: {plain: {rewrite: false}}\nstudent: {base: models/small, steps: 20}\n"
    (tmp_path / "s.yaml").write_text(text)
    assert read_study(tmp_path / "s.yaml").student == {"base": "models/small", "steps": 20}
    (tmp_path / "s.yaml").write_text(text.replace("steps", "stesp"))
    with pytest.raises(SynthgenError, match="stesp"): read_study(tmp_path / "s.yaml")


def test_arms_are_files_or_runs(tmp_path):
    from synthgen_nb.core.records import save
    from synthgen_nb.experiments.taught import arms_for, read_given
    (tmp_path / "run/records").mkdir(parents=True)
    save(pairs(each=2), tmp_path / "run/records/final.jsonl")
    save(pairs(), tmp_path / "run/records/rated.jsonl")
    given = read_given(f"mine={tmp_path / 'run'}")
    assert (given.name, len(given.rows), len(given.pool)) == ("mine", 12, 24)
    _, arms = arms_for([given], 0.3)
    assert {*arms} == {"mine", RANDOM, LONGEST, "20% corrupted"} and len({len(r) for r in arms.values()}) == 1
    with pytest.raises(SynthgenError, match="two arms"): arms_for([given, given])
    for wrong, says in (("nowhere.jsonl", "no such file"), (str(tmp_path), "is no run")):
        with pytest.raises(SynthgenError, match=says): read_given(wrong)
