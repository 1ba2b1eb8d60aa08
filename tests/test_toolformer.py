"""Toolformer whole: positions, draws, execution, the loss filter, merging, rows; the desk world; continuations; who refuses."""

import asyncio
import importlib.util
import json
import os
import re
from collections import Counter

import pytest
from aiohttp import web
from conftest import command, rows

from synthgen_nb.core.calls import Calls
from synthgen_nb.core.models import Answer, Model, open_model
from synthgen_nb.core.records import Chunk, Origin, SynthgenError
from synthgen_nb.core.settings import Provider
from synthgen_nb.core.transport import session
from synthgen_nb.export.inline import inline
from synthgen_nb.offline.likely import odds, pieces
from synthgen_nb.specs.tool import Tool
from synthgen_nb.specs.trajectory import Call, read_trajectories
from synthgen_nb.tools.toolformer import (
    Knobs,
    ToolCall,
    able,
    ahead,
    annotate,
    argued,
    as_row,
    best,
    copied,
    helpful,
    loss,
    merged,
    passages,
    places,
    positions,
    taught,
    toolformer,
    weighed,
    weights,
    worth_trying,
)
from synthgen_nb.worlds.desk import calculated, day_of, desk_tools, desk_world_of
from synthgen_nb.worlds.open import open_world
from synthgen_nb.worlds.world import ToolError, execute_all, execute_trajectories

X = "We add 20 and 31, so the sum is 51 and no more than that."


def offline() -> Model:
    return open_model(provider="offline")


def run(work):
    return asyncio.run(work)


# The filter


def test_weights_sum_to_one_and_five_tokens_count():
    assert weights() == pytest.approx([5 / 15, 4 / 15, 3 / 15, 2 / 15, 1 / 15]) and sum(weights(0.05)) == pytest.approx(1)


def test_the_threshold_is_inclusive_and_the_baseline_is_the_better_of_two():
    calls = [ToolCall(3, "c", str(i), "r", g) for i, g in enumerate((0.999, 1.0, 1.001))]
    assert [c.gain for c in helpful(calls, 1.0)] == [1.0, 1.001]
    m, copy = offline(), "The code that opens it is 7731 and nobody else knows."
    at = copy.index(" 7731")

    async def go():
        nothing, asked, told = [(await loss(m, z, copy, at))[0] for z in ("", "[Search(7731)]", "[Search(7731) -> 7731]")]
        (c,) = await weighed(m, copy, [ToolCall(at, "Search", "7731", "7731")])
        return nothing, asked, told, c.gain

    nothing, asked, told, gain = run(go())
    assert gain == pytest.approx(min(nothing, asked) - told) and asked < nothing and nothing - told > 1 > gain


def test_right_results_pass_and_wrong_or_early_ones_do_not():
    at, m = X.index(" 51"), offline()
    right = ToolCall(at, "Calculator", "20 + 31", "51")
    tries = [right, right._replace(result="52"), right._replace(result="887"), right._replace(at=places(X)[0])]
    gains = [c.gain for c in run(weighed(m, X, tries))]
    assert gains[0] > 1 and max(gains[1:]) < 0.5
    assert len(run(weighed(m, X, tries))[0].scores) == 3


@pytest.mark.parametrize("x", [X, "Von 12 Äpfeln sind 5 rot, also 7 nicht.", "一百二十加三十一等于五十一。", "  a   b\tc"])
def test_merging_changes_nothing_else(x):
    at = places(x)
    assert at and all(0 < a < len(x) for a in at)
    calls = [ToolCall(a, "T", str(i), "r\\1", i) for i, a in enumerate(at[:3])]
    text = merged(x, calls)
    assert re.sub(r" ?\[T\(\d\) -> r\\1\]", "", text) == x and text.count("[T(") == len(at[:3])


@pytest.mark.parametrize("x", [X, "一百二十加 三十一等于五十一。", "스물에 서른하나를 더하면 쉰하나 이다."])
def test_a_row_exports_as_the_text_with_its_calls(x):
    at = places(x)
    calls = [ToolCall(a, "Calculator", "1 + 2", "3", 1.0) for a in (at[1], at[3])]
    row = as_row(x, calls, {t.name: t for t in desk_tools()}, Origin(method="toolformer", faithful="heuristic"))
    (ran,) = run(execute_trajectories([row], desk_world_of)).kept
    assert inline(ran, {t.name: t for t in desk_tools()})["text"] == row.meta["text"] == merged(x, calls)


