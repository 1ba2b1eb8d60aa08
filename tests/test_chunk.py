"""Any text is cut exactly, and where its author would cut it."""

import re

import pytest
from conftest import PROSE, check_spans, doc
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgen_nb.core.records import SynthgenError
from synthgen_nb.corpus.chunk import chunk_document, chunk_documents, count_tokens, cut_document, token_counter
from synthgen_nb.corpus.read import read_document

BITS = st.sampled_from(
    [
        "# H\n",
        "## Two\r\n",
        "T\n===\n",
        "```\n",
        "~~~py\n",
        "| a | b |\n|---|---|\n",
        "\t- x\n",
        "> q\n",
        "\r",
        "\r\n",
        "\n\n",
        "\x0c",
        "\x0b",
        "\x1c",
        "\x85",
        "\u2028",
        "\0",
        ".. code::\n\n   x\n",
        "::\n\n  lit\n",
        ".. _l:\n",
        "=== ===\na b\n=== ===\n",
        "def f():\n",
        "class A:\n",
        "  x = 1\n",
        "@d\n",
        '"""',
        "# c\n",
        "<table>\n\n",
        "</table>\n",
        "---\n",
        "a: b\n",
        "数据。",
        "A sentence. Another! ",
        "word " * 30,
        "x" * 300,
    ]
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(BITS | st.text(max_size=6), max_size=25).map("".join),
    st.sampled_from(["markdown", "rst", "python", "text"]),
    st.sampled_from([(512, 1024), (5, 10), (1, 1)]),
)
def test_any_text_is_cut_exactly(text, kind, tokens):
    d = doc(text, kind)
    chunks, left = cut_document(d, tokens)
    assert {x.reason for x in left} <= {"no_text"}
    check_spans(d.model_copy(update=dict(left_out=tuple((x.record["start"], x.record["end"]) for x in left))), chunks)
    assert len({c.id for c in chunks}) == len(chunks)


def test_fences_and_tables_below_the_bound_are_never_cut():
    fence = "```python\n" + "# no heading\n\nx = 1\n" * 250 + "```"
    table = "| a | b |\n|---|---|\n" + "| one | two |\n" * 250
    d = doc(f"# T\n\n{PROSE}\n\n{fence}\n\n{PROSE}\n\n{table}\n\n{PROSE}\n")
    chunks = chunk_document(d)
    check_spans(d, chunks)
    assert sum(fence in c.text for c in chunks) == 1 and sum(table.strip() in c.text for c in chunks) == 1
    assert all(c.text.startswith(("```", "| a")) for c in chunks if c.tokens > 1024)


def test_chunks_start_at_headings_and_fit():
    d = doc("# Book\n\n" + "\n\n".join(f"## Part {i}\n\n" + (PROSE * (5 + 7 * i % 25) + "\n\n") * 2 for i in range(30)))
    chunks = chunk_document(d)
    check_spans(d, chunks)
    assert all(c.tokens <= 1024 for c in chunks)
    assert sum(c.tokens >= 512 for c in chunks) / len(chunks) > 0.85
    assert sum(c.text.startswith("#") for c in chunks) / len(chunks) > 0.8
    assert chunks[0].sources[0].section == ("Book",)


def test_long_paragraph_is_cut_at_sentence_ends():
    d = doc(PROSE * 300)
    assert all(c.text.endswith(".") and c.text[0].isupper() for c in chunk_documents([d]))


def test_python_is_cut_at_definitions():
    code = '"doc"\nimport os\n\n' + "\n\n".join(f'# about f{i}\n@cache\ndef f{i}(x):\n    """{PROSE * 20}"""\n    return x + {i}' for i in range(20))
    d = doc(code, "python")
    chunks = chunk_document(d)
    check_spans(d, chunks)
    assert all(c.kind == "code" for c in chunks) and all(c.text.startswith("# about") for c in chunks[1:])
    assert chunks[1].sources[0].section[0].startswith("f")


def test_one_text_in_two_places_is_one_chunk():
    a, b = doc("# A\n\nwords", path="a.md"), doc("# A\n\nwords", path="b.md")
    (c,) = chunk_documents([a, b])
    assert [s.path for s in c.sources] == ["a.md", "b.md"]


def test_impossible_limits_are_an_error():
    with pytest.raises(SynthgenError, match="tokens"):
        chunk_document(doc("x"), (1024, 512))


