"""Declarations of methods: read and not run, and explained where they cannot be read."""

import pytest

from synthgen_nb.core.methods import one_of, read_declaration
from synthgen_nb.core.records import SynthgenError


def test_a_declaration_is_read_and_not_run(tmp_path):
    file = tmp_path / "m.py"
    file.write_text("import nothing_of_that_name\n\nMETHOD = Method(name='m', options={'k': 'how many'})\n")
    assert read_declaration(file, "METHOD") == dict(name="m", options={"k": "how many"})
    assert read_declaration(file, "WORLD") is None


@pytest.mark.parametrize("text, line", [("METHOD = Method(name='a',\n    title=NAME)", 2), ("\n\nMETHOD = 3", 3), ("METHOD = Method('a')", 1)])
def test_a_declaration_that_is_not_literal_names_file_and_line(tmp_path, text, line):
    file = tmp_path / "m.py"
    file.write_text(text)
    with pytest.raises(SynthgenError, match=rf"m\.py: line {line}: METHOD is declared with literal keywords only"):
        read_declaration(file, "METHOD")


def test_an_unknown_name_names_the_nearest():
    with pytest.raises(SynthgenError, match="unknown format 'chatlm': did you mean 'chatml'"):
        one_of("chatlm", ("alpaca", "chatml"), "format")