def test_a_text_that_cannot_be_scored_loses_its_call_and_not_the_run():
    class Picky(Model):
        async def score(self, text, start=0):
            if "52" in text:
                return Answer(error="too_unlikely: '52' is not among the 20 likeliest tokens")
            return await Model.score(self, text, start)

    m = Picky("offline", open_model(provider="offline").block, Calls())
    right, tally = ToolCall(X.index(" 51"), "Calculator", "20 + 31", "51"), Counter()
    calls = run(weighed(m, X, [right, right._replace(result="52")]))
    assert [c.result for c in helpful(calls, 1.0, tally)] == ["51"] and tally["unscored"] == 1


def test_of_several_calls_at_a_place_the_best_stays():
    a, b, c = ToolCall(5, "A", "1", "x", 1.0), ToolCall(5, "B", "2", "y", 2.0), ToolCall(9, "A", "3", "z", 1.0)
    assert best([c, a, b]) == [b, c]


def test_positions_are_the_likeliest_above_the_threshold_in_order():
    p = {3: 0.2, 9: 0.05, 12: 0.9, 20: 0.06, 30: 0.3}
    assert positions(p, 0.05, 3) == [3, 12, 30] and positions(p, 0.05, 9) == [3, 12, 20, 30] and positions(p, 0.95) == []


def test_what_is_weighed_is_what_comes_next():
    assert ahead(X, X.index(" 51"), 5) == " 51 and no more than" and ahead("a b", 1, 5) == " b"
    assert len(ahead("字" * 500, 3, 5)) <= 100


# Inputs, worlds


def test_inputs_are_read_and_never_run():
    calc = desk_tools()[0]
    two = Tool(name="t", parameters=dict(type="object", properties=dict(a=dict(type="integer"), b=dict(type="array")), required=["a"]))
    assert argued(calc, "20 + 31") == {"expression": "20 + 31"} and argued(calc, "7") == {"expression": "7"}
    assert argued(two, "a=1, b=[2, [3]]") == {"a": 1, "b": [2, [3]]} and argued(two, "4") == {"a": 4} and argued(two, "1, 2, 3") is None
    assert argued(desk_tools()[1], "") == {} and argued(desk_tools()[1], "now") is None
    for bad in ("__import__('os').system('x')", "**{'a': 1}", "*[1]", "(" * 3000, "a=1 if 1 else 2", "\x00"):
        assert argued(two, bad) is None, bad


@pytest.mark.parametrize(
    "text, value",
    [("1,200 + 1", 1201), ("10 / 4", 2.5), ("2 * (3 - 5)", -4), ("400/1400", 0.29), ("6 ÷ 3", 2), ("0.1 + 0.2", 0.3), ("572", 572), ("2.999 * 1", 3)],
)
def test_the_calculator(text, value):
    assert calculated(text) == value and type(calculated(text)) is type(value)


@pytest.mark.parametrize("text", ["", "2 ** 99", "a + 1", "1 / 0", "'a' * 9", "1 if 1 else 2", "(" * 500, "9" * 400, "True + 1", "x.y()", "1; 2", "10 % 3"])
def test_what_is_no_expression_is_an_error_of_the_tool(text):
    with pytest.raises(ToolError):
        calculated(text)


def test_the_desk_knows_a_day_only_if_it_is_told():
    named = ("a/2021/05/12/x.html", "20210512", "2021-13-40", "v1.2021", "12021-05-12")
    assert [str(day_of(t)) for t in named] == ["2021-05-12", "2021-05-12", "None", "None", "None"]

    async def told(name, initial=None):
        async with open_world(name) as w:
            (o,) = await execute_all(w, [Call(id="c", tool="Calendar")], initial)
            return o.content or o.error

    assert "not known" in run(told("desk"))
    assert run(told("desk:2021-05-12")) == run(told("desk", {"today": "2021-05-12"})) == "Today is Wednesday, May 12, 2021."
    for bad in ("2021-13-12", "a,b"):
        with pytest.raises(SynthgenError, match="expected a chunk database and a day"):
            desk_world_of(bad)


