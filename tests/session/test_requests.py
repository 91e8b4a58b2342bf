"""What a session can be asked besides text: schemas, tools, probabilities; fake and real."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import thinking_templates as templates

import aipc
from aipc.convert.recipe import Recipe
from aipc.errors import GenerationError, UsageError
from aipc.generate import ChatTemplate, SamplingDefaults, TextPipeline, collect
from aipc.generate.structured.constraint import constrain
from aipc.measure.quality.divergence import continued
from aipc.runtimes.base import Capabilities
from aipc.runtimes.fake import FakeEngine
from aipc.runtimes.registry import RUNTIMES
from aipc.session.session import Session

QUESTION = "Name the capital of France."
EXACT = {
    "INFERENCE_PRECISION_HINT": "f32",
    "KV_CACHE_PRECISION": "f32",
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
}
PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "minimum": 10, "maximum": 99},
        "code": {"type": "string", "pattern": "^[A-Z]{2}[0-9]$"},
        "mood": {"enum": ["good", "bad"]},
    },
    "required": ["name", "age", "code", "mood"],
    "additionalProperties": False,
}
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"$ref": "#/$defs/City"},
                "unit": {"enum": ["celsius", "fahrenheit"]},
            },
            "required": ["city", "unit"],
            "$defs": {"City": {"type": "string", "maxLength": 12}},
        },
    },
}
NOW = {"type": "function", "function": {"name": "now", "description": "Tells the time."}}


def odd_tool():
    parameters = {"properties": {"n": {"type": "array", "contains": {}}}}
    return {"type": "function", "function": {"name": "odd", "parameters": parameters}}


@pytest.fixture(scope="module")
def session(smollm_gguf, small_store):
    with aipc.load(
        str(smollm_gguf), runtime="openvino", recipe=Recipe("int8"), store=small_store
    ) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def text_side(session):
    return session._text


@pytest.fixture
def scripted(text_side):
    """A session whose answer is chosen, with the small real model's tokenizer and template."""

    def answering(answer, constraints=frozenset({"json_schema"})):
        able = Capabilities("fake", frozenset(), True, constraints=constraints, logprobs=True)
        script = text_side.tokenizer.encode(answer, add_special_tokens=False)
        return Session(FakeEngine(script, constraints=constraints), able, text_side, {})

    return answering


def engine_of(session):
    return session._engine


def assert_is_person(text):
    person = json.loads(text)
    assert set(person) == set(PERSON["required"])
    assert len(person["name"]) <= 12
    assert 10 <= person["age"] <= 99
    assert re.fullmatch("[A-Z]{2}[0-9]", person["code"])
    assert person["mood"] in {"good", "bad"}


def assert_is_weather(call):
    assert call.name == "weather"
    arguments = json.loads(call.arguments)
    assert set(arguments) == {"city", "unit"}
    assert len(arguments["city"]) <= 12
    assert arguments["unit"] in {"celsius", "fahrenheit"}


@pytest.mark.parametrize("sampling", [{"temperature": 0.0}, {"temperature": 1.0, "seed": 1}])
def test_the_real_model_keeps_to_a_schema(session, sampling):
    reply = session.generate("Describe a person.", schema=PERSON, max_new_tokens=200, **sampling)
    assert reply.finish_reason == "stop"
    assert_is_person(reply.text)


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"schema": {"items": {"contains": {}, "type": "array"}}}, "#/items"),
        ({"tools": [odd_tool()], "tool_choice": "odd"}, r"#/\$defs/odd/properties/n"),
    ],
)
def test_what_the_runtime_would_not_enforce_is_refused_before_any_token(session, options, place):
    with pytest.raises(UsageError, match=f"'contains' at {place} of the schema can't be"):
        session.stream("x", **options)


def test_json_mode_gives_an_object_whatever_the_question(session):
    reply = session.generate(
        'Give me a JSON object with the key "city".', schema={"type": "object"}, max_new_tokens=60
    )
    assert reply.text.lstrip().startswith("{")
    if reply.finish_reason == "stop":
        assert isinstance(json.loads(reply.text), dict)


@pytest.mark.parametrize("choice", ["required", "weather"])
def test_the_real_model_calls_a_tool_when_it_has_to(session, choice):
    tools = [WEATHER] if choice == "required" else [NOW, WEATHER]
    reply = session.generate(
        "What is the weather in Paris?", tools=tools, tool_choice=choice, max_new_tokens=200
    )
    assert reply.finish_reason == "tool_calls"
    assert reply.text == ""
    (call,) = reply.tool_calls
    assert_is_weather(call)
    assert len(reply.tokens) == reply.usage.completion_tokens


