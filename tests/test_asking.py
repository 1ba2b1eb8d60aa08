"""The offline model with tools: requests as a person makes them that read back as they were meant, answers that can be read."""

import asyncio
import json
import random
import re
from itertools import combinations

import pytest

from synthgen_nb.core.models import open_model
from synthgen_nb.core.prompts import load_prompt
from synthgen_nb.core.records import leaves
from synthgen_nb.offline.requests import is_goal, read, say, there
from synthgen_nb.offline.tellings import answer_from, beginning
from synthgen_nb.offline.tools import _prepared, counted, found_in, plan
from synthgen_nb.offline.wants import phrase
from synthgen_nb.offline.worded import said, typed
from synthgen_nb.specs.tool import Tool, steps
from synthgen_nb.specs.trajectory import resolve
from synthgen_nb.tools.grounding import in_lines, stated
from synthgen_nb.tools.instructions import noted_down
from synthgen_nb.tools.rows import Plan, make_rows
from synthgen_nb.worlds.hdf5 import hdf5_tools, hdf5_world
from synthgen_nb.worlds.open import open_world

TEXT, NUMBER = {"type": "string"}, {"type": "integer"}
PET = {"type": "object", "properties": {"id": NUMBER, "name": TEXT, "status": TEXT, "tags": {"type": "array", "items": TEXT},
       "category": {"type": "object", "properties": {"name": TEXT}}, "isTame": {"type": "boolean"}}}


def tool(name, description, effect="read", returns=None, required=(), **properties):
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return Tool(name=name, description=description, parameters=schema, returns=returns or {}, effect=effect)


SHOP = [
    tool("findPetsByStatus", "Finds Pets by status", returns={"type": "array", "items": PET}, status=TEXT, page_size=NUMBER),
    tool("getPetById", "Returns a single pet", returns=PET, required=["petId"], petId=NUMBER),
    tool("addPet", "Adds a new pet to the store", "write", PET, ["body"], body=PET),
    tool("deletePet", "Deletes a pet", "write", required=["petId"], petId=NUMBER),
    tool("listOrders", "Lists all orders of a customer", returns={"type": "array", "items": {"type": "object"}}, customer_id=TEXT, from_date=TEXT),
]
DOCS = [dict(name=t.name, description=t.description, parameters=t.parameters, returns=t.returns, effect=t.effect) for t in SHOP]


@pytest.fixture(scope="module")
def made():
    hdf5 = asyncio.run(make_rows(hdf5_tools(), open_model(provider="offline"), hdf5_world, Plan(24)))
    shop = asyncio.run(make_rows(SHOP, open_model(provider="offline"), lambda: open_world("synthetic:", SHOP), Plan(16)))
    return [*hdf5.rows, *shop.rows]


def test_nobody_speaks_json_or_names_of_parameters(made):
    names = {k for t in [*hdf5_tools(), *SHOP] for k in t.properties if "_" in k or re.search("[a-z][A-Z]", k)}
    for t in made:
        free = re.sub("“[^”]*”", "", t.instruction)
        assert not re.search(r"[{}\[\]]", free), t.instruction
        assert not {*re.findall(r"\w+", free)} & names, t.instruction


def test_there_are_many_ways_to_ask(made):
    openings = {" ".join(t.instruction.split()[:2]) for t in made}
    assert len(made) == 40 and len(openings) >= 12 and sum(re.split(r"(?<=[.?]) ", t.instruction)[0].endswith("?") for t in made) >= 3
    again = asyncio.run(make_rows(SHOP, open_model(provider="offline"), lambda: open_world("synthetic:", SHOP), Plan(16))).rows
    assert [t.instruction for t in again] == [t.instruction for t in made[-16:]]


def test_every_argument_is_in_the_request_or_in_an_earlier_result(made):
    for t in made:
        seen = {}
        for c, o in zip(t.calls, t.observations, strict=True):
            given = {r.param.split("/")[1] for r in c.refs}
            resolve(c, seen)  # what is referred to is there
            for at, v in leaves(c.arguments):
                if steps(at)[0] in given or isinstance(v, bool) or v in (None, "", [], {}): continue
                assert stated(v, t.instruction), (at, v, t.instruction)
            seen[c.id] = o


