"Reference metrics: golden values, every script, rows that belong together, names that follow from what the encoder is"

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

pytest.importorskip("sacrebleu", reason="the extra metrics is not installed")
import synthgen_nb.cli.measure  # registers the commands
from synthgen_nb.cli.app import tried
from synthgen_nb.core.records import SynthgenError, write_rows
from synthgen_nb.evaluate.reference import bleu, contextual, evaluate, hashing, match, rouge, text_of, token_encoder, token_scores

DATA = Path(os.environ.get("SYNTHGEN_DATA", ROOT.parent / "shared" / "data"))
at = lambda rows: [(f"line {i}", r) for i, r in enumerate(rows, 1)]
value = lambda found, name: next(s.value for s in found if s.name == name)


def test_golden_values():
    b = bleu(["the cat sat on the mat ."], ["the cat is on the mat ."])
    assert round(b.value, 2) == 48.89 and "tok:13a" in b.signature and "smooth:exp" in b.signature and "version:" in b.signature
    r = rouge(["the cat sat on the mat"], ["the cat is on the mat"])
    assert round(value(r, "rougeL_english"), 4) == round(value(r, "rougeL_unicode"), 4) == 0.8333


@pytest.mark.parametrize("text", ["缓存大小为64兆", "Размер кэша не меняется", "حجم الذاكرة ثابت", "キャッシュは六十四です", "캐시 크기는 고정입니다"])
def test_no_script_scores_zero_against_itself(text):
    r = rouge([text], [text])
    assert all(value(r, f"rouge{k}_unicode") == 1 for k in "1L") and value(r, "rougeL_english") is None
    assert bleu([text * 3], [text * 3]).value == pytest.approx(100)
    assert value(token_scores([text], [text]), "static_tokenscore_f1") == pytest.approx(1)


def test_score_of_strangers_is_low_and_of_nothing_is_zero():
    r = rouge(["缓存"], ["Размер кэша"])
    assert value(r, "rouge1_unicode") == 0 and value(token_scores([""], ["a b"]), "static_tokenscore_f1") == 0


def test_bertscore_is_a_name_for_contextual_encoders():
    beside = lambda text: hashing(text) + 0.5 * np.roll(hashing(text), 1, 0)
    assert not contextual(hashing) and contextual(beside)
    assert {s.name.rsplit("_", 1)[0] for s in token_scores(["a b c"], ["a b c"], beside)} == {"bertscore"}
    with pytest.raises(SynthgenError, match="sentence-transformers/NAME"):
        token_encoder("roberta")


def test_a_static_table_is_no_bertscore():
    folder = DATA / "qa" / "static_embedding_128d"
    if not folder.is_dir():
        pytest.skip("no static embedding in SYNTHGEN_DATA")
    found = token_scores(["a chunk is the unit"], ["a chunk is a unit"], str(folder))
    assert found[0].name.startswith("static_tokenscore") and 0.5 < found[2].value < 1


def test_rows_meet_by_id_then_by_question_then_by_order():
    pred, ref = [{"id": 2, "answer": "b"}, {"id": 1, "answer": "a"}], [{"id": 1, "answer": "A"}, {"id": 2, "answer": "B"}, {"id": 3, "answer": "C"}]
    m = match(at(pred), at(ref))
    assert (m.by, m.said, m.wanted, m.alone) == ("id", ("b", "a"), ("B", "A"), (0, 1))
    q = match(at([{"id": "x", "question": "Q", "answer": "a"}]), at([{"id": "y", "question": "Q", "answer": "A"}]))
    assert (q.by, q.said, q.wanted) == ("question", ("a",), ("A",))
    assert match(at(["a"]), at([{"text": "A"}])).by == "order"


@pytest.mark.parametrize(
    "pred, ref, why",
    [
        (["a"], ["a", "b"], "1 predictions, 2 references"),
        ([{"id": 1, "answer": "a"}], [{"id": 2, "answer": "a"}], "none in common"),
        ([{"id": 1, "answer": "a"}] * 2, [{"id": 1, "answer": "a"}], "two predictions have one id"),
        ([{"instruction": "a"}], [{"answer": "a"}], "line 1: no text to compare; it has instruction"),
        ([], ["a"], "nothing to compare"),
    ],
)
def test_what_cannot_be_matched_is_an_error(pred, ref, why):
    with pytest.raises(SynthgenError, match=why):
        match(at(pred), at(ref))


def test_a_reference_column_goes_first_on_its_side():
    row = {"prediction": "p", "reference": "r"}
    m = match(at([row]), at([row]))
    assert (m.said, m.wanted) == (("p",), ("r",)) and text_of("plain", "x") == "plain"


def test_the_command_and_its_report(tmp_path):
    write_rows([{"id": i, "answer": f"row {i} says so"} for i in range(3)], tmp_path / "a.jsonl")
    e = evaluate(*[[(w, r) for w, r in at([{"id": i, "answer": f"row {i} says so"} for i in range(3)])]] * 2)
    assert e.rows == 3 and all(s.value == pytest.approx(s.top) for s in e.metrics)
    assert "matched by id" in tried("evaluate a.jsonl a.jsonl -o r.html", tmp_path)
    assert json.loads((tmp_path / "r.json").read_text())["rows"] == 3 and "<table>" in (tmp_path / "r.html").read_text()
    assert "a report ends in" in tried("evaluate a.jsonl a.jsonl -o r.txt", tmp_path)


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(SynthgenError, match=r"synthgen_nb\[metrics\]"):
        bleu(["a"], ["a"])
