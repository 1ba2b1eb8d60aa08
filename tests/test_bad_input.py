"""Whatever is wrong is said in plain words on stderr, with a status of its own, and nothing half done is left behind."""

import json
import os
import shutil

import pytest
from conftest import command, write_docs

PAIR = {"question": "What is a chunk?", "answer": "A piece of a document."}
SECRET = "sk-" + "abcdefgh12345678"
NUMBERS = "1 2 3 4 5 6 7 8 9\n" * 50


def put(folder, **files):
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    "A folder with documents, a chunk database and pairs; commands run there and may only fail"
    folder = tmp_path_factory.mktemp("bad")
    write_docs(folder / "docs", 1)
    (folder / "empty").mkdir()
    (folder / "binary").mkdir()
    (folder / "binary/blob.md").write_bytes(b"\x00\x01\x02")
    (folder / "barren").mkdir()
    (folder / "barren/numbers.txt").write_text(NUMBERS)
    put(
        folder,
        pairs__jsonl=json.dumps(PAIR) + "\n",
        broken__jsonl=json.dumps(PAIR) + '\n\n{"question": "What\n',
        object__json="{}",
        file="",
        notjson__yaml="llm: [",
        rows__jsonl='{"q": 1}\n[1]\n{"question": " ", "answer": "x"}\n',
        foreign__jsonl=json.dumps(PAIR | {"chunk_id": "x:1:abc", "source_file": "x.md"}) + "\n",
        lost__jsonl=json.dumps(PAIR | {"chunk_id": "0" * 16, "corpus": "gone/db"}) + "\n",
        key__yaml="llm:\n  provder: ollama\n",
        value__yaml="llm:\n  vllm: {workers: many}\n",
    )
    run = command(folder)
    run("ingest", "docs", "-o", "db")
    run.before = tree(folder)
    return run


def tree(folder):
    return sorted(
        p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.name not in (".synthgen",) and ".synthgen" not in p.parts
    )


def refused(run, args, *words, env=None, lines=3):
    "The command fails, says these words in a few lines, and leaves nothing behind"
    r = run(*args, ok=False, env={"OPENAI_API_KEY": "", **(env or {})})
    assert r.stdout == ""
    assert len(r.stderr.splitlines()) <= lines, r.stderr
    for w in words:
        assert w in r.stderr, r.stderr
    assert tree(run.folder) == run.before
    return r


GENERATE, EXPORT = ("generate", "db", "-o", "out.jsonl"), ("export", "pairs.jsonl", "-o", "out.jsonl")


