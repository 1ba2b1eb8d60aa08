"""reST becomes Markdown line for line, and is never cut where it must not be."""

from conftest import PROSE, check_spans, doc

from synthgen_nb.corpus.chunk import chunk_document
from synthgen_nb.corpus.rst import rst_to_markdown

RST = """.. _top:

====
Book
====

See :ref:`sizes`, :meth:`~h5py.File.close` and ``x *= 2``; `HDF5 <https://hdfgroup.org>`_ says so. |name| too.

.. |name| replace:: The library

.. note:: Read *this*.

   And this.

.. code-block:: python
   :linenos:

   x = 1

.. _sizes:

Sizes
-----

+------+-------+
| size | reads |
+======+=======+
| 8    | 64    |
+------+-------+

.. list-table::
   :header-rows: 1

   * - a
     - b
   * - 1
     - 2

.. py:function:: resize(size)

   Change it.

   :param size: how much

family
    Many files::

        a = 1

.. comment: gone
"""


def test_rst_becomes_markdown_line_for_line():
    md = rst_to_markdown(RST)
    lines = md.split("\n")
    assert len(lines) == RST.count("\n") + 2
    for n, line in enumerate(RST.split("\n")):
        if line.strip() in ("Book", "Sizes", "x = 1", "And this.", "Change it.", "a = 1"):
            assert line.strip() in lines[n], (n, line, lines[n])
    parts = [
        "# Book",
        "## Sizes",
        "```python\nx = 1\n```",
        "| size | reads |\n| --- | --- |\n| 8 | 64 |",
        "| a | b |\n| --- | --- |\n| 1 | 2 |",
    ]
    parts += [
        "See Sizes, `close()` and `x *= 2`; [HDF5](https://hdfgroup.org) says so. The library too.",
        "### `resize(size)`",
        "- **size**: how much",
        "**family**",
    ]
    for part in parts:
        assert part in md, part
    assert not any(x in md for x in ("::", ":ref:", "..", "comment", "linenos"))


def test_rst_literal_blocks_directives_and_tables_are_never_cut():
    literal = "Example::\n\n" + "    x = 1\n\n" * 400
    code = ".. code-block:: c\n\n" + "   int x;\n\n" * 400
    table = "=====  =====\na      b\n" + "=====  =====\n" + "one    two\n" * 400 + "=====  ====="
    source = f"T\n===\n\n{PROSE}\n\n{literal}\n{code}\n{table}\n\n{PROSE}\n"
    d = doc(rst_to_markdown(source), "rst")
    chunks = chunk_document(d)
    check_spans(d, chunks)
    for whole in ("```\n" + "x = 1\n\n" * 399 + "x = 1\n```", "```c\n" + "int x;\n\n" * 399 + "int x;\n```", "| one | two |\n" * 400):
        assert sum(whole.strip() in c.text for c in chunks) == 1
    assert d.text.split("\n")[:-1].index("```c") == source.split("\n").index("   int x;") - 1, "lines are where they were"


def test_rst_titles_make_the_section_path():
    d = doc(rst_to_markdown(".. _top:\n\n====\nBook\n====\n\nPart\n----\n\nwords\n\nOther\n-----\n\nwords\n"), "rst")
    assert [c.sources[0].section for c in chunk_document(d, (1, 7))][-1] == ("Book", "Other")
