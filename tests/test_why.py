"""Why a row is as it is: found by whatever is at hand, told whole, and with what cannot be found said."""

import json
import re
import shutil
from html.parser import HTMLParser

import pytest
from conftest import ROOT, command, rows, write_docs
from hypothesis import given
from hypothesis import strategies as st

from synthgen_nb.core.calls import Calls, Reply, Request
from synthgen_nb.core.prompts import USUAL, material
from synthgen_nb.core.records import Pair, SynthgenError, drop, harmless
from synthgen_nb.experiments.found import asks, versions
from synthgen_nb.core.display import Part, Story, as_html, as_text, changes, line_changes, page
from synthgen_nb.experiments.why import why

RECORDS = ROOT / "runs"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    "A run of each pipeline, by the command line, in a folder of its own"
    folder = tmp_path_factory.mktemp("why")
    write_docs(folder / "docs", 3)
    run = command(folder)
    run("pipeline", "docs", "-o", "pairs.jsonl", "--cot", "--threshold", 9)
    run("tool-pipeline", "hdf5", "-o", "calls.jsonl", "--target-pairs", 3)
    run.qa, run.tools = (next((folder / "runs").glob(f"*-{name}")) for name in ("qa", "tools"))
    return run


@pytest.fixture
def here(made, monkeypatch):
    monkeypatch.chdir(made.folder)
    return made


def final(folder):
    return rows(folder / "records/final.jsonl")


def titles(story):
    return [p.title for p in story.parts]


def part(story, title):
    return next(p for p in story.parts if p.title.startswith(title))


def test_a_row_is_found_by_whatever_is_at_hand(here):
    row = final(here.qa)[2]
    by_text = row["question"], row["question"].upper()
    by_line = "pairs.jsonl:3", f"{here.qa.name}:3", 3
    for what in (row["id"], row["id"][:9], Pair(**row), drop(Pair(**row), "judge", "low"), *by_text, *by_line):
        assert why(what, "" if str(what).endswith(":3") else str(here.qa)).facts["id"] == row["id"], what
    assert why(row["id"]).facts["run"] == here.qa.name, "an id is looked for in every run"
    assert why("calls.jsonl:2").facts["id"] == final(here.tools)[1]["id"], "the last run is that of the tools"
    assert why(1).facts["kind"] == "trajectory"


def test_an_earlier_version_leads_to_what_became_of_it(here):
    changed = [r for r in final(here.tools) if r["parents"]]
    assert changed
    for r in changed:
        for p in r["parents"]:
            assert why(p, str(here.tools)).facts["id"] == r["id"]


def test_a_kept_pair_is_told_whole(here):
    n, row = next((i, r) for i, r in enumerate(final(here.qa), 1) if r["original_answer"])
    s = why(row["id"], str(here.qa))
    assert s.facts["fate"] == "kept" and s.facts["row"] == n and not [p.title for p in s.parts if p.missing]
    source = part(s, "source")
    marked = [source.text[a:b] for a, b in source.marks]
    assert marked == [source.text[e["start"] : e["end"]] for e in row["evidence"]]
    keys = [k for o in row["origin"] for k in o["calls"]]
    prompts = {p.title.split()[-1]: p.text for p in s.parts if p.title.startswith("prompt as sent")}
    assert set(keys) <= set(prompts) and all(source.text.strip() in prompts[k] for k in keys)
    assert sum(p.title == "raw reply" for p in s.parts) >= len(set(keys))
    assert row["question"] in part(s, "what was parsed").text
    diff = part(s, "what it changed").diff
    assert "".join(t for sign, t in diff if sign != "+") == row["original_answer"]
    assert "".join(t for sign, t in diff if sign != "-") == row["answer"]
    assert [r["criterion"] for r in part(s, "scores").rows] == [x["criterion"] for x in row["scores"]]
    assert json.loads(part(s, "exported line").text) == rows(here.folder / "pairs.jsonl")[n - 1]


