"""A stand-in for services: identity comes back, what is created is found, what is deleted is gone, and what is made up is counted."""

import asyncio
import json
import random

import pytest

from synthgen_nb.core.records import leaves
from synthgen_nb.specs.openapi import parse_openapi
from synthgen_nb.specs.tool import Tool, problems
from synthgen_nb.worlds.named import others_named, renamed
from synthgen_nb.worlds.roles import roles
from synthgen_nb.worlds.synthetic import SyntheticWorld, modelled
from synthgen_nb.worlds.values import fits, placeholder, sample, with_needed
from synthgen_nb.worlds.world import ToolError

run = asyncio.run
TEXT, INT, BOOL = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}


def obj(**props):
    return {"type": "object", "properties": props}


def array(items):
    return {"type": "array", "items": items}


def op(path, method, gives=None, body=None, **query):
    "One operation of a document; arguments in the query are required where their name ends in !"
    names = [p.split("}")[0] for p in path.split("{")[1:]]
    params = [{"name": n, "in": "path", "required": True, "schema": TEXT} for n in names]
    params += [{"name": n.rstrip("_"), "in": "query", "required": n.endswith("_"), "schema": s} for n, s in query.items()]
    out = {"operationId": f"{method}{path}", "parameters": params, "responses": {"200": {"description": "ok"}}}
    if gives is not None:
        out["responses"]["200"]["content"] = {"application/json": {"schema": gives}}
    if body is not None:
        out["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return path, method, out


def service(*ops):
    paths = {}
    for path, method, o in ops:
        paths.setdefault(path, {})[method] = o
    got = parse_openapi({"openapi": "3.1.0", "info": {}, "paths": paths})
    assert not got.dropped, got.dropped
    by_place = {f"{t.binding['method'].lower()} {t.binding['path']}": t for t in got.kept}
    return SyntheticWorld(got.kept), by_place


async def calls(w, tools, *steps):
    "Runs calls from reset; a step is (place, arguments or a function of the results so far)"
    await w.reset()
    seen = []
    for place, args in steps:
        t, a = tools[place], args(seen) if callable(args) else args
        assert problems(a, t.parameters) == [], (place, a)
        try:
            seen.append(await w.call(t, a, 9))
        except ToolError as e:
            seen.append(str(e))
        else:
            assert not (t.returns and problems(seen[-1], t.returns)), (place, seen[-1], problems(seen[-1], t.returns))
    return seen


CALL = obj(sid=TEXT, account_sid=TEXT, to=TEXT, status={"type": "string", "enum": ["queued", "canceled", "completed"]})
ACCOUNT = obj(sid=TEXT, friendly_name=TEXT)
TELEPHONE = [
    op("/2010/Accounts.json", "get", obj(accounts=array(ACCOUNT), page=INT, page_size=INT), PageSize=INT),
    op("/2010/Accounts/{Sid}.json", "get", ACCOUNT),
    op("/2010/Accounts/{AccountSid}/Calls.json", "get", obj(calls=array(CALL), page_size=INT), PageSize=INT),
    op("/2010/Accounts/{AccountSid}/Calls.json", "post", CALL, obj(To=TEXT)),
    op("/2010/Accounts/{AccountSid}/Calls/{Sid}.json", "get", CALL),
    op("/2010/Accounts/{AccountSid}/Calls/{Sid}.json", "post", CALL, obj(Status=TEXT)),
    op("/2010/Accounts/{AccountSid}/Calls/{Sid}.json", "delete"),
]
CHANNEL = obj(id=TEXT, name=TEXT, is_archived=BOOL)
CHAT = [
    op("/conversations.list", "get", obj(ok=BOOL, channels=array(CHANNEL)), limit=INT),
    op("/conversations.info", "get", obj(ok=BOOL, channel=CHANNEL), channel_=TEXT),
    op("/conversations.create", "post", obj(ok=BOOL, channel=CHANNEL), obj(name=TEXT)),
    op("/conversations.archive", "post", obj(ok=BOOL), obj(channel=TEXT)),
    op("/conversations.rename", "post", obj(ok=BOOL, channel=CHANNEL), obj(channel=TEXT, name=TEXT)),
]
ANIMAL = obj(uid=TEXT, name=TEXT)
DECK = obj(uid=TEXT, name=TEXT, company=obj(uid=TEXT, name=TEXT))
PAGE = obj(pageNumber=INT, pageSize=INT, numberOfElements=INT, totalElements=INT, totalPages=INT)
CATALOGUE = [
    op("/rest/company", "get", obj(company=ANIMAL), uid_=TEXT),
    op("/rest/company/search", "get", obj(page=PAGE, companies=array(ANIMAL)), pageSize=INT, pageNumber=INT),
    op("/rest/cardDeck", "get", obj(cardDeck=DECK), uid_=TEXT),
    op("/rest/cardDeck/search", "get", obj(page=PAGE, cardDecks=array(DECK)), pageSize=INT),
]
REPO = obj(id=INT, name=TEXT, full_name=TEXT, private=BOOL, owner=obj(login=TEXT, id=INT))
FORGE = [
    op("/repos/{owner}/{repo}", "get", REPO),
    op("/repos/{owner}/{repo}", "delete"),
    op("/orgs/{org}/repos", "get", array(REPO)),
    op("/orgs/{org}/repos", "post", REPO, obj(name=TEXT, private=BOOL)),
    op("/repos/{owner}/{repo}/topics", "get", obj(names=array(TEXT))),
    op("/repos/{owner}/{repo}/topics", "put", obj(names=array(TEXT)), obj(names=array(TEXT))),
]
POD = obj(kind=TEXT, metadata=obj(name=TEXT, namespace=TEXT), status=obj(phase=TEXT))
CLUSTER = [
    op("/api/v1/pods", "get", obj(items=array(POD))),
    op("/api/v1/namespaces/{namespace}/pods", "get", obj(items=array(POD))),
    op("/api/v1/namespaces/{namespace}/pods/{name}", "get", POD),
]


def test_identifiers_in_a_path_whatever_their_case():
    w, tools = service(*TELEPHONE)
    assert set(modelled(w).values()) == {"modelled"}
    base = "/2010/Accounts/{AccountSid}/Calls"
    account = lambda seen: seen[0]["accounts"][0]["sid"]
    call = lambda seen: {"Sid": seen[1]["sid"], "AccountSid": account(seen)}
    seen = run(calls(w, tools,
        ("get /2010/Accounts.json", {"PageSize": 46}),
        (f"post {base}.json", lambda s: {"AccountSid": account(s), "body": {"To": "+12025550100"}}),
        (f"get {base}/{{Sid}}.json", call),
        (f"post {base}/{{Sid}}.json", lambda s: call(s) | {"body": {"Status": "completed"}}),
        (f"get {base}.json", lambda s: {"AccountSid": s[0]["accounts"][0]["sid"], "PageSize": 50}),
        (f"delete {base}/{{Sid}}.json", call),
        (f"get {base}/{{Sid}}.json", call),
        (f"get {base}.json", {"AccountSid": "AC_nobody"}),
    ))  # fmt: skip
    accounts, made, again, changed, listed, _, gone, nobody = seen
    assert accounts["page_size"] == 46 and listed["page_size"] == 50
    assert made["to"] == "+12025550100" and made["account_sid"] == accounts["accounts"][0]["sid"] and again == made
    assert changed == made | {"status": "completed"} and changed in listed["calls"]
    assert gone.startswith("404") and nobody.startswith("404")


def test_methods_after_a_dot_and_what_they_wrap():
    w, tools = service(*CHAT)
    assert set(modelled(w).values()) == {"modelled"}
    first = lambda s: s[0]["channels"][0]["id"]
    seen = run(calls(w, tools,
        ("get /conversations.list", {}),
        ("get /conversations.info", lambda s: {"channel": first(s)}),
        ("post /conversations.archive", lambda s: {"body": {"channel": first(s)}}),
        ("get /conversations.info", lambda s: {"channel": first(s)}),
        ("post /conversations.create", {"body": {"name": "launch"}}),
        ("post /conversations.rename", lambda s: {"body": {"channel": s[4]["channel"]["id"], "name": "landing"}}),
        ("get /conversations.list", {}),
        ("post /conversations.archive", {"body": {"channel": "nowhere"}}),
    ))  # fmt: skip
    listed, info, archived, after, made, renamed, again, nowhere = seen
    assert info["channel"] == listed["channels"][0] and archived == {"ok": True} and after["channel"]["is_archived"] is True
    assert made["channel"]["name"] == "launch" and renamed["channel"] == made["channel"] | {"name": "landing"}
    assert renamed["channel"] in again["channels"] and nowhere.startswith("404")


def test_identifiers_in_the_query_are_of_one_kind_of_thing():
    w, tools = service(*CATALOGUE)
    assert set(modelled(w).values()) == {"modelled"}
    seen = run(calls(w, tools,
        ("get /rest/company/search", {"pageSize": 2, "pageNumber": 0}),
        ("get /rest/company", lambda s: {"uid": s[0]["companies"][1]["uid"]}),
        ("get /rest/cardDeck", lambda s: {"uid": s[0]["companies"][1]["uid"]}),
        ("get /rest/cardDeck/search", {"pageSize": 46}),
        ("get /rest/company", lambda s: {"uid": s[3]["cardDecks"][0]["company"]["uid"]}),
    ))  # fmt: skip
    page, company, wrong, decks, maker = seen
    assert page["page"] == {"pageNumber": 0, "pageSize": 2, "numberOfElements": 2, "totalElements": 3, "totalPages": 2} and len(page["companies"]) == 2
    assert company["company"] == page["companies"][1] and wrong.startswith("404: no carddeck")
    assert decks["page"]["pageSize"] == 46 and maker["company"] == decks["cardDecks"][0]["company"]


def test_one_thing_under_several_paths():
    w, tools = service(*FORGE)
    octo = run(calls(w, tools, ("get /orgs/{org}/repos", {"org": "nobody"})))[0].split()[-1]
    name = {"owner": octo, "repo": "launch"}
    seen = run(calls(w, tools,
        ("post /orgs/{org}/repos", {"org": octo, "body": {"name": "launch", "private": True}}),
        ("get /repos/{owner}/{repo}", name),
        ("put /repos/{owner}/{repo}/topics", name | {"body": {"names": ["a", "b"]}}),
        ("get /repos/{owner}/{repo}/topics", name),
        ("delete /repos/{owner}/{repo}", name),
        ("get /repos/{owner}/{repo}", name),
        ("get /orgs/{org}/repos", {"org": octo}),
    ))  # fmt: skip
    made, got, _, topics, _, gone, left = seen
    assert made["name"] == "launch" and got == made and topics == {"names": ["a", "b"]}
    assert gone.startswith("404") and "launch" not in [r["name"] for r in left]


def test_an_identifier_may_lie_deeper_and_lists_run_across_parents():
    w, tools = service(*CLUSTER)
    one = "get /api/v1/namespaces/{namespace}/pods/{name}"
    seen = run(calls(w, tools,
        ("get /api/v1/pods", {}),
        (one, lambda s: {"namespace": s[0]["items"][0]["metadata"]["namespace"], "name": s[0]["items"][0]["metadata"]["name"]}),
        (one, lambda s: {"namespace": s[0]["items"][0]["metadata"]["namespace"], "name": "nobody"}),
    ))  # fmt: skip
    assert seen[1] == seen[0]["items"][0] and seen[2].startswith("404")


def test_looking_changes_nothing_and_order_does_not_matter():
    w, tools = service(*TELEPHONE, *CATALOGUE)

    async def go():
        await w.reset()
        before = json.dumps(await w.state())
        a = await w.call(tools["get /rest/cardDeck/search"], {}, 9)
        assert json.dumps(await w.state()) == before
        await w.reset()
        await w.call(tools["get /rest/company/search"], {}, 9)
        await w.call(tools["get /2010/Accounts.json"], {}, 9)
        return a, await w.call(tools["get /rest/cardDeck/search"], {}, 9)

    first, second = run(go())
    assert first == second


def test_what_nobody_knows_is_called_made_up():
    w, _ = service(op("/translate", "post", obj(text=TEXT), obj(text=TEXT)), op("/rest/company", "get", obj(company=ANIMAL), uid_=TEXT))
    assert sorted(modelled(w).values()) == ["made up", "modelled"]
    names = [Tool(name=n, parameters=obj(note_id=TEXT) | {"required": ["note_id"]}) for n in ("get_note", "archive_note", "delete_note", "now")]
    assert {n: r.action for n, r in roles(names).items()} == {"get_note": "get", "archive_note": "act", "delete_note": "delete", "now": "other"}


@pytest.mark.parametrize("name, looks", [
    ("email", "@example.org"), ("billingCountryCode", str.isupper), ("currency", str.isupper), ("created_at", "2024-"), ("first_name", str.isalpha),
    ("homepage", "https://"), ("phone_number", None), ("city", str.istitle), ("shipping_address", "Street"),
])  # fmt: skip
def test_values_look_like_what_they_are(name, looks):
    for i in range(20):
        v = sample(TEXT, random.Random(i), name, of="customer")
        assert v and (looks is None or (looks in v if isinstance(looks, str) else looks(v))), v


def test_an_organization_signs_in_under_a_name_of_its_own():
    from synthgen_nb.worlds.values import FIRST, text_named

    def person(of):
        return {text_named("login", random.Random(i), of).split(".")[0].capitalize() in FIRST for i in range(20)}

    assert person("user") == person("enterprise user") == {True}
    assert person("organization") == person("enterprise") == {False}


def test_descriptions_say_what_is_possible():
    state = {"type": "string", "description": "State of the request: one of `open`, `closed` or `all`."}
    code = {"type": "string", "description": 'Three letters, e.g. "EUR".'}
    assert {sample(state, random.Random(i), "state") for i in range(40)} == {"open", "closed", "all"}
    assert sample(code, random.Random(0), "code") == "EUR"


def test_real_documents_keep_identity(data):
    from synthgen_nb.specs.parse import parse_tools

    async def go():
        w = SyntheticWorld(parse_tools(data / "specs/openai/openapi.json").kept)
        share = list(modelled(w).values()).count("modelled") / len(w.tools)
        hits = n = 0
        for t in w.tools:
            r = w.roles[t.name]
            if r.action != "get" or not r.key or r.parents or r.resource not in w.resources:
                continue
            await w.reset()
            args = sample(t.parameters, random.Random(t.name))
            try:
                await w.call(t, args | {r.key: "nobody"}, 9)
            except ToolError as e:
                own = str(e).rpartition("there are ")[2].split(", ")[0]
                got = await w.call(t, args | {r.key: own}, 9)
                hits, n = hits + any(str(v) == own for _, v in leaves(got)), n + 1
        return share, hits, n

    share, hits, n = run(go())
    assert share > 0.85 and hits == n > 15


def test_a_row_says_which_of_its_results_were_made_up():
    from synthgen_nb.specs.trajectory import Call, Trajectory, Turn
    from synthgen_nb.tools.apigen import execution_check

    returns = {"type": "object", "properties": {"total": {"type": "number"}}}
    tools = [Tool(name="quote", parameters={"type": "object", "properties": {"amount": {"type": "number"}}}, returns=returns)]

    async def work():
        async with SyntheticWorld(tools) as w:
            turns = lambda call: (Turn(role="user", text="?"), Turn(role="assistant", calls=(call,)), Turn(role="assistant", text="!"))
            row = Trajectory(turns=turns(Call(id="c", tool="quote", arguments={"amount": 2})), tools=("quote",))
            return w.guessed, (await execution_check(row, w))[1]

    guessed, score = asyncio.run(work())
    assert guessed == {"quote"} and score.value == 1 and score.rationale == "made up: quote"


def test_a_service_of_ours_asks_for_no_keys():
    said = {"type": "string", "description": "Authentication token. Requires scope: `pins:read`"}
    body = obj(token=said, name={"type": "string"}) | {"required": ["token", "name"]}
    page = {"type": "string", "description": "Token of the next page"}
    tools = [
        Tool(name="pins_list", parameters=obj(token=said, channel={"type": "string"}) | {"required": ["token"]}),
        Tool(name="pins_add", effect="write", parameters=obj(body=body)),
        Tool(name="pins_page", parameters=obj(token=page)),
        Tool(name="auth_revoke", effect="write", parameters=obj(token=said)),
    ]
    there = {t.name: t.parameters for t in SyntheticWorld(tools).tools}
    assert set(there["pins_list"]["properties"]) == {"channel"} and "required" not in there["pins_list"]
    assert there["pins_add"]["properties"]["body"]["required"] == ["name"]
    assert "token" in there["pins_page"]["properties"] and "token" in there["auth_revoke"]["properties"]
    assert "token" in tools[0].parameters["properties"], "the tool that was read keeps all it had"


def test_a_key_that_every_tool_wants_needs_no_description():
    tools = [Tool(name=f"get_{w}", parameters=obj(key={"type": "string"}, id={"type": "string"})) for w in "abcdef"]
    assert all(set(t.properties) == {"id"} for t in SyntheticWorld(tools).tools)
    few = [Tool(name=f"get_{w}", parameters=obj(key={"type": "string"}, id={"type": "string"})) for w in "ab"]
    assert all("key" in t.properties for t in SyntheticWorld(few).tools)


def test_an_example_fills_in_what_a_thin_schema_leaves_out():
    example = {"ok": True, "emoji": {"bowtie": "https://example.org/bowtie"}}
    thin = obj(ok={"type": "boolean"})
    t = Tool(
        name="emoji_list",
        parameters=obj(),
        returns=thin,
        meta={"responses": {"200": {"examples": {"application/json": example}}, "404": {"examples": {"x": {"no": 1}}}}},
    )
    closed = t.model_copy(update={"returns": thin | {"additionalProperties": False}})
    (got,) = asyncio.run(calls(SyntheticWorld([t]), {t.name: t}, ("emoji_list", {})))
    (bare,) = asyncio.run(calls(SyntheticWorld([closed]), {t.name: closed}, ("emoji_list", {})))
    assert got["emoji"] == example["emoji"] and "no" not in got and set(bare) == {"ok"}


@pytest.mark.parametrize("text", ["{{NOTION_VERSION}}", "<channel id>", "XXXXXXXX", "your_api_key", "${TOKEN}"])
def test_a_placeholder_is_no_value(text):
    seen = {sample({"type": "string", "examples": [text]}, random.Random(i), "version") for i in range(20)}
    assert text not in seen


@pytest.mark.parametrize("text", ["refs/heads/<branch>", "/users/{id}", "YYYY-MM-DD"])
def test_nor_is_a_text_that_holds_one(text):
    assert placeholder(text) and not placeholder(text.translate(str.maketrans("<>{}", "    ")).replace("YYYY-MM-DD", "2024-05-01"))


def test_what_an_update_says_is_what_comes_back_and_stays():
    plan, said = obj(id=TEXT, type={"enum": ["none", "short", "long"]}, title=TEXT), obj(plan_type=TEXT, title=TEXT)
    world, tools = service(op("/plans", "get", array(plan)), op("/plans/{id}", "get", plan), op("/plans/{id}", "patch", plan, said))
    change = lambda seen: {"id": seen[0][0]["id"], "body": {"plan_type": "long", "title": "Later"}}
    again = lambda seen: {"id": seen[0][0]["id"]}
    listed, told, kept = run(calls(world, tools, ("get /plans", {}), ("patch /plans/{id}", change), ("get /plans/{id}", again)))
    assert told == listed[0] | {"type": "long", "title": "Later"} == kept


ONE = {"required": ["id", "name"]} | obj(id=TEXT, name=TEXT)
ROLES = [
    op("/users", "get", array(ONE)),
    op("/users/{user_id}", "get", ONE),
    op("/roles", "get", array(ONE)),
    op("/roles/{role_id}", "get", ONE),
    op("/users/{user_id}/roles", "get", array(ONE)),
    op("/users/{user_id}/roles/{role_id}", "get", ONE),
    op("/users/{user_id}/roles", "post", obj(object={"const": "user.role"}, user=ONE, role=ONE, user_name=TEXT), obj(role_id=TEXT)),
]


def test_what_a_call_names_its_result_names():
    "A role that is given to a user: both come back, with what is known of them; the roles of a user are some of all roles"
    w, tools = service(*ROLES)
    users, roles_ = run(calls(w, tools, ("get /users", {}), ("get /roles", {})))
    there, user = "/users/{user_id}/roles", users[1]
    gives = [(f"post {there}", {"user_id": user["id"], "body": {"role_id": r["id"]}}) for r in roles_]
    look = (f"get {there}", {"user_id": user["id"]})
    before, *told, after = run(calls(w, tools, look, *gives, look))
    assert before and all(r in roles_ for r in before)
    wanted = [{"object": "user.role", "user": user, "role": r, "user_name": user["name"]} for r in roles_]
    assert told == wanted and sorted(r["id"] for r in after) == sorted(r["id"] for r in roles_), "given twice, it is there once"


def test_a_copy_is_not_what_it_is_a_copy_of():
    assert others_named({"page_id": "p1"}, {"page": {"id": "p2"}}) == [("page/id", "p1", "p2")]
    there = {"organization": {"login": "b-works"}, "user": {"login": "bo"}, "state": "active"}
    said = renamed({"org": "a-works", "username": "ada"}, there, lambda *_: None)
    assert said == {"organization": {"login": "a-works"}, "user": {"login": "ada"}, "state": "active"}
    assert renamed({"page_id": "p1"}, {"page": {"id": "p2"}}, lambda *_: None, {"page"}) == {"page": {"id": "p2"}}
    assert renamed({"page_id": "7"}, {"rows": [{"page_id": 3}], "page_id": 3}, lambda *_: None) == {"rows": [{"page_id": 3}], "page_id": 7}


def test_the_same_things_in_two_places_are_referred_to_from_a_third():
    "Of two collections that are asked for by one name, one is a part of the other and has fewer things"
    order = obj(id=TEXT, member_id=TEXT, user_id=TEXT)
    for seed in range(4):
        w, _ = service(op("/users", "get", array(ONE)), op("/users/{user_id}", "get", ONE), op("/v2/members", "get", array(ONE)),
                       op("/v2/members/{user_id}", "get", ONE), op("/orders", "get", array(order)), op("/orders/{order_id}", "get", order))
        w = SyntheticWorld(w.tools, seed)
        orders, members, users = (run(w.call(t, {}, 1)) for p in ("/orders", "/v2/members", "/users")
                                  for t in w.tools if t.binding["path"] == p)
        assert all(m in users for m in members) and {o["member_id"] for o in orders} <= {m["id"] for m in members}


def test_a_part_of_a_schema_takes_the_definitions_that_it_needs():
    defs = {"a": {"properties": {"b": {"$ref": "#/$defs/b"}}}, "b": INT, "c": {"$ref": "#/$defs/c/x", "x": TEXT}}
    part = {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}}
    assert set(with_needed(part, defs)["$defs"]) == {"a", "b"} and with_needed(INT, defs) == INT
    assert with_needed({"$ref": "#/$defs/c/x"}, defs)["$defs"] == defs
    root = part | {"$defs": defs}
    assert fits({"a": {"b": 1}}, part, root) and not fits({"a": {"b": "x"}}, part, root)