# Texts


def test_passages_are_prose_of_some_length():
    text = "# Title of it all here\n\nOne two three four five six.\n\n```\na b c d e f g h\n```\n\n| a | b | c | d | e | f |\n\nShort one.\n\n"
    text += "Word " * 50 + "end. " + "More " * 30 + "end."
    got = passages(Chunk(text=text))
    assert got[0] == "One two three four five six." and len(got) == 3 and all(w not in " ".join(got) for w in "#|`")
    assert passages(Chunk(text="a = 1\nb = 2 + 3 + 4 + 5", kind="code")) == []


def test_the_papers_look_at_numbers():
    calc, cal = desk_tools()
    assert worth_trying(calc, X, "") and worth_trying(calc, "This equals 12 or so.", "") and not worth_trying(calc, "In 1931 there were 14 of 20 mills.", "")
    assert not worth_trying(cal, X, "") and worth_trying(cal, X, "2021-05-12")
    some = [f"In {a} there were {a % 17 + 3} mills and {a % 29 + 500} barns." for a in range(1000, 1600)]
    assert 0 < sum(worth_trying(calc, x, "") for x in some) < 60, "one in a hundred of those with nothing but numbers"
    assert worth_trying(calc, "1 " * 2000, "") in (True, False)


def test_a_result_that_repeats_the_text_does_not_count():
    assert copied(" one two three four five six seven eight nine", "It says: one two three four five six seven eight.")
    assert not copied(" 51 and so on", "51") and not copied(" one two three four five six seven nine", "one two three four five six seven eight")


def test_the_stand_in_expects_what_has_come_before():
    text = "[C(20 + 31) -> 51] the sum is 51"
    assert "".join(pieces(text)) == text and "".join(pieces("a  é_b\n 3,4 ")) == "a  é_b\n 3,4 "
    assert odds(pieces(text))[-1] > odds(pieces(text.replace("-> 51", "-> 52")))[-1] + 2


# The whole


def test_every_draw_is_accounted_for():
    tally = Counter()

    async def go():
        async with desk_world_of() as w:
            return await toolformer(X, [taught(desk_tools()[0], ())], offline(), w, Knobs(m=12), tally)

    (c,) = run(go())
    assert c.result == "51" and merged(X, [c]).startswith("We add 20 and 31, so the sum is [Calculator(")
    assert tally["sampled"] == 12 == sum(n for k, n in tally.items() if k not in ("places", "sampled", "executed"))


MILL = [Chunk(text=f"The mill ground {a} sacks of rye and {b} sacks of wheat, so the sum is {a + b} sacks in that year.") for a, b in ((20, 31), (44, 13))]


def test_rows_say_how_near_they_are_and_run_again():
    out = run(annotate([*MILL, Chunk(text="A mill has a wheel, a stone, and a roof that leaks.")], offline(), samples=12))
    assert len(out.kept) == 2 and out.reasons == {"not_worth_trying": 1}
    for t in out.kept:
        assert t.origin[-1].faithful == "heuristic" and t.origin[-1].calls and [o.status for o in t.observations] == ["ok"]
        assert inline(t, {x.name: x for x in desk_tools()})["text"] == t.meta["text"]


def test_another_world_gives_its_examples_by_a_survey():
    x = "The logger wrote one value a day. In weather.h5 the dataset /stations/bergen/wind_speed has a shape, and this is 365 in one dimension."
    out = run(annotate([Chunk(text=x)], offline(), "hdf5", ["get_shape"], samples=12))
    (t,) = out.kept
    assert t.calls[0].arguments == dict(file="weather.h5", path="/stations/bergen/wind_speed") and t.world.startswith("hdf5")
    with pytest.raises(SynthgenError, match="has no tool 'nope'"):
        run(annotate([Chunk(text=x)], offline(), "hdf5", ["nope"]))


