"""What may exist only once, in a process of its own: here in this one, without Ray."""

import asyncio
from types import SimpleNamespace

import pytest

from synthgen_nb.core.calls import Calls
from synthgen_nb.core.cluster import Asker, Desk, FarStore, in_store
from synthgen_nb.core.models import desk_of, open_model, travelling
from synthgen_nb.core.patience import Spent
from synthgen_nb.core.prompts import Ask
from synthgen_nb.core.settings import load_settings


class Handle:
    "As Ray's: `.remote` begins a call"

    def __init__(self, desk):
        self.desk = desk

    def __getattr__(self, name):
        return SimpleNamespace(remote=lambda *given: asyncio.ensure_future(getattr(self.desk, name)(*given)))


def sleeping(seen):
    async def work(seconds):
        seen.append(seconds)
        if seconds < 0:
            raise Spent("nothing is left")
        await asyncio.sleep(seconds)
        seen.append(-seconds)
        return seconds

    return work


def test_errors_come_through_and_a_dropped_question_ends():
    seen = []

    async def go():
        ask = Asker(lambda: Handle(Desk(None, sleeping, seen)))
        with pytest.raises(Spent, match="nothing is left"):
            await ask(-1)
        long = asyncio.create_task(ask(0.5))
        assert await ask(0.01) == 0.01
        long.cancel()
        await asyncio.gather(long, return_exceptions=True)
        await asyncio.sleep(0.6)
        assert not ask.open

    asyncio.run(go())
    assert 0.5 in seen and -0.5 not in seen, "who does not wait any more is not worked for"


def test_many_rounds_lose_nothing():
    async def go():
        ask = Asker(lambda: Handle(Desk(None, sleeping, [])))
        for _ in range(5):
            assert await asyncio.gather(*[ask(i % 7 / 1000) for i in range(200)]) == [i % 7 / 1000 for i in range(200)]

    asyncio.run(go())


def question(i):
    return Ask(prompt="hello", prompt_hash="", task="hello", messages=(dict(role="user", content=f"Ready? {i}"),))


def test_a_desk_that_began_anew_learns_what_was_spent(tmp_path, server):
    "The purse travels with the question, and what it holds comes back"
    m = open_model(load_settings(environ=server.env | {"SYNTHGEN_LIMITS_MAX_CALLS": "3"}), calls=Calls(tmp_path / "calls.db"))

    async def put(work, i):
        _, paid, _, (sent, _) = await work("call", travelling(m), question(i), m._request(question(i), 0, {}), False, False)
        m.purse.sent = sent
        return paid

    async def go():
        first, second = desk_of(str(tmp_path / "calls.db")), desk_of(str(tmp_path / "calls.db"))
        assert [await put(first, 0), await put(first, 1), await put(second, 1), await put(second, 2)] == [True, True, False, True]
        with pytest.raises(Spent, match="3 calls were sent"):
            await put(second, 3)

    asyncio.run(go())
    assert len(server.log()) == 3


def test_two_who_ask_the_same_pay_once(tmp_path, server):
    server.control(delay=0.2)
    m = open_model(load_settings(environ=server.env), calls=Calls(tmp_path / "calls.db"))

    async def go():
        work, asked = desk_of(str(tmp_path / "calls.db")), ("call", travelling(m), question(0), m._request(question(0), 0, {}), False, False)
        return await asyncio.gather(work(*asked), work(*asked), work(*asked))

    assert [paid for _, paid, *_ in asyncio.run(go())] == [True, False, False]
    assert len(server.log()) == 1


def test_a_far_store_is_a_store(tmp_path):
    with Calls(tmp_path / "calls.db") as near:
        far = FarStore(lambda steps: in_store(near._db, steps))
        with pytest.raises(ZeroDivisionError), far:
            far.execute("insert into batches values ('b', 'm', 0, '[]')")
            _ = 1 / 0
        assert far.execute("select count(*) from batches").fetchone() == (0,), "a transaction is whole or not at all"
        with far:
            far.executemany("insert into batches values (?, 'm', 0, '[]')", [("a",), ("b",)])
        assert [r[0] for r in far.execute("select id from batches order by id")] == ["a", "b"]