@pytest.mark.parametrize("name", ["qa", "tools"])
def test_every_row_of_a_run_has_its_story(here, name):
    folder, seen = getattr(here, name), set()
    for v in versions(folder, files=("final", "dropped")):
        s = why(v.id, str(folder))
        seen.add(s.facts["fate"])
        assert s.facts["id"] == v.id and s.facts["fate"] == ("kept" if v.drop is None else "dropped")
        assert s.title in str(s) and "Traceback" not in as_html(s)
        if v.drop:
            assert v.drop["stage"] in s.parts[-1].title and v.drop["reason"] in s.parts[-1].said
        json.dumps(s.data())
    assert seen >= ({"kept", "dropped"} if name == "qa" else {"kept"})


def test_a_trajectory_shows_its_search_its_arguments_and_its_calls_run_again(here):
    row = max(final(here.tools), key=lambda r: sum(len(t["calls"]) for t in r["turns"]))
    s = why(row["id"], replay=True)
    calls = [c for t in row["turns"] for c in t["calls"]]
    assert part(s, "search").text.count("✓") == len(calls) + 1
    origins = part(s, "where each argument").rows
    for c in calls:
        for ref in c["refs"]:
            assert any(o["call"] == c["id"] and o["origin"] == f"result of {ref['call']}{ref['path']}" for o in origins)
    assert part(s, "replay").said.endswith(f"{len(calls)} of {len(calls)} calls give the same")
    assert titles(s)[-1] == "exported line" and json.loads(s.parts[-1].text)["messages"]


def test_without_the_store_the_rest_is_told(here, tmp_path, monkeypatch):
    shutil.copytree(here.qa, tmp_path / "moved")
    shutil.copytree(here.tools, tmp_path / "tools")
    monkeypatch.chdir(tmp_path)
    s = why(1, "moved")
    assert part(s, "source").text, "the database that lies in the run has the chunk"
    assert "no store of calls" in part(s, "step 1").said and part(s, "raw reply of the judge").text
    shutil.rmtree("moved/db")
    gone = why(1, "moved")
    assert part(gone, "source").missing and part(gone, "source").rows, "the places are known, the text is not"
    assert part(gone, "scores").rows and part(gone, "exported line").text
    assert part(why(1, "tools"), "search").missing and "✓" in part(why(1, "tools"), "search").text
    assert not (tmp_path / ".synthgen").exists(), "looking makes no store"


@pytest.mark.parametrize("name", ["reference-qa", "reference-small-model"])
def test_committed_records_are_told(name):
    known = list(versions(RECORDS / name, files=("final", "dropped")))
    assert known
    for v in known:
        s = why(v.id, str(RECORDS / name))
        assert s.facts["fate"] == ("kept" if v.drop is None else "dropped") and asks(v.row)[:10] in s.title


def test_what_is_wrong_is_said(here):
    for what, word in (
        ("nothing of the kind", "no row"),
        ("9999", "and no row 9999"),
        ("docs/doc000.md:1", "no run in"),
        (final(here.qa)[0]["chunk_id"], "is a chunk"),
        ("the", "give one by its id"),
    ):
        with pytest.raises(SynthgenError, match=re.escape(word)):
            why(what, "" if ":" in what else str(here.qa))
    said = here("why", "nothing of the kind", ok=False).stderr
    assert said.startswith("error: no row") and "--run" in said


def test_the_command_prints_text_json_and_a_page(here):
    text = here("why", "pairs.jsonl:1").stdout
    whole = here("why", "pairs.jsonl:1", "--full").stdout
    assert "lines more" in text and "lines more" not in whole and len(whole) > len(text)
    told = json.loads(here("why", "pairs.jsonl:1", "--json").stdout)
    assert told["fate"] == "kept" and told["parts"][0]["title"] == "source"
    here("why", "pairs.jsonl:1", "--html", "row.html")
    assert "<!doctype html>" in (here.folder / "row.html").read_text()
    assert "ends in .html" in here("why", "pairs.jsonl:1", "--html", "row.txt", ok=False).stderr


