"Reasoning for answers: what comes out of the real commands, what is refused, and what the teacher of the paper said"

import asyncio
import json
import string

import pytest
from conftest import rows, write_docs
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgen_nb.core.models import Answer, open_model, parse_reply
from synthgen_nb.core.prompts import load_prompt
from synthgen_nb.core.records import Pair, load, save
from synthgen_nb.export.formats import export
from synthgen_nb.export.pairs import PAIR_FORMATS as FORMATS
from synthgen_nb.export.pairs import multitask
from synthgen_nb.qa import step_by_step as ss

Q, A = "Can a contiguous dataset be resized?", "No, only a dataset with chunked storage can grow."
GOOD = ("A contiguous dataset is one block.", "Other data follows it.", "Only chunked storage has room to grow.")


@pytest.mark.parametrize(
    "steps, why",
    [
        (GOOD, ""),
        (GOOD[:1], "not_2_to_5_steps: 1"),
        ((*GOOD, "d", "e", "f"), "not_2_to_5_steps: 6"),
        ((*GOOD, GOOD[0].upper()), "repeated_step"),
        ((A, *GOOD), "circular: step 1 is the answer"),
        ((GOOD[0], A), "circular: step 2 is the answer"),
        ((Q, *GOOD), "circular: step 1 is the question"),
        ((A[:-1] + ", since blocks are fixed.", *GOOD), "circular: step 1 states the answer"),
        (("Files are on disks.", "Disks are large."), "unrelated"),
    ],
)
def test_reasoning_that_cannot_stand_is_named(steps, why):
    got = ss.flaw(Q, A, steps)
    assert got.startswith(why) and bool(got) == bool(why)


def test_numbers_in_front_are_not_part_of_a_step():
    assert ss.tidy_steps(["1. First.", "Step 2: Second.", " 3) Third.", "", "4 bytes are read."]) == (
        "First.",
        "Second.",
        "Third.",
        "4 bytes are read.",
    )


def test_a_contradiction_is_recorded_and_the_answer_stays():
    pair = Pair(question=Q, answer=A, chunk_id="c", meta={"votes": 3})
    reply = dict(reasoning=["HDF5 2 can grow any dataset.", "So this one too."], agrees=False, remark="It can.", answer="Yes, any can.")
    for prompt in ("explain", "solve"):
        got = ss.reasoned(pair, Answer(value=reply, model="m", calls=("k",)), load_prompt(prompt))
        assert (got.question, got.answer, got.id, got.meta) == (Q, A, pair.id, {"votes": 3})
        assert got.reasoning == tuple(reply["reasoning"]) and ss.contradicted([got]) == [got]
        assert ss.verdict_of(got).rationale in ("It can.", "The model comes to: Yes, any can.") and got.rating is None


def test_what_cannot_be_told_is_unchecked_and_no_number():
    got = ss.reasoned(
        Pair(question=Q, answer=A),
        Answer(value=dict(reasoning=list(GOOD), agrees=None, remark="No source."), model="m"),
        load_prompt("explain"),
    )
    assert ss.verdict_of(got).status == "unchecked" and ss.verdict_of(got).value is None and not ss.contradicted([got])


@given(
    st.text(string.printable, min_size=1).filter(str.strip),
    st.lists(st.text(max_size=30), max_size=7),
    st.sampled_from([True, False, None]),
)
@settings(deadline=None)
def test_no_reply_changes_question_or_answer(answer, steps, agrees):
    pair = Pair(question=Q, answer=answer)
    got = ss.reasoned(
        pair, Answer(value=dict(reasoning=steps, agrees=agrees, remark="r", answer="another"), model="m"), load_prompt("explain")
    )
    assert (got.id, got.question, got.answer) == (pair.id, Q, answer)
    assert bool(got.reasoning) != bool(ss.without([got])), "either reasoning or a note why there is none"


@pytest.mark.parametrize("step, why", [("It is one block of 4 KiB.", "4 KiB"), ("Since h5py 3.1.0 it is.", "3.1.0"), ("It is one block.", "")])
def test_what_a_step_claims_needs_the_source_too(step, why):
    source = "A contiguous dataset is one block. Only chunked storage has room to grow."
    got = ss.flaw(Q, A, (step, *GOOD[1:]), text=source)
    assert (got.startswith("unsupported") and why in got) if why else not got


def test_three_steps_are_enough_for_a_long_answer():
    answer = A + " ".join(f"Case {i} is read from block {i} of the table in the file named part{i}." for i in range(99))
    assert len(answer) > 2000 and not ss.flaw(Q, answer, GOOD)


