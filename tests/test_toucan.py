"""TOUCAN: what is measured without a judge, the rules, near-duplicates, sampling, tasks, and the extensions in worlds that run."""

import asyncio
import math
import random
from collections import Counter

import numpy as np
import pytest
from conftest import command, rows

from synthgen_nb.core.judge import load_rubric
from synthgen_nb.core.models import open_model
from synthgen_nb.core.records import SynthgenError
from synthgen_nb.specs.tool import Tool
from synthgen_nb.specs.trajectory import Call, Observation, Trajectory, Turn, read_trajectories
from synthgen_nb.tools.apigen import verify
from synthgen_nb.tools.instructions import Task
from synthgen_nb.tools.rows import signature
from synthgen_nb.select.coverage import toucan_near
from synthgen_nb.tools.toucan import (
    SAMPLING,
    Ask,
    Server,
    desired_tools_used,
    failed_by_words,
    failed_response,
    good_responses,
    names_a_tool,
    order_correctness,
    published,
    rated,
    read_servers,
    rejected,
    rule_filter,
    sample_servers,
    sanitise,
    servers_of,
)
from synthgen_nb.tools.toucan_extensions import calls_made, may_serve, named, parts, profiles, tools_apart, toucan, untold
from synthgen_nb.worlds.open import fresh_worlds
from synthgen_nb.worlds.world import execute_all


def run(work):
    return asyncio.run(work)


def offline():
    return open_model(provider="offline")


# What needs no judge


@pytest.mark.parametrize(
    "targets, called, desired, order",
    [
        ("", "", 1, True),
        ("", "a", 1, True),
        ("a", "", 0, True),
        ("a", "b", 0, True),
        ("a", "ba", 1, True),
        ("ab", "", 0, False),
        ("ab", "a", 0.5, False),
        ("ab", "ab", 1, True),
        ("ab", "ba", 1, False),
        ("ab", "xayb", 1, True),
        ("ab", "bab", 1, True),
        ("abc", "abac", 1, True),
        ("abc", "acb", 1, False),
        ("abc", "ab", 2 / 3, False),
        ("aab", "ab", 1, False),
        ("aab", "aab", 1, True),
    ],
)
def test_desired_tools_and_order(targets, called, desired, order):
    assert desired_tools_used(targets, called) == pytest.approx(desired) and order_correctness(targets, called) is order


def log(*said, status="ok", content="4", calls=1):
    "A request, some calls, and what is said; each pair more is another request"
    turns, n = [], 0
    for i, text in enumerate(said or ("It is 4.",)):
        turns.append(Turn(role="user", text=f"How many, {i}?"))
        s, c = (status[i], content[i]) if isinstance(status, tuple) else (status, content)
        ids = [f"c{n + k}" for k in range(calls)]
        n += calls
        seen = tuple(Observation(call=x, status=s, source="given", world="", **(dict(content=c) if s == "ok" else dict(error=str(c)))) for x in ids)
        if ids:
            turns.append(Turn(role="assistant", calls=tuple(Call(id=x, tool="f") for x in ids), observations=seen))
        turns.append(Turn(role="assistant", text=text))
    return Trajectory(turns=tuple(turns), tools=("f",))


@pytest.mark.parametrize(
    "row, reasons",
    [
        (log(), []),
        (Trajectory(turns=(Turn(role="user", text="Hi"),)), ["not_started"]),
        (log(calls=0), ["no_call"]),
        (log(status="error", content="boom"), ["no_clean_response"]),
        (log(content="Error: no such row"), ["no_clean_response"]),
        (log(content={"success": False, "message": "quota exceeded"}), ["no_clean_response"]),
        (log(content={"error": "Rate limit exceeded"}), ["no_clean_response"]),
        (log(content="The standard error is 0.3"), []),
        (log("[Error 500] sorry"), ["error_text"]),
        (log("  "), ["empty_answer"]),
        (log("!" * 12), ["degenerate"]),
        (log("It stands in /home/anna/data/x.csv."), ["local_path"]),
        (log(r"It stands in C:\Users\anna\x.csv."), ["local_path"]),
        (log("It stands in /home/anna/data/x.csv.", content={"path": "/home/anna/data/x.csv"}), []),
        (log("The dataset /stations/oslo/temperature has 3."), []),
        (log("A.", "B.", status=("ok", "error"), content=("1", "boom")), ["no_clean_response"]),
        (log("A.", "B.", status=("error", "ok"), content=("boom", "1")), []),
        (log("", calls=0), ["no_call", "empty_answer"]),
    ],
)
def test_the_rules(row, reasons):
    assert rule_filter(row) == reasons