def test_answers_are_sentences_and_no_dumps(made):
    dumps = 0
    for t in made:
        assert len(t.answer) < 300 * len(t.calls) + 100 and t.answer[:1].isupper() and t.answer.rstrip()[-1] in ".!”", t.answer
        assert not re.search(r"[{}]|(?<![/\w])\w+_\w+ is\b", re.sub("“[^”]*”", "", t.answer)), t.answer
        dumps += bool(re.search(r"; \w+ \S+[.;]", t.answer))
    assert dumps <= len(made) // 10


CALLS = {
    "findPetsByStatus": [{}, {"status": "sold"}, {"status": "out of stock, for now", "page_size": 20}],
    "getPetById": [{"petId": 7}],
    "deletePet": [{"petId": -1}],
    "addPet": [{"body": {"name": "Rex"}}, {"body": {"name": "it", "tags": ["a b", "c"], "category": {"name": "Dogs and Cats"}, "isTame": False}},
               {"body": {}}, {"body": {"id": 3, "tags": [], "isTame": True}}],
    "listOrders": [{"customer_id": "12", "from_date": "2024-05-01"}, {"customer_id": "the first of them"}],
}


@pytest.mark.parametrize("name, args", [(n, a) for n, xs in CALLS.items() for a in xs])
def test_what_is_said_reads_back(name, args):
    found = {say([(name, args, {})], DOCS, i) for i in range(12)}
    assert all(read(x, DOCS) == [(name, args, {})] for x in found) and len(found) > 3 and "" not in found


def test_two_calls_as_one_goal_or_one_after_the_other():
    for (a, x), (b, y) in combinations([("findPetsByStatus", {"status": "sold"}), ("getPetById", {}), ("deletePet", {})], 2):
        if y: continue
        steps = {r: [(a, x, {}), (b, y, {"petId": f"the second of {r}"})] for r in ("those", "them")}
        if not x: steps = {r: [(a, {"petId": 4}, {}), (b, y, {"petId": "it"})] for r in steps}
        texts = {say(steps["those"], DOCS, i) for i in range(20)}
        assert all(read(t, DOCS) == steps["them"] for t in texts)
        mixed = {say(steps["them"], DOCS, i) for i in range(20)}
        assert all("of them" in t and "of those" not in t for t in mixed if x), "not all that was found is a pet"
        if x: assert {is_goal(t, DOCS) for t in texts} == {True, False}, "told by its end, and step by step"


def test_what_cannot_be_said_is_not_said():
    assert say([("addPet", {"body": {"name": "so “called”"}}, {})], DOCS) == "" and read("Do something nice.", DOCS) == []
    assert [typed(said(v)) for v in (12, 1.5, "a", "of", "a, b")] == [12, 1.5, "a", "of", "a, b"] and typed(said("12"), ["string"]) == "12"


@pytest.mark.parametrize("n", [0, 1, 3, 30])
def test_lists_say_how_many_and_who(n):
    pets = [dict(id=i, name=f"Pet{chr(65 + i)}x", status="sold") for i in range(n)]
    step = dict(call="call_1", tool="findPetsByStatus", arguments={"status": "sold"}, status="ok", content=pets)
    answer = answer_from([step], DOCS, "Which pets are there with the status sold?")
    assert all(p["name"] in answer for p in pets[: 5 if n > 8 else n]) and len(answer) < 300
    assert str(n) in answer or n < 2


def test_a_writer_is_told_facts_in_lines():
    fact = dict(tool="getPetById", arguments={"petId": 7}, before=[], content={"id": 7, "name": "Rex", "owner": {"firstName": "Ada"}, "tags": ["a", "b"]})
    docs = [d for d in DOCS if d["name"] == "getPetById"]
    text = load_prompt("tool_instructions").render(tools=docs, facts=[noted_down(fact)], n=1, least=1, most=1, avoid=[]).messages[1]["content"]
    shown = text[text.index("What was tried"):]
    assert "owner first name: Ada" in shown and "tags: a, b" in shown and "pet id: 7" in shown and "{" not in shown
    long = in_lines([dict(n=i) for i in range(50)]) + in_lines(dict.fromkeys(map(str, range(50)), "x" * 500))
    assert len(long) < 20 and max(map(len, long)) <= 161
    assert json.dumps(in_lines(None)) == '["nothing"]'


