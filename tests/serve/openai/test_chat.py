from __future__ import annotations

import json
import re

import pytest

from aipc.wire.ignored import HEADER
from aipc.wire.openai.chat_schemas import ChatRequest
from aipc.wire.schemas import read

PATH = "/v1/chat/completions"
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


def request_body(text, **more):
    return {"model": "fake", "messages": [{"role": "user", "content": text}], **more}


def events(response):
    """The data of each event, as it came."""
    texts = response.text.split("\n\n")
    assert texts.pop() == ""
    return [text.removeprefix("data: ") for text in texts if not text.startswith(":")]


def test_a_whole_answer_has_openais_shape(client):
    reply = client.post(PATH, json=request_body("count 3")).json()
    assert reply["object"] == "chat.completion"
    assert reply["model"] == "fake"
    assert reply["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "0 1 2 ", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert reply["usage"] == {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}
    assert set(reply["timings"]) == {"first_token_s", "decode_tokens_per_s", "total_s"}


def test_a_stream_begins_with_the_role_and_ends_with_done(client):
    body = request_body("count 40 every 0.005", stream=True)
    response = client.post(PATH, json=body)
    assert response.headers["content-type"].startswith("text/event-stream")
    *data, done = events(response)
    assert done == "[DONE]"
    chunks = [json.loads(each) for each in data]
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    first, *middle, last = [chunk["choices"][0] for chunk in chunks]
    assert first["delta"] == {"role": "assistant", "content": ""}
    assert "".join(one["delta"]["content"] for one in middle) == "".join(f"{n} " for n in range(40))
    assert last["delta"] == {}
    assert last["finish_reason"] == "stop"
    assert all(one["finish_reason"] is None for one in (first, *middle))
    assert not any("usage" in chunk for chunk in chunks)


def test_usage_comes_in_a_chunk_of_its_own(client):
    body = request_body("count 3", stream=True, stream_options={"include_usage": True})
    *chunks, last = [json.loads(data) for data in events(client.post(PATH, json=body))[:-1]]
    assert all(chunk["usage"] is None for chunk in chunks)
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 3
    assert "total_s" in last["timings"]


def test_several_choices_have_an_index_each(client):
    reply = client.post(PATH, json=request_body("count 5", n=3)).json()
    assert [choice["index"] for choice in reply["choices"]] == [0, 1, 2]
    assert {choice["message"]["content"] for choice in reply["choices"]} == {"0 1 2 3 4 "}
    assert reply["usage"] == {"prompt_tokens": 2, "completion_tokens": 15, "total_tokens": 17}
    data = events(client.post(PATH, json=request_body("count 5", n=2, stream=True)))[:-1]
    choices = [json.loads(one)["choices"][0] for one in data]
    for index in (0, 1):
        own = [one["delta"] for one in choices if one["index"] == index]
        assert own[0]["role"] == "assistant"
        assert "".join(one.get("content", "") for one in own) == "0 1 2 3 4 "


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_cut_answer_has_the_finish_reason_length(client, name):
    choice = client.post(PATH, json=request_body("count 9", **{name: 2})).json()["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("0 1 ", "length")


def test_log_probabilities_stand_beside_their_tokens(client):
    choice = client.post(PATH, json=request_body("count 2", logprobs=True)).json()["choices"][0]
    assert choice["logprobs"]["content"] == [
        {"token": f"{n} ", "logprob": -0.5, "bytes": [48 + n, 32], "top_logprobs": []}
        for n in (0, 1)
    ]


def test_a_tool_call_is_given_whole_or_as_a_delta(client):
    reply = client.post(PATH, json=request_body("call", tools=[TOOL])).json()
    message = reply["choices"][0]["message"]
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    assert message["tool_calls"] == [call]
    data = events(client.post(PATH, json=request_body("call", tools=[TOOL], stream=True)))[:-1]
    deltas = [json.loads(one)["choices"][0]["delta"] for one in data]
    assert [one["tool_calls"] for one in deltas if "tool_calls" in one] == [[{"index": 0, **call}]]


@pytest.mark.parametrize("stream", [False, True])
def test_alternatives_are_told_beside_each_token(client, stream):
    more = {"logprobs": True, "top_logprobs": 2, "stream": stream}
    reply = client.post(PATH, json=request_body("count 2", **more))
    bodies = [reply.json()] if not stream else [json.loads(one) for one in events(reply)[:-1]]
    told = [
        token
        for body in bodies
        for token in (body["choices"][0]["logprobs"] or {"content": []})["content"]
    ]
    end = {"token": "<end>", "logprob": -0.49, "bytes": None}
    assert told == [
        {
            "token": text,
            "logprob": -0.5,
            "bytes": list(text.encode()),
            "top_logprobs": [end, {"token": text, "logprob": -0.5, "bytes": list(text.encode())}],
        }
        for text in ("0 ", "1 ")
    ]


NAMED = {"type": "function", "function": {"name": "look"}}


def test_what_was_thought_stands_beside_the_answer_and_is_counted(client):
    reply = client.post(PATH, json=request_body("think oh well")).json()
    message = reply["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"]) == ("oh well ", "so ")
    assert reply["usage"]["completion_tokens_details"] == {"reasoning_tokens": 2}
    assert reply["usage"]["completion_tokens"] == 3


def test_what_is_thought_is_streamed_before_the_answer(client):
    body = request_body("think oh well", stream=True, return_token_ids=True, logprobs=True)
    *data, _ = events(client.post(PATH, json=body))
    choices = [json.loads(each)["choices"][0] for each in data][1:-1]
    assert [one["delta"] for one in choices] == [
        {"reasoning_content": "oh "},
        {"reasoning_content": "well "},
        {"content": "so "},
    ]
    assert [one["token_ids"] for one in choices] == [[0], [1], [2]]
    assert [one["logprobs"] is None for one in choices] == [True, True, False]


MODES = [
    ({"think": True}, "True None None {}"),
    ({"enable_thinking": False}, "False None None {}"),
    ({"thinking": {"type": "disabled"}}, "False None None {}"),
    ({"thinking": {"type": "enabled", "budget_tokens": 9}}, "True None 9 {}"),
    ({"thinking": {"type": "adaptive"}}, "None None None {}"),
    ({"thinking_budget": 5}, "None None 5 {}"),
    ({"thinking_token_budget": 5}, "None None 5 {}"),
    ({"thinking_budget_tokens": 0}, "None None 0 {}"),
    ({"thinking_budget": -1}, "None None None {}"),
    ({"chat_template_kwargs": {"enable_thinking": False}}, "None None None {'enable_thinking': Fa"),
]


@pytest.mark.parametrize(("more", "told"), [*MODES, ({"reasoning_effort": "low"}, "None low None")])
def test_how_much_to_think_may_be_said_in_many_ways(client, more, told):
    reply = client.post(PATH, json=request_body("mode", **more)).json()
    assert reply["choices"][0]["message"]["content"].startswith(told)


@pytest.mark.parametrize(
    "more",
    [
        {"reasoning_effort": "much"},
        {"thinking": {"type": "yes"}},
        {"think": "low"},
        {"chat_template_kwargs": {"chat_template": "{{ 1 }}"}},
        {"chat_template_kwargs": {"tone": {"a": 1}}},
    ],
)
def test_thinking_that_is_none_is_refused_by_its_name(client, more):
    response = client.post(PATH, json=request_body("x", **more))
    assert response.status_code == 400
    assert response.json()["error"]["param"].split(".")[0] == next(iter(more))


@pytest.mark.parametrize("choice", ["required", "none", NAMED])
@pytest.mark.parametrize("tools", [{}, {"tools": []}])
def test_a_tool_choice_without_tools_is_left_aside(client, choice, tools):
    reply = client.post(PATH, json=request_body("count 2", tool_choice=choice, **tools))
    assert reply.status_code == 200
    assert reply.json()["choices"][0]["message"]["content"] == "0 1 "


REFUSED = {
    "temperature": ({"temperature": 2.5}, "invalid_value"),
    "a type": ({"temperature": "1"}, "invalid_value"),
    "n": ({"n": 9}, "invalid_value"),
    "stop": ({"stop": ["a"] * 33}, "invalid_value"),
    "top_logprobs": ({"logprobs": True, "top_logprobs": 21}, "invalid_value"),
    "top_logprobs alone": ({"top_logprobs": 1}, "invalid_value"),
    "penalty": ({"presence_penalty": 2.5}, "invalid_value"),
    "functions": ({"functions": [{"name": "look"}]}, "unsupported_parameter"),
    "a search": ({"web_search_options": {}}, "unsupported_parameter"),
    "another sampler": ({"mirostat": 2}, "unsupported_parameter"),
    "no tokens": ({"max_tokens": 0}, "invalid_value"),
    "a pattern": ({"structured_outputs": {"regex": "a*"}}, "invalid_value"),
    "no prompt for the answer": ({"add_generation_prompt": False}, "invalid_value"),
    "sound": ({"modalities": ["text", "audio"]}, "invalid_value"),
    "an image": (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]},
        "invalid_value",
    ),
    "no message": ({"messages": []}, "invalid_value"),
    "a role": ({"messages": [{"role": "king", "content": "x"}]}, "invalid_value"),
    "the session's own": ({"messages": [{"role": "user", "content": "refuse"}]}, "invalid_value"),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("more", "code"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_honored_is_refused(client, more, code, stream):
    response = client.post(PATH, json=request_body("x", stream=stream, **more) | more)
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", code)


def test_an_error_of_a_tool_names_the_tool(client):
    odd = {"type": "function", "function": {"name": "odd", "parameters": {"type": "list"}}}
    for tools, param in (
        ([TOOL, odd], "tools[1].function.parameters"),
        ([TOOL, TOOL], "tools[1].function.name"),
    ):
        error = client.post(PATH, json=request_body("x", tools=tools)).json()["error"]
        assert (error["param"], error["code"]) == (param, "invalid_value")


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"json_schema": {"name": "a", "schema": {"type": "list"}}}, "json_schema.schema"),
        ({"schema": {"type": "list"}}, "schema"),
    ],
)
def test_an_error_of_the_schema_names_its_place(client, more, param):
    form = {"type": "json_schema", **more}
    error = client.post(PATH, json=request_body("refuse", response_format=form)).json()["error"]
    assert error["param"] == f"response_format.{param}"
    error = client.post(PATH, json=request_body("refuse", response_format=SCHEMA_FORM)).json()
    assert error["error"]["param"] is None  # another error than the schema's


