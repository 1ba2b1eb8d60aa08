"""Where arguments come from, what an answer says of the results, and what only looks like a value."""

import pytest

from synthgen_nb.specs.trajectory import Call, Observation, Ref, Trajectory, Turn
from synthgen_nb.tools.grounding import placeholders, quotable, sourced, stated, steps_of, thoughts_of, unquoted
from synthgen_nb.worlds.hdf5 import hdf5_tools

TOOLS = {t.name: t for t in hdf5_tools()}
PATH = "/stations/oslo/temperature"


def observed(call, content=None, status="ok", error=""):
    return Observation(call=call, status=status, source="executed", world="w", content=content, error=error)


def chain(answer, *pairs):
    turns = (Turn(role="assistant", thought=f"{c.tool}.", calls=(c,), observations=(o,)) for c, o in pairs)
    return Trajectory(turns=(Turn(role="user", text="How long is it?"), *turns, Turn(role="assistant", text=answer)))


SHAPE = Call(id="call_2", tool="get_shape", arguments={"file": "weather.h5", "path": PATH})


def test_values_come_from_the_instruction_or_an_earlier_result():
    seen = {"call_1": observed("call_1", {"paths": ["/b", PATH]})}
    call, lost = sourced(SHAPE, TOOLS["get_shape"], "in weather.h5", seen)
    assert call.refs == (Ref(param="/path", call="call_1", path="/paths/1"),)
    assert call.arguments == {"file": "weather.h5"} and not lost
    assert stated(0.86421, "about 0.864") and not stated(0.86421, "about 0.87") and not stated(12, "in 2012")


def test_the_latest_result_is_taken_and_failed_ones_and_other_types_are_not():
    seen = {"a": observed("a", {"n": 365}), "b": observed("b", {"n": 365}), "c": observed("c", {"n": 365}, "error", "no")}
    read = Call(id="d", tool="read_head", arguments={"file": "w.h5", "path": "/x9", "n": 365})
    call, lost = sourced(read, TOOLS["read_head"], "Read w.h5", seen)
    assert call.refs == (Ref(param="/n", call="b", path="/n"),) and lost == ["/path"]
    text = {"e": observed("e", {"n": "365"})}
    assert sourced(read, TOOLS["read_head"], "Read w.h5", text)[1] == ["/path", "/n"]


def test_defaults_choices_and_small_numbers_need_no_source():
    free = Call(id="c", tool="find_extreme", arguments={"file": "w.h5", "path": "/x9", "which": "min"})
    assert sourced(free, TOOLS["find_extreme"], "the smallest of /x9 in w.h5", {}) == (free, [])
    for index, lost in ((2, []), (7, ["/index/0"])):
        one = Call(id="c", tool="read_element", arguments={"file": "w.h5", "path": "/x9", "index": [index]})
        assert sourced(one, TOOLS["read_element"], "one of /x9 in w.h5", {})[1] == lost


@pytest.mark.parametrize("text", ["$step_1_result", "${prev[0]}", "$first_result", "{{ids}}", "the {{ id }} of it", "<path>",
                                  "<path from step 2>", "step_1.result", "call2_output", "output_of_step_2"])
def test_placeholders_are_found_where_they_stand(text):
    assert placeholders({"a": ["/data", text], "n": 3}) == [("/a/1", text)]


@pytest.mark.parametrize("text", ["$5", "<b>bold</b>", "/results/step_1", "a < b", "{x}", "the result of it", "", PATH])
def test_ordinary_texts_are_no_placeholders(text):
    assert placeholders({"a": text}) == []


def test_an_answer_quotes_what_did_not_go_in():
    shape = observed("call_2", {"path": PATH, "shape": [365], "ok": True, "note": None})
    assert quotable(shape) == [PATH, 365] and quotable(shape, [PATH]) == [365]
    assert quotable(observed("call_2", status="error", error="no")) == []
    assert unquoted(chain("It holds 365 values.", (SHAPE, shape)), TOOLS) == []
    assert unquoted(chain(f"I looked at {PATH}.", (SHAPE, shape)), TOOLS) == ["call_2"]


def test_writing_calls_and_results_without_news_need_no_quote():
    write = Call(id="call_1", tool="create_group", arguments={"file": "w.h5", "path": "/new"})
    assert unquoted(chain("Done.", (write, observed("call_1", {"path": "/new", "members": 7}))), TOOLS) == []
    assert unquoted(chain("Done.", (SHAPE, observed("call_2", {"path": PATH}))), TOOLS) == []


def test_steps_show_the_values_of_references_or_the_names_of_their_places():
    refs = (Ref(param="/path", call="call_1", path="/paths/0"),)
    later = Call(id="call_2", tool="get_shape", arguments={"file": "w.h5"}, refs=refs)
    first = Call(id="call_1", tool="find_objects", arguments={"file": "w.h5"})
    found, failed = observed("call_1", {"paths": [PATH]}), observed("call_1", status="error", error="no such file")
    shape = observed("call_2", {"shape": [365]})
    assert steps_of([first, later], [found, shape])[1]["arguments"] == {"file": "w.h5", "path": PATH}
    step, lost = steps_of([first, later], [failed, shape])
    assert step["result"] == "no such file" and lost["arguments"]["path"] == "call_1/paths/0"
    assert thoughts_of(chain("365", (first, found), (later, shape))) == ["find_objects.", "get_shape."]
