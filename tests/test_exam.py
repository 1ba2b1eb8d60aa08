"""A judge's exam: the estimator and its interval, planted questions, labels, and judges on loopback that pass everything, guess, or see."""

import asyncio
import hashlib
import json
import os
import re
import subprocess
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import lab_tools
import pytest
from conftest import complete, fork, rows
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgen_nb.core.records import Pair, SynthgenError, save
from synthgen_nb.core.shares import kappa
from synthgen_nb.evaluate.corrected import Share, correct, coverage, labels_needed, point, slope, surely, threshold_for
from synthgen_nb.evaluate.exam import EXAM_KINDS, PADDING, around, plant
from synthgen_nb.evaluate.labels import draw_rows, labels_of, read_labels, write_sheet
from synthgen_nb.evaluate.mutations import values
from synthgen_nb.cli.measure import html_page
from synthgen_nb.evaluate.record import as_markdown, read_exam, with_exam
from synthgen_nb.experiments.lab import material

# The estimator

rate = st.floats(0, 1)


def test_the_golden_value_and_what_is_no_number():
    assert round(point(0.4, 0.7, 0.9), 4) == 0.1667
    c = correct(Share(400, 1000), Share(700, 1000), Share(900, 1000))
    assert round(c.good, 4) == 0.1667 and round(c.kept, 4) == 0.375
    for q0, q1 in ((0.5, 0.5), (0, 1), (0.2, 0.7)):
        assert point(0.8, q0, q1) is None
    for refused, spared in ((Share(0, 60), Share(60, 60)), (Share(31, 60), Share(32, 60)), (Share(0, 0), Share(9, 9)), (Share(9, 9), Share(0, 0))):
        assert correct(Share(50, 60), refused, spared).good is None
    assert correct(Share(0, 60), Share(50, 60), Share(50, 60)).kept is None


@given(rate, rate, rate)
def test_the_correction_undoes_what_a_judge_does(theta, q0, q1):
    p = theta * q1 + (1 - theta) * (1 - q0)
    found = point(p, q0, q1)
    if q0 + q1 <= 1:
        assert found is None
    elif q0 + q1 > 1.001:
        assert found == pytest.approx(theta, abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 200), st.integers(1, 80), st.integers(1, 80), st.data())
def test_estimates_lie_in_their_intervals(n, m0, m1, data):
    draw = lambda m: Share(data.draw(st.integers(0, m)), m)
    c = correct(draw(n), draw(m0), draw(m1))
    for x, reach in ((c.good, c.good_95), (c.kept, c.kept_95)):
        assert (x is None) == (reach is None)
        assert x is None or 0 <= reach[0] <= x <= reach[1] <= 1
    assert c.good is None or c.power > 0


def test_more_known_rows_make_a_narrower_interval():
    wide, narrow = (correct(Share(800, 1000), Share(7 * k, 10 * k), Share(9 * k, 10 * k)).good_95 for k in (3, 30))
    assert narrow[1] - narrow[0] < 0.6 * (wide[1] - wide[0])


@pytest.mark.parametrize("theta, q0, q1", [(1 / 6, 0.7, 0.9), (0.8, 0.7, 0.9), (0.95, 0.5, 0.95)])
def test_the_interval_holds_the_truth_in_93_to_97_of_100_sets(theta, q0, q1):
    c = coverage(theta, q0, q1)
    assert 0.93 <= c["good"] <= 0.97 and 0.93 <= c["kept"] <= 0.97 and c["uncorrected"] < 0.93


def test_labels_for_a_precision():
    assert labels_needed(0.95) == 59 and surely(59, 59) >= 0.95 > surely(58, 58)
    assert labels_needed(0.95, 0.95) is None and labels_needed(0.9, 0.98) > labels_needed(0.9)
    known = [(r, r > 6 or i % 2 == 0) for r in (9, 8, 7, 6) for i in range(30)]
    bar, tested = threshold_for(0.9, known)
    assert bar.threshold == 7 and tested[-1].threshold == 6 and [b.threshold for b in tested] == sorted((b.threshold for b in tested), reverse=True)
    assert threshold_for(0.95, known[:20]) == (None, [])


def test_kappa_and_slope():
    assert kappa([(True, True), (False, False)]) == 1 and kappa([(True, True)] * 3) is None and kappa([]) is None
    assert slope([(10, 6), (20, 7), (40, 8)]) == pytest.approx(1) and slope([(5, 1), (5, 9)]) is None


