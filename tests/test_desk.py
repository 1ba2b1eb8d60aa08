"""What a cluster has only once, in a process of its own: here in this one, without Ray."""

import asyncio
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgen_nb.core import cluster
from synthgen_nb.core.calls import Calls, Reply, Request
from synthgen_nb.core.cluster import Asker, Desk, FarStore, Lease, Report, SharedPace, fair, in_store, lend
from synthgen_nb.core.models import open_model
from synthgen_nb.core.pace import Climb
from synthgen_nb.core.patience import Line, Purse, Spent, sent
from synthgen_nb.core.prompts import Ask
from synthgen_nb.core.records import SynthgenError
from synthgen_nb.core.settings import Provider, load_settings

few = settings(max_examples=60, deadline=None)
REQUEST = Request(model="vllm/default", messages=[])


class Handle:
    "As Ray's: `.remote` begins a call"

    def __init__(self, desk):
        self.desk = desk

    def __getattr__(self, name):
        async def call(given):
            return getattr(self.desk, name)(*given)

        return SimpleNamespace(remote=lambda *given: asyncio.ensure_future(call(given)))


@pytest.fixture
def desk(tmp_path):
    d = Desk(None, str(tmp_path / "calls.db"))
    yield d
    d.calls.close()


@given(st.integers(0, 300), st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 400), min_size=1))
@few
def test_everybody_gets_an_even_part_or_what_it_can_use(limit, wanted):
    parts = fair(limit, wanted)
    spare = max(0, limit - sum(wanted.values())) // len(wanted)
    assert limit - len(wanted) < sum(parts.values()) <= limit
    assert all(n >= min(wanted[w], limit // len(wanted)) for w, n in parts.items()) and min(parts[w] - wanted[w] for w in parts) <= spare


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 200), st.booleans()), max_size=60), st.integers(1, 90))
@few
def test_never_more_is_lent_than_there_is(told, workers):
    s, now = SharedPace(Climb(workers)), 1.0
    for who, n, refused in told:
        now += 0.1
        lease = lend(s, who, Report(workers, n, n, 0.2 * n, refused=0.05 * refused), now)
        lent = sum(held.limit for held, _ in s.held.values())
        assert lease.limit == 0 or lent <= int(s.climb.limit), "nobody's part is lent twice"
        assert sum(held.share for held, _ in s.held.values()) <= 1 + 1e-6
    for _ in range(2):
        for who in list(s.held):
            lend(s, who, Report(workers, 200), now)
    assert not s.held or sum(held.limit for held, _ in s.held.values()) == int(s.climb.limit), "and all of it is, soon"


def test_a_refusal_halves_what_all_may_have_and_a_wait_holds_for_all():
    s = SharedPace(Climb(64))
    for who in "ab":
        lend(s, who, Report(64, 100), 1.0)
    lend(s, "a", Report(64, 100, refused=0.1, after=3.0), 2.0)
    assert s.climb.limit == 32 and lend(s, "b", Report(64, 100), 2.5).wait == 2.5


def test_two_do_not_make_the_same_call_and_whoever_is_silent_makes_none(desk, monkeypatch):
    key = REQUEST.key
    assert desk.trade("a", [("take", key)], {}) == ([(None,)], {}), "nothing is stored, it is to be made"
    assert desk.trade("b", [("take", key)], {})[0] == [None], "somebody makes it"
    assert desk.trade("a", [("take", key)], {})[0] == [(None,)], "told again, it is still a's"
    desk.trade("b", [("release", key)], {})
    assert desk.taken == {key: "a"}, "what is another's is not given back"
    monkeypatch.setattr(cluster, "LASTS", -1.0)
    assert desk.trade("b", [("take", key)], {})[0] == [(None,)]


def test_what_is_lent_to_the_silent_is_free_again(desk, monkeypatch):
    key, r = ("vllm/m", None), Report(8, 20)
    assert [desk.trade(who, [], {key: r})[1][key].limit for who in "abab"] == [8, 0, 4, 4]
    monkeypatch.setattr(cluster, "LASTS", -1.0)
    assert desk.trade("a", [], {key: r})[1][key].limit == 8


def question(i):
    return Ask(prompt="hello", prompt_hash="", task="hello", messages=(dict(role="user", content=f"Ready? {i}"),))


