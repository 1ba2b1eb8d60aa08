"""Logs of coding agents as rows: what they say, in what order, and nothing of what is private."""
import json
import subprocess
import sys
from pathlib import Path

import pytest
from synthgen_nb.core.records import SynthgenError
from synthgen_nb.specs.sessions import agent_of, claude_code, codex, openhands
from synthgen_nb.specs.trajectory import read_trajectories

needs_detector = pytest.mark.skipif(not __import__("importlib.util").util.find_spec("credsweeper"),
                                    reason='credsweeper is not installed: pip install "synthgen_nb[logs]"')
TOKEN = "glpat-Zr7Kq2Vb9XnL4wTs8HyD"


def write(path: Path, lines) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(x) + "\n" for x in lines))
    return path


class Claude:
    "Writes the lines of a session as Claude Code does: each with the id of the one before"

    def __init__(self, session="3f0c"):
        self.session, self.lines, self.last, self.n = session, [dict(type="file-history-snapshot", messageId="m", snapshot={})], None, 0

    def line(self, type, content, parent=..., **more):
        self.n += 1
        message = dict(role=type, content=content)
        if type == "assistant":
            message |= dict(id=more.pop("reply", f"msg_{self.n}"), type="message", model=more.pop("model", "claude-sonnet-4-5"),
                            usage=dict(input_tokens=3, output_tokens=9), stop_reason=None)
        uuid = f"{self.session}-{self.n}"
        self.lines.append(dict(parentUuid=self.last if parent is ... else parent, isSidechain=False, userType="external",
                               cwd="/Users/anna.k/src/app", sessionId=self.session, version="2.0.61", gitBranch="main", type=type,
                               message=message, uuid=uuid, timestamp="2026-01-05T10:00:00.000Z") | more)
        self.last = uuid
        return uuid

    def result(self, id, content, error=False, **more):
        return self.line("user", [dict(type="tool_result", tool_use_id=id, content=content, is_error=error)],
                         toolUseResult=dict(stdout=content), **more)


def use(id, name, **input):
    return dict(type="tool_use", id=id, name=name, input=input)


def a_session() -> Claude:
    c = Claude()
    c.line("user", "<command-name>/model</command-name>", isMeta=False)
    c.line("user", "What does `make deploy` need?")
    c.line("assistant", [dict(type="thinking", thinking="Read the Makefile.", signature="EqQBCkYIChgC")], reply="msg_a")
    first = c.line("assistant", [use("toolu_1", "Read", file_path="/Users/anna.k/src/app/Makefile")], reply="msg_a")
    second = c.line("assistant", [use("toolu_2", "Bash", command="cat .env; ls -l", description="Show the settings")], reply="msg_a")
    c.result("toolu_1", "deploy:\n\tscp dist anna.k@deploy:/srv", parent=first)
    c.result("toolu_2", [dict(type="text", text=f"GITLAB_TOKEN={TOKEN}\n-rw-r--r-- 1 anna.k staff 40 .env")], parent=second)
    c.line("assistant", [dict(type="text", text=f"It needs the token {TOKEN}.")], reply="msg_b")
    return c


@needs_detector
def test_a_session_of_claude_code_becomes_one_row_without_token_and_name(tmp_path):
    got = read_trajectories(write(tmp_path / "3f0c.jsonl", a_session().lines))
    assert not got.dropped
    [t] = got.kept
    assert [x.role for x in t.turns] == ["user", "assistant", "assistant"]
    assert t.instruction == "What does `make deploy` need?"
    assert t.turns[1].thought == "Read the Makefile."
    assert [(c.tool, o.status) for c, o in zip(t.calls, t.observations, strict=True)] == [("Read", "ok"), ("Bash", "ok")]
    whole = t.model_dump_json()
    assert TOKEN not in whole and "anna" not in whole and "EqQB" not in whole
    assert t.calls[0].arguments["file_path"] == "/Users/user1/src/app/Makefile"
    assert t.answer == "It needs the token [secret 1]." and "GITLAB_TOKEN=[secret 1]" in t.observations[1].content
    assert "user1 staff" in t.observations[1].content
    assert {x.name: x.required for x in t.own} == {"Read": ["file_path"], "Bash": ["command", "description"]}
    assert t.meta["log"]["agent"] == "claude-code" and sum(t.meta["taken_out"].values()) == 2