def test_what_changes_nothing_is_taken(client):
    more = {
        "user": "me",
        "store": False,
        "metadata": {"a": "b"},
        "service_tier": "auto",
        "presence_penalty": 0,
        "frequency_penalty": 0.0,
        "logit_bias": {},
        "reasoning_effort": "low",
        "parallel_tool_calls": True,
        "stop": [],
        "max_tokens": -1,
        "functions": [],
        "mirostat": 0,
        "typical_p": 1.0,
        "chat_template_kwargs": {"enable_thinking": False},
    }
    reply = client.post(PATH, json=request_body("x", **more))
    assert reply.status_code == 200
    named = {"user", "store", "metadata", "service_tier"}
    assert set(reply.headers[HEADER].split(", ")) == named


@pytest.mark.parametrize(
    ("more", "sampling"),
    [
        ({"top_k": -1}, {"top_k": 0}),
        ({"top_k": 5.0}, {"top_k": 5}),
        ({"top_p": 0}, {"top_p": 0.001}),
        ({"repeat_penalty": 1.1}, {"repetition_penalty": 1.1}),
        ({"repeat_penalty": 1.1, "repetition_penalty": 1.2}, {"repetition_penalty": 1.2}),
    ],
)
def test_values_by_which_other_servers_say_the_same_are_translated(more, sampling):
    assert ChatRequest(**request_body("x", **more)).sampling(None) == sampling