def test_one_clean_response_is_enough_and_words_alone_are_not_failures():
    t = log(calls=2)
    o = t.turns[1].observations
    bad = o[0].model_copy(update=dict(status="error", content=None, error="boom"))
    assert rule_filter(t.but(turns=(t.turns[0], t.turns[1].model_copy(update=dict(observations=(bad, o[1]))), t.turns[2]))) == []
    said = Observation(call="c", status="ok", content={"title": "How to mend error 404"}, source="given", world="")
    assert failed_by_words(said.content) and not failed_response(said)
    assert failed_by_words("x" * 200_000 + " error") and not failed_by_words({"rows": []})


# Near-duplicates


def twins_in(vectors, before=0):
    return {i: j for i, (j, _) in toucan_near(vectors, np.zeros(len(vectors)), before=before).near.items()}


def at(d2):
    return np.array([[1, 0], [1 - d2 / 2, math.sqrt(1 - (1 - d2 / 2) ** 2)]], np.float32)


@pytest.mark.parametrize("d2, twins", [(0.0, {1: 0}), (0.05, {1: 0}), (0.1, {1: 0}), (0.101, {}), (2.0, {})])
def test_the_boundary_of_near_duplicates(d2, twins):
    assert twins_in(at(d2)) == twins


def test_the_first_stays_and_a_dropped_one_takes_no_other_with_it():
    c, s = math.cos(0.25), math.sin(0.25)
    line = np.array([[1, 0], [c, s], [c * c - s * s, 2 * s * c]], np.float32)  # the first and the third are apart
    assert twins_in(line) == {1: 0} and twins_in(line, before=2) == {2: 1}
    tasks = [Task(instruction=q, tools=("f",)) for q in ("How many boxes are there?", "how many boxes are there", "Who is it?")]
    out = sanitise(tasks)
    assert out.kept == [tasks[0], tasks[2]] and out.dropped[0].reason == f"near_duplicate:{tasks[0].id}"
    assert sanitise(tasks[1:], tasks[:1]).kept == [tasks[2]]


# Servers and tasks


def tool(name, about="Does it.", category="", **params):
    return Tool(name=name, description=about, category=category, parameters=dict(type="object", properties={k: dict(type=v) for k, v in params.items()}))


SERVERS = [Server(f"s{i}", (tool(f"do_{i}"), tool(f"see_{i}")), "ab"[i % 2], rank=i + 1, featured=i < 2) for i in range(6)]


def test_each_way_of_sampling():
    draw = {how: sample_servers(SERVERS, how, 600, random.Random(0)) for how in SAMPLING}
    assert {len(g) for g in draw["random"]} == {1} and set(Counter(g[0].name for g in draw["uniform"]).values()) == {100}
    n = Counter(g[0].rank for g in draw["power_law"])
    assert n[1] / n[4] == pytest.approx(2, rel=0.35) and n[1] > n[2] > n[6]
    assert all([s.name for s in g] == ["s0", "s1"] for g in draw["featured"])
    assert all(len({s.name for s in g}) == 2 for how in ("multi_random", "same_label", "different_labels") for g in draw[how])
    assert all(g[0].primary == g[1].primary for g in draw["same_label"]) and all(g[0].primary != g[1].primary for g in draw["different_labels"])
    assert {g[0].primary == g[1].primary for g in draw["multi_random"]} == {True, False}


def test_what_cannot_be_sampled_is_said():
    for how, servers in (("multi_random", SERVERS[:1]), ("same_label", SERVERS[:2]), ("different_labels", SERVERS[::2])):
        with pytest.raises(SynthgenError, match="needs 2 servers that fit together"):
            sample_servers(servers, how, 1, random.Random(0))
    with pytest.raises(SynthgenError, match="did you mean 'power_law'"):
        sample_servers(SERVERS, "powerlaw", 1, random.Random(0))
    with pytest.raises(SynthgenError, match="no server is featured"):
        sample_servers(SERVERS[3:], "featured", 1, random.Random(0))


@pytest.mark.parametrize(
    "question, targets, reason",
    [
        ("Do it and look.", ["do_0", "see_1"], ""),
        ("Do it.", ["do_0"], "wrong_number"),
        ("Do it.", ["do_0", "do_0"], "wrong_number"),
        ("Do it.", ["do_0", "see_1", "do_1"], "wrong_number"),
        ("Do it.", ["do_0", "see_0"], "single_server"),
        ("Do it.", ["do_0", "nope"], "foreign_tool:nope"),
        ("Call do_0 for me.", ["do_0", "see_1"], "names_a_tool"),
        ("Let s1 do it.", ["do_0", "see_1"], "names_a_tool"),
        (" ", [], "nothing_to_ask"),
        ("It was asked", ["do_0", "see_1"], "repeated"),
    ],
)
def test_what_is_rejected(question, targets, reason):
    ask = Ask(tuple(SERVERS[:2]), 2, True)
    assert rejected(dict(question=question, target_tools=targets), ask, {"itwasasked"})[0] == reason