def test_the_day_of_a_text_stands_in_its_address():
    from synthgen_nb.core.records import Source

    x = "The market is held in the morning, today being a Tuesday, and Tuesday it stays."
    c = Chunk(text=x, sources=(Source(path="news/2021/03/09/market.html"),))
    out = run(annotate([c], offline(), tau_s=0.0, tau_f=0.5, positions=20, samples=3))
    (t,) = out.kept
    assert t.initial == {"today": "2021-03-09"} and "Tuesday, March 9, 2021" in t.meta["text"] and t.world == "desk"


def test_a_model_without_log_probabilities_is_refused_before_anything_is_sent():
    m = Model("claude", Provider(model="sonnet"), Calls())
    with pytest.raises(SynthgenError, match="needs the log-probabilities of given texts: no_logprobs: claude gives none"):
        run(annotate(MILL, m))
    assert m.meter.row()["calls"] == 0


class Server:
    "A server on loopback: `ignores` answers as if nobody had asked for log-probabilities, `refuses` says that it has none"

    def __init__(self, kind):
        self.kind, self.bodies = kind, []

    async def completions(self, request):
        b = await request.json()
        self.bodies.append(b)
        if self.kind == "refuses":
            return web.json_response(dict(error=dict(message="echo is not supported")), status=400)
        if b.get("echo") and self.kind != "ignores":
            tokens = pieces(b["prompt"])
            lp = odds(tokens)
            choice = dict(text=b["prompt"], logprobs=dict(tokens=tokens, token_logprobs=[None, *lp[1:]]))
            return web.json_response(dict(choices=[choice], usage=dict(prompt_tokens=len(tokens), completion_tokens=1)))
        from synthgen_nb.offline.likely import continuation

        said = (await continuation(None, dict(text=b["prompt"], sample=b.get("seed", 0)))).text
        choice = dict(text=said or " 10,", finish_reason="stop", logprobs=None)
        return web.json_response(dict(choices=[choice], usage=dict(prompt_tokens=9, completion_tokens=9)))


def served(kind, work, calls=None):
    async def go():
        server, app = Server(kind), web.Application()
        app.router.add_post("/v1/completions", server.completions)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        try:
            return await work(Model("vllm", Provider(model="m", base_url=url, patience=2), calls or Calls())), server.bodies
        finally:
            await (await session()).close()
            await runner.cleanup()

    return asyncio.run(go())


@pytest.mark.parametrize("kind, says", [("ignores", "ignored: vllm/m at http"), ("refuses", "no_logprobs: the server says: echo is not supported")])
def test_a_server_that_ignores_the_request_is_told_from_one_that_has_none(kind, says):
    async def work(m):
        with pytest.raises(SynthgenError, match=re.escape(says)):
            await able(m)

    _, bodies = served(kind, work)
    assert len(bodies) <= 2, "found out by asking once for each way"


def test_a_server_gives_what_the_stand_in_gives_and_nothing_is_paid_twice():
    async def twice(m):
        first = await annotate(MILL, m, samples=12)
        paid = m.meter.row()["paid"]
        again = await annotate(MILL, m, samples=12)
        return first, paid, again, m.meter.row()["paid"]

    (first, paid, again, total), bodies = served("echo", twice)
    assert len(first.kept) == 2 and [t.id for t in first.kept] == [t.id for t in again.kept] and paid == total == len(bodies)
    assert first.kept[0].origin[-1].faithful == "paper"
    own = run(annotate(MILL, offline(), samples=12))
    assert [t.meta["text"] for t in own.kept] == [t.meta["text"] for t in first.kept]


def test_continuations_stop_where_they_are_told_and_draws_are_told_apart():
    async def go(m):
        return [await m.complete("so [Calculator(1 + 2) -> 3] 3\nWe have 7 and 9 [", [")]", ") ->"], sample=i) for i in (0, 1, 0)]

    (a, b, c), bodies = served("echo", go)
    assert a.value.startswith("Calculator(") and a.calls == c.calls != b.calls and len(bodies) == 2 and [x["seed"] for x in bodies] == [0, 1]
    a = run(offline().complete("Nothing was shown [", [")]"]))
    assert a.ok and a.value == ""
    assert run(Model("claude", Provider(model="s"), Calls()).complete("a", ["b"])).error.startswith("no_completions: claude")


