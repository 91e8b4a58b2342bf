from __future__ import annotations

import json

import pytest

PATH = "/v1/messages"
COUNT = "/v1/messages/count_tokens"
TOOL = {"name": "look", "input_schema": {"type": "object"}}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}


def request_body(text, **more):
    user = {"role": "user", "content": text}
    return {"model": "fake", "max_tokens": 100, "messages": [user], **more}


def events(response):
    """(name, data) of each event, comments left out."""
    texts = response.text.split("\n\n")
    assert texts.pop() == ""
    for text in texts:
        name, data = text.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        yield event


def folded(response):
    """The message that a stream adds up to, as clients fold it."""
    stream = events(response)
    message = next(stream)["message"]
    texts = []
    for event in stream:
        if event["type"] == "content_block_start":
            assert event["index"] == len(message["content"])
            message["content"].append(event["content_block"])
            texts = []
        elif event["type"] == "content_block_delta":
            assert event["index"] == len(message["content"]) - 1
            delta = event["delta"]
            member = delta["type"].removesuffix("_delta")
            if member == "input_json":
                texts.append(delta["partial_json"])
                message["content"][-1]["input"] = json.loads("".join(texts))
            else:
                message["content"][-1][member] += delta[member]
        elif event["type"] == "message_delta":
            message |= {**event["delta"], "usage": event["usage"]}
    assert event["type"] == "message_stop"
    return message


def test_a_whole_answer_has_anthropics_shape(client):
    response = client.post(PATH, json=request_body("count 3"))
    reply = response.json()
    assert reply.pop("id").startswith("msg_")
    assert reply == {
        "type": "message",
        "role": "assistant",
        "model": "fake",
        "content": [{"type": "text", "text": "0 1 2 "}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 2,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 3,
            "output_tokens_details": {"thinking_tokens": 0},
        },
    }
    assert response.headers["request-id"].startswith("req_")


SAME = {
    "text": ("count 40 every 0.005", {}),
    "a call": ("call", {"tools": [TOOL]}),
    "thinking": ("think about it", {}),
    "a stop": ("one two END three", {"stop_sequences": ["END"]}),
    "a limit": ("count 9", {"max_tokens": 2}),
}


@pytest.mark.parametrize(("text", "more"), SAME.values(), ids=SAME)
def test_a_stream_adds_up_to_the_whole_answer(client, text, more):
    whole = client.post(PATH, json=request_body(text, **more)).json()
    response = client.post(f"{PATH}?beta=true", json=request_body(text, stream=True, **more))
    assert response.headers["content-type"].startswith("text/event-stream")
    message = folded(response)
    assert {**message, "id": ""} == {**whole, "id": ""}


def test_a_stream_begins_without_content_and_closes_each_block(client):
    kinds = [one["type"] for one in events(client.post(PATH, json=request_body("x", stream=True)))]
    assert kinds == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


def test_a_stream_tells_the_prompt_s_tokens_at_its_beginning(client):
    first, *_ = events(client.post(PATH, json=request_body("count 3", stream=True)))
    assert first["message"]["usage"]["input_tokens"] == 2


def test_who_waits_is_pinged(serve_fakes):
    server = serve_fakes("slow")
    with server.client() as client:
        response = client.post(PATH, json=request_body("x", model="slow", stream=True))
        assert next(events(response)) == {"type": "ping"}


ENDINGS = {
    "stop": ("a b", {}, "end_turn", None),
    "stop string": ("a END b", {"stop_sequences": ["b", "END"]}, "stop_sequence", "END"),
    "limit": ("count 9", {"max_tokens": 2}, "max_tokens", None),
    "calls": ("call", {"tools": [TOOL]}, "tool_use", None),
}


@pytest.mark.parametrize(("text", "more", "reason", "stop"), ENDINGS.values(), ids=ENDINGS)
def test_it_says_why_it_ended(client, text, more, reason, stop):
    reply = client.post(PATH, json=request_body(text, **more)).json()
    assert (reply["stop_reason"], reply["stop_sequence"]) == (reason, stop)


def test_a_call_has_its_input_as_an_object(client):
    reply = client.post(PATH, json=request_body("call", tools=[TOOL])).json()
    block = {"type": "tool_use", "id": "call_1", "name": "look", "input": {}}
    assert reply["content"][0] == block


def test_thinking_is_a_block_of_its_own_with_a_signature(client):
    reply = client.post(PATH, json=request_body("think about it")).json()
    thinking, answer = reply["content"]
    assert thinking.pop("signature")
    assert thinking == {"type": "thinking", "thinking": "about it "}
    assert answer == {"type": "text", "text": "so "}
    assert reply["usage"]["output_tokens_details"] == {"thinking_tokens": 2}


