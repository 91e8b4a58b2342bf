from __future__ import annotations

import json

import openai.types.responses
import pytest
from pydantic import TypeAdapter

from aipc.wire.ignored import HEADER

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
    assert (reply["object"], reply["status"], reply["store"]) == ("response", "completed", True)
    (item,) = reply["output"]
    assert item["content"][0]["text"] == "0 1 2 "
    assert reply["usage"]["output_tokens"] == 3
    assert reply["instructions"] == "be brief"


@pytest.mark.parametrize("stream", [False, True])
def test_probabilities_and_alternatives_are_told_where_they_are_asked_for(client, stream):
    more = {"include": ["message.output_text.logprobs"], "top_logprobs": 2, "stream": stream}
    reply = client.post(PATH, json=request_body("count 2", **more))
    assert HEADER not in reply.headers
    events = dict(events_of(reply)) if stream else {}
    body = events["response.completed"]["response"] if stream else reply.json()
    told = body["output"][0]["content"][0]["logprobs"]
    assert [(one["token"], one["logprob"]) for one in told] == [("0 ", -0.5), ("1 ", -0.5)]
    assert [one["token"] for one in told[0]["top_logprobs"]] == ["<end>", "0 "]
    assert body["top_logprobs"] == 2
    if stream:  # the last delta has the last token
        assert events["response.output_text.delta"]["logprobs"] == told[1:]
        assert events["response.output_text.done"]["logprobs"] == told
    plain = client.post(PATH, json=request_body("count 2")).json()
    assert plain["output"][0]["content"][0]["logprobs"] == []


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


def test_an_answer_that_was_found_not_to_fit_says_so(client):
    response = client.post(PATH, json=request_body("misfit")).json()
    assert (response["status"], response["stop_reason"]) == ("completed", "schema_not_met")


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


def test_what_was_thought_is_an_item_before_the_message(client):
    reply = client.post(PATH, json=request_body("think oh well")).json()
    thought, message = reply["output"]
    assert (thought["type"], thought["status"], thought["summary"]) == (
        "reasoning",
        "completed",
        [],
    )
    assert thought["content"] == [{"type": "reasoning_text", "text": "oh well "}]
    assert message["content"][0]["text"] == "so "
    assert reply["usage"]["output_tokens_details"] == {"reasoning_tokens": 2}


def test_the_events_of_reasoning_come_before_those_of_the_text(client):
    events = events_of(client.post(PATH, json=request_body("think oh well", stream=True)))
    assert [data["sequence_number"] for _, data in events] == list(range(len(events)))
    assert [name.removeprefix("response.") for name, _ in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    added, part = events[2][1], events[3][1]
    assert (added["item"]["type"], added["item"]["content"], added["output_index"]) == (
        "reasoning",
        [],
        0,
    )
    assert part["part"] == {"type": "reasoning_text", "text": ""}
    assert events[6][1]["text"] == "oh well "
    assert events[9][1]["output_index"] == 1


def test_reasoning_goes_back_into_a_conversation(client):
    thought = client.post(PATH, json=request_body("think oh", store=True)).json()
    items = [*thought["output"], {"role": "user", "content": "count 1"}]
    reply = client.post(PATH, json=request_body(items)).json()
    assert reply["output"][0]["content"][0]["text"] == "0 "


def test_how_much_to_think_reaches_the_model(client):
    more = {"reasoning": {"effort": "low", "summary": "auto"}, "thinking_budget": 7}
    response = client.post(PATH, json=request_body("mode", **more))
    text = response.json()["output"][0]["content"][0]["text"]
    assert text.startswith("None low 7 {}")
    assert response.json()["reasoning"]["effort"] == "low"
    assert "reasoning.summary" in response.headers["x-aipc-ignored"]
    refused = client.post(PATH, json=request_body("x", reasoning={"effort": "much"}))
    assert refused.json()["error"]["param"] == "reasoning.effort"


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


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"background": True}, "background"),
        ({"conversation": "c"}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"tools": [{"type": "teleport"}]}, "tools[0].type"),
        ({"tools": [{"type": "web_search"}], "tool_choice": "required"}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "web_search"}}, "tool_choice.type"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "name": "x"}}, "tool_choice"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].id"),
        ({"input": []}, "input"),
    ],
)
def test_what_is_stored_or_done_elsewhere_is_refused(client, more, param):
    response = client.post(PATH, json=request_body("x") | more)
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)


def test_tools_of_other_kinds_are_left_out_and_named(client):
    hosted = [{"type": "web_search_preview_2025_03_11"}, {"type": "namespace", "tools": [TOOL]}]
    body = request_body("call", tools=[hosted[0], TOOL, hosted[1]], include=["odd"])
    reply = client.post(PATH, json=body)
    assert reply.json()["output"][0]["name"] == "look"
    assert [tool["name"] for tool in reply.json()["tools"]] == ["look"]
    assert reply.headers[HEADER] == "tools[0], tools[2], include[0]"


