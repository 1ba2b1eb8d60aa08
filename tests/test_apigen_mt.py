"""APIGen-MT: what makes a blueprint playable, how a committee decides, what a dialogue must reach, and who is caught."""

import asyncio
import copy
import random
from dataclasses import replace

import pytest

from synthgen_nb.core.models import open_model
from synthgen_nb.specs.tool import Tool
from synthgen_nb.specs.trajectory import Call
from synthgen_nb.tools.apigen import verify
from synthgen_nb.tools.apigen_mt import (
    CRITERIA,
    STOP,
    Blueprint,
    Making,
    aligned,
    blueprints,
    dialogue,
    dialogues,
    majority,
    played,
    recombined,
    together,
    validated,
)
from synthgen_nb.tools.survey import survey
from synthgen_nb.tools.toolllm import GIVE_ANSWER
from synthgen_nb.worlds.world import Local, ToolError

TEXT = {"type": "string"}


def tool(name, does, effect, **props):
    schema = {"type": "object", "properties": {k: dict(TEXT, description=d) for k, d in props.items()}, "required": list(props)}
    return Tool(name=name, description=does, parameters=schema, effect=effect)


TOOLS = [
    tool("list_shelves", "List the shelves of the library", "read"),
    tool("get_book", "Get the details of a book", "read", book_id="The id of the book"),
    tool("lend_book", "Lend a book to a reader", "write", book_id="The id of the book", reader="The name of the reader"),
]


def library(shown=True):
    def make(initial):
        return {"b-17": {"title": "Moss", "shelf": "green", "lent_to": ""}, "b-23": {"title": "Fern", "shelf": "blue", "lent_to": ""}}

    def get(env, book_id):
        if book_id not in env:
            raise ToolError(f"no book {book_id}")
        return {"book_id": book_id} | env[book_id]

    def lend(env, book_id, reader):
        if get(env, book_id)["lent_to"]:
            raise ToolError("it is lent already")
        env[book_id]["lent_to"] = reader
        return {"lent": book_id, "due": "2031-05-04"}

    def shelves(env):
        return {"shelves": sorted({b["shelf"] for b in env.values()})}

    functions = {"list_shelves": shelves, "get_book": get, "lend_book": lend}
    return Local("library", TOOLS, functions, make, copy.deepcopy if shown else lambda env: None)


KNOWN = {"book_id": ["b-17", "b-23"], "reader": ["Ada", "Grace"]}


def model(**roles):  # task of a prompt → what becomes of a reply
    real = open_model(provider="offline")
    m = copy.copy(real)

    async def ask(q, sample=0, **more):
        a = await real.ask(q, sample, **more)
        return replace(a, **roles[q.task](a)) if q.task in roles else a

    m.ask = ask
    return m


async def making(world=library, **more):
    async with world() as w:
        facts = await survey(w, TOOLS, KNOWN)
    usual = dict(tools=TOOLS, model=model(), world=world, facts=facts, policy="", rng=random.Random(0), committee=3, revisions=3, attempts=2, max_turns=8)
    return Making(**usual | more)


LEND = Blueprint(
    ("get_book", "lend_book"), "calm", "Please look up the details of the book with the id b-17.\nLend the book with the id b-17 to the reader Ada.",
    (Call(id="call_1", tool="get_book", arguments={"book_id": "b-17"}), Call(id="call_2", tool="lend_book", arguments={"book_id": "b-17", "reader": "Ada"})),
    ("Moss",),
)


def with_call(i, **arguments):
    calls = list(LEND.calls)
    calls[i] = calls[i].model_copy(update=dict(arguments=calls[i].arguments | arguments))
    return replace(LEND, calls=tuple(calls))


async def why(b, world=library):
    async with world() as w:
        return (await validated(b, {t.name: t for t in TOOLS}, w))[1]


@pytest.mark.parametrize(
    "b, reason",
    [
        (LEND, ""),
        (with_call(0, colour="red"), "format: get_book has no parameter 'colour'"),
        (with_call(0, book_id=7), "format:"),
        (replace(LEND, tools=("get_book",)), "format: lend_book is not among"),
        (with_call(0, book_id="b-99"), "execution: get_book: no book b-99"),
        (with_call(1, reader="Zoe"), "ungrounded: /reader of lend_book"),
        (replace(LEND, outputs=("Oak",)), "outputs: no result says 'Oak'"),
        (replace(LEND, calls=LEND.calls[:1], outputs=()), "nothing_to_check"),
        (replace(LEND, calls=(*LEND.calls, LEND.calls[1].model_copy(update=dict(id="call_3")))), "execution: lend_book: it is lent already"),
    ],
)
def test_stage_1_says_what_is_wrong(b, reason):
    found = asyncio.run(why(b))
    assert found.startswith(reason) and bool(found) == bool(reason)