def test_a_desk_that_began_anew_learns_what_was_spent(tmp_path, desk):
    own, other = Purse(max_calls=3), Desk(None, str(tmp_path / "calls.db"))
    for d, n in ((desk, 1), (desk, 2), (other, 3)):
        (spent,), _ = d.trade("a", [("open", own)], {})
        own.sent, own.spent = spent
        assert spent == (n, 0.0)
    (error,), _ = other.trade("a", [("open", own)], {})
    assert isinstance(error, Spent) and "3 calls were sent" in str(error)
    other.calls.close()


def far_model(env, desk):
    "A model of another machine"
    calls = Calls()
    asker = Asker(lambda: Handle(desk))
    calls._db = calls._far = FarStore(desk.sql, lambda: asker)
    return open_model(load_settings(environ=env), calls=calls), asker


def test_processes_of_other_machines_pay_once_for_the_same_and_keep_what_they_paid(desk, server):
    server.control(delay=0.2)

    async def go():
        (one, a), (two, b) = far_model(server.env, desk), far_model(server.env, desk)
        answers = [x async for x in one.map(question(i) for i in range(30))], [x async for x in two.map(question(i) for i in range(30))]
        same = await asyncio.gather(one.ask(question(99)), two.ask(question(99)))
        await asyncio.gather(a.task, b.task)
        return *answers, same, a, b

    first, second, same, a, b = asyncio.run(go())
    assert [x.value for x in first] == [x.value for x in second] and not any(x.cached for x in first) and all(x.cached for x in second)
    assert sorted(x.cached for x in same) == [False, True]
    assert len(server.log()) == 31 == len(desk.calls) and not desk.taken and not a.taken | b.taken and not a.due + b.due


def test_turns_and_the_purse_are_those_of_all(desk):
    "Three of another machine each: no more under way than there may be, no more sent than the purse holds"
    under_way, most = 0, 0

    async def answer(request, ask, block):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.01)
        under_way -= 1
        return Reply("Yes.", 10, 1), {}

    async def go():
        own, said, askers = Purse(max_calls=40), [], []
        for i in range(3):
            line = Line(f"p{i}", Provider(model="m", workers=6), own, None, answer)
            askers.append(Asker(lambda: Handle(desk)))
            borrowed = cluster.borrowing(askers[-1], line)
            askers[-1].paces = {("p", None): line.pace}  # the same model for all
            said += [sent(borrowed, dict(messages=[], max_tokens=9, output=None), None) for _ in range(15)]
        return await asyncio.gather(*said, return_exceptions=True)

    came = asyncio.run(go())
    assert sum(isinstance(x, Reply) for x in came) == 40 and sum(isinstance(x, Spent) for x in came) == 5 and most <= 6


def test_a_lease_that_ran_out_is_none(desk, monkeypatch):
    async def go():
        asker = Asker(lambda: Handle(desk))
        line = cluster.borrowing(asker, Line("late", Provider(model="m", workers=6), Purse(), None, None))
        cluster.lent(line.pace, Lease(6, 1.0, 0.0))
        assert line.pace.climb.limit == 6
        monkeypatch.setattr(cluster, "LASTS", -1.0)
        cluster.lent(line.pace, Lease(6, 1.0, 0.0))
        assert line.pace.climb.limit == 0

    asyncio.run(go())


def test_what_goes_wrong_at_the_desk_is_told_to_who_waits(desk):
    pytest.importorskip("ray", reason='ray is not installed: pip install "synthgen_nb[scale]"')

    async def go():
        asker = Asker(lambda: Handle(desk))
        with pytest.raises(SynthgenError, match="call store"):
            await asker.ask("keep", ("one value",))
        assert await asyncio.wait_for(asker.ask("take", REQUEST.key), 5) == (None,), "and what comes after goes on"

    asyncio.run(go())


def test_a_far_store_is_a_store(tmp_path):
    with Calls(tmp_path / "calls.db") as near:
        far = FarStore(lambda steps: in_store(near._db, steps), None)
        with pytest.raises(ZeroDivisionError), far:
            far.execute("insert into batches values ('b', 'm', 0, '[]')")
            _ = 1 / 0
        assert far.execute("select count(*) from batches").fetchone() == (0,), "a transaction is whole or not at all"
        with far:
            far.executemany("insert into batches values (?, 'm', 0, '[]')", [("a",), ("b",)])
        assert [r[0] for r in far.execute("select id from batches order by id")] == ["a", "b"]
