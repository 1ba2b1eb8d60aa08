"""The offline model: verbatim answers, questions that stand alone, ratings with reasons, the same reply everywhere."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from synthgen_nb.core.methods import Method
from synthgen_nb.offline import model as offline, ratings
from synthgen_nb.offline.grammar import DATA, lists, plain, sentences
from synthgen_nb.offline.model import reply, rules_hash
from synthgen_nb.offline.pairs import pairs_for, rewrite
from synthgen_nb.offline.prose import LICENCE, fit, norm
from synthgen_nb.offline.ratings import CRITERIA, rate
from synthgen_nb.core.records import SynthgenError

MD = """# Beacon

Beacon is a small server that collects measurements from sensors. It keeps them in memory for an hour.

## Starting the server

To start the server, run `beacon serve` in a terminal:

```bash
beacon serve --port 8080
```

If the port is in use, the server exits with status 2.

## Options

- `--port`: the port on which the server listens for sensors
- `--keep`: how many minutes a measurement stays in memory

## How are sensors named?

A sensor's name consists of its room and a number, for example `kitchen/2`. Names are unique because the server
uses them as keys.

| Setting | Default |
|---|---|
| `keep_minutes` | 60 minutes, after which a measurement is dropped |
"""

RST = """
Rooms
=====

A room is a named group of sensors.  Rooms are created by the :meth:`~beacon.Server.add_room` method::

    >>> server.add_room('kitchen')

.. note::
   When a room is deleted, its sensors are moved to the hall.

.. class:: Server(port)

   Serves measurements to any number of clients.

   .. method:: add_room(name, size=None)

      Create a room and return it.

      :param name: The name of the room, unique in the server.
      :param size: How many sensors the room may hold at most.
      :return: The new room, which is empty at first.

      .. versionadded:: 2.1
"""

PY = '''"""Rooms and the sensors in them, as the server sees them."""

class Room:
    """A named group of sensors.

    Rooms are identified by their name.
    """
    def add(self, sensor: str, silent: bool = False) -> int:
        """Add a sensor to the room and notify the server.

        Args:
            sensor: The name of the sensor, without its room.
            silent: Whether the server is left in peace.

        Returns:
            The number of sensors that are in the room now.
        """
        if not sensor:
            raise ValueError("a sensor needs a name")
        # Store the sensor under its full name
        self.sensors[f"{self.name}/{sensor}"] = sensor
        return len(self.sensors)

def parse(text, sep="/"):
    """Split a full name into room and sensor.

    Parameters
    ----------
    text : str
        The full name of a sensor.

    Returns
    -------
    tuple
        The room, then the sensor.
    """
    return tuple(text.split(sep))
'''

C = """/* Open the device for reading only */
fd = open(path, O_RDONLY);

/**
 * Reads one measurement from the device and waits for it if need be.
 *
 * @param fd the open descriptor of the device
 * @return the measurement in millikelvin, or a negative number
 */