VARIABLE = obj(name=TEXT, value=TEXT)
PLACES = [
    op("/users/{username}/boards", "get", array(obj(name=TEXT, color=TEXT))),
    op("/users", "get", array(obj(username=TEXT, email=TEXT))),
    op("/users/{username}", "get", obj(username=TEXT, email=TEXT)),
    op("/boards/{owner}/{board}", "get", obj(name=TEXT, color=TEXT)),
    op("/boards/{owner}/{board}/variables", "get", array(VARIABLE)),
    op("/boards/{owner}/{board}/variables/{name}", "get", VARIABLE),
    op("/boards/{owner}/{board}/variables/{name}", "put", VARIABLE, obj(value=TEXT)),
    op("/sites/{site}/sensors/{sensorId}/readings", "get", array(obj(id=INT, value=INT))),
    op("/sites/{site}/sensors", "get", array(obj(sensorId=TEXT, label=TEXT))),
]


def test_a_nested_path_whose_parent_is_not_there_is_not_found():
    w, tools = service(*PLACES)
    board = lambda s: {"owner": s[0][0]["username"], "board": s[1][0]["name"]}
    base = "get /boards/{owner}/{board}/variables"
    seen = run(calls(w, tools,
        ("get /users", {}),
        ("get /users/{username}/boards", lambda s: {"username": s[0][0]["username"]}),
        (base, board),
        (base, lambda s: board(s) | {"board": s[2][0]["name"]}),  # a variable is no board
        (base, lambda s: board(s) | {"owner": "nobody"}),
        ("get /users/{username}/boards", {"username": "nobody"}),
        ("get /sites/{site}/sensors", {"site": "nowhere"}),
        ("get /sites/{site}/sensors", lambda s: {"site": s[6].split()[-1]}),
        ("get /sites/{site}/sensors/{sensorId}/readings", lambda s: {"site": s[6].split()[-1], "sensorId": s[7][0]["sensorId"]}),
        ("get /sites/{site}/sensors/{sensorId}/readings", lambda s: {"site": s[6].split()[-1], "sensorId": "sensor_0"}),
    ))  # fmt: skip
    assert isinstance(seen[2], list) and len(seen[2]) and isinstance(seen[7], list) and isinstance(seen[8], list)
    assert all(str(seen[i]).startswith("404: no ") for i in (3, 4, 5, 6, 9))
    assert all(x["name"] in seen[3] for x in seen[1])  # it says which there are


