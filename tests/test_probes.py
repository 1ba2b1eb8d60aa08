"""Probes of a judge: a bias that is planted is found, a judge without one is not accused, through the real command line."""

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from conftest import complete

from synthgen_nb.core.preference import Preference
from synthgen_nb.core.records import Origin, Pair, Score, save
from synthgen_nb.evaluate.agreement import own_rows, position_probe, ratings_of, retained, swayed
from synthgen_nb.evaluate.probes import in_other_form

ANSWER = re.compile(r"<answer>\n(.*?)\n</answer>", re.S)
NUMBER = re.compile(r"How large is buffer (\d+)\?")
chance = lambda text: int(hashlib.sha256(text.encode()).hexdigest(), 16)

# what a judge gives: to an answer by the model, the question's number and the answer; and to two of them
fair = lambda model, i, answer: 4 + i % 5
noise = lambda model, i, answer: 4 + chance(model + answer) % 5
long = lambda model, i, answer: 3 + i % 4 + (answer.count("Buffer") - 1) * 2
terse = lambda model, i, answer: 8 - (answer.count("Buffer") - 1) * 2
vain = lambda model, i, answer: 4 + i % 5 + (i % 2 == (model == "one"))
level = lambda prompt, a, b: (7, 7)
first = lambda prompt, a, b: (8, 5) if chance(prompt) % 4 else (5, 8)
coin = lambda prompt, a, b: (8, 5) if chance(prompt) % 2 else (5, 8)
taste = lambda prompt, a, b: (1 + chance(a) % 9, 1 + chance(b) % 9)


