"""Instruction Backtranslation: which passages can be answers, who writes the instructions, and what every iteration must keep"""

import asyncio
import json

import pytest
from conftest import rows
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgen_nb.core.judge import load_rubric
from synthgen_nb.core.models import Answer, open_model
from synthgen_nb.core.records import Chunk, Pair, Source, SynthgenError
from synthgen_nb.core.settings import load_settings
from synthgen_nb.export.formats import export
from synthgen_nb.qa import backtranslation

few = settings(max_examples=25, deadline=None)
SEED = Pair(question="What is a group?", answer="A container.")


def passage(text, section="Chunking", **kw):
    return Chunk(text=text, sources=(Source(path="a.md", end=len(text), section=(section,) if section else ()),), **kw)


def test_what_can_be_an_answer():
    prose = " ".join(f"Sentence number {i} says something else about chunk {i * 7}." for i in range(20))
    unfit = lambda *a, **kw: backtranslation.unfit(passage(*a, **kw))
    assert (unfit("x" * 599), unfit("x" * 600), unfit("x" * 3000), unfit("x" * 3001)) == ("too_short", "", "", "too_long")
    assert unfit(prose) == "" and unfit(prose + " A chunk is a unit of storage here." * 2) == "repeats_itself"
    assert (unfit(prose, ""), unfit(prose, "BUY NOW"), unfit(prose, "HDF5")) == ("no_header", "shouted_header", "")
    assert [unfit(prose, h) for h in ("Advertisement", "Quick links", "Our newsletter", "Forums")] == ["menu_header"] * 4
    assert unfit("x = 1\n" * 200, kind="code") == "code"


def test_chunks_are_the_answers_and_every_iteration_grades_all_of_them(tmp_path):
    text = "A chunk is the unit in which HDF5 reads and writes a dataset. It is read as a whole."
    chunks = [passage(f"# Chunk {i}\n\n{text} Case {i}.\n", f"Chunk {i}") for i in range(4)] + [
        passage("- [a](b.html)\n- [c](d.html)\n- [e](f.html)\n", "Links")
    ]
    model = open_model()
    pool = asyncio.run(backtranslation.backtranslate(chunks, model, [SEED])).kept
    assert [p.answer for p in pool] == [c.text for c in chunks] and {p.origin[0].method for p in pool} == {"backtranslation:1-shot"}
    assert {p.origin[0].faithful for p in pool} == {"approximation"}
    tuned = asyncio.run(backtranslation.backtranslate(chunks[:1], model, tuned=True)).kept[0]
    assert (tuned.origin[0].method, tuned.origin[0].faithful) == ("backtranslation:finetuned", "paper")
    rubric = load_rubric("humpback")
    run = lambda k: asyncio.run(backtranslation.self_curate(pool, [model, model], rubric, k))
    a4, a5 = run(4), run(None)
    assert all(len(o.kept) + len(o.dropped) == len(pool) for o in [*a4, *a5]), "all of A is graded again"
    ids = lambda o: {p.id for p in o.kept}
    assert ids(a5[0]) <= ids(a4[0]) < {p.id for p in pool} and ids(a5[0])
    train = backtranslation.tagged([SEED], a5[-1].kept)
    export(train, tmp_path / "train.jsonl", "chatml", system="Be brief.")
    said = [r["messages"][0]["content"] for r in rows(tmp_path / "train.jsonl")]
    assert said == [f"Be brief.\n\n{x}" for x in [backtranslation.SEED_TAG] + [backtranslation.CORPUS_TAG] * len(a5[-1].kept)]
    with pytest.raises(SynthgenError, match="takes no seed pairs"):
        asyncio.run(backtranslation.backtranslate(chunks, model, [SEED], tuned=True))


@pytest.mark.parametrize(
    "reply, instruction, reason",
    [
        ("What is a chunk in HDF5?", "What is a chunk in HDF5?", ""),
        ("What is\na chunk?", "What is a chunk?", ""),
        ("Chunks?", "", "implausible_length"),
        ("x" * 801, "", "implausible_length"),
    ],
)
def test_an_instruction_is_one_plausible_line(reply, instruction, reason):
    assert backtranslation.instruction_of(Answer(value=reply))[:2] == (instruction, reason)
    assert backtranslation.instruction_of(Answer(error="timeout: no reply"))[1] == "no_reply:timeout"


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=4))
@few
def test_a_text_repeats_itself_exactly_when_a_sentence_comes_twice(order):
    sentences = dict(
        a="A chunk is read as a whole when one element is wanted.",
        b="Every group may hold other groups and any number of datasets.",
        c="The gzip filter can be found in all builds of the library.",
    )
    assert backtranslation.repeats(" ".join(sentences[k] for k in order)) == (len(set(order)) < len(order))


def test_the_driver_gives_a_training_set_for_every_iteration():
    facts = " ".join(f"Rule number {i} of the library says that step {i * 7} is done before anything else is." for i in range(12))
    chunks = [passage(f"# Chunk {i}\n\nA chunk is unit {i} of storage. {facts}\n", f"Chunk {i}") for i in range(3)]
    chunks.append(passage("- [a](b.html)\n" * 60, "Links"))
    model = open_model()
    sets = asyncio.run(backtranslation.humpback(chunks, model, [model, model], [SEED], load_rubric("humpback"), k=1))
    fit = backtranslation.segments(chunks).kept
    answers = {c.text for c in fit}
    assert len(sets) == 2 and all(rows[0]["messages"][1]["content"] == SEED.question for rows in sets), "the seeds are always there"
    assert all({r["messages"][2]["content"] for r in rows[1:]} <= answers for rows in sets) and len(sets[0]) > 1
    one = asyncio.run(backtranslation.humpback(chunks, model, [model], [SEED], load_rubric("humpback"), k=1, tuned=True))
    assert len(one) == 1, "a finetuned backward model is shown no seeds"


def test_the_prompts_of_the_settings_are_used(tmp_path):
    ours = open_model().prompt("backward")
    folder = tmp_path / "own"
    folder.mkdir()
    own = ours.model_dump(exclude={"name"}) | dict(version=ours.version + 1)
    (folder / "backward.yaml").write_text(json.dumps(own))
    (tmp_path / "synthgen.yaml").write_text("paths: {prompts: own}\n")
    model = open_model(load_settings(), provider="offline")
    text = "A chunk is the unit in which HDF5 reads and writes a dataset. It is read as a whole."
    (pair,) = asyncio.run(backtranslation.backtranslate([passage(text)], model)).kept
    assert pair.origin[0].prompt_hash == model.prompt("backward").hash != ours.hash


def test_self_curation_is_the_papers_only_with_its_judges():
    model, rubric = open_model(provider="offline"), load_rubric("humpback")
    pool = [Pair(question="What is a chunk?", answer="A chunk is the unit in which HDF5 reads a dataset."), Pair(question="Why?", answer="So.")]
    for trained, want in ((False, "approximation"), (True, "paper")):
        out = asyncio.run(backtranslation.self_curate(pool, [model], rubric, k=5, trained=trained))[0]
        steps = [p.origin[-1] for p in [*out.kept, *[d.record for d in out.dropped]]]
        assert len(steps) == 2 and {s.faithful for s in steps} == {want} and all(bool(s.note) != trained for s in steps)