# The questions

PAIRS = [p for p, _ in material()]
AROUND = {p.id: s for p, s in material()}


def test_every_kind_has_a_question_and_no_row_two_of_one_kind():
    items = plant(PAIRS, AROUND)
    assert {i.kind for i in items.faulty} == set(EXAM_KINDS)
    assert max(Counter((i.kind, i.base) for i in items.faulty).values()) == 1
    assert [i.row.id for i in plant(PAIRS, AROUND).faulty] == [i.row.id for i in items.faulty]
    assert [i.row.id for i in plant(PAIRS, AROUND, 1).faulty] != [i.row.id for i in items.faulty]
    assert all(i.row.id != i.base and not i.row.scores for i in (*items.honest, *items.faulty))
    assert len(items.compared) == len({i.base for i in items.compared}) and all(i.kind != PADDING for i in items.compared)


def test_vague_says_nothing_and_verbose_nothing_else():
    good = {p.id: p for p in PAIRS}
    for i in plant(PAIRS, AROUND).faulty:
        if i.kind == PADDING:
            assert values(i.row.answer) == values(good[i.base].answer) and i.row.answer.count(good[i.base].answer.strip()) == 2
        if i.kind == "vague but topical":
            assert not values(i.row.answer) - values(i.row.question) and good[i.base].answer not in i.row.answer


def test_rows_without_a_source_are_their_own():
    alone = around([Pair(question="How many?", answer="There are 8 frames in it.")], {})
    assert [s.source for s in alone.values()] == ["There are 8 frames in it."]


# Labels


def test_a_sheet_has_every_stratum_in_its_part(tmp_path):
    some = [Pair(question=f"Question {i}?", answer="=1+1") for i in range(300)]
    kept = {p.id: i % 3 > 0 for i, p in enumerate(some)}
    drawn = draw_rows(some, lambda p: (kept[p.id],), 120)
    assert len({p.id for p in drawn}) == 120 and abs(sum(kept[p.id] for p in drawn) - 80) <= 1
    assert drawn == draw_rows(some[::-1], lambda p: (kept[p.id],), 120) != draw_rows(some, lambda p: (kept[p.id],), 120, 1)
    write_sheet(drawn, lambda p: (p.question, p.answer, ""), tmp_path / "sheet.csv")
    text = (tmp_path / "sheet.csv").read_text("utf-8-sig")
    assert ",'=1+1," in text and not re.search(r"kept|True|rating", text)
    lines = text.splitlines()
    (tmp_path / "semi.csv").write_text("id;label\n" + "\n".join(f"{line.split(',')[0]};{'gut' if i > 9 else 'Good'}" for i, line in enumerate(lines[1:11])))
    assert len(read_labels(tmp_path / "semi.csv", kept)) == 10


@pytest.mark.parametrize(
    "given, said",
    [
        ([dict(id="nobody", label="good")], "does not have"),
        ([dict(id="a", label="so so")], "line 2"),
        ([dict(id="a", label="good"), dict(id="a", label="bad")], "line 3"),
        ([dict(id="a", label="")], "no label"),
    ],
)
def test_bad_labels_are_named(given, said):
    with pytest.raises(SynthgenError, match=said):
        labels_of(given, ["a", "b"])


# Judges on loopback


