"""In-N-Out: parameters, labels, gold of NESTFUL beside every baseline, execution, votes, prerequisites, chains, the command."""

import asyncio
import json

import numpy as np
import pytest
from conftest import DATA, command

from synthgen_nb.core.models import open_model
from synthgen_nb.core.records import SynthgenError
from synthgen_nb.specs.parse import one_tool, parse_tools
from synthgen_nb.specs.tool import Tool, flat, legal
from synthgen_nb.tools.chains import chains, columns_of, draw, expanded, needs, wrong_in
from synthgen_nb.tools.feeds import feeds
from synthgen_nb.tools.in_n_out import (
    EVIDENCE,
    WEIGHTS,
    Edge,
    Index,
    agreement,
    all_pairs,
    edges_of,
    evidence,
    flowed,
    given_by,
    proved,
    referenced,
    scored,
    shape_of,
    taken_by,
    tool_pairs,
    voted,
    with_observed,
)

NESTFUL = DATA / "tools" / "nestful"
needs_nestful = pytest.mark.skipif(not NESTFUL.is_dir(), reason=f"no NESTFUL at {NESTFUL}; set SYNTHGEN_DATA")


def obj(required=(), **fields) -> dict:
    schemas = {k: v if isinstance(v, dict) else {"type": v} for k, v in fields.items()}
    return {"type": "object", "properties": schemas, "required": list(required or fields)}


def tool(name, takes: dict, gives: dict, description="") -> Tool:
    return Tool(name=name, description=description, parameters=obj(**takes), returns=obj(**gives))


LIBRARY = [
    tool("search_books", {"title": "string"}, {"books": {"type": "array", "items": obj(id="string", title="string")}}),
    tool("register_reader", {"email": "string"}, {"reader_id": "string", "registered": "boolean"}),
    tool("lend_book", {"book_id": "string", "reader_id": "string"}, {"loan_id": "string", "status": "string"}),
    tool("return_loan", {"loan_id": "string"}, {"loan_id": "string", "fee": "number"}),
    tool("close_loan", {"loan_id": "string"}, {"loan_id": "string"}),
    tool("pay", {"amount": {"type": "number", "description": "The fee to be paid."}}, {"ok": "boolean"}),
]
EDGES = edges_of(LIBRARY)


def edge(giver, taker) -> list[Edge]:
    return [e for e in EDGES if (e.giver, e.taker) == (giver, taker)]


# Parameters and labels


def test_parameters_of_a_result_outermost_first_and_of_a_body():
    assert [s.path for s in given_by(LIBRARY[0])] == ["books", "books[].id", "books[].title"]
    nested = tool("put", {"body": obj(owner="string", tag={"enum": ["a"]})}, {"x": obj(x=obj(code="string"))})
    assert [(s.path, s.required, s.closed) for s in taken_by(nested)] == [("body.owner", True, False), ("body.tag", True, True)]
    assert [s.path for s in given_by(nested)] == ["x", "x.x.code"]
    assert given_by(Tool(name="list_names", returns={"type": "array", "items": {"type": "string"}}))[0].path == "*"
    assert given_by(Tool(name="unknown")) == [] and edges_of([]) == [] and edges_of([Tool(name="unknown")]) == []


def test_strong_is_the_same_thing_in_the_same_form_and_a_list_item_is_weak():
    (direct,) = edge("register_reader", "lend_book")
    assert (direct.output, direct.input, direct.label, direct.condition) == ("reader_id", "reader_id", "strong", "")
    (item,) = edge("search_books", "lend_book")
    assert (item.output, item.input, item.label, item.condition) == ("books[].id", "book_id", "weak", "one of several")
    assert [e.output for e in edge("lend_book", "return_loan")] == ["loan_id"]
    assert not edge("register_reader", "pay") and not edge("lend_book", "search_books")