@pytest.mark.parametrize("seed", range(4))
def test_what_can_be_said_against_an_answer_hangs_on_no_order(made, seed):
    import random

    from synthgen_nb.offline.tellings import CHECKED, evidence, objected
    from synthgen_nb.tools.grounding import steps_of, tool_docs

    tools = {t.name: t for t in hdf5_tools()}
    row = [t for t in made if t.calls][seed]
    known = evidence(row.instruction, steps_of(row.calls, row.observations), tool_docs(list(dict.fromkeys(c.tool for c in row.calls)), tools))
    for answer in (row.answer, "There are 41 files, and none of them is called lumen.h5.", f"{row.answer} The mean is 9.75 m/s."):
        checks = random.Random(seed).sample(CHECKED, len(CHECKED))
        whole = objected(known, answer, [*CHECKED])
        assert objected(known, answer, checks) == whole
        assert objected(known, answer, checks, 1) == min(whole, 1)


@pytest.mark.parametrize("phrase,name,value,said", [
    ("Cancel an active ChatKit session", "session_id", "s_1", "active ChatKit session with the id s_1"),
    ("Delete a fine-tuned model", "model", "m_1", "fine-tuned model m_1"),
    ("Update a project's group", "group_id", "g_1", "project's group with the id g_1"),
])
def test_a_value_stands_behind_the_noun_and_all_its_adjectives(phrase, name, value, said):
    tool = {"name": "act", "description": phrase, "parameters": {"type": "object", "required": [name],
            "properties": {name: {"type": "string"}}}}
    request = say([("act", {name: value}, {})], [tool])
    assert said in request and read(request, [tool]) == [("act", {name: value}, {})]


def test_a_page_of_a_list_is_told_by_what_it_lists():
    tool = {"name": "list_batches", "description": "List batches", "parameters": {"type": "object", "properties": {}}}
    page = {"object": "list", "data": [{"id": "b_1", "object": "batch"}, {"id": "b_2", "object": "batch"}],
            "first_id": "b_1", "last_id": "b_2", "has_more": False}
    step = {"tool": "list_batches", "arguments": {}, "content": page, "call": "call_1"}
    answer = answer_from([step], [tool], "Which batches are there?")
    assert "2 batches" in answer and "b_1" in answer and "object" not in answer and "first id" not in answer


def test_a_diff_is_told_by_what_it_changes():
    tool = {"name": "git_diff", "description": "Show changes that are not staged",
            "parameters": {"type": "object", "properties": {}}}
    diff = "diff --git a/x.txt b/x.txt\n--- a/x.txt\n+++ b/x.txt\n@@ -1,2 +1,2 @@\n one\n-a worm\n+a fish"
    step = {"tool": "git_diff", "arguments": {}, "content": diff, "call": "call_1"}
    answer = answer_from([step], [tool], "Show me the changes that are not staged.")
    assert answer == "The change in x.txt adds “a fish” and takes out “a worm”."


def test_entries_of_one_name_are_told_apart_by_what_differs():
    tool = {"name": "list_teams", "description": "List teams", "parameters": {"type": "object", "properties": {}}}
    teams = [{"id": 42, "name": "Developers", "slug": x} for x in ("umber", "iris")]
    answer = answer_from([{"tool": "list_teams", "arguments": {}, "content": teams, "call": "call_1"}], [tool], "Which teams are there?")
    assert "Developers (slug umber)" in answer and "Developers (slug iris)" in answer


@pytest.mark.parametrize("phrase,name,said", [
    ("Remove a role from a group within the organization", "group_id", "the group with the id x_1 within"),
    ("Get the packages of a user", "username", "the user x_1"),
])
def test_a_thing_within_another_and_a_user_take_their_values(phrase, name, said):
    tool = {"name": "act", "description": phrase, "parameters": {"type": "object", "required": [name],
            "properties": {name: {"type": "string"}}}}
    request = say([("act", {name: "x_1"}, {})], [tool])
    assert said in request and read(request, [tool]) == [("act", {name: "x_1"}, {})]


def test_a_value_does_not_stand_behind_half_of_an_alternative():
    tool = {"name": "copy", "description": "Copy a group or dataset inside a file", "parameters": {"type": "object",
            "required": ["path"], "properties": {"path": {"type": "string", "description": "Path of a group or dataset."}}}}
    assert "or the dataset" not in say([("copy", {"path": "/a"}, {})], [tool])


