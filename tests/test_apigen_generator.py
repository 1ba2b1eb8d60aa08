"""APIGen's generator: pairs of a query and its calls, in four styles, with the checks' words in the next prompt."""

import asyncio
import json
from collections import Counter
from dataclasses import replace

import pytest

from synthgen_nb.core.models import open_model
from synthgen_nb.core.records import SynthgenError
from synthgen_nb.specs.trajectory import read_trajectories
from synthgen_nb.tools.apigen_generator import STYLES, apigen_rows
from synthgen_nb.worlds.hdf5 import hdf5_tools, hdf5_world
from synthgen_nb.worlds.world import replay


class Bent:
    "The offline model, with one bent pair in each reply"

    def __init__(self, bend):
        self.model, self.bend, self.prompts = open_model(provider="offline"), bend, []

    def __getattr__(self, name): return getattr(self.model, name)

    async def over(self, items, ask):
        async for i, a in self.model.over(items, ask):
            if a.ok and a.value.get("pairs"):
                self.prompts.append(" ".join(x["content"] for x in ask(i).messages))
                a = replace(a, value=json.loads(json.dumps(a.value)))
                self.bend(a.value["pairs"][0])
            yield i, a


FEW = ("get_shape", "get_dtype", "read_head", "list_attributes", "get_filters")


def made(model=None, **more):
    few = [t for t in hdf5_tools() if t.name in FEW]
    return asyncio.run(apigen_rows(few, model or open_model(provider="offline"), hdf5_world, **more))


@pytest.mark.parametrize("style", STYLES)
def test_each_style_has_the_calls_that_it_asks_for(style):
    out = made(target=3, styles=style)
    assert len(out.kept) == 3
    for t in out.kept:
        names = [c.tool for c in t.turns[1].calls]
        assert len(t.turns) == 3 and not any(c.refs for c in t.calls)
        assert len(names) == 1 if style in ("simple", "multiple") else 2 <= len(names) <= 3
        assert (len(t.tools) == 1) == (style in ("simple", "parallel"))
        if style == "parallel": assert len(set(names)) == 1
        if style == "parallel_multiple": assert len(set(names)) > 1


def test_every_row_runs_again_in_a_fresh_world():
    async def again(t):
        async with hdf5_world() as w: return await replay(w, t.calls, t.observations)
    for t in made(target=6).kept: assert asyncio.run(again(t)) == []


BENT = {
    "names the tool": lambda x: x.update(query=x["answers"][0]["name"]),
    "words of the prompt": lambda x: x.update(query="Sounds like a person with a purpose."),
    "“the request in full” are words of the prompt": lambda x: x.update(query="The request in full."),
    "no JSON": lambda x: x["answers"][0].update(arguments="file: a.h5"),
    "no JSON object": lambda x: x["answers"][0].update(arguments="[1]"),
    "is not among the tools shown": lambda x: x["answers"][0].update(name="rm_rf"),
    "has no parameter 'colour'": lambda x: x["answers"][0].update(
        arguments=json.dumps(json.loads(x["answers"][0]["arguments"]) | {"colour": "red"})),
    "the same call twice": lambda x: x["answers"].append(x["answers"][0]),
}


@pytest.mark.parametrize("said", BENT)
def test_what_the_format_check_refuses_is_said_in_the_next_prompt(said):
    m = Bent(BENT[said])
    styles = "parallel" if "twice" in said else "simple"
    out = made(m, target=4, styles=styles)
    lost = [d for d in out.dropped if said in d.detail]
    assert lost and all(d.reason == "format" for d in lost)
    assert any(said in p for p in m.prompts[1:])
    assert not any(said in p for p in m.prompts[:1])


def test_every_pair_that_was_asked_for_has_one_end():
    out = made(Bent(BENT["no JSON"]), target=5)
    asked = sum(int(x.split(" of ")[1]) for x in out.note.split(", "))
    assert asked == len(out.kept) + len(out.dropped)
    assert Counter(d.reason for d in out.dropped)["format"] >= 1


def test_an_unknown_style_is_refused():
    with pytest.raises(SynthgenError, match="unknown style 'paralel': did you mean 'parallel'"): made(styles="paralel")


def test_the_command_makes_rows_that_read_back(tmp_path, synthgen):
    done = synthgen("tool-generate-calls", "hdf5", "-o", tmp_path / "rows.jsonl", "--target-pairs", 4, "--styles", "parallel,simple")
    assert done.returncode == 0, done.stderr
    assert "4 rows, every call executed in hdf5" in done.stdout
    assert len(read_trajectories(tmp_path / "rows.jsonl").kept) == 4


def test_what_must_be_opened_first_is_opened_in_a_turn_of_its_own():
    few = [t for t in hdf5_tools() if t.name in ("open_file", "append_values", "write_attribute", "get_shape", "get_dtype", "list_keys")]
    out = asyncio.run(apigen_rows(few, open_model(provider="offline"), hdf5_world, target=12))
    assert {c.tool for t in out.kept for c in t.calls} == {t.name for t in few}, "every usable tool"
    ordered = [t for t in out.kept if {"append_values", "write_attribute"} & {c.tool for c in t.calls}]
    for t in ordered:
        assert t.meta["style"] == "parallel_multiple" and [len(x.calls) for x in t.turns[1:-1]] == [1] * len(t.calls)
        assert t.calls[0].tool == "open_file" and not t.calls[1].refs
    alone = asyncio.run(apigen_rows(few, open_model(provider="offline"), hdf5_world, target=4, styles="simple"))
    assert {c.tool for t in alone.kept for c in t.calls} <= {"open_file", "get_shape", "get_dtype", "list_keys"}