class Judge:
    "A judge of vLLM's protocol: full marks, guesses by a hash of what it sees, or sees whether a row was changed"

    def __init__(self, how: str, delay: float = 0.0, good: frozenset = frozenset()):
        self.asked: list[str] = []
        judge = self

        class Server(ThreadingHTTPServer):
            request_queue_size = 256

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                user = body["messages"][-1]["content"]
                judge.asked.append(hashlib.sha256(json.dumps(body["messages"]).encode()).hexdigest())
                time.sleep(delay)
                coin = int(judge.asked[-1], 16) % 2
                seen = any(g in user for g in good) and "To put it once more" not in user
                keep = dict(full=True, guess=bool(coin), sees=seen)[how]
                text = "8 6\nThe first." if "<first>" in user else json.dumps(self.scores(body, keep))
                complete(self, text)

            def scores(self, body, keep):
                props = body["response_format"]["json_schema"]["schema"]["properties"]
                return {k: dict(rationale="So.", score=p["properties"]["score"]["maximum" if keep else "minimum"]) for k, p in props.items()}

            def log_message(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.env = {
            "SYNTHGEN_LLM_PROVIDER": "vllm",
            "SYNTHGEN_LLM_VLLM_BASE_URL": f"http://127.0.0.1:{self.server.server_port}/v1",
            "SYNTHGEN_LLM_VLLM_MODEL": "judge",
        }


@pytest.fixture
def judge():
    made = []

    def start(*args, **more):
        made.append(Judge(*args, **more))
        return made[-1]

    yield start
    for j in made:
        j.server.shutdown()
        j.server.server_close()


@pytest.fixture
def set_of(tmp_path):
    "A file of the lab's pairs, and twenty more of their kind"
    more = [Pair(question=f"How large is tank {i} of the cooler?", answer=f"The tank {i} holds {20 + 3 * i} ml, and it is never empty.") for i in range(20)]
    with open(tmp_path / "set.jsonl", "w") as f:
        f.writelines(json.dumps(dict(question=p.question, answer=p.answer)) + "\n" for p in [*PAIRS, *more])
    return [*PAIRS, *more]


def test_full_marks_and_guesses_cannot_tell(tmp_path, synthgen, set_of, judge):
    full = judge("full")
    said = synthgen("judge", "exam", "set.jsonl", "--rows", "12", env=full.env)
    r = json.loads((tmp_path / "set_exam.json").read_text())
    assert all(k["sensitivity"] == 0 for k in r["kinds"]) and r["specificity"]["rate"] == 1
    assert r["corrected"]["tells"] is False and r["corrected"]["precision"] is None and "cannot tell" in said.stdout
    assert r["order"]["rate"] == 1, "the first always wins"
    assert "calls" in said.stderr and len(full.asked) == r["paid"]["paid"] == r["paid"]["calls"]
    synthgen("judge", "exam", "set.jsonl", "--rows", "12", env=full.env)
    assert len(full.asked) == r["paid"]["calls"], "an exam that was taken costs nothing"
    synthgen("judge", "exam", "set.jsonl", "--rows", "20", env=judge("guess").env)
    r = json.loads((tmp_path / "set_exam.json").read_text())
    assert 0.2 < r["sensitivity"]["rate"] < 0.8 and r["corrected"]["tells"] is False


def test_a_judge_that_sees_and_labels(tmp_path, synthgen, set_of, judge):
    good = set_of[::2]
    j = judge("sees", good=frozenset(f"<question>\n{p.question}\n</question>\n\n<answer>\n{p.answer}\n</answer>" for p in good))
    synthgen("judge", "exam", "set.jsonl", "--draw", "sheet.csv", env=j.env)
    assert not j.asked
    sheet = (tmp_path / "sheet.csv").read_text("utf-8-sig")
    for p in set_of:
        (loaded,) = [line for line in sheet.splitlines() if p.question in line][:1] or [""]
        if loaded:
            sheet = sheet.replace(loaded, loaded.replace(",,", ",good," if p in good else ",bad,", 1))
    (tmp_path / "sheet.csv").write_text(sheet)
    said = synthgen("judge", "exam", "set.jsonl", "--labels", "sheet.csv", "--precision", "0.8", env=j.env)
    r = json.loads((tmp_path / "set_exam.json").read_text())
    assert r["corrected"]["by"] == "labels" and r["corrected"]["tells"] and r["labels"]["kappa"] == 1
    assert r["corrected"]["good"] == pytest.approx(0.5, abs=0.1) and r["corrected"]["kept"] == 1
    assert r["wanted"]["threshold"] == 10 and "Labels" in said.stdout
    assert (tmp_path / "set_exam.html").read_text().startswith("<!doctype html>")


def test_killed_and_taken_again(tmp_path, set_of, judge):
    j = judge("full", delay=0.02)
    line = [*fork(), *"judge exam set.jsonl --rows 12 --workers 2".split()]
    p = subprocess.Popen(line, cwd=tmp_path, env=os.environ | j.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(j.asked) < 20 and time.monotonic() < deadline:
        time.sleep(0.01)
    p.kill()
    p.wait()
    assert 20 <= len(j.asked) and not (tmp_path / "set_exam.json").exists()
    assert subprocess.run(line, cwd=tmp_path, env=os.environ | j.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    twice = len(j.asked) - len(set(j.asked))
    assert twice <= 2, "only what was in flight"
    assert json.loads((tmp_path / "set_exam.json").read_text())["paid"]["calls"] == len(set(j.asked))


def test_bad_input_is_named(tmp_path, synthgen, set_of):
    (tmp_path / "runs/other").mkdir(parents=True)
    (tmp_path / "runs/other/run.json").write_text(json.dumps(dict(name="other", status="done", parameters={})))
    (tmp_path / "wrong.csv").write_text("id,label\nnobody,good\n")
    (tmp_path / "empty.jsonl").write_text("")
    lines = {
        "other": "no judge",
        "nothing": "no run",
        "nothing.jsonl": "no such file",
        "empty.jsonl": "no pair",
        "set.jsonl --rows 400": "holds 37 rows, and --rows asks for 400",
        "set.jsonl --labels wrong.csv": "does not have",
        "set.jsonl --labels none.csv": "no such file",
        "set.jsonl --draw sheet.txt": ".csv",
        "set.jsonl": "keeps none",  # the offline judge has nothing to compare with
    }
    for line, said in lines.items():
        r = synthgen("judge", "exam", *line.split(), ok=False)
        assert said in r.stderr and r.stderr.count("error:") == 1, (line, r.stderr)


# Runs


def test_the_exam_of_a_run_stands_in_its_card_and_in_show(tmp_path, synthgen, docs):
    synthgen("pipeline", "docs", "-o", "train.jsonl", "--chunk-tokens", "32-1024", "--threshold", "6")
    said = synthgen("judge", "exam", "last", "--rows", "5").stdout
    (folder,) = (tmp_path / "runs").iterdir()
    r = read_exam(folder)
    assert r["rows"] == 5 == r["sound"] and r["corrected"]["n"] == len(rows(folder / "records/rated.jsonl"))
    assert r["corrected"]["of"] == "the rows that it kept" and "Exam of a judge" in said
    card = (folder / "README.md").read_text()
    assert card.count("What its judge is worth") == 1
    synthgen("judge", "exam", folder, "--rows", "5")
    assert (folder / "README.md").read_text().count("What its judge is worth") == 1
    assert "exam of its judge:" in synthgen("show", "last").stdout
    (folder / "exam.json").write_text("{")
    assert "Take the exam again" in synthgen("show", "last", ok=False).stderr


def test_tool_rows_are_held_against_their_world(tmp_path, synthgen):
    pytest.importorskip("h5py")
    good = asyncio.run(lab_tools.honest("hdf5"))
    save(sorted(good, key=lambda t: -len(t.calls))[:5], tmp_path / "chats.jsonl")
    said = synthgen("judge", "exam", "chats.jsonl", "--threshold", "4").stdout
    r = json.loads((tmp_path / "chats_exam.json").read_text())
    told = {k["kind"]: k for k in r["worlds"]["kinds"]}
    assert told["wrong argument"]["world"] == told["wrong argument"]["rows"] > 0
    assert told["honest form"]["world"] == told["honest form"]["rows"] > 0 and told["vague but topical"]["world"] == 0
    assert "Judge and world" in said and "Judge and world" in as_markdown(r) and "<table>" in html_page(as_markdown(r))


def test_pages_hold_no_markup_of_others():
    r = json.loads(json.dumps(dict(judge="<b>x</b>")))
    assert with_exam("# A", RECORD | r).count("<b>") == 0 and "<b>" not in html_page(as_markdown(RECORD | r))


RECORD = dict(
    set="s", judge="j", rubric="r@1", threshold=7.0, seed=0, rows=1, sound=1, kinds=[], order=None, labels=None, worlds=None, wanted=None,
    corrected=dict(tells=False, by="labels", of="", precision=None, interval_95=None, good=None, good_95=None, kept=None, kept_95=None,
                   p=1.0, n=1, q0=0.0, m0=1, q1=1.0, m1=1, power=0.0),
    sensitivity=dict(faults=0, refused=0, rate=None, interval_95=None), specificity=dict(forms=0, kept=0, rate=None, interval_95=None),
    length=dict(rows=0, slope=None, interval_95=None, padded=None, padded_higher=None), unrated=0, passed_faults=[], paid={},
)  # fmt: skip
