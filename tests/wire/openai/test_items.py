"""Items of a response's input, made into a conversation."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from aipc.wire.openai.items import InputItem, item_messages

READ = TypeAdapter(list[InputItem]).validate_python


def told(*items):
    return item_messages(READ(items))


def call(at, name="look", arguments="{}"):
    return {"type": "function_call", "call_id": at, "name": name, "arguments": arguments}


def output(at, value, kind="function_call"):
    return {"type": f"{kind}_output", "call_id": at, "output": value}


def test_successive_calls_are_one_message():
    messages = told(
        {"role": "user", "content": [{"type": "input_text", "text": "look"}]},
        call("1"),
        call("2"),
        output("1", "a"),
        output("2", "b"),
    )
    assert [one["role"] for one in messages] == ["user", "assistant", "tool", "tool"]
    assert [one["id"] for one in messages[1]["tool_calls"]] == ["1", "2"]
    assert messages[3] == {"role": "tool", "tool_call_id": "2", "content": "b"}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ([{"type": "input_text", "text": "a"}, {"type": "output_text", "text": "b"}], "a\nb"),
        ([], ""),
        (None, ""),
    ],
)
def test_an_output_in_every_form_is_a_text(given, text):
    assert told(call("1"), output("1", given))[1]["content"] == text


@pytest.mark.parametrize("more", [{"encrypted_content": "gAAA", "content": None}, {}])
def test_reasoning_without_a_text_is_passed_over(more):
    item = {"type": "reasoning", "id": "rs_1", "summary": [], **more}
    assert told(item, {"role": "assistant", "content": "4"}) == [
        {"role": "assistant", "content": "4"}
    ]


def test_reasoning_is_of_the_message_or_the_call_behind_it():
    def thought(text):
        parts = [{"type": "reasoning_text", "text": text}]
        return {"type": "reasoning", "id": "rs_1", "summary": [], "content": parts}

    first, _, second = told(
        thought("a"),
        call("1"),
        output("1", "x"),
        thought("b"),
        {"role": "assistant", "content": "4"},
    )
    assert (first["reasoning_content"], second["reasoning_content"]) == ("a", "b")


@pytest.mark.parametrize(
    ("item", "kind", "name", "arguments"),
    [
        (
            {"type": "custom_tool_call", "name": "patch", "input": "***"},
            "custom_tool_call",
            "patch",
            {"input": "***"},
        ),
        (
            {"type": "local_shell_call", "action": {"type": "exec", "command": ["ls"]}},
            "local_shell_call",
            "local_shell",
            {"type": "exec", "command": ["ls"]},
        ),
    ],
)
def test_calls_of_other_kinds_are_told_as_those_of_functions(item, kind, name, arguments):
    asking, result = told({**item, "call_id": "1"}, output("1", "done", kind))
    (one,) = asking["tool_calls"]
    assert one["function"] == {"name": name, "arguments": arguments}
    assert result == {"role": "tool", "tool_call_id": "1", "content": "done"}


def test_what_a_server_called_itself_is_told_with_its_result():
    item = {"type": "mcp_call", "id": "m", "name": "find", "arguments": "{}", "output": "it"}
    asking, result = told(item)
    assert asking["tool_calls"][0]["function"]["name"] == "find"
    assert (result["tool_call_id"], result["content"]) == ("m", "it")


def test_what_a_search_did_is_passed_over():
    search = {"type": "web_search_call", "id": "ws", "status": "completed", "action": {}}
    assert told(search, {"role": "user", "content": "x"}) == [{"role": "user", "content": "x"}]