@pytest.mark.parametrize(
    "more",
    [
        {"response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}}},
        {"response_format": {"type": "json_object", "schema": SCHEMA}},
        {"response_format": {"type": "json_schema", "schema": SCHEMA}},
        {"json_schema": SCHEMA},
        {"guided_json": SCHEMA},
        {"structured_outputs": {"json": SCHEMA, "regex": None}},
    ],
)
def test_a_schema_is_taken_in_every_servers_form(more):
    assert ChatRequest(**request_body("x", **more)).schema_given == SCHEMA


def test_every_member_may_be_null(client):
    names = set(ChatRequest.model_fields) - {"model", "messages"} | set(ChatRequest.REFUSED)
    reply = client.post(PATH, json=request_body("x", **dict.fromkeys(names)))
    assert reply.status_code == 200
    assert HEADER not in reply.headers


@pytest.mark.parametrize("stream", [False, True])
def test_a_header_names_what_was_ignored_and_tells_no_value(client, stream):
    message = {"role": "user", "content": [{"type": "text", "text": "x", "cache_control": "v"}]}
    more = {"prediction": "v", "odd \r\nX: name\u20ac" + "y" * 99: "v", "stream": stream}
    reply = client.post(PATH, json={"model": "fake", "messages": [message], **more})
    assert reply.status_code == 200
    named = reply.headers[HEADER].split(", ")
    assert named[:2] == ["messages[0].content[0].cache_control", "prediction"]
    assert re.fullmatch(r"odd\?\?\?X:\?name\?y+", named[2])
    assert len(named[2]) == 64
    nameless = client.post(PATH, json={"model": "fake", "messages": [message], "": 0})
    assert nameless.headers[HEADER].split(", ")[1] == "?"


def test_the_header_has_bounds(client):
    reply = client.post(PATH, json=request_body("x", **{f"odd_{n}": n for n in range(999)}))
    assert len(reply.headers[HEADER]) <= 512
    assert re.search(r", and \d+ more$", reply.headers[HEADER])


def test_a_model_that_is_not_there_is_404(client):
    response = client.post(PATH, json=request_body("x") | {"model": "../fake"})
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "model_not_found"


def test_a_failure_before_the_first_word_has_its_status_and_a_later_one_is_an_event(client):
    response = client.post(PATH, json=request_body("fail"))
    assert response.status_code == 500
    assert "the fake failed" in response.json()["error"]["message"]
    response = client.post(PATH, json=request_body("fail", stream=True))
    assert response.status_code == 200
    assert json.loads(events(response)[-1])["error"]["code"] == "engine_error"


def test_a_worker_that_dies_is_503_and_comes_back(client):
    response = client.post(PATH, json=request_body("die"))
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) >= 1
    assert response.json()["error"]["code"] == "worker_died"
    assert client.post(PATH, json=request_body("back")).json()["choices"][0]["message"]["content"]


