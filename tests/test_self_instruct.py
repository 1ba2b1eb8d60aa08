"Growing a pool: what is new, what is a task, which instances stand, and the counts that the public files must give"

import asyncio
import json

import numpy as np
import pytest
from conftest import rows
from hypothesis import given
from hypothesis import strategies as st

from synthgen_nb.core.methods import method
from synthgen_nb.core.models import open_model, parse_reply
from synthgen_nb.core.prompts import load_prompt
from synthgen_nb.core.records import Chunk, Source, SynthgenError
from synthgen_nb.core.settings import load_settings
from synthgen_nb.qa import self_instruct as si


def literal(a, b):
    "The longest common subsequence by the textbook"
    t = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            t[i + 1][j + 1] = t[i][j] + 1 if x == y else max(t[i][j + 1], t[i + 1][j])
    return t[-1][-1]


@given(st.lists(st.sampled_from("abcde"), max_size=100), st.lists(st.sampled_from("abcdef"), max_size=100))
def test_lcs_is_the_textbook_s(a, b):
    assert si.lcs(a, b) == si.lcs(b, a) == literal(a, b)


@given(st.lists(st.lists(st.sampled_from("ab cd ef gh".split()), max_size=90).map(" ".join), min_size=1, max_size=20), st.floats(0, 0.95))
def test_the_pool_finds_what_pairwise_comparison_finds(texts, above):
    pool = si.Pool(texts[1:])
    want = [si.rouge_l(si.rouge_words(texts[0]), si.rouge_words(t)) for t in texts[1:]]
    assert pool.similarity(texts[0]).tolist() == pytest.approx(want)
    some = pool.similarity(texts[0], above)
    assert [x for x in some if x > above] == pytest.approx([x for x in want if x > above]), "the shortcut loses nothing above its bar"