def test_enhance_cot_changes_no_answer_of_real_rows(data, tmp_path, synthgen):
    given = rows(data / "prototype/qa/jarvis_qa_text_chunks.jsonl")[:400] + rows(data / "prototype/qa/jarvis_qa_curated.jsonl")[:100]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(r) + "\n" for r in given))
    said = synthgen("enhance-cot", "in.jsonl", "-o", "out.jsonl").stdout
    made = rows(tmp_path / "out.jsonl")
    assert "500 of 500 pairs have reasoning" in said and len(made) == 500
    for a, b in zip(given, made, strict=True):
        assert (a["question"], a["answer"]) == (b["question"], b["answer"])
        known = {"question", "answer", "chunk_id"}
        assert a["chunk_id"] == b["chunk_id"] and {k: v for k, v in a.items() if k not in known} == b["meta"], "every field is kept"
        assert 2 <= len(b["reasoning"]) <= 5 and b["answer"] not in b["reasoning"]
    assert made[-1]["meta"]["reasoning"] == given[-1]["reasoning"] != made[-1]["reasoning"], "a judge's reasoning is not the answer's"


def test_enhance_cot_asks_only_for_what_is_missing(tmp_path, synthgen, server):
    pairs = [Pair(question=f"What does part {i} do?", answer=f"Part {i} closes the valve number {i}.") for i in range(6)]
    save([p.but(reasoning=GOOD) if i % 2 else p for i, p in enumerate(pairs)], tmp_path / "in.json")
    said = synthgen("enhance-cot", "in.json", "-o", "out.json", env=server.env).stdout
    assert "3 had reasoning, 3 were asked for; 6 of 6 pairs have reasoning" in said and len(server.log()) == 3
    made = load(tmp_path / "out.json", Pair)
    assert [(p.id, p.question, p.answer) for p in made] == [(p.id, p.question, p.answer) for p in pairs]
    assert [p.reasoning == GOOD for p in made] == [False, True] * 3
    synthgen("enhance-cot", "out.json", "-o", "again.json", env=server.env)
    assert len(server.log()) == 3 and (tmp_path / "again.json").read_bytes() == (tmp_path / "out.json").read_bytes()


def test_an_objection_is_put_to_the_model_and_mended_in_the_same_run(tmp_path, synthgen, server):
    save(
        [Pair(question="What does the pump do?", answer="It pumps water."), Pair(question="Which pipe?", answer="The wrong pipe.")],
        tmp_path / "in.jsonl",
    )
    server.control(fault="malformed", times=2, only="What does the pump do?")
    said = synthgen("enhance-cot", "in.jsonl", "-o", "out.jsonl", "--workers", "1", env=server.env).stdout
    mended, odd = load(tmp_path / "out.jsonl", Pair)
    assert "2 of 2 pairs have reasoning; in 1 it contradicts the answer" in said and ss.contradicted([mended, odd]) == [odd]
    assert [o.note.split(":")[0] for o in mended.origin] == ["no reasoning", ""] and "not_json" in mended.origin[0].note
    server.control(fault="malformed", times=-1, only="")
    save([Pair(question="What does the tank do?", answer="It holds water.")], tmp_path / "in.jsonl")
    r = synthgen("enhance-cot", "in.jsonl", "-o", "none.jsonl", env=server.env, ok=False)
    assert "no reasoning could be had for any of the 1 pairs" in r.stderr
    assert load(tmp_path / "none.jsonl", Pair)[0].answer == "It holds water."


@pytest.mark.parametrize("mock", [False, True], ids=["offline", "server"])
def test_generate_cot(tmp_path, synthgen, server, mock):
    write_docs(tmp_path / "docs", 3)
    synthgen("ingest", "docs", "-o", "db")
    env = server.env if mock else {}
    said = synthgen("generate-cot", "db", "-o", "cot.jsonl", "--target-pairs", "5", env=env).stdout
    made = rows(tmp_path / "cot.jsonl")
    assert len(made) == 5 and "5 of 5 pairs have reasoning" in said and bool(server.log()) == mock
    for r in made:
        assert 2 <= len(r["reasoning"]) <= 5 and r["answer"] not in r["reasoning"] and r["chunk_id"] and r["sources"]
        assert r["origin"][0]["method"] == "grounded_cot" and r["origin"][0]["faithful"] == "approximation"
    if mock:
        return
    synthgen("export", "cot.jsonl", "-o", "two.jsonl", "-f", "jsonl", "--reasoning", "multitask")
    two = rows(tmp_path / "two.jsonl")
    assert len(two) == 10 and [r["task"] for r in two] == ["predict", "explain"] * 5
    assert (
        "unknown --reasoning 'thnik': did you mean 'think'"
        in synthgen("export", "cot.jsonl", "-o", "x.jsonl", "--reasoning", "thnik", ok=False).stderr
    )