def test_a_request_over_the_limit_of_waiting_is_refused_with_retry_after(serve_fakes):
    server = serve_fakes("serial", options={"max_waiting": 0})
    with server.client() as client:
        client.post(PATH, json=request_body("x") | {"model": "serial"})
        long = request_body("count 100000 every 0.01", stream=True) | {"model": "serial"}
        with client.stream("POST", PATH, json=long) as under_way:
            next(under_way.iter_lines())
            response = client.post(PATH, json=request_body("x") | {"model": "serial"})
    assert response.status_code == 429
    assert int(response.headers["retry-after"]) >= 1
    assert response.json()["error"]["type"] == "rate_limit_error"


def test_a_waiting_answer_streams_its_position(serve_fakes):
    server = serve_fakes("serial")
    with server.client() as client:
        body = request_body("count 60 every 0.01", stream=True) | {"model": "serial"}
        with client.stream("POST", PATH, json=body) as first:
            lines = first.iter_lines()
            assert "chat.completion.chunk" in next(line for line in lines if line[:4] == "data")
            waiting = client.post(PATH, json=request_body("x", stream=True) | {"model": "serial"})
            *_, done = [line for line in lines if line]
    assert done == "data: [DONE]"
    assert waiting.text.startswith(": waiting 1\n\n")
    assert events(waiting)[-1] == "[DONE]"


