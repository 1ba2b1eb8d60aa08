"""What a row of any file asks, answers and calls; and what is said of a file that asks nothing."""

import json

import pytest
from synthgen_nb.core.records import Pair, SynthgenError, save
from synthgen_nb.specs.sides import read_set, sides_of
from synthgen_nb.specs.trajectory import Call, Trajectory, Turn

CHAT = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Ask?"}, {"role": "assistant", "content": "Told."}]


@pytest.mark.parametrize("row", [
    Pair(question="Ask?", answer="Told."),
    Trajectory(turns=(Turn(role="user", text="Ask?"), Turn(role="assistant", text="Told."))),
    {"question": "Ask?", "answer": "Told."}, {"instruction": "Ask?", "input": "", "output": "Told."}, {"prompt": "Ask?", "completion": "Told."},
    {"problem": "Ask?", "solution": "Told."}, {"messages": CHAT}, {"prompt": CHAT[:2], "completion": CHAT[2:]},
    {"conversations": [{"from": "human", "value": "Ask?"}, {"from": "gpt", "value": "Told."}]},
    {"instruction": "Ask?", "instances": [{"input": "", "output": "Told."}]},
])
def test_rows_of_every_form_say_the_same(row):
    assert sides_of(row) == {"question": ("Ask?",), "answer": ("Told.",)}


def test_an_input_belongs_to_its_instruction_and_calls_have_their_arguments():
    assert sides_of({"instruction": "Sort.", "input": "3 1"})["question"] == ("Sort.\n3 1",)
    call = Call(id="c", tool="size", arguments={"path": "/a", "deep": True})
    row = Trajectory(turns=(Turn(role="user", text="How large?"), Turn(role="assistant", calls=(call,))))
    assert sides_of(row) == {"question": ("How large?",), "calls": ('size(deep=true, path="/a")',)}
    bfcl = {"id": "m", "question": [[{"role": "user", "content": "Go."}], [{"role": "user", "content": "Back."}]]}
    assert sides_of(bfcl)["question"] == ("Go.", "Back.")


@pytest.mark.parametrize("name, text", [
    ("a.jsonl", '{"question": "One?"}\n\n{"question": "Two?"}\n'), ("a.json", '[{"question": "One?"}, {"question": "Two?"}]'),
    ("b.json", '{"question": "One?"}\n{"question": "Two?"}\n'), ("a.csv", 'id,question\n1,One?\n2,"Two?"\n'),
    ("b.csv", "\ufeffid;question\r\n1;One?\r\n2;Two?\r\n"), ("a.tsv", "id\tquestion\n1\tOne?\n2\tTwo?\n"), ("c.json", '["One?", "Two?"]'),
])
def test_files_of_every_form(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    found = read_set(tmp_path / name)
    assert [r["question"] for r in found.rows] == [("One?",), ("Two?",)] and not found.unread and len(found.places) == 2


def test_parquet_and_rows_that_ask_nothing(tmp_path):
    save([Pair(question="One?", answer="Yes.")], tmp_path / "a.parquet")
    assert read_set(tmp_path / "a.parquet").rows[0]["question"] == ("One?",)
    (tmp_path / "some.jsonl").write_text('{"question": "One?"}\n{"label": 1}\n[1]\n')
    found = read_set(tmp_path / "some.jsonl")
    assert len(found.rows) == 1 and found.places == ["line 1"] and [x.split(":")[0] for x in found.unread] == ["line 2", "line 3"]


@pytest.mark.parametrize("name, text, said", [
    ("a.jsonl", "", "holds no rows"), ("a.csv", "", "holds no rows"), ("a.csv", "id,question\n", "holds no rows"),
    ("a.jsonl", '{"label": 1, "x": 2}\n', "label, x"), ("a.json", "{", "not JSON"), ("a.json", '{"question": "a"}\n{"que\n', "line 2"),
    ("a.txt", "One?", ".jsonl"), ("a.csv", b"\xff\xfe\x00", "UTF-8"), ("none.csv", None, "no such file"), ("none.json", None, "no such file"),
])
def test_what_cannot_be_read_is_said(tmp_path, name, text, said):
    if text is not None:
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SynthgenError, match=said) as e:
        read_set(tmp_path / name)
    assert name in str(e.value)


def test_any_value_of_a_row_is_taken_or_refused(tmp_path):
    rows = [None, 1, [], {}, {"question": 3}, {"question": ""}, {"question": None, "prompt": "Ask?"}]
    rows += [{"instances": [{}]}, {"messages": "x"}, {"question": [[1]]}]
    (tmp_path / "odd.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = read_set(tmp_path / "odd.jsonl")
    assert [r["question"] for r in found.rows] == [("Ask?",)] and len(found.unread) == len(rows) - 1
