"""The workbench over MCP, driven by the official client as a program that runs agents would; and the skill beside it."""

import asyncio
import os
import re
import sys

import pytest
from conftest import ROOT, write_docs

official = pytest.importorskip("mcp", reason="the extra mcp is not installed")

from synthgen_nb.cli import main  # noqa: E402, F401
from synthgen_nb.cli.agents import search_docs  # noqa: E402
from synthgen_nb.core.records import SynthgenError  # noqa: E402

STUDY = "question: What does a stricter judge lose?\nname: s\nbase: {source: docs, target_pairs: 3}\ngrid: {threshold: [4, 8]}\n"


def talk(folder, script, *args):
    "Start `synthgen mcp` in a folder and let the official client follow a script"
    from mcp.client.stdio import StdioServerParameters, stdio_client

    code = "from synthgen_nb.cli.main import main; main()"
    env = {k: v for k, v in os.environ.items() if not k.startswith("SYNTHGEN_")}
    start = StdioServerParameters(command=sys.executable, args=["-c", code, "mcp", *args], env=env, cwd=folder)

    async def run():
        async with official.Client(stdio_client(start, errlog=open(os.devnull, "w"))) as client:

            async def call(name, **given):
                r = await client.call_tool(name, given)
                text = r.content[0].text if r.content else ""
                found = r.structured_content
                return text if r.is_error else found.get("result", found) if found else text

            return await script(client, call)

    return asyncio.run(run())


def test_an_agent_that_only_looks(tmp_path):
    async def script(client, call):
        tools = {t.name: t for t in (await client.list_tools()).tools}
        assert {*tools} == {"search_docs", "list_runs", "show_run", "why_row", "plan_study"}
        assert all(t.annotations.read_only_hint for t in tools.values()) and "17, train.jsonl:17" in tools["why_row"].description
        found = await call("search_docs", question="how do I remove duplicates from pairs?")
        assert found[0]["place"] == "synthgen dedup --help" and "dedup curated.jsonl" in found[0]["text"]
        assert await call("list_runs") == []
        assert (await call("show_run")).startswith("Error executing tool show_run: not-possible: no run 'last'")
        (tmp_path / "study.yaml").write_text(STUDY)
        assert "not-possible" in await call("plan_study", file="nowhere.yaml")
        assert "not-possible: docs: no such file" in await call("plan_study", file="study.yaml")
        assert "Unknown tool" in await call("run_pipeline", pipeline="qa", parameters={}, budget=1.0)

    talk(tmp_path, script)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["study.yaml"], "who only looks leaves nothing"


def test_an_agent_with_a_budget_makes_rows_and_asks_why(tmp_path):
    write_docs(tmp_path / "docs", 2)

    async def script(client, call):
        over = await call("run_pipeline", pipeline="qa", parameters={"source": "docs"}, budget=2.0)
        assert "not-allowed: a budget of $2 was asked for, and $1 is left" in over
        wrong = await call("run_pipeline", pipeline="qa", parameters={"sauce": "docs"}, budget=0.1)
        assert "not-possible" in wrong and "'sauce'" in wrong
        made = await call("run_pipeline", pipeline="qa", parameters={"source": ["docs"], "target_pairs": 3}, budget=0.5)
        assert made["status"] == "done" and made["export"]["rows"] == 3 and made["paid"] == 0 and 0.85 < made["left"] <= 1
        assert [r["rows"] for r in await call("list_runs", where=["rows>2"])] == [3]
        assert (await call("show_run"))["name"] == made["run"]
        assert "docs/doc00" in await call("why_row", record="1")
        (tmp_path / "study.yaml").write_text(STUDY)
        assert [r["arm"] for r in (await call("plan_study", file="study.yaml"))["rows"]] == ["base", "threshold=8"]

    talk(tmp_path, script, "--allow-write", "--budget", "1")


def test_writing_takes_a_budget(synthgen):
    for line in (["--allow-write"], ["--budget", "1"], ["--allow-write", "--budget", "0"]):
        assert "go together" in synthgen("mcp", *line, ok=False).stderr


def test_questions_find_what_can_be_typed():
    asked = {
        "how do I publish to hugging face": "publish",
        "which rows leak evaluation data": "leakage",
        "why was this row dropped": "why",
        "make pairs from my documents": "documents to a training file",
        "how much will a study cost": "plan",
        "is everything installed": "doctor",
        "try the judge with planted faults": "exam",
        "an OpenAPI specification": "tool-parse",
    }
    for question, wanted in asked.items():
        titles = [p["title"] for p in search_docs(question, 8)]
        assert any(wanted in t.lower() for t in titles[:4]), (question, titles)
    assert search_docs("") == [] and search_docs("zzzqqq") == []


def test_the_skill_says_what_it_is_for_and_what_never_to_do():
    text = (ROOT / "nbs/_docs/skill/SKILL.md").read_text()
    head = re.match(r"---\nname: synthgen\ndescription: (.{40,500})\n---\n", text)
    assert head and "## What never to do" in text and len(text) < 6000, "short enough to be read whole"
