"""A study from its file to its report: what arms share is paid once, a purse holds for all, and any end can be gone on from."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import SYNTHGEN, Server, command, fork, write_docs

from synthgen_nb.core.records import SynthgenError
from synthgen_nb.experiments.contrasts import contrasts
from synthgen_nb.experiments.cited import bibtex, sentence, works_in
from synthgen_nb.experiments.plan import fitting, planned, read_plan, refuse_beyond, scaled, units_for
from synthgen_nb.experiments.study import read_study
from synthgen_nb.experiments.sweep import arms_of

GRID = """question: Which threshold and deduplication?
base: {source: docs, chunk_tokens: 32-1024}
grid: {threshold: [5, 6, 7], dedup: [near, exact]}
"""
ARMS = """question: What does rewriting change?
base: {source: docs, chunk_tokens: 32-1024, rewrite: false}
arms: {rewritten: {rewrite: true}}
"""


@pytest.fixture
def slow_server(tmp_path):
    s = Server(tmp_path / "requests.log", 0.15)
    yield s
    s.stop()


def told(folder: Path) -> dict:
    return json.loads((folder / "report/run.json").read_text())


def exported(folder: Path) -> dict[str, bytes]:
    return {p.parent.name: p.read_bytes() for p in folder.glob("*/train.jsonl")}


def asked(server) -> Counter:
    return Counter(r["key"] for r in server.log())


# the file


@pytest.mark.parametrize(
    "text, says",
    [
        ("question: Why?", "grid or arms"),
        ("question: Why?\narms: {a: {treshold: 8}}", "arm a: .*did you mean 'threshold'"),
        ("question: Why?\narms: {a: {threshold: much}}", "arm a: parameter threshold: expected float"),
        ("question: Why?\ngrid: {threshold: 8}", "needs a list"),
        ("question: Why?\narms: {a: {threshold: 7}, b: {threshold: 7}}", "'a' and 'b' have the same"),
        ("question: Why?\nbase: {seed: 3}\narms: {a: {}}", "seed is set by the study itself; give seeds"),
        ("question: Why?\narms: {a: {threshold: 8}}\nseeds: many", "seeds: give how many"),
        ("question: Why?\narms: {a: {threshold: 8}}\nmax_calls: -1", "not negative"),
        ("question: Why?\npipeline: qqa\narms: {a: {}}", "no pipeline 'qqa'"),
        ("arms: {a: {}}", "what is the question"),
        ("[1, 2]", "a study is a table"),
        ("question: [", "not YAML"),
    ],
)
def test_what_a_file_gets_wrong_is_said(tmp_path, text, says):
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(SynthgenError, match=says):
        read_study(tmp_path / "s.yaml")


def test_a_grid_is_named_by_what_differs(tmp_path):
    (tmp_path / "s.yaml").write_text(GRID + "seeds: [0, 4]\n")
    study = read_study(tmp_path / "s.yaml")
    assert study.names == ["base", "dedup=exact", "threshold=6", "threshold=6 dedup=exact", "threshold=7", "threshold=7 dedup=exact"]
    assert len(study.arms) == 12 and {a.parameters["seed"] for a in study.arms} == {0, 4}
    assert len({a.folder for a in study.arms}) == 12


# the whole


def test_arms_share_what_they_ask_and_the_report_answers(tmp_path, synthgen, server):
    write_docs(tmp_path / "docs", 4)
    (tmp_path / "s.yaml").write_text(GRID.replace("docs", str(tmp_path / "docs")))
    out = synthgen("study", "s.yaml", env=server.env).stdout
    folder = tmp_path / "runs/study-s"
    calls, report = asked(server), told(folder)
    assert set(calls.values()) == {1}, "no call is made twice"
    assert len(calls) == max(a["calls"] for a in report["arms"]), "arms that differ in threshold and dedup ask nothing more"
    assert [a["paid"] for a in report["arms"]] == [len(calls), *[0] * 5]
    assert report["title"] in out and report["abstract"] in out and not report["failed"]
    assert {a["name"] for a in report["contrasts"]["arms"]} > {"base", "random, same size", "longest answers"}
    assert (folder / "report/works.bib").read_text().startswith("@misc") and "tabular" in (folder / "report/differences.tex").read_text()
    page = (folder / "report/study.html").read_text()
    assert f"<h1>{report['title']}</h1>" in page and len(page) < 2e6 and "<script" not in page and str(tmp_path) not in page
    synthgen("show", "study-s", "--html", "same.html")
    assert (tmp_path / "same.html").read_text() == page
    for f in [*folder.glob("*/*.ipynb"), *folder.glob("*/*.json"), *folder.glob("*.json"), *folder.glob("*/*.html")]:
        assert str(tmp_path) not in f.read_text(), f"{f.name} names a folder of this machine"
    assert "## Provenance" in (folder / "base/qa.ipynb").read_text(), "an arm is a record like any other"
    before = {p: p.stat().st_mtime_ns for p in folder.glob("*/run.json") if p.parent.name != "report"}
    synthgen("study", "s.yaml", env=server.env)
    assert {p: p.stat().st_mtime_ns for p in before} == before and asked(server) == calls, "what is done is not done again"

    (tmp_path / "s.yaml").write_text(GRID.replace("docs", str(tmp_path / "docs")).replace("[near, exact]", "[near, exact, semantic]"))
    synthgen("study", "s.yaml", env=server.env)
    assert asked(server) == calls and len(arms_of(folder)) == 9, "an arm that is added asks what is new, which is nothing"


def test_a_plan_says_what_a_study_takes(tmp_path, synthgen, server):
    write_docs(tmp_path / "docs", 12)
    (tmp_path / "s.yaml").write_text(ARMS)
    synthgen("plan", "s.yaml", "--pilot", "4", env=server.env)
    pilot = len(asked(server))
    plan = read_plan(tmp_path / "runs/study-s", read_study(tmp_path / "s.yaml"))
    assert plan.paid == pilot and [r["units"] for r in plan.rows] == [12, 12]
    synthgen("study", "s.yaml", env=server.env)
    took = {a["arm"]: a["calls"] for a in told(tmp_path / "runs/study-s")["arms"]}
    for r in plan.rows:
        assert abs(r["calls"] / took[r["arm"]] - 1) < 0.15
        assert r["calls_low"] <= took[r["arm"]] <= r["calls_high"]
    assert abs(plan.total("marginal_calls") / (len(asked(server)) - pilot) - 1) < 0.15
    assert set(asked(server).values()) == {1}, "what the pilot asked is not asked again"


def test_a_plan_without_a_pilot_is_told_by_earlier_runs_and_says_so(tmp_path, synthgen, server):
    write_docs(tmp_path / "docs", 3)
    (tmp_path / "s.yaml").write_text(ARMS)
    said = synthgen("plan", "s.yaml", "--pilot", "0", env=server.env)
    assert "no earlier run of this pipeline" in said.stderr and not asked(server), "nothing is sent"
    assert {r["calls"] for r in read_plan(tmp_path / "runs/study-s", read_study(tmp_path / "s.yaml")).rows} == {None}, "what is not known stays open"
    synthgen("study", "s.yaml", env=server.env)
    calls = asked(server)
    (tmp_path / "t.yaml").write_text(ARMS.replace("base: {", "base: {threshold: 6, "))
    said = synthgen("plan", "t.yaml", "--pilot", "0", env=server.env)
    assert asked(server) == calls and "rewritten: from study-s/rewritten, differing in" in said.stderr and "not known without a pilot" in said.stderr
    plan = read_plan(tmp_path / "runs/study-t", read_study(tmp_path / "t.yaml"))
    synthgen("study", "t.yaml", env=server.env)
    took = {a["arm"]: a["calls"] for a in told(tmp_path / "runs/study-t")["arms"]}
    assert {r["arm"]: r["calls"] for r in plan.rows} == took and plan.total("marginal_calls") is None and plan.paid == 0
    other = server.env | {"SYNTHGEN_LLM_VLLM_MODEL": "another"}
    said = synthgen("plan", "t.yaml", "--pilot", "0", env=other)
    assert "no earlier run with vllm/another: calls and tokens are those of vllm/mock" in said.stderr
    gpt = {"SYNTHGEN_LLM_PROVIDER": "openai", "SYNTHGEN_LLM_OPENAI_MODEL": "gpt-4o-mini"}  # and no key
    said = json.loads(synthgen("plan", "t.yaml", "--pilot", "0", "--json", env=gpt).stdout)
    (row, *_), known = said["rows"], plan.rows[0]
    assert row["cost"] == pytest.approx((0.15 * known["input_tokens"] + 0.6 * known["output_tokens"]) / 1e6, rel=0.01) and row["seconds"] is None
    assert "this model's price for the tokens of vllm/mock" in said["notes"][0]


def test_a_study_beyond_its_limits_is_refused_and_one_within_keeps_to_the_call(tmp_path, synthgen, server):
    write_docs(tmp_path / "docs", 6)
    (tmp_path / "s.yaml").write_text(ARMS + "max_calls: 20\n")
    said = synthgen("plan", "s.yaml", "--pilot", "2", env=server.env, ok=False).stderr
    assert "max_calls is 20 and it would take 28" in said and "What fits: base" in said
    sent = sum(asked(server).values())
    assert "max_calls is 20" in synthgen("study", "s.yaml", env=server.env, ok=False).stderr
    assert sum(asked(server).values()) == sent, "nothing is sent by a study that is refused"
    (tmp_path / "runs/study-s/plan.json").unlink()
    said = synthgen("study", "s.yaml", env=server.env, ok=False).stderr
    assert "max_calls is reached: 20 calls were sent" in said and sum(asked(server).values()) == sent + 20
    assert "arms came to their end" in said


def test_ctrl_c_leaves_a_comparison_of_what_there_is(tmp_path, synthgen, slow_server):
    write_docs(tmp_path / "docs", 3)
    (tmp_path / "s.yaml").write_text(ARMS.replace("arms: {", "arms: {strict: {threshold: 6}, "))
    env, pipes = os.environ | slow_server.env, dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    heard = lambda: signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background has it ignored
    p = subprocess.Popen([SYNTHGEN, "study", "s.yaml"], cwd=tmp_path, env=env, preexec_fn=heard, **pipes)
    until = time.monotonic() + 90
    state = tmp_path / "runs/study-s/study.json"
    while time.monotonic() < until and (not state.exists() or state.read_text().count('"done"') < 2):
        time.sleep(0.02)
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=90)
    assert p.returncode == 130 and "Traceback" not in err, err
    ended = json.loads(state.read_text())["arms"]
    assert ended["base"]["status"] == ended["strict"]["status"] == "done"
    if ended["rewritten"]["status"] != "done":
        assert "report:" in out and [f["arm"] for f in told(tmp_path / "runs/study-s")["failed"]] == ["rewritten"]
    synthgen("study", "s.yaml", env=slow_server.env)
    assert not told(tmp_path / "runs/study-s")["failed"]


def stored(folder: Path) -> int:
    with sqlite3.connect(folder / ".synthgen/calls.db") as db:
        return db.execute("select count(*) from calls").fetchone()[0]


def ended(folder: Path) -> dict[Path, int]:
    "When each arm that is done was closed"
    state = json.loads((folder / "study.json").read_text())["arms"] if (folder / "study.json").exists() else {}
    return {f: f.stat().st_mtime_ns for a, s in state.items() if s["status"] == "done" and (f := folder / a / "run.json").exists()}


def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(tmp_path, synthgen, slow_server, pytestconfig):
    "`pytest --kills 20 -k killed_at_any_moment` for more of them"
    wanted = pytestconfig.getoption("kills")
    write_docs(tmp_path / "docs", max(3, 2 * wanted))
    (tmp_path / "s.yaml").write_text(ARMS.replace("base: {", "base: {workers: 2, ").replace("arms: {", "arms: {strict: {threshold: 6}, "))
    draw, kills, study, done = random.Random(5), 0, tmp_path / "runs/study-s", dict[Path, int]()
    again = []  # replies that were under way at each kill, and are asked for anew
    for _ in range(wanted):
        p = subprocess.Popen([*fork(), "study", "s.yaml"], cwd=tmp_path, env=os.environ | slow_server.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        goal, until = len(slow_server.log("answered")) + draw.randint(0, 8), time.monotonic() + 20
        while p.poll() is None and len(slow_server.log("answered")) < goal and time.monotonic() < until:
            time.sleep(0.02)
        time.sleep(draw.random() / 2)
        kills += p.poll() is None
        p.kill()
        p.wait()
        time.sleep(1)  # until what it had sent is logged, and the fork is gone
        now = ended(study)
        assert done.items() <= now.items(), "an arm that was done ran again"
        done = now
        if (tmp_path / ".synthgen/calls.db").exists():
            again.append(sum(asked(slow_server).values()) - stored(tmp_path) - sum(again))
    synthgen("study", "s.yaml", env=slow_server.env)
    assert kills and done.items() <= ended(study).items()
    assert sum(asked(slow_server).values()) == stored(tmp_path) + sum(again), "only what was under way is sent again"
    sent = sum(asked(slow_server).values())
    (tmp_path / "other").mkdir()
    (tmp_path / "other/docs").symlink_to(tmp_path / "docs")
    (tmp_path / "other/s.yaml").write_text((tmp_path / "s.yaml").read_text())
    command(tmp_path / "other")("study", "s.yaml", env=slow_server.env)
    assert exported(study) == exported(tmp_path / "other/runs/study-s")
    assert sum(asked(slow_server).values()) - sent == stored(tmp_path / "other") == stored(tmp_path), "an undisturbed one asks as much"
    print(f"{kills} kills, {sent} calls sent, {stored(tmp_path)} undisturbed, {again} under way at each")


# its parts


def test_an_interval_holds_nearly_always():
    "Of a population of chunks that take one to six calls each, from eight of them"
    draw = random.Random(3)
    chunks = [draw.randint(1, 6) for _ in range(200)]
    inside = 0
    for i in range(200):
        _, low, high = scaled(random.Random(i).sample(chunks, 8), 200, seed=i)
        inside += low <= sum(chunks) <= high
    assert inside >= 180
    assert scaled([], 9) == (0.0, None, None) and scaled([2], 9) == (18.0, None, None)


def test_the_pilot_that_is_named_would_do():
    "Drawn again with so many units, the half-width is what was wanted"
    draw = random.Random(1)
    chunks = [draw.randint(1, 9) for _ in range(300)]
    half = lambda n: [(h - low) / 2 / m for i in range(60) for m, low, h in [scaled(random.Random(i).sample(chunks, n), 300, seed=i)]]
    wide = sum(half(8)) / 60
    need = units_for(wide, 8, 300)
    assert wide > 0.3 and 15 < need < 100 and sum(half(need)) / 60 < 0.17
    assert units_for(0.5, 10, 10) == 10 and units_for(5.0, 2, 40) <= 40


def test_what_fits_a_budget(tmp_path):
    (tmp_path / "s.yaml").write_text(ARMS)
    study = read_study(tmp_path / "s.yaml")
    plan = replace(planned([]), rows=[dict(arm=a, marginal_calls=n, marginal_cost=None) for a, n in (("base", 50), ("rewritten", 20))])
    assert fitting(plan, 60, None) == ["base"] and fitting(plan, 70, None) == ["base", "rewritten"]
    refuse_beyond(plan, replace(study, max_calls=70))
    with pytest.raises(SynthgenError, match="What fits: base"):
        refuse_beyond(plan, replace(study, max_calls=69))
    assert plan.total("marginal_cost") is None, "a price that is not known is not nothing"