def test_a_plain_word_is_no_name_unless_it_is_marked():
    names = ["search", "get_weather", "getWeather", "Weather"]
    assert [names_a_tool(q, names) for q in ("How is the weather?", "Please search it.", "I get weather from them.")] == ["", "", ""]
    marked = ("Use the search tool.", "Use `search`.", "Call search().", "Try GET_WEATHER.", "Try getWeather now.", "Ask the Weather server.")
    assert all(names_a_tool(q, names) for q in marked)


def test_servers_come_from_categories_else_from_paths_else_all_are_one():
    assert [s.name for s in servers_of([tool("a", category="x"), tool("b", category="y"), tool("c", category="y")])] == ["y", "x"]
    at = [tool(f"t{i}").but(binding=dict(method="get", path=p)) for i, p in enumerate(("/pets", "/pets/{id}", "/shops"))]
    assert sorted(len(s.tools) for s in servers_of(at)) == [1, 2] and len(servers_of([tool("a"), tool("b")])) == 1


def test_the_published_servers(data):
    f = data / "tools/toucan/mcp_servers.jsonl"
    if not f.is_file():
        pytest.skip("tools/toucan/mcp_servers.jsonl is not there")
    got = read_servers(f)
    servers = published(got.kept)
    assert len(servers) > 250 and len(got.dropped) < 5 and len({t.name for t in got.kept}) == len(got.kept) > 1000
    assert [s.rank for s in servers] == sorted(s.rank for s in servers) and sum(s.featured for s in servers) <= 25
    for how in SAMPLING:
        assert len(sample_servers(servers, how, 20, random.Random(1))) == 20
    known = profiles(got.kept, [])
    t = next(t for t in got.kept if "weather" in t.name)
    row = Trajectory(turns=(Turn(role="user", text="How warm is it in Oslo?"),), tools=(t.name,), meta=dict(targets=[t.name]))
    apart = [n for n in known if not may_serve(n, row, known)]
    assert len(apart) > len(known) / 2 and not [n for n in apart if "weather" in n or "forecast" in n and "weather" in known[n].own]


# Ratings


def test_the_six_scales_and_their_floors():
    r = load_rubric("toucan_question")
    assert len(r.criteria) == 6 and all((c.low, c.high, len(c.anchors)) == (1, 5, 5) for c in r.criteria)
    assert {c.name: c.floor for c in r.criteria if c.floor} == {"question_quality": 5, "scenario_realism": 5}
    assert {c.name: c.floor for c in load_rubric("toucan_response").criteria} == {"completeness": 4, "conciseness": 4}


def test_a_question_has_six_ratings_and_their_mean_and_low_ones_go():
    tools = [tool("get_price", "Get the price of a fruit.", fruit="string")]
    good, bad = Task(instruction="What does a plum cost at the market?", tools=("get_price",), relevant=("get_price",)), "price {fruit: plum}"
    out = run(rated([good, Task(instruction=bad, tools=("get_price",), relevant=("get_price",))], tools, offline()))
    (t,) = out.kept
    values = {s["criterion"]: s["value"] for s in t.meta["scores"]}
    assert len(values) == 7 and values.pop("question_overall") == pytest.approx(sum(values.values()) / 6)
    assert [d.reason for d in out.dropped] == ["low:question_quality"]


def test_targets_that_were_not_called_are_out_and_another_order_is_noted():
    f, row = tool("f"), log(content={"boxes": 4}).but(meta=dict(targets=["f", "g"]))
    assert [d.reason for d in run(good_responses([row], [f], offline())).dropped] == ["targets_unused"]
    two = row.but(meta=dict(targets=["f"]), turns=(row.turns[0], row.turns[1], Turn(role="assistant", text="There are 4 boxes.")))
    (kept,) = run(good_responses([two], [f], offline())).kept
    assert kept.meta["desired_tools_used"] == 1 and kept.meta["order_correctness"] is True
    assert {s.criterion for s in kept.scores} == {"completeness", "conciseness", "overall"}


# Irrelevance


def test_the_kin_of_a_tool_may_serve():
    tools = [
        tool("get_price", "Get the price of a fruit.", "shop", fruit="string"),
        tool("list_fruits", "List all fruits.", "shop"),
        tool("quote", "Quotes what a fruit costs, its price.", "market", fruit="string"),
        tool("get_costs", "Sums up.", "bank").but(returns=dict(type="object", properties=dict(price=dict(type="number")))),
        tool("plum_index", "An index.", "news"),
        tool("translate", "Translates a text.", "words", text="string"),
        tool("ping", "Answers.", "words"),
    ]
    facts = [dict(tool="ping", content={"pong": 7731}), dict(tool="get_price", content={"price": 7731})]
    t = log(content={"price": 7731}).but(meta=dict(targets=["get_price"]))
    t = t.but(turns=(Turn(role="user", text="What does a plum cost?"), *t.turns[1:]))
    known = profiles(tools, facts)
    assert [n for n in known if not may_serve(n, t, known)] == ["translate"]
    assert may_serve("ping", t, known) == "it gave 7731, too" and may_serve("list_fruits", t, known) == "of the same server, shop"
    assert tools_apart(t, [], known, random.Random(0)) == ["translate"]


