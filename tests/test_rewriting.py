"""Back-and-Forth Translation: the draft is the source, code survives, nothing new comes in"""

import asyncio
import json

import pytest
from conftest import rows
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgen_nb.core.judge import load_rubric
from synthgen_nb.core.models import Answer, open_model, parse_reply
from synthgen_nb.core.prompts import load_prompt
from synthgen_nb.core.records import Chunk, Pair, Source
from synthgen_nb.qa import rewriting

few = settings(max_examples=25, deadline=None)


@pytest.mark.parametrize("value, why", [("Yes.", ""), (dict(answer="Yes."), ""), ("", "not_answered"), (dict(answer=None), "not_answered")])
def test_an_empty_answer_says_that_there_is_none(value, why):
    new, error = rewriting.response_of(Answer(value=value))
    assert (new, error.split(":")[0]) == ("" if why else "Yes.", why)


@pytest.mark.parametrize("reply", ["<response>\n</response>", "<response>null</response>"])
def test_a_pair_that_its_draft_does_not_answer_is_dropped(reply):
    class Rewriter:  # a model that says so
        prompt = staticmethod(load_prompt)

        async def over(self, items, render):
            for x in items:
                ask = render(x)
                value, error = parse_reply(reply, ask.output, ask.reads)
                yield x, Answer(value=value, error=error, text=reply, model="m")

    text = "A chunk is the unit of I/O."
    pair = Pair(question="What is a page?", answer=text, chunk_id="c")
    for preserve in (True, False):
        out = asyncio.run(rewriting.rewrite([pair], Rewriter(), {"c": text}, preserve))
        assert not out.kept and [d.reason for d in out.dropped] == ["not_answered"]


def test_new_content_is_found_by_kind():
    known = "The `level` goes from 0 to 9 in HDF5. Call h5py.File to open it. Use MPI."
    novel = rewriting.novel_content
    for same in (
        "Set `level` to 9.",
        "1. Open it.\n2. Use MPI in HDF5.",
        "It goes to 9; The level is fine.",
        "HDF5 is it.",
    ):
        assert not any(novel(same, known).values()), same
    n = novel("Set `speed` to 11 with set_level() or --fast, as Google Snappy and ZFP do: read_all, CamelCase.", known)
    assert n["numbers"] == ["11"] and n["entities"] == ["Google Snappy", "ZFP"]
    assert set(n["code"]) == {"speed", "set_level()", "--fast", "read_all", "CamelCase"}
    pair = Pair(question="Which level?", answer="From 0 to 9.", chunk_id="c")
    report = rewriting.novel_report([pair, pair.but(answer="From 0 to 12 by Zstandard, as Zstandard says.")], {"c": known})
    assert rewriting.novel_counts(report) == dict(answers=1, numbers=1, code=0, entities=1)
    assert rewriting.novel_report([pair.but(chunk_id="gone", answer="42")], {"c": known}) == []


@given(st.text("abc", max_size=12), st.text("abc", max_size=12))
@few
def test_longest_common_subsequence(a, b):
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
    assert rewriting.lcs(a, b) == table[-1][-1]


TEXT = "A chunk is the unit in which HDF5 reads and writes a dataset. It is read as a whole."


def test_documents_are_backtranslated_graded_and_rewritten():
    named = lambda text, section: Chunk(text=text, sources=(Source(path="a.md", end=len(text), section=(section,)),))
    chunks = [named(f"# Chunk {i}\n\n{TEXT} Case {i}.\n", f"Chunk {i}") for i in range(4)]
    chunks.append(named("- [a](b.html)\n- [c](d.html)\n- [e](f.html)\n", "Links"))
    model = open_model()
    done = asyncio.run(rewriting.back_and_forth(chunks, model, model, model, load_rubric("humpback"))).kept
    texts = {c.id: c.text for c in chunks}
    assert 0 < len(done) < len(chunks), "the list of links is not graded 5"
    assert all(p.origin[-1].method == "back_and_forth" and p.origin[-1].faithful == "paper" for p in done)
    assert all(p.original_answer == texts[p.chunk_id] and "#" not in p.answer for p in done)


