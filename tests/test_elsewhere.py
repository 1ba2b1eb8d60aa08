"""Prompts out, replies in: nothing is sent, every wave says what is missing, and what a cluster spoils is counted and not lost."""

import asyncio
import json
import urllib.request

import pytest
from conftest import command, rows, write_docs
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgen_nb.core.calls import Calls, Request
from synthgen_nb.core.elsewhere import Elsewhere, elsewhere, read_replies
from synthgen_nb.core.models import open_model
from synthgen_nb.core.prompts import Ask
from synthgen_nb.core.records import Waiting
from synthgen_nb.core.settings import load_settings

SCHEMA = dict(type="object", properties=dict(n=dict(type="integer")), required=["n"])
ASKS = [Ask(prompt="count", prompt_hash="", task="count", messages=(dict(role="user", content=f"Count to {i}"),), output=SCHEMA) for i in range(6)]


def reply(key, text, finish="stop", status=200):
    body = dict(choices=[dict(message=dict(content=text), finish_reason=finish)], usage=dict(prompt_tokens=7, completion_tokens=2))
    return dict(id="b1", custom_id=key, response=dict(status_code=status, body=body if status == 200 else dict(error=dict(message=text))), error=None)


def write(path, replies):
    path.write_text("".join(r if isinstance(r, str) else json.dumps(r) + "\n" for r in replies))
    return path


def asked(folder, *replies):
    "One run of six questions: its answers, or None if it waits; what it used, and what it wrote"
    with Calls(folder / "calls.db") as calls:
        m = open_model(load_settings(), "vllm", "mock", calls=calls)
        m.elsewhere = elsewhere(folder / "prompts.jsonl", replies)

        async def run():
            return [a async for a in m.map(ASKS)]

        try:
            return asyncio.run(run()), m
        except Waiting as e:
            assert str(e).startswith(f"waiting: {len(rows(folder / 'prompts.jsonl'))} requests are in {folder / 'prompts.jsonl'}")
            return None, m


def test_what_a_cluster_spoils_is_counted_and_asked_again(tmp_path):
    answers, m = asked(tmp_path)
    out = rows(tmp_path / "prompts.jsonl")
    assert answers is None and len(out) == 6 and {(r["method"], r["url"], r["body"]["model"]) for r in out} == {("POST", "/v1/chat/completions", "mock")}
    key = [r["custom_id"] for r in out]
    came = [
        reply(key[0], '{"n": 0}'),
        reply(key[0], '{"n": 99}'),
        reply(key[1], '{"n": 1', "length"),
        reply(key[2], "busy", status=503),
        reply(key[3], "too long for this model", status=400),
        dict(custom_id=key[4], text='{"n": 4}'),
        reply("unheard-of", '{"n": 5}'),
        "not JSON at all\n",
        json.dumps(reply(key[5], "cut"))[:50] + "\n",
    ]
    answers, m = asked(tmp_path, write(tmp_path / "one.jsonl", came))
    assert answers is None and [r["body"]["messages"][0]["content"] for r in rows(tmp_path / "prompts.jsonl")] == ["Count to 1", "Count to 2", "Count to 5"]
    again = rows(tmp_path / "prompts.jsonl")
    assert [r["custom_id"] in key for r in again] == [False, True, True], "what was cut is asked anew, showing the error"
    said = str(m.elsewhere)
    assert "replies: 4 taken, 1 repeated, 1 failed, 2 broken, 1 not asked for; broken: " in said and "line 8" in said

    more = [reply(r["custom_id"], '{"n": 7}') for r in again]
    answers, m = asked(tmp_path, write(tmp_path / "two.jsonl", more))
    assert [a.value and a.value["n"] for a in answers] == [0, 7, 7, None, 4, 7]
    assert answers[3].error == "refused: too long for this model" and m.meter.row()["failed"] == 1
    assert [a.input_tokens for a in answers] == [7, 14, 7, 0, 0, 7], "usage comes through, also of what was cut"
    answers, m = asked(tmp_path)
    assert [a.value and a.value["n"] for a in answers] == [0, 7, 7, None, 4, 7] and m.meter.paid == 0, "all of it is in the store"


def test_what_is_never_answered_well_does_not_wait_for_ever(tmp_path):
    files = []
    for i in range(4):
        answers, _ = asked(tmp_path, *files[-1:])
        if answers:
            break
        files.append(write(tmp_path / f"{i}.jsonl", [reply(r["custom_id"], "I cannot count.") for r in rows(tmp_path / "prompts.jsonl")]))
    assert i == 2 and not any(a.ok for a in answers) and asked(tmp_path)[0], "asked, asked once more, and that is that"