@pytest.mark.parametrize(
    "args, words",
    [
        # paths
        (("ingest", "nowhere", "-o", "new"), ["nowhere: no such file or folder"]),
        (("ingest", "empty", "-o", "new"), ["nothing to read in empty", "found no file"]),
        (("ingest", "binary", "-o", "new"), ["nothing to read in binary", "blob.md: binary"]),
        (("ingest", "docs", "-o", "file"), ["file: a file stands where the database should be"]),
        (("ingest", "docs", "-o", "new", "--chunk-tokens", "many"), ["'many'", "512-1024"]),
        (("generate", "nowhere", "-o", "out.jsonl"), ["nowhere: no such database"]),
        (("generate", "docs", "-o", "out.jsonl"), ["docs: not a LanceDB"]),
        ((*GENERATE, "--table", "chunk"), ["no table 'chunk'", "chunks"]),
        ((*GENERATE, "--chunk-ids", "0123"), ["no chunk with the id '0123'"]),
        (("export", "nowhere.jsonl", "-o", "out.jsonl"), ["nowhere.jsonl: no such file"]),
        # rows
        (("export", "broken.jsonl", "-o", "out.jsonl"), ["broken.jsonl: line 3 is not JSON"]),
        (("export", "object.json", "-o", "out.jsonl"), ["object.json: expected a list of rows"]),
        (
            ("export", "rows.jsonl", "-o", "out.jsonl"),
            ["line 1: question: Field required", "line 2: expected an object", "line 3: question is empty", "holds no pair; 3 rows"],
        ),
        (("enrich", "foreign.jsonl", "-o", "out.jsonl"), ["foreign.jsonl: none of the 1 pairs has its chunk at hand", "--db"]),
        (("enrich", "lost.jsonl", "-o", "out.jsonl"), ["gone/db", "not there", "--db"]),
        # outputs
        (("export", "pairs.jsonl", "-o", "file/out.jsonl"), ["cannot write file/out.jsonl"]),
        (("export", "pairs.jsonl", "-o", "file/deep/er/out.jsonl"), ["cannot write file/deep/er/out.jsonl"]),
        (("export", "pairs.jsonl", "-o", "docs"), ["docs", ".jsonl"]),
        (("export", "pairs.jsonl", "-o", "out.csv"), ["out.csv", ".json, .jsonl, .parquet", "'.csv'"]),
        (("pipeline", "docs", "-o", "file/out.jsonl"), ["cannot write file/out.jsonl"]),
        # names and numbers
        ((*EXPORT, "-f", "chatlm"), ["unknown format 'chatlm'", "did you mean 'chatml'?"]),
        (("curate", "pairs.jsonl", "-o", "out.jsonl", "--rubric", "workbnch"), ["no rubric 'workbnch'", "did you mean 'workbench'?"]),
        (("curate", "pairs.jsonl", "-o", "out.jsonl", "--threshold", "11"), ["threshold 11 is outside 0–10", "workbench"]),
        ((*GENERATE, "--provider", "opnai"), ["unknown provider 'opnai'", "did you mean 'openai'?"]),
        ((*GENERATE, "--provider", "openai"), ["OPENAI_API_KEY", "not set", "export OPENAI_API_KEY="]),
        ((*GENERATE, "--model", "gpt-4o"), ["offline provider has no model 'gpt-4o'", "--provider"]),
        ((*GENERATE, "--config", "key.yaml"), ["key.yaml: unknown key 'llm.provder'", "did you mean 'provider'?"]),
        ((*GENERATE, "--config", "value.yaml"), ["value.yaml: llm.vllm.workers", "got 'many'"]),
        ((*GENERATE, "--config", "notjson.yaml"), ["notjson.yaml: not valid YAML"]),
        ((*GENERATE, "--config", "none.yaml"), ["none.yaml: no such settings file"]),
        (("show", "2020"), ["no run '2020' in runs"]),
        (("prompts", "qa_txt"), ["'qa_txt'", "did you mean 'qa_text'?"]),
        # parameters of a run
        (("run", "qb"), ["no pipeline 'qb'", "qa"]),
        (("run", "docs/doc000.md"), ["no pipeline 'docs/doc000.md'"]),
        (("run", "qa", "-p", "targt_pairs=3"), ["no parameter 'targt_pairs'", "did you mean 'target_pairs'?"]),
        (("run", "qa", "-p", "target_pairs=three"), ["parameter target_pairs: expected int, got 'three'"]),
        (("run", "student", "-p", "look=[1, x]"), ["parameter look: expected whole numbers, such as [20, 40]"]),
        (("run", "qa", "-p", "seed=1", "-p", "seed=2"), ["-p seed is given twice"]),
        (("run", "qa", "-p", "seed"), ["-p seed: give NAME=VALUE, such as -p seed=…"]),
        (("run", "qa", "-p", "api_key=hush"), ["parameter api_key looks like a secret", "environment"]),
        (("run", "qa", "-p", f"system_prompt=use {SECRET}"), ["parameter system_prompt looks like a secret"]),
    ],
    ids=lambda x: " ".join(x)[:48] if isinstance(x, tuple) else "",
)
def test_refused_in_plain_words(ready, args, words):
    r = refused(ready, args, *words, lines=4)
    assert r.returncode == 1 and SECRET not in r.stderr


@pytest.mark.parametrize(
    "args, words",
    [
        ((*GENERATE, "--target-pairs", "0"), ["--target-pairs"]),
        (("pipeline", "docs", "-o", "out.jsonl", "--target-pairs", "-1"), ["--target-pairs"]),
        ((*GENERATE, "--workers", "0"), ["--workers"]),
        ((*GENERATE, "--n-pair", "2"), ["No such option", "--n-pairs"]),
        (("generate", "db"), ["--output"]),
        (("ingst", "docs"), ["No such command 'ingst'", "ingest"]),
    ],
    ids=lambda x: " ".join(x)[:48] if isinstance(x, tuple) else "",
)
def test_wrong_usage_has_status_2(ready, args, words):
    assert refused(ready, args, *words, lines=8).returncode == 2


