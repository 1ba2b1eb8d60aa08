"""What differs between two runs: settings, prompts as text, and each row with the stage that decided."""

import json
from pathlib import Path

import pytest
from conftest import ROOT, command
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgen_nb.core.calls import Calls, Reply, Request
from synthgen_nb.core.judge import load_rubric
from synthgen_nb.core.prompts import load_prompt
from synthgen_nb.core.records import SynthgenError, content_id
from synthgen_nb.experiments.diff import Side, diff, matched, went


def row(question, answer, chunk="c", rating=8.0, parents=(), origin=(), **more):
    made = dict(id=content_id(question, answer), question=question, answer=answer, chunk_id=chunk, parents=list(parents), origin=list(origin))
    return made | dict(scores=[dict(criterion="overall", value=rating)]) | more


def dropped(r, stage, reason, detail=""):
    return dict(id=r["id"], stage=stage, reason=reason, detail=detail, record=r)


def record(folder: Path, run=None, **files) -> Side:
    (folder / "records").mkdir(parents=True, exist_ok=True)
    r = dict(name=folder.name, notebook="qa.ipynb", status="done", parameters={}) | (run or {})
    (folder / "run.json").write_text(json.dumps(r))
    for name, some in files.items():
        (folder / f"records/{name}.jsonl").write_text("".join(json.dumps(x) + "\n" for x in some))
    return Side(folder, r)


def parts(story):
    return {p.title: p for p in story.parts}


def test_parameters_that_differ_and_those_that_only_one_knows(tmp_path):
    record(tmp_path / "a", dict(parameters=dict(threshold=7, n_pairs=3, old=1, run_dir="x"), threshold=7, model="m/one", temperatures=dict(judge=0)))
    record(tmp_path / "b", dict(parameters=dict(threshold=8, n_pairs=3, new=1, run_dir="y"), threshold=8, model="m/one", temperatures=dict(judge=1)))
    s = diff("a", "b", tmp_path)
    assert [p["name"] for p in s.facts["parameters"]] == ["threshold", "(temperatures)"]
    assert "only a knows old" in parts(s)["parameters"].said and "only b knows new" in parts(s)["parameters"].said


def test_where_a_row_went(tmp_path):
    low, twice, more, unasked, unmade = (row(f"Why {i}?", "So.", f"c{i}") for i in range(5))
    wrong = dict(id="c9", text="nothing", kind="text")
    empty = row("Why nine?", "So.", "c9")
    record(tmp_path / "a", final=[low, twice, more, unasked, unmade, empty])
    other = row("Why not?", "So.", "c4")
    b = record(
        tmp_path / "b",
        final=[other],
        generated=[low, twice, more, other],
        dropped=[
            dropped(low, "curate", "below_threshold:accuracy", "3 < 7"),
            dropped(twice, "dedup", "duplicate_of:1"),
            dropped(wrong, "generate", "unsuitable"),
        ],
    )
    s = diff("a", "b", tmp_path)
    went_ = {x["id"]: (x["stage"], x["reason"], x["detail"]) for x in s.facts["lost"]}
    assert went_[low["id"]] == ("curate", "below_threshold:accuracy", "3 < 7")
    assert went_[twice["id"]][:2] == ("dedup", "duplicate_of:1")
    assert went_[more["id"]][:2] == ("target", "beyond_target")
    assert went_[unasked["id"]] == ("generate", "not made", "its chunk: not asked")
    assert went_[unmade["id"]] == ("generate", "not made", "its chunk: gave other rows")
    assert went_[empty["id"]] == ("generate", "not made", "its chunk: unsuitable")
    assert len(s.facts["gained"]) == 1 and "curate: below_threshold 1" in parts(s)["only in a"].said
    assert went([], b) == []


def test_a_changed_row_is_one_row(tmp_path):
    as_made, other = row("How?", "Thus."), row("Who?", "Ann.", rating=6.0)
    mended = row("How?", "Thus, but only if it is open.", parents=[as_made["id"]])
    record(tmp_path / "a", final=[as_made, other])
    record(tmp_path / "b", final=[mended, other | dict(scores=[dict(criterion="overall", value=9.0)])])
    s = diff("a", "b", tmp_path)
    assert [(c["a"], c["b"], c["fields"]) for c in s.facts["changed"]] == [
        (other["id"], other["id"], ["rating"]),
        (as_made["id"], mended["id"], ["answer"]),
    ]
    assert ("+", ", but only if it is open") in parts(s)[f"the answer of {as_made['id']}"].diff


def test_how_long_a_call_took_is_no_change(tmp_path):
    def turns(seconds, value=1):
        seen = dict(call="call_1", status="ok", content=value, seconds=seconds)
        return [dict(role="user", text="Read it."), dict(role="assistant", calls=[dict(id="call_1", tool="read")], observations=[seen])]

    tools = dict(notebook="tools.ipynb")
    record(tmp_path / "a", tools, final=[dict(id="t", turns=turns(0.1))])
    record(tmp_path / "b", tools, final=[dict(id="t", turns=turns(0.2))])
    record(tmp_path / "c", tools, final=[dict(id="t", turns=turns(0.1, 2))])
    assert diff("a", "b", tmp_path).facts["same"] == 1 and diff("a", "c", tmp_path).facts["changed"][0]["fields"] == ["turns"]


