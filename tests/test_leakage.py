"""A data set against evaluation sets: what is planted is found, what is apart is left alone, and what leaks is dropped with its reason."""

import json
import random
from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import ROOT, rows, static_vectors, write_docs
from hypothesis import given, settings
from hypothesis import strategies as st

import synthgen_nb.select.leakage as module
from synthgen_nb.core.records import Pair
from synthgen_nb.select.leakage import as_numbers, bar_of, by_words, joined, leakage, leakage_text, leaks, ledger, reasons, without_leaks
from synthgen_nb.specs.sides import Set, read_set, sides_of

ask = lambda *texts: [{"question": (t,)} for t in texts]
eval_set = lambda items, name="eval.jsonl": Set(name, "", [f"line {i}" for i in range(1, len(items) + 1)], items, [])
found = lambda ours, items, bar=0.5: [(x.row, x.item, x.kind) for x in leaks(ours, items, dict(near=max(0.6, bar), rephrased=bar), by_words)]
grams = lambda ours, items: [x for x in found(ours, items, 1.1) if x[2] in ("8-gram", "13-gram")]
WORDS = "alpha bravo charlie delta echo foxtrot golf hotel india juliet kilo lima mike november oscar papa quebec romeo sierra tango".split()


# The rules


@pytest.mark.parametrize("ours, theirs, kind", [
    ("what is the purpose of X", "What is the purpose of `X`?", "exact"), ("Wann öffnet die Datei?", "WANN ÖFFNET DIE DATEI", "exact"),
    ("Be brief. What is a chunk made of?\nThanks!", "What is a chunk made of?", "exact"), ("缓存有多大？", "缓存 有多大", "exact"),
    ("What is a chunk?", "What is a chunk?", "exact"), ("Why?", "why", "exact"),
    ("How large is a chunk of HDF5?", "How large is a chunk in HDF5?", "near"), ("What is the time in Rome?", "What is the time in Oslo?", ""),
    ("How many rows has table 12?", "How many rows has table 13?", ""), ("Is `a.h5` open?", "Is `b.h5` open?", ""),
    ("How do I enable the chunk cache?", "How do I disable the chunk cache?", ""), ("What is C?", "What is C++?", ""),
])
def test_short_questions(ours, theirs, kind):
    assert [k for *_, k in found(ask(ours), ask(theirs))] == [kind] * bool(kind)


def test_half_the_words_is_not_more_than_half():
    item = ask(" ".join(WORDS[:16]))
    assert not grams(ask(" ".join(WORDS[:8] + ["other"] * 20)), item)
    assert grams(ask(" ".join(WORDS[:9] + ["other"] * 20)), item) == [(0, 0, "8-gram")]
    apart = ask(" ".join(WORDS[:8] + ["other"] * 20), " ".join(["other"] * 20 + WORDS[8:16]))
    assert not grams(apart, item), "two rows do not give away what neither does"


def test_a_long_run_leaks_unless_it_is_a_stock_phrase():
    item = ask(" ".join(WORDS[:13] + [f"x{i}" for i in range(30)]))
    dirty = lambda i: f"y{i} " * 20 + " ".join(WORDS[:13]) + f" z{i}" * 20
    assert grams(ask(dirty(0)), item) == [(0, 0, "13-gram")]
    assert not grams(ask(" ".join(WORDS[:12]) + " z" * 40), item), "twelve words are not thirteen"
    assert len(grams(ask(*map(dirty, range(10))), item)) == 10 and not grams(ask(*map(dirty, range(11))), item)


def test_a_template_counts_on_neither_side():
    head = "Choose the right one of the four answers below, and give its letter and nothing else in your reply:"
    items = ask(*(f"{head} which of these {w} is the {v} of all that are here" for w, v in zip(WORDS, WORDS[::-1], strict=True)))
    assert not grams(ask(f"{head} who has painted the night watch"), items)
    assert grams(ask("Which of these alpha is the tango of all that are here?"), items)[0] == (0, 0, "8-gram")
    assert not grams(ask(f"{head} which of these zulu has painted it"), items)