def test_what_is_there_does_not_hang_on_what_was_asked_first():
    w, tools = service(*PLACES)
    sites = lambda: run(calls(w, tools, ("get /sites/{site}/sensors", {"site": "nowhere"})))[0]
    first = sites()
    run(calls(w, tools, ("get /users", {}), ("get /sites/{site}/sensors", {"site": first.split()[-1]})))
    assert sites() == first and SyntheticWorld(w.tools, seed=5).own_seed == 5


@pytest.mark.parametrize("codes, makes", [(("200", "404"), False), (("201",), True), (("204", "404"), True)])
def test_a_put_makes_what_is_not_there_where_the_specification_says_so(codes, makes):
    path, method, put = op("/notes/{id}", "put", None, obj(text=TEXT))
    put["responses"] = {c: {"description": "so"} for c in codes}
    w, tools = service((path, method, put), op("/notes/{id}", "get", obj(id=TEXT, text=TEXT)), op("/notes", "get", array(obj(id=TEXT, text=TEXT))))
    seen = run(calls(w, tools, ("put /notes/{id}", {"id": "mine", "body": {"text": "hello"}}), ("get /notes/{id}", {"id": "mine"})))
    if makes:
        assert seen[1] == {"id": "mine", "text": "hello"}
    else:
        assert seen[0].startswith("404") and seen[1].startswith("404")


