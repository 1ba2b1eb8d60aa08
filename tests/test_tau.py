"""The desks of τ²-bench: gold tasks run as published, a reset is exact, beginnings are set up, and states say what changed."""

import asyncio

import pytest

from synthgen_nb.core.records import SynthgenError
from synthgen_nb.specs.trajectory import Call
from synthgen_nb.worlds.open import has_own_tools, open_world
from synthgen_nb.worlds.tau import NEEDS, Tau, broken_conditions, gold_tasks, tau_tools
from synthgen_nb.worlds.world import execute, execute_all, execute_trajectories

HOW = f"τ²-bench is not installed: pip install --no-deps {' '.join(NEEDS.values())}"


@pytest.fixture(autouse=True)
def installed():
    for module in NEEDS:
        pytest.importorskip(module, reason=HOW)


async def called(w, tool, **arguments):
    return await execute(w, Call(id="call_1", tool=tool, arguments=arguments))


def test_the_tasks_are_those_that_were_published():
    for domain, tasks, calls in (("airline", 50, 148), ("retail", 114, 553), ("telecom", 2285, 13215)):
        gold = gold_tasks(f"tau:{domain}")
        assert (len(gold), sum(len(t.calls) for t in gold)) == (tasks, calls)
    small = gold_tasks("tau:telecom", "small")
    assert len(small) == 20 and all(t.initial["actions"] and t.meta["conditions"] for t in small)
    assert len(gold_tasks("tau:airline", "train")) + len(gold_tasks("tau:airline", "test")) == 50
    with pytest.raises(SynthgenError, match="no split 'trian'"):
        gold_tasks("tau:airline", "trian")


def test_gold_calls_run_and_end_the_same_way_twice():
    async def twice(domain, step):
        ran = 0
        async with Tau(domain) as w:
            for t in gold_tasks(f"tau:{domain}")[::step]:
                seen = await execute_all(w, t.calls, t.initial)
                end, bad = await w.state(), broken_conditions(w, t.meta["conditions"])
                again = await execute_all(w, t.calls, t.initial)
                assert all(a.same(b) for a, b in zip(seen, again, strict=True)) and end == await w.state(), t.meta["task"]
                assert not bad, (t.meta["task"], bad)
                assert not [o.mismatch for o in seen if o.mismatch]
                ran += sum(o.ok for o in seen)
        return ran

    assert asyncio.run(twice("airline", 1)) == 148
    gold = [c for t in gold_tasks("tau:telecom")[7::150] for c in t.calls]
    assert asyncio.run(twice("telecom", 150)) > 0 and asyncio.run(twice("retail", 9)) > 0 and gold


def test_a_condition_that_does_not_hold_is_named():
    async def one():
        t = next(t for t in gold_tasks("tau:telecom", "small") if t.calls and t.meta["conditions"])
        async with Tau("telecom") as w:
            await w.reset(t.initial)
            before = broken_conditions(w, t.meta["conditions"])
            await execute_all(w, t.calls, t.initial)
            return before, broken_conditions(w, t.meta["conditions"])

    before, after = asyncio.run(one())
    assert before and not after


def test_a_reset_is_exact_and_desks_do_not_know_each_other():
    async def one():
        async with open_world("tau:airline") as w, open_world("tau:airline") as other:
            assert await w.state() == {}
            o = await called(w, "cancel_reservation", reservation_id="JMO1MG")
            assert o.ok and list((await w.state())["agent"]["reservations"]) == ["JMO1MG"]
            assert await other.state() == {}
            await w.reset()
            w.env.look()
            assert await w.state() == {}
            status = (await called(w, "get_reservation_details", reservation_id="JMO1MG")).content["status"]
            assert status != "cancelled"
        async with open_world("tau:airline") as again:  # a desk that was left in disorder, lent again
            again.env.look()
            assert await again.state() == {}

    asyncio.run(one())


def test_a_call_that_fails_half_way_is_seen():
    async def one():
        async with Tau("retail") as w:
            t = next(t for t in gold_tasks("tau:retail") if any(c.tool == "exchange_delivered_order_items" for c in t.calls))
            for c in t.calls:
                o = await execute(w, c)
                noted = await w.state()
                w.env.look()
                assert noted == await w.state(), (c.tool, o.status)

    asyncio.run(one())


def test_numbers_that_were_drawn_are_counted():
    async def one():
        async with Tau("telecom") as w:
            ends = []
            for _ in range(2):
                await w.reset()
                o = await called(w, "refuel_data", customer_id="C1001", line_id="L1002", gb_amount=1)
                ends.append((o.ok, await w.state()))
            return ends

    first, second = asyncio.run(one())
    assert first == second and first[0] and first[1]["agent"]["bills"]


def test_what_is_wrong_is_said():
    async def begun(initial):
        async with Tau("telecom") as w:
            await w.reset(initial)

    for name in ("_check_status_bar", "fly"):
        with pytest.raises(SynthgenError, match=name):
            asyncio.run(begun({"actions": [{"env_type": "user", "func_name": name, "arguments": {}}]}))
    with pytest.raises(SynthgenError, match="tau:airline, tau:retail, tau:telecom"):
        open_world("tau:airlines")
    assert has_own_tools("tau:retail")


def test_tools_know_their_side_and_their_effect():
    tools = {t.name: t for t in tau_tools("telecom")}
    assert tools["toggle_airplane_mode"].category == "telecom customer" and "customer's own device" in tools["toggle_airplane_mode"].description
    assert tools["enable_roaming"].effect == "write" and tools["get_bills_for_customer"].effect == "read"
    test = {str(c.arguments) for t in gold_tasks("tau:airline", "test") for c in t.calls if c.tool == "book_reservation"}
    shown = {str(e["arguments"]) for t in tau_tools("airline") for e in t.examples if t.name == "book_reservation"}
    assert shown and not shown & test


def test_gold_tasks_are_rows_that_execute():
    rows = [t for t in gold_tasks("tau:airline") if t.calls][:3]
    made = asyncio.run(execute_trajectories(rows, lambda: Tau("airline"), workers=2))
    assert len(made.kept) == 3 and rows[0].instruction and made.kept[0].observations[0].content


def test_a_sum_that_never_ends_is_refused():
    async def one():
        async with Tau("retail") as w:
            return [await called(w, "calculate", expression=x) for x in ("(1 + 2) * 4 / 7", "9**9**9**9")]

    good, endless = asyncio.run(one())
    assert good.content == "1.71" and not endless.ok
