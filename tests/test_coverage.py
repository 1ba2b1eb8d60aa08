"How varied a set is and how well a choice covers it: definitions, golden values, properties, and the command"

import asyncio
import json
import math
from collections import Counter

import numpy as np
import pytest
from conftest import static_vectors
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgen_nb.core.records import Chunk, Pair, Source, SynthgenError
from synthgen_nb.core.words import words
from synthgen_nb.select import coverage as cov
from synthgen_nb.select.coverage import STRATEGIES, coverage, facility, how_many, k_center, k_means, quotas, select_coverage, served, toucan_near
from synthgen_nb.select.diverse import dispersion, distinct, diversity_of, nearest, sampled, self_bleu
from synthgen_nb.select.over_chunks import by_document, over_chunks


def unit(n: int, d: int = 8, seed: int = 0, like: float = 0.3, groups: int = 5) -> np.ndarray:
    r = np.random.default_rng(seed)
    v = r.normal(size=(groups, d))[r.integers(0, groups, n)] + like * r.normal(size=(n, d))
    return (v / np.linalg.norm(v, axis=1, keepdims=True)).astype(np.float32)


def test_golden_values(data):
    "Measured before by other programs: .1453 and .155 by NLTK, .5623 by a greedy with the whole matrix"
    pool = json.loads((data / "qa/alpagasus_random_9k.json").read_text())
    seeds = [json.loads(line)["instruction"] for line in (data / "qa/selfinstruct_seed_tasks.jsonl").read_text().splitlines()]
    whole = ["\n".join(filter(None, (r["instruction"], r["input"]))) for r in pool]
    some = [words(t) for t in whole[:2000]]
    assert [distinct(some, n) for n in (1, 2, 3)] == pytest.approx([0.159, 0.585, 0.849], abs=0.002)
    asked = [pool[i]["instruction"] for i in sampled(whole, 200, 0)]
    assert self_bleu([words(t) for t in asked]) == pytest.approx(0.145, abs=0.01)
    assert self_bleu([words(t) for t in seeds]) == pytest.approx(0.155, abs=0.01)
    full = ["\n".join(filter(None, (r["instruction"], r["input"], r["output"]))) for r in pool[:2000]]
    v = static_vectors(full, data / "qa/static_embedding_128d")
    assert coverage(v, facility(v, 50)) == pytest.approx(0.5623, abs=5e-5)
    r = np.random.default_rng(0)
    assert np.mean([coverage(v, r.choice(2000, 50, replace=False)) for _ in range(20)]) == pytest.approx(0.4803, abs=0.006)
    assert dispersion(static_vectors(whole[:2000], data / "qa/static_embedding_128d")) == pytest.approx(0.861, abs=0.003)


def literal_bleu(hyp: list[str], refs: list[list[str]]) -> float:
    "NLTK's sentence_bleu with smoothing method1, read word by word"
    logs = 0.0
    for n in range(1, 5):
        grams = lambda t, n=n: Counter(tuple(t[i : i + n]) for i in range(len(t) - n + 1))
        own = grams(hyp)
        hits = sum(min(k, max(grams(r)[g] for r in refs)) for g, k in own.items())
        if n == 1 and not hits:
            return 0.0
        logs += math.log((hits or 0.1) / max(1, sum(own.values()))) / 4
    near = min((len(r) for r in refs), key=lambda size: (abs(size - len(hyp)), size))
    return math.exp(logs) * (1 if len(hyp) >= near else math.exp(1 - near / len(hyp)))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from("abcd"), max_size=9), min_size=2, max_size=7))
def test_self_bleu_is_the_definition(texts):
    each = [literal_bleu(t, texts[:i] + texts[i + 1 :]) if t else 0 for i, t in enumerate(texts)]
    assert self_bleu(texts) == pytest.approx(sum(each) / len(each))
    assert self_bleu(texts[::-1]) == pytest.approx(self_bleu(texts))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text("abc ", max_size=12), min_size=1, max_size=12), st.integers(0, 99), st.integers(1, 15))
def test_diversity_does_not_depend_on_the_order(texts, seed, n):
    at = {t: i for i, t in enumerate(sorted(set(texts)))}
    v = unit(len(at) + 1, seed=1)
    a, b = (diversity_of(t, v[[at[x] for x in t]], n, seed) for t in (texts, texts[::-1]))
    assert a.keys() == b.keys()
    assert all(a[k] == pytest.approx(b[k], abs=1e-6) if isinstance(a[k], float) else a[k] == b[k] for k in a)
    assert a["rows"] == min(n, len(texts)) and (a["dispersion"] is None) == (a["rows"] < 2)


def test_diversity_of_nothing_is_an_error_and_scripts_without_spaces_have_words():
    with pytest.raises(SynthgenError, match="no rows"):
        diversity_of([], np.zeros((0, 4)))
    assert distinct([words("分块存储")], 1) == 1 and len(words("分块存储")) == 4
    v = unit(300)
    assert nearest(v, 64) == pytest.approx((v @ v.T - 3 * np.eye(300)).max(1), abs=1e-6)


