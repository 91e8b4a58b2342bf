"""OpenAI's own Python client."""

from __future__ import annotations

import json

import openai
import pytest
from client_requests import CITY_SCHEMA, KEY, MODEL, QUESTION, TOO_LONG, WEATHER_TOOL

ASKED = [{"role": "user", "content": QUESTION}]


@pytest.fixture(scope="module")
def openai_client(api_url):
    with openai.OpenAI(base_url=api_url, api_key=KEY, max_retries=0) as client:
        yield client


def test_a_chat_whole_and_streamed_is_the_same(openai_client):
    options = {"model": MODEL, "messages": ASKED, "temperature": 0, "max_tokens": 24}
    whole = openai_client.chat.completions.create(**options)
    assert "Paris" in whole.choices[0].message.content
    assert whole.usage.completion_tokens <= 24
    chunks = list(
        openai_client.chat.completions.create(
            **options, stream=True, stream_options={"include_usage": True}
        )
    )
    streamed = "".join(each.choices[0].delta.content or "" for each in chunks if each.choices)
    assert streamed == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage


def test_a_seed_gives_the_same_answers_again(openai_client):
    options = {"model": MODEL, "messages": ASKED, "temperature": 1.5, "max_tokens": 8, "n": 2}
    first, second = (
        [choice.message.content for choice in each.choices]
        for each in (openai_client.chat.completions.create(**options, seed=7) for _ in range(2))
    )
    assert first == second
    assert first[0] != first[1]


def test_a_schema_is_kept_to(openai_client):
    wanted = {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY_SCHEMA}}
    reply = openai_client.chat.completions.create(
        model=MODEL, messages=ASKED, temperature=0, max_tokens=64, response_format=wanted
    )
    assert json.loads(reply.choices[0].message.content)["city"] in {"Paris", "Rome"}


@pytest.mark.parametrize("stream", [False, True])
def test_a_schema_that_cannot_be_enforced_is_refused(openai_client, stream):
    for schema in ({"$ref": "http://evil.example/schema"}, {"type": "object", "not": {}}):
        wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
        with pytest.raises(openai.BadRequestError):
            openai_client.chat.completions.create(
                model=MODEL, messages=ASKED, response_format=wanted, stream=stream
            )


def test_the_result_of_a_tool_is_read(openai_client):
    function = {"name": "find_weather", "arguments": '{"city": "Paris"}'}
    call = {"id": "call_1", "type": "function", "function": function}
    told = [
        {"role": "user", "content": "Weather in Paris?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
    ]
    reply = openai_client.chat.completions.create(
        model=MODEL, messages=told, tools=[WEATHER_TOOL], temperature=0, max_tokens=16
    )
    assert reply.usage.prompt_tokens > 20
    assert reply.choices[0].message.content


def test_a_tool_that_must_be_called_is(openai_client):
    reply = openai_client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Weather in Paris?"}],
        tools=[WEATHER_TOOL],
        tool_choice="required",
        temperature=0,
        max_tokens=64,
    )
    (call,) = reply.choices[0].message.tool_calls
    assert reply.choices[0].finish_reason == "tool_calls"
    assert call.function.name == "find_weather"
    assert json.loads(call.function.arguments)["city"] in {"Paris", "Rome"}


def test_responses_whole_and_streamed(openai_client):
    options = {"model": MODEL, "input": ASKED[0]["content"], "temperature": 0}
    whole = openai_client.responses.create(**options, max_output_tokens=24)
    assert "Paris" in whole.output_text
    with openai_client.responses.stream(**options, max_output_tokens=24) as stream:
        deltas = [one.delta for one in stream if one.type == "response.output_text.delta"]
    assert "".join(deltas) == whole.output_text


def test_a_plain_completion(openai_client):
    reply = openai_client.completions.create(
        model=MODEL, prompt="The capital of France is", temperature=0, max_tokens=4
    )
    assert "Paris" in reply.choices[0].text


def test_models_are_listed(openai_client):
    assert openai_client.models.list().data[0].id == MODEL
    assert openai_client.models.retrieve(MODEL).owned_by == "aipc"


def test_errors_are_of_the_clients_own_classes(openai_client):
    create = openai_client.chat.completions.create
    with pytest.raises(openai.NotFoundError) as missing:
        create(model="none", messages=ASKED)
    assert missing.value.code == "model_not_found"
    long = [{"role": "user", "content": TOO_LONG}]
    with pytest.raises(openai.BadRequestError) as too_long:
        create(model=MODEL, messages=long)
    assert too_long.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError, match="temperature"):
        create(model=MODEL, messages=ASKED, temperature=3)
    with openai.OpenAI(base_url=openai_client.base_url, api_key="wrong") as stranger:
        with pytest.raises(openai.AuthenticationError) as unknown:
            stranger.models.list()
        assert unknown.value.code == "invalid_api_key"
    with pytest.raises(openai.BadRequestError, match="makes no embeddings"):
        openai_client.embeddings.create(model=MODEL, input="x")


def test_alternatives_stand_beside_each_token(openai_client):
    options = {"logprobs": True, "top_logprobs": 20, "temperature": 0, "max_tokens": 3}
    options["extra_body"] = {"repetition_penalty": 1}  # else the choice is not by these alone
    reply = openai_client.chat.completions.create(model=MODEL, messages=ASKED, **options)
    choice = reply.choices[0]
    told = choice.logprobs.content
    assert "".join(one.token for one in told) == choice.message.content
    for one in told:
        best = one.top_logprobs
        assert (len(best), best[0].token, best[0].logprob) == (20, one.token, one.logprob)
        values = [each.logprob for each in best]
        assert values == sorted(values, reverse=True)


def test_prompts_are_judged_and_continued_by_their_ids(openai_client):
    def complete(prompt, **more):
        return openai_client.completions.create(model=MODEL, prompt=prompt, temperature=0, **more)

    text = "The capital of France is Paris"
    judged = complete(text, echo=True, logprobs=2, max_tokens=1).choices[0]
    assert judged.text.startswith(text)
    told = judged.logprobs
    assert "".join(told.tokens) == judged.text
    places = zip(told.text_offset, told.tokens, strict=True)
    assert all(judged.text[at:].startswith(token) for at, token in places)
    assert told.token_logprobs[0] is told.top_logprobs[0] is None
    paris = told.tokens.index(" Paris")
    assert told.token_logprobs[paris] == max(told.top_logprobs[paris].values()) > -1
    alone = complete(text, echo=True, logprobs=2, max_tokens=0).choices[0].logprobs
    assert alone.token_logprobs == told.token_logprobs[:-1]
    pair = complete([text, "One two three"], echo=True, logprobs=0, max_tokens=0)
    assert pair.choices[0].logprobs.token_logprobs == alone.token_logprobs
    assert [choice.index for choice in pair.choices] == [0, 1]


def test_a_banned_token_does_not_come(openai_client):
    options = {"model": MODEL, "temperature": 0, "max_tokens": 1}
    options["prompt"] = "The capital of France is"
    assert openai_client.completions.create(**options).choices[0].text == " Paris"
    paris = str(7042)  # " Paris" in its vocabulary
    banned = openai_client.completions.create(**options, logit_bias={paris: -100})
    assert banned.choices[0].text != " Paris"
