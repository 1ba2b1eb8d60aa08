"""Files may be larger than the memory: what a command takes grows by a few numbers for each row, and not by what the row says."""

import json
import os
import random
import re
import subprocess
import sys
from weakref import WeakSet

import pytest
from conftest import SYNTHGEN

from synthgen_nb.core.shelf import Places
from synthgen_nb.experiments.report import lengths
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


def conversations(tmp_path, n):
    "A third as many rows of one call, with 90 kB each that nobody looks at"
    with open(tmp_path / f"{n}.jsonl", "w") as f:
        for i, q in enumerate(questions(n // 3)):
            seen = dict(call="c1", status="ok", source="given", world="", content=dict(text="The chunk is read whole."))
            turns = [
                dict(role="user", text=re.sub(r" \d+", "", q)),
                dict(role="assistant", calls=[dict(id="c1", tool="read")], observations=[seen]),
                dict(role="assistant", text="The chunk is read whole."),
            ]
            about = dict(note=f"{i}: " + "the chunk is read whole. " * 3600)
            print(json.dumps(dict(id=f"{i:016x}", turns=turns, own=[dict(name="read", description="Reads a chunk.")], meta=about)), file=f)
    return f"{n}.jsonl"


def dedup_conversations(tmp_path, n):
    return ["dedup", conversations(tmp_path, n), "-o", "out.jsonl", "--kind", "exact"]


def curate_conversations(tmp_path, n):
    return ["tool-curate", conversations(tmp_path, n), "-o", "out.jsonl", "--provider", "offline", "--threshold", "0"]


def export_conversations(tmp_path, n):
    return ["export", conversations(tmp_path, n), "-o", "out.jsonl", "-f", "jsonl"]


def diff(tmp_path, n):
    for seed, name in enumerate(("one", "other")):
        run = tmp_path / "runs" / f"{name}{n}"
        write(run / "records/final.jsonl", n, seed)
        (run / "run.json").write_text(json.dumps(dict(name=name, notebook="qa.ipynb", status="done", parameters={})))
    return ["diff", f"one{n}", f"other{n}"]


WATCHED = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(status)
"""


def megabytes(folder, args):
    "The most that a command held; a small process begins it, since what the parent holds counts as the child's before it is another program"
    p = subprocess.run([sys.executable, "-c", WATCHED, sys.executable, SYNTHGEN, *args], cwd=folder, capture_output=True, text=True)
    assert p.returncode == 0, p.stderr
    return int(p.stdout) / (1024 if sys.platform != "darwin" else 1 << 20)


@pytest.mark.parametrize("command", [dedup, export, diff, dedup_conversations, curate_conversations, export_conversations])
def test_a_command_does_not_hold_what_its_rows_say(tmp_path, command):
    few, many = (megabytes(tmp_path, command(tmp_path, n)) for n in (100, 1300))
    text = 36 if "conversations" in command.__name__ else 12  # MB more of it
    part = 2 / 3 if command is curate_conversations else 1 / 2  # a judge's caches, and blocks of 32 rows
    assert many - few < part * text, f"{many - few:.0f} MB more for {text} MB more of text"


def test_lengths_are_told_without_holding_the_rows():
    class Said:
        question = "Why?"

    alive, most = WeakSet(), []

    def rows():
        for _ in range(100):
            alive.add(x := Said())
            most.append(len(alive))
            yield x

    assert lengths(rows(), ("question",)) == [dict(words_of="question", shortest=1, quarter=1, median=1, three_quarters=1, longest=1)]
    assert max(most) < 5 and lengths(iter([]), ("question",)) == []


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
