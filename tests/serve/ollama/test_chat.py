from __future__ import annotations

import json
import re

import pytest

from aipc.generate import Thinking

PATH = "/api/chat"
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
FIGURES = {
    "total_duration",
    "load_duration",
    "prompt_eval_count",
    "prompt_eval_duration",
    "eval_count",
    "eval_duration",
}


def request_body(text, **more):
    return {"model": "fake", "messages": [{"role": "user", "content": text}], **more}


def test_a_whole_answer_has_ollamas_shape(client):
    reply = client.post(PATH, json=request_body("count 3", stream=False)).json()
    assert set(reply) == {"model", "created_at", "message", "done", "done_reason", *FIGURES}
    assert reply["message"] == {"role": "assistant", "content": "0 1 2 "}
    assert (reply["model"], reply["done"], reply["done_reason"]) == ("fake", True, "stop")
    assert (reply["prompt_eval_count"], reply["eval_count"]) == (2, 3)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", reply["created_at"])
    parts = reply["load_duration"] + reply["prompt_eval_duration"] + reply["eval_duration"]
    assert abs(parts - reply["total_duration"]) < 10  # each is rounded down


def test_without_saying_so_it_is_a_stream_of_lines(client, lines):
    *pieces, last = lines(client.post(PATH, json=request_body("count 40 every 0.005")))
    assert "".join(one["message"]["content"] for one in pieces) == "".join(
        f"{n} " for n in range(40)
    )
    assert not any(one["done"] or FIGURES & set(one) for one in pieces)
    assert last["message"] == {"role": "assistant", "content": ""}
    assert (last["done"], last["done_reason"], last["eval_count"]) == (True, "stop", 40)


def test_a_cut_answer_has_the_reason_length(client):
    body = request_body("count 9", stream=False, options={"num_predict": 2})
    reply = client.post(PATH, json=body).json()
    assert (reply["message"]["content"], reply["done_reason"]) == ("0 1 ", "length")


def test_an_answer_that_was_found_not_to_fit_says_so(client):
    reply = client.post(PATH, json=request_body("misfit", stream=False)).json()
    assert (reply["message"]["content"], reply["done_reason"]) == ("misfit ", "schema_not_met")


def test_log_probabilities_stand_beside_their_tokens(client):
    reply = client.post(PATH, json=request_body("count 2", stream=False, logprobs=True)).json()
    assert reply["logprobs"] == [
        {"token": f"{n} ", "logprob": -0.5, "bytes": [48 + n, 32]} for n in (0, 1)
    ]


def test_a_tool_call_has_its_arguments_as_an_object(client, lines):
    call = {"id": "call_1", "function": {"index": 0, "name": "look", "arguments": {}}}
    reply = client.post(PATH, json=request_body("call", stream=False, tools=[TOOL])).json()
    assert reply["message"]["tool_calls"] == [call]
    assert reply["done_reason"] == "stop"
    streamed = lines(client.post(PATH, json=request_body("call", tools=[TOOL])))
    assert next(one["message"].get("tool_calls") for one in streamed) == [call]


def test_thinking_is_a_member_of_its_own(scripted_server, scripted, lines):
    scripted.script = [Thinking("Hm", (1,)), Thinking("m.", (2,)), "Hi"]
    with scripted_server[0].client() as client:
        body = request_body("x") | {"model": "tiny"}
        streamed = lines(client.post(PATH, json=body))
        whole = client.post(PATH, json={**body, "stream": False}).json()["message"]
    assert [one["message"].get("thinking") for one in streamed] == ["Hm", "m.", None, None]
    assert [one["message"]["content"] for one in streamed] == ["", "", "Hi", ""]
    assert (whole["thinking"], whole["content"]) == ("Hmm.", "Hi")


def test_a_conversation_is_asked_in_openais_form(ask):
    call = {"function": {"name": "add", "arguments": {"a": 1}}}
    named = {"id": "c7", "function": {"index": 1, "name": "look", "arguments": {}}}
    asked = ask(
        PATH,
        messages=[
            {"role": "System", "content": "Be brief."},
            {"role": "user", "content": "Add.", "images": []},
            {"role": "assistant", "thinking": "Hm.", "tool_calls": [call, named]},
            {"role": "tool", "content": "seen", "tool_name": "look"},
            {"role": "tool", "content": "1"},
            {"role": "assistant", "content": "", "tool_calls": [named]},
            {"role": "tool", "content": "again", "tool_call_id": "c7"},
        ],
        tools=[{"function": {"name": "add", "description": "Adds.", "strict": True}}],
    )
    calls = [
        {"id": "call_2_0", "type": "function", **call},
        {"id": "c7", "type": "function", "function": {"name": "look", "arguments": {}}},
    ]
    assert asked.messages == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Add."},
        {"role": "assistant", "content": "", "reasoning_content": "Hm.", "tool_calls": calls},
        {"role": "tool", "content": "seen", "tool_call_id": "c7", "name": "look"},
        {"role": "tool", "content": "1", "tool_call_id": "call_2_0", "name": "add"},
        {"role": "assistant", "content": "", "tool_calls": calls[1:]},
        {"role": "tool", "content": "again", "tool_call_id": "c7", "name": "look"},
    ]
    assert asked.tools == [
        {"type": "function", "function": {"name": "add", "description": "Adds."}}
    ]