def test_the_real_model_answers_from_a_tool_s_result(session):
    call = {
        "id": "1",
        "type": "function",
        "function": {"name": "weather", "arguments": '{"city": "Paris"}'},
    }
    conversation = [
        {"role": "user", "content": "What is the weather in Paris?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "17 degrees and sunny"},
    ]
    assert session.generate(conversation, tools=[WEATHER], max_new_tokens=40).text


def test_probabilities_are_those_that_scoring_the_answer_gives(session):
    artifact = session.facts["artifact"]
    with aipc.load(artifact, properties=EXACT) as exact:
        reply = exact.generate(QUESTION, logprobs=True, temperature=0.0, max_new_tokens=12)
        prompt = exact.encode(QUESTION)
    scorer = RUNTIMES.get("openvino").scorer(Path(artifact), "cpu", EXACT)
    pieces = list(scorer.logits([*prompt, *reply.tokens[:-1]]))
    scorer.close()
    scores = np.concatenate(pieces)[len(prompt) - 1 :].astype(np.float64)
    logs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    assert reply.logprobs == pytest.approx(logs[range(len(reply.tokens)), reply.tokens], abs=0.01)


@pytest.mark.parametrize("runtime", ["openvino", "onnx"])
def test_a_prompt_is_judged_as_the_scorer_judges_it(smollm_gguf, small_store, runtime):
    """Properties and all, so that lm-eval's log-likelihoods are those of `aipc eval`."""
    options = {"raw": True, "echo": True, "top_logprobs": 2, "temperature": 0.0}
    named = {"runtime": runtime, "recipe": Recipe("int8"), "store": small_store}
    with aipc.load(str(smollm_gguf), device="cpu", **named) as loaded:
        reply = loaded.generate("The capital of France is", max_new_tokens=2, **options)
        ids, facts = loaded.encode("The capital of France is", raw=True), loaded.facts
    echo = reply.echo
    assert (echo.prompt, list(echo.tokens)) == ("The capital of France is", ids)
    folder = Path(facts["artifact"])
    scorer = RUNTIMES.get(runtime).scorer(folder, "cpu", facts["properties"])
    for at in (1, len(ids) - 1):
        found = continued(scorer, ids[:at], ids[at:])
        assert sum(echo.logprobs[at:]) == pytest.approx(found.logprob, abs=1e-4)
        told = zip(echo.top_logprobs[at:], ids[at:], strict=True)
        assert all(best.token == token for (best, _), token in told) == found.greedy
    scorer.close()
    assert reply.text.strip().startswith("Paris")
    assert [told[0].token for told in reply.top_logprobs] == [*reply.tokens]
    assert json.loads(json.dumps(reply.as_dict()))["echo"]["logprobs"][0] is None


def test_a_biased_answer_goes_on_past_its_end(session):
    ends = {str(number): 100.0 for number in session._text.stop_ids}  # as JSON has them
    reply = session.generate(QUESTION, logit_bias=ends, max_new_tokens=5)
    assert (reply.text, reply.finish_reason) == ("", "stop")
    options = {"logit_bias": ends, "ignore_eos": True, "max_new_tokens": 5}
    reply = session.generate(QUESTION, **options)
    assert (len(reply.tokens), reply.finish_reason) == (5, "length")
    with pytest.raises(UsageError, match="the token 10000000; the model knows 0 to"):
        session.stream(QUESTION, logit_bias={10_000_000: 1.0})


def test_what_a_device_can_not_judge_is_refused_before_any_work(text_side):
    able = Capabilities("fake", frozenset(), True, logprobs=True)
    blind = Session(FakeEngine([65]), able, text_side, {})
    with pytest.raises(UsageError, match="no probabilities of a prompt"):
        blind.stream("x", raw=True, echo=True, logprobs=True)
    assert blind.generate("x y", raw=True, echo=True, max_new_tokens=1).echo.prompt == "x y"


def test_probabilities_come_only_where_they_are_asked_for(session):
    assert session.generate(QUESTION, max_new_tokens=2).logprobs == ()


def test_probabilities_stay_with_their_tokens_while_text_is_held_back(session):
    options = {"logprobs": True, "stop": ["Paris is a city that is not there"]}
    events = list(session.stream(QUESTION, temperature=0.0, max_new_tokens=12, **options))[:-1]
    assert all(len(event.logprobs) == len(event.tokens) for event in events)
    values = tuple(value for event in events for value in event.logprobs)
    assert (
        values
        == session.generate(QUESTION, logprobs=True, temperature=0.0, max_new_tokens=12).logprobs
    )


def test_raw_text_is_continued_without_the_template(session):
    reply = session.generate(
        "The capital of France is", raw=True, temperature=0.0, max_new_tokens=3
    )
    assert "Paris" in reply.text
    assert reply.usage.prompt_tokens == len(session.encode("The capital of France is", raw=True))


def test_encode_gives_the_ids_that_the_model_gets(scripted):
    session = scripted("Paris")
    collect(session.stream(QUESTION, tools=[WEATHER]))
    (request,) = engine_of(session).requests
    assert list(request.prompt) == session.encode(QUESTION, tools=[WEATHER])
    assert len(request.prompt) > len(session.encode(QUESTION))
    assert "weather" in session.tokenizer.decode(request.prompt)


def test_what_is_asked_reaches_the_engine(scripted):
    session = scripted("{}")
    session.generate("x", schema={"type": "object"}, logprobs=True)
    session.generate("x")
    asked, plain = (request.decoding for request in engine_of(session).requests)
    assert asked.constraint == constrain({"type": "object"}).constraint
    assert asked.logprobs
    assert (plain.constraint, plain.logprobs) == (None, False)


def test_a_call_that_the_model_makes_by_itself_is_found(scripted):
    call = '<tool_call>[{"name": "weather", "arguments": {"city": "Paris"}}]</tool_call>'
    session = scripted(f"Let me look.\n{call}")
    reply = session.generate("Weather?", tools=[WEATHER, NOW])
    assert (reply.text, reply.finish_reason) == ("Let me look.\n", "tool_calls")
    assert [(each.name, each.arguments) for each in reply.tool_calls] == [
        ("weather", '{"city": "Paris"}')
    ]
    assert len(reply.tokens) == reply.usage.completion_tokens
    events = list(session.stream("Weather?", tools=[WEATHER, NOW]))
    assert "".join(event.text for event in events) == "Let me look.\n"


def test_tools_and_a_schema_together_give_a_call_or_what_fits(scripted):
    session = scripted('{"city": "Paris"}')
    schema = {"type": "object", "required": ["city"]}
    reply = session.generate("Weather?", tools=[WEATHER], schema=schema)
    assert (reply.text, reply.finish_reason) == ('{"city": "Paris"}', "stop")
    assert engine_of(session).requests[-1].decoding.constraint is not None


def test_what_is_not_enforced_is_checked_at_the_end_where_that_is_asked_for(scripted):
    schema = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
    session = scripted('["a", "a"]')
    with pytest.raises(UsageError, match="'uniqueItems' at # of the schema can't be enforced"):
        session.generate("x", schema=schema)
    reply = session.generate("x", schema=schema, strict=False)
    assert reply.finish_reason == "stop"
    assert reply.misfit == "['a', 'a'] has non-unique elements (at $)"
    assert scripted('["a", "b"]').generate("x", schema=schema, strict=False).misfit == ""


def test_a_forced_calls_arguments_are_checked_too(scripted):
    places = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
    parameters = {"type": "object", "properties": {"places": places}}
    tool = {"type": "function", "function": {"name": "weather", "parameters": parameters}}
    asked = {"tools": [tool], "tool_choice": "required", "strict": False}
    for given, is_told in (["a", "a"], True), (["a", "b"], False):
        call = json.dumps([{"name": "weather", "arguments": {"places": given}}])
        reply = scripted(call).generate("Weather?", **asked)
        assert (reply.finish_reason, len(reply.tool_calls)) == ("tool_calls", 1)
        assert bool(reply.misfit) is is_told


@pytest.mark.parametrize("options", [{}, {"tools": [WEATHER], "tool_choice": "none"}])
def test_without_tools_the_same_answer_is_text(scripted, options):
    call = '<tool_call>[{"name": "weather", "arguments": {}}]</tool_call>'
    reply = scripted(call).generate("Weather?", **options)
    assert (reply.text, reply.finish_reason, reply.tool_calls) == (call, "stop", ())


def test_a_call_cut_by_the_length_is_text_and_no_call(scripted):
    call = '<tool_call>[{"name": "weather", "arguments": {"city": "Paris"}}]</tool_call>'
    reply = scripted(call).generate("Weather?", tools=[WEATHER], max_new_tokens=12)
    assert (reply.finish_reason, reply.tool_calls) == ("length", ())
    assert call.startswith(reply.text)
    assert reply.text.startswith("<tool_call>[")


@pytest.mark.parametrize(
    ("options", "error", "reason"),
    [
        ({"schema": {"type": "object"}}, UsageError, "can't enforce a json_schema"),
        ({"tools": [NOW], "tool_choice": "required"}, UsageError, "can't enforce a json_schema"),
        ({"tools": [NOW], "tool_choice": "later"}, UsageError, "no such tool is offered"),
        ({"tools": [NOW], "raw": True}, UsageError, "can't offer tools"),
        ({"schema": {"minLength": 99999}}, UsageError, "at most 4,096 is allowed"),
        ({"temprature": 1.0}, UsageError, "did you mean 'temperature'"),
    ],
)
def test_what_can_not_be_had_is_refused_before_the_work(scripted, options, error, reason):
    session = scripted("x", constraints=frozenset())
    with pytest.raises(error, match=reason):
        session.stream("x", **options)
    assert not engine_of(session).requests


def test_a_model_without_a_template_can_be_offered_no_tools(text_side, scripted):
    session = Session(
        FakeEngine([1]), scripted("x").capabilities, replace(text_side, template=None), {}
    )
    with pytest.raises(GenerationError, match="no chat template"):
        session.stream([{"role": "user", "content": "x"}], tools=[NOW])
    with pytest.raises(UsageError, match="can't offer tools"):
        session.stream("x", tools=[NOW])


@pytest.mark.parametrize(
    ("options", "temperature"),
    [
        ({}, 0.6),
        ({"think": True}, 0.6),
        ({"think": False}, 0.7),
        ({"reasoning_effort": "none"}, 0.7),
        ({"think": False, "temperature": 0.1}, 0.1),
    ],
)
def test_an_answer_without_thinking_is_sampled_as_is_stated_for_it(
    text_side, scripted, options, temperature
):
    stated = SamplingDefaults("the catalogue", {"temperature": 0.6}, {"temperature": 0.7})
    template = ChatTemplate(templates.QWEN_3, {})
    text = replace(text_side, template=template, defaults=(stated,))
    session = Session(FakeEngine([1]), scripted("x").capabilities, text, {})
    session.generate(QUESTION, **options)
    (asked,) = engine_of(session).requests
    assert asked.decoding.temperature == temperature


@pytest.fixture
def thinker(session):
    """The real model under a template that has it begin inside thinking."""
    template = ChatTemplate(templates.QWEN_3_THINKING, {})
    return Session(
        session._engine, session.capabilities, replace(session._text, template=template), {}
    )


@pytest.mark.parametrize("schema", [None, PERSON])
def test_a_budget_of_thinking_is_kept_by_the_real_model(thinker, schema):
    options = {"max_new_tokens": 150, "temperature": 0.0, "schema": schema}
    reply = thinker.generate(QUESTION, thinking_budget=4, **options)
    closing = thinker.tokenizer.encode("\n</think>\n\n", add_special_tokens=False)
    assert list(reply.tokens[4 : 4 + len(closing)]) == closing
    assert reply.thinking == thinker.tokenizer.decode(reply.tokens[:4]).strip()
    assert reply.usage.thinking_tokens == 4 + len(closing)
    assert reply.usage.completion_tokens == len(reply.tokens) <= 150
    if schema:
        assert set(json.loads(reply.text)) == set(PERSON["required"])
    else:
        assert reply.text


def test_a_schema_alone_is_kept_without_thinking(thinker):
    reply = thinker.generate(QUESTION, schema=PERSON, max_new_tokens=100, temperature=0.0)
    assert (reply.thinking, reply.usage.thinking_tokens) == ("", 0)
    assert json.loads(reply.text)


def test_a_model_that_does_not_think_says_so(session):
    with pytest.raises(UsageError, match="does not think"):
        session.stream(QUESTION, think=True)
    quiet = session.generate(QUESTION, think=False, max_new_tokens=8, temperature=0.0)
    assert quiet.tokens == session.generate(QUESTION, max_new_tokens=8, temperature=0.0).tokens


def test_capabilities_are_those_of_the_device(session):
    assert session.capabilities.runtime == "openvino"
    assert "json_schema" in session.capabilities.constraints
    assert isinstance(session._text, TextPipeline)