# The command, the export and the pipeline


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    do = command(tmp_path_factory.mktemp("annotate"))
    text = "# Mill\n\n" + "\n\n".join(c.text for c in MILL) + "\n\nA mill has a wheel, a stone and a roof that leaks.\n"
    (do.folder / "mill.md").write_text(text)
    do("ingest", "mill.md", "-o", "db")
    return do


def test_the_command_counts_its_losses_and_goes_on_where_it_was(made):
    first = made("tool-annotate", "db", "-o", "rows.jsonl", "--samples", 12)
    assert "kept 2, dropped 1 (not_worth_trying 1); calls: places" in first.stdout
    again = made("tool-annotate", "db", "-o", "more.jsonl", "--samples", 12)
    assert "(0 sent now" in again.stdout and (made.folder / "rows.jsonl").read_text().count("\n") == 2
    assert [d["reason"] for d in rows(made.folder / "rows_dropped.jsonl")] == ["not_worth_trying"]


def test_no_row_is_no_success(made):
    none = made("tool-annotate", "db", "-o", "none.jsonl", "--tau-f", 50, ok=False)
    assert "no_call_helps" in none.stderr and not (made.folder / "none.jsonl").exists()
    chat = made("tool-annotate", "db", "-o", "none.jsonl", "--provider", "claude", ok=False)
    assert "needs the log-probabilities of given texts" in chat.stderr


def test_rows_go_through_the_exports_as_text_and_as_chat(made):
    made("tool-annotate", "db", "-o", "rows.jsonl", "--samples", 12)
    made("export", "rows.jsonl", "-o", "text.jsonl", "-f", "text")
    texts = [r["text"] for r in rows(made.folder / "text.jsonl")]
    assert texts == [t.meta["text"] for t in read_trajectories(made.folder / "rows.jsonl").kept] and all(" [Calculator(" in t for t in texts)
    for c, t in zip(MILL, texts, strict=True):
        assert re.sub(r" \[Calculator\([^]]*\]", "", t) == c.text
    made("export", "rows.jsonl", "-o", "chat.jsonl", "-f", "hf")
    assert [[m["role"] for m in r["messages"]] for r in rows(made.folder / "chat.jsonl")] == [["user", "assistant", "tool", "assistant"]] * 2
    assert "2 calls executed" in made("tool-execute", "rows.jsonl", "-o", "ran.jsonl").stdout


def test_it_is_a_stage_of_the_pipeline(made):
    made("run", "tools", "-p", "source=desk:2024-05-06", "-p", "target_pairs=2", "-p", "annotate=mill.md")
    (folder,) = (made.folder / "runs").glob("*-tools")
    result = json.loads((folder / "run.json").read_text())
    assert len(rows(folder / "annotated_text_train.jsonl")) >= 1 and "annotated" in json.dumps(result)
    assert len(rows(folder / "train.jsonl")) == 2


# A real model


LM = os.environ.get("LOCAL_LM", "")


@pytest.mark.skipif(importlib.util.find_spec("torch") is None or not LM, reason="needs torch and a model: set LOCAL_LM to its folder or GGUF file")
def test_a_real_model_prefers_right_results_and_what_it_has_read_is_kept_right():
    m, at = Model("transformers", Provider(model=LM, workers=1), Calls()), X.index(" 51")
    right = ToolCall(at, "Calculator", "20 + 31", "51")
    gains = [c.gain for c in run(weighed(m, X, [right, right._replace(result="52"), right._replace(result="887")]))]
    assert gains[0] > max(gains[1:]) and gains[0] > 0.3

    async def kept_or_not():
        from synthgen_nb.core.likelihood import _READ

        await m.score(X, 10)
        after = (await m.score(X[:at] + " [", at)).value
        _READ.clear()
        return after, (await Model("transformers", Provider(model=LM), Calls()).score(X[:at] + " [", at)).value

    after, fresh = run(kept_or_not())
    assert after == pytest.approx(fresh, rel=1e-3)
    a, b = (run(m.complete("1, 2, 3, 4, 5, 6,", [","], sample=s, most=6, temperature=0.0)).value for s in (0, 1))
    assert a == b == " 7"
