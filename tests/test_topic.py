"""Tools from a topic: what is wrong with a written tool, asking once more, specifications that load and run, rows made of them."""

import asyncio

import pytest
from conftest import command, rows

from synthgen_nb.core.calls import Calls
from synthgen_nb.core.models import Answer, Model, open_model
from synthgen_nb.core.records import SynthgenError
from synthgen_nb.specs.parse import parse_tools
from synthgen_nb.specs.tool import unsound
from synthgen_nb.specs.trajectory import Call
from synthgen_nb.tools.topic import as_tool, flaw, kept_things, key_of, plural, tools_from_topic
from synthgen_nb.worlds.synthetic import SyntheticWorld
from synthgen_nb.worlds.world import execute_all


def field(name, kind="string", **more):
    return dict(name=name, type=kind, description="", **more)


BOOK = dict(name="book", description="", fields=[field("title"), field("book_id"), field("pages", "integer"), field("due", "date"), field("tags", "list")])
GET = dict(name="get_book", description="Get one book by its id.", action="get", thing="book", parameters=[field("book_id", required=True)])


@pytest.mark.parametrize(
    "change, reason",
    [
        ({}, ""),
        (dict(name="get book"), "bad_name"),
        (dict(name="取得"), "bad_name"),
        (dict(name="x" * 90), "bad_name"),
        (dict(name="GetBooks"), "same_name"),
        (dict(thing="shelf"), "unknown_thing"),
        (dict(description="Books."), "no_description"),
        (dict(parameters=[]), "no_key"),
        (dict(parameters=[field("book_id", required=False)]), "no_key"),
        (dict(parameters=[field("book_id", required=True), field("bookId", required=True)]), "same_parameter"),
        (dict(parameters=[field("book id", required=True)]), "bad_parameter"),
        (dict(action="create", parameters=[]), "nothing_to_say"),
        (dict(action="update"), "nothing_to_say"),
        (dict(action="list", parameters=[]), ""),
    ],
)
def test_what_is_wrong_with_a_tool(change, reason):
    there = as_tool(GET | dict(name="get_books", action="list", parameters=[]), BOOK)
    assert flaw(GET | change, dict(book=BOOK), [there]).split(":")[0] == reason


def test_specifications_are_sound_and_say_what_is_given():
    assert key_of(BOOK) == "book_id" and key_of(dict(name="loan", fields=[field("code"), field("id")])) in ("code", "id")
    for action, gives in (("get", "book_id"), ("list", "books"), ("search", "books"), ("create", "title"), ("delete", "deleted")):
        t = as_tool(GET | dict(action=action, parameters=[field("kind", required=True, choices=["a", "b", "a"])]), BOOK)
        assert not unsound(t.parameters) and not unsound(t.returns) and gives in t.returns["properties"]
        assert t.parameters["properties"]["kind"]["enum"] == ["a", "b"] and t.effect == ("write" if action in ("create", "delete") else "read")
    props = as_tool(GET, BOOK).returns["properties"]
    assert props["due"]["format"] == "date" and props["tags"]["items"] == {"type": "string"}
    assert [plural(n) for n in ("copy", "day", "box", "class", "series", "branch")] == ["copies", "days", "boxes", "classes", "series", "branches"]


class Scripted(Model):
    "A model that writes these, one after the other, and keeps what it was asked"

    def __init__(self, *values):
        super().__init__("offline", open_model(provider="offline").block, Calls())
        self.values, self.asked = list(values), []

    async def ask(self, ask, sample=0, **more):
        self.asked.append(ask.inputs)
        return Answer(value=self.values.pop(0)) if self.values else Answer(error="empty_reply: nothing")


def test_what_is_wrong_is_asked_for_once_more():
    bad, good = GET | dict(parameters=[]), GET
    listed = GET | dict(name="list_books", action="list", parameters=[], description="List all books there are.")
    m = Scripted(dict(things=[BOOK], tools=[listed, bad]), dict(things=[], tools=[good]))
    out = asyncio.run(tools_from_topic("library", m, 2))
    assert [t.name for t in out.kept] == ["list_books", "get_book"] and out.reasons == {"no_key": 1} and "2 of 3 valid (67%)" in out.note
    assert m.asked[1]["n"] == 1 and m.asked[1]["complaints"] == ["get_book: no_key: 'book_id' must be a required parameter"]
    assert m.asked[1]["known"][0]["name"] == "book" and [t["name"] for t in m.asked[1]["already"]] == ["list_books"]


def test_no_tool_is_an_error_and_few_are_said():
    with pytest.raises(SynthgenError, match="no tool for the topic 'x' could be used"):
        asyncio.run(tools_from_topic("x", Scripted(), 2))
    with pytest.raises(SynthgenError, match="the topic is empty"):
        asyncio.run(tools_from_topic("  ", Scripted(), 2))
    assert len(asyncio.run(tools_from_topic("library", Scripted(dict(things=[BOOK], tools=[GET])), 5)).kept) == 1


@pytest.mark.parametrize("topic", ["library loans", "Greenhouse sensors & alarms", "Tierärztliche Praxis", "図書館", "a b c", "train tickets, seats, refunds"])
def test_nine_of_ten_are_valid_and_a_world_keeps_their_things(topic):
    out = asyncio.run(tools_from_topic(topic, open_model(provider="offline"), 20))
    assert len(out.kept) == 20 == len({t.name for t in out.kept}) and len(out.dropped) <= 2
    assert set(kept_things(out.kept).values()) == {"modelled"}


def test_what_is_created_is_found_again():
    tools = asyncio.run(tools_from_topic("library loans", open_model(provider="offline"), 12)).kept

    async def go():
        async with SyntheticWorld(tools) as w:
            made = Call(id="a", tool="create_loan", arguments=dict(name="Ada", status="open"))
            found = Call(id="b", tool="search_loans", arguments=dict(name="Ada"))
            return await execute_all(w, [made, found])

    made, found = asyncio.run(go())
    assert made.ok and found.ok and not made.mismatch and not found.mismatch and found.content["loans"] == [made.content]


def test_the_command_makes_a_file_that_the_others_take(tmp_path):
    do = command(tmp_path)
    said = do("tool-generate-from-topic", "hotel bookings", "-o", "tools.jsonl", "--n-tools", 8).stdout
    assert "8 tools" in said and "8 of 8 valid (100%)" in said
    got = parse_tools(tmp_path / "tools.jsonl")
    assert not got.dropped and [t.category for t in got.kept].count("booking") >= 3
    do("tool-generate", "tools.jsonl", "-o", "rows.jsonl", "--target-pairs", 3)
    assert len(rows(tmp_path / "rows.jsonl")) == 3 and rows(tmp_path / "rows.jsonl")[0]["world"] == "synthetic:tools.jsonl"
