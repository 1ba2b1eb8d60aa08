"""The golden path, offline: every command, as a user types it, and what it leaves on the disk."""

import json
import shutil
from itertools import pairwise
from pathlib import Path

import nbformat
import pyarrow.parquet as pq
import pytest
from conftest import SYNTHGEN, command, rows, write_docs

from synthgen_nb.core.records import Pair, load

GOLDEN = Path(__file__).parent / "golden"
flat = lambda s: " ".join(s.split())


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    "A folder where documents were ingested, two of them of no use; commands run there"
    folder = tmp_path_factory.mktemp("shop")
    docs = write_docs(folder / "docs", 4)
    (docs / "numbers.txt").write_text("1 2 3 4 5 6 7 8 9\n" * 50)
    (docs / "picture.png").write_bytes(b"\x89PNG\0\0")
    run = command(folder)
    run.ingested = run("ingest", "docs", "-o", "db")
    return run


@pytest.fixture(scope="module")
def made(shop):
    shop("generate", "db", "-o", "pairs.jsonl")
    return shop


@pytest.fixture(scope="module")
def piped(shop):
    "One recorded run over the documents, into a store of calls of its own"
    shop("pipeline", "docs", "-o", "train.jsonl", env={"SYNTHGEN_PATHS_CALLS": "pipe.db"})
    shop.run = next(shop.folder.glob("runs/*"))
    return shop


def test_ingest_names_what_it_skips(shop):
    assert "5 chunks in db from 5 documents; 1 files skipped" in shop.ingested.stdout
    assert "docs/picture.png" in shop.ingested.stderr


def test_generate_notes_what_is_not_worth_asking_and_never_asks_twice(made):
    pairs, dropped = rows(made.folder / "pairs.jsonl"), rows(made.folder / "pairs_dropped.jsonl")
    assert len(pairs) == 12 and {p["origin"][0]["model"] for p in pairs} == {"offline/extractive"}
    assert [(d["reason"], d["record"]["sources"][0]["path"]) for d in dropped] == [("unsuitable", "docs/numbers.txt")] and dropped[0][
        "detail"
    ]
    assert "5 calls (0 sent now, 5 from the store)" in made("generate", "db", "-o", "again.jsonl").stdout
    assert (made.folder / "again.jsonl").read_bytes() == (made.folder / "pairs.jsonl").read_bytes()


def test_target_pairs_is_exact_and_spread_over_documents(made):
    made("generate", "db", "-o", "some.json", "--target-pairs", 10)
    pairs = json.loads((made.folder / "some.json").read_text())
    assert len(pairs) == 10 == len({p["question"] for p in pairs}) and len({p["chunk_id"] for p in pairs}) == 4
    r = made("generate", "db", "-o", "some.json", "--target-pairs", 500)
    found = len(json.loads((made.folder / "some.json").read_text()))
    assert 10 < found < 500 and f"only {found} of 500 pairs" in r.stderr


def test_chunk_ids_choose_chunks_and_what_an_earlier_run_dropped_is_not_left_beside(made):
    ids = list(dict.fromkeys(p["chunk_id"] for p in rows(made.folder / "pairs.jsonl")))[1:3]
    shutil.copy(made.folder / "pairs_dropped.jsonl", made.folder / "two_dropped.jsonl")
    made("generate", "db", "-o", "two.jsonl", "--chunk-ids", ",".join(ids), "--table", "chunks")
    (made.folder / "ids.txt").write_text("\n".join(ids))
    made("generate", "db", "-o", "two_again.jsonl", "--chunk-ids", "ids.txt")
    assert {p["chunk_id"] for p in rows(made.folder / "two.jsonl")} == set(ids)
    assert (made.folder / "two.jsonl").read_bytes() == (made.folder / "two_again.jsonl").read_bytes()
    assert not (made.folder / "two_dropped.jsonl").exists(), "nothing was dropped this time"