def test_what_ends_otherwise_the_second_time_is_no_blueprint():
    count = iter(range(99))

    def drifting():
        w = library()
        w.functions = dict(w.functions, get_book=lambda env, book_id: {"title": f"Moss {next(count)}"})
        return w

    assert asyncio.run(why(replace(LEND, outputs=()), drifting)).startswith("not_reproducible")


def test_a_committee_decides_by_those_who_voted():
    yes = dict.fromkeys(CRITERIA, "yes")
    no = yes | {"satisfaction": "no"}
    assert majority([yes, yes, no]) == [] and majority([no, no, yes]) == ["satisfaction"]
    assert majority([yes, no]) == ["satisfaction"], "half is no majority"
    assert majority([None, None, yes]) == [] and majority([None, None]) is None and majority([]) is None


def test_a_committee_that_cannot_be_read_is_no_pass():
    async def one():
        m = await making(model=model(tool_alignment=lambda a: dict(value=None, error="not_json: …")))
        async with library() as w:
            b, _ = await validated(LEND, m.by_name, w)
        return await aligned(m, b), await blueprints(m, 2), m.dropped

    said, kept, dropped = asyncio.run(one())
    assert said.startswith("unchecked:") and not kept and {d.reason for d in dropped} == {"unchecked"}


def test_a_committee_that_errs_is_asked_about_revisions():
    votes = iter(["no"] * 3 + ["yes"] * 99)
    asked = []

    def vote(a):
        return dict(value=a.value | dict(correctness=next(votes), thought="the wrong shelf"))

    async def one():
        m = await making(model=model(tool_alignment=vote))
        real = m.model.ask

        async def ask(q, sample=0, **more):
            if q.task == "tool_blueprint":
                asked.append(q.inputs["objections"])
            return await real(q, sample, **more)

        m.model.ask = ask
        return await blueprints(m, 1)

    kept = asyncio.run(one())
    assert len(kept) == 1 and kept[0].revised == 1
    assert asked[0] == [] and "the wrong shelf" in asked[1][0]


def test_no_revision_means_the_first_reason_stands():
    async def one(revisions):
        m = await making(model=model(tool_blueprint=lambda a: dict(value=a.value | dict(outputs=["nowhere"]))), revisions=revisions)
        assert not await blueprints(m, 3)
        return m

    for n in (0, 1):
        m = asyncio.run(one(n))
        assert [d.reason for d in m.dropped] == ["outputs"] * 3 and m.proposed == 3 and m.passed == 0


async def ended(m, b=LEND, world=library):
    async with world() as w:
        b, bad = await validated(b, m.by_name, w)
        assert not bad
        return await dialogue(m, b, w)


async def talk(roles, b=LEND, world=library, **more):
    return await ended(await making(world, model=model(**roles), **more), b, world)


def acting(f):
    return dict(tool_converse=lambda a: dict(value=f(a.value)))


SILENT = Blueprint(("lend_book",), "calm", "Please lend the book with the id b-17 to the reader Ada.", LEND.calls[1:], ())


@pytest.mark.parametrize("shown", [True, False])
def test_an_agent_that_lies_about_the_state_is_caught(shown):
    def world():
        return library(shown)

    def lie(v):
        return dict(v, action=GIVE_ANSWER, arguments=[], answer="Done: b-17 is lent to Ada until 2031-05-04.")

    def wrong(v):
        return dict(v, arguments=[dict(x, value='"b-23"') if x["name"] == "book_id" else x for x in v["arguments"]])

    b = replace(SILENT, calls=tuple(c.model_copy(update=dict(id="call_1")) for c in SILENT.calls), outputs=("2031-05-04",))
    assert asyncio.run(talk({}, b, world))[1] == ""
    assert asyncio.run(talk(acting(lie), b, world))[1].startswith("state:")
    assert asyncio.run(talk(acting(wrong), b, world))[1].startswith("state:")