def test_a_prompt_is_compared_by_its_files_or_by_what_was_sent(tmp_path, monkeypatch):
    own = tmp_path / "own"
    (own / "rubrics").mkdir(parents=True)
    text = (ROOT / "prompts/judge.yaml").read_text()
    (own / "judge.yaml").write_text(text.replace("version: ", "version: 9").replace("You rate", "You strictly rate"))
    (own / "rubrics/workbench.yaml").write_text((ROOT / "prompts/rubrics/workbench.yaml").read_text().replace("threshold: 7", "threshold: 6"))
    (tmp_path / "own.yaml").write_text("paths: {prompts: own}\n")
    ours, theirs = load_prompt("judge").hash, load_prompt("judge", own).hash
    rubrics = [f"workbench@{load_rubric('workbench', f).hash}" for f in (None, own)]
    assert ours != theirs
    record(tmp_path / "a", dict(prompts=dict(judge=ours, qa_text="one"), rubric=rubrics[0]))
    record(tmp_path / "b", dict(prompts=dict(judge=theirs, qa_text="two"), rubric=rubrics[1], parameters=dict(config="own.yaml")))
    found = parts(diff("a", "b", tmp_path))
    assert ("+" in {s for s, t in found["prompt judge"].diff if "strictly" in t}) and "as its files are" in found["prompt judge"].said
    assert rubrics[0] == rubrics[1] or found["rubric workbench"].diff
    assert found["prompt qa_text"].missing and "a and b" in found["prompt qa_text"].said

    asked = [
        Request(model="m", prompt="qa_text", messages=[dict(role="system", content=f"Ask {how} questions.\nReply as JSON."), dict(role="user", content=c)])
        for how in ("good", "hard")
        for c in ("chunk one", "chunk two")
    ]
    with Calls(".synthgen/calls.db") as calls:
        for r in asked:
            calls.put(r, Reply("{}"))
    made = lambda i, c: dict(origin=[dict(method="grounded_qa", prompt="qa_text", calls=[asked[i].key])], chunk=c)
    record(tmp_path / "a", dict(prompts=dict(qa_text="one")), final=[row("Q1?", "A", **made(0, "c1")), row("Q2?", "A", **made(1, "c2"))])
    record(tmp_path / "b", dict(prompts=dict(qa_text="two")), final=[row("Q3?", "A", **made(3, "c2"))])
    told = parts(diff("a", "b", tmp_path))["prompt qa_text"]
    assert told.said.endswith("as it was sent")
    assert [x for x in told.diff if x[0] != " "] == [("-", "Ask good questions.\n"), ("+", "Ask hard questions.\n")], "the chunk is the same"


def test_two_pipelines_are_not_compared_row_by_row(tmp_path):
    record(tmp_path / "a", final=[row("Why?", "So.")])
    record(tmp_path / "b", dict(notebook="tools.ipynb"), final=[dict(id="t", turns=[dict(role="user", text="Read it.")])])
    s = diff("a", "b", tmp_path)
    assert "the pipelines differ: qa and tools" in parts(s)["parameters"].said
    assert "two kinds of rows" in parts(s)["rows"].said and "only in a" not in parts(s)


def test_the_command_compares_the_last_two(tmp_path):
    run = command(tmp_path)
    assert "two runs yet" in run("diff", ok=False).stderr
    low = row("Why?", "So.")
    record(tmp_path / "runs/20260101-000000-qa", final=[low])
    record(tmp_path / "runs/20260102-000000-qa", final=[], dropped=[dropped(low, "curate", "below_threshold:accuracy")])
    assert "20260101-000000-qa → 20260102-000000-qa · 0 rows the same, 0 changed, 1 lost, 0 gained" in run("diff").stdout
    told = json.loads(run("diff", "20260102", "20260101", "--json").stdout)
    assert told["gained"][0]["stage"] == "curate" and not told["lost"]


WORDS = st.sampled_from(["Why?", "How?", "Who?", "When?", "Where?"])
ROW = st.builds(row, WORDS, st.sampled_from("ab"), st.sampled_from(["c1", "c2"]), st.sampled_from([6.0, 8.0]))
ROWS = st.lists(ROW, max_size=6, unique_by=lambda r: r["id"])


@given(ROWS, ROWS)
@settings(max_examples=60, deadline=None)
def test_every_row_is_counted_once(tmp_path_factory, left, right):
    tmp = tmp_path_factory.mktemp("d")
    a, b = record(tmp / "a", final=left), record(tmp / "b", final=right)
    there, back = matched(a, b), matched(b, a)
    assert there.same + len(there.changed) + len(there.lost) == len(left)
    assert there.same + len(there.changed) + len(there.gained) == len(right)
    assert (there.same, len(there.changed), len(there.lost)) == (back.same, len(back.changed), len(back.gained))
    assert matched(a, a).same == len(left)


def test_what_is_no_run_is_said(tmp_path):
    with pytest.raises(SynthgenError, match="no run 'x'"):
        diff("x", "y", tmp_path)
    a = record(tmp_path / "a")
    (a.folder / "records/final.jsonl").write_text('{"id": "1"\n')
    with pytest.raises(SynthgenError, match="line 1 is not JSON"):
        diff("a", "a", tmp_path)