def test_answers_and_calls():
    long, short = "It reads the whole chunk before it gives back any value at all.", "It depends."
    row = lambda q, a, **more: {"question": (q,), "answer": (a,), **more}
    assert found([row("Tell me of chunks.", long)], [row("Who reads what?", long)]) == [(0, 0, "exact")]
    assert not found([row("Tell me of chunks.", short)], [row("Who reads what?", short)]), "nobody's own words"
    assert not found([row(f"Number {i}?", long) for i in range(11)], [row("Who reads what?", long)]), "a stock phrase"
    of = lambda n: row(f"Tell me of table {n}.", f"Table {n} is read as a whole before it gives back any value at all.")
    assert not found([of(2)], [of(3)]), "the same of something else"
    assert found([row("Tables?", "Yes. " + of(3)["answer"][0])], [of(3)]) == [(0, 0, "8-gram")]
    call = {"calls": ('size(path="/a/b", deep=true, unit="MiB", file="x.h5")',)}
    assert found([row("Big?", "Yes.", **call)], [row("How large is it then?", "3.", **call)]) == [(0, 0, "exact")]
    assert not found([row("Big?", "Yes.", calls=("size()",))], [row("How large is it then?", "3.", calls=("size()",))])


def test_turns_that_everybody_says():
    talk = {"question": ("Open the file of last week for me.", "Yes, please.", "Thanks!")}
    other = {"question": ("Close the door of this house again.", "Yes, please.", "Thanks!")}
    assert not found([talk], [other]) and found([talk], [talk]) == [(0, 0, "exact")]


def test_questions_of_one_field_are_near_each_other_without_being_the_same():
    of = lambda what: f"How do I configure the {what} of the storage pipeline?"
    items = ask(*map(of, WORDS[:10]))
    check = leakage(ask(of("victor"), of("echo"), "How can I configure the echo of the storage pipeline?"), [eval_set(items)])[0]
    assert check.bars["near"] > 0.7 and {x.row for x in check.leaks if x.kind in ("near", "rephrased")} <= {2}
    assert (1, 4, "exact") in [(x.row, x.item, x.kind) for x in check.leaks]


# What must hold for any text

sentence = st.lists(st.sampled_from(WORDS), min_size=10, max_size=25, unique=True).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(sentence, st.text(max_size=60), st.text(max_size=60), st.sampled_from([str.upper, str.title, "**{}**".format, "`{}`?".format]))
def test_whatever_stands_around_a_question_it_is_found(item, before, after, form):
    assert (0, 0) in [x[:2] for x in found(ask(f"{before}\n{form(item)}\n{after}"), ask(item))]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=80), max_size=6), st.lists(st.text(max_size=80), max_size=4), st.randoms())
def test_any_texts_in_any_order(ours, theirs, rng):
    a, b = ask(*ours), ask(*theirs)
    order = rng.sample(range(len(a)), len(a))
    here, there = found(a, b), found([a[i] for i in order], b)
    assert sorted(here) == sorted((order[i], j, k) for i, j, k in there)
    assert not [x for x in here if not ours[x[0]].strip()]
    checks = leakage(a, [eval_set(b)]) if b else []
    assert checks == [] or {x.row for x in checks[0].leaks} == set(reasons(checks))
    leakage_text(checks, [str(i) for i in range(len(a))], "x"), as_numbers(checks, [str(i) for i in range(len(a))])


def test_records_are_kept_or_dropped_with_the_item_they_give_away():
    pairs = [Pair(question=q, answer="Yes.") for q in ("Hello. How large is the chunk cache of a file by default?", "Who are you?")]
    other, same = ask("Something else altogether, is it?"), ask("x y z?", "How large is the chunk cache of a file by default?")
    evals = [eval_set(other, "a.csv"), eval_set(same, "b.json")]
    checks = leakage([sides_of(p) for p in pairs], evals)
    out = without_leaks(pairs, checks)
    assert out.kept == pairs[1:] and out.dropped[0].reason == "leaked:b.json#2 (8-gram 1.00)" and out.dropped[0].kind == "leaked"
    assert [(x["leaked"], x["rows"], x["by"]) for x in ledger(checks)] == [(0, 0, "nothing found"), (1, 1, "8-gram 1")]
    assert [x.row for x in joined([checks, checks])[1].leaks] == [0, 2] and joined([checks])[0] == checks[0]
    assert "**How large is the chunk cache of a file by default**" in leakage_text(checks, ["1", "2"], "set")


