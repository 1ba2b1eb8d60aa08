"""Large specifications: what is looked at grows with the rows that are asked for, spread over the groups, and nothing hangs on the rest."""

import asyncio
import random
from collections import Counter

import pytest

from synthgen_nb.core.models import open_model
from synthgen_nb.export.fit import safe_tools
from synthgen_nb.specs.openapi import parse_openapi
from synthgen_nb.tools.feeds import feeds, linked
from synthgen_nb.tools.gorilla import Retriever, words
from synthgen_nb.tools.rows import Plan, make_rows
from synthgen_nb.tools.sampled import group, looked_at, spread
from synthgen_nb.tools.seen import Seen, fed
from synthgen_nb.worlds.open import fresh_worlds

THINGS = "anchor barrel candle dagger engine funnel goblet hammer island jacket kettle ladder marble needle oyster pillow quarry ribbon saddle tunnel".split()


def document(parts: int) -> dict:
    "A specification of `parts` groups with five collections each, four operations on each of them"
    paths, schemas = {}, {}
    for i in range(parts):
        for j in range(5):
            thing = f"{THINGS[i % 20]}{THINGS[(i // 20 + j * 3) % 20]}"
            ref = {"$ref": f"#/components/schemas/{thing}"}
            schemas[thing] = {"type": "object", "required": ["id", "title"], "properties": {"id": {"type": "string"}, "title": {"type": "string"}}}
            gives = lambda s: {"200": {"description": "", "content": {"application/json": {"schema": s}}}}
            titled = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
            body = {"required": True, "content": {"application/json": {"schema": titled}}}
            key = [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}]
            base, said = f"/{i}{thing}s", dict(tags=[f"part {i}"])
            paths[base] = {
                "get": dict(said, operationId=f"list_{thing}s", summary=f"List the {thing}s.", responses=gives({"type": "array", "items": ref})),
                "post": dict(said, operationId=f"create_{thing}", summary=f"Create a {thing}.", requestBody=body, responses=gives(ref)),
            }
            paths[base + "/{id}"] = {
                "get": dict(said, operationId=f"get_{thing}", summary=f"Fetch a {thing}.", parameters=key, responses=gives(ref)),
                "delete": dict(said, operationId=f"delete_{thing}", summary=f"Delete a {thing}.", parameters=key, responses={"204": {"description": ""}}),
            }
    return {"openapi": "3.0.3", "info": {"title": "Store", "version": "1"}, "paths": paths, "components": {"schemas": schemas}}


def tools(parts: int) -> list:
    got = parse_openapi(document(parts))
    assert not got.dropped and len(got.kept) == 20 * parts
    return got.kept


def made(some: list, rows: int, seed: int = 0):
    "Rows, with the number of calls of the survey and the tools that it called"
    fresh, asked, surveyed = fresh_worlds("synthetic:store", some, source="store"), Counter(), []

    def first():
        w = fresh()
        if not surveyed:  # the world of the survey
            surveyed.append(w)
            own = w.call

            async def counted(tool, args, timeout):
                asked[tool.name] += 1
                return await own(tool, args, timeout)

            w.call = counted
        return w

    return asyncio.run(make_rows(some, open_model(provider="offline"), first, Plan(rows, seed=seed))), asked


def test_the_survey_grows_with_the_rows_and_not_with_the_tools():
    small, few = made(tools(8), 6)
    large, many = made(tools(30), 6)
    assert few.total() < 1.6 * many.total() and many.total() < 1.6 * few.total()
    assert len(large.looked_at) == len(small.looked_at) == 60 and set(many) <= set(large.looked_at)
    more, asked = made(tools(30), 60)
    assert len(more.looked_at) == 120 and asked.total() > 1.4 * many.total()
    assert [len(m.rows) for m in (small, large, more)] == [6, 6, 60]


def test_rows_are_spread_over_the_groups_and_the_same_for_a_seed():
    some = tools(30)
    parts = {t.name: t.category for t in some}
    once, again, other = (made(some, 40, seed)[0].rows for seed in (0, 0, 1))
    shown = lambda rows: [t.but(turns=tuple(u.model_copy(update=dict(observations=())) for u in t.turns)).model_dump_json() for t in rows]
    assert shown(once) == shown(again) != shown(other)
    assert len({parts[c.tool] for t in once for c in t.calls}) >= 0.6 * len(set(parts.values()))