def test_replies_without_a_file_to_write_leave_the_rest_to_the_server(tmp_path, server):
    asked(tmp_path)
    keys = [r["custom_id"] for r in rows(tmp_path / "prompts.jsonl")]
    m = open_model(load_settings(), "vllm", "mock")
    m.elsewhere = elsewhere("", [write(tmp_path / "some.jsonl", [reply(k, '{"n": 1}') for k in keys[:2]])])
    m.block = m.block.model_copy(update=dict(base_url=server.url + "/v1"))

    async def run():
        return [a async for a in m.map(ASKS)]

    assert len(asyncio.run(run())) == 6 and len(server.log()) == 4 and m.elsewhere.counts["taken"] == 2


def test_questions_put_one_by_one_are_gathered(tmp_path):
    m = open_model(load_settings(), "vllm", "mock")
    m.elsewhere = Elsewhere(tmp_path / "prompts.jsonl")

    async def one(a, later):
        await asyncio.sleep(later)
        return await m.ask(a)

    async def run():
        return await asyncio.gather(*[one(a, i / 20) for i, a in enumerate(ASKS)])

    with pytest.raises(Waiting, match="waiting: 6 requests"):
        asyncio.run(run())


key = Request(model="vllm/mock", messages=[], output=None).key
line = st.builds(
    lambda t: json.dumps(t).encode(),
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=8),
        lambda x: (
            st.lists(x, max_size=3)
            | st.dictionaries(
                st.sampled_from(["custom_id", "response", "status_code", "body", "choices", "message", "content", "result", "text", "type", "error"]),
                x,
                max_size=4,
            )
        ),
        max_leaves=12,
    ),
)
good = st.builds(lambda k, f: json.dumps(reply(k, "Yes.", status=f)).encode(), st.sampled_from("abc"), st.sampled_from([200, 400, 500]))


@given(st.lists(good | line | st.binary(max_size=30).filter(lambda b: b"\n" not in b and b"\r" not in b), max_size=8))
@settings(max_examples=80, deadline=None)
def test_every_line_of_a_file_is_accounted_for(tmp_path_factory, lines):
    file = tmp_path_factory.mktemp("r") / "replies.jsonl"
    file.write_bytes(b"\n".join(lines))
    found, counts, broken = read_replies([file])
    assert len(found) + counts.total() == sum(bool(x.strip()) for x in lines) and len(broken) == counts["broken"]


def play(server, folder, name):
    "A cluster: it reads a file and writes a file"
    out = []
    for r in rows(folder / "prompts.jsonl"):
        asked = urllib.request.Request(server.url + r["url"], json.dumps(r["body"]).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(asked) as came:
            out.append(dict(custom_id=r["custom_id"], response=dict(status_code=200, body=json.load(came)), error=None))
    return write(folder / name, out)


def test_a_pipeline_whose_prompts_travel_gives_the_rows_of_one_that_was_sent(tmp_path, server):
    write_docs(tmp_path / "docs", 2)
    run, files, words = command(tmp_path), [], []
    env = {k: v for k, v in server.env.items()}
    given = ("pipeline", "docs", "-o", "train.jsonl", "--dump", "prompts.jsonl", "--no-rewrite")
    for i in range(4):
        r = run(*given, *[x for f in files[-1:] for x in ("--replies", f)], ok=None, env=env, timeout=60)
        words.append((r.returncode, r.stderr.strip().split(". ")[0]))
        if r.returncode != 75:
            break
        assert len(server.log()) == sum(len(rows(f)) for f in files), "nothing is sent"
        files.append(play(server, tmp_path, f"replies{i}.jsonl"))
    assert [w[0] for w in words] == [75, 75, 0]
    assert words[0][1] == "waiting: 2 requests are in prompts.jsonl (vllm/mock, qa_text 2)" and "judge 6" in words[1][1]
    assert "replies: 6 taken" in r.stdout
    assert sorted(json.loads(f.read_text())["status"] for f in tmp_path.glob("runs/*/run.json")) == ["done", "waiting", "waiting"]
    there = (tmp_path / "train.jsonl").read_bytes()
    sent = len(server.log())
    run("pipeline", "docs", "-o", "train.jsonl", "--no-rewrite", env=env | {"SYNTHGEN_PATHS_CALLS": "sent.db"}, timeout=60)
    assert (tmp_path / "train.jsonl").read_bytes() == there and len(server.log()) == 2 * sent


def test_offline_and_mistaken_files_are_refused_before_any_work(tmp_path, docs, synthgen):
    for more, said in ((("--dump", "p.jsonl"), "answers in this process"), (("--replies", "nowhere.jsonl"), "no such file")):
        assert said in synthgen("pipeline", "docs", "-o", "t.jsonl", *more, ok=False).stderr
