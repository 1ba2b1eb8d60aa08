"""Any OpenAI-compatible server that the user names: `make live URL=http://… MODEL=…`. Skipped without one."""

import asyncio
import os

import pytest

from synthgen_nb.core.evidence import ground
from synthgen_nb.core.judge import load_rubric, pair_inputs
from synthgen_nb.core.curate import curate
from synthgen_nb.core.models import check, open_model
from synthgen_nb.core.records import Chunk, Pair, Source
from synthgen_nb.core.settings import Settings
from synthgen_nb.qa import grounded

URL, NAME = os.environ.get("SYNTHGEN_LIVE_URL", ""), os.environ.get("SYNTHGEN_LIVE_MODEL", "")
pytestmark = pytest.mark.skipif(not (URL and NAME), reason="no server named: make live URL=http://…/v1 MODEL=…")

TEXT = """# Chunked storage

A dataset with chunked storage is stored in chunks of a fixed shape. Chunks between 10 KiB and 1 MiB are a good choice,
and larger ones suit larger datasets. The chunk cache of a dataset holds 1 MiB by default; `rdcc_nbytes` changes it.

A dataset can be resized only if it has chunked storage, and never beyond its `maxshape`.
"""


@pytest.fixture(scope="module")
def model():
    block = dict(like="openai", base_url=URL, model=NAME, api_key=os.environ.get("SYNTHGEN_LIVE_KEY", ""), workers=2, timeout=600)
    return open_model(Settings(llm=dict(provider="live", live=block)))


def ok(found) -> bool:
    return len(found.kept) + len(found.dropped) > 0


def test_it_answers(model):
    block = model.block
    found, said = asyncio.run(check(Settings(llm=dict(provider="live", live=block.model_dump())), "live"))
    assert found, said


def test_it_writes_pairs_that_are_held_against_their_source_and_judged(model):
    async def run():
        c = Chunk(text=TEXT, sources=(Source(path="storage.md", end=len(TEXT), section=("Chunked storage",)),))
        made = await grounded.generate([c], model, 3)
        proven = await ground(made.kept, model, {c.id: TEXT})
        good = await curate(proven.kept, model, load_rubric("workbench"), pair_inputs({c.id: TEXT}))
        return made, proven, good

    made, proven, good = asyncio.run(run())
    assert ok(made) and len(proven.kept) + len(proven.dropped) == len(made.kept)
    assert len(good.kept) + len(good.dropped) == len(proven.kept), "no reply stops a run"
    for p in proven.kept:
        assert all(0 <= e.start < e.end <= len(TEXT) for e in p.evidence)
    assert model.meter.row()["calls"] > 0


def test_a_faulty_answer_is_not_kept_as_it_is(model):
    wrong = Pair(question="How large is the chunk cache of an HDF5 dataset by default?", answer="It holds 64 MiB by default.", chunk_id="c")
    out = asyncio.run(ground([wrong], model, {"c": TEXT}))
    assert all("64 MiB" not in p.answer and p.original_answer == wrong.answer for p in out.kept)
