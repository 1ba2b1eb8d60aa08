"Calls that were drawn and have run, and what a writer may make of them"

import asyncio
import json

import pytest

from synthgen_nb.core.models import Answer, open_model
from synthgen_nb.specs.tool import Tool
from synthgen_nb.specs.trajectory import Observation, Trajectory
from synthgen_nb.tools.apigen import verify
from synthgen_nb.tools.drawn import as_chain, as_row, completed, copied, drawn_round, drawn_rows, given_away, key, unasked, unsaid, worded
from synthgen_nb.tools.rows import Plan, make_rows
from synthgen_nb.worlds.hdf5 import hdf5_tools, hdf5_world

TABLE = dict(table=dict(type="string"), column=dict(type="string"))
GIVEN = dict(type="object", properties=TABLE, required=["table"])
READ = Tool(name="sum_column", description="Compute the total of a column of a table.", parameters=GIVEN, effect="read")
LIST = Tool(name="list_tables", description="List the tables.", parameters=dict(type="object", properties={}), effect="read")
TOOLS = {t.name: t for t in (READ, LIST)}
FACT = dict(tool="sum_column", arguments=dict(table="orders", column="weight"), before=[], content=dict(total=417.5))


def ran(*contents):
    return [Observation(call=f"call_{i}", status="ok", content=c, source="executed", world="w", seconds=0) for i, c in enumerate(contents, 1)]


def row(request, answer="", fact=FACT): return as_row(as_chain(fact), ran(*[b["content"] for b in fact["before"]], fact["content"]), request, answer)


class Writer:
    "Says what a script has, in turn, and notes what it was asked"
    name = "scripted/writer"

    def __init__(self, **said): self.said, self.asked = {k: [*v] for k, v in said.items()}, []
    def prompt(self, name): return open_model(provider="offline").prompt(name)

    async def ask(self, ask):
        self.asked.append(ask)
        field = ask.prompt.split("_")[1]
        return Answer(value={field: self.said[field].pop(0), "values": ""}, calls=(f"c{len(self.asked)}",), model=self.name)


def made(writer): return asyncio.run(worded(as_chain(FACT), ran(FACT["content"]), TOOLS, writer))


GOOD = "What is the total of the column weight of orders?"


def test_a_request_is_written_without_the_results_and_an_answer_with_them():
    w = Writer(request=[GOOD], answer=["It adds up to 417.5."])
    t = made(w)
    assert isinstance(t, Trajectory) and t.instruction == GOOD and [o.calls for o in t.origin] == [("c1",), ("c2",)]
    first, second = ("".join(m["content"] for m in a.messages) for a in w.asked)
    assert "417.5" not in first and "417.5" in second and "417.5" not in json.dumps(w.asked[0].inputs)


def test_a_second_try_is_told_in_plain_words_what_was_wrong():
    w = Writer(request=["orders, weight", GOOD], answer=["It adds up to 12.", "It adds up to 417.5."])
    assert isinstance(made(w), Trajectory)
    assert "it lists values and asks for nothing" in w.asked[1].messages[1]["content"] and "call_1" not in w.asked[3].messages[1]["content"]


def test_values_that_are_left_out_are_added_and_the_row_says_so():
    t = made(Writer(request=["What is the total?"] * 2, answer=["It adds up to 417.5."]))
    assert t.instruction == "What is the total? The table is orders and the column is weight." and "added" in t.origin[0].note
    assert not unsaid(t, TOOLS)


@pytest.mark.parametrize("request_, why", [
    ("What is the total of weight in orders? How is it made? Who made it? When? And why on that day?", "too_much"),
    ("orders weight", "bare"), ("What do you want to know about weight of orders?", "asks_back"),
    ("Show me the weight of orders; is the total 417.5?", "given_away"), ("Please show me orders and its weight.", "unasked"),
])  # fmt: skip
def test_what_is_no_request_for_these_calls_is_dropped_with_its_reason(request_, why):
    tools = TOOLS | {f"other_{i}": Tool(name=f"other_{i}", description="A column of a table.", parameters=READ.parameters) for i in range(6)}
    lost = asyncio.run(worded(as_chain(FACT), ran(FACT["content"]), tools, Writer(request=[request_] * 2)))
    assert (lost.stage, lost.reason) == ("instruct", why)


def test_an_answer_that_the_results_do_not_give_is_dropped():
    lost = made(Writer(request=[GOOD], answer=["It adds up to 12."] * 2))
    assert (lost.stage, lost.reason) == ("solve", "unsupported_number") and lost.record.instruction == GOOD


def test_what_is_passed_is_not_given_away_and_a_manual_is_no_request():
    assert not given_away(row(GOOD)) and given_away(row("Is it 417.5?"))
    long = READ.but(description="Add up all the numbers of a column of a table and say what they come to.")
    assert copied(row(long.description), {"sum_column": long}) and not copied(row(GOOD), {"sum_column": long})
    assert not unasked(row(GOOD), TOOLS)


def test_a_value_of_an_object_is_added_in_words():
    fact = FACT | dict(arguments=dict(table="orders", column="weight", limits=[3.5, 7]))
    tools = {"sum_column": READ.but(parameters=dict(type="object", properties=TABLE | dict(limits=dict(type="array"))))}
    assert completed(row("Add up weight of orders.", fact=fact), tools) == "Add up weight of orders. The limits is 3.5, 7."


def test_rows_are_new_verified_and_of_several_tools():
    out = asyncio.run(drawn_rows(hdf5_tools(), open_model(provider="offline"), hdf5_world, 10, seed=3))
    assert len(out.kept) == 10 == len({key(tuple(t.calls)) for t in out.kept}) and len({t.calls[-1].tool for t in out.kept}) >= 8
    assert {len(t.calls) for t in out.kept} >= {1, 2} and len(asyncio.run(verify(out.kept, hdf5_tools(), hdf5_world)).kept) == 10


class Unable:
    "A model that cannot search: its steps are no calls"
    def __init__(self): self.model = open_model(provider="offline")
    def __getattr__(self, name): return getattr(self.model, name)
    def over(self, items, render, **more): return self.model.over(items, render, **more)

    async def ask(self, ask, *rest, **more):
        if ask.task == "tool_act": return Answer(error="not_json: it says 0.00000", calls=("x",), model="unable")
        return await self.model.ask(ask, *rest, **more)


def test_a_writer_that_cannot_search_gets_calls_that_were_drawn():
    tools = hdf5_tools()
    made_ = asyncio.run(make_rows(tools, Unable(), hdf5_world, Plan(6), instead=drawn_round))
    assert len(made_.rows) == 6 and {t.origin[0].method for t in made_.rows} == {"drawn"}
    why = [d.reason for d in made_.solved.dropped]
    assert why.count("no_answer") == 4  # a small round, soon over
    assert made_.asked == len(made_.proposed.kept) + len(made_.proposed.dropped)
    assert len(made_.proposed.kept) == len(made_.solved.kept) + len(made_.solved.dropped)
