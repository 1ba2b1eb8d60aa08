"""Outcomes: categories, references, the end state with its three answers, a judge that errs, refuses or lies, agreement, the command."""

import asyncio
import itertools
import json
import random

import pytest

from synthgen_nb.core.models import Answer, open_model
from synthgen_nb.core.records import Drop, save
from synthgen_nb.specs.tool import Tool
from synthgen_nb.specs.trajectory import Call, Observation, Ref, Trajectory, Turn
from synthgen_nb.tools.end_state import (
    Reference,
    as_reference,
    category,
    end_states,
    near,
    outputs,
    references,
    server_of,
    states,
)
from synthgen_nb.core.shares import kappa
from synthgen_nb.tools.mcp_agentbench import (
    EndState,
    Judged,
    Shown,
    agreement,
    cited,
    decided,
    evaluate,
    judged,
    outcome_report,
    read_verdict,
)
from synthgen_nb.tools.task_set import KINDS, CATEGORIES, Asking, Job, gold_jobs, spoilt, task_set
from synthgen_nb.worlds.bfcl import bfcl_tools
from synthgen_nb.worlds.open import fresh_worlds
from synthgen_nb.worlds.world import Local, ToolError

SERVERS = {"put": "stock", "get": "stock", "hint": "stock", "mail": "post"}
TOOLS = [
    Tool(
        name=n,
        effect="read" if n in ("get", "hint") else "write",
        binding={"server": s},
        parameters={"type": "object", "properties": {"name": {"type": "string"}, "n": {"type": "integer"}}},
    )
    for n, s in SERVERS.items()
]
BY_NAME = {t.name: t for t in TOOLS}


class Stock:
    def __init__(self, start):
        self.held = dict(start or {"screws": 40, "nails": 7})
        self.sent = []


def shop(shows=True, odd=None) -> Local:
    "A world that nobody has seen: a stock and a post"

    def put(e, name, n):
        if n < 0:
            raise ToolError("nothing negative")
        e.held[name] = n
        return {"stored": name}

    functions = {
        "put": put,
        "get": lambda e, name: {"name": name, "held": e.held.get(name, 0)},
        "hint": lambda e, **a: {"names": sorted(e.held)},
        "mail": lambda e, name: e.sent.append(name),
    }
    show = (lambda e: {"held": dict(e.held), "sent": list(e.sent)} | ({"at": next(odd)} if odd else {})) if shows else (lambda e: None)
    return Local("shop", TOOLS, functions, Stock, show)


def row(calls, answer, request="How many screws are there? Store 12 bolts.", refs=(), **more) -> Trajectory:
    made = [Call(id=f"c{i}", tool=n, arguments=a, refs=tuple(r for at, r in refs if at == i)) for i, (n, a) in enumerate(calls, 1)]
    steps = [Turn(role="assistant", calls=(c,)) for c in made]
    return Trajectory(
        turns=(Turn(role="user", text=request), *steps, Turn(role="assistant", text=answer)),
        world="shop",
        **({"tools": tuple(BY_NAME)} | more),
    )


GET, PUT = ("get", {"name": "screws"}), ("put", {"name": "bolts", "n": 12})
GOLD = row([GET, PUT], "There are 40 screws; the bolts are stored.")


def ends(*rows, gold=GOLD, **kind):
    return asyncio.run(end_states(rows, gold, lambda: shop(**kind)))


# The categories


def test_a_tool_names_its_server_in_its_own_way():
    assert server_of(TOOLS[0]) == "stock" and server_of(bfcl_tools(["MathAPI"])[0]) == "MathAPI"
    two = [Tool(name=n, source=f"mcp:node {s}#{n}", kind="mcp") for n, s in (("a", "x.js"), ("b", "x.js"), ("c", "y.js"))]
    assert server_of(two[0]) == server_of(two[1]) != server_of(two[2])
    pets = [Tool(name=n, category=n, source=f"pets.json#/{n}", kind="openapi") for n in ("pet", "store")]
    assert server_of(pets[0]) == server_of(pets[1])  # a tag is no server