def test_an_echo_an_ended_thing_and_how_a_call_went_give_nothing():
    assert not edge("return_loan", "close_loan") and not edge("close_loan", "return_loan")
    assert not [e for e in EDGES if e.output in ("registered", "ok", "status")]
    gone = [tool("delete_pet", {"name": "string"}, {"pet_id": "string"}), tool("get_pet", {"pet_id": "string"}, {"age": "number"})]
    assert edges_of(gone) == []
    gone[0] = tool("Pets_Delete", {"name": "string"}, {"pet_id": "string"})
    assert edges_of(gone) == []
    gone[0] = tool("create_pet", {"name": "string"}, {"pet_id": "string"})
    assert [e.label for e in edges_of(gone)] == ["strong"]


def test_the_index_finds_what_all_pairs_find_by_the_rule():
    index = Index(LIBRARY)
    found = {(i, o) for i, o, _ in zip(*all_pairs(index), strict=True)}
    pairs = [(i, o) for i, x in enumerate(index.ins) for o, y in enumerate(index.outs) if x.tool != y.tool]
    ruled = {(i, o) for i, o in pairs if feeds((y := index.outs[o]).name, y.tool, (x := index.ins[i]).name, x.tool)}
    assert ruled and ruled <= found
    i, o, named = all_pairs(index)
    e = evidence(index, i, o, named)
    assert e.shape == (len(i), len(EVIDENCE)) and set(WEIGHTS) == set(EVIDENCE) and e.min() >= -1 and e.max() <= 1.001
    assert {(a, b) for a, b in zip(i, o, strict=True)} >= {(a, b) for a, b in zip(*scored(index)[:2], strict=True)}


def test_results_that_are_not_declared_are_taken_from_what_was_seen():
    silent = [t.but(returns={}) for t in LIBRARY]
    assert edges_of(silent) == []
    facts = [dict(tool="register_reader", arguments={}, content={"reader_id": "r-1"}), dict(tool="lend_book", arguments={}, content='{"loan_id": "l-1"}')]
    assert {(e.giver, e.taker) for e in edges_of(with_observed(silent, facts))} >= {("register_reader", "lend_book"), ("lend_book", "return_loan")}
    assert shape_of([1, 2.5]) == {"type": "number"} and shape_of([None]) == {}
    assert shape_of([{"a": None}, {"a": [1]}])["properties"]["a"] == {"type": "array", "items": {"type": "integer"}}


# Gold


def test_gold_is_read_from_references_and_ties_count_as_their_expectation():
    calls = [
        dict(name="find it", label="var1", arguments={"q": "x"}),
        dict(name="use", label="var2", arguments={"a": "$var1.list[0].id$", "b": ["$var1$"], "c": "cost in $ and $"}),
        dict(name="var_result", arguments={"r": "$var2$"}),
    ]
    assert referenced([dict(output=calls)]) == {("find_it", "list.id", "use", "a"), ("find_it", "", "use", "b")}
    gold = {("a", "b"), ("c", "d")}
    assert agreement({("a", "b"): 2.0, ("x", "y"): 1.0}, gold) == (0.5, 0.5)
    assert agreement({("a", "b"): 1.0, ("x", "y"): 1.0, ("c", "d"): 1.0, ("e", "f"): 1.0}, gold) == (0.5, 0.5)
    assert tool_pairs({("a", "1", "b", "2"): 0.2, ("a", "3", "b", "4"): 0.6}) == {("a", "b"): 0.6}


def nestful(split: str):
    file = next(NESTFUL.glob(f"*/{split}-spec.json"))
    first = {}
    for d in json.loads(file.read_text()):
        first.setdefault(d["name"], d)
    rows = json.loads(file.with_name(f"{split}-data.json").read_text())
    return [one_tool(d, split).but(name=legal(n)) for n, d in first.items()], referenced(rows)


