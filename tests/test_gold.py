"""The leaderboard's checker, held against the leaderboard's own answers."""

from pathlib import Path

import pytest
from conftest import rows

from synthgen_nb.tools.gold import bfcl_check, realised


def test_bfcl_gold_answers():
    package = pytest.importorskip("bfcl_eval")
    folder = Path(package.__path__[0]) / "data"
    n = ok = 0
    for part in (
        "simple_python",
        "multiple",
        "parallel",
        "parallel_multiple",
        "live_simple",
        "live_multiple",
        "live_parallel",
        "live_parallel_multiple",
    ):
        gold = {r["id"]: r["ground_truth"] for r in rows(folder / f"possible_answer/BFCL_v4_{part}.json")}
        for r in rows(folder / f"BFCL_v4_{part}.json"):
            calls = [realised(g) for g in gold[r["id"]]]
            good = not bfcl_check(r["function"], calls, gold[r["id"]])
            n, ok = n + 1, ok + good
            if good:
                name, args = calls[0]
                assert bfcl_check(r["function"], [(name + "_x", args), *calls[1:]], gold[r["id"]])
                assert bfcl_check(r["function"], [(name, args | {"not_there": 1}), *calls[1:]], gold[r["id"]])
                assert bfcl_check(r["function"], [*calls, calls[0]], gold[r["id"]]) == "wrong_count"
    assert (n, ok) == (2351, 2344)