def test_long_instructions_and_the_limit_of_a_machine_word():
    for n in (63, 64, 65, 150):
        a = [f"w{i}" for i in range(n)]
        pool = si.Pool([" ".join(a), " ".join(a[::-1]), " ".join(a[: n // 2]), "", "other words"])
        assert pool.similarity(" ".join(a)).tolist() == pytest.approx([1, 2 / (2 * n), 2 * (n // 2) / (n + n // 2), 0, 0])


def test_rouge_golden_and_scripts():
    assert si.rouge_l(si.rouge_words("the cat sat on the mat"), si.rouge_words("the cat is on the mat")) == pytest.approx(0.8333333)
    assert si.rouge_words("Don't re-read `x_1`!") == ["don", "t", "re", "read", "x", "1"]
    assert si.Pool(["猫が座る"]).similarity("猫が座る")[0] == 0 and si.Pool(["猫が座る"], si.words).similarity("猫が座る")[0] == 1


@pytest.mark.parametrize(
    "text, why",
    [
        ("one two three", "too_short: 3 words"),
        ("one two three four", ""),
        ("w " * 150, ""),
        ("w " * 151, "too_long: 151 words"),
        ("Explain what a FILE is.", "banned_word: file"),
        ("Explain what profiles are for.", ""),
        ("Go to the shop and buy.", "banned_word: go to"),
        ("Write a program that adds numbers.", "write_a_program"),
        ("Write programs that add numbers.", ""),
        ("- Write something about birds.", "odd_start: -"),
        ("Écris quelque chose de court.", "odd_start: É"),
    ],
)
def test_what_is_not_a_task(text, why):
    assert si.objection(text) == why


def test_a_domain_keeps_its_words():
    assert si.objection("Explain how a file is opened.", ()) == "" and si.objection("Sum the list.", ("list",)).startswith("too_short")
    assert si.objection("Sort the list of names.", ("list",)) == "banned_word: list"


def test_instances():
    one = dict(input="a", output="yes")
    keep, lose = si.instances_of(
        [one, one, dict(input="b", output=" "), dict(input="c", output="c"), dict(input="d:", output="no"), dict(output="x:")]
    )
    assert keep == [("a", "yes")]
    assert [w for _, w in lose] == ["same_instance", "empty_output", "output_is_input", "ends_with_colon", "ends_with_colon"]
    keep, lose = si.instances_of([one, dict(input="a", output="no"), dict(input="z", output="no")])
    assert keep == [] and [w for _, w in lose] == ["conflicting_outputs"] * 3, "one contradiction puts the whole task in doubt"
    assert len(si.instances_of([dict(input="", output="x"), dict(input="", output="y")])[0]) == 2, "without an input nothing contradicts"


TEXTS = [
    "A chunk is the unit in which HDF5 reads and writes a dataset. Chunked storage is used to resize a dataset later, as others have a fixed size.",
    "The gzip filter is a lossless compressor that is available everywhere. The `compression_opts` parameter sets its level, from 0 to 9.",
    "A group is a container that holds datasets and other groups. To create a group, call `create_group` with its name.",
]
CHUNKS = [Chunk(text=f"# Part {i}\n\n{t}", sources=(Source(path=f"{i}.md", section=(f"Part {i}",)),)) for i, t in enumerate(TEXTS)]
SEEDS = ["How do I open a file for reading?", "Name the drivers that can be chosen.", "What does the shuffle filter do?"]


def accepted(out):
    return list(dict.fromkeys(p.meta["self_instruct"]["instruction"] for p in out.kept))


@pytest.mark.parametrize("mock", [False, True], ids=["offline", "server"])
def test_bootstrap_grounded(server, monkeypatch, mock):
    if mock:
        for k, v in server.env.items():
            monkeypatch.setenv(k, v)
    model = open_model(load_settings(), temperature=0.7)
    out = asyncio.run(si.bootstrap(SEEDS, model, 50, CHUNKS, corpus="db"))
    assert out.kept and out.note == "corpus exhausted" and bool(server.log()) == mock
    texts = {c.id: c.text for c in CHUNKS}
    for p in out.kept:
        about = p.meta["self_instruct"]
        assert p.chunk_id in texts and p.sources and p.corpus == "db" and p.origin[-1].note == ""
        assert about["rouge_l"] <= 0.7 and about["nearest"] and p.question.startswith(about["instruction"])
        assert p.origin[-1].prompt == ("tasks_output_first" if about["classification"] else "tasks_input_first")
        assert p.origin[-1].faithful == "approximation" and len(p.origin[-1].calls) == 2
    pool = si.Pool(SEEDS)
    for t in accepted(out):
        assert (pool.similarity(t) <= 0.7).all(), "new against the seeds and against all that was accepted before it"
        pool.add(t)
    again = asyncio.run(si.bootstrap(SEEDS, model, 50, CHUNKS, corpus="db"))
    assert again.kept == out.kept, "a run repeats itself"
    few = asyncio.run(si.bootstrap(SEEDS, model, 2, CHUNKS, corpus="db"))
    assert few.kept == out.kept[:2] and few.note == "target reached"
    if not mock:
        strict = asyncio.run(si.bootstrap(SEEDS, model, 50, CHUNKS, tau=0.3))
        assert len(accepted(strict)) < len(accepted(out)) and strict.reasons["not_new"] > out.reasons.get("not_new", 0)
        assert {p.meta["self_instruct"]["classification"] for p in out.kept} == {True, False}, "both branches"


def test_bootstrap_ungrounded_says_so():
    out = asyncio.run(si.bootstrap(SEEDS, open_model(provider="offline"), 2, per_call=2, width=1, banned=()))
    assert out.kept and {p.origin[-1].note for p in out.kept} == {"ungrounded"} and not any(p.chunk_id or p.sources for p in out.kept)
    for bad, words in (([], "needs a pool"), (SEEDS, "at least 1 pair")):
        with pytest.raises(SynthgenError, match=words):
            asyncio.run(si.bootstrap(bad, open_model(provider="offline"), 0))


def test_the_step_begins_with_a_file_or_with_our_own(tmp_path):
    model, file = open_model(provider="offline", temperature=0.7), tmp_path / "seeds.jsonl"
    file.write_text("".join(json.dumps(dict(question=s, answer="A.")) + "\n" for s in SEEDS) + '{"instruction": "Name it."}\n')
    assert si.read_seeds(file) == [*SEEDS, "Name it."]
    step = method("self_instruct").function()
    out = asyncio.run(step(CHUNKS, model, target=3, seeds=file, corpus="db"))
    assert out.kept == asyncio.run(si.bootstrap([*SEEDS, "Name it."], model, 3, CHUNKS, corpus="db")).kept
    assert len(asyncio.run(step(CHUNKS, model, target=3)).kept) == 3
    file.write_text('{"text": "?"}\n')
    with pytest.raises(SynthgenError, match="no row has an `instruction` or a `question`"):
        si.read_seeds(file)
    prompts = ("tasks", "tasks_classify", "tasks_output_first", "tasks_input_first")
    assert {model.prompt(p).task for p in prompts} == set(method("self_instruct").replies)


def test_examples_are_six_and_two():
    seeds, made = [f"s{i}:" for i in range(20)], [f"m{i}" for i in range(20)]
    for have, want in ((0, 0), (1, 1), (20, 2)):
        examples = si.Examples(seeds)
        examples.made += made[:have]
        shown = examples.draw()
        assert len(set(shown)) == 8 and sum(x[0] == "m" for x in shown) == want and not any(x.endswith(":") for x in shown)


# the public files


def test_seeds_are_like_the_user_tasks_as_published(data):
    seeds = rows(data / "qa/selfinstruct_seed_tasks.jsonl")
    user = si.Pool(r["instruction"] for r in rows(data / "qa/selfinstruct_user_oriented_252.jsonl"))
    like = [user.similarity(r["instruction"]).max() for r in seeds]
    assert len(seeds) == 175 and len(user) == 252 and sum(r["is_classification"] for r in seeds) == 26
    assert np.mean(like) == pytest.approx(0.33880788, abs=1e-6) and sum(x == 1 for x in like) == 1
    pool, twins, kept = si.Pool(), [], si.Pool()
    for r in seeds:
        twins += [x for x in pool.similarity(r["instruction"]) if x > 0.7]
        if not len(kept) or kept.similarity(r["instruction"]).max() <= 0.7:
            kept.add(r["instruction"])
        pool.add(r["instruction"])
    assert len(twins) == 2 and max(twins) == pytest.approx(0.8235294117647058) and len(kept) == 173


def test_alpaca_obeys_its_own_rule(data):
    pool, above, exactly, close = si.Pool(), 0, 0, 0
    for r in json.loads((data / "qa/alpagasus_random_9k.json").read_text()):
        like = pool.similarity(r["instruction"], 0.649)
        above += int((like > 0.7).sum())
        exactly += int((like == 0.7).sum())
        close += int(((like >= 0.65) & (like <= 0.7)).sum())
        pool.add(r["instruction"])
    assert (len(pool), above, exactly, close) == (9229, 0, 39, 812)
    for r in rows(data / "qa/selfinstruct_seed_tasks.jsonl"):
        assert pool.similarity(r["instruction"], 0.7).max() <= 0.7


def test_a_model_s_reply_to_each_prompt_is_read():
    for name, value in dict(
        tasks=dict(instructions=["Say why it rains."]),
        tasks_classify=dict(classification=True),
        tasks_output_first=dict(instances=[dict(output="true", input="It rains.")]),
        tasks_input_first=dict(instances=[dict(input="", output="It rains.")]),
    ).items():
        assert parse_reply(f"Sure! {json.dumps(value)}", load_prompt(name).output) == (value, "")


def test_no_more_is_written_than_is_wanted():
    took, kept = [], []
    for target in (1, 4, 50):
        model = open_model(provider="offline", temperature=0.7)
        out = asyncio.run(si.bootstrap(SEEDS, model, target, CHUNKS))
        took.append(len(model.meter.keys))
        kept.append(out.kept)
        assert out.reasons.get("beyond_target", 0) < 2, "at most the last task gave one too many"
    assert took[0] <= took[1] <= took[2] and took[0] < took[2] and kept[0] == kept[1][:1] and kept[1] == kept[2][:4]