PAIRS = [Pair(question=f"Q{i}?", answer=f"A{i}.", reasoning=(f"S{i}.", "T.")) for i in range(5)] + [Pair(question="Q?", answer="A.")]


@pytest.mark.parametrize("format", list(FORMATS))
def test_multitask_rows(format):
    two = [multitask(p, format, "Be kind.", alpha=0.75) for p in PAIRS]
    assert [len(t) for t in two] == [2] * 5 + [1], "a pair without reasoning is only predicted"
    for p, t in zip(PAIRS, two, strict=True):
        assert {r["pair_id"] for r in t} == {p.id} and [r["weight"] for r in t] == [0.75, 0.25][: len(t)]
        asked = [json.dumps(r) for r in t]
        assert f"A{p.question[1:-1]}." in asked[0] and (len(t) < 2 or ("1. S" in asked[1] and p.answer not in asked[1]))
    if format == "jsonl":
        plain = [{r["input"].removeprefix(r["task"] + ": ") for r in t} for t in two]
        assert plain == [{p.question} for p in PAIRS]
    if format == "chatml":
        assert all(r["messages"][1]["content"] == p.question for p, t in zip(PAIRS, two, strict=True) for r in t)
        assert all(
            f"Task: {r['task']}" in r["messages"][0]["content"] and "Be kind." in r["messages"][0]["content"] for t in two for r in t
        )


@pytest.mark.parametrize(
    "form, told", [("think", "<think>\n1. S0.\n2. T.\n</think>\n\nA0."), ("inline", "1. S0.\n2. T.\n\nA0."), ("drop", "A0.")]
)
def test_reasoning_survives_every_format(tmp_path, form, told):
    for format, read in dict(
        chatml=lambda r: r["messages"][-1]["content"], alpaca=lambda r: r["output"], sharegpt=lambda r: r["conversations"][-1]["value"]
    ).items():
        for ext in ("jsonl", "parquet"):
            assert export(PAIRS, tmp_path / f"{format}.{ext}", format, reasoning=form) == 6
        made = rows(tmp_path / f"{format}.jsonl")
        assert read(made[0]) == told and read(made[-1]) == "A."
    for ext in ("jsonl", "json", "parquet"):
        export(PAIRS, tmp_path / f"all.{ext}", "jsonl", reasoning=form)
        assert load(tmp_path / f"all.{ext}", Pair) == PAIRS


def test_reasoning_of_another_program_is_taken_over_and_exported(data, tmp_path, synthgen):
    source = data / "prototype/cot/jarvis_qa_raw_cot_intermediate.json"
    given = json.loads(source.read_text())
    synthgen("export", source, "-o", "t.jsonl", "-f", "alpaca")
    made = [r["output"] for r in rows(tmp_path / "t.jsonl")]
    assert sum(bool(r["reasoning"].strip()) for r in given) > 50
    whole = [
        f"<think>\n{r['reasoning']}\n</think>\n\n{r['answer']}" if r["reasoning"].strip() else r["answer"]
        for r in given
        if r["answer"].strip()
    ]
    assert made == whole


# two tasks


