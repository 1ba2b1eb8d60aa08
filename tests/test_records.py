"""Records, stores, settings and judgement keep what they promise, for any content."""

import asyncio
import json
import multiprocessing
import sqlite3
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from synthgen_nb.core.calls import Calls, Reply, Request, prune, stats
from synthgen_nb.core.calls import rows as call_rows
from synthgen_nb.core.judge import check_threshold, load_rubric, pair_inputs, scores_of
from synthgen_nb.core.models import Answer, open_model
from synthgen_nb.core import records as core_records
from synthgen_nb.core.records import Chunk, Drop, Origin, Outcome, Pair, Score, Source, SynthgenError, drop, load, read_rows, save, write_rows
from synthgen_nb.core.settings import Settings, load_settings
from synthgen_nb.core.curate import curate
from synthgen_nb.select.dedup import dedup

few = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
text = st.text(st.characters(codec="utf-8"), max_size=30)
said = text.filter(str.strip)
numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | text, lambda x: st.lists(x, max_size=3) | st.dictionaries(text, x, max_size=3), max_leaves=6
)
texts = st.lists(text, max_size=2).map(tuple)
scores = st.builds(Score, criterion=text, value=st.integers(0, 3), scale=st.just((0, 3)), rationale=text) | st.builds(
    Score, criterion=text, scale=st.just((0, 3)), status=st.just("unrated")
)
origins = st.builds(Origin, method=text, faithful=st.sampled_from(["paper", "approximation", "heuristic"]), calls=texts, note=text)
pairs = st.builds(
    Pair,
    question=said,
    answer=said,
    chunk_id=text,
    sources=texts,
    original_answer=st.none() | text,
    scores=st.lists(scores, max_size=2).map(tuple),
    origin=st.lists(origins, max_size=2).map(tuple),
    parents=texts,
    meta=st.dictionaries(text, values, max_size=3),
)
places = st.builds(Source, path=text, start=st.integers(0, 99), section=texts)
chunks = st.builds(
    Chunk,
    text=text,
    kind=st.sampled_from(["text", "code"]),
    language=st.none() | text,
    tokens=st.integers(0, 2**40),
    sources=st.lists(places, max_size=2).map(tuple),
)


@pytest.mark.parametrize("ext", [".json", ".jsonl", ".parquet"])
@given(ps=st.lists(pairs, max_size=3), cs=st.lists(chunks, max_size=3))
@few
def test_what_is_saved_is_loaded(tmp_path, ext, ps, cs):
    for cls, records in ((Pair, ps), (Chunk, cs)):
        assert load(save(records, tmp_path / f"records{ext}"), cls) == records


def test_ids_are_made_of_content_and_stay_what_they_are():
    assert Chunk(text="A file is opened with `H5Fopen`.\n", kind="text").id == "9cfed87ed638ec58"
    assert Pair(question="Größe?", answer="1 MiB", chunk_id="0123456789abcdef").id == "91797ad76beb2949"
    assert Chunk(text="x", tokens=1).id == Chunk(text="x", tokens=2, sources=(Source(path="a"),)).id != Chunk(text="x", kind="code").id
    assert Pair(question="q", answer="a", meta={"x": 1}).id == Pair(question="q", answer="a").id != Pair(question="a", answer="q").id
    key = Request(model="m", messages=[{"role": "user", "content": "é"}], temperature=0.0, prompt="p").key
    assert (
        key == Request(temperature=0.0, messages=[{"content": "é", "role": "user"}], model="m").key == "9d2a53f1b6900d4b8e4e2c565891dc1c"
    ), "the store stays valid"


@given(pairs, said)
@few
def test_but_makes_a_new_record_that_remembers_the_old_one(p, answer):
    new = p.but(answer=answer)
    assert new.answer == answer and new.question == p.question and new.meta == p.meta
    assert (new.id == p.id) == (answer == p.answer) and new.parents == (p.parents if new.id == p.id else (*p.parents, p.id))
    assert p.but(scores=()).id == p.id and p.but(scores=()).parents == p.parents, "a rating changes no identity"