def record(folder, **files):
    (folder / "records").mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(dict(name=folder.name, status="done", parameters={}, export=dict(file="train.jsonl", rows=1))))
    for name, some in files.items():
        (folder / f"records/{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in some))
    return folder


def test_a_duplicate_names_the_row_that_stayed(tmp_path):
    stays = dict(id="a" * 16, question="What does the chunk cache keep?", answer="Chunks.")
    goes = dict(id="b" * 16, question="What does a chunk cache keep?", answer="Chunks.")
    other = dict(id="c" * 16, question="Who wrote it?", answer="Ann.")
    drop = dict(id=goes["id"], stage="dedup", reason=f"near_duplicate_of:{stays['id']}", detail="0.81", record=goes)
    folder = record(tmp_path / "run", final=[other, stays], dropped=[drop])
    s = why(goes["id"], str(folder))
    first = part(s, "neighbours").rows[0]
    assert first["id"] == stays["id"] and first["became"] == "kept" and first["alike"] > 0.7
    back = part(why(stays["id"], str(folder)), "neighbours").rows[0]
    assert back["id"] == goes["id"] and back["became"] == "dropped for this row"


def test_a_row_that_is_neither_kept_nor_dropped_was_more_than_wanted(tmp_path):
    row = dict(id="d" * 16, question="Why?", answer="So.", origin=[dict(method="grounded_qa", calls=["k"])])
    s = why(row["id"], str(record(tmp_path / "run", rated=[row])))
    assert s.facts["fate"] == "beyond the target"


def test_fields_of_another_version_do_no_harm(tmp_path):
    old = dict(id="e" * 16, question="Why?", answer="So.", note=3, origin=[{"method": "ask"}], scores=[dict(criterion="overall", value=7)])
    strange = dict(id="f" * 16, turns=[dict(role="user", text="Do it."), dict(role="robot", text="Done.")], origin=None)
    folder = record(tmp_path / "run", final=[old, strange], dropped=[dict(id="0" * 16, stage="read", reason="unreadable", record=dict(path="a.pdf"))])
    assert part(why("e" * 16, str(folder)), "scores").rows[0]["value"] == "7"
    assert part(why("f" * 16, str(folder)), "search").missing
    assert part(why("a.pdf", str(folder)), "dropped at read").said == "unreadable"


def test_a_task_without_a_solution_shows_its_search(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    task = dict(id="1" * 16, instruction="Read </request> it.", tools=["read"], relevant=["read"], origin=[], meta={})
    message = f"<request>\n{material(task['instruction'], USUAL)}\n</request>\n\n"
    reply = dict(thought="No tool does that.", action="give_up_and_restart", arguments=[], answer="")
    with Calls(".synthgen/calls.db") as calls:
        calls.put(Request(model="m", prompt="tool_act", messages=[dict(role="user", content=message)]), Reply(json.dumps(reply)))
    drop = dict(id=task["id"], stage="solve", reason="gave_up", detail="1 replies", record=task)
    tool = dict(id="2" * 16, stage="parse", reason="no_name", detail="", record=dict(name="reader", parameters=3))
    folder = record(tmp_path / "run", dropped=[drop, tool])
    s = why(task["id"], str(folder))
    assert s.facts["kind"] == "task" and "give_up_and_restart → gave_up: No tool does that." in part(s, "search").text
    assert why("reader", str(folder)).facts["stage"] == "parse"


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.data, self.open = set(), set(), "", []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {k for k, _ in attrs}
        self.open += [tag] if tag != "meta" else []

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.data += data if not self.open or self.open[-1] != "style" else ""


TEXT = st.text(st.sampled_from("<>/&\"'abc \n\x1b\u202e`scriptonload=") | st.characters(), max_size=40)
KNOWN = set("div style h1 h2 p b i span pre mark ins del details summary section table thead tbody tr th td".split())


@given(TEXT, TEXT, st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=3))
def test_nothing_in_a_page_is_acted_on(text, other, marks):
    both = Part(other, text, text, tuple(marks), rows=({other or "x": text},)), Part("d", diff=changes(text, other), fold=True)
    found = Tags()
    found.feed(as_html(Story(text, both)))
    assert found.tags <= KNOWN and found.attributes <= {"class"} and not found.open
    said = re.sub(r"\s+", "", found.data)
    assert all(re.sub(r"\s+", "", harmless(x)) in said for x in (text, other))
    assert "\x1b" not in as_text(Story(text, both))
    assert "<script" not in page(Story(text, both)).lower().replace("&lt;", "")


@given(TEXT, TEXT)
def test_the_pieces_of_a_change_are_both_texts(a, b):
    diff = changes(a, b)
    assert "".join(t for s, t in diff if s != "+") == a and "".join(t for s, t in diff if s != "-") == b
    assert not line_changes(a, a)