def test_misspelt_environment_variable(ready):
    refused(
        ready,
        GENERATE,
        "unknown environment variable SYNTHGEN_LLM_PROVDER",
        "did you mean 'SYNTHGEN_LLM_PROVIDER'?",
        env={"SYNTHGEN_LLM_PROVDER": "ollama"},
    )


def test_misspelt_key_of_the_settings_file_around(tmp_path, synthgen):
    put(tmp_path, synthgen__yaml="llm:\n  vllm:\n    workrs: 3\n")
    (tmp_path / "below").mkdir()
    r = command(tmp_path / "below")("list-providers", ok=False)
    assert "synthgen.yaml: unknown key 'llm.vllm.workrs': did you mean 'workers'?" in r.stderr and r.stdout == ""


def test_output_that_is_a_folder(ready):
    (ready.folder / "empty.jsonl").mkdir()
    try:
        assert "cannot write empty.jsonl: it is a folder" in ready("export", "pairs.jsonl", "-o", "empty.jsonl", ok=False).stderr
    finally:
        (ready.folder / "empty.jsonl").rmdir()


def test_binary_among_documents_is_named_and_left_out(tmp_path, synthgen, docs):
    (docs / "blob.md").write_bytes(b"# Title\0")
    (docs / "latin.txt").write_bytes("Größe".encode("latin-1"))
    r = synthgen("ingest", "docs", "-o", "db")
    assert "5 documents" in r.stdout and "1 files skipped" in r.stdout
    assert "docs/blob.md: binary" in r.stderr


@pytest.mark.parametrize("victim", ["data/*.lance", "_versions/*.manifest"])
def test_corrupt_table_is_named(ready, tmp_path, synthgen, victim):
    shutil.copytree(ready.folder / "db", tmp_path / "db")
    for f in (tmp_path / "db/chunks.lance").glob(victim):
        os.truncate(f, f.stat().st_size // 2)
    r = synthgen("generate", "db", "-o", "out.jsonl", ok=False)
    assert (
        r.returncode == 1
        and r.stdout == ""
        and "db: the table 'chunks' cannot be read" in r.stderr
        and "ingest again" in r.stderr
        and "panicked" not in r.stderr
    )
    assert not (tmp_path / "out.jsonl").exists()


def test_table_of_another_program_is_not_replaced(tmp_path, synthgen, docs):
    import lancedb

    lancedb.connect(tmp_path / "db").create_table("text_chunks", [dict(content="theirs", vector=[0.0, 1.0])])
    before = tree(tmp_path / "db")
    r = synthgen("ingest", "docs", "-o", "db", ok=False)
    assert r.returncode == 1 and "text_chunks" in r.stderr and "another program" in r.stderr and tree(tmp_path / "db") == before


def test_documents_with_nothing_worth_asking(ready):
    ready("ingest", "barren", "-o", "barren_db")
    r = ready("generate", "barren_db", "-o", "none.jsonl", ok=False)
    assert r.returncode == 1 and "no pair came of 1 chunks (unsuitable 1)" in r.stderr and "none_dropped.jsonl" in r.stderr
    assert not (ready.folder / "none.jsonl").exists() and "too short" in (ready.folder / "none_dropped.jsonl").read_text()


def test_failed_run_leaves_its_record_and_no_training_file(tmp_path, synthgen):
    (tmp_path / "barren").mkdir()
    put(tmp_path / "barren", numbers__txt=NUMBERS)
    empty = synthgen("pipeline", "barren", "-o", "train.jsonl", ok=False)
    negative = synthgen("run", "qa", "-p", "source=barren", "-p", "target_pairs=-1", ok=False)
    assert "target_pairs is -1" in negative.stderr
    assert not list(tmp_path.rglob("train.jsonl"))
    for r, folder in zip((empty, negative), sorted(tmp_path.glob("runs/*")), strict=True):
        record = json.loads((folder / "run.json").read_text())
        assert (
            record["status"] == "failed"
            and record["error"] in r.stderr
            and r.returncode == 1
            and f"{folder}/qa.ipynb".endswith(r.stderr.split()[-1])
        )
    listed = [line.split()[:2] for line in synthgen("runs").stdout.splitlines()[1:]]
    assert [status for _, status in listed] == ["failed", "failed"]
    assert "target_pairs is -1" in synthgen("show", "last").stdout
    assert "unsuitable 1" in empty.stderr, empty.stderr