def test_thinking_that_shall_not_be_shown_is_not(client):
    more = {"thinking": {"type": "adaptive", "display": "omitted"}}
    for stream in (False, True):
        body = request_body("think about it", stream=stream, **more)
        response = client.post(PATH, json=body)
        reply = folded(response) if stream else response.json()
        assert reply["content"][0]["thinking"] == ""
        assert reply["content"][0]["signature"]


def test_tokens_are_counted_without_an_answer(client):
    body = request_body("count three words")
    del body["max_tokens"]
    response = client.post(f"{COUNT}?beta=true", json=body)
    assert response.json() == {"input_tokens": 3}
    assert response.headers["request-id"].startswith("req_")


REFUSED = {
    "no limit": ({"max_tokens": None}, "max_tokens"),
    "no message": ({"messages": []}, "messages"),
    "a role": ({"messages": [{"role": "king", "content": "x"}]}, "messages"),
    "a type": ({"top_k": "1"}, "top_k"),
    "a text": (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]},
        "messages[0].content[0].text: input should be a valid string",
    ),
    "no text": (
        {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
        "messages[0].content[0].text: field required",
    ),
    "no block": ({"messages": [{"role": "user", "content": [5]}]}, "messages[0].content[0]"),
    "an image": ({"messages": [{"role": "user", "content": [IMAGE]}]}, "is an image"),
    "a tool of nobody": ({"tools": [{"name": "look"}]}, "tools[0].input_schema"),
    "a choice of nobody": (
        {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "no"}},
        "tool_choice.name",
    ),
    "an effort": ({"output_config": {"effort": "some"}}, "output_config.effort"),
    "a thread": ({"thread": {"id": "x"}}, "thread"),
    "the session's own": (request_body("refuse"), "the fake refuses"),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("more", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_honored_is_refused(client, more, said, stream):
    response = client.post(PATH, json=request_body("x") | {"stream": stream} | more)
    assert response.status_code == 400
    body = response.json()
    assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error")
    assert said in body["error"]["message"]
    assert body["request_id"] == response.headers["request-id"]


def test_a_tool_runner_is_told_to_send_the_conversation_itself(client):
    response = client.post(PATH, json=request_body("x", thread={"type": "create"}))
    assert response.json()["error"]["details"] == {"error_code": "thread_unsupported_request"}


def test_errors_have_anthropics_kinds(client, serve_fakes):
    unknown = client.post(PATH, json=request_body("x", model="claude-none"))
    assert (unknown.status_code, unknown.json()["error"]["type"]) == (404, "not_found_error")
    large = client.post(PATH, json=request_body("x" * 5 * 2**20))
    assert (large.status_code, large.json()["error"]["type"]) == (413, "request_too_large")
    failed = client.post(PATH, json=request_body("fail"))
    assert (failed.status_code, failed.json()["error"]["type"]) == (500, "api_error")
    server = serve_fakes(api_key="a-key-that-nobody-guesses")
    with server.client() as stranger:
        response = stranger.post(PATH, json=request_body("x"))
    assert response.status_code == 401
    assert response.json()["error"]["type"] == "authentication_error"


def test_an_error_after_the_beginning_is_the_last_event(client):
    response = client.post(PATH, json=request_body("fail", stream=True))
    *_, last = events(response)
    assert (last["type"], last["error"]["type"]) == ("error", "api_error")


def test_what_changes_nothing_is_taken(client):
    more = {
        "metadata": {"user_id": "me"},
        "service_tier": "auto",
        "cache_control": {"type": "ephemeral"},
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "tools": [{**TOOL, "type": "custom", "defer_loading": True, "cache_control": None}],
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": "high"},
        "temperature": 1,
        "top_k": 5,
        "top_p": 0.9,
        "stop_sequences": [],
    }
    headers = {"anthropic-version": "2023-06-01", "anthropic-beta": "some-2026-01-01"}
    reply = client.post(PATH, json=request_body("count 2", **more), headers=headers)
    assert reply.status_code == 200
    assert reply.json()["content"] == [{"type": "text", "text": "0 1 "}]


def test_a_header_names_what_is_left_out(client):
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
    reply = client.post(PATH, json=request_body("x", tools=[search, TOOL]))
    assert reply.status_code == 200
    assert reply.headers["x-aipc-ignored"] == "tools[0]"


def test_the_header_names_what_of_the_history_and_the_request_has_no_effect(client):
    call = {"type": "tool_use", "id": "t", "name": "look", "input": {}, "caller": {"type": "x"}}
    search = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [IMAGE]}
    messages = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": [search, call]},
        {"role": "user", "content": [result, {"type": "text", "text": "count 2"}]},
    ]
    for path in (PATH, COUNT):
        body = request_body("", context_management={"edits": []}, messages=messages)
        reply = client.post(path, json=body)
        assert reply.status_code == 200
        named = reply.headers["x-aipc-ignored"].split(", ")
        assert {"context_management", "messages[1].content[0]"} <= {*named}
        assert {"messages[1].content[1].caller", "messages[2].content[0].content[0]"} <= {*named}