@pytest.mark.parametrize(
    "calls, refs, expected",
    [
        ([GET], (), "multi-server, single call"),
        ([GET, ("hint", {})], (), "single-server, parallel calls"),
        ([GET, ("mail", {"name": "boss"})], (), "multi-server, parallel calls"),
        ([PUT, GET], (), "single-server, sequential calls"),
        ([PUT, ("mail", {"name": "boss"})], (), "multi-server, parallel calls"),
        ([("hint", {}), ("mail", {})], ((2, Ref(param="/name", call="c1", path="/names/0")),), "multi-server, sequential calls"),
    ],
)
def test_the_category_of_a_row(calls, refs, expected):
    assert category(row(calls, "done", refs=refs), BY_NAME) == expected
    assert expected in CATEGORIES


def test_one_call_among_the_tools_of_one_server_is_single():
    assert category(row([GET], "40", tools=("get", "put")), BY_NAME) == "single-server, single call"
    assert category(row([], "nothing"), BY_NAME) == ""


def test_calls_of_one_turn_never_depend_on_each_other():
    t = row([PUT, GET], "done")
    both = Turn(role="assistant", calls=(t.calls[0], t.calls[1]))
    assert category(t.but(turns=(t.turns[0], both, t.turns[-1])), BY_NAME) == "single-server, parallel calls"


def test_a_value_that_only_an_earlier_result_gives_makes_a_sequence():
    t = row([("hint", {}), ("get", {"name": "nails"})], "7", request="How many of the first are there?")
    seen = Observation(call="c1", status="ok", source="executed", world="shop", content={"names": ["nails"]})
    ran = t.but(turns=(t.turns[0], t.turns[1].model_copy(update={"observations": (seen,)}), *t.turns[2:]))
    assert category(ran, BY_NAME) == "single-server, sequential calls"
    told = ran.but(turns=(Turn(role="user", text="Hint, and how many nails?"), *ran.turns[1:]))
    assert category(told, BY_NAME) == "single-server, parallel calls"


# What a text says


def test_what_a_text_states():
    assert states("There are forty, 1,024 in all: 12.35 on average.", 40) and states("1,024 bytes", 1024)
    assert states("12.35", 12.3456) and not states("12.4", 12.3456) and not states("140", 40)
    assert states("in /a/b.", "/a/b") and not states("in /a/bc", "/a/b") and not states("yes", True)
    assert near(3.14, 3.14159) and not near(3, 3.14159)


# The end state


def test_what_is_right():
    again = row([("hint", {}), PUT, GET, GET], "The bolts are in, and screws number forty.")
    assert [e.passed for e in ends(GOLD, again)] == [True, True]


@pytest.mark.parametrize(
    "calls, answer, why",
    [
        ([GET], "There are 40 screws; the bolts are stored.", "state"),
        ([GET, ("put", {"name": "bolts", "n": 13})], "There are 40 screws; the bolts are stored.", "state"),
        ([GET, PUT, ("mail", {"name": "boss"})], "There are 40 screws; the bolts are stored.", "state"),
        ([], "There are 40 screws; the bolts are stored.", "state"),
        ([GET, PUT], "There are 41 screws; the bolts are stored.", "answer"),
        ([GET, PUT], "The bolts are stored.", "answer"),
        ([GET, PUT], "", "answer"),
    ],
)
def test_what_is_wrong(calls, answer, why):
    (e,) = ends(row(calls, answer))
    assert e.passed is False and e.why.startswith(why)


@pytest.mark.parametrize(
    "calls, answer",
    [
        ([GET, PUT], "There are 40 screws and 93 nuts; the bolts are stored."),  # computed, or made up?
        ([PUT, ("get", {"name": "nails"})], "There are 40 screws; the bolts are stored."),  # looked up nowhere
        ([GET, PUT], "There are 40 screws, but I could not store the bolts."),
        ([GET, PUT, ("get", {"name": "nuts"})], "There are 40 screws; bolts and nuts are stored."),
    ],
)
def test_what_cannot_be_told(calls, answer):
    (e,) = ends(row(calls, answer))
    assert e.passed is None and e.why.startswith("unchecked")


def test_a_spoilt_row_that_gets_there_is_right():
    order = row([PUT, GET], "There are 40 screws; the bolts are stored.")
    twice = row([("put", {"name": "bolts", "n": 5}), PUT, GET], "There are 40 screws; the bolts are stored.")
    failed = row([("put", {"name": "bolts", "n": -1}), PUT, GET], "There are 40 screws; the bolts are stored.")
    assert [e.passed for e in ends(order, twice, failed)] == [True, True, True]