def tool_of(name, description, **props):
    required = [k for k in props if not k.endswith("_")]
    return {"name": name, "description": description, "parameters": {"type": "object", "required": required,
            "properties": {k.rstrip("_"): v for k, v in props.items()}}}


def test_a_place_is_named_once():
    tools = [tool_of("log", "Show the commit logs", repo_path=TEXT), tool_of("status", "Show the working tree status", repo_path=TEXT)]
    both = [(n, {"repo_path": "/srv/repo"}, {}) for n in ("log", "status")]
    request = say(both, tools)
    assert request.count("/srv/repo") == 1 and " there" in request and read(request, tools) == both


@pytest.mark.parametrize("value,schema,said", [
    ("desc", TEXT, "in descending order"),
    (["a.txt"], {"type": "array", "items": TEXT}, "the order a.txt"),
])
def test_values_are_said_as_people_say_them(value, schema, said):
    tools = [tool_of("list_rows", "List the rows", order=schema)] if value == "desc" else [tool_of("add", "Add something", orders=schema)]
    name = next(iter(tools[0]["parameters"]["properties"]))
    request = say([(tools[0]["name"], {name: value}, {})], tools)
    assert said in request and read(request, tools) == [(tools[0]["name"], {name: value}, {})]


def test_calls_of_a_request_belong_together():
    one = lambda tool, args, content: dict(tool=tool, arguments=args, before=[], content=content)
    facts = [one("list_pets", {}, [{"id": 4}, {"id": 5}]), one("get_pet", {"pet_id": 5}, {"name": "Milo"}),
             *(one(f"get_{x}", {x: f"{x}_1"}, {"n": i}) for i, x in enumerate(("ship", "star", "bank")))]
    prepared = _prepared(facts, {f["tool"] for f in facts})
    for i in range(30):
        steps = [s["tool"] for s in plan(prepared, 1, 4, random.Random(i))]
        assert len(steps) == 1 or steps == ["list_pets", "get_pet"], steps
        both = [s["tool"] for s in plan(prepared, 2, 4, random.Random(i))]
        assert len(both) == 2, "two without a bond only where two are asked for, and never three"


def test_a_long_result_ends_at_a_line_and_says_what_is_left():
    tool = tool_of("git_status", "Show the working tree status")
    text = "\n".join(f"  modified: src/file_{i}.py, changed by somebody" for i in range(20))
    step = {"tool": "git_status", "arguments": {}, "call": "call_1"}
    told = lambda content: answer_from([step | {"content": content}], [tool], "Show me the working tree status.")
    answer = told(f"On branch main\n{text}")
    assert "somebody” and " in answer and answer.endswith("more lines.") or answer.endswith("more.")
    assert beginning("one\ntwo\nthree", 8) == ("one two", 1) and beginning("A first. " + "b" * 300, 280) == ("A first.", 0)
    names = [{"name": f"n{i}"} for i in range(17)]
    assert "and 12 more" in told(names)


def test_one_sentence_says_one_place_and_one_order_once():
    "An entry of the only list that a call takes is the call's own; an order is no place"
    props = {"deletions": {"type": "array", "items": {"type": "object", "properties": {
        "entityName": {"type": "string"}, "observations": {"type": "array", "items": {"type": "string"}}}}}}
    forget = {"name": "delete_observations", "description": "Delete observations from entities.", "parameters": {"type": "object", "properties": props}}
    text = say([("delete_observations", {"deletions": [{"entityName": "Ada Berg", "observations": ["plays chess"]}]}, {})], [forget])
    assert "deletion" not in text and "the entity name Ada Berg" in text
    assert there("Show me the files in descending order. Then list the jobs in descending order.").count("descending") == 2


def test_a_diff_told_by_its_lines_is_told_and_so_is_nothing_below_a_heading():
    def quoted(content, answer):
        return counted("Show me", [dict(tool="git_diff", arguments={}, status="ok", thought="t", content=content)], answer)["quoted"]
    diff = "Unstaged changes:\n--- a/x.py\n+++ b/x.py\n@@ -1 +1,2 @@\n def area(w, h):\n+    todo: volumes\n"
    assert quoted(diff, "The change in x.py adds “todo: volumes”.") == 1 and quoted(diff, "It went well.") == 0
    assert quoted("Unstaged changes:\n", "There are no changes.") == 1 and quoted("Unstaged changes:\n", "All is well.") == 0


