"""History as clients replay it, made into a conversation."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from aipc.wire.openai.messages import AnyMessage, conversation, without_oldest

READ = TypeAdapter(list[AnyMessage]).validate_python
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
ASKING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c1", "name": "look", "content": "sunny"}


def told(*messages):
    return conversation(READ(messages))


def test_a_tool_round_trip_is_told_as_it_was():
    assert told({"role": "user", "content": "?"}, ASKING, RESULT) == [
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "content": "sunny", "tool_call_id": "c1", "name": "look"},
    ]


@pytest.mark.parametrize(
    "more",
    [
        {"index": 0},
        {"extra_content": {"signature": "x"}},
        {"function": {"name": "look", "arguments": "{}", "parsed_arguments": {}}},
        {"type": None},
    ],
)
def test_what_streams_add_to_a_call_is_passed_over(more):
    (turn,) = told({**ASKING, "tool_calls": [{**CALL, **more}]})
    assert turn["tool_calls"] == [CALL]


@pytest.mark.parametrize("member", ["reasoning_content", "reasoning", "thinking"])
def test_reasoning_is_told_by_the_name_that_templates_read(member):
    (turn,) = told({"role": "assistant", "content": "4", member: "2 and 2"})
    assert turn == {"role": "assistant", "content": "4", "reasoning_content": "2 and 2"}


@pytest.mark.parametrize(
    "part",
    [
        {"type": "thinking", "thinking": "hm", "signature": "x"},
        {"type": "reasoning", "reasoning": "hm"},
        {"type": "reasoning", "text": "hm"},
    ],
)
def test_a_thinking_part_is_reasoning_and_no_text(part):
    (turn,) = told({"role": "assistant", "content": [part, {"type": "text", "text": "4"}]})
    assert turn == {"role": "assistant", "content": "4", "reasoning_content": "hm"}


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"role": "user", "content": None}, ""),
        ({"role": "user", "content": []}, ""),
        ({"role": "user", "content": ["a", {"type": "text", "text": "b"}]}, "a\nb"),
        ({"role": "tool", "content": [{"type": "text", "text": "a"}], "tool_call_id": "x"}, "a"),
        ({"role": "tool", "content": None, "tool_call_id": "x"}, ""),
        ({"role": "assistant", "content": None, "refusal": "no"}, "no"),
        ({"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}, "no"),
        ({"role": "assistant", "content": "a", "tool_calls": [], "refusal": ""}, "a"),
        ({"role": "assistant", "content": "a", "audio": None, "function_call": None}, "a"),
    ],
)
def test_content_in_every_form_is_a_text(message, text):
    assert told(message)[0]["content"] == text


def test_older_functions_are_told_as_tools():
    call = {"name": "look", "arguments": "{}"}
    first, second = told(
        {"role": "assistant", "content": None, "function_call": call},
        {"role": "function", "name": "look", "content": "sunny"},
    )
    assert first["tool_calls"][0]["function"] == call
    assert second["role"] == "tool"
    assert second["tool_call_id"] == first["tool_calls"][0]["id"]


def test_results_without_an_id_belong_to_the_calls_in_turn():
    calls = [{"function": {"name": name, "arguments": {}}} for name in ("a", "b", "b")]
    asking, *results = told(
        {"role": "assistant", "tool_calls": calls},
        {"role": "tool", "name": "b", "content": "1"},
        {"role": "tool", "content": "2"},
        {"role": "tool", "content": "3"},
    )
    ids = [call["id"] for call in asking["tool_calls"]]
    assert [one["tool_call_id"] for one in results] == [ids[1], ids[0], ids[2]]
    assert [one["name"] for one in results] == ["b", "a", "b"]


def test_a_call_of_a_custom_tool_is_one_of_a_function():
    call = {"id": "c", "type": "custom", "custom": {"name": "patch", "input": "*** Begin"}}
    (turn,) = told({"role": "assistant", "tool_calls": [call]})
    function = {"name": "patch", "arguments": {"input": "*** Begin"}}
    assert turn["tool_calls"] == [{"id": "c", "type": "function", "function": function}]


def test_the_oldest_turns_are_left_out_whole():
    system = {"role": "system", "content": "s"}
    turns = [{"role": "user", "content": n} for n in "123"]
    messages = [system, turns[0], ASKING, RESULT, turns[1], turns[2]]
    assert without_oldest(messages, 1) == [system, turns[1], turns[2]]
    assert without_oldest(messages, 9) == [system, turns[2]]
    assert without_oldest([system, turns[2]], 1) == []