def test_a_row_claims_nothing_about_its_own_results():
    lie = Observation(call="c1", status="ok", source="given", world="", content={"name": "screws", "held": 99})
    gold = row([GET], "There are 40 screws.", request="How many screws?")
    t = row([GET], "There are 99 screws.", request="How many screws?")
    turns = (t.turns[0], t.turns[1].model_copy(update={"observations": (lie,)}), t.turns[2])
    (e,) = ends(t.but(turns=turns), gold=gold)
    assert e.passed is False and e.row.observations[0].content["held"] == 40


def test_no_state_and_no_repeated_state_prove_nothing():
    assert [e.passed for e in ends(GOLD, shows=False)] == [None]
    assert [e.passed for e in ends(GOLD, odd=itertools.count())] == [None]
    reads = row([GET], "There are 40 screws.", request="How many screws?")
    assert [e.passed for e in ends(reads, gold=reads, shows=False)] == [True]  # nothing can have changed


def test_a_reference_that_fails_or_tells_nothing_is_none():
    bad = row([("put", {"name": "bolts", "n": -1})], "Stored.")
    assert ends(bad, gold=bad)[0].passed is None
    nothing = row([GET], "Done.", request="Look.")
    assert ends(row([], "Done.", request="Look."), gold=nothing)[0].passed is None


def test_each_row_begins_where_its_task_begins():
    gold = row([GET], "There are 3 screws.", request="How many screws?", initial={"screws": 3})
    right, elsewhere = gold, row([GET], "There are 40 screws.", request="How many screws?")
    assert [e.passed for e in ends(right, elsewhere, gold=gold)] == [True, False]


def test_outputs_are_what_the_answer_states_and_the_request_does_not():
    (e,) = ends(GOLD)
    assert outputs(e.reference) == [40]


# References


def test_where_a_reference_comes_from():
    tasked = row([GET], "40", meta={"task": "t1"})
    gold = row([GET], "There are 40.", request="Something else", meta={"task": "t1"})
    same = row([GET, GET], "Forty.")
    own = row([GET], "40", request="Another", meta={"reference": "There are forty."})
    full = row([GET], "40", request="A third", meta={"reference": json.loads(GOLD.model_dump_json())})
    broken = row([GET], "40", request="A fourth", meta={"reference": {"answer": 5, "junk": []}})
    a, b, c, d, e = references([tasked, same, own, full, broken], [gold, GOLD])
    assert a.answer == "There are 40." and b.row == GOLD and c.answer == "There are forty." and c.row is None
    assert d.row.calls == GOLD.calls and e is None


def test_two_references_for_one_request_are_none():
    other = row([PUT], "Stored only.")
    assert references([row([GET], "x")], [GOLD, other]) == [None]


# The judge


def reply(verdict="pass", mode="none", satisfied="yes", evidence="40 screws"):
    need = dict(text="the number of screws", evidence=evidence, satisfied=satisfied)
    return Answer(value=dict(requirements=[need], verdict=verdict, failure_mode=mode), calls=("x",), model="m")


INPUTS = dict(answer="There are 40 screws.", steps=[dict(tool="get", arguments={"name": "screws"}, status="ok", result='{"held": 40}')])


@pytest.mark.parametrize(
    "answer, passed, why",
    [
        (reply(), True, ""),
        (reply("fail", "wrong_args", "no"), False, "the number"),
        (reply(satisfied="no"), None, "contradiction"),
        (reply("fail", "none", "no"), None, "contradiction"),
        (reply("pass", "hallucinated"), None, "contradiction"),
        (reply(evidence="41 screws"), None, "made_up"),
        (reply(evidence=""), None, "made_up"),
        (reply(evidence="the manager confirmed delivery yesterday"), None, "made_up"),
        (Answer(error="refused: no", calls=("x",)), None, "unread"),
        (Answer(error="invalid_json: …", calls=("x",)), None, "unread"),
    ],
)
def test_a_judge_that_errs_refuses_or_lies_has_not_judged(answer, passed, why):
    v = read_verdict(answer, INPUTS)
    assert v.passed is passed and why in v.why and v.call == "x"


def test_evidence_stands_in_what_was_shown():
    assert cited("40 Screws", "there are 40 screws") and not cited("40 nails", "there are 41 nails") and not cited("", "x")


