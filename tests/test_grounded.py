"""Grounded QA: documents take turns, a target is met to the pair, and every reply is read the same way"""

import asyncio
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgen_nb.core.models import Answer, open_model
from synthgen_nb.core.prompts import load_prompt
from synthgen_nb.core.records import Chunk, Pair, Source, SynthgenError
from synthgen_nb.qa import grounded

few = settings(max_examples=25, deadline=None)


def chunk(path, i):
    text = f"# Part {i}\n\nPart {i} of {path} is the unit that holds block {i}. The `level_{i}` parameter sets its size, from 0 to {i + 5}.\n"
    return Chunk(text=text, sources=(Source(path=path, end=len(text), section=(f"Part {i}",)),))


LIBRARY = [chunk(f"{d}.md", i) for d, n in dict(a=4, b=1, c=2).items() for i in range(n)]


def generate(target=None, n=2, model=None):
    return asyncio.run(grounded.generate(LIBRARY, model or open_model(provider="offline", temperature=0.7), n, target))


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=12), st.integers(1, 12))
@few
def test_any_first_part_covers_as_many_documents_as_it_can(paths, k):
    order = grounded.spread([chunk(p, i) for i, p in enumerate(paths)])
    assert Counter(c.path for c in order) == Counter(paths)
    assert len({c.path for c in order[:k]}) == min(k, len(set(paths)))


@given(st.integers(1, 500), st.floats(0, 5))
@few
def test_a_wave_asks_for_at_least_what_is_missing_and_at_most_five_calls_a_pair(missing, mean):
    w = grounded.wave_size(missing, mean)
    assert 1 <= w <= 5 * missing + 1 and (mean < 0.2 or w * mean >= missing - 1e-6)


@pytest.mark.parametrize("target", [1, 2, 3, 5, 6])
def test_a_target_is_met_to_the_pair_and_a_larger_one_asks_the_same_calls_first(target):
    out, more = generate(target), generate(target + 1)
    assert len(out.kept) == target and out.note == "target reached"
    assert [p.id for p in more.kept[:target]] == [p.id for p in out.kept], "a larger target goes on where a smaller one stopped"
    assert all(d.reason == "beyond_target" for d in out.dropped if isinstance(d.record, Pair))


def test_a_corpus_that_has_no_more_to_give_says_so():
    out = generate(1000)
    assert out.note == "corpus exhausted" and len({p.question for p in out.kept}) == len(out.kept) < 1000


def test_one_round_asks_every_chunk_once():
    model = open_model(provider="offline", temperature=0.7)
    out = generate(model=model)
    assert model.meter.paid == len(LIBRARY) and not out.note
    assert {p.origin[0].method for p in out.kept} == {"grounded_qa"} and all(p.chunk_id and p.sources for p in out.kept)


def test_each_row_of_a_reply_is_kept_or_dropped_with_its_reason():
    c, p = LIBRARY[0], load_prompt("qa_text")
    ask = lambda *rows: Answer(value=dict(suitable=True, reason="", pairs=[dict(question=q, answer=a) for q, a in rows]), model="m")
    out = grounded.pairs_of(c, ask(("Why?", "So."), ("why", "So."), ("How?", " "), ("Who?", "He."), ("When?", "Now.")), p, 2, ["Where?"], "db")
    assert [x.question for x in out.kept] == ["Why?", "Who?"] and {x.corpus for x in out.kept} == {"db"}
    assert [d.reason for d in out.dropped] == ["repeated_question", "invalid_pair", "more_than_asked"]
    assert grounded.pairs_of(c, ask(("Where?", "Here.")), p, 2, ["Where?"]).reasons == {"repeated_question": 1}
    assert not grounded.pairs_of(c, ask(), p, 2, ["Where?"]).dropped, "a chunk that has nothing new is finished, not dropped"
    assert grounded.pairs_of(c, ask(), p, 2, []).reasons == {"no_pairs": 1}
    assert grounded.pairs_of(c, Answer(error="timeout: 60 s"), p, 2, []).reasons == {"no_reply": 1}


@pytest.mark.parametrize("n, target, words", [(0, None, "n_pairs is 0"), (1, 0, "target_pairs is 0")])
def test_numbers_that_no_run_could_meet(n, target, words):
    with pytest.raises(SynthgenError, match=words):
        generate(target, n)
    with pytest.raises(SynthgenError, match="no chunks"):
        asyncio.run(grounded.generate([], open_model(provider="offline")))


@given(st.integers(1, 300), st.integers(1, 100), st.integers(1, 5))
@few
def test_a_call_asks_for_no_more_than_each_chunks_part(target, chunks, n_pairs):
    n = grounded.pairs_per_call(target, chunks, n_pairs)
    assert 1 <= n <= n_pairs and (n == n_pairs or n * chunks >= target) and (n == 1 or (n - 1) * chunks < grounded.SPARE * target)
    assert grounded.pairs_per_call(target + 1, chunks, n_pairs) >= n and grounded.pairs_per_call(None, chunks, n_pairs) == n_pairs


def test_a_small_target_comes_from_many_chunks():
    model = open_model(provider="offline", temperature=0.7)
    out = generate(6, 3, model)
    assert len(out.kept) == 6 and len({p.chunk_id for p in out.kept}) >= 3 and len({p.sources for p in out.kept}) == 3
    assert len({p.chunk_id for p in generate(3, 3).kept}) == 3


def test_the_same_files_in_another_folder_are_the_same_calls(tmp_path):
    keys = []
    for folder in ("/home/ann/secret/docs", str(tmp_path / "docs"), "/srv/lib/docs", "docs", "C:\\Users\\ann\\docs"):
        moved = [chunk(c.path, i).but(sources=(c.sources[0].model_copy(update=dict(path=f"{folder}/{c.path}")),)) for i, c in enumerate(LIBRARY)]
        out = asyncio.run(grounded.generate(moved, open_model(provider="offline", temperature=0.7), 2))
        keys.append([p.origin[0].calls for p in out.kept])
        assert all(p.sources[0].startswith(folder) for p in out.kept), "the record keeps the full name"
    assert keys[0] and all(k == keys[0] for k in keys)


@pytest.mark.parametrize(
    "paths, names",
    [
        (["README.md", "docs/api/a.md"], ["README.md", "docs/api/a.md"]),
        (["/home/ann/secret/x/a.md", "/home/ann/secret/b.md"], ["secret/x/a.md", "secret/b.md"]),
        (["/home/ann/p/q/a.md", "/home/bob/b.md"], ["q/a.md", "bob/b.md"]),
        (["/home/ann/secret/a.md"], ["secret/a.md"]),
        (["manual/src/a.md", "manual/src/b/c.md"], ["manual/a.md", "manual/b/c.md"]),
        (["manual/a.md"], ["manual/a.md"]),
        (["/home/ann/a.md"], ["a.md"]),
        (["https://example.org/docs/a.html", "../x/b.md"], ["https://example.org/docs/a.html", "b.md"]),
    ],
)
def test_a_prompt_names_a_document_from_the_folder_that_all_share(paths, names):
    assert list(grounded.short_names(paths)[p] for p in paths) == names
