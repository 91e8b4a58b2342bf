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


def ask(client, prompt, **more):
    response = client.post(PATH, json=request_body(prompt, **more))
    assert response.status_code == 200, response.text
    return response.json()


def test_alternatives_are_told_by_their_text_and_the_chosen_one_with_them(client):
    (choice,) = ask(client, "count 2", logprobs=3)["choices"]
    assert choice["logprobs"]["top_logprobs"] == [
        {"<end>": -0.48, "other1": -0.49, text: -0.5} for text in ("0 ", "1 ")
    ]


def test_a_prompt_is_echoed_with_its_probabilities(client):
    reply = ask(client, "count 2", echo=True, logprobs=1)
    (choice,) = reply["choices"]
    assert choice["text"] == "count 20 1 "
    assert choice["logprobs"] == {
        "tokens": ["count ", "2", "0 ", "1 "],
        "token_logprobs": [None, -1.0, -0.5, -0.5],
        "top_logprobs": [None, {"2": -1.0}, {"0 ": -0.5}, {"1 ": -0.5}],
        "text_offset": [0, 6, 7, 9],
    }
    assert reply["usage"] == {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4}


def test_a_prompt_alone_is_judged_where_no_answer_is_wanted(client):
    (choice,) = ask(client, "a b c", echo=True, logprobs=0, max_tokens=0)["choices"]
    assert (choice["text"], choice["finish_reason"]) == ("a b c", "length")
    assert choice["logprobs"]["token_logprobs"] == [None, -1.0, -1.0]
    assert choice["logprobs"]["top_logprobs"] is None
    (plain,) = ask(client, "a b c", echo=True)["choices"]
    assert (plain["text"], plain["logprobs"]) == ("a b ca b c ", None)


def test_an_echo_streams_first(client):
    more = {"echo": True, "logprobs": 0, "stream": True}
    *data, _, _ = client.post(PATH, json=request_body("count 2", **more)).text.split("\n\n")
    choices = [json.loads(one.removeprefix("data: "))["choices"][0] for one in data]
    assert [one["text"] for one in choices] == ["count 2", "0 ", "1 ", ""]
    offsets = [one["logprobs"]["text_offset"] for one in choices]
    assert offsets == [[0, 6], [7], [9], []]


@pytest.mark.parametrize("seed", [{}, {"seed": 3}])
def test_a_list_of_prompts_is_answered_in_its_order_n_times_each(client, seed):
    reply = ask(client, ["count 1", "count 2", "x y z"], n=2, **seed)
    found = [(choice["index"], choice["text"]) for choice in reply["choices"]]
    texts = ["0 ", "0 ", "0 1 ", "0 1 ", "x y z ", "x y z "]
    assert found == list(enumerate(texts))
    # a prompt counts once, an answer each time
    assert reply["usage"] == {"prompt_tokens": 7, "completion_tokens": 12, "total_tokens": 19}


def test_prompts_may_be_token_ids(client):
    texts = [choice["text"] for choice in ask(client, [5, 6])["choices"]]
    assert texts == ["id5 id6 "]
    texts = [choice["text"] for choice in ask(client, [[5], [6, 7]])["choices"]]
    assert texts == ["id5 ", "id6 id7 "]
    (choice,) = ask(client, [5, 6], echo=True, max_tokens=0)["choices"]
    assert choice["text"] == "id5 id6"


def test_many_prompts_do_not_fill_the_queue_of_the_model(serve_fakes):
    server = serve_fakes(options={"max_running": 2, "max_waiting": 10})
    with server.client() as client:
        reply = ask(client, [f"count {n % 3}" for n in range(60)])
    assert [choice["text"] for choice in reply["choices"]] == ["", "0 ", "0 1 "] * 20


def test_a_suffix_goes_to_the_model_and_an_empty_one_is_none(client):
    assert ask(client, "a", suffix="b")["choices"][0]["text"] == "a before b "
    assert ask(client, "a", suffix="")["choices"][0]["text"] == "a "


def test_minus_one_is_the_whole_context(client):
    assert len(ask(client, "count 40", max_tokens=-1)["choices"][0]["text"].split()) == 40


@pytest.mark.parametrize(
    "more",
    [
        {"best_of": 2},
        {"logprobs": 21},
        {"max_tokens": 0},
        {"echo": True, "suffix": "x"},
        {"suffix": "x", "prompt": [1, 2]},
        {"prompt": []},
        {"prompt": [[]]},
        {"prompt": [1, "a"]},
        {"prompt": [-1]},
        {"n": 8, "prompt": ["x"] * 200},
    ],
)
def test_what_cannot_be_honored_is_refused(client, more):
    response = client.post(PATH, json=request_body("x") | more)
    assert response.status_code == 400
    assert response.json()["error"]["param"].split("[")[0] == next(iter(more))