def test_stage_by_stage_through_every_kind_of_file(made):
    original = {p["chunk_id"]: p for p in rows(made.folder / "pairs.jsonl")}
    made("enrich", "pairs.jsonl", "-o", "rich.parquet")
    rich = load(made.folder / "rich.parquet", Pair)
    assert len(rich) == 12 and {p.chunk_id for p in rich} == set(original)
    assert all([o.method for o in p.origin] == ["grounded_qa", "rewrite_from_source"] for p in rich)

    said = made("curate", "rich.parquet", "-o", "good.json", "--threshold", "9").stdout
    rated, dropped = (json.loads((made.folder / f"good_{x}.json").read_text()) for x in ("rated", "dropped"))
    good, metrics = json.loads((made.folder / "good.json").read_text()), json.loads((made.folder / "good_metrics.json").read_text())
    assert len(rated) == 12 == len(good) + len(dropped) and good and dropped and "ratings:" in said
    for p in rated:
        *parts, overall = p["scores"]
        assert overall["criterion"] == "overall" and overall["value"] == sum(s["value"] for s in parts)
        assert all(s["rationale"] and s["judge"] == "offline/extractive" for s in parts)
    assert {p["scores"][-1]["value"] >= 9 for p in good} == {True}
    assert {d["reason"].split(":")[0] for d in dropped} == {"below_threshold"} and {
        d["record"]["scores"][-1]["value"] < 9 for d in dropped
    } == {True}
    assert (
        metrics["rated"] == 12
        and metrics["kept"] == len(good)
        and metrics["without_source"] == 0
        and sum(metrics["distribution"].values()) == 12
    )

    off_topic = made("curate", "rich.parquet", "-o", "topic.jsonl", "--topic", "volcanic eruptions of Iceland", ok=False)
    assert "off_topic 12" in off_topic.stderr and not (made.folder / "topic.jsonl").exists()

    made("export", "good.json", "-o", "t.parquet")
    table = pq.read_table(made.folder / "t.parquet").to_pylist()
    assert [m["role"] for m in table[0]["messages"]] == ["user", "assistant"] and len(table) == len(good)
    made("export", "good.json", "-o", "t.json", "-f", "alpaca")
    assert [r["instruction"] for r in json.loads((made.folder / "t.json").read_text())] == [p["question"] for p in good]


