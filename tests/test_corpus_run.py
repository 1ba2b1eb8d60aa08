"""Two hundred rows from real documentation that nobody here wrote."""

import json

from conftest import rows
from synthgen_nb.corpus.store import read_chunks


def test_two_hundred_rows_from_real_documents(data, tmp_path, synthgen):
    (tmp_path / "data").symlink_to(data)
    r = synthgen("ingest", "data/corpus", "data/prototype/hdf5_docs_md", "-o", "db")
    assert "LICENSE" in r.stderr and "page_furniture" in r.stderr, "what is not read is named"
    synthgen("pipeline", "db", "-o", "out.jsonl", "--target-pairs", "200")
    (record,) = (tmp_path / "runs").glob("*-qa")
    pairs, texts = rows(record / "records/final.jsonl"), {c.id: c.text for c in read_chunks(tmp_path / "db")}
    one_line = lambda s: " ".join(s.split())
    assert len(rows(tmp_path / "out.jsonl")) == len(pairs) == len({one_line(p["question"]).casefold() for p in pairs}) == 200
    assert len({p["sources"][0] for p in pairs}) >= 20
    assert all(one_line(p["answer"]) in one_line(texts[p["chunk_id"]]) for p in pairs), "the offline model quotes"
    run = json.loads((record / "run.json").read_text())
    assert all(row["in"] == row["out"] + row["lost"] for row in run["funnel"]) and run["ended"] == "target reached"
