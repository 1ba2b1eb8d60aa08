"""ToolEval: the table, the coin, ties, what is asked of a judge, preferences in both orders, and what is stored."""

import asyncio
import json
from itertools import product

import pytest
from conftest import DATA

from synthgen_nb.core.models import Answer, open_model
from synthgen_nb.core.records import save
from synthgen_nb.specs.trajectory import Call, Observation, Trajectory, Turn
from synthgen_nb.tools.tooleval import (
    Label,
    Passed,
    Solution,
    converted,
    final_answer,
    hallucinated,
    label,
    passing,
    path_of,
    preferred,
    solution_of,
    stored_labels,
    tooleval,
    tooleval_report,
    tree_solution,
    vote,
    wilson,
)
from synthgen_nb.tools.toolllm import passes

STEP = dict(call="c1", tool="get_size", arguments={}, status="ok", result="12")
S = Solution("s", "How large is /a?", (dict(name="get_size", description="Gives a size."),), (STEP,), "give_answer", "It is 12 m.")
YES, NO, UNSURE = Label("Solved", "Solvable", True), Label("Unsolved", "Solvable", False), Label("Unsure", "Unsure", None)


class Says:
    "A judge that is told what to say, prompt by prompt"

    def __init__(self, **says):
        self.says, self.asked, self.real = says, [], open_model(provider="offline")
        self.name, self.meter = "told", self.real.meter

    def prompt(self, name):
        return self.real.prompt(name)

    def at(self, *args):
        return self

    async def ask(self, ask, sample=0):
        self.asked.append((ask.prompt, ask.inputs))
        said = self.says[ask.prompt]
        said = said(ask.inputs) if callable(said) else said
        if said is None:
            return Answer(error="refused: no", model=self.name)
        key = "better" if ask.prompt == "tooleval_compare" else "status"
        return Answer(value={"reason": "so", key: said}, model=self.name)


def judged(s=S, **says):
    judge = Says(**says)
    return asyncio.run(label(s, judge)), [name for name, _ in judge.asked]


@pytest.mark.parametrize("answer, task", list(product(("Solved", "Unsolved", "Unsure"), ("Solvable", "Unsure", "Unsolvable"))))
def test_the_table(answer, task):
    table = {
        ("Unsolved", "Solvable"): False,
        ("Unsolved", "Unsure"): None,
        ("Unsure", "Solvable"): None,
        ("Unsure", "Unsure"): None,
    }
    got, asked = judged(tooleval_answer=answer, tooleval_task=task)
    assert got.passed is table.get((answer, task), True) is passes(answer, task)
    assert asked == ["tooleval_answer"] * (1 + (answer == "Unsure")) + ["tooleval_task"] * (answer != "Solved")


def test_the_calls_are_shown_only_where_the_answer_does_not_tell():
    judge = Says(tooleval_answer=lambda i: "Solved" if i["steps"] else "Unsure")
    got = asyncio.run(label(S, judge))
    assert got.passed is True and [len(i["steps"]) for _, i in judge.asked] == [0, 1]


def test_what_is_not_asked():
    assert judged(S._replace(finish="nothing"))[1] == []
    assert judged(S._replace(finish="nothing"))[0].passed is False
    gave_up, asked = judged(S._replace(finish="give_up"), tooleval_task="Unsolvable")
    assert gave_up.passed is True and asked == ["tooleval_task"]
    assert judged(S._replace(answer=" "), tooleval_task="Solvable")[0].passed is False


def test_a_reply_that_cannot_be_read_does_not_vote():
    for says in (dict(tooleval_answer=None), dict(tooleval_answer="Unsolved", tooleval_task=None)):
        assert judged(**says)[0].error
    lost = Label(error="refused")
    assert vote([lost] * 4, "a").passed is None and vote([], "a").passed is None
    assert vote([lost, lost, lost, YES], "a").passed is True and vote([lost, lost, lost, NO], "a").passed is False


def test_the_majority_counts_and_a_tie_passes():
    assert [vote(x, "a").passed for x in ([YES, NO, NO, NO], [YES, YES, NO, NO], [YES, YES, YES, NO])] == [False, True, True]