FORMATS = {
    "json": ("json", {"type": "object"}),
    "a schema": ({"type": "object", "required": ["a"]}, {"type": "object", "required": ["a"]}),
    "empty": ("", None),
    "null": (None, None),
}


@pytest.mark.parametrize(("given", "schema"), FORMATS.values(), ids=FORMATS)
def test_a_format_is_a_schema(ask, given, schema):
    asked = ask(PATH, messages=[{"role": "user", "content": "x"}], format=given)
    assert (asked.schema, asked.strict) == (schema, False)


THOUGHTS = {
    True: (True, None),
    False: (False, None),
    None: (None, None),
    "low": (True, "low"),
    "max": (True, "xhigh"),
}


@pytest.mark.parametrize(("given", "asks"), THOUGHTS.items())
def test_think_is_a_switch_or_a_level(ask, given, asks):
    asked = ask(PATH, messages=[{"role": "user", "content": "x"}], think=given)
    assert (asked.think, asked.reasoning_effort) == asks


def test_an_answer_that_is_begun_goes_on(ask, scripted):
    begun = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "I"}]
    assert ask(PATH, messages=begun).continue_final_message
    scripted.reset()
    called = {"role": "assistant", "content": "I", "tool_calls": [{"function": {"name": "look"}}]}
    assert not ask(PATH, messages=[*begun[:1], called]).continue_final_message


def test_what_has_no_effect_is_named_in_a_header(client):
    body = request_body("x", think=None, truncate=True, options={"num_ctx": 9, "top_k": 3})
    for stream in (False, True):
        response = client.post(PATH, json={**body, "stream": stream})
        assert response.headers["x-aipc-ignored"] == "truncate, options.num_ctx"
    assert "x-aipc-ignored" not in client.post(PATH, json=request_body("x")).headers


def test_alternatives_are_asked_for_with_log_probabilities_alone(ask, scripted):
    messages = [{"role": "user", "content": "x"}]
    asked = ask(PATH, messages=messages, logprobs=True, top_logprobs=5)
    assert (asked.logprobs, asked.top_logprobs) == (True, 5)
    scripted.reset()
    asked = ask(PATH, messages=messages, top_logprobs=5)
    assert (asked.logprobs, asked.top_logprobs) == (False, 0)


REFUSED = {
    "an image": ({"messages": [{"role": "user", "images": ["AAAA"]}]}, "messages[0].images: "),
    "a role": ({"messages": [{"role": "king", "content": "x"}]}, "messages[0].role: "),
    "parts": (
        {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
        "messages[0].content: ",
    ),
    "a tool": ({"tools": [{"function": {"name": "a b"}}]}, "a tool can't be called 'a b'"),
    "a format": ({"format": "xml"}, "format"),
    "a temperature": ({"options": {"temperature": 3}}, "options.temperature: "),
    "another way to sample": ({"options": {"mirostat": 2}}, "options.mirostat: "),
    "a duration": ({"keep_alive": "5"}, "keep_alive"),
    "the session's own": (
        {"messages": [{"role": "user", "content": "refuse"}]},
        "the fake refuses",
    ),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("more", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_honored_is_refused_in_ollamas_shape(client, more, reason, stream):
    response = client.post(PATH, json={**request_body("x", stream=stream), **more})
    assert response.status_code == 400
    assert set(response.json()) == {"error"}
    assert response.json()["error"].startswith(reason)


def test_a_model_that_is_not_there_is_404(client):
    response = client.post(PATH, json=request_body("x") | {"model": "../fake"})
    assert response.status_code == 404
    assert "'../fake'" in response.json()["error"]


def test_the_tag_latest_is_the_model_itself(client):
    for path, body in (
        (PATH, request_body("x", stream=False)),
        ("/v1/chat/completions", request_body("x")),
    ):
        reply = client.post(path, json={**body, "model": "fake:latest"})
        assert (reply.status_code, reply.json()["model"]) == (200, "fake:latest")
    assert client.post(PATH, json=request_body("x") | {"model": "fake:7b"}).status_code == 404


def test_a_failure_before_the_first_word_has_its_status_and_a_later_one_is_a_line(client, lines):
    response = client.post(PATH, json=request_body("fail", stream=False))
    assert response.status_code == 500
    assert "the fake failed" in response.json()["error"]
    first, last = lines(client.post(PATH, json=request_body("fail")))
    assert first["message"]["content"] == "0 "
    assert "the fake failed" in last["error"]


def test_a_client_that_leaves_takes_its_answer_with_it(server, client):
    with client.stream("POST", PATH, json=request_body("count 100000 every 0.01")) as response:
        assert json.loads(next(response.iter_lines()))["message"]["content"] == "0 "
    for _ in range(500):
        (status,) = [one for one in server.pool.statuses() if one.model == "fake"]
        if not status.running:
            break
        client.get("/health")
    assert not status.running