def test_token_ids_come_where_they_are_requested(client):
    body = request_body("count 3", return_token_ids=True)
    assert client.post(PATH, json=body).json()["choices"][0]["token_ids"] == [0, 1, 2]
    streamed = events(client.post(PATH, json={**body, "stream": True}))
    choices = [json.loads(data)["choices"][0] for data in streamed[:-1]]
    assert [token for one in choices for token in one.get("token_ids", ())] == [0, 1, 2]
    assert "token_ids" not in client.post(PATH, json=request_body("x")).json()["choices"][0]


def test_a_loop_ends_the_answer_where_the_request_asks_for_it(client):
    body = request_body("loop 9", repetition_detection={})
    (choice,) = client.post(PATH, json=body).json()["choices"]
    assert choice["message"]["content"] == "0 1 2 3 "
    assert (choice["finish_reason"], choice["stop_reason"]) == ("length", "repetition_detected")
    (choice,) = client.post(PATH, json=request_body("loop 9")).json()["choices"]
    assert (choice["finish_reason"], "stop_reason" in choice) == ("stop", False)


def test_a_stream_says_in_its_last_chunk_that_a_loop_ended_it(client):
    body = request_body("loop 9", repetition_detection={"min_count": 4}, stream=True)
    *pieces, last, done = events(client.post(PATH, json=body))
    choices = [json.loads(text)["choices"][0] for text in pieces]
    assert "".join(one["delta"].get("content", "") for one in choices) == "0 1 2 3 "
    assert not any("stop_reason" in one for one in choices)
    end = json.loads(last)["choices"][0]
    assert (end["finish_reason"], end["stop_reason"]) == ("length", "repetition_detected")
    assert done == "[DONE]"


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_was_found_not_to_fit_says_so(client, stream):
    reply = client.post(PATH, json=request_body("misfit", stream=stream))
    body = json.loads(events(reply)[-2]) if stream else reply.json()
    (choice,) = body["choices"]
    assert (choice["finish_reason"], choice["stop_reason"]) == ("stop", "schema_not_met")


SCHEMA_FORM = {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}
STRICT_FORM = {"type": "json_schema", "json_schema": {"name": "a", "schema": {}, "strict": True}}
STRICT_TOOL = {"type": "function", "function": {"name": "look", "strict": True}}


@pytest.mark.parametrize(
    ("more", "strict"),
    [
        ({"response_format": SCHEMA_FORM}, False),
        ({"response_format": STRICT_FORM}, True),
        ({"response_format": {"type": "json_schema", "schema": {}, "strict": True}}, True),
        ({"tools": [STRICT_TOOL]}, True),
        ({"tools": [{"type": "function", "function": {"name": "look"}}]}, False),
    ],
)
def test_a_part_that_cannot_be_enforced_is_refused_where_the_request_is_strict(more, strict):
    body = json.dumps(request_body("x", **more)).encode()
    assert read(ChatRequest, body).is_strict is strict


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({"min_count": 1}, "repetition_detection.min_count"),
        ({"max_pattern_size": 1 << 20}, "repetition_detection.max_pattern_size"),
        ({"size": 3}, "repetition_detection.size"),
        (True, "repetition_detection"),
    ],
)
def test_a_rule_for_loops_beyond_its_bounds_is_refused(client, rule, field):
    reply = client.post(PATH, json=request_body("x", repetition_detection=rule))
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, field)
