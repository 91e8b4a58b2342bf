"""Each member of a request is broken in turn: the error has the client's own path of it."""

from __future__ import annotations

import json
import types
import typing

import pydantic
import pytest

from aipc.wire.errors import HTTPError
from aipc.wire.openai.chat_schemas import ChatRequest
from aipc.wire.openai.completions import CompletionRequest
from aipc.wire.openai.embeddings import EmbeddingRequest
from aipc.wire.openai.responses_schemas import ResponseRequest
from aipc.wire.refusals import written
from aipc.wire.schemas import read

FUNCTION = {"name": "look", "description": "d", "parameters": {"type": "object"}, "strict": True}
CALL = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
CUSTOM = {"id": "d", "type": "custom", "custom": {"name": "patch", "input": "x"}}
TEXT = {"type": "text", "text": "x"}
SCHEMA = {"type": "object"}
SAMPLING = {
    "model": "m",
    "device": "cpu",
    "stream": True,
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": 5,
    "min_p": 0.1,
    "repetition_penalty": 1.1,
    "presence_penalty": 0.1,
    "frequency_penalty": 0.1,
    "repetition_detection": {"min_count": 4},
    "chat_template_kwargs": {},
    "ignore_eos": False,
}
COMPLETION = {"n": 1, "seed": 1, "stop": ["a", "b"], "stream_options": {"include_usage": True}}
CHAT = {
    **SAMPLING,
    **COMPLETION,
    "messages": [
        {"role": "system", "content": "x", "name": "n"},
        {"role": "user", "content": ["x", TEXT], "name": "n"},
        {"role": "assistant", "content": [TEXT, {"type": "refusal", "refusal": "x"}]},
        {"role": "assistant", "tool_calls": [CALL, CUSTOM], "refusal": "x", "name": "n"},
        {"role": "assistant", "function_call": {"name": "look", "arguments": {}}},
        {"role": "tool", "content": [TEXT], "tool_call_id": "c", "name": "look"},
        {"role": "function", "content": "x", "name": "look"},
    ],
    "max_tokens": 5,
    "max_completion_tokens": 5,
    "logprobs": True,
    "top_logprobs": 0,
    "return_token_ids": True,
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "n", "description": "d", "schema": SCHEMA, "strict": True},
    },
    "guided_json": SCHEMA,
    "structured_outputs": {"json": SCHEMA},
    "tools": [{"type": "function", "function": FUNCTION}],
    "tool_choice": {"type": "function", "function": {"name": "look"}},
    "parallel_tool_calls": True,
    "modalities": ["text"],
}
RESPONSE = {
    **SAMPLING,
    "input": [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]},
        {"role": "assistant", "content": "x", "id": "i", "status": "completed"},
        {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": [TEXT]},
        {"type": "custom_tool_call", "call_id": "c", "name": "patch", "input": "x"},
        {"type": "local_shell_call", "call_id": "c", "action": {"command": []}},
        {"type": "shell_call_output", "call_id": "c"},
        {"type": "mcp_call", "id": "c", "name": "look", "arguments": "{}"},
        {"type": "reasoning", "id": "r", "content": [{"type": "reasoning_text"}]},
        {"type": "item_reference", "id": "r"},
        {"type": "web_search_call"},
    ],
    "instructions": "x",
    "max_output_tokens": 5,
    "max_tool_calls": 5,
    "text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": False}},
    "tools": [{"type": "function", **FUNCTION}, {"type": "web_search"}],
    "tool_choice": {
        "type": "allowed_tools",
        "mode": "auto",
        "tools": [{"type": "function", "name": "look"}],
    },
    "parallel_tool_calls": True,
    "previous_response_id": "x",
    "store": True,
    "truncation": "auto",
    "include": ["x"],
    "metadata": {},
}
ASKED = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
SAID = {"model": "m", "input": "x"}
BODIES = [
    (ChatRequest, CHAT),
    (ChatRequest, {**ASKED, "response_format": {"type": "json_object", "schema": SCHEMA}}),
    (ChatRequest, {**ASKED, "tool_choice": "auto", "response_format": {"type": "text"}}),
    (ChatRequest, {**ASKED, "tool_choice": {"type": "any"}, "stop": "a"}),
    (CompletionRequest, {**SAMPLING, **COMPLETION, "prompt": "x", "max_tokens": 5}),
    (ResponseRequest, RESPONSE),
    (ResponseRequest, {**SAID, "tool_choice": {"type": "function", "name": "look"}}),
    (EmbeddingRequest, {"model": "m", "input": "x", "encoding_format": "float"}),
]
FREE = {"schema", "json", "guided_json", "parameters", "action", "metadata", "arguments"}
"""Members whose value is any object: what is in it is not looked at."""


