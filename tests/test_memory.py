"""Files may be larger than the memory: what a command takes grows by a few numbers for each row, and not by what the row says."""

import json
import os
import random
import subprocess
import sys

import pytest
from conftest import SYNTHGEN

from synthgen_nb.core.shelf import Places
from synthgen_nb.select import near
from synthgen_nb.specs.trajectory import rows_of

WORDS = "anchor barrel candle engine funnel hammer island jacket kettle ladder marble needle pillow quarry ribbon saddle tunnel".split()


def questions(n):
    rng = random.Random(0)
    asked = [f"What does the {' '.join(rng.choices(WORDS, k=5))} {i} do when the {' '.join(rng.choices(WORDS, k=4))} is full?" for i in range(n)]
    return [asked[i - 1].replace(" when the ", " when a ") if i % 20 == 19 else q for i, q in enumerate(asked)]


def write(file, n, seed=0):
    "Pairs with answers of 10 kB"
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "w") as f:
        for i, q in enumerate(questions(n)):
            said = f"{seed if i % 10 == 0 else 0}, {i}: " + "the chunk is read whole. " * 400
            print(json.dumps(dict(id=f"{i:016x}", question=q, answer=said, chunk_id=f"{i // 3:016x}", sources=["a.md"])), file=f)


def dedup(tmp_path, n):
    write(tmp_path / f"{n}.jsonl", n)
    return ["dedup", f"{n}.jsonl", "-o", "out.jsonl"]


def export(tmp_path, n):
    write(tmp_path / f"{n}.jsonl", n)
    return ["export", f"{n}.jsonl", "-o", "out.jsonl", "-f", "jsonl"]


def diff(tmp_path, n):
    for seed, name in enumerate(("one", "other")):
        run = tmp_path / "runs" / f"{name}{n}"
        write(run / "records/final.jsonl", n, seed)
        (run / "run.json").write_text(json.dumps(dict(name=name, notebook="qa.ipynb", status="done", parameters={})))
    return ["diff", f"one{n}", f"other{n}"]


def megabytes(folder, args):
    "The most that a command held, in a process of its own"
    p = subprocess.Popen([sys.executable, SYNTHGEN, *args], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = p.stderr.read().decode()
    _, status, used = os.wait4(p.pid, 0)
    assert status == 0, said
    return used.ru_maxrss / (1024 if sys.platform != "darwin" else 1 << 20)


@pytest.mark.parametrize("command", [dedup, export, diff])
def test_a_command_does_not_hold_what_its_rows_say(tmp_path, command):
    few, many = (megabytes(tmp_path, command(tmp_path, n)) for n in (100, 1300))
    assert many - few < 6, f"{many - few:.0f} MB more for 12 MB more of text"


def test_order_is_that_of_the_texts():
    rng = random.Random(1)
    texts = ["".join(rng.choices("aàz\U0001f600\ud800 b", k=rng.randrange(4))) for _ in range(500)]
    rows = list(range(0, 500, 2))
    assert near.in_order((i, texts[i]) for i in rows).tolist() == sorted(rows, key=lambda i: texts[i])


def test_places_of_names():
    names = [str(i % 7) for i in range(20)]
    places, known = Places(names), {n: i for i, n in enumerate(names)}
    assert all(places.get(n) == i and n in places for n, i in known.items()) and places.get("x") == -1 and "" not in Places([])


def test_the_first_rows_of_a_file_are_there_before_the_last_is_read(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b'{"n": 1}\n{"n": 2}\n' + b'{"n": 3}\n' * 30 + b'{"n": "\xff"}\n')
    rows = rows_of(file)
    assert [next(rows), next(rows)] == [("line 1", {"n": 1}), ("line 2", {"n": 2})]
    with pytest.raises(Exception, match="not UTF-8 text"):
        list(rows)