def test_count_tokens_is_near_a_real_vocabulary():
    assert count_tokens("") == 0 and count_tokens("chunk") == 1
    assert 0.8 < count_tokens(PROSE * 100) / (15 * 100) < 1.3


def test_a_tokenizer_of_ones_own_counts(tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers

    t = Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
    t.pre_tokenizer = pre_tokenizers.Whitespace()
    t.save(str(tmp_path / "tokenizer.json"))
    count = token_counter(str(tmp_path / "tokenizer.json"))
    assert count("a b c.") == 4
    (tmp_path / "x.txt").write_text(" ".join(f"Sentence number {i} says a little more. " for i in range(90)))
    chunks = chunk_document(read_document(tmp_path / "x.txt"), (20, 50), count)
    assert all(count(c.text) == c.tokens <= 50 for c in chunks) and len(chunks) > 5


def test_no_chunk_exceeds_the_bound_and_each_part_stands_alone():
    fence = "```c\n" + "".join(f"int f{i}(void) {{\n  return {i};\n}}\n\n" for i in range(900)) + "```"
    table = "| key | default |\n|---|---|\n" + "".join(f"| key{i} | {i} |\n" for i in range(2000))
    items = "".join(f"- item {i} of the list\n" for i in range(3000))
    data = "data = [" + ", ".join(f'{{"name": "station {i}", "open": true}}' for i in range(3000)) + "]"
    d = doc(f"# T\n\n{fence}\n\n{table}\n\n{items}\n```json\n{data}\n```\n")
    chunks, left = cut_document(d)
    check_spans(d, chunks)
    assert not left and max(c.tokens for c in chunks) <= 1024 and sum(c.tokens >= 512 for c in chunks) > 0.85 * len(chunks)
    for c in chunks:
        assert c.text.count("```") % 2 == 0
        if "int f" in c.text:
            assert "```c" in c.text and "\n}" in c.text and re.search(r"^(```c[^\n]*\n|.*\n```c\n)int f", c.text, re.S)
        if "| key" in c.text:
            assert "| key | default |\n|---|---|" in c.text
    assert max(c.tokens for c in cut_document(d, hard=1100)[0]) <= 1100


def test_what_cannot_be_cut_is_reported_with_its_line():
    coded = "".join(f"{i * 7919:x}Qz{i}Rk" for i in range(3000))
    wrapped = "\n".join(coded[k : k + 76] for k in range(0, 20_000, 76))
    numbers = " ".join(f"w{i}" for i in range(20_000))
    d = doc(f"# T\n\nA picture:\n\n{coded}\n\nA key:\n\n{wrapped}\n\nA list:\n\n{numbers}\n\n{PROSE}\n", path="a.md")
    chunks, left = cut_document(d)
    check_spans(d.model_copy(update=dict(left_out=tuple((x.record["start"], x.record["end"]) for x in left))), chunks)
    assert [re.search(r"lines? (\d+)", x.detail)[1] for x in left] == ["5", "9", str(d.text.count("\n", 0, d.text.index(numbers)) + 1)]
    assert all(x.reason == "no_text" and x.detail.startswith("a.md") for x in left)
    assert len(chunks) == 1 and PROSE.strip() in chunks[0].text


def test_prose_without_stops_and_scripts_without_blanks_are_cut():
    said = "so we went on with it and the water was cold " * 3000
    han = "缓存保存最近读取的数据块" * 4000
    for text in (said, han, "，".join([han[:60]] * 900)):
        chunks, left = cut_document(doc(text, "text"))
        assert not left and 512 < max(c.tokens for c in chunks) <= 1024
        assert "".join("".join(c.text.split()) for c in chunks_of(chunks)) == "".join(text.split())


def chunks_of(chunks):
    "Each place of each chunk, in order"
    return [c for _, c in sorted(((s.start, c) for c in chunks for s in c.sources), key=lambda x: x[0])]


def test_a_section_is_the_heading_that_an_offset_stands_under():
    d = doc("intro\n\n# One\n\nfirst words\n\n## Deep\n\ninner words\n\n# Two\n\nlast words\n")
    (c,) = chunk_document(d)
    at = lambda words: c.sources[0].section_at(c.text.index(words))
    assert at("first words") == ("One",) and at("inner words") == ("One", "Deep") and at("last words") == ("Two",)