def test_nobody_becomes_a_member_who_is_not_there():
    path, method, put = op("/teams/{team}/members/{username}", "put")
    put["responses"] = {"204": {"description": "added"}}
    w, tools = service((path, method, put), op("/teams/{team}/members", "get", array(obj(username=TEXT))), op("/teams", "get", array(obj(name=TEXT))),
        op("/teams/{team}", "get", obj(name=TEXT)), *PLACES[1:3])  # fmt: skip
    team = lambda s: {"team": s[1][0]["name"]}
    some = lambda s, i: team(s) | {"username": i}
    seen = run(calls(w, tools, ("get /users", {}), ("get /teams", {}),
        ("put /teams/{team}/members/{username}", lambda s: some(s, "nobody")), ("get /teams/{team}/members", team)))  # fmt: skip
    new = next(u["username"] for u in seen[0] if u["username"] not in [m["username"] for m in seen[3]])
    after = run(calls(w, tools, ("get /users", {}), ("get /teams", {}),
        ("put /teams/{team}/members/{username}", lambda s: some(s, new)), ("get /teams/{team}/members", team)))  # fmt: skip
    assert seen[2].startswith("404") and new in [m["username"] for m in after[3]]


def test_things_of_two_kinds_are_not_called_the_same():
    w, tools = service(*PLACES, op("/boards/{owner}/{board}/labels", "get", array(obj(name=TEXT))),
        op("/boards/{owner}/{board}/labels/{name}", "get", obj(name=TEXT)), op("/boards/{owner}/{board}/pages/{page_id}", "get", obj(id=INT)),
        op("/boards/{owner}/{board}/posts/{post_id}", "get", obj(id=INT)), op("/boards/{owner}/{board}/pages", "get", array(obj(id=INT))),
        op("/boards/{owner}/{board}/posts", "get", array(obj(id=INT))))  # fmt: skip
    at = lambda s: {"owner": s[0][0]["username"], "board": s[1][0]["name"]}
    kinds = ("variables", "labels", "pages", "posts")
    seen = run(calls(w, tools, ("get /users", {}), ("get /users/{username}/boards", lambda s: {"username": s[0][0]["username"]}),
        *((f"get /boards/{{owner}}/{{board}}/{k}", at) for k in kinds)))  # fmt: skip
    sets = [{x.get("name", x.get("id")) for x in xs} for xs in seen[1:]]
    assert all(sets) and sum(map(len, sets)) == len(set().union(*sets))