def test_a_choice_among_allowed_tools_offers_those_alone(client):
    other = {**TOOL, "name": "other"}
    choice = {
        "type": "allowed_tools",
        "mode": "auto",
        "tools": [{"type": "function", "name": "look"}],
    }
    reply = client.post(PATH, json=request_body("call", tools=[other, TOOL], tool_choice=choice))
    assert reply.json()["output"][0]["name"] == "look"


@pytest.mark.parametrize("stream", [False, True])
def test_a_response_goes_on_from_the_one_before(client, stream):
    first = client.post(PATH, json=request_body("hello", stream=stream, instructions="brief"))
    before = events_of(first)[-1][1]["response"] if stream else first.json()
    second = client.post(PATH, json=request_body("and", previous_response_id=before["id"])).json()
    assert second["previous_response_id"] == before["id"]
    third = request_body("recall", previous_response_id=second["id"])
    text = client.post(PATH, json=third).json()["output"][0]["content"][0]["text"]
    assert text == "user:hello assistant:hello user:and assistant:and user:recall "


def test_a_response_that_is_not_to_be_stored_is_not(client):
    before = client.post(PATH, json=request_body("hello", store=False)).json()
    assert before["store"] is False
    body = request_body("and", previous_response_id=before["id"])
    error = client.post(PATH, json=body).json()["error"]
    assert error["code"] == "previous_response_not_found"
    assert "send the whole conversation" in error["message"]


def test_an_item_is_referred_to_by_its_id(client):
    before = client.post(PATH, json=request_body("call", tools=[TOOL])).json()
    call = before["output"][0]
    items = [
        {"role": "user", "content": "call"},
        {"type": "item_reference", "id": call["id"]},
        {"type": "function_call_output", "call_id": call["call_id"], "output": "recall"},
    ]
    reply = client.post(PATH, json=request_body(items)).json()
    assert reply["output"][0]["content"][0]["text"] == "user:call assistant: tool:recall "


def test_reasoning_that_is_gone_is_passed_over(client):
    items = [{"type": "item_reference", "id": "rs_gone"}, {"role": "user", "content": "recall"}]
    reply = client.post(PATH, json=request_body(items))
    assert reply.json()["output"][0]["content"][0]["text"] == "user:recall "
    assert reply.headers[HEADER] == "input[0]"


def test_a_kept_response_is_read_and_let_go(client):
    before = client.post(PATH, json=request_body("hello")).json()
    path = f"{PATH}/{before['id']}"
    assert client.get(path).json() == before
    (item,) = client.get(f"{path}/input_items").json()["data"]
    assert (item["role"], item["content"]) == ("user", "hello")
    assert client.delete(path).json()["deleted"] is True
    assert {client.get(path).status_code, client.delete(path).status_code} == {404}


@pytest.mark.parametrize("stream", [False, True])
def test_the_oldest_turns_are_left_out_where_the_request_permits_it(client, stream):
    items = [{"role": role, "content": "x"} for role in ("user", "assistant") * 9]
    body = request_body([*items, {"role": "user", "content": "fit 3"}], instructions="brief")
    assert client.post(PATH, json=body).json()["error"]["code"] == "context_length_exceeded"
    reply = client.post(PATH, json={**body, "truncation": "auto", "stream": stream})
    response = events_of(reply)[-1][1]["response"] if stream else reply.json()
    assert response["output"][0]["content"][0]["text"] == "fit 3 "


@pytest.mark.parametrize("text", ["hello", "call", "think of it"])
@pytest.mark.parametrize("stream", [False, True])
def test_every_body_has_all_that_openais_own_classes_need(client, text, stream):
    more = {"text": {"verbosity": "low"}, "user": "me", "metadata": {"a": "b"}, "stream": stream}
    choice = {
        "type": "allowed_tools",
        "mode": "auto",
        "tools": [{"type": "function", "name": "look"}],
    }
    body = {"model": "fake", "input": text, "tools": [TOOL], "tool_choice": choice, **more}
    reply = client.post(PATH, json=body)
    if not stream:
        openai.types.responses.Response.model_validate(reply.json())
        return
    event = TypeAdapter(openai.types.responses.ResponseStreamEvent)
    for _, data in events_of(reply):
        event.validate_python(data)


def test_an_error_of_the_schema_names_its_place(client):
    form = {"type": "json_schema", "name": "a", "schema": {"type": "list"}}
    reply = client.post(PATH, json=request_body("refuse") | {"text": {"format": form}})
    assert reply.json()["error"]["param"] == "text.format.schema"