def test_a_moment_in_seconds_is_not_told():
    made = dict(id="f1", name="plan", size=12, created_at=1724312913, updated_at="2024-01-15")
    step = dict(call="call_1", tool="getPetById", arguments={"petId": 7}, status="ok", content=made)
    answer = answer_from([step], DOCS, "Show me the pet with the id 7.")
    assert "1724312913" not in answer and "plan" in answer


def test_groups_and_datasets_are_not_those_datasets():
    "A list of two kinds is one of which nobody knows what the second of them is"
    name = {"type": "object", "properties": {"path": {"type": "string"}}}
    found = {"name": "find", "description": "List the groups and datasets of a file.", "parameters": {"type": "object", "properties": {}}}
    mean = {"name": "mean_of", "description": "Compute the mean of a dataset.", "parameters": name | {"required": ["path"]}}
    texts = {say([("find", {}, {}), ("mean_of", {}, {"path": "the second of those"})], [found, mean], i) for i in range(12)} - {""}
    assert texts and not any("those" in t for t in texts)
    kinds = [{"path": "/a", "kind": "group"}, {"path": "/b", "kind": "dataset"}, {"path": "/c", "kind": "dataset"}]
    for content, words in ((kinds, "the second of them"), (kinds[1:], "the first of those")):
        steps = [dict(tool="find", arguments={}, content=content), dict(tool="mean_of", arguments={"path": "/b"}, content=1.5)]
        assert found_in(steps)[1] == {"path": words}


def test_what_is_taken_from_a_list_is_asked_for_in_the_same_place():
    def fact(tool, args, content):
        return dict(tool=tool, arguments=args, content=content, before=[])
    here = fact("list_items", {"user": "ada"}, [{"item_id": "i1"}, {"item_id": "i2"}])
    there = [fact("get_item", {"user": u, "item_id": "i2"}, {"size": 3}) for u in ("bao", "ada")]
    for seed in range(6):
        steps = plan([here, *there], 2, 3, random.Random(seed))
        names = [s["tool"] for s in steps]
        after = steps[names.index("list_items") + 1:] if "list_items" in names else []
        assert all(s["arguments"]["user"] == "ada" for s in after)



def test_a_description_without_a_verb_names_what_is_got():
    said = {"get_blocks_txs": "Block transactions", "get_account_utxos": "DRep delegators", "ListLicensees": "List", "get_mean": "Compute the mean.",
            "RetrieveConfig": "Retrieve", "block_user": "Block a user", "getIt": "Returns a list of things."}
    got = {name: phrase({"name": name, "description": text}) for name, text in said.items()}
    assert got == {"get_blocks_txs": "get block transactions", "get_account_utxos": "get DRep delegators", "ListLicensees": "list licensees",
                   "get_mean": "compute the mean", "RetrieveConfig": "retrieve config", "block_user": "block a user",
                   "getIt": "return a list of things"}


def test_steps_of_one_row_are_made_in_one_place():
    from synthgen_nb.offline.tools import plan

    def fact(tool, content, **args):
        return dict(tool=tool, arguments=args, content=content, before=[])

    facts = [fact("list_issues", [{"number": i}], owner=o, repo=r) for i, (o, r) in enumerate((("ada", "maps"), ("bao", "trees"), ("ada", "trees")))]
    facts += [fact("list_labels", [{"name": n}], owner=o, repo=r) for n, o, r in (("bug", "ada", "maps"), ("docs", "carla", "birds"))]
    plans = [x for i in range(20) if (x := plan(facts, 2, 3, random.Random(i)))]
    assert plans and all(len({s["arguments"]["owner"] for s in x}) == 1 for x in plans), plans  # the same kind in two projects of one owner is one place
    assert all(len({s["arguments"]["repo"] for s in x}) == 1 for x in plans if len({s["tool"] for s in x}) == len(x)), plans


def test_the_second_of_them_is_the_second_for_whoever_counts():
    from synthgen_nb.offline.tools import found_in

    rows = [{"name": n} for n in ("oak", "elm", "ash")]
    steps = [dict(tool="list_trees", arguments={"park": "elm"}, content=rows), dict(tool="get_tree", arguments={"tree_name": "ash"}, content={"age": 4})]
    assert found_in(steps)[1] == {"tree_name": "the third of those"}  # also where the elm is named, which is no news
    steps[0]["arguments"] = {}
    assert found_in(steps)[1] == {"tree_name": "the third of those"}