def test_one_odd_field_of_an_entry_makes_no_other_entry():
    deep = {"type": "object", "properties": {"id": TEXT, "mark": {"type": "string", "minLength": 30, "pattern": "^[A-Z]{3}$"}}, "required": ["id"]}
    w, tools = service(op("/members", "get", obj(data=array(deep))), op("/members/{member_id}", "get", obj(id=TEXT, size=INT)))
    listed = run(calls(w, tools, ("get /members", {})))[0]["data"]
    got = run(calls(w, tools, *(("get /members/{member_id}", {"member_id": x["id"]}) for x in listed)))
    assert listed and [x["id"] for x in got] == [x["id"] for x in listed]


def test_a_member_with_a_user_inside_is_not_that_user():
    member = obj(id=TEXT, role=TEXT, user=obj(id=TEXT, name=TEXT))
    w, tools = service(op("/users", "get", obj(data=array(member))), op("/users/{user_id}", "get", member))
    first = run(calls(w, tools, ("get /users", {})))[0]["data"][0]
    assert run(calls(w, tools, ("get /users/{user_id}", {"user_id": first["id"]})))[0]["id"] == first["id"]


USER = obj(id=INT, username=TEXT, firstName=TEXT, lastName=TEXT, email=TEXT)
PEOPLE = service(
    op("/users", "post", USER, obj(username=TEXT, firstName=TEXT, lastName=TEXT, email=TEXT)),
    op("/users/{username}", "get", USER),
    op("/login", "get", obj(token=TEXT), username_=TEXT),
)