@given(st.lists(st.tuples(st.floats(0, 9), st.floats(0, 9)), min_size=1, max_size=9), st.sampled_from([0.25, 0.5, 0.75, 1.0]))
def test_the_weights_of_the_rows_are_the_papers_loss(losses, alpha):
    label, rationale = zip(*losses, strict=True)
    rows = [r for i in range(len(losses)) for r in multitask(Pair(question=f"Q{i}?", answer="A.", reasoning=("S.", "T.")), alpha=alpha)]
    each = dict(predict=label, explain=rationale)
    weighted = sum(r["weight"] * each[r["task"]][i // 2] for i, r in enumerate(rows)) / len(losses)
    assert weighted == pytest.approx(alpha * ss.multitask_loss(label, rationale, lam=(1 - alpha) / alpha))


def test_the_driver_hides_the_answer_and_gives_two_rows_for_a_pair():
    text = "A chunk is the unit in which HDF5 reads and writes a dataset. A chunk larger than the cache is read from disk at every access."
    pairs = [Pair(question="What is a chunk?", answer="A chunk is the unit in which HDF5 reads and writes a dataset.", chunk_id="c")]
    two = asyncio.run(ss.step_by_step(pairs, open_model(provider="offline"), {"c": text}, alpha=0.75))
    assert [(r["task"], r["weight"], r["pair_id"]) for r in two] == [("predict", 0.75, pairs[0].id), ("explain", 0.25, pairs[0].id)]
    asked = ss.question_for(pairs[0], load_prompt("solve"), {"c": "Nothing."})
    assert pairs[0].answer not in str(asked.messages), "a blind teacher sees no label"


# the paper's teacher


@pytest.mark.parametrize("split, accuracy, blank, run_on", [("train", 74.26, 3, 8020), ("test", 77.23, 0, 1010)])
def test_palm_labels_of_commonsenseqa(data, split, accuracy, blank, run_on):
    folder = data / "qa/dss/cqa"
    gold = [r["answer"] for r in rows(folder / f"cqa_{split}.json")]
    texts = [t for i in range(-(-len(gold) // 1000)) for t in json.loads((folder / f"llm/{split}_CoT_{i}.json").read_text())]
    read = [ss.read_completion(t, "cqa") for t in texts]
    assert (
        len(gold) == len(texts)
        and round(100 * sum(ss.right(label, g, "cqa") for (_, label), g in zip(read, gold, strict=True)) / len(gold), 2) == accuracy
    )
    assert sum(not label for _, label in read) == blank and sum(t.count("So the answer is") > 1 for t in texts) == run_on


@pytest.mark.parametrize(
    "text, form, rationale, label",
    [
        ("He had 5. He ate 2. The answer is (5 - 2).\n\nQ: She had (1 + 1).", "svamp", "He had 5. He ate 2.", "(5 - 2)"),
        ("Both are. The answer is ((1 + 2) * 3).", "svamp", "Both are.", "((1 + 2) * 3)"),
        ("No parentheses. The answer is 12.", "svamp", "", ""),
        ("It says so. So the answer is Yes.\n\nPremise: Another.", "anli", "It says so.", "Yes"),
        ("It says nothing. So the answer is It's impossible to say.\n", "anli", "It says nothing.", "It's impossible to say"),
        ("A dog is an animal. Answer: entailment\n\nPremise: A cat.", "esnli", "A dog is an animal.", "entailment"),
        ("Only a house holds air. So the answer is (e) house.\n\nQ: So the answer is (a) boat.", "cqa", "Only a house holds air.", "house"),
        ("So the answer is (a) u.s. So the answer is (b) two.", "cqa", "", ""),
        ("", "cqa", "", ""),
    ],
)
def test_completions_of_every_data_set(text, form, rationale, label):
    assert ss.read_completion(text, form) == (rationale, label)


@given(st.integers(-50, 50), st.integers(-50, 50), st.sampled_from("+-*/"))
def test_a_written_sum_is_its_value(a, b, op):
    text, want = f"(({a}) {op} {b})", None if op == "/" and not b else {"+": a + b, "-": a - b, "*": a * b}.get(op, a / b if b else 0)
    assert ss.value_of(text) == want
    assert want is None or ss.right(text, str(float(want)), "svamp")


@pytest.mark.parametrize("text", ["__import__('os').system('x')", "9**9**9", "[1]", "(1", "", "True", "x", "1" * 300, "-" * 150 + "1" * 60])
def test_nothing_written_by_a_model_is_executed(text):
    assert ss.value_of(text) is None


def test_a_model_s_reply_to_each_prompt_is_read():
    steps = ["A fact.", "What follows."]
    pair = dict(question="q", reasoning=steps, answer="a")
    for name, value in dict(
        explain=dict(reasoning=steps, agrees=None, remark=""),
        solve=dict(reasoning=steps, answer=None),
        cot_text=dict(suitable=True, reason="r", pairs=[pair]),
        cot_code=dict(suitable=False, reason="r", pairs=[]),
    ).items():
        assert parse_reply(f"<think>hm</think> {json.dumps(value)}", load_prompt(name).output) == (value, ""), name
    for value in (dict(reasoning=["one"], agrees=True, remark=""), dict(reasoning=steps, agrees="maybe", remark="")):
        assert parse_reply(json.dumps(value), load_prompt("explain").output)[1].startswith("schema_error")


def test_pipeline_with_reasoning(tmp_path, synthgen):
    write_docs(tmp_path / "docs", 3)
    synthgen("pipeline", "docs", "-o", "train.jsonl", "--cot", "--target-pairs", "4", "--reasoning", "multitask")
    (folder,) = (tmp_path / "runs").iterdir()
    run, made = json.loads((folder / "run.json").read_text()), load(folder / "records/final.jsonl", Pair)
    assert run["status"] == "done" and len(made) == 4 and all(2 <= len(p.reasoning) <= 5 for p in made)
    two = rows(tmp_path / "train.jsonl")
    assert len(two) == 8 == run["export"]["rows"] and {r["pair_id"] for r in two} == {p.id for p in made}
    funnel = {r["stage"]: r for r in run["funnel"]}
    assert funnel["reason"]["in"] == funnel["evidence"]["out"] and funnel["reason"]["out"] == funnel["judge"]["in"]
    assert [s["stage"] for s in run["stages"]] == ["generate", "rewrite", "evidence", "reason", "judge"]
