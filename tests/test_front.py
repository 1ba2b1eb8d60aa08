"`import synthgen_nb as sg`, as a user of a notebook or a script has it"

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

import synthgen_nb as sg

TEXT = """# Gears

A gear is a toothed wheel that turns another one. Gears change the speed and the direction of a shaft.

## Backlash

Backlash is the play between two teeth. It is measured in millimetres at the pitch circle.

## Ratio

The ratio is the number of teeth of one wheel divided by that of the other.
"""


@pytest.fixture
def docs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("docs").mkdir()
    Path("docs/gears.md").write_text(TEXT)
    return "docs"


def lines(file):
    return [json.loads(x) for x in Path(file).read_text().splitlines()]


def test_three_lines_make_a_training_file(docs):
    pairs = sg.generate(sg.read(docs))
    out = sg.export(pairs, "train.jsonl")
    assert len(lines("train.jsonl")) == len(out.kept) > 0


def test_a_step_finds_what_a_pair_was_made_from(docs):
    pairs = sg.generate(docs)
    assert [p.evidence for p in sg.ground(sg.rewrite(pairs)).kept if p.evidence]
    fresh = "import synthgen_nb as sg\nout = sg.ground('pairs.jsonl'{})\nprint(len(out.kept), out.reasons)"
    sg.save(pairs, "pairs.jsonl")

    def elsewhere(more):
        return subprocess.run([sys.executable, "-c", fresh.format(more)], capture_output=True, text=True, check=True).stdout.split()

    assert int(elsewhere("")[0]) == 0, "another process does not know what was only read in this one"
    assert int(elsewhere(", chunks='docs'")[0]) > 0
    sg.save(sg.generate(sg.read(docs, db="db")), "pairs.jsonl")
    assert int(elsewhere("")[0]) > 0, "a database is named in its pairs"


def test_calls_are_kept_on_disk(docs):
    from synthgen_nb.core.calls import Calls
    from synthgen_nb.core.settings import load_settings

    sizes = []
    for _ in range(2):
        sg.generate(docs)
        store = Calls(load_settings().paths.calls)
        sizes.append(len(store))
        store.close()
    assert sizes[0] == sizes[1] > 0, "the second time is answered from the store"


def test_inside_a_running_loop_and_awaited(docs):
    async def cell():
        plain = sg.generate(docs)
        awaited = await sg.generate(docs)
        return plain.kept, awaited.kept

    plain, awaited = asyncio.run(cell())
    assert plain == awaited


def test_export_is_called_whatever_was_imported_before(docs):
    pairs = sg.generate(docs)
    import synthgen_nb.export.formats as formats

    assert formats.export is not sg.export
    assert sg.export(pairs, "a.jsonl").kept and Path("a.jsonl").exists()


def test_errors_say_what_to_do(docs):
    pairs = sg.generate(docs)
    for wrong, said in (
        (lambda: sg.step("deyta", pairs), "did you mean 'deita'"),
        (lambda: sg.step("deita", pairs, top=2), "did you mean 'top_k'"),
        (lambda: sg.step("toolgrad", pairs), "sg.tool_rows"),
        (lambda: sg.generate(pairs), "sg.read makes chunks"),
        (lambda: sg.generate([]), "no chunk"),
        (lambda: sg.curate([]), "kept none"),
        (lambda: sg.tool_rows("hdf5", method="lima"), "makes no rows from tools"),
        (lambda: sg.read("nowhere"), "nowhere"),
        (lambda: sg.load("nothing.jsonl"), "nothing.jsonl"),
    ):
        with pytest.raises(sg.SynthgenError, match=said):
            wrong()


def test_every_name_is_there_documented_and_lazily_fetched():
    for name in sg.__all__:
        thing = getattr(sg, name)
        assert thing.__doc__, name
    said = "import sys, synthgen_nb; print([m for m in sys.modules if m.startswith('synthgen_nb.')])"
    assert subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    with pytest.raises(AttributeError, match="no attribute 'genrate'"):
        sg.genrate  # noqa: B018