def test_more_rows_than_a_block(monkeypatch):
    pool = [" ".join(random.Random(i).sample(WORDS, 6)) for i in range(2500)]
    items = ask(*pool[::500])
    assert {(i, i // 500) for i in range(0, 2500, 500)} <= {x[:2] for x in found(ask(*pool), items)}
    assert module.char_grams([])[0].size == 0 == module.char_grams(["", "abc"])[0].size


# Sets at hand


@pytest.fixture(scope="module")
def tasks(data):
    return read_set(data / "qa/selfinstruct_user_oriented_252.jsonl")


def test_rephrasings_are_found_as_far_as_was_measured(tasks, data):
    golden = {int(k.rpartition("_")[2]): t for k, t in json.loads((ROOT / "tests/golden/rephrased.json").read_text()).items()}
    seeds = read_set(data / "qa/selfinstruct_seed_tasks.jsonl")
    check = leakage(ask(*golden.values()) + seeds.rows, [tasks])[0]
    own = {x.row for x in check.leaks if x.row < 30 and x.item == list(golden)[x.row]}
    assert len(golden) == 30 and len(own) >= 15
    assert not [x for x in check.leaks if x.row >= 30], "the seeds are no copies of the tasks"


def test_a_models_bar_is_read_off_the_evaluation_set(tasks, data, monkeypatch):
    monkeypatch.setattr(module, "embed", lambda texts, model, settings: static_vectors(list(texts), data / "qa/static_embedding_128d"))
    by = module.likeness_by("some/model")
    some = tasks.rows[:100]
    bar, nearest, texts = bar_of(some, by, 0.3), [0.0] * len(some), [r["question"][0] for r in some]
    for i, j, v in by(texts, texts, 0.3):
        if i != j and v > nearest[i] and not module.apart(texts[i], texts[j]):
            nearest[i] = v
    assert 0.6 < bar < 0.9 and sum(v >= bar for v in nearest) <= 0.01 * len(texts) + 1


# The command and the pipelines


def test_rows_go_out_as_they_came_in(synthgen):
    at = synthgen.folder
    chat = lambda q, **more: dict(messages=[dict(role="user", content=q), dict(role="assistant", content="Yes.")], **more)
    said = [chat("Please: how large is the chunk cache of a file by default?", source="a"), chat("Who are you?", source="b"), dict(note="no row")]
    (at / "train.jsonl").write_text("\n".join(map(json.dumps, said)))
    (at / "eval.csv").write_text("id,question,answer\n7,How large is the chunk cache of a file by default?,1 MiB\n")
    r = synthgen("leakage", "train.jsonl", "eval.csv", "-o", "clean.jsonl", "--report", "page.html")
    assert rows(at / "clean.jsonl") == said[1:] and "1 of 2 rows give away 1 of 1 items" in r.stdout and "1 rows ask nothing" in r.stderr
    (gone,) = rows(at / "clean_dropped.jsonl")
    assert gone["record"] == said[0] and gone["reason"] == "leaked:eval.csv#1 (8-gram 1.00)"
    numbers = json.loads((at / "page.json").read_text())
    assert numbers[0]["leaks"][0]["row"] == "line 1" and "chunk cache" in (at / "page.html").read_text()
    r = synthgen("leakage", "train.jsonl", "eval.csv")
    assert "to drop them: synthgen leakage train.jsonl eval.csv -o clean.jsonl" in r.stdout
    assert "to drop them" not in synthgen("leakage", "clean.jsonl", "eval.csv").stdout


@pytest.mark.parametrize("args, said", [
    (["train.jsonl", "train.jsonl"], "the data set itself"), (["train.jsonl", "none.csv"], "none.csv: no such file"),
    (["train.jsonl", "labels.jsonl"], "none of 1 rows asks anything"), (["empty.jsonl", "eval.json"], "holds no rows"),
    (["train.jsonl", "eval.json", "-o", "eval.json"], "is the input as well"), (["train.jsonl", "eval.json", "-o", "x.csv"], "x.csv"),
    (["train.jsonl", "eval.json", "-o", "all.jsonl"], "nothing was kept of 1 rows"),
    (["train.jsonl", "eval.json", "--embedding", "wrods"], "unknown embedding"),
])
def test_errors_say_what_and_where(synthgen, args, said):
    one = json.dumps(dict(question="How large is it then?", answer="3 MiB."))
    for name, text in {"train.jsonl": one, "eval.json": f"[{one}]", "labels.jsonl": '{"label": 1}', "empty.jsonl": ""}.items():
        (synthgen.folder / name).write_text(text)
    r = synthgen("leakage", *args, ok=False)
    assert said in r.stderr and r.stderr.startswith("error: ") and json.loads((synthgen.folder / "eval.json").read_text())


def record_of(folder: Path, name: str) -> tuple[dict, str, list]:
    (run,) = (folder / "runs").glob(f"*-{name}")
    return json.loads((run / "run.json").read_text()), (run / "README.md").read_text(), rows(run / "records/dropped.jsonl")


def test_the_qa_pipeline_drops_what_an_evaluation_set_asks(synthgen):
    write_docs(synthgen.folder / "docs", 5)
    (synthgen.folder / "eval.jsonl").write_text('{"prompt": "What is the chunk cache 0?", "completion": "A part."}\n{"prompt": "Who was Ada Lovelace?"}\n')
    r = synthgen("pipeline", "docs", "-o", "train.jsonl", "--target-pairs", 4, "--eval", "eval.jsonl")
    record, card, dropped = record_of(synthgen.folder, "qa")
    assert "held against eval.jsonl (2 items)" in r.stdout and len(rows(synthgen.folder / "train.jsonl")) == 4
    gone = [d for d in dropped if d["stage"] == "leakage"]
    assert gone and all(d["reason"].startswith("leaked:eval.jsonl#1") for d in gone) and record["leakage"][0]["rows"] == len(gone)
    assert sum(f["lost"] for f in record["funnel"] if f["stage"] == "leakage") == len(gone)
    assert "## Held against evaluation sets" in card and record["leakage"][0]["sha256"] in card
    assert "chunk cache 0?" not in (synthgen.folder / "train.jsonl").read_text()


def _asked(row) -> str:
    return next(m["content"] for m in row["messages"] if m["role"] == "user")


def _turns(sides) -> list[dict]:
    return [dict(role="user", content=t) for t in sides["question"]]


@pytest.mark.skipif(find_spec("bfcl_eval") is None, reason="bfcl-eval is not installed")
def test_our_tool_rows_do_not_leak_the_leaderboard(synthgen):
    folder = Path(find_spec("bfcl_eval").origin).parent / "data"
    every = [f for f in sorted(folder.glob("BFCL_v4_*.json")) if "format_sensitivity" not in f.name]
    (synthgen.folder / "bfcl.jsonl").write_text("\n".join(json.dumps(dict(messages=_turns(x))) for f in every for x in read_set(f).rows))
    r = synthgen("tool-pipeline", "hdf5", "-o", "train.jsonl", "--target-pairs", 12, "--eval", "bfcl.jsonl")
    record, card, dropped = record_of(synthgen.folder, "tools")
    (held,) = record["leakage"]
    assert held["by"] == "nothing found" and held["items"] > 4000 and len(every) >= 15 and not [d for d in dropped if d["stage"] == "leakage"]
    assert "held against bfcl.jsonl" in r.stdout and "## Held against evaluation sets" in card and held["sha256"] in card
    asked = sorted((_asked(x) for x in rows(synthgen.folder / "train.jsonl")), key=len, reverse=True)  # a short request may be a part of others
    (synthgen.folder / "own.json").write_text(json.dumps([dict(question=asked[0]), dict(question="Please do this at once: " + asked[1])]))
    again = synthgen("leakage", "train.jsonl", "own.json", "-o", "clean.jsonl")
    left = [_asked(x) for x in rows(synthgen.folder / "clean.jsonl")]
    assert not {*asked[:2]} & {*left} and "give away 2 of 2 items" in again.stdout
    assert len(left) >= 8, "only rows that say most of an item, such as its one sentence among others, go with it"