def test_what_nobody_said_is_missed():
    def mute(v):
        return dict(v, answer="All is well.") if v["action"] == GIVE_ANSWER else v

    assert "never said 'Moss'" in asyncio.run(talk(acting(mute)))[1]


def test_a_user_without_an_end_and_an_agent_without_a_word():
    endless = dict(tool_user=lambda a: dict(value=dict(message=a.value["message"].replace(STOP, "And then?"))))
    t, said = asyncio.run(talk(endless | acting(lambda v: v if v["action"] != "give_up_and_restart" else dict(v, action=GIVE_ANSWER, answer="Hm."))))
    assert said.startswith("no_end") and sum(x.role == "user" for x in t.turns) == 8
    assert asyncio.run(talk(dict(tool_user=lambda a: dict(value=None, error="not_json: …"))))[1].startswith("user:")

    def busy(v):
        return dict(v, action="get_book", arguments=[dict(name="book_id", value='"b-17"', call="", path="")])

    assert asyncio.run(talk(acting(busy)))[1].startswith("gave_up")
    assert asyncio.run(talk(dict(tool_user=lambda a: dict(value=dict(message=STOP)))))[1].startswith("state:")


def test_a_dialogue_that_misses_is_dropped_with_its_reason_and_tried_again():
    tries = []

    def second(a):
        tries.append(a)
        return dict(value=dict(a.value, answer="All is well.") if a.value["action"] == GIVE_ANSWER and len(tries) < 4 else a.value)

    async def one():
        m = await making(model=model(tool_converse=second), attempts=2)
        async with library() as w:
            b, _ = await validated(LEND, m.by_name, w)
        await played(m, [b])
        return m

    m = asyncio.run(one())
    assert [d.reason for d in m.dropped] == ["dialogue:outputs"] and len(m.rows) == 1
    assert m.rows[0].meta["attempt"] == 2


def test_small_tasks_put_together_are_validated_again():
    again = replace(LEND, intention="Lend the book with the id b-17 to the reader Grace.", outputs=(),
                    calls=(Call(id="call_1", tool="lend_book", arguments={"book_id": "b-17", "reader": "Grace"}),))
    fern = Call(id="call_1", tool="lend_book", arguments={"book_id": "b-23", "reader": "Grace"})
    other = replace(again, intention=again.intention.replace("b-17", "b-23"), calls=(fern,))
    both = together(LEND, other)
    assert [c.id for c in both.calls] == ["call_1", "call_2", "call_3"] and both.parts == 2

    async def one(b):
        m = await making(committee=0)
        return await recombined(m, [LEND, b], 2), m.dropped

    long, dropped = asyncio.run(one(other))
    assert [len(b.calls) for b in long] == [3] and not dropped
    kept, dropped = asyncio.run(one(again))
    assert [len(b.calls) for b in kept] == [2] and "it is lent already" in dropped[0].detail


def test_rows_are_dialogues_that_pass_all_checks():
    out = asyncio.run(dialogues(TOOLS, open_model(provider="offline"), library, 4, values=KNOWN))
    assert len(out.kept) == 4 and "blueprints passed" in out.note
    assert max(sum(x.role == "user" for x in t.turns) for t in out.kept) > 1
    assert not any(STOP in x.text for t in out.kept for x in t.turns)
    bare = [t.but(scores=()) for t in out.kept]
    assert not asyncio.run(verify(bare, TOOLS, library)).dropped
    wrong = [t.model_copy(update=dict(turns=t.turns[1:])) for t in out.kept if len(t.turns) > 5]
    assert wrong and asyncio.run(verify(wrong, TOOLS, library)).dropped, "what was asked first is gone"


def test_a_policy_is_shown_and_stands_first():
    def world():
        w = library()
        w.policy = "Books are lent for a month."
        return w

    out = asyncio.run(dialogues(TOOLS, open_model(provider="offline"), world, 2, values=KNOWN))
    assert out.kept and all(t.turns[0].role == "system" and t.turns[0].text == "Books are lent for a month." for t in out.kept)


def test_a_world_in_which_nothing_works_gives_no_rows():
    def empty():
        w = library()
        w.functions = dict.fromkeys(w.functions, lambda env, **_: (_ for _ in ()).throw(ToolError("closed")))
        return w

    out = asyncio.run(dialogues(TOOLS, open_model(provider="offline"), empty, 2))
    assert not out.kept