@needs_nestful
@pytest.mark.parametrize("split", ["executable", "non-executable-glaive"])
def test_above_every_baseline_on_nestful(split):
    from sklearn.feature_extraction.text import TfidfVectorizer

    tools, gold = nestful(split)
    index = Index(tools)
    ins, outs = index.ins, index.outs
    words = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4)).fit_transform([f"{s.name} {s.about}" for s in (*ins, *outs)])
    like = (words[: len(ins)] @ words[len(ins) :].T).toarray()

    def plain(path):
        return path.replace("[]", "").strip("*.")

    def key(i, o):
        return outs[o].tool, plain(outs[o].path), ins[i].tool, plain(ins[i].path)

    def by(score):
        return {key(i, o): float(score(i, o)) for i, x in enumerate(ins) for o, y in enumerate(outs) if x.tool != y.tool}

    base = [
        by(lambda i, o: ins[i].type == outs[o].type),
        by(lambda i, o: flat(ins[i].name) == flat(outs[o].name)),
        by(lambda i, o: like[i, o]),
        by(lambda i, o: outs[o].type == "object" and ins[i].type in ("object", "any")),
        by(lambda i, o: feeds(outs[o].name, outs[o].tool, ins[i].name, ins[i].tool)),
    ]
    ours: dict = {}
    for i, o, s in zip(*scored(index), strict=True):
        ours[key(i, o)] = max(ours.get(key(i, o), 0), float(s))
    pairs = {(g[0], g[2]) for g in gold}
    for theirs in base:
        assert agreement(ours, gold)[0] > 1.5 * agreement(theirs, gold)[0]
        assert agreement(tool_pairs(ours), pairs)[0] > 1.5 * agreement(tool_pairs(theirs), pairs)[0]


@needs_nestful
def test_the_derived_gold_is_what_sequences_refer_to():
    derived = json.loads((NESTFUL / "derived_gold_param_edges.json").read_text())
    mine = {(e["src"], e["dst"], e["dst_param"]) for e in derived if e["split"] in ("exec", "glaive") and e["src"] != e["dst"]}
    made = {(g, t, x) for split in ("executable", "non-executable-glaive") for g, _, t, x in nestful(split)[1]}
    assert {(legal(g), legal(t), x) for g, t, x in mine} == made


def test_arguments_in_the_words_of_nestful_are_read(tmp_path):
    spec = [
        {
            "name": "look",
            "description": "d",
            "path_parameters": {"place": {"type": "String", "required": True}},
            "query_parameters": {"n": {"type": "Number", "required": False}},
            "output_parameters": {"found": {"type": "String"}},
        }
    ]
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    (t,) = parse_tools(tmp_path / "spec.json").kept
    assert set(t.properties) == {"place", "n"} and t.required == ["place"] and "query_parameters" not in t.meta


# Execution and votes


STEPS = [
    dict(tool="register_reader", arguments={"email": "ada@x.org"}, content={"reader_id": "r-77", "email": "ada@x.org", "registered": True}),
    dict(tool="lend_book", arguments={"book_id": "b-9", "reader_id": "r-77"}, content={"loan_id": "l-5", "days": 3}),
    dict(tool="return_loan", arguments={"loan_id": "l-5"}, content={"fee": 3}),
]


def test_only_values_that_a_call_made_known_flow():
    assert [f[:4] for f in flowed(STEPS)] == [("register_reader", "reader_id", "lend_book", "reader_id"), ("lend_book", "loan_id", "return_loan", "loan_id")]
    assert [f[:4] for f in flowed(STEPS, "lend it to r-77")] == [("lend_book", "loan_id", "return_loan", "loan_id")]
    small = [dict(tool="a", arguments={}, content={"id": 3}), dict(tool="b", arguments={"a_id": 3}, content=None)]
    assert not list(flowed(small)) and list(flowed(small, "the last one")) and not list(flowed(small, "number 3, please"))


def test_what_was_seen_to_work_is_one_more_source():
    seen = {e[:4]: e for e in proved(EDGES, LIBRARY, [STEPS])}
    assert seen["register_reader", "reader_id", "lend_book", "reader_id"].sources == ("evidence", "execution")
    odd = [dict(tool="pay", arguments={"amount": 1.0}, content={"receipt": "q-123"}), dict(tool="return_loan", arguments={"loan_id": "q-123"}, content={})]
    new = [e for e in proved(EDGES, LIBRARY, [odd]) if e.sources == ("execution",)]
    assert [(e.giver, e.output, e.label, e.condition) for e in new] == [("pay", "receipt", "weak", "1 of its values worked")]


