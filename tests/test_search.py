"""Search by words, by vectors and by both, from the command line and from Python."""

import pytest
from conftest import WORDS

from synthgen_nb.core.records import SynthgenError
from synthgen_nb.corpus.search import search


def test_settings_of_the_corpus_are_read_by_the_command(tmp_path, synthgen):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/a.md").write_text(f"# Chunks\n\n{WORDS}\n\n# Filters\n\nA filter packs a chunk.\n")
    (tmp_path / "docs/b.md").write_text("# Groups\n\nA group holds datasets, as a folder holds files.\n")
    (tmp_path / "synthgen.yaml").write_text("corpus:\n  exclude: [b.md]\n")
    assert "from 1 documents" in synthgen("ingest", "docs", "-o", "db").stdout
    r = synthgen("ingest", "docs", "-o", "db", env={"SYNTHGEN_CORPUS_EXCLUDE": ""})
    assert "2 documents (1 new, 1 as before)" in r.stdout
    said = synthgen("search", "db", "group of datasets", "-k", "1").stdout
    assert "docs/b.md:1-3" in said and "Groups" in said
    for kind in ("text", "vector", "both"):
        assert [h.chunk.section for h in search(tmp_path / "db", "group of datasets", 1, kind)] == ["Groups"]
    for db, query, kind, words in (
        ("db", "x", "vectors", "did you mean 'vector'"),
        ("db", " ", "both", "query is empty"),
        ("nowhere", "x", "both", "no such database"),
    ):
        with pytest.raises(SynthgenError, match=words):
            search(tmp_path / db, query, kind=kind)
    r = synthgen("search", "nowhere", "x", ok=False)
    assert r.returncode == 1 and "no such database" in r.stderr and "Traceback" not in r.stderr
    (tmp_path / "synthgen.yaml").write_text("corpus:\n  leave_out: [licenze]\n")
    r = synthgen("ingest", "docs", "-o", "db", ok=False)
    assert r.returncode == 1 and "licence" in r.stderr
