from __future__ import annotations

import json

import pytest

PATH = "/v1/completions"


def request_body(text, **more):
    return {"model": "fake", "prompt": text, **more}


def test_a_whole_completion(client):
    reply = client.post(PATH, json=request_body(["count 3"])).json()
    assert reply["object"] == "text_completion"
    assert reply["choices"] == [
        {"index": 0, "text": "0 1 2 ", "logprobs": None, "finish_reason": "stop"}
    ]
    assert reply["usage"]["total_tokens"] == 5


def test_without_a_limit_it_is_openais_sixteen(client):
    choice = client.post(PATH, json=request_body("count 30")).json()["choices"][0]
    assert choice["text"].split() == [str(n) for n in range(16)]
    assert choice["finish_reason"] == "length"


@pytest.mark.parametrize("stream", [False, True])
def test_a_loop_ends_the_text_where_the_request_asks_for_it(client, stream):
    body = request_body("loop 9", repetition_detection={}, stream=stream)
    reply = client.post(PATH, json=body)
    *_, last = reply.text.removesuffix("data: [DONE]\n\n").strip().split("data: ")
    (choice,) = json.loads(last)["choices"]
    assert (choice["finish_reason"], choice["stop_reason"]) == ("length", "repetition_detected")


def test_a_stream_and_its_usage(client):
    more = {"stream": True, "stream_options": {"include_usage": True}, "n": 2}
    *data, done, _ = client.post(PATH, json=request_body("count 4", **more)).text.split("\n\n")
    assert done == "data: [DONE]"
    chunks = [json.loads(one.removeprefix("data: ")) for one in data]
    assert chunks.pop()["usage"]["completion_tokens"] == 8
    for index in (0, 1):
        own = [one["choices"][0] for one in chunks if one["choices"][0]["index"] == index]
        assert "".join(one["text"] for one in own) == "0 1 2 3 "
        assert [one["finish_reason"] for one in own][-1] == "stop"


def test_log_probabilities_say_where_their_tokens_are(client):
    choice = client.post(PATH, json=request_body("count 3", logprobs=0)).json()["choices"][0]
    assert choice["logprobs"] == {
        "tokens": ["0 ", "1 ", "2 "],
        "token_logprobs": [-0.5] * 3,
        "top_logprobs": None,
        "text_offset": [0, 2, 4],
    }


@pytest.mark.parametrize(
    "more",
    [
        {"echo": True},
        {"best_of": 2},
        {"suffix": "x"},
        {"logprobs": 3},
        {"prompt": ["a", "b"]},
        {"prompt": [1, 2]},
    ],
)
def test_what_cannot_be_honored_is_refused(client, more):
    response = client.post(PATH, json=request_body("x") | more)
    assert response.status_code == 400
    assert response.json()["error"]["param"].split(".")[0] == next(iter(more))