def paths(value, path=()):
    """The path of every member and element, but of those in free objects."""
    if path:
        yield path
    if not isinstance(value, dict | list) or (path and path[-1] in FREE):
        return
    for part, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield from paths(inner, (*path, part))


def with_broken(body, path):
    """A copy in which the value at ``path`` is of a kind that it can't be."""
    inner = body = json.loads(json.dumps(body))
    for part in path[:-1]:
        inner = inner[part]
    is_number = type(inner[path[-1]]) in {int, float}
    inner[path[-1]] = {"odd": 1} if is_number or path[-1] in {"type", "role"} else 17
    return body


CASES = [(kind, body, path) for kind, body in BODIES for path in paths(body)]


def error_of(kind, body):
    with pytest.raises(HTTPError) as caught:
        read(kind, json.dumps(body).encode())
    assert caught.value.status == 400
    return caught.value


@pytest.mark.parametrize(("kind", "body"), BODIES)
def test_the_bodies_are_whole_before_they_are_broken(kind, body):
    whole = read(kind, json.dumps(body).encode())
    written_again = whole.model_dump_json(exclude_none=True, by_alias=True)
    assert read(kind, written_again.encode()) == whole


@pytest.mark.parametrize(
    ("kind", "body", "path"), CASES, ids=[f"{n}-{written(case[2])}" for n, case in enumerate(CASES)]
)
def test_the_param_of_an_error_is_the_clients_own_path(kind, body, path):
    error = error_of(kind, with_broken(body, path))
    assert error.param == written(path)
    assert error.message.startswith(f"{written(path)}: ")


@pytest.mark.parametrize(
    ("member", "value", "param", "said"),
    [
        (
            "messages",
            [{"role": "user", "content": [TEXT, {"type": "image_url", "image_url": {"url": "x"}}]}],
            "messages[0].content[1].type",
            "'image_url' is an image, and this model reads text only",
        ),
        ("messages", [{"role": "king", "content": "x"}], "messages[0].role", "'king' is not known"),
        ("messages", [{"role": "king"}], "messages[0].role", "system, developer, user, assistant"),
        ("messages", [{"content": "x"}], "messages[0].role", "field required; it may be: system"),
        ("messages", [{"role": "user"}], "messages[0].content", "field required"),
        ("messages", ["x"], "messages[0]", "should be an object, with one of these as its role"),
        ("messages", "x", "messages", "valid list"),
        ("tools", [{"type": "web_search"}], "tools[0].type", "should be 'function'"),
        ("tools", [{"type": "function", "function": {}}], "tools[0].function.name", "required"),
        ("response_format", {"type": "xml"}, "response_format.type", "text, json_object, json_sch"),
        ("tool_choice", "look", "tool_choice", "'none', 'auto', 'required' or 'any'"),
        ("user", "x", None, None),
    ],
)
def test_an_error_is_of_the_branch_that_was_meant(member, value, param, said):
    body = {**ASKED, member: value}
    if param is None:
        assert read(ChatRequest, json.dumps(body).encode()).ignored == (member,)
    else:
        error = error_of(ChatRequest, body)
        assert error.param == param
        assert said in error.message


def unions(kind, seen):
    """Unions of a request's classes that have several branches and nothing to tell them apart."""
    if kind in seen:
        return
    seen.add(kind)
    for name, field in kind.model_fields.items():
        for found in _unions(field.annotation, field.metadata, seen):
            yield f"{kind.__name__}.{name}: {found}"


def _unions(annotation, metadata, seen):
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        yield from _unions(parts[0], parts[1:], seen)
        return
    if origin in {typing.Union, types.UnionType}:
        told_apart = any(isinstance(one, pydantic.Discriminator) for one in metadata)
        if len(set(parts) - {type(None)}) > 1 and not told_apart:
            yield annotation
    for part in parts:
        yield from _unions(part, (), seen)
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        yield from unions(annotation, seen)


@pytest.mark.parametrize("kind", [ChatRequest, ResponseRequest])
def test_every_union_has_what_tells_its_branches_apart(kind):
    assert list(unions(kind, set())) == []