def test_records_refuse_what_they_cannot_be():
    p = Pair(question="q", answer="a")
    for make in (
        lambda: p.but(answer=" \n"),
        lambda: p.but(anwser="x"),
        lambda: setattr(p, "answer", "b"),
        lambda: Chunk(text="x", kind="table"),
        lambda: Score(criterion="c", value=4, scale=(0, 3)),
        lambda: Score(criterion="c", scale=(0, 3)),
        lambda: Score(criterion="c", value=float("nan"), scale=(0, 3)),
        lambda: Score(criterion="c", value=2, scale=(0, 3), status="unrated"),
    ):
        with pytest.raises(ValidationError):
            make()


def test_outcome_loses_nothing_silently():
    p, q = Pair(question="q", answer="a"), Pair(question="r", answer="a")
    out = Outcome([p], [drop(q, "curate", "below_threshold:accuracy", "6 < 7")])
    assert out.check(2) is out and out.reasons == {"below_threshold": 1} and repr(out) == "kept 1, dropped 1 (below_threshold 1)"
    with pytest.raises(AssertionError, match="3 records went in, 1 were kept and 1 dropped"):
        out.check(3)


def test_rows_of_other_programs_are_adopted_or_named(tmp_path):
    (tmp_path / "x.jsonl").write_text(
        '﻿{"question": "q", "answer": "a", "source_file": "a.md", "rating": 9}\n\n{"question": "q"}\n7\n', encoding="utf-8"
    )
    bad: list[Drop] = []
    (p,) = load("x.jsonl", Pair, bad)
    assert p.sources == ("a.md",) and p.meta == {"source_file": "a.md", "rating": 9}
    assert [(d.reason, d.detail.split(":")[0]) for d in bad] == [("invalid_row", "line 3"), ("invalid_row", "line 4")] and bad[
        1
    ].record == {"value": 7}
    with pytest.raises(SynthgenError, match="line 3 is not a pair: answer: Field required"):
        load("x.jsonl", Pair)
    assert load(save(bad, tmp_path / "drops.jsonl"), Drop) == bad, "drops are records too"


# the store of calls


def test_usable_reply_is_never_replaced_and_an_unusable_one_gives_way():
    with Calls("calls.db") as c:
        for ok, reply, stored in [
            (False, "bad", "bad"),
            (False, "worse", "worse"),
            (True, "good", "good"),
            (False, "bad again", "good"),
            (True, "other", "good"),
        ]:
            c.put(Request(model="m"), Reply(reply, ok=ok, cost=None))
            assert c.get(Request(model="m").key).text == stored
        assert c.get("none") is None and len(c) == 1
    with Calls("calls.db") as c:
        assert c.get(Request(model="m").key) == Reply("good", ok=True) and stats(c)[0]["hits"] == 5 and stats(c)[0]["cost_unknown"] == 1
        assert [r["text"] for r in call_rows(c)] == ["good"] and prune(c, 1) == 0 and prune(c) == 1 and len(c) == 0


def write_calls(n):
    with Calls("calls.db") as c:
        for i in range(200):
            c.put(Request(model="m", own=[n, i]), Reply(f"{n} {i}"))
            c.put(Request(model="m", common=i), Reply(f"common {i}"))
            assert c.get(Request(model="m", own=[n, i]).key).text == f"{n} {i}"


def test_processes_write_to_one_store_at_once():
    spawn = multiprocessing.get_context("fork")
    ps = [spawn.Process(target=write_calls, args=(n,)) for n in range(4)]
    for p in ps:
        p.start()
    for p in ps:
        p.join(60)
    assert [p.exitcode for p in ps] == [0] * 4
    with Calls("calls.db") as c:
        assert len(c) == 5 * 200 and all(r["key"] == Request(r["request"]).key for r in call_rows(c))
        assert all(r["text"] == "{} {}".format(*r["request"].get("own", ["common", r["request"].get("common")])) for r in call_rows(c))
    assert sqlite3.connect("calls.db").execute("pragma integrity_check").fetchone() == ("ok",)