def test_what_is_left_is_tried_with_the_values_of_the_row():
    fresh = fresh_worlds("hdf5")

    async def go():
        async with fresh() as w:
            (seen,) = await execute_all(w, [Call(id="a", tool="find_objects", arguments=dict(file="images.h5"))])
            call = Turn(role="assistant", calls=(Call(id="a", tool="find_objects", arguments=dict(file="images.h5")),), observations=(seen,))
            row = Trajectory(turns=(Turn(role="user", text="What is in images.h5?"), call), tools=("find_objects",))
            by_name = {t.name: t for t in w.tools}
            return await untold(row, ["open_file", "list_files", "close_file", "get_shape"], by_name, w)

    assert run(go()) == ["list_files", "close_file", "get_shape"], "what is at the top of a file is a part of what is in it"


@pytest.mark.parametrize("target", [1, 7, 100])
def test_parts_add_up(target):
    p = parts(target, named("all"))
    assert sum(p.values()) == target and list(p) == ["core", "irrelevance", "diversify", "multi_turn"]
    assert parts(1193, named("all")) == dict(core=283, irrelevance=400, diversify=158, multi_turn=352)
    with pytest.raises(SynthgenError, match="did you mean 'multi_turn'"):
        named("multi_turns")


# The whole


@pytest.fixture(scope="module")
def made():
    fresh = fresh_worlds("hdf5")
    tools = [t for t in fresh().tools if t.category in ("layout", "files", "attributes")]
    return run(toucan(tools, offline(), fresh, target=12, extensions="all")), tools, fresh


def kind(t):
    return t.meta.get("extension", "core")


def test_rows_of_every_kind_that_run_again(made):
    out, tools, fresh = made
    kinds = Counter(map(kind, out.kept))
    assert len(out.kept) == 12 and kinds["core"] >= 3 and kinds["irrelevance"] == 4 and kinds["split"] + kinds["follow_up"] >= 2
    again = run(verify(out.kept, tools, fresh))
    assert not again.dropped, again.reasons
    assert len({signature(t) for t in out.kept if t.no_call}) == kinds["irrelevance"]
    assert "asked" in out.note and "well answered" in out.note


def test_the_irrelevance_set_gives_no_call(made):
    out, tools, fresh = made
    none, core = ([t for t in out.kept if kind(t) == k] for k in ("irrelevance", "core"))
    assert all(t.no_call == "irrelevance" and not t.calls and t.answer and len(t.tools) > 1 for t in none)
    assert all(not set(t.tools) & set(t.meta["withheld"]) and not names_a_tool(t.answer, t.tools) for t in none)
    assert sum(run(calls_made(none, tools, fresh, offline()))) == 0 < sum(run(calls_made(core, tools, fresh, offline())))


def test_conversations_go_on_where_they_were(made):
    out, *_ = made
    for t in out.kept:
        users = [x.text for x in t.turns if x.role == "user"]
        if kind(t) in ("split", "follow_up"):
            assert len(users) > 1 and [x.role for x in t.turns][-1] == "assistant" and len({c.id for c in t.calls}) == len(t.calls)
        assert not t.calls or desired_tools_used(t.meta["targets"], [c.tool for c in t.calls]) == 1
        if kind(t) in ("diverse", "complicate"):
            assert order_correctness(t.meta["targets"], [c.tool for c in t.calls])


def test_the_command(tmp_path):
    do = command(tmp_path)
    said = do("tool-generate-tasks", "bfcl:MessageAPI,TicketAPI", "-o", "rows.jsonl", "--target-pairs", 3, "--sampling", "multi_random").stdout
    got = read_trajectories(tmp_path / "rows.jsonl").kept
    assert "3 rows, every call executed in bfcl:MessageAPI,TicketAPI" in said and "→ well asked" in said and len(got) == 3
    assert all(len(t.meta["servers"]) == 2 and t.origin[0].method == "toucan_task" for t in got)
    bad = do("tool-generate-tasks", "hdf5", "-o", "none.jsonl", "--sampling", "ranked", ok=False)
    assert "unknown sampling 'ranked'" in bad.stderr and not (tmp_path / "none.jsonl").exists() and rows(tmp_path / "rows.jsonl")
