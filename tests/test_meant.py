"""What a chunk says is what a reader of the page sees, and each word of it leads back to the file."""

import re

import pytest
from conftest import check_spans, doc

from synthgen_nb.corpus.chunk import chunk_document, cut_document
from synthgen_nb.corpus.filters import PASSAGES, passages
from synthgen_nb.corpus.meant import as_meant


def seen(text, kind="markdown"):
    "The text of the chunks of a page, after its passages are left out"
    d = doc(text, kind)
    d = d.model_copy(update=dict(left_out=tuple((p.start, p.end) for p in passages(text, kind, PASSAGES))))
    chunks = chunk_document(d)
    check_spans(d, chunks)
    return re.sub(r"\n{2,}", "\n\n", "\n\n".join(c.text for c in chunks))


@pytest.mark.parametrize(
    "written, meant",
    [
        ("AT&amp;T and &lt;name&gt; and &#34;x&#34;", 'AT&T and <name> and "x"'),
        ("run `login &lt;user&gt;` once", "run `login <user>` once"),
        ("write `&lt;` for a bracket, `<a title=\"x &amp; y\">` for a link", 'write `&lt;` for a bracket, `<a title="x &amp; y">` for a link'),
        ("&amp;lt; gives a bracket", "&lt; gives a bracket"),
        ("words <!-- a\nb --> here", "words  here"),
        ("<!-- licence\n\nMIT -->\n\nwords", "words"),
        ("[//]: # (a comment)\nwords", "words"),
        ("[![build](https://x/b.svg)](https://x) ![cov][c]\n\nwords\n\n[c]: https://x/cov.svg", "words"),
        ('<p align="center"><a href="x"><img src="x.png"></a>\n</p>\n\nwords', "words"),
        ("a ![view of the cache](v.png) b", "a view of the cache b"),
        ("> quoted words\n> go on\n\nnot these", "quoted words go on\n\nnot these"),
        ("> ```c\n> int x;\n> ```", "```c\nint x;\n```"),
        (">>> f(1)\n2", ">>> f(1)\n2"),
        ("## Sizes {#sizes}\n\nwords", "## Sizes\n\nwords"),
        ('## Sizes [¶](#sizes "Permalink")\n\nwords', "## Sizes \n\nwords"),
        ("(sizes)=\n\n## Sizes\n\nwords", "## Sizes\n\nwords"),
        ("see {ref}`the guide <g>`, {py:func}`~h5py.File.close` and :class:`Group`", "see the guide, `h5py.File.close` and `Group`"),
        ("see {doc}`/guide/data-types` and {kbd}`Ctrl`", "see data types and Ctrl"),
        ("```{note}\nBe careful.\n```\n\nwords", "Be careful.\n\nwords"),
        ("````{warning} Not now\n:class: x\n```c\nint x;\n```\n````\nwords", "**Not now**\n\n```c\nint x;\n```\n\nwords"),
        (":::{tip}\nA tip.\n:::\n:::warning[Hot]\nA stove.\n:::", "A tip.\n\n**Hot**\n\nA stove."),
        ("/// note | Mind\nA gap.\n///\n", "**Mind**\n\nA gap."),
        ('!!! note "Mind"\n    The gap.\n\n    More of it.\n\nwords', "**Mind**\n\nThe gap.\n\nMore of it.\n\nwords"),
        ("> [!WARNING]\n> Hot stove.", "Hot stove."),
        ("```{toctree}\n:maxdepth: 2\na\nb\n```\n\nwords", "words"),
        ("```{eval-rst}\n.. autosummary::\n   f\n```\n\nwords", "words"),
        ("```{eval-rst}\n.. note:: A reST note.\n\nSee :ref:`x <y>`.\n```\n\nwords", "**Note:** A reST note.\n\nSee x.\n\nwords"),
        ("```{my-thing} a\nwhat it says\n```", "```my-thing\nwhat it says\n```"),
        ("```{code-block} python\n:linenos:\nx = 1\n```", "```python\nx = 1\n```"),
        ("---\ntitle: A page\n# comment\ntags: [a]\n---\n\nwords", "words"),
        ('---\n# made by a script\ntitle: "A page"\n---\nwords', "words"),
        ('+++\ntitle = "A page"\n+++\n\nwords', "words"),
        ("The cache keeps what was read last, and it is\nread from the disk again when a process that has\nthe file open ends.", None),
        ("Main Street 1\nBerlin\nGermany", "Main Street 1\nBerlin\nGermany"),
        ("a hard break  \nstays", "a hard break  \nstays"),
        ("see [the guide][g] now\n\n[g]: https://x", "see the guide now"),
        ("my\\_name", "my_name"),
    ],
)
def test_markup_that_no_reader_sees_is_gone(written, meant):
    if meant is None:
        meant = " ".join(written.split())
    assert seen(written + "\n").strip() == meant.strip()


FENCE = "```md\n<!-- c -->\n> q\n&lt;b&gt; [![x](y)](z)\n{ref}`a`\n!!! note\n    two\n\n(x)=\nlines that\ngo on\n```"


def test_code_is_never_touched():
    for code in (FENCE, FENCE.replace("```", "~~~"), "    <!-- c -->\n    &lt;b&gt;\n    lines that\n    go on", "<pre>\n&lt;b&gt;\nlines that\ngo on\n</pre>"):
        text = f"Words before it.\n\n{code}\n\nWords after it.\n"
        assert seen(text) == text.strip()
    assert FENCE.replace("\n", "\n  ") in seen(f"- item\n\n  {FENCE}\n".replace("\n", "\n  "))


def test_contents_and_navigation_are_left_out_and_text_is_not():
    page = (
        "[Home](/) > [Docs](/d) > Sizes\n\n# Sizes\n\n## Contents\n\n- [One](#one)\n  1. [Two](#two)\n\n[Edit on GitHub](https://x)\n\n"
        "# One\n\n- [Guide](guide.md)\n- [Cache](cache.md)\n\nThe next page is loaded: go on. Edit this page\nby hand.\n\n[← Previous](a.md) | [Next →](b.md)\n"
    )
    text = seen(page)
    assert not re.search(r"Home|Contents|#two|GitHub|Previous|Next →", text)
    assert "[Guide](guide.md)\n- [Cache]" in text and "Edit this page" in text and "next page is loaded" in text


def test_what_our_readers_made_is_taken_as_it_is():
    text = "# T\n\nWrite `&lt;` or &lt; as the standard says, and `{ref}` for a role. <!-- it begins a comment\n"
    assert seen(text, "html") == text.strip()


def test_each_copied_run_leads_back():
    text = "# A\n\n> A &lt;b&gt; <!-- x -->stands\n> here and goes on, and on.\n\n```{note}\nMind &amp; gap.\n```\n"
    d = doc(text)
    m = as_meant(d)
    for new, old, n in m.runs:
        assert re.sub(r"\s", " ", m.text[new : new + n]) == re.sub(r"\s", " ", text[old : old + n])
    (c,), left = cut_document(d)
    s = c.sources[0]
    at = c.text.index("stands")
    assert not left and text[s.place(at) :].startswith("stands") and text[s.start : s.end].startswith("# A")
    assert text[s.place(c.text.index("gap")) :].startswith("gap.")