@pytest.mark.parametrize(
    "said",
    [
        dict(username="new.one", firstName="Liam", lastName="Weber"),
        dict(firstName="Liam", lastName="Weber"),
        dict(firstName="Liam", email="grace.novak@example.org"),
        dict(email="ada.sato@example.org"),
    ],
)
def test_what_is_said_of_a_new_person_is_what_is_there(said):
    made, got = run(calls(*PEOPLE, ("post /users", dict(body=said)), ("get /users/{username}", lambda r: dict(username=r[0]["username"]))))
    assert {k: made[k] for k in said} == said and got == made
    known_by = said.get("email", "").partition("@")[0] or "liam.weber"
    assert made["username"] == said.get("username", known_by)


def test_nobody_is_made_twice_and_only_who_is_there_signs_in():
    one = dict(body=dict(username="new.one"))
    made, again, known, unknown = run(
        calls(*PEOPLE, ("post /users", one), ("post /users", one), ("get /login", dict(username="new.one")), ("get /login", dict(username="no.one")))
    )
    assert made["username"] == "new.one" and "409" in again and known["token"] and "404" in unknown and "no.one" in unknown


def test_a_member_who_is_added_again_has_another_role_from_then_on():
    member, body = obj(username=TEXT, role=TEXT), obj(username=TEXT, role=TEXT)
    w, tools = service(op("/teams", "get", array(obj(name=TEXT))), op("/teams/{team}", "get", obj(name=TEXT)), *PLACES[1:3],
        op("/teams/{team}/members", "get", array(member)), op("/teams/{team}/members/{username}", "get", member),
        op("/teams/{team}/members", "post", member, body))  # fmt: skip
    team = lambda s: {"team": s[0][0]["name"]}
    add = lambda role: lambda s: team(s) | {"body": {"username": s[1][0]["username"], "role": role}}
    one = lambda s: team(s) | {"username": s[1][0]["username"]}
    seen = run(calls(w, tools, ("get /teams", {}), ("get /users", {}), ("post /teams/{team}/members", add("reader")),
        ("post /teams/{team}/members", add("owner")), ("get /teams/{team}/members/{username}", one)))  # fmt: skip
    assert [s["role"] for s in seen[2:]] == ["reader", "owner", "owner"]
