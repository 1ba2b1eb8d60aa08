"""The form of a pipeline: a field for each parameter, and a run of what the fields hold."""
import json

import pytest
from conftest import rows, write_docs

from synthgen_nb.core.records import SynthgenError
from synthgen_nb.experiments.form import asked, form, from_field

needs_widgets = pytest.mark.skipif(not __import__("importlib.util").util.find_spec("ipywidgets"),
                                   reason='ipywidgets is not installed: pip install "synthgen_nb[lab]"')


@pytest.fixture
def away(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_docs(tmp_path / "docs", 2)
    return tmp_path


def filled(f, **values):
    "The form, with some fields changed, and its button pressed"
    fields = {line.children[0].description: line.children[0] for line in f.children[1].children}
    for n, v in values.items(): fields[n].value = v
    f.children[2].click()
    return fields


@needs_widgets
def test_a_form_runs_and_the_form_of_that_run_runs_it_again(away, capsys):
    filled(form("qa"), source="docs", target_pairs=2)
    [first] = away.glob("runs/*/run.json")
    made = json.loads(first.read_text())
    assert made["status"] == "done" and made["parameters"]["source"] == ["docs"] and "the record is in" in capsys.readouterr().out
    fields = filled(form("last"))
    assert fields["target_pairs"].value == 2 and "run_dir" not in fields
    again = max(away.glob("runs/*/run.json"))
    assert again != first and rows(again.parent / "train.jsonl") == rows(first.parent / "train.jsonl")


@needs_widgets
def test_what_a_field_may_not_hold_is_said_below_the_form(away, capsys):
    filled(form("qa"), source="nowhere")
    assert "nowhere" in capsys.readouterr().out
    filled(form("qa"), threshold="high")
    assert "parameter threshold: expected float or nothing, got 'high'" in capsys.readouterr().out


def test_what_is_asked_and_how_fields_are_read(away):
    book, fields = asked("qa")
    assert book == "qa" and fields["source"]["value"] == ["."] and fields["n_pairs"]["help"] and not {"run_dir", "command"} & set(fields)
    assert from_field("source", " a, b ,", "list") == ["a", "b"] and from_field("threshold", "", "Optional[float]") is None
    with pytest.raises(SynthgenError, match="no run 'nothing'"): asked("nothing")