def test_export_formats_are_byte_for_byte_the_golden_files(tmp_path, synthgen, monkeypatch):
    for f in ("chatml", "alpaca", "sharegpt", "jsonl"):
        synthgen(
            "export",
            GOLDEN / "pairs.jsonl",
            "-o",
            f"{f}.jsonl",
            "-f",
            f,
            *(["--system-prompt", "Be brief. «Kurz.»"] if f != "jsonl" else []),
        )
        assert (tmp_path / f"{f}.jsonl").read_bytes() == (GOLDEN / f"{f}.jsonl").read_bytes(), f
    assert load(tmp_path / "jsonl.jsonl", Pair) == load(GOLDEN / "pairs.jsonl", Pair)
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    import datasets

    d = datasets.load_dataset("json", data_files=str(GOLDEN / "chatml.jsonl"), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(d) == 3 and d[1]["messages"][2]["content"].startswith("Größe")


def test_run_record_says_everything(piped):
    run, r = piped.run, json.loads((piped.run / "run.json").read_text())
    assert (run / "train.jsonl").read_bytes() == (piped.folder / "train.jsonl").read_bytes()
    assert {f.name for f in run.iterdir()} >= {"qa.ipynb", "run.json", "README.md", "train.jsonl", "records", "funnel.svg", "ratings.png"}
    assert {f.name for f in (run / "records").iterdir()} == {f"{n}.jsonl" for n in ("generated", "rewritten", "rated", "dropped", "final")}
    assert (
        r["status"] == "done"
        and r["model"] == "offline/extractive"
        and r["command"] == "synthgen pipeline docs -o train.jsonl"
        and "pid" not in r
        and "error" not in r
    )
    assert (
        set(r["prompts"]) == {"qa_text", "rewrite", "judge"}
        and r["rubric"].startswith("workbench@")
        and {"python", "synthgen_nb", "litellm"} <= set(r["versions"])
    )
    assert r["parameters"]["source"] == ["docs"] and r["parameters"]["n_pairs"] == 3 and r["parameters"]["threshold"] is None, (
        "defaults are resolved"
    )
    book = nbformat.read(run / "qa.ipynb", 4)
    assert all(c.execution_count for c in book.cells if c.cell_type == "code") and str(piped.folder) not in (run / "qa.ipynb").read_text()
    card = (run / "README.md").read_text()
    assert (
        card.startswith("---\npretty_name: train\n") and "\ntask_categories:" in card
        and "offline extractive model" in card
        and r["command"] in card
        and "docs/doc000.md" in card
    )


def test_funnel_adds_up_and_matches_the_files(piped):
    r, records = json.loads((piped.run / "run.json").read_text()), piped.run / "records"
    f = {x["stage"]: x for x in r["funnel"]}
    for x in f.values():
        assert x["in"] == x["out"] + x["lost"] and x["lost"] == sum(int(w.rsplit(" ", 1)[1]) for w in x["why"].split(", ") if w)
    chain = [f[s] for s in ("generate", "rewrite", "evidence", "judge", "dedup", "target")]
    assert all(a["out"] == b["in"] for a, b in pairwise(chain))
    count = {n: len(rows(records / f"{n}.jsonl")) for n in ("generated", "rewritten", "rated", "dropped", "final")}
    assert (f["generate"]["out"], f["rewrite"]["out"], f["judge"]["in"], f["target"]["out"]) == tuple(
        count[n] for n in ("generated", "rewritten", "rated", "final")
    )
    assert count["dropped"] == sum(x["lost"] for x in f.values()) - f["target"]["lost"]
    assert (f["read"]["in"], f["read"]["lost"], f["ask"]["lost"]) == (6, 1, 1), "the picture and the numbers"
    assert r["export"]["rows"] == count["final"] == len(rows(piped.folder / "train.jsonl"))


def test_answers_are_spans_of_their_chunks_and_questions_are_unique(piped):
    from synthgen_nb.corpus.store import read_chunks

    texts = {c.id: flat(c.text) for c in read_chunks(piped.run / "db")}
    final = rows(piped.run / "records/final.jsonl")
    assert final and all(flat(p["answer"]) in texts[p["chunk_id"]] for p in final)
    assert len({p["question"].casefold().rstrip("?") for p in final}) == len(final)
    assert [r["messages"] for r in rows(piped.folder / "train.jsonl")] == [
        [{"role": "user", "content": p["question"]}, {"role": "assistant", "content": p["answer"]}] for p in final
    ]


def test_same_pipeline_again_asks_nothing_and_gives_the_same_bytes(piped):
    first, old = (piped.folder / "train.jsonl").read_bytes(), set(piped.folder.glob("runs/*"))
    again = command(piped.folder, [SYNTHGEN])  # a process of its own, so that sets have another order
    again("pipeline", "docs", "-o", "train.jsonl", env={"SYNTHGEN_PATHS_CALLS": "pipe.db"})
    assert (piped.folder / "train.jsonl").read_bytes() == first
    (new,) = set(piped.folder.glob("runs/*")) - old
    a, b = (json.loads((d / "run.json").read_text())["stages"] for d in (piped.run, new))
    assert sum(s["paid"] for s in a) == sum(s["calls"] for s in a) > 0 == sum(s["paid"] for s in b)
    assert [s["calls"] for s in a] == [s["calls"] for s in b]


def test_target_of_accepted_rows_is_met_in_several_rounds(piped):
    piped(
        "pipeline",
        "docs",
        "-o",
        "twenty.jsonl",
        "--target-pairs",
        "20",
        "--n-pairs",
        "2",
        "--no-rewrite",
        env={"SYNTHGEN_PATHS_CALLS": "pipe.db"},
        timeout=60,
    )
    assert len(rows(piped.folder / "twenty.jsonl")) == 20


def test_run_with_parameters_and_the_commands_that_look(piped):
    said = piped(
        "run",
        "qa",
        "-p",
        "source=docs/doc000.md",
        "-p",
        "source=docs/doc001.md",
        "-p",
        "target_pairs=4",
        "-p",
        "format=alpaca",
        "-p",
        "rewrite=no",
        "-p",
        "threshold=8",
    ).stdout
    folder = piped.folder / said.split("run record: ")[1].split("\n")[0]
    r = json.loads((folder / "run.json").read_text())
    assert (
        r["export"] == dict(file="train.jsonl", format="alpaca", rows=4, documents=2)
        and r["ended"] == "target reached"
        and r["threshold"] == 8
    )
    assert (
        r["command"]
        == "synthgen run qa -p source=docs/doc000.md -p source=docs/doc001.md -p target_pairs=4 -p format=alpaca -p rewrite=no -p threshold=8"
    )
    assert [set(x) for x in rows(folder / "train.jsonl")] == [{"instruction", "input", "output", "id"}] * 4

    listed = piped("runs").stdout.splitlines()
    assert listed[0].split()[:3] == ["run", "status", "rows"] and listed[-1].split()[:3] == [folder.name, "done", "4"]
    shown = piped("show", "last").stdout
    assert (
        shown == piped("show", folder.name).stdout
        and shown.startswith(f"{folder.name}: done")
        and "target reached" in shown
        and "target_pairs=4" in shown
    )
    assert [line.split()[0] for line in shown.splitlines() if line.split()[1:2] == ["pairs"]] == [
        "generate",
        "rewrite",
        "evidence",
        "judge",
        "dedup",
        "target",
    ]
    assert piped("show", piped.run).stdout.startswith(f"{piped.run.name}: done"), "a folder names a run too"


def test_dropped_rows_are_listed_by_stage_and_reason(piped):
    kept = [json.loads(line) for line in open(piped.run / "records" / "dropped.jsonl")]
    listed = json.loads(piped("show", piped.run, "--dropped", "all", "--json").stdout)
    assert [d["id"] for d in listed] == [d["id"] for d in kept] and all(d["asks"] for d in listed)
    assert kept, "or nothing is tested"
    stage, reason = kept[0]["stage"], kept[0]["reason"].partition(":")[0]
    for word, key in ((stage, "stage"), (reason, "reason")):
        some = json.loads(piped("show", piped.run, "--dropped", word, "--json").stdout)
        assert [d["id"] for d in some] == [d["id"] for d in kept if d[key].partition(":")[0] == word]
    assert kept[0]["id"] in piped("show", piped.run, "--dropped", reason).stdout
    r = piped("show", piped.run, "--dropped", "no-such", ok=False)
    assert "'no-such'" in r.stderr and stage in r.stderr and reason in r.stderr


def test_providers_and_prompts_are_listed(shop):
    r = shop("list-providers", env={"OPENAI_API_KEY": "", "GEMINI_API_KEY": "something"})
    state = {line.lstrip("* ").split()[0]: line for line in r.stdout.splitlines()[1:8]}
    assert (
        r.stdout.splitlines()[1].startswith("* offline")
        and "ready" in state["offline"]
        and "set OPENAI_API_KEY" in state["openai"]
        and "configured" in state["gemini"]
    )
    assert "something" not in r.stdout
    listed = shop("prompts").stdout
    assert all(name in listed for name in ("judge", "qa_code", "qa_text", "rewrite", "workbench"))
    assert "passage" in shop("prompts", "qa_text").stdout and "anchors" in shop("prompts", "workbench").stdout


def test_calls_are_counted_exported_and_forgotten(made):
    env = {"SYNTHGEN_PATHS_CALLS": "few.db"}
    assert "no calls yet" in made("calls", env=env).stdout and not (made.folder / "few.db").exists()
    made("generate", "db", "-o", "few.jsonl", "--max-chunks", "2", env=env)
    assert "offline/extractive  qa_text  2" in made("calls", env=env).stdout
    made("calls", "--export", "calls.jsonl", env=env)
    calls = rows(made.folder / "calls.jsonl")
    assert len(calls) == 2 and all(c["ok"] and json.loads(c["text"])["suitable"] and c["request"]["messages"] for c in calls)
    assert made("calls", "--prune-days", "1", env=env).stdout == "0 calls forgotten\n"
    assert made("calls", "--prune-days", "0", "--model", "openai/other", env=env).stdout == "0 calls forgotten\n"
    assert made("calls", "--prune-days", "0", env=env).stdout == "2 calls forgotten\n"
    assert "no calls" in made("calls", env=env).stdout


def test_a_run_says_that_the_budget_ended_it(tmp_path, synthgen, docs):
    r = synthgen("pipeline", "docs", "-o", "train.jsonl", "--chunk-tokens", "32-1024", "--target-pairs", "500", "--max-calls", "6")
    assert "budget spent" in r.stderr and "of 500" in synthgen("show").stdout and len(rows(tmp_path / "train.jsonl")) < 12