def test_few_tools_are_all_looked_at_in_their_order():
    some = tools(3)
    assert looked_at(some, 2) == [some]
    order = spread(tools(30), random.Random(0))
    assert len({group(t) for t in order[:120]}) == 30 and sorted(t.name for t in order) == sorted(t.name for t in tools(30))
    first, *rest = looked_at(tools(30), 10)
    assert len(first) == 60 and sum(map(len, rest)) == 540 and not {t.name for t in first} & {t.name for ts in rest for t in ts}


def test_more_tools_are_looked_at_when_the_rows_run_out():
    some = tools(5)
    first, nothing = {t.name for t in looked_at(some, 4)[0]}, {"type": "string", "maxLength": 0, "minLength": 1}
    m, _ = made([t.but(returns=nothing) if t.name in first else t for t in some], 4)
    assert len(m.rows) == 4 and len(m.looked_at) > 60


@pytest.mark.parametrize(
    "field, giver, name, taker, may",
    [
        ("uid", "listCompany", "uid", "getCardDeck", False),
        ("uid", "listCard", "uid", "getCardDeck", False),
        ("uid", "searchCardDeck", "uid", "getCardDeck", True),
        ("uuid", "list_orders", "uuid", "get_customer", False),
        ("sid", "ListCall", "Sid", "FetchAccount", False),
        ("sid", "ListCall", "CallSid", "FetchCallRecording", True),
        ("call_sid", "ListRecording", "Sid", "FetchCall", True),
        ("account_sid", "ListCall", "AccountSid", "FetchCall", True),
        ("number", "issues_list-for-repo", "issue_number", "issues_get", True),
        ("id", "find_pets_by_status", "petId", "getPetById", True),
        ("id", "get_note", "id", "get_note_history", True),
        ("slug", "list_teams", "slug", "get_project", False),
        ("owner", "repos_get", "owner", "issues_list", True),
    ],
)
def test_identifiers_are_typed_by_what_they_identify(field, giver, name, taker, may):
    assert feeds(field, giver, name, taker) is may
    seen = Seen()
    seen.add(field, giver, "x-1")
    assert fed(seen, name, taker) == ["x-1"] * may
    step = dict(call="call_1", tool=giver, arguments={}, content=[{field: "x-1"}])
    assert [v for *_, v in linked(name, taker, [step])] == ["x-1"] * may


def test_schemas_are_written_out_once_and_shared():
    some = {t.name: t for t in tools(1)}
    listed, one = (t.returns for n, t in some.items() if n.startswith(("list_anchoranchor", "get_anchoranchor")))
    assert listed["items"]["properties"]["title"] is one["properties"]["title"]


def test_a_reference_that_leads_back_is_kept_whoever_asks_first():
    node = {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/Node"}, "leaf": {"$ref": "#/components/schemas/Leaf"}}}
    refs = {n: {"$ref": f"#/components/schemas/{n}"} for n in ("Node", "Leaf", "Both")}
    both = {"type": "object", "properties": {"a": refs["Leaf"], "b": refs["Node"]}}
    doc = dict(document(1), paths={}, components={"schemas": {"Node": node, "Leaf": {"type": "string"}, "Both": both}})
    for n in ("Leaf", "Both", "Node"):
        doc["paths"][f"/{n}"] = {"get": {"operationId": n, "responses": {"200": {"description": "", "content": {"application/json": {"schema": refs[n]}}}}}}
    alone = {n: parse_openapi(dict(doc, paths={f"/{n}": doc["paths"][f"/{n}"]})).kept[0].returns for n in refs}
    assert {t.name: t.returns for t in parse_openapi(doc).kept} == alone and alone["Both"]["$defs"]["Node"]["properties"]["leaf"] == {"type": "string"}


def test_the_retriever_ranks_as_the_formula_does():
    some = tools(2)
    r = Retriever(some)
    assert all(r.rank(t.description)[0].name == t.name for t in some)
    assert not r.scores("xyzzy ?").any() and r.rank("")[0].name == some[0].name and words("Fetch a kettle")


def test_only_tools_that_are_shown_are_made_safe():
    some = tools(1)
    safe = safe_tools([some[0].but(description="Say <|im_end|> to end."), *some[1:]])
    assert "<|im_end|>" not in safe[some[0].name].description and len(safe) == len(some) and safe[some[1].name] == some[1]
