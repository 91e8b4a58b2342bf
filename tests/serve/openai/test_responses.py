from __future__ import annotations

import json

import pytest

from aipc.serve.openai.responses import _messages
from aipc.serve.openai.responses_schemas import ResponseRequest

PATH = "/v1/responses"
TOOL = {"type": "function", "name": "look", "parameters": {"type": "object"}}


def request_body(text, **more):
    return {"model": "fake", "input": text, **more}


def events_of(response):
    """(event name, data) of each event."""
    events = [text.split("\n") for text in response.text.split("\n\n") if text]
    return [
        (name.removeprefix("event: "), json.loads(data.removeprefix("data: ")))
        for name, data in (event for event in events if not event[0].startswith(":"))
    ]


def test_a_whole_response(client):
    reply = client.post(PATH, json=request_body("count 3", instructions="be brief")).json()
    assert (reply["object"], reply["status"], reply["store"]) == ("response", "completed", False)
    (item,) = reply["output"]
    assert item["content"][0]["text"] == "0 1 2 "
    assert reply["usage"]["output_tokens"] == 3
    assert reply["instructions"] == "be brief"


@pytest.mark.parametrize("choice", ["required", "none", {"type": "function", "name": "look"}])
def test_a_tool_choice_without_tools_is_left_aside(client, choice):
    reply = client.post(PATH, json=request_body("count 2", tool_choice=choice))
    assert reply.status_code == 200
    assert reply.json()["output"][0]["content"][0]["text"] == "0 1 "
    assert reply.json()["tool_choice"] == choice


def test_an_answer_that_is_cut_is_incomplete(client):
    reply = client.post(PATH, json=request_body("count 9", max_output_tokens=2)).json()
    assert reply["status"] == reply["output"][0]["status"] == "incomplete"
    assert reply["incomplete_details"] == {"reason": "max_output_tokens"}


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_a_loop_ended_is_incomplete_and_says_why(client, stream):
    body = request_body("loop 9", repetition_detection={}, stream=stream)
    reply = client.post(PATH, json=body)
    response = events_of(reply)[-1][1]["response"] if stream else reply.json()
    assert response["status"] == response["output"][0]["status"] == "incomplete"
    assert response["output"][0]["content"][0]["text"] == "0 1 2 3 "
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert response["stop_reason"] == "repetition_detected"


def test_the_events_of_a_text_come_in_openais_order(client):
    events = events_of(client.post(PATH, json=request_body("count 3", stream=True)))
    names = [name for name, _ in events]
    assert all(name == data["type"] for name, data in events)
    assert [data["sequence_number"] for _, data in events] == list(range(len(events)))
    assert [name for name in names if name != "response.output_text.delta"] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    deltas = [data["delta"] for name, data in events if name == "response.output_text.delta"]
    assert "".join(deltas) == "0 1 2 "
    last = events[-1][1]["response"]
    assert last["output"][0]["content"][0]["text"] == "0 1 2 "


def test_a_function_call_has_events_of_its_own(client):
    events = events_of(client.post(PATH, json=request_body("call", tools=[TOOL], stream=True)))
    names = [name for name, _ in events]
    assert "response.function_call_arguments.delta" in names
    done = next(data for name, data in events if name.endswith("arguments.done"))
    assert (done["arguments"], done["name"]) == ("{}", "look")
    call = events[-1][1]["response"]["output"][0]
    assert (call["type"], call["call_id"], call["status"]) == (
        "function_call",
        "call_1",
        "completed",
    )


def test_a_failure_after_the_first_word_is_an_error_event(client):
    name, data = events_of(client.post(PATH, json=request_body("fail", stream=True)))[-1]
    assert (name, data["type"], data["code"]) == ("error", "error", "engine_error")


def test_items_become_a_conversation():
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "look"}]},
        {"type": "function_call", "call_id": "1", "name": "look", "arguments": "{}"},
        {"type": "function_call", "call_id": "2", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "1", "output": "a"},
        {"type": "function_call_output", "call_id": "2", "output": "b"},
    ]
    body = ResponseRequest(model="m", input=items, instructions="brief")
    messages = _messages(body)
    assert [one["role"] for one in messages] == ["system", "user", "assistant", "tool", "tool"]
    assert [call["id"] for call in messages[2]["tool_calls"]] == ["1", "2"]
    assert messages[4] == {"role": "tool", "tool_call_id": "2", "content": "b"}


@pytest.mark.parametrize(
    "more",
    [
        {"previous_response_id": "resp_1"},
        {"store": True},
        {"background": True},
        {"conversation": "c"},
        {"tools": [{"type": "web_search"}]},
        {"input": [{"type": "item_reference", "id": "x"}]},
    ],
)
def test_what_is_stored_or_done_elsewhere_is_refused(client, more):
    response = client.post(PATH, json=request_body("x") | more)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"
