"""The corpus as a whole: HTML, vectors, light imports, and real manuals."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import DATA, check_spans, needs_data

from synthgen_nb.core.embed import embed
from synthgen_nb.core.records import SynthgenError
from synthgen_nb.corpus.chunk import chunk_documents, quality
from synthgen_nb.corpus.html import html_to_markdown
from synthgen_nb.corpus.read import read_documents


def test_html_keeps_what_is_said():
    md, title = html_to_markdown(
        "<html><head><title>T</title><style>p{}</style></head><body>"
        '<nav>MENU</nav><div class="sidebar">SIDE</div><main><h1>Head</h1>'
        "<p>Some words that are the page.</p>"
        '<h2>Sub</h2><pre><code class="language-c">int  x;\n\n\n  y;</code></pre>'
        "<table><tr><th>a</th></tr><tr><td>1</td></tr></table></main>"
        "<script>evil()</script><footer>FOOT</footer></body></html>"
    )
    assert title == "Head" and md.startswith("# Head\n")
    assert "## Sub" in md and "```c\nint  x;\n\n\n  y;\n```" in md and "| a |" in md
    assert not any(w in md for w in ("MENU", "SIDE", "evil", "FOOT", "p{}"))


def test_embed():
    v = embed(["a chunk of a dataset", "the chunk of the dataset", "vote on the budget", "", "\ud800"])
    assert v.shape == (5, 1024) and v.dtype == np.float32 and np.allclose(np.linalg.norm(v[:3], axis=1), 1)
    assert v[0] @ v[1] > v[0] @ v[2] and not v[3].any()
    assert embed([]).shape == (0, 1024)
    with pytest.raises(SynthgenError, match="hashing"):
        embed(["x"], model="other")


def test_importing_is_light():
    code = (
        "import sys, synthgen_nb.corpus.read, synthgen_nb.corpus.chunk, synthgen_nb.corpus.store, synthgen_nb.core.embed\n"
        "print([m for m in ('lancedb', 'pandas', 'sklearn', 'pyarrow', 'bs4', 'pypdf', 'mammoth', 'openpyxl', 'pptx',"
        " 'tree_sitter', 'pathspec', 'markdown_it', 'litellm') if m in sys.modules])"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    r = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert r.stdout.strip() == "[]"


@needs_data
def test_real_manuals():
    docs, dropped = read_documents([DATA / "corpus", DATA / "prototype/hdf5_docs_md"])
    chunks = chunk_documents(docs)
    for d in docs:
        check_spans(d, chunks)
    assert len(docs) == 36 and {d.kind for d in dropped} == {"boilerplate"}
    found = quality(docs, chunks)
    assert found["cut"] == 0 and found["between"] >= 0.85 and found["starts"] >= 0.8, found
    assert len({c.id for c in chunks}) == len(chunks)