def test_opening_waits_for_another_who_reads(tmp_path):
    "Switching to WAL needs the file for itself, and SQLite does not wait for that"
    other = sqlite3.connect("calls.db", isolation_level=None, check_same_thread=False)
    for sql in ("create table other (x)", "begin", "select * from other"):
        other.execute(sql).fetchall()
    threading.Timer(0.3, other.rollback).start()
    with Calls("calls.db") as c:
        c.put(Request(model="m"), Reply("So."))
    assert sqlite3.connect("calls.db").execute("pragma journal_mode").fetchone() == ("wal",)


def open_old(n):
    Calls("old.db").close()


def test_processes_bring_one_old_store_up_to_date_at_once():
    with Calls("old.db") as c:
        c.put(Request(model="m"), Reply("So."))
    db = sqlite3.connect("old.db")
    for sql in (*[f"alter table calls drop column {c}" for c in ("logprobs", "prompt_logprobs", "cache_read", "cache_written")], "pragma user_version=1"):
        db.execute(sql)
    db.close()
    ps = [multiprocessing.get_context("fork").Process(target=open_old, args=(n,)) for n in range(4)]
    for p in ps:
        p.start()
    for p in ps:
        p.join(60)
    assert [p.exitcode for p in ps] == [0] * 4
    with Calls("old.db") as c:
        assert c.get(Request(model="m").key) == Reply("So.")


def test_store_that_is_none_is_named(tmp_path, synthgen):
    (tmp_path / "broken.db").write_bytes(b"SQLite format 3\0" + b"garbage " * 200)
    (tmp_path / "text.db").write_text("this is my diary, not a database. " * 40)
    sqlite3.connect("later.db").execute("pragma user_version=99")
    for name, why in (("broken.db", "not a readable call store"), ("text.db", "not a readable call store"), ("later.db", "format 99")):
        before = (tmp_path / name).read_bytes()
        r = synthgen("calls", ok=False, env={"SYNTHGEN_PATHS_CALLS": name})
        assert (
            r.returncode == 1
            and name in r.stderr
            and why in r.stderr
            and "Move it away" in r.stderr
            and (tmp_path / name).read_bytes() == before
        )
    with pytest.raises(SynthgenError, match="cannot make the folder of the call store"):
        Calls("text.db/calls.db")


# settings


def test_file_gives_way_to_environment_and_that_to_flags(tmp_path):
    (tmp_path / "synthgen.yaml").write_text(
        "llm: {provider: vllm, vllm: {model: file, workers: 2, api_key: '${MY_KEY}'}}\nthresholds: {rating: 5}\npaths: {runs: my/runs}\n"
    )
    below = tmp_path / "a/b"
    below.mkdir(parents=True)
    env = {"SYNTHGEN_LLM_VLLM_MODEL": "env", "SYNTHGEN_THRESHOLDS_RATING": "6", "SYNTHGEN_TEMPERATURES_JUDGE": "0.0"}
    get = lambda s: (s.llm.vllm.model, s.llm.vllm.workers, s.thresholds.rating)
    assert get(load_settings(environ={})) == ("file", 2, 5.0)
    assert get(load_settings(environ=env)) == ("env", 2, 6.0)
    assert get(load_settings(environ=env, llm__vllm__model="flag", thresholds__rating=None)) == ("flag", 2, 6.0)
    s = load_settings(environ=env)
    assert s.llm.vllm.base_url == Settings().llm.vllm.base_url and s.temperatures.judge == 0.0, "a block names only what differs"
    assert s.paths.runs == tmp_path / "my/runs" and s.paths.calls == tmp_path / ".synthgen/calls.db", "paths are the file's"