def test_the_coin_is_seeded_and_knows_no_order():
    ids = [str(i) for i in range(400)]
    first = {i: vote([UNSURE] * 4, i).passed for i in ids}
    assert first == {i: vote([UNSURE] * 4, i).passed for i in reversed(ids)}
    assert first != {i: vote([UNSURE] * 4, i, seed=1).passed for i in ids}
    assert 0.6 < sum(first.values()) / 400 < 0.78 and vote([UNSURE, YES, NO, NO], "x").tossed == 1


def test_repetitions_are_asked_apart():
    judge = Says(tooleval_answer="Solved")
    p, q = asyncio.run(passing([S, S._replace(id="t", finish="nothing")], judge, 4))
    assert len(judge.asked) == 4 and len(p.labels) == 4 and (p.passed, q.passed) == (True, False)


# Win

GOOD, BAD = Passed(True, (YES,)), Passed(False, (NO,))


def prefer(a, b, better, passed=(GOOD, GOOD)):
    judge = Says(tooleval_compare=better)
    return asyncio.run(preferred(a, b, *passed, judge)), len(judge.asked)


def test_who_passes_wins_unasked():
    assert prefer(S, S, None, (GOOD, BAD)) == ("win", 0) and prefer(S, S, None, (BAD, GOOD)) == ("loss", 0)


def test_a_preference_must_survive_the_other_order():
    other = S._replace(answer="Large.")
    by_text = lambda i: "first" if "12" in i["first"] else "second"
    assert prefer(S, other, by_text)[0] == "win" and prefer(other, S, by_text)[0] == "loss"
    assert prefer(S, other, "first") == ("tie", 2)  # it likes what it reads first
    assert prefer(S, other, "tie")[0] == "tie" and prefer(S, other, None)[0] == "unjudged"


def test_a_path_in_words():
    bad = STEP | dict(status="error")
    assert path_of(S._replace(steps=(STEP, STEP, bad | dict(arguments={"p": 1})))) == "3 calls of 1 tools, 1 failed, 1 repeated"


# What is stored


def test_hallucinated_calls():
    assert hallucinated(S) == [] and hallucinated(S._replace(steps=(STEP, STEP | dict(tool="login")))) == ["login"]


def node(message, *after, role="tool"):
    return dict(role=role, message=message, next=list(after))


FINISHED = "{'name': 'Finish', 'arguments': '{\\n  \"return_type\": \"give_answer\",\\n  \"final_ans"  # cut off
GAVE_UP = "{'name': 'Finish', 'arguments': '{\\n  \"return_type\": \"give_up_and_restart\"\\n}'"


@pytest.mark.parametrize(
    "end, final, finish, answer",
    [
        (node(FINISHED), '{"return_type": "give_answer", "final_answer": "12 m"}', "give_answer", "12 m"),
        (node(GAVE_UP), "", "give_up", ""),
        (node("Is that all?", role="assistant"), "", "nothing", ""),
        (node({"name": "Finish", "arguments": '{"final_answer": "12"}', "response": ""}), "", "give_answer", "12"),
    ],
)
def test_converted_answers(end, final, finish, answer):
    cut = "{'name': 'get_size', 'arguments': '{}', 'response': '{\"error\": \"\", \"resp"
    made_up = node("{'name': 'log_in', 'arguments': '{}', 'response': '{\"error\": \"No such function name: log_in\"}'}", end)
    details = [node("", node("How large?", node(cut, made_up), role="user"), role="system")]
    d = dict(query="How large?", available_tools=[dict(name="get_size"), dict(name="Finish")])
    (s,) = converted({"7": d | dict(answer=dict(final_answer=final, answer_details=details))})
    assert (s.finish, s.answer) == (finish, answer)
    assert [x["tool"] for x in s.steps] == ["get_size", "log_in"] and [x["status"] for x in s.steps] == ["ok", "error"]
    assert hallucinated(s) == ["log_in"]


def test_deep_and_odd_messages_are_read():
    chain = node("x")
    for _ in range(5000):
        chain = node("x", chain)
    d = dict(query="q", available_tools=[], answer=dict(final_answer="", answer_details=[chain]))
    assert converted({"1": d})[0].finish == "nothing"
    assert final_answer("plain words") == "plain words" and final_answer("[1]") == "[1]" and final_answer("{}") == ""


