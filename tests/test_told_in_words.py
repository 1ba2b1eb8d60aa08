"""What a list shows without a name, what is encoded, and what a server says went wrong: in words that somebody can read."""

import base64
import re

from synthgen_nb.core.listed import listed
from synthgen_nb.offline.tellings import answer_from, encoded, told_list
from synthgen_nb.specs.tool import Tool
from synthgen_nb.tools.survey import says_nothing
from synthgen_nb.worlds.outcomes import error_in_words

BLOB = base64.b64encode(bytes(range(256)) * 4).decode()


def told(content, name="get_file", **args):
    tool = dict(
        name=name, description=name.replace("_", " ").capitalize() + ".", parameters={"type": "object", "properties": {k: {"type": "string"} for k in args}}
    )
    return answer_from([dict(call="call_1", tool=name, arguments=args, content=content, status="ok")], [tool], "Show me the file.")


def test_a_list_of_numbers_says_what_they_are():
    assert "4201 (heart) and 4202 (laugh)" in told_list([{"id": 4201, "content": "heart"}, {"id": 4202, "content": "laugh"}], "reactions", 0)
    nested = [{"number": 1, "rule": {"id": 7, "name": "no-eval"}}, {"number": 2, "rule": {"id": 8, "name": "no-shadow"}}]
    assert "1 (no-eval) and 2 (no-shadow)" in told_list(nested, "alerts", 0)


def test_base64_is_not_read_out():
    assert encoded(BLOB) and not any(map(encoded, ("a short text", "0" * 64, "deadbeef" * 8, "An ordinary sentence " * 9)))
    for content in ({"path": "a.png", "content": BLOB}, BLOB, [{"type": "image", "data": BLOB}]):
        said = told(content, path="b.png")
        assert said and BLOB[:20] not in said, said


def test_names_by_comma_are_a_list():
    assert listed("lighthouse,orchard") == {"items": ["lighthouse", "orchard"]}
    assert listed("Oslo, Norway") is None and listed("1,250.50") is None and listed("brief.md") is None


def test_a_query_of_rows_is_told_as_rows():
    rows = "[{'id': 1, 'item': 'kettle'}, {'id': 2, 'item': 'lamp'}]"
    said = told(rows, "list_orders")
    assert "kettle" in said and "lamp" in said and not re.search(r"[{}\[\]]", said), said


def test_a_status_that_says_that_nothing_was_found_is_an_error():
    for content in (
        {"status": "task_not_found", "message": "No such task found"},
        {"status": "ok", "message": "No such task found"},
        {"status": "failed", "message": "Disk full"},
    ):
        assert error_in_words(content), content
    for content in (
        {"status": "task_updated", "message": "Task 1 has been updated."},
        {"status": "failed", "message": "2 of 9 tests failed", "job": 7},
        {"status": "found"},
    ):
        assert not error_in_words(content), content


def test_an_empty_list_in_a_text_says_nothing():
    t = Tool(name="describe_table", description="Describe a table.", effect="read", parameters={"type": "object", "properties": {}})
    assert says_nothing(t, "[]") and says_nothing(t, []) and not says_nothing(t, "[1]")