long read_one(int fd);
"""

TEXTS = {"md": (MD, "text", None), "rst": (RST, "text", None), "py": (PY, "code", "python"), "c": (C, "code", "c")}
RUBRIC = {"name": "ten", "criteria": [{"name": k, "low": 0, "high": top} for k, (_, top) in CRITERIA.items()]}


def ask(which, n=50, **kw):
    text, kind, language = TEXTS[which]
    return pairs_for(text, kind, language, source=f"beacon.{which}", n=n, **kw)


def total(q, a, text):
    return sum(v["score"] for v in rate(q, a, text, RUBRIC).values())


@pytest.mark.parametrize("which", TEXTS)
def test_answers_are_spans_and_questions_stand_alone(which):
    r = ask(which)
    assert r["suitable"] and len(r["pairs"]) >= 3
    for p in r["pairs"]:
        assert p["answer"] in TEXTS[which][0]
        assert fit(p["question"]), p["question"]
    qs = [norm(p["question"]) for p in r["pairs"]]
    assert len(set(qs)) == len(qs)


@pytest.mark.parametrize(
    ("which", "question", "answer"),
    [
        ("md", "What is Beacon?", "Beacon is a small server that collects"),
        ("md", "What does the `--keep` option do?", "`--keep`: how many minutes a measurement stays"),
        ("md", "How are sensors named?", "A sensor's name consists of"),
        ("md", "What happens if the port is in use?", "If the port is in use, the server exits"),
        ("rst", "What is a room?", "A room is a named group of sensors."),
        ("rst", "What does the `name` parameter of `Server.add_room` mean?", "The name of the room, unique in the server."),
        ("rst", "What does the method `Server.add_room` do?", "Create a room and return it."),
        ("rst", "What does `Server.add_room` return?", "The new room, which is empty at first."),
        ("rst", "What is the class `Server` for?", "Serves measurements to any number of clients."),
        ("py", "What does the method `Room.add` do?", "Add a sensor to the room and notify the server."),
        ("py", "What does the `silent` parameter of `Room.add` mean?", "Whether the server is left in peace."),
        ("py", "What does `parse` return?", "tuple"),
        ("py", "When does `Room.add` raise `ValueError`?", 'if not sensor:\n            raise ValueError("a sensor needs a name")'),
        ("py", "What is the class `Room` for?", "A named group of sensors."),
        ("c", "How do I open the device for reading only in C?", "/* Open the device for reading only */\nfd = open"),
        ("c", "What does the function `read_one` do?", "Reads one measurement from the device"),
    ],
)
def test_known_questions(which, question, answer):
    found = {re.sub(r"^When .*?, (what)", lambda m: m[1].capitalize(), p["question"]): p["answer"] for p in ask(which)["pairs"]}
    assert question in found, sorted(found)
    assert found[question].startswith(answer)


def test_code_comes_with_its_lead_in():
    a = next(p["answer"] for p in ask("md")["pairs"] if p["question"].startswith("How do I start the server"))
    assert a.startswith("To start the server") and "beacon serve --port 8080" in a and a.count("```") == 2


@pytest.mark.parametrize("which", TEXTS)
def test_n_and_avoid(which):
    first = ask(which, n=3)["pairs"]
    assert len(first) == 3
    more = ask(which, avoid=[p["question"].upper() for p in first])["pairs"]
    assert not {norm(p["question"]) for p in first} & {norm(p["question"]) for p in more}
    everything = [p["question"] for p in ask(which)["pairs"]]
    seen: list[str] = []
    while new := [p["question"] for p in ask(which, n=4, avoid=seen)["pairs"]]:
        seen += new
    assert len(seen) == len(set(seen)) >= len(everything)
    assert ask(which, avoid=seen)["suitable"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "too short"),
        ("Beacon 2.1", "too short"),
        (
            "Copyright 1999 by the authors. All rights reserved. Redistribution and use in source and binary forms are permitted. The software "
            "comes as is, without warranty of any kind; in no event is there liability.",
            "licence",
        ),
        ("\n".join(f"- [Page {i} of the manual](http://example.org/{i})" for i in range(9)), "links"),
        ("\n".join(f"{i}.{j} Rooms and sensors ........ {9 * i + j}" for i in range(4) for j in range(4)), "table of contents"),
        ("\n".join(f"{i} {i * 7 % 11}.5 {i * i} 0x{i:x} ok" for i in range(60)), "numbers"),
        ("\n".join(f"- Fixed a crash in module number {i} (#{100 + i})" for i in range(9)), "change log"),
    ],
)
def test_unsuitable(text, reason):
    r = pairs_for(text)
    assert not r["suitable"] and r["pairs"] == [] and reason in r["reason"]


def test_licence_header_is_never_an_answer():
    text = "# Copyright 2020 by the authors. All rights reserved.\n# Redistribution is permitted.\n" + PY
    assert all(not LICENCE.search(p["answer"]) for p in pairs_for(text, "code", "python", n=50)["pairs"])


def test_same_reply_in_every_process():
    code = (
        "import json, sys; from synthgen_nb.offline.model import reply\n"
        'x = json.load(sys.stdin); q = reply("questions", x); p = q["pairs"]\n'
        'r = [reply("rate", {**a, "text": x["text"], "rubric": x["rubric"], "topic": "sensors"}) for a in p]\n'
        'w = [reply("rewrite", {**a, "text": x["text"]}) for a in p]\n'
        "print(json.dumps([q, r, w]))"
    )
    given_ = json.dumps({"text": MD, "kind": "text", "n": 50, "rubric": RUBRIC})
    out = {
        subprocess.run(
            [sys.executable, "-c", code],
            input=given_,
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("0", "1", "4242")
    }
    assert len(out) == 1 and len(json.loads(out.pop())[0]["pairs"]) >= 5


def test_good_pairs_pass_and_junk_fails():
    good = [total(p["question"], p["answer"], MD) for p in ask("md")["pairs"]]
    assert sum(s >= 7 for s in good) >= 0.7 * len(good)
    q, a = "What happens if the port is in use?", "If the port is in use, the server exits with status 2."
    assert total(q, a, MD) >= 7
    for bad_q, bad_a in [
        (q, "The kettle boils at ninety degrees in 1873."),
        (q, ""),
        (q, a[:30]),
        (q, "See above."),
        ("What does this do?", a),
        (q, "A sensor's name consists of its room and a number, for example `kitchen/2`."),
        ("?", a),
        ("According to the text, what happens?", a),
    ]:
        assert total(bad_q, bad_a, MD) < 7, (bad_q, bad_a)


def test_ratings_use_the_whole_scale_and_give_reasons():
    pairs = [(p["question"], p["answer"], t[0]) for w, t in TEXTS.items() for p in ask(w)["pairs"]]
    bad = [
        ("What does it do?", "", MD),
        ("This?", "Blue wombats sing 42 songs", MD),
        ("What is Beacon?", "Beacon is a small server that runs on 77 `ponies`.", MD),
        ("What is a sensor made of?", "A room is a", RST),
        ("What is the port?", "See there.", MD),
    ]
    got: dict[str, set] = {k: set() for k in CRITERIA}
    for q, a, t in pairs + bad:
        for k, v in rate(q, a, t, RUBRIC).items():
            assert isinstance(v["score"], int) and 0 <= v["score"] <= CRITERIA[k][1] and len(v["rationale"]) > 8
            got[k].add(v["score"])
    assert all(s == set(range(CRITERIA[k][1] + 1)) for k, s in got.items()), got


def test_ungrounded_numbers_lower_accuracy():
    score = lambda a: rate("What happens if the port is in use?", a, MD, RUBRIC)["accuracy"]["score"]
    assert score("If the port is in use, the server exits with status 2.") == 3
    assert score("If the port is in use, the server exits with status 71.") < 3
    assert score("Penguins migrate southwards every winter.") == 0


def test_other_criteria_and_topic():
    rubric = {"name": "other", "criteria": [{"name": "helpfulness", "low": 1, "high": 5}]}
    good = rate("What is Beacon?", "Beacon is a small server that collects measurements from sensors.", MD, rubric, "sensors")
    poor = rate("What is Beacon?", "A cheese.", MD, rubric, "medieval poetry")
    assert 1 <= poor["helpfulness"]["score"] < good["helpfulness"]["score"] <= 5
    assert good["topic_relevant"] is True and poor["topic_relevant"] is False
    assert "topic_relevant" not in rate("What is Beacon?", "A server.", MD, rubric, "")


@pytest.mark.parametrize("which", TEXTS)
def test_rewrite_gives_spans_that_keep_code(which):
    text = TEXTS[which][0]
    for p in ask(which)["pairs"]:
        new = rewrite(p["question"], p["answer"], text)["answer"]
        assert new in text and set(re.findall(r"`[^`]+`", p["answer"])) <= set(re.findall(r"`[^`]+`", new))


def test_rewrite_extends_what_is_short():
    a = "Beacon is a small server that collects measurements from sensors."
    assert rewrite("What is Beacon?", a, MD)["answer"] == a + " It keeps them in memory for an hour."
    lead = "To start the server, run `beacon serve` in a terminal:"
    assert rewrite("How do I start the server?", lead, MD)["answer"].endswith("--port 8080\n```")
    assert rewrite("Why?", "It keeps them in memory for an hour.", MD)["answer"].startswith("Beacon is")


def test_unknown_task():
    with pytest.raises(SynthgenError, match=r"It knows rate, .*questions, .*rewrite"):
        reply("sonnet", {})


def test_a_method_brings_its_own_replies(monkeypatch):
    poet = Method(name="poet", title="Poet", faithful="heuristic", claim="Writes verses.", takes="pairs", replies={"sonnet": "os.path:split"})
    monkeypatch.setattr(offline, "methods", lambda: {"poet": poet})
    assert reply("sonnet", {"p": "a/b"}) == ("a", "b")
    with pytest.raises(SynthgenError, match=r"replies=\{'ode': 'module:function'\}"):
        reply("ode", {})


def test_every_prompt_has_a_task_that_is_answered():
    asked = {m[1] for f in Path(__file__).parents[1].glob("prompts/*.yaml") if (m := re.search(r"(?m)^task: (\w+)", f.read_text()))}
    assert len(asked) > 10 and asked <= set(offline.tasks())


def test_the_hash_covers_modules_and_data(monkeypatch, tmp_path):
    before = rules_hash()
    shutil.copytree(DATA.parent, tmp_path / "offline")
    monkeypatch.setattr(offline, "DATA", tmp_path / "offline" / "data")
    assert rules_hash() == before
    for name in ("prose.py", "data/prose.yaml"):
        file = tmp_path / "offline" / name
        file.write_text(file.read_text(encoding="utf-8") + "\n# one more line\n", encoding="utf-8")
        assert rules_hash() != before
        before = rules_hash()


@pytest.mark.parametrize("file", sorted(DATA.glob("*.yaml")), ids=lambda f: f.stem)
def test_word_lists_belong_to_a_module_and_are_used(file):
    texts = {f.stem: f.read_text(encoding="utf-8") for f in DATA.parent.glob("*.py")}
    owner = next(n for n, t in texts.items() if re.search(rf"lists\(['\"]{file.stem}", t))
    module = "\n".join(t for n, t in texts.items() if n == owner or f"from .{owner} import" in t)
    assert [k for k in lists(file.stem) if f"'{k}'" not in module and f'"{k}"' not in module] == []


def test_a_long_line_of_hyphens_is_no_trap():
    text = "To empty the cache, call clear.\n\n" + "-" * 400 + "x\n"
    t = time.perf_counter()
    assert rewrite("How do I empty the cache?", text[:-2], text)["answer"]
    assert time.perf_counter() - t < 1


def test_kinship_does_not_depend_on_the_order_of_a_set():
    asked = [f"word{i}" for i in range(9)]
    first, here = set(asked[:3]), set(asked[5:])
    just = " ".join(asked[3:5]) + " "
    sums = {ratings.kinship(dict.fromkeys(order), set(), first, here, just, len(just)) for order in permutations(asked[:6])}
    sums |= {ratings.kinship(dict.fromkeys(order), set(), first, here, just, len(just)) for order in permutations(asked[1:8])}
    assert len(sums) == 2


def test_reply_takes_missing_and_none():
    assert reply("questions", {})["suitable"] is False
    r = reply("questions", {"text": MD, "kind": "text", "language": None, "section": None, "source": None, "n": 2, "avoid": None})
    assert len(r["pairs"]) == 2 and json.loads(json.dumps(r)) == r


def test_plain_and_sentences():
    assert plain("See :class:`~a.b.Room`, ``x`` and [this](http://y/z).") == "See `Room`, `x` and this."
    s = "One, e.g. two. Three is 3.5! `four` follows."
    assert [s[a:b] for a, b in sentences(s)] == ["One, e.g. two.", "Three is 3.5!", "`four` follows."]


PIECES = st.sampled_from(
    [
        "# A heading\n",
        "A cache is a store",
        " of things. ",
        "If it fails, ",
        "```py\n",
        "```\n",
        "- `--x`: does a thing here\n",
        "\n\n",
        "====\n",
        ".. note::\n   ",
        ":param x: a thing that is\n",
        "| a | b |\n|---|---|\n| `c` | d e f g |\n",
        'def f(a, b):\n    """Do a thing to all of them.',
        '"""\n',
        "    ",
        "::\n\n",
        "(",
        "`",
        ">>> x\n",
        "/* open it all */\n",
        ".. function:: g(a,\n",
        "To open a file, ",
        "call `open`.\n",
        "Term\n   The meaning of the term.\n",
        "\t",
        "\r\n",
        "é—“x”",
    ]
)
ANY = st.one_of(st.text(max_size=400), st.lists(PIECES, max_size=30).map("".join))