def test_secrets_come_from_the_environment_and_stay_there(tmp_path, monkeypatch):
    (tmp_path / "synthgen.yaml").write_text("llm: {provider: vllm, vllm: {base_url: 'http://${HOST_NAME}:1/v1', api_key: '${MY_KEY}'}}\n")
    s = load_settings()
    with pytest.raises(SynthgenError, match=r"llm.vllm needs the environment variable HOST_NAME, which is not set"):
        s.provider()
    monkeypatch.setenv("HOST_NAME", "gpu")
    monkeypatch.setenv("MY_KEY", "hush-hush")
    name, block = s.provider()
    assert (name, block.base_url, block.api_key.get_secret_value()) == ("vllm", "http://gpu:1/v1", "hush-hush")
    assert "hush" not in repr(s) + repr(block) + str(block.model_dump()) + block.model_dump_json()


# judgement


def test_unrated_never_passes_and_is_never_a_number():
    r = load_rubric("workbench")
    (score,) = scores_of(Answer(error="truncated: …", text='{"clarity": ', model="m"), r)
    assert (score.status, score.value, score.raw) == ("unrated", None, '{"clarity": ')
    unrated, low = (
        Pair(question="q?", answer=a, scores=s) for a, s in (("a", (score,)), ("b", (Score(criterion="overall", value=0, scale=(0, 10)),)))
    )
    assert unrated.rating is None and dedup([unrated, low]).kept == [low], "the rated one is preferred"


@given(
    st.lists(st.tuples(st.sampled_from(["What is a chunk?", "How do I open a file?", "x"]), said), min_size=1, max_size=4),
    st.integers(0, 10),
)
@few
def test_curating_twice_is_curating_once(rows, threshold):
    given, model, rubric = [Pair(question=q, answer=a, chunk_id="c") for q, a in rows], open_model(), load_rubric("workbench")
    evidence = {"c": "A chunk is a piece of a document.\n\n" + "\n\n".join(a for _, a in rows)}
    run = lambda ps: asyncio.run(curate(ps, model, rubric, pair_inputs(evidence), threshold))
    once = run(given)
    lost = [d.id for d in once.dropped]
    assert [p.id for p in once.kept] == [p.id for p in given if p.id not in lost] and len(once.kept) + len(lost) == len(given)
    assert {(p.id, p.question, p.answer) for p in once.kept} <= {(p.id, p.question, p.answer) for p in given} and all(
        p.rating >= threshold for p in once.kept
    )
    twice = run(once.kept)
    assert twice.kept == once.kept and not twice.dropped


def test_a_row_is_written_with_its_content_first_and_its_history_last():
    row = Pair(question="Why?", answer="Because.")
    keys = list(row.model_dump())
    assert keys[:4] == ["id", "question", "answer", "chunk_id"]
    assert keys[-4:] == ["scores", "origin", "parents", "meta"]
    assert list(json.loads(row.model_dump_json())) == keys


def test_lines_are_read_as_they_are_wanted(tmp_path):
    "A file larger than the memory: the first rows are there before the last line is looked at"
    file = tmp_path / "rows.jsonl"
    data = '\ufeff{"n": 1}\n\n{"n": 2}\n'.encode() + b'{"n": "\xff"}\n'
    file.write_bytes(data)
    rows = read_rows(file)
    assert [next(rows), next(rows)] == [("line 1", {"n": 1}), ("line 3", {"n": 2})]
    with pytest.raises(SynthgenError, match=rf"not UTF-8 text \(byte {data.index(0xff)}\)"):
        next(rows)


@pytest.mark.parametrize("native", [False, True])
def test_a_parquet_file_in_parts_has_the_columns_of_all_its_rows(tmp_path, native, monkeypatch):
    "What a column holds may show in the last part only"
    monkeypatch.setattr(core_records, "ROWS", 3)
    rows = [dict(id=str(i), rating=None, turns=[], more=None) for i in range(7)] + [dict(id="7", rating=2.5, turns=[dict(role="user")], more="x")]
    file = write_rows(iter(rows), tmp_path / "rows.parquet", native=native)
    assert [r for _, r in read_rows(file)] == rows
    assert list(read_rows(write_rows(iter([]), tmp_path / "none.parquet"))) == []
