"""Tools are chosen by what a student calls wrongly and is sure of: a stored exam, a student that learns along, and the pipeline."""
import asyncio, json
from collections import Counter
from importlib.util import find_spec
import numpy as np
import pytest
from test_called import QWEN, TOOLS, row, written
from synthgen_nb.core.models import open_model
from synthgen_nb.core.records import SynthgenError, load
from synthgen_nb.evaluate.failing import Steered, Try, by_subject
from synthgen_nb.experiments.miscalled import asked_turns, read_tries, steered_by, tries_of
from synthgen_nb.specs.trajectory import Call, Trajectory, Turn
from synthgen_nb.tools.rows import ACQUIRE, Making, Plan, chosen, make_rows, size_of_round
from synthgen_nb.worlds.desk import desk_tools
from synthgen_nb.worlds.open import fresh_worlds

needs_extra = pytest.mark.skipif(not (find_spec("trl") and find_spec("peft")), reason="the extra `train` is not installed")


def marks(right, sure=0.8, seeds=(0, 1), each=8, arm="all"):
    "An exam of students: tool → was it right?"
    one = lambda tool, i: dict(item=f"{tool} {i}", place=f"desk/{tool}", column="alone", tools=[tool], exact=float(right[tool]), sure=sure, said="…")
    return [dict(arm=arm, seed=s, marks=[one(t, i) for t in right for i in range(each)]) for s in seeds]


def exam(folder, found, arms=("all",)):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps(dict(status="done", arms=[dict(arm=a) for a in arms])))
    (folder / "marks.json").write_text(json.dumps(found))
    return folder


# At each call

TWO = row(("add", dict(item="nut", n=2)))
COUNTS = Turn(role="assistant", calls=(Call(id="call_2", tool="count", arguments=dict(item="nut")),))
LATER = TWO.but(turns=(*TWO.turns, Turn(role="user", text="Count them."), COUNTS, Turn(role="assistant", text="Two.")))


def test_a_row_is_asked_about_at_each_of_its_calls():
    first, second = asked_turns(LATER, QWEN, TOOLS)
    assert [c.tool for c in first.wanted] == ["add"] and [c.tool for c in second.wanted] == ["count"]
    assert '"n": 2' not in first.prompt and '"n": 2' in second.prompt and second.prompt.rstrip().endswith("<|im_start|>assistant")
    masked = LATER.but(turns=tuple(t.model_copy(update=dict(train=False)) if t.calls else t for t in LATER.turns))
    assert asked_turns(masked, QWEN, TOOLS) == [] and asked_turns(row(), QWEN, TOOLS) == []


@pytest.mark.parametrize("said, right", [
    (written("add", item="nut", n=2), 1), (written("add", item="nut", n=3), 0), (written("count", item="nut"), 0),
    ("They are in.", 0), ("<tool_call>add two nuts</tool_call>", 0), (written("add", item="nut", n=2) + written("count", item="nut"), 0),
])
def test_a_call_is_right_by_the_checker_of_the_exam(said, right):
    (t,) = tries_of(asked_turns(TWO, QWEN, TOOLS)[0], said, 0.7, TOOLS)
    assert (t.about, t.right, t.sure) == ("add", right, 0.7)


def test_of_several_calls_each_tool_has_a_try():
    both = row(("add", dict(item="nut", n=2)), ("count", dict(item="bolt")))
    (a,) = asked_turns(both, QWEN, TOOLS)
    tries = tries_of(a, written("add", item="nut", n=2), 0.5, TOOLS)
    assert [(t.about, t.right) for t in tries] == [("add", 0), ("count", 0)] and len({t.id for t in tries}) == 2
    assert all(t.right for t in tries_of(a, written("add", item="nut", n=2) + written("count", item="bolt"), 0.5, TOOLS))


# An exam of earlier

def test_an_exam_says_which_tools_are_called_wrongly(tmp_path):
    run = exam(tmp_path / "runs" / "exam", [*marks(dict(add=0, count=0), arm="base"), *marks(dict(add=1, count=0))])
    found = by_subject(read_tries(run, ["add", "count", "drop"]))
    assert found.keys() == {"add", "count"} and set(found["add"]) == {0} and np.allclose(found["count"], 0.5), "half of all are right"
    steered = steered_by("exam", tmp_path / "runs", [*TOOLS.values()])
    assert steered.after([]) == found == steered.after([TWO]) and len(steered.tries) == 32