def literal(v: np.ndarray, k: int, best: np.ndarray, never=()) -> list[float]: # F after each choice
    like, out, free = np.maximum(v @ v.T, 0), [], [i for i in range(len(v)) if i not in never]
    best = best.copy()
    for _ in range(min(k, len(free))):
        gains = {j: np.maximum(like[:, j] - best, 0).sum() for j in free}
        j = max(free, key=lambda j: (gains[j], -j))
        free.remove(j)
        best = np.maximum(best, like[:, j])
        out.append(float(best.mean()))
    return out


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 70), st.integers(0, 10**6), st.integers(1, 70), st.booleans())
def test_facility_location_is_the_plain_greedy(n, seed, k, noted):
    "Lazily, with bounds that are given up, and with near pairs that are written down"
    v = unit(n, seed=seed)
    best = np.maximum(v @ v[0], 0) * (seed % 2)
    never = [0] if n > 1 else []
    old = cov.worth_noting
    cov.worth_noting = (lambda x, b, missing, chosen: chosen == 2) if noted else (lambda *a: False)
    try:
        kept = facility(v, k, best, never)
    finally:
        cov.worth_noting = old
    assert len(kept) == len(set(kept)) == min(k, n - len(never)) and not set(kept) & set(never)
    values, so_far = [], best.copy()
    for j in kept:
        so_far = np.maximum(so_far, v @ v[j])
        values.append(float(so_far.mean()))
    assert values == pytest.approx(literal(v, k, best, never), abs=1e-4), "no worse anywhere, ties aside"


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 60), st.integers(0, 10**6))
def test_coverage_is_monotone_with_diminishing_returns(n, seed):
    v, r = unit(n, seed=seed), np.random.default_rng(seed)
    small = r.choice(n, r.integers(1, n - 1), replace=False).tolist()
    large = [*small, *r.choice(n, n // 2).tolist()]
    j = int(r.integers(n))
    assert coverage(v, small) <= coverage(v, large) + 1e-6
    assert coverage(v, [*small, j]) - coverage(v, small) >= coverage(v, [*large, j]) - coverage(v, large) - 1e-6
    assert coverage(v, range(n)) == pytest.approx(1, abs=1e-5) and coverage(v, []) == 0


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 80), st.integers(0, 10**6))
def test_greedy_is_nested_and_no_worse_than_chance(n, seed):
    v, r = unit(n, seed=seed), np.random.default_rng(seed)
    k = int(r.integers(1, n + 1))
    for choose in (facility, k_center):
        assert choose(v, n)[:k] == choose(v, k), "a smaller target is the first part of a larger one"
    by_chance = [coverage(v, r.choice(n, k, replace=False)) for _ in range(9)]
    assert coverage(v, facility(v, k)) >= np.mean(by_chance) - 1e-6
    radius = lambda kept: 1 - served(v, kept)[0].min()
    assert radius(k_center(v, k)) <= 4 * min(radius(r.choice(n, k, replace=False)) for _ in range(9)) + 1e-5, "cosine: twice the distance"


def test_k_center_is_farthest_first_also_past_the_front():
    v = unit(3000, 12, 3, groups=40)
    kept = k_center(v, 200)
    near = v @ v[kept[0]]
    for j in kept[1:]:
        assert near[j] == pytest.approx(near.min(), abs=1e-5)
        near = np.maximum(near, v @ v[j])
    assert k_center(np.tile(v[:1], (5, 1)), 3) == [0, 1, 2] and k_center(v[:0], 3) == []


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 40), st.integers(0, 9), st.integers(1, 70))
def test_clusters_give_exactly_so_many(n, seed, k):
    v = unit(n, seed=seed)[np.random.default_rng(seed).integers(0, n, n)]  # with copies
    kept = k_means(v, k, seed)
    assert len(kept) == len(set(kept)) == min(k, n) and kept == k_means(v, k, seed)
    assert sum(quotas([n, k, 3], min(n, k))) == min(n, k)


def test_many_clusters_are_made_in_two_steps():
    v = unit(1500, 12, groups=60)
    kept = k_means(v, 400)
    r = np.random.default_rng(0)
    assert len(set(kept)) == 400 and coverage(v, kept) > np.mean([coverage(v, r.choice(1500, 400, replace=False)) for _ in range(5)])


def test_memory_grows_with_the_rows_and_not_with_their_square():
    import tracemalloc

    v = unit(6000, 4, groups=300)
    tracemalloc.start()
    facility(v, 3)
    assert tracemalloc.get_traced_memory()[1] < 6000 * 4 * 6000 / 4
    tracemalloc.stop()


@pytest.mark.parametrize("seed", range(5))
def test_toucans_rule_is_that_of_the_method(seed):
    v = unit(80, 3, seed)
    got, kept = toucan_near(v, -np.arange(80.0)), []
    for i in range(80):  # as it is described, row by row
        if not kept or min(((v[kept] - v[i]) ** 2).sum(1)) > 0.1 + 1e-6:
            kept.append(i)
    assert got.kept == kept and sorted(got.near) == [i for i in range(80) if i not in kept]
    with pytest.raises(SynthgenError, match="squared distance"):
        toucan_near(v, np.zeros(80), 5)


