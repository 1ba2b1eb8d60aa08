"""Gorilla's matching of sub-trees, held against what its models answered."""

from conftest import rows

from synthgen_nb.tools.gorilla import first_match, grade, reference


def test_gorilla_numbers_of_the_files_at_hand(data):
    want = {
        ("tensorflowhub", "RT_bm25"): (41.9, 2.77),
        ("tensorflowhub", "RT_gpt_index"): (64.96, 2.19),
        ("tensorflowhub", "FT_0_shot"): (83.94, 5.26),
        ("tensorflowhub", "RT_oracle"): (93.87, 2.34),
        ("torchhub", "RT_bm25"): (50.0, 5.91),
        ("torchhub", "FT_0_shot"): (75.81, 16.13),
        ("huggingface", "FT_0_shot"): (69.36, 10.95),
        ("huggingface", "RT_bm25"): (15.71, 6.42),
        ("huggingface", "RT_oracle"): (89.27, 6.97),
    }
    want = {k: v for k, v in want.items() if (data / f"tools/apibench/data/api/{k[0]}_api.jsonl").exists()}
    read = lambda p: rows(data / "tools/apibench" / p)
    for (hub, cell), (overall, hallucination) in want.items():
        apis, exam = read(f"data/api/{hub}_api.jsonl"), read(f"data/apibench/{hub.removesuffix('hub') if hub[1] == 'e' else hub}_eval.json")
        answers = read(f"gorilla/eval/eval-data/responses/{hub}/response_{hub}_Gorilla_{cell}.jsonl")
        pairs = [(a["text"], exam[a["question_id"] - 1]["api_data"]["domain"]) for a in answers]
        assert grade(pairs, [reference(a["api_call"], hub) for a in apis], [a["domain"] for a in apis]) == dict(overall=overall, hallucination=hallucination)


def test_a_keyword_counts_by_its_value_alone_where_the_hub_says_so():
    call = "AutoModel.from_pretrained('a/b', revision='x', trust=True)"
    assert reference(call, "huggingface") == ("AutoModel.from_pretrained", ["a/b", "x", "True"])
    assert first_match("m = AutoModel.from_pretrained('a/b', rev = 'x', trust = True)", [reference(call, "huggingface")]) == 0
    assert first_match("m = AutoModel.from_pretrained('a/b', rev = 'y', trust = True)", [reference(call, "huggingface")]) == -1


def test_a_share_of_rows_is_shown_without_its_tools_from_the_command_line(tmp_path, synthgen):
    synthgen("tool-generate", "hdf5", "-o", "rows.jsonl", "--target-pairs", 6, "--absent", 0.5, "--single-step")
    kept = rows(tmp_path / "rows.jsonl")
    none = [r for r in kept if r["no_call"]]
    assert 0 < len(none) < 6
    for r in none:
        assert r["no_call"] == "irrelevance" and not any(t["calls"] for t in r["turns"]) and r["tools"]
    done = synthgen("tool-curate", "rows.jsonl", "-o", "good.jsonl")
    assert "kept 6 of 6" in done.stdout
    assert "--absent" in synthgen("tool-generate", "hdf5", "-o", "rows.jsonl", "--absent", 1.5, ok=False).stderr