def test_a_student_that_is_missing_or_knows_none_of_the_tools_is_an_error(tmp_path):
    run = exam(tmp_path / "exam", marks(dict(open=1, close=0)))
    with pytest.raises(SynthgenError, match=r"know none of the 2 tools \(add, count\); they were asked about close, open"): read_tries(run, [*TOOLS])
    with pytest.raises(SynthgenError, match="no such model, and no run of a student"): steered_by("exm", tmp_path, [*TOOLS.values()])
    of_pairs = [dict(arm="all", seed=0, marks=[dict(item="a", place="a.md", column="alone", loss=1.0, said="…")])]
    with pytest.raises(SynthgenError, match="asked to call nothing"): read_tries(exam(tmp_path / "pairs", of_pairs), [*TOOLS])
    older = [dict(s, marks=[{k: v for k, v in m.items() if k != "sure"} for m in s["marks"]]) for s in marks(dict(add=0))]
    with pytest.raises(SynthgenError, match="before their sureness was kept"): read_tries(exam(tmp_path / "old", older), [*TOOLS])
    (run / "marks.json").unlink()
    with pytest.raises(SynthgenError, match="holds no marks of students"): read_tries(run, [*TOOLS])


def test_the_students_of_a_study_leave_a_run_that_steers(tmp_path):
    from synthgen_nb.evaluate.held_out import Split
    from synthgen_nb.experiments.runs import find_run, read_run
    from synthgen_nb.experiments.taught import keep_students
    arms = dict(base=dict(add=0), strict=dict(add=1, count=0), all=dict(add=0))
    found = [dict(s, rows=9) for a, right in arms.items() for s in marks(right, seeds=[0], arm=a)]
    folder = tmp_path / "runs" / "study-threshold" / "students"
    folder.mkdir(parents=True)
    keep_students(folder, dict(base="models/small"), Split(["box/add"], [TWO], {"strict": [TWO]}), found, "small", 0.0)
    assert find_run("study-threshold/students", tmp_path / "runs") == folder and read_run(folder)["model"] == "small"
    assert {t.about: t.right for t in read_tries(folder, [*TOOLS])} == dict(add=1, count=0), "those of the reference, not of the base"
    assert json.loads((folder / "split.json").read_text())["held_out"] == ["box/add"]


# The choice

def making(acquire, target=40, failing=None):
    return Making(desk_tools(), None, None, Plan(target, acquire=acquire), None, failing=failing or {})


def test_tools_come_in_proportion_and_alike_ones_by_turns():
    m, used = making("student", failing=dict(a=[0.9] * 20, b=[0.3] * 20, c=[0.0] * 20)), Counter(a=5, b=1, c=1, d=1)
    for _ in range(40): m.begun[sorted(chosen(m, "abcd", used))[0]] += 1
    assert m.begun["a"] > 1.5 * m.begun["b"] > 0 and m.begun["c"] <= 2 and m.begun["d"] > m.begun["c"], "of what is not known the mean is expected"
    never_right = making("student", failing=dict(a=[0.0] * 9, b=[0.0] * 9))
    assert chosen(never_right, "abc", Counter(a=2, b=1, c=2)) == {"b"} == chosen(making("student"), "abc", Counter(a=2, b=1, c=2))


def test_the_controls_choose_by_chance_and_by_use():
    used = Counter(a=2, b=1, c=1)
    assert chosen(making("random"), "abc", used) == {*"abc"} and chosen(making("coverage"), "abc", used) == chosen(making(""), "abc", used) == {*"bc"}
    full = making("random", target=0)
    assert not full.short and chosen(full, "abc", used) == {*"bc"}, "where only tools are missing, the least used"
    assert {size_of_round(making(a)) for a in ACQUIRE} == {10} and size_of_round(making("")) == 53


def rows_of(acquire, steer=None, seed=3):
    plan = Plan(12, multi=False, seed=seed, acquire=acquire)
    made = asyncio.run(make_rows(desk_tools(), open_model(provider="offline"), fresh_worlds("desk", desk_tools()), plan, steer=steer))
    return made, [t.id for t in made.rows]


def test_rounds_follow_the_student_and_are_the_same_by_their_seed():
    names = [t.name for t in desk_tools()]
    bad, good = names[0], names[1:]
    fails = lambda pool: {bad: [0.9] * 30} | {n: [0.0] * 30 for n in good}
    made, ids = rows_of("student", fails)
    assert ids == rows_of("student", fails)[1] and len(made.rounds) > 2 and [r["accepted"] for r in made.rounds] == sorted(r["accepted"] for r in made.rounds)
    assert all(r["begun_with"].startswith(bad) for r in made.rounds[:2])
    asked = []
    rows_of("student", lambda pool: asked.append(len(pool)) or {})
    assert asked[0] == 0 and asked == sorted(asked) and len(asked) > 2, "asked before each round about what there is"