WORDS = "chunk group dataset filter cache link attribute header driver page queue lock heap index token mirror".split()
PAIRS = [
    Pair(question=f"What is a {a} of a {b}?", answer=f"It is the {a} that a {b} has, {'really ' * (i % 4)}always.")
    for i, (a, b) in enumerate(zip(WORDS, WORDS[1:] + WORDS[:1], strict=True))
]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_selection_is_the_same_in_any_order(strategy):
    a, b = (asyncio.run(select_coverage(rows, strategy=strategy)) for rows in (PAIRS, PAIRS[::-1]))
    assert [p.id for p in a.kept] == [p.id for p in b.kept] and len(a.kept) == 6 == math.floor(0.4 * 16)
    assert sorted(p.id for p in PAIRS) == sorted([p.id for p in a.kept] + [d.id for d in a.dropped])
    assert "random" in a.note and "longest answers" in a.note and a.dropped[0].detail.startswith("nearest chosen: ")


def test_toucans_rule_keeps_the_better_rated():
    from synthgen_nb.core.records import Score

    good = PAIRS[0].but(question=PAIRS[0].question + " ", scores=(Score(criterion="overall", value=9, scale=(0, 10)),))
    out = asyncio.run(select_coverage([*PAIRS, good], target_count=17, toucan=0.1))
    assert good.id in {p.id for p in out.kept} and out.reasons == {"similar_to": 1} and "17 were wanted, 16 are there" in out.note


@pytest.mark.parametrize("given, n", [((10, None, 0.4), 4), ((1, None, 0.4), 1), ((10, 3, 0.4), 3), ((5, None, 0.6), 3), ((7, None, 1), 7)])
def test_how_many(given, n):
    assert how_many(*given) == n


def test_command(synthgen):
    (synthgen.folder / "rows.jsonl").write_text("".join(json.dumps(dict(question=p.question, answer=p.answer)) + "\n" for p in PAIRS))
    said = synthgen("select-coverage", "rows.jsonl", "-o", "out.jsonl", "--target-count", 5, "--strategy", "facility")
    assert "kept 5, dropped 11 (not_chosen 11)" in said.stdout and "coverage (mean similarity" in said.stdout
    assert len((synthgen.folder / "out.jsonl").read_text().splitlines()) == 5
    why = synthgen("select-coverage", "rows.jsonl", "-o", "out.jsonl", "--strategy", "centroids", ok=False).stderr
    assert "did you mean 'centroid'" in why


@pytest.mark.parametrize(
    "wrong, why",
    [
        (dict(reduction_ratio=40), "share of the pairs that stays"),
        (dict(target_count=0), "at least 1"),
        (dict(embedding="word2vec"), "unknown embedding model"),
        (dict(toucan=-1), "squared distance"),
    ],
)
def test_what_no_choice_could_meet(wrong, why):
    with pytest.raises(SynthgenError, match=why):
        asyncio.run(select_coverage(PAIRS, **wrong))


def test_over_chunks():
    "A chunk without a pair is thin unless a pair is as near as those of other chunks are"
    chunks = [Chunk(text=t, sources=(Source(path=f"{t[0]}.md", end=1),)) for t in ("a one", "a two", "b three", "b four")]
    v = np.eye(5, dtype=np.float32)[:4]
    v[3] = v[0]  # says what the first says
    pairs = [Pair(question="Why?", answer="One.", chunk_id=chunks[0].id), Pair(question="How?", answer="Two.", chunk_id="of another program")]
    cover = over_chunks(chunks, pairs, v, v[:2])
    assert cover.own.tolist() == [1, 1, 0, 0] and cover.thin.tolist() == [False, False, True, False] and cover.by_likeness == 1
    table = by_document(chunks, cover)
    assert [(r["document"], r["thin"], r["without"], r["pairs"]) for r in table] == [("b.md", 1, 2, 0), ("a.md", 0, 0, 2)]


def test_the_map_of_a_corpus(synthgen):
    for t in ("cache", "filter", "group"):
        (synthgen.folder / f"{t}.md").write_text(f"# The {t}\n\nThe {t} is a part of the format that holds entries of 64 KiB, one after the other.\n")
    synthgen("ingest", "cache.md", "filter.md", "group.md", "-o", "db")
    synthgen("generate", "db", "-o", "pairs.jsonl", "--n-pairs", 1, "--max-chunks", 1)
    said = synthgen("coverage", "pairs.jsonl", "-o", "map.json")
    assert "pairs 1, chunks 3, documents 3; chunks without a pair of their own: 2" in said.stdout
    found = json.loads((synthgen.folder / "map.json").read_text())
    assert [c["pairs"] for c in found["chunks"]].count(0) == 2 and (synthgen.folder / "map.png").read_bytes()[:4] == b"\x89PNG"
    (synthgen.folder / "own.jsonl").write_text(json.dumps(dict(question="Why?", answer="So.")) + "\n")
    assert "Give it with --db" in synthgen("coverage", "own.jsonl", ok=False).stderr