def test_what_the_user_went_back_behind_is_left_out():
    c = Claude()
    c.line("user", "Name the file.")
    at = c.line("assistant", [dict(type="text", text="Which?")])
    c.line("user", "The old one.")
    c.line("assistant", [dict(type="text", text="It is a.py.")])
    c.line("user", "The new one.", parent=at)
    c.line("assistant", [dict(type="text", text="It is b.py.")])
    [s] = claude_code(c.lines)
    assert [b["text"] for m in s.messages for b in m["content"]] == ["Name the file.", "Which?", "The new one.", "It is b.py."]
    assert s.notes == ["2 messages are left out, behind which the user went back"]


def test_a_subagent_and_what_follows_a_compaction_are_conversations_of_their_own():
    c = Claude()
    c.line("user", "Find the bug.")
    asked = c.line("assistant", [use("toolu_1", "Task", prompt="Look into a.py.")])
    c.line("user", "Look into a.py.", parent=None, isSidechain=True)
    c.line("assistant", [dict(type="text", text="Line 3.")], isSidechain=True)
    c.result("toolu_1", "Line 3.", parent=asked)
    c.line("assistant", [dict(type="text", text="It is in line 3.")])
    c.lines.append(dict(type="system", subtype="compact_boundary", uuid="b", parentUuid=None, logicalParentUuid=c.last,
                        sessionId="3f0c", isSidechain=False, content="Conversation compacted"))
    c.line("user", "This session is being continued. The bug is in line 3.", parent="b", isCompactSummary=True)
    c.line("assistant", [dict(type="text", text="Shall I mend it?")])
    c.line("assistant", [dict(type="text", text="API Error: 529")], model="<synthetic>", isApiErrorMessage=True)
    said = [[b.get("text", b["type"]) for m in s.messages for b in m["content"]] for s in claude_code(c.lines)]
    assert said == [["Find the bug.", "tool_use", "tool_result", "It is in line 3."], ["Look into a.py.", "Line 3."],
                    ["This session is being continued. The bug is in line 3.", "Shall I mend it?"]]


def item(**payload):
    return dict(timestamp="2026-01-05T10:00:00.000Z", type="response_item", payload=payload)


def said(role, text):
    return item(type="message", role=role, content=[dict(type="output_text" if role == "assistant" else "input_text", text=text)])


def a_rollout():
    return [
        dict(timestamp="2026-01-05T10:00:00.000Z", type="session_meta",
             payload=dict(id="0199a213", timestamp="2026-01-05T10:00:00.000Z", cwd="/home/jrandom/app", originator="codex_cli_rs",
                          cli_version="0.65.0", instructions="Be brief.", source="cli", git=dict(commit_hash="9f2c", branch="main"))),
        said("user", "<environment_context>\n  <cwd>/home/jrandom/app</cwd>\n</environment_context>"),
        said("user", "Does it build?"),
        dict(type="event_msg", payload=dict(type="user_message", message="Does it build?", kind="plain")),
        dict(type="turn_context", payload=dict(cwd="/home/jrandom/app", approval_policy="never", model="gpt-5-codex", effort="high")),
        item(type="reasoning", summary=[dict(type="summary_text", text="Run make.")], content=None, encrypted_content="gAAAAABo"),
        item(type="function_call", name="shell", arguments='{"command":["bash","-lc","make"],"workdir":"/home/jrandom/app"}', call_id="call_1"),
        item(type="function_call_output", call_id="call_1", output='{"output":"no rule","metadata":{"exit_code":2,"duration_seconds":0.1}}'),
        item(type="custom_tool_call", name="apply_patch", input="*** Begin Patch\n*** End Patch", call_id="call_2", status="completed"),
        item(type="custom_tool_call_output", call_id="call_2", output="Exit code: 0\nWall time: 0.1 seconds\nOutput:\nSuccess."),
        dict(type="event_msg", payload=dict(type="token_count", info=None)),
        said("assistant", "Now it does."),
    ]


@needs_detector
def test_a_rollout_of_codex_becomes_one_row(tmp_path):
    [t] = read_trajectories(write(tmp_path / "rollout-2026-01-05T10-00-00-0199a213.jsonl", a_rollout())).kept
    assert [x.role for x in t.turns] == ["system", "system", "user", "assistant", "assistant", "assistant"]
    assert t.instruction == "Does it build?" and t.answer == "Now it does." and t.turns[3].thought == "Run make."
    assert [(c.tool, o.status) for c, o in zip(t.calls, t.observations, strict=True)] == [("shell", "error"), ("apply_patch", "ok")]
    assert t.calls[0].arguments == dict(command=["bash", "-lc", "make"], workdir="/home/user1/app")
    assert t.observations[0].error == "no rule" and t.meta["log"]["model"] == "gpt-5-codex" and "jrandom" not in t.model_dump_json()