def test_a_run_is_steered_by_the_record_of_a_student(synthgen):
    names = [t.name for t in desk_tools()]
    exam(synthgen.folder / "runs" / "exam", marks({n: i > 0 for i, n in enumerate(names)}))
    run = lambda *more, ok=True: synthgen("tool-pipeline", "desk", "-o", "t.jsonl", "--target-pairs", 8, *more, ok=ok)
    said = run("--acquire", "student", "--student", "exam").stdout
    assert "tools chosen: by student, in" in said and "student: asked" in said
    folder = next((synthgen.folder / "runs").glob("2*-tools"))
    got = json.loads((folder / "run.json").read_text())["acquired"]
    assert got["by"] == "student" and got["tools"][0]["tool"] == names[0] and got["tools"][0]["right"] == 0
    assert all(names[0] in r["begun_with"] for r in got["rounds"][:2])
    assert "tools chosen: by student" in synthgen("show", folder.name).stdout
    final = load(folder / "records" / "final.jsonl", Trajectory)
    line = 1 + next(i for i, t in enumerate(final) if any(c.tool == names[0] for c in t.calls))
    told = synthgen("why", line, "--run", folder.name).stdout
    assert "tools chosen: by student" in told and "wrong_and_sure" in told
    assert len([*(folder / "records" / "tries.jsonl").open()]) == 2 * 8 * len(names)


@pytest.mark.parametrize("more, why", [
    (("--acquire", "student"), "the model that learns belong together"), (("--student", "exam"), "the model that learns belong together"),
    (("--acquire", "coverag"), "did you mean 'coverage'"), (("--acquire", "random", "--method", "toolgrad"), "toolgrad draws its tools itself"),
    (("--acquire", "student", "--student", "nowhere"), "nowhere: no such model, and no run of a student"),
])
def test_what_cannot_be_is_said_before_any_work(synthgen, more, why):
    assert why in synthgen("tool-pipeline", "desk", "-o", "t.jsonl", "--target-pairs", 2, *more, ok=False).stderr


def test_students_are_asked_once_about_each_row():
    asked = []
    def ask(learnt, new):
        asked.append(([r.id for r in learnt], [r.id for r in new]))
        return [Try(r.id, "add", 0.0, 0.5) for r in new]
    s = Steered(ask)
    s.after([TWO]), s.after([TWO]), s.after([TWO, LATER])
    assert asked == [([], [TWO.id]), ([TWO.id], [LATER.id])]


# Where the extra is installed

@needs_extra
def test_a_student_that_learns_along_is_asked_before_it_learns(tmp_path):
    import torch
    from synthgen_nb.evaluate.student import Recipe, open_base, tiny_base
    from synthgen_nb.experiments.miscalled import calls_asked_of
    torch.set_num_threads(1)
    def of(tool, who):
        asked = Turn(role="user", text=f"{tool} the nuts, {who}.")
        return TWO.but(turns=(asked, *row((tool, dict(item="nut"))).turns[1:]), initial=None)
    rows = [of(t, w) for w in ("Ada", "Ben", "Cleo", "Dan") for t in ("add", "count")]
    base = open_base(tiny_base([r.instruction + " " + written(r.calls[0].tool, item="nut") for r in rows], tmp_path / "b", 64), "chatml")
    recipe = Recipe(steps=60, pack=1, rank=0, rate=5e-3, save_every=1000)
    tries = calls_asked_of(base, rows[:4:2], rows[4:], recipe, TOOLS, 32)
    assert {(t.about, t.right) for t in tries} == {("add", 1.0), ("count", 0.0)}, "it has learnt to add, and adds where it should count"
    assert tries == calls_asked_of(base, rows[:4:2], rows[4:], recipe, TOOLS, 32) and all(0 < t.sure <= 1 for t in tries)
    assert not any(t.right for t in calls_asked_of(base, [], rows[4:], recipe, TOOLS, 32)) and calls_asked_of(base, rows, [], recipe, TOOLS) == []
    folder = tmp_path / "b"
    base.tokenizer.save_pretrained(folder)
    assert isinstance(steered_by(str(folder), tmp_path, [*TOOLS.values()]).after(rows[:2]), dict)