@settings(max_examples=80, deadline=None)
@given(text=ANY, kind=st.sampled_from([("text", None), ("code", "python"), ("code", "c"), ("code", "yaml")]), n=st.integers(0, 9))
def test_any_text(text, kind, n):
    r = pairs_for(text, *kind, section="A > B", n=n)
    assert len(r["pairs"]) <= n
    for p in r["pairs"]:
        assert p["answer"] and p["answer"] in text and p["question"][-1] in "?？؟;"
        assert rewrite(p["question"], p["answer"], text)["answer"] in text
        assert set(rate(p["question"], p["answer"], text, RUBRIC)) == set(CRITERIA)


@settings(max_examples=40, deadline=None)
@given(q=ANY, a=ANY, text=ANY)
def test_any_pair(q, a, text):
    assert all(0 <= v["score"] <= CRITERIA[k][1] for k, v in rate(q, a, text, RUBRIC).items())
    new = rewrite(q, a, text)["answer"]
    assert new == a or new in text


def test_yield_on_real_documents():
    root = Path(os.environ.get("SYNTHGEN_DATA", Path(__file__).resolve().parents[1] / "../shared/data")) / "corpus"
    if not root.is_dir():
        pytest.skip(f"no shared data at {root}: set SYNTHGEN_DATA")
    chunks = [
        c
        for f in sorted([*root.glob("h5py/high_*.rst"), *root.glob("numpy_tutorials/*.md")])
        for c in re.findall(r"(?s).{1,3000}(?:\n\n|\Z)", f.read_text())
    ]
    t = time.perf_counter()
    got = [pairs_for(c, n=50) for c in chunks]
    took = time.perf_counter() - t
    suitable = [g for g in got if g["suitable"]]
    assert all(p["answer"] in c for c, g in zip(chunks, got, strict=True) for p in g["pairs"])
    assert len(suitable) > 0.8 * len(chunks)
    assert sum(len(g["pairs"]) for g in suitable) / len(suitable) >= 3
    assert took / len(chunks) < 0.1, "a chunk should take milliseconds"