def test_a_model_votes_and_what_it_denies_is_left_out():
    odd = [*EDGES, Edge("pay", "weather", "return_loan", "loan_id", "weak", 0.1)]
    after, silent = asyncio.run(voted(odd, LIBRARY, open_model(provider="offline")))
    assert silent == 0 and all("votes" in e.sources for e in after) and not [e for e in after if e.output == "weather"]
    assert [e.label for e in after if (e.giver, e.taker) == ("register_reader", "lend_book")] == ["strong"]


# What a graph is for


def test_prerequisites_and_expansion():
    must = needs(LIBRARY[2], EDGES)
    assert {x: [e.giver for e in es] for x, es in must.items()} == {"book_id": ["search_books"], "reader_id": ["register_reader"]}
    assert needs(LIBRARY[0], EDGES) == {}  # a title can be said
    assert expanded(["return_loan"], LIBRARY, EDGES) == ["search_books", "register_reader", "lend_book", "return_loan"]
    with pytest.raises(SynthgenError, match="search_books"):
        expanded(["search_book"], LIBRARY, EDGES)


def test_a_chain_is_told_from_a_sequence():
    good = ["search_books", "register_reader", "lend_book", "return_loan"]
    assert wrong_in(good, LIBRARY, EDGES) == []
    (wrong,) = wrong_in(["search_books", "lend_book"], LIBRARY, EDGES)
    assert "call 2, lend_book" in wrong and "reader_id" in wrong and "register_reader" in wrong
    assert len(wrong_in(["close_loan", "search_books"], LIBRARY, EDGES)) == 3
    assert wrong_in(["return_loan", "lend_book"], LIBRARY, EDGES)


def test_sampled_chains_are_chains_and_differ():
    found = chains(LIBRARY, EDGES, 6, 5)
    assert found and len({tuple(c) for c in found}) == len(found) and all(2 <= len(c) <= 5 for c in found)
    assert not [c for c in found if wrong_in(c, LIBRARY, EDGES)] and found == chains(LIBRARY, EDGES, 6, 5)
    assert chains(LIBRARY, []) == []


def test_drawings_hold_every_tool():
    columns = columns_of(["a", "b", "c", "d"], {("a", "b"): True, ("b", "c"): True, ("c", "b"): False})
    assert columns == [["a"], ["b"], ["c"], ["d"]]
    texts = {t.get_text() for t in draw(LIBRARY, EDGES).axes[0].texts}
    assert {t.name for t in LIBRARY} <= texts
    many = [tool(f"make_{w}_{i}", {f"{w}_id": "string"}, {f"{w}_{i}_id": "string"}) for i in range(10) for w in ("pump", "valve", "rotor", "lens")]
    axes = draw(many, edges_of(many)).axes[0]
    assert len(axes.get_yticklabels()) > 0 and np.isfinite(axes.collections[0].get_offsets()).all()


def test_the_command(tmp_path):
    (tmp_path / "tools.json").write_text(json.dumps([t.model_dump() for t in LIBRARY]))
    run = command(tmp_path)
    said = run("tool-deps", "tools.json", "-o", "graph.json", "--chains", "--max-chain-length", 5).stdout
    graph = json.loads((tmp_path / "graph.json").read_text())
    assert (tmp_path / "graph.png").read_bytes()[:4] == b"\x89PNG" and "6 tools" in said and graph["chains"]
    assert {t["name"]: t["prerequisites"] for t in graph["tools"]}["return_loan"] == {"loan_id": ["lend_book"]}
    assert {"giver", "output", "taker", "input", "label", "score", "condition", "sources"} == set(graph["edges"][0])
    assert "register_reader" in run("tool-deps", "tools.json", "--tool", "lend_book").stdout
    assert "a chain" in run("tool-deps", "tools.json", "--validate", "search_books,register_reader,lend_book").stdout
    bad = run("tool-deps", "tools.json", "--validate", "register_reader,lend_book", ok=False)
    assert "book_id" in bad.stderr and "search_books" in bad.stderr
    closed = run("tool-deps", "hdf5", "--validate", "close_file,open_file", ok=False)
    assert "open_file: takes nothing" in closed.stderr
    assert "lend_book" in run("tool-deps", "tools.json", "--validate", "lend_bok", ok=False).stderr