@pytest.mark.parametrize(
    "end, judge, strict, verdict",
    [
        (True, False, False, True),
        (False, True, False, False),
        (None, True, False, True),
        (None, None, False, None),
        (True, True, True, True),
        (True, None, True, None),
        (None, True, True, None),
        (True, False, True, False),
    ],
)
def test_who_decides(end, judge, strict, verdict):
    assert decided(EndState(end, "", "same", GOLD, GOLD), Judged(judge), strict=strict) is verdict


def test_min_score_counts_requirements_of_a_verdict_that_was_read():
    half = tuple(dict(text="x", evidence="", satisfied=s) for s in ("yes", "no"))
    v = Judged(False, "", "omitted_information", half)
    assert decided(None, v, 0.5) is True and decided(None, v, 0.6) is False
    assert decided(None, v._replace(passed=None), 0.0) is None  # unread stays unread


def test_what_can_be_taken_from_the_judge():
    model = open_model(provider="offline")
    rows, refs = [GOLD, GOLD.but(turns=(GOLD.turns[0], GOLD.turns[-1]))], [as_reference(GOLD)] * 2
    found = ends(*rows)
    seen = asyncio.run(judged(rows, refs, found, BY_NAME, model))
    blind = asyncio.run(judged(rows, refs, found, BY_NAME, model, Shown(trace=False)))
    assert [v.passed for v in seen] == [True, False] and seen[1].failure_mode == "no_tool_call"
    assert [v.passed for v in blind] == [True, True]


# Agreement