@pytest.fixture
def judge():
    "A server of vLLM's protocol that judges as two functions say"
    servers = []

    def start(rate=fair, compare=level):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                user = body["messages"][-1]["content"]
                answers, i = ANSWER.findall(user), int(NUMBER.search(user)[1])
                if len(answers) == 2:
                    text = "{} {}".format(*compare(user, *answers))
                else:
                    left, marks = rate(body["model"], i, answers[0]), {}
                    for k, p in body["response_format"]["json_schema"]["schema"]["properties"].items():
                        marks[k] = dict(rationale="So.", score=min(left, p["properties"]["score"]["maximum"]))
                        left -= marks[k]["score"]
                    text = json.dumps(marks)
                complete(self, text)

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 256

        servers.append(Server(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        own = "SYNTHGEN_LLM_VLLM_"
        return {"SYNTHGEN_LLM_PROVIDER": "vllm", own + "BASE_URL": f"http://127.0.0.1:{servers[-1].server_port}/v1", own + "MODEL": "one"}

    yield start
    for s in servers:
        s.shutdown()
        s.server_close()


def asked(n=40):
    told = lambda i: f"Buffer {i} holds {64 + i} MB, and 3 readers share it. It is never empty."
    return [dict(question=f"How large is buffer {i}?", answer=told(i), model=f"vllm/{'one' if i % 2 else 'two'}") for i in range(n)]


@pytest.fixture
def probed(synthgen, judge):
    (synthgen.folder / "set.jsonl").write_text("\n".join(map(json.dumps, asked())))

    def run(*args, **how):
        said = synthgen("judge", "probe", "set.jsonl", "-o", "probes.json", *args, env=judge(**how))
        return json.loads((synthgen.folder / "probes.json").read_text()), said

    return run


def test_a_judge_without_a_bias_is_not_accused(probed):
    r, said = probed("--against", "vllm/two")
    assert "No bias is shown." in said.stdout and "swayed" not in said.stdout and "at most 200 calls" in said.stderr
    assert r["order"][0]["value"] == 0 and r["length"]["value"] == 0 and [m["value"] for m in r["own"]] == [0, 0]
    assert [m["name"] for m in r["own"]] == ["vllm/one", "vllm/two"] and r["rows"] == 40
    shares = [row["vllm/one"]["value"] for row in r["curve"]]
    assert shares == [1.0, 0.8, 0.6, 0.4, 0.2] and [row["threshold"] for row in r["curve"]] == [4, 5, 6, 7, 8]


def test_neither_is_one_that_is_only_unsteady(probed):
    r, said = probed(rate=noise, compare=coin)
    assert "No bias is shown." in said.stdout and 0.2 < r["order"][0]["value"] < 0.8, "the coin decides, and favours no place"
    r, said = probed(rate=noise, compare=taste)
    assert r["order"][0]["value"] == 0 and "No bias is shown." in said.stdout


def test_the_first_place_is_found(probed):
    r, said = probed(compare=first)
    assert "Shown: it is swayed by order." in said.stdout and r["order"][2]["low"] > 0 and r["order"][0]["value"] > 0.3
    r, said = probed(compare=lambda *_: (5, 8))
    assert r["order"][2]["value"] == -1 and r["order"][1]["value"] == 0 and "Shown: it is swayed by order." in said.stdout


def test_length_is_found_and_marking_padding_down_is_no_bias(probed):
    r, said = probed(rate=long)
    assert "Shown: it is swayed by length." in said.stdout and r["length"]["value"] == pytest.approx(2)
    r, said = probed(rate=terse)
    assert "No bias is shown." in said.stdout and "marks padding down" in said.stdout and r["length"]["value"] == pytest.approx(-2)


def test_who_favours_its_own_is_found(probed):
    r, said = probed("--against", "vllm/two", rate=vain)
    own = {m["name"]: m for m in r["own"]}
    assert own["vllm/one"]["value"] == pytest.approx(2) and own["vllm/two"]["low"] > 0 and "own rows, vllm/one" in said.stdout
    r, said = probed(rate=vain)
    assert r["own"] == [] and "own rows" not in said.stdout, "one judge alone cannot say"


def test_agreement_says_it_of_rated_files(synthgen):
    wrote = lambda i: (Origin(method="m", faithful="heuristic", model="a/one" if i % 2 else "b/two"),)
    score = lambda name, v: (Score(criterion="overall", value=v, scale=(0, 10), judge=name),)
    rows = lambda name, more: [
        Pair(question=f"Q{i}?", answer="A.", origin=wrote(i), scores=score(name, 4 + i % 5 + more * (i % 2))) for i in range(40)
    ]
    for more in (1, 0):
        save(rows("a/one", more), synthgen.folder / "a.jsonl")
        save(rows("b/two", 0), synthgen.folder / "b.jsonl")
        said = synthgen("agreement", "a.jsonl", "b.jsonl", "-o", "r.json").stdout
        r = json.loads((synthgen.folder / "r.json").read_text())
        assert r["own_rows"][0]["value"] == more and ("favours its own" in said) == bool(more) and "What is kept at each threshold" in said
    assert [round(row["b/two"]["value"], 2) for row in r["curve"]] == [1, 0.8, 0.6, 0.4, 0.2]


def test_what_a_probe_cannot_take_is_named(synthgen):
    (synthgen.folder / "set.jsonl").write_text(json.dumps(asked(1)[0]))
    chat = dict(turns=[dict(role="user", text="?"), dict(role="assistant", calls=[dict(id="a", tool="t")]), dict(role="assistant", text="Done.")])
    (synthgen.folder / "tools.jsonl").write_text(json.dumps(chat))
    lines = {"nothing.jsonl": "no such file", "tools.jsonl": "judge exam takes both", "set.jsonl -o page.txt": "a report ends in"}
    for line, said in lines.items():
        r = synthgen("judge", "probe", *line.split(), ok=False)
        assert said in r.stderr and r.stderr.startswith("error: "), r.stderr
    assert "a stand-in" in synthgen("judge", "probe", "set.jsonl").stdout


def test_measures():
    assert in_other_form(Pair(question="Q?", answer="So")) is None
    p = Pair(**{k: v for k, v in asked(1)[0].items() if k != "model"})
    assert in_other_form(p).question == p.question and in_other_form(p) == in_other_form(p) != p
    for said in ([], [Preference(None, (8, 5))] * 9):
        assert [m.value for m in position_probe(said)] == [None] * 3 and not swayed(position_probe(said)[2])
    score = lambda v: (Score(criterion="overall", value=v, scale=(0, 10), judge="a/b"),)
    rated = [Pair(question=f"Q{i}?", answer="A.", scores=score(v)) for i, v in enumerate((3, 7, 7, 9))]
    curve = retained(ratings_of({"x": rated}))
    assert [(row["threshold"], row["a/b"].value) for row in curve] == [(3, 1), (7, 0.75), (9, 0.25)] and own_rows({"x": rated}) == []