def test_a_rollout_that_was_compacted_and_one_that_was_rolled_back():
    lines = [*a_rollout(), dict(type="compacted", payload=dict(message="It builds.")), said("user", "Test it."), said("assistant", "It passes.")]
    first, second = codex(lines)
    assert len(first.messages) == 8 and [b["text"] for m in second.messages for b in m["content"]] == ["It builds.", "Test it.", "It passes."]
    lines += [dict(type="event_msg", payload=dict(type="thread_rolled_back", num_turns=1)), said("user", "Ship it."), said("assistant", "Done.")]
    second = list(codex(lines))[1]
    assert [b["text"] for m in second.messages for b in m["content"]] == ["It builds.", "Ship it.", "Done."]
    assert second.notes == ["2 messages are left out, behind which the user went back"]


def test_the_older_rollout_without_envelopes():
    lines = [dict(id="0199", timestamp="2025-06-01T10:00:00Z", instructions=None, git={}), dict(record_type="state"),
             *[x["payload"] for x in a_rollout() if x["type"] == "response_item"]]
    [s] = codex(lines)
    assert agent_of(lines[0]) == "codex" and s.about["session"] == "0199" and s.messages[-1]["content"][0]["text"] == "Now it does."


def event(id, source, **more):
    return dict(id=id, timestamp="2026-01-05T10:00:00", source=source, message="", **more)


def events():
    made = dict(choices=[dict(message=dict(role="assistant", content="Count.", tool_calls=[
        dict(id="toolu_9", type="function", function=dict(name="execute_bash", arguments='{"command": "wc -l a.py"}'))]))])
    about = dict(function_name="execute_bash", tool_call_id="toolu_9", model_response=made, total_calls_in_response=1)
    tool = dict(type="function", function=dict(name="execute_bash", description="Runs a command.", parameters=dict(
        type="object", properties=dict(command=dict(type="string")), required=["command"])))
    return [event(0, "agent", action="system", args=dict(content="You are OpenHands.", tools=[tool])),
            event(1, "user", action="message", args=dict(content="How many lines has a.py?", image_urls=None, wait_for_response=False)),
            event(2, "user", action="recall", args=dict(recall_type="workspace_context", query="")),
            event(3, "agent", action="run", args=dict(command="wc -l a.py", thought="Count.", hidden=False), tool_call_metadata=about),
            event(4, "agent", cause=3, observation="run", content="12 a.py", extras=dict(command="wc -l a.py", metadata=dict(exit_code=0))),
            event(5, "environment", observation="agent_state_changed", content="", extras=dict(agent_state="running")),
            event(6, "agent", action="read", args=dict(path="/b.py", thought="")),
            event(7, "agent", cause=6, observation="error", content="File not found: /b.py", extras=dict(error_id="")),
            event(8, "agent", action="finish", args=dict(final_thought="It has 12 lines.", outputs={}))]


@needs_detector
@pytest.mark.parametrize("how", ["list", "files", "column"])
def test_events_of_openhands_in_each_place_that_it_keeps_them(tmp_path, how):
    if how == "files":
        for e in events(): write(tmp_path / "s1" / "events" / f"{e['id']}.json", [e])
    elif how == "list": (tmp_path / "trajectory.json").write_text(json.dumps(events()))
    else: write(tmp_path / "output.jsonl", [dict(instance_id="a-1", history=events(), metrics={})])
    [t] = read_trajectories(tmp_path).kept
    assert t.instruction == "How many lines has a.py?" and t.answer == "It has 12 lines." and t.turns[0].text == "You are OpenHands."
    assert [(c.tool, c.arguments, o.status) for c, o in zip(t.calls, t.observations, strict=True)] == [
        ("execute_bash", dict(command="wc -l a.py"), "ok"), ("read", dict(path="/b.py"), "error")]
    assert {x.name: x.description for x in t.own} == {"execute_bash": "Runs a command.", "read": ""}