def test_kappa_and_its_interval():
    pairs = [(True, True)] * 20 + [(True, False)] * 5 + [(False, True)] * 10 + [(False, False)] * 15
    assert kappa(pairs) == pytest.approx(0.4) and kappa([(True, True)]) is None and kappa([]) is None
    a = agreement([x for x, _ in pairs], [y for _, y in pairs], [str(i // 2) for i in range(50)])
    assert a["accuracy"] == 0.7 and a["kappa_95"][0] < 0.4 < a["kappa_95"][1]
    assert a == agreement([x for x, _ in pairs], [y for _, y in pairs], [str(i // 2) for i in range(50)])


def test_what_was_not_judged_is_not_counted_as_agreement():
    a = agreement([None, True, None], [True, None, None], ["a", "b", "c"])
    assert (a["rows"], a["unjudged"], a["accuracy"], a["kappa"]) == (0, 1, None, None)


# The task set


@pytest.fixture(scope="module")
def built():
    pytest.importorskip("bfcl_eval", reason="needs bfcl-eval")
    return asyncio.run(task_set(("bfcl", "mcp:no-such-server-anywhere"), each=1))


def test_the_task_set_is_balanced_and_its_truth_comes_from_the_end(built):
    cases, skipped = built
    assert list(skipped) == ["mcp:no-such-server-anywhere"]
    assert {c.category for c in cases} == set(CATEGORIES) and len({c.task for c in cases}) == 6
    assert {c.kind for c in cases} >= set(KINDS) - {"another way"}
    assert all(c.truth.passed for c in cases if c.kind == "right")
    assert not any(c.truth.passed for c in cases if c.kind == "no call")
    assert all(references([c.row], [c.reference])[0].row == c.reference for c in cases)


def test_a_spoilt_job_keeps_its_turns():
    job = next(j for j in gold_jobs() if len(j.parts) > 1 and sum(len(p.calls) for p in j.parts) > 2)
    tools = {t.name: t for t in bfcl_tools(job.world.partition(":")[2].split(","))}
    made = spoilt(job, tools, {}, random.Random(1))
    assert all([p.text for p in j.parts] == [p.text for p in job.parts] for j in made.values())
    count = lambda j: sum(len(p.calls) for p in j.parts)
    assert count(made["missing call"]) == count(job) - 1 and count(made["no call"]) == 0


def test_a_job_without_arguments_has_no_wrong_one():
    job = Job("x", "shop", (Asking("Hint.", (Call(id="c1", tool="hint"),)),), ("hint",))
    assert "wrong argument" not in spoilt(job, BY_NAME, {}, random.Random(0))


# Whole


@pytest.fixture(scope="module")
def cases(built):
    return [c for c in built[0] if c.truth.passed is not None]


def test_evaluate_reports_what_became_of_every_row(cases):
    model = open_model(provider="offline")
    gold = list({c.task: c.reference for c in cases}.values())
    out = asyncio.run(evaluate([c.row for c in cases], model, gold))
    told = outcome_report(out, model.name)
    assert told["rows"] == len(cases) and sum(c["rows"] for c in told["categories"].values()) == len(cases)
    assert told["passed"] == len(out.kept) == sum(c.truth.passed is True for c in cases)
    assert "no result" in told["note"] and 0 < told["interval_95"][0] < told["pass_rate"] < told["interval_95"][1] < 1
    assert all(t.scores[-1].criterion == "outcome" and t.scores[-1].value == 1 for t in out.kept)


def test_rows_that_cannot_be_run_are_left_to_the_judge(cases):
    model = open_model(provider="offline")
    c = next(c for c in cases if c.kind == "right")
    text = c.row.but(world="", meta={"reference": c.reference.answer})
    (t,) = asyncio.run(evaluate([c.truth.row.but(world="", meta=text.meta)], model)).kept
    assert t.meta["outcome"]["end_state"] is None and t.meta["outcome"]["judge"] is True
    lost = asyncio.run(evaluate([c.row.but(world="mcp:no-such-server-anywhere")], model, [c.reference], strict=True))
    assert lost.dropped and lost.dropped[0].reason.startswith(("unchecked", "outcome"))


def test_the_command(cases, synthgen, tmp_path):
    save([c.row for c in cases], tmp_path / "rows.jsonl")
    save(list({c.task: c.reference for c in cases}.values()), tmp_path / "gold.jsonl")
    said = synthgen("tool-evaluate", "rows.jsonl", "-o", "good.jsonl", "--reference", "gold.jsonl", "--provider", "offline").stdout
    report = json.loads((tmp_path / "good_report.json").read_text())
    kept = (tmp_path / "good.jsonl").read_text().splitlines()
    assert len(kept) == report["passed"] == sum(c.truth.passed is True for c in cases) and "kappa" in said
    drops = [Drop.model_validate_json(x) for x in (tmp_path / "good_dropped.jsonl").read_text().splitlines()]
    assert len(kept) + len(drops) == len(cases)


def test_without_references_nothing_passes_and_the_command_says_so(cases, synthgen, tmp_path):
    save([c.row for c in cases[:2]], tmp_path / "rows.jsonl")
    r = synthgen("tool-evaluate", "rows.jsonl", "-o", "good.jsonl", "--report-only", "--provider", "offline", ok=False)
    assert r.returncode == 1 and "no_reference" in r.stderr and not (tmp_path / "good.jsonl").exists()
    wrong = synthgen("tool-evaluate", "rows.jsonl", "-o", "good.jsonl", "--by", "toleval", ok=False)
    assert "did you mean 'tooleval'" in wrong.stderr or "tooleval" in wrong.stderr


def test_end_states_in_an_mcp_server():
    pytest.importorskip("mcp_server_time", reason="needs mcp-server-time")
    ask = {"source_timezone": "Europe/Oslo", "time": "12:00", "target_timezone": "Asia/Tokyo"}
    world = "mcp:python -m mcp_server_time"
    gold = row([("convert_time", ask)], "It is ahead: +8.0h or so.", request="Convert noon in Oslo.")
    now = row([("get_current_time", {"timezone": "Europe/Oslo"})], "It is late.", request="Convert noon in Oslo.")
    a, b = asyncio.run(end_states([gold, now], gold, fresh_worlds(world)))
    assert a.state == b.state == "same" and a.passed is not False and b.passed is not True


def test_a_reference_is_a_record():
    assert Reference.model_validate_json(as_reference(GOLD).model_dump_json()) == as_reference(GOLD)


def test_a_row_that_cannot_begin_is_unchecked():
    t = row([("ls", {})], "It holds notes.", request="List.").but(world="bfcl:GorillaFileSystem", initial={"GorillaFileSystem": {"root": "x"}})
    (e,) = asyncio.run(end_states([t], t, fresh_worlds(t.world)))
    assert e.passed is None and "cannot be run" in e.why


def test_a_reference_without_calls_leaves_the_answer_to_the_judge():
    gold = row([], "No tool of mine can do that.", request="Sing.")
    same, other, wrote = gold, row([GET], "It is done.", request="Sing."), row([PUT], "No tool of mine can do that.", request="Sing.")
    assert [e.passed for e in ends(same, other, wrote, gold=gold)] == [True, None, False]