@pytest.mark.skipif(not (DATA / "tools/toolbench").is_dir(), reason="needs the trees of ToolBench; set SYNTHGEN_DATA")
def test_published_trees():
    trees = sorted((DATA / "tools/toolbench").glob("*_answer/*.json"))
    assert trees
    for f in trees:
        d = json.loads(f.read_text())
        s = tree_solution(d, f.stem)
        a = d["answer_generation"]
        assert (s.finish == "give_answer") == d["win"] == bool(s.answer) and s.query == a["query"] and s.steps
        assert bool(hallucinated(s)) == any(x["tool"] not in {t["name"] for t in a["function"]} for x in s.steps)


def test_stored_labels(tmp_path):
    one = dict(passed=2, failed=2, task_solvable="TaskStatus.Solvable", is_solved="AnswerStatus.Unsure")
    two = one | dict(passed=1, failed=3, is_solved="AnswerStatus.Unsolved")
    (tmp_path / "a.json").write_text(json.dumps({"1": one, "2": two}))
    a, b = stored_labels(tmp_path / "a.json")
    assert (a["by_count"], a["by_table"]) == ("passed", "unsure") and (b["by_count"], b["by_table"]) == ("failed", "failed")
    head = ["query", "solvable", "query_id", "is_solved", "pass_rate_label", "reason"]
    line = ["a\nquery", "TaskStatus.Unsolvable", "9", "AnswerStatus.Unsolved", "passed", "so"]
    (tmp_path / "a.csv").write_text("\t".join(head) + "\n" + "\t".join(f'"{x}"' for x in line) + "\n")
    assert stored_labels(tmp_path / "a.csv") == [dict(id="9", stored="passed", by_count="", by_table="passed")]


# Whole


def row(answer, call="get_size", request="How large is /a?") -> Trajectory:
    seen = Observation(call="c1", status="ok", source="given", world="", content=12)
    turns = [Turn(role="user", text=request), Turn(role="assistant", calls=(Call(id="c1", tool=call),), observations=(seen,))]
    return Trajectory(turns=(*turns, Turn(role="assistant", text=answer)), tools=("get_size", "measure"))


def test_a_row_is_a_solution():
    s = solution_of(row("It is 12 m.", "weigh"), {})
    assert s.finish == "give_answer" and hallucinated(s) == ["weigh"]
    assert solution_of(row(""), {}).finish == "nothing"
    gave_up = row("").but(meta=dict(kept=dict(Finish=dict(return_type="give_up_and_restart"))))
    assert solution_of(gave_up, {}).finish == "give_up"


def test_rows_and_their_report():
    judge = Says(tooleval_answer=lambda i: "Solved" if "12" in i["answer"] else None, tooleval_compare="first")
    rows = [row("It is 12 m."), row("It is 12 m.", request="Once more?"), row("Large."), row("")]
    out = asyncio.run(tooleval(rows, judge, others=[row("12")]))
    told = tooleval_report(out, "told", unsolved=1)
    assert [d.reason for d in out.dropped] == ["unchecked:tooleval", "tooleval:failed"] and len(out.kept) == 2
    assert (told["rows"], told["unchecked"], told["passed"], told["pass_rate"]) == (5, 1, 2, 0.5)
    assert told["wins"]["no_rival"] == 1 and told["wins"]["tie"] >= 1 and told["interval_95"] == list(wilson(2, 4))
    assert [t.scores[-1].status for t in out.kept] == ["rated", "rated"] and out.dropped[0].record.scores[-1].status == "unchecked"


def test_the_command(synthgen, tmp_path):
    save([row("It is 12 m."), row("I am sorry.", request="Please measure /b.")], tmp_path / "rows.jsonl")
    save([row("Large.")], tmp_path / "other.jsonl")
    r = synthgen("tool-evaluate", "rows.jsonl", "-o", "good.jsonl", "--by", "tooleval", "--reference", "other.jsonl", "--provider", "offline")
    report = json.loads((tmp_path / "good_report.json").read_text())
    assert report["passed"] == 1 and report["rows"] == 2 and report["wins"] == {"win": 1, "no_rival": 1} and "1 of 2 rows pass" in r.stdout
    bad = synthgen("tool-evaluate", "rows.jsonl", "-o", "x.jsonl", "--by", "tooleval", "--strict", ok=False)
    assert "belong to --by reference" in bad.stderr
