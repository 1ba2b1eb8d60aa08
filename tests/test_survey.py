"""Looking around: what texts name, what needs another call first, and what does not give the same again."""

import asyncio
import random
import time

import pytest

from synthgen_nb.specs.tool import Tool
from synthgen_nb.tools.survey import Known, Notes, Runner, guess, known_for, listen, of_another, pool_of, repeatable, suggested, survey
from synthgen_nb.worlds.world import Local


def test_texts_name_the_values_that_are_wanted():
    rng = random.Random(0)
    assert suggested("IANA name (e.g., 'America/New_York', 'Europe/London'). Use 'UTC' else", rng) == [
        "America/New_York",
        "Europe/London",
        "UTC",
    ]
    assert suggested("404: no pet 9; there are 1, 2", rng) == ["1", "2"]
    assert suggested("don't use the user's own", rng) == []
    (clock,) = suggested("Expected HH:MM [24-hour format]", rng)
    assert time.strptime(clock, "%H:%M")
    values = {"timezone": ["Europe/Paris"]}
    assert guess("source_timezone", {"type": "string"}, Known("convert_time", pool_of(values), rng)) == "Europe/Paris"


def test_what_does_not_give_the_same_again_is_left_out_by_name():
    nothing = {"type": "object", "properties": {}}
    tools = [Tool(name=n, parameters=nothing, effect="read") for n in ("day", "now", "dice")]
    acts = dict(day=lambda env: {"hours": 24}, now=lambda env: {"at": int(time.time())}, dice=lambda env: {"eyes": random.random()})

    async def look():
        async with Local("chance", tools, acts, lambda initial: None) as w:
            return await repeatable(w, await survey(w))

    facts, odd = asyncio.run(look())
    assert {f["tool"] for f in facts} == {"day"} and sorted(odd) == ["dice", "now"]


def test_an_error_teaches_other_values_than_the_one_it_refused():
    take = Tool(name="take", parameters={"type": "object", "properties": {"n": {"type": "integer"}}}, effect="read")
    world = Local("w", [take], {}, lambda initial: None)
    notes = Notes([take], Runner(world), random.Random(0), pool_of({}), 6)
    listen(notes, take, {"n": 7}, "no entry '7'; there are 1, 2")
    assert notes.heard["take"]["n"] == ["1", 1, "2", 2]


def test_creating_before_fetching_is_found_out():
    has = lambda **p: {"type": "object", "required": list(p), "properties": p}
    add = Tool(name="add_book", parameters=has(title={"type": "string"}), effect="write")
    get = Tool(name="get_book", parameters=has(bookId={"type": "string"}), effect="read")
    acts = dict(
        add_book=lambda env, title: env.update({f"b{len(env)}": title}) or {"id": f"b{len(env) - 1}"}, get_book=lambda env, bookId: {"title": env[bookId]}
    )

    async def look():
        async with Local("library", [get, add], acts, lambda initial: {}, dict) as w:
            return await survey(w)

    found = [f for f in asyncio.run(look()) if f["tool"] == "get_book"]
    assert found and all([b["tool"] for b in f["before"]] == ["add_book"] for f in found)


TEXT = {"type": "string"}
THINGS = {"type": "object", "properties": {"path": TEXT, "content": TEXT}, "required": ["path", "content"]}


def about(tool, pool=None, words=(), seed=0):
    notes = Notes([tool], Runner(Local("w", [tool], {}, dict)), random.Random(seed), pool or pool_of({}), 3, words=list(words))
    return known_for(notes, tool)


@pytest.mark.parametrize("text", ["refs/heads/<branch name>", "/repos/<owner>/x", "{id}", "YYYY-MM-DD", "ghp_abc..."])
def test_no_argument_holds_a_placeholder_whoever_said_it(text):
    tool = Tool(name="fetch_notes", parameters={"type": "object", "properties": {"ref": TEXT | {"default": text}}, "required": ["ref"]},
                examples=({"arguments": {"ref": text}},), effect="read")
    world = Local("w", [tool], dict(fetch_notes=lambda env, ref: {"seen": f"{ref}."}), lambda initial: {}, dict)
    facts = asyncio.run(survey(world, values={"ref": [text]}))
    assert facts and not any(text in str(f["arguments"]) for f in facts)


def test_nobody_thinks_of_a_cursor_or_a_hash():
    tool = Tool(name="list_commits", parameters={"type": "object", "properties": {}}, effect="read")
    assert guess("page_token", TEXT | {"description": "Such as `abc123`."}, about(tool)) is None
    assert guess("sha", TEXT, about(tool, words=["0" * 40])) is None
    assert guess("sha", TEXT, about(tool, pool_of({"sha": ["1" * 40]}))) == "1" * 40


def test_a_free_text_is_written_and_not_taken_from_a_description_or_a_result():
    tool = Tool(name="create_note", parameters=THINGS, effect="write")
    for i in range(8):
        known = about(tool, pool_of({"content": ["entry 15"], "path": ["/data/log_1.txt"]}), ["main", "f" * 40], i)
        made = guess("content", TEXT | {"description": 'Ends with "\\n"; see `path`.'}, known)
        assert len(made.split()) > 2 and "entry" not in made
        new = guess("path", TEXT, known)
        assert new.startswith("/data/") and new.endswith(".txt") and new != "/data/log_1.txt"


def test_whoever_changes_something_says_what():
    body = {"type": "object", "properties": {"id": {"type": "integer"}, "name": TEXT, "link": TEXT | {"readOnly": True}}}
    tool = Tool(name="updateShelf", parameters={"type": "object", "properties": {"body": body}, "required": ["body"]}, effect="write")
    made = guess("body", body, about(tool, pool_of({"id": [7]})))
    assert made["id"] == 7 and made["name"] and "link" not in made


def test_an_identifier_is_of_its_own_kind():
    assert of_another("role_4bb69395", "userid") and of_another("tundra", "roleid") and not of_another("role_4bb69395", "roleid")