def test_an_answer_that_is_not_its_chunk_is_an_approximation_and_a_lost_chunk_is_said():
    pair = Pair(question="What is a chunk?", answer="A chunk is the unit in which HDF5 reads.", chunk_id="c")
    lost = pair.but(chunk_id="gone")
    run = lambda **kw: asyncio.run(rewriting.rewrite([pair, lost], open_model(), {"c": TEXT}, **kw))
    kept, dropped = run(), run(preserve_original=False)
    assert [(p.origin[-1].method, p.origin[-1].faithful) for p in kept.kept] == [("rewrite_from_source", "approximation")] * 2
    assert kept.kept[1].answer == lost.answer and kept.kept[1].origin[-1].note.startswith("kept original: no_source")
    assert dropped.reasons == {"no_source": 1} and len(dropped.kept) == 1


@pytest.mark.parametrize(
    "new, keep_code, why",
    [
        ("Set `level` from 0 to 9.", True, ""),
        ("From 0 to 9.", True, "lost_code: level"),
        ("From 0 to 9.", False, ""),
        ("Set `level` from 0 to 12.", True, "unsupported: 12"),
        ("Set `level` with `speed`.", False, "unsupported: speed"),
        (" ", True, "empty_reply"),
    ],
)
def test_a_rewrite_that_cannot_stand_is_named(new, keep_code, why):
    pair = Pair(question="How is it set?", answer="Set `level`.", chunk_id="c")
    got = rewriting.objection(pair, new, "The `level` goes from 0 to 9.", keep_code)
    reason, _, what = why.partition(": ")
    assert got.split(":")[0] == reason and what in got


def test_the_source_overrules_the_draft():
    text = "Open it:\n\n>>> f = h5py.File('a.h5', 'r')\n>>> f.close()\n"
    pair = Pair(question="How is a file opened?", answer="```python\nf = h5py.File('a.h5', 'q')\nf.close()\n```", chunk_id="c")
    mended = "Like this:\n\n```python\nf = h5py.File('a.h5', 'r')\nf.close()\n```"
    assert rewriting.objection(pair, mended, text) == "", "wrong code of the draft is no loss"
    assert rewriting.objection(pair, "Open it and close it.", text).startswith("lost_code: f.close()")
    assert "'q'" in rewriting.objection(pair, pair.answer, text) or "q in the code" in rewriting.objection(pair, pair.answer, text)


def test_the_first_answer_stays_however_often_a_pair_is_rewritten():
    prompt, reply = open_model().prompt("rewrite"), Answer(model="m")
    pair = Pair(question="Why?", answer="One.")
    twice = rewriting.rewritten(rewriting.rewritten(pair, "Two.", "", prompt, reply), "Three.", "", prompt, reply)
    assert (twice.answer, twice.original_answer, len(twice.origin)) == ("Three.", "One.", 2)
    assert rewriting.rewritten(pair, "Two.", "empty_reply", prompt, reply).answer == "One."


def test_back_and_forth_from_the_command_line_on_a_server(tmp_path, synthgen, server):
    (tmp_path / "docs").mkdir()
    for i in range(3):
        body = " ".join(f"Part {j} of subject {i} keeps {j * 7 + i} blocks together, since every one is read at another time." for j in range(9))
        (tmp_path / f"docs/doc{i}.md").write_text(f"# Subject {i}\n\n{body}\n")
    synthgen("ingest", "docs", "-o", "db", "--chunk-tokens", "64-600")
    run = lambda *args, **kw: synthgen(*args, env=server.env, **kw)
    synthgen("generate", "db", "-o", "pool.jsonl", "--method", "backtranslation")
    run("curate", "pool.jsonl", "-o", "fives.jsonl", "--rubric", "humpback")
    r = run("enrich", "fives.jsonl", "-o", "rich.jsonl")
    assert "not in the source: 0 numbers" in r.stdout
    pool, done = rows(tmp_path / "pool.jsonl"), rows(tmp_path / "rich.jsonl")
    assert len(pool) == len(done) and done[0]["origin"][-1]["method"] == "back_and_forth" and done[0]["scores"][-1]["value"] == 5
    assert json.loads((tmp_path / "rich_novel.json").read_text())["counts"]["answers"] == 0
    synthgen("curate", "pool.jsonl", "-o", "best.jsonl", "--rubric", "alpagasus", "--threshold", "4")
    assert {p["scores"][-1]["scale"][1] for p in rows(tmp_path / "best.jsonl")} == {5} and {len(p["scores"]) for p in rows(tmp_path / "best.jsonl")} == {2}
