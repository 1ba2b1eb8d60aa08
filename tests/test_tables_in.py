"""Rows where people have them: tables with named columns, and data sets of Hugging Face as folders."""
import json
import subprocess
import sys
from datetime import date

import pytest
from synthgen_nb.core.records import Pair, SynthgenError, load, read_rows, write_rows
from synthgen_nb.specs.trajectory import read_trajectories

PAIRS = [dict(question=f"What is {i}?", answer=f"It is {i}.") for i in range(5)]


def rows(path): return [r for _, r in read_rows(path)]


@pytest.mark.parametrize("text", ["Question,Answer,topic\n\"What, then?\",\"A\nB\",x\n", "Question;Answer;topic\n\"What, then?\";\"A\nB\";x\n",
                                  "\ufeffQuestion\tAnswer\ttopic\n\"What, then?\"\t\"A\nB\"\tx\n"])
def test_a_table_of_text_with_any_of_the_usual_signs_between_its_cells(tmp_path, text):
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    [p] = load(tmp_path / "a.csv", Pair)
    assert (p.question, p.answer, p.meta) == ("What, then?", "A\nB", {"topic": "x"})


@pytest.mark.parametrize("text,said", [("question,question\na,b\n", "each once"), ("question,\na,b\n", "row 1 has 2 cells"),
                                       ("question,answer\na,b,c\n", "row 1 has 3 cells"), ("question,answer\n\"a,b\n", "line")])
def test_a_table_whose_columns_cannot_be_told(tmp_path, text, said):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(SynthgenError, match=said): rows(tmp_path / "a.csv")


def test_a_table_in_another_encoding_is_an_error_that_names_the_byte(tmp_path):
    (tmp_path / "a.csv").write_bytes("question,answer\nWas ist größer?,b\n".encode("latin-1"))
    with pytest.raises(SynthgenError, match="not UTF-8 text"): rows(tmp_path / "a.csv")


def workbook(path, **sheets):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, cells in sheets.items():
        sheet = book.create_sheet(name)
        for r in cells: sheet.append(r)
    book.save(path)
    return path


def test_a_workbook_with_one_sheet_that_holds_something(tmp_path):
    head = ["Instruction", "Input", "Output", "when", "n"]
    file = workbook(tmp_path / "a.xlsx", empty=[], rows=[head, ["Add.", "2 and 3", 5.0, date(2026, 1, 5), None], [None] * 5, ["Say hi.", None, "Hi.", None, 2]])
    assert rows(file)[0] == {"Instruction": "Add.", "Input": "2 and 3", "Output": "5", "when": "2026-01-05 00:00:00"}
    assert [(p.question, p.answer) for p in load(file, Pair)] == [("Add.\n2 and 3", "5"), ("Say hi.", "Hi.")]


def test_a_workbook_with_several_sheets_is_asked_about(tmp_path):
    with pytest.raises(SynthgenError, match=r"2 of its sheets hold something \(a, b\)"): rows(workbook(tmp_path / "a.xlsx", a=[["x"]], b=[["y"]]))
    (tmp_path / "b.xlsx").write_bytes(b"PK")
    with pytest.raises(SynthgenError, match="not a readable"): rows(tmp_path / "b.xlsx")


def test_a_data_set_as_the_datasets_library_saves_it(tmp_path):
    datasets = pytest.importorskip("datasets")
    one = datasets.Dataset.from_list([p | dict(at=date(2026, 1, 5)) for p in PAIRS])
    one.save_to_disk(tmp_path / "one", num_shards=2)
    assert [(r["question"], r["at"]) for r in rows(tmp_path / "one")] == [(p["question"], "2026-01-05") for p in PAIRS]
    datasets.DatasetDict(train=one, test=one.select(range(2))).save_to_disk(tmp_path / "two")
    assert len(rows(tmp_path / "two" / "train")) == 5 and len(load(tmp_path / "two" / "test", Pair)) == 2
    with pytest.raises(SynthgenError, match=r"several splits, so one is to be named\. There are: .*two/test, .*two/train"): rows(tmp_path / "two")


def test_a_data_set_as_the_hub_keeps_it(tmp_path):
    repo = tmp_path / "datasets--squad--plain"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text("abc123")
    at = repo / "snapshots" / "abc123"
    for config in ("main", "socratic"):
        for name in ("train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001"):
            write_rows([dict(question=config, answer=name)], at / config / f"{name}.parquet", native=True)
    (at / "README.md").write_text("# squad")
    (at / "dataset_infos.json").write_text("{}")
    with pytest.raises(SynthgenError, match="several splits"): rows(repo)
    with pytest.raises(SynthgenError, match=r"several splits\. There are"): rows(repo / "train")
    assert [r["answer"] for r in rows(at / "main" / "train")] == ["train-00000-of-00002", "train-00001-of-00002"]
    with pytest.raises(SynthgenError, match="no split 'dev'"): rows(at / "main" / "dev")


def test_conversations_in_a_folder_of_parquet_and_of_lines(tmp_path):
    talk = dict(messages=[dict(role="user", content="Hi."), dict(role="assistant", content="Hello.")])
    write_rows([talk], tmp_path / "hub" / "data" / "train-00000-of-00001.parquet", native=True)
    write_rows([talk], tmp_path / "lines" / "train.jsonl")
    for folder in ("hub", "lines"): assert [t.answer for t in read_trajectories(tmp_path / folder).kept] == ["Hello."]


def test_a_table_and_a_folder_go_through_a_command(tmp_path):
    (tmp_path / "a.csv").write_text("Prompt,Completion\nWhat is a chunk?,A piece of text.\nWhat is a pair?,A question and its answer.\n")
    write_rows([dict(prompt="What is a chunk?", completion="A piece of text.")], tmp_path / "set" / "train.jsonl")
    for source, n in (("a.csv", 2), ("set", 1)):
        out = tmp_path / f"{source}.out.jsonl"
        run = subprocess.run([sys.executable, "-c", "from synthgen_nb.cli.main import main; main()", "export", str(tmp_path / source),
                              "-o", str(out), "--format", "alpaca"], capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        assert len(out.read_text().splitlines()) == n and json.loads(out.read_text().splitlines()[0])["output"] == "A piece of text."


def test_what_is_no_row_is_named(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(SynthgenError, match="rows are read from"): rows(tmp_path / "a.txt")
    with pytest.raises(SynthgenError, match="no such file"): rows(tmp_path / "b.jsonl")
    with pytest.raises(SynthgenError, match="no folder with rows"): rows(tmp_path / "b")
    (tmp_path / "a.arrow").write_bytes(b"no arrow at all")
    with pytest.raises(SynthgenError, match="not a readable Arrow file"): rows(tmp_path / "a.arrow")
