"""Any method that begins with tools makes the rows of the pipeline, by one parameter."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from synthgen_nb.core.methods import options_of
from synthgen_nb.core.methods import Method
from synthgen_nb.core.models import open_model
from synthgen_nb.core.records import Outcome, SynthgenError
from synthgen_nb.specs.tool import Tool
from synthgen_nb.specs.trajectory import Trajectory
from synthgen_nb.tools import by_method
from synthgen_nb.tools.apigen import verify
from synthgen_nb.tools.by_method import made_by, maker
from synthgen_nb.tools.toolllm import toolllm
from synthgen_nb.worlds.hdf5 import hdf5_tools, hdf5_world

THE_SAME = Method(name="the_same", title="The same", faithful="heuristic", claim="One row, again and again.", takes="tools",
                  stage="generate", step="always_the_same", options={"width": "x"}, module=__name__)
MORE = THE_SAME.model_copy(update=dict(name="more", step="one_more"))


async def always_the_same(tools: Sequence[Tool], model, world: Callable, target: int = 1, width: int = 2) -> Outcome[Trajectory]:
    return await toolllm(tools, model, world, target=2, width=width)


async def one_more(tools: Sequence[Tool], model, world: Callable, target: int = 1, seed: int = 0) -> Outcome[Trajectory]:
    return await toolllm(tools, model, world, target=1, seed=seed)


async def usual(rows): return await verify(rows, hdf5_tools(), hdf5_world)


def make(m, target, accept=usual):
    return asyncio.run(made_by(m, hdf5_tools(), open_model(provider="offline"), hdf5_world, target, accept))


def test_a_method_that_repeats_itself_ends_and_says_so():
    made = make(THE_SAME, 5)
    assert len(made.rows) == 2 and {d.reason for d in made.repeated} == {"repeated_calls"}
    assert made.ended == "2 of 5: The same gave nothing new twice"


def test_missing_rows_are_asked_for_with_the_next_seed():
    made = make(MORE, 3)
    assert len(made.rows) == 3 and made.ended == "target reached" and made.surplus == 0
    assert made.asked == len(made.solved.kept) + len(made.solved.dropped) >= 3


def test_what_accept_refuses_is_no_row():
    async def never(rows): return Outcome(dropped=[])
    assert make(MORE, 1, never).ended == "0 of 1: The same gave nothing new twice"


@pytest.mark.parametrize("given, said", [("width=three", "width of ToolLLM is 'three'"), ("depth=3", "unknown setting of ToolLLM 'depth'")])
def test_settings_of_a_method_are_read_as_its_step_declares_them(given, said):
    assert options_of(maker("toolllm"), ["width=3"]) == {"width": 3}
    with pytest.raises(SynthgenError, match=said): options_of(maker("toolllm"), [given])


def test_only_methods_that_begin_with_tools_make_rows():
    with pytest.raises(SynthgenError, match=r"unknown method .lima..* Known: "): maker("lima")
    assert all(m.takes == "tools" for m in by_method.makers().values())