def test_the_newer_events_of_openhands():
    parts = lambda t: [dict(type="text", text=t)]
    [s] = openhands([
        dict(kind="SystemPromptEvent", source="agent", system_prompt=dict(type="text", text="You are OpenHands."), tools=[]),
        dict(kind="MessageEvent", source="user", llm_message=dict(role="user", content=parts("List the files."))),
        dict(kind="ConversationStateUpdateEvent", source="environment", key="agent_status", value="running"),
        dict(kind="ActionEvent", source="agent", thought=parts(""), reasoning_content="Use ls.", tool_name="terminal", tool_call_id="c1",
             action=dict(kind="TerminalAction", command="ls"), tool_call=dict(id="c1", name="terminal", arguments='{"command": "ls"}')),
        dict(kind="ObservationEvent", source="environment", tool_name="terminal", tool_call_id="c1",
             observation=dict(kind="TerminalObservation", content=parts("a.py"), is_error=False, exit_code=0)),
        dict(kind="ActionEvent", source="agent", thought=[], tool_name="finish", tool_call_id="c2", action=dict(kind="FinishAction", message="a.py"),
             tool_call=dict(id="c2", name="finish", arguments='{"message": "a.py"}')),
        dict(kind="AgentErrorEvent", source="agent", tool_name="finish", tool_call_id="c2", error="not now")])
    assert [m["role"] for m in s.messages] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert s.messages[2]["content"] == [dict(type="thinking", thinking="Use ls."), use("c1", "terminal", command="ls")]
    assert s.messages[-1]["content"][0]["is_error"]


@needs_detector
def test_a_folder_of_many_logs_says_what_came_of_each(tmp_path):
    c = a_session()
    write(tmp_path / "-Users-anna-k-src-app" / "3f0c.jsonl", c.lines)
    more = Claude()
    more.lines, more.last, more.n = list(c.lines), c.last, c.n
    more.line("user", "Thanks.")
    more.line("assistant", [dict(type="text", text="At your service.")])
    write(tmp_path / "-Users-anna-k-src-app" / "77aa.jsonl", more.lines)
    alone = Claude("5b1d")
    alone.line("user", "Hello?")
    write(tmp_path / "-Users-anna-k-src-app" / "5b1d.jsonl", alone.lines)
    write(tmp_path / "sessions" / "2026" / "01" / "05" / "rollout-x.jsonl", a_rollout())
    (tmp_path / "settings.json").write_text('{"theme": "dark"}')
    (tmp_path / "half.jsonl").write_text(json.dumps(a_rollout()[0]) + "\n{\"type\": \"resp")
    got = read_trajectories(tmp_path)
    assert sorted(t.meta["log"]["agent"] for t in got.kept) == ["claude-code", "codex"]
    assert sorted(d.reason for d in got.dropped) == ["invalid_row:goes_on", "invalid_row:goes_on", "invalid_row:unanswered"]


def test_a_folder_without_a_log_is_an_error_that_says_what_was_looked_for(tmp_path):
    (tmp_path / "a.json").write_text("[1, 2")
    with pytest.raises(SynthgenError, match="no folder with rows"): read_trajectories(tmp_path)


@needs_detector
def test_a_private_key_and_a_password_in_arguments_are_taken_out():
    from synthgen_nb.specs.private import without_private
    rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
    from cryptography.hazmat.primitives import serialization as s
    key = rsa.generate_private_key(65537, 2048).private_bytes(s.Encoding.PEM, s.PrivateFormat.TraditionalOpenSSL, s.NoEncryption()).decode()
    clean, kinds = without_private(dict(shown=f"cat id_rsa\n{key}\ndone", again=json.dumps({"key": key}), args=dict(password="tr0ub4dor&3x")))
    assert "MII" not in str(clean) and not any(line in str(clean) for line in key.split("\n")[1:-2]) and kinds["PEM Private Key"]
    assert clean["shown"].endswith("-----END RSA PRIVATE KEY-----\n\ndone") and clean["args"]["password"].startswith("[secret")


def test_without_the_detector_no_log_is_read(tmp_path):
    file = write(tmp_path / "rollout.jsonl", a_rollout())
    (tmp_path / "credsweeper.py").write_text("raise ModuleNotFoundError('no')")
    code = f"from synthgen_nb.cli.main import main; import sys; sys.argv = ['synthgen', 'export', {str(file)!r}, '-o', {str(tmp_path / 'o.jsonl')!r}]; main()"
    run = subprocess.run([sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}"], capture_output=True, text=True)
    assert run.returncode and 'pip install "synthgen_nb[logs]"' in run.stderr and not (tmp_path / "o.jsonl").exists()
    assert "jrandom" not in run.stdout + run.stderr
