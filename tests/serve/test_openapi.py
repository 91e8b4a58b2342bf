from __future__ import annotations

import re

import pytest
from pydantic import TypeAdapter

from aipc.serve.anthropic import schemas as anthropic
from aipc.serve.api import health
from aipc.serve.api.endpoint import ErrorBody
from aipc.serve.openai import models
from aipc.wire.openai import (
    batches_schemas,
    chat_schemas,
    completions,
    files_schemas,
    responses_schemas,
)


def references(value):
    if isinstance(value, dict):
        yield from ([value["$ref"]] if isinstance(value.get("$ref"), str) else [])
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


@pytest.fixture
def document(client):
    return client.get("/openapi.json").json()


def test_every_path_is_in_it_and_every_reference_leads_somewhere(server, document):
    assert document["openapi"].startswith("3.1")
    known = {(one.name, one.method.lower()) for one in server.server.app.endpoints}
    assert known == {(path, way) for path, ways in document["paths"].items() for way in ways}
    schemas = document["components"]["schemas"]
    for reference in set(references(document)):
        assert re.sub("^#/components/schemas/", "", reference) in schemas


def test_a_request_has_its_bounds_and_required_members(document):
    chat = document["components"]["schemas"]["ChatRequest"]
    assert set(chat["required"]) == {"model", "messages"}
    temperature = chat["properties"]["temperature"]["anyOf"][0]
    assert (temperature["minimum"], temperature["maximum"]) == (0.0, 2.0)


def test_bounds_are_in_json_schema_s_words(document):
    schemas = document["components"]["schemas"]
    assert {"ge", "le", "gt", "lt"}.isdisjoint(keywords(schemas))
    logprobs = schemas["OllamaChatRequest"]["properties"]["top_logprobs"]["anyOf"][0]
    assert logprobs == {"type": "integer", "minimum": 0, "maximum": 20}
    top_k = schemas["ChatRequest"]["properties"]["top_k"]["anyOf"][0]
    assert top_k["minimum"] == -1


def keywords(value):
    if isinstance(value, dict):
        yield from value
        for inner in value.values():
            yield from keywords(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keywords(inner)


def test_answers_are_as_the_document_has_them(client):
    user = {"role": "user", "content": "count 3"}
    for path, body, kind in (
        ("chat/completions", {"messages": [user], "logprobs": True}, chat_schemas.ChatCompletion),
        ("completions", {"prompt": "x", "logprobs": 0}, completions.Completion),
        ("responses", {"input": "x"}, responses_schemas.ResponseBody),
        ("messages", {"messages": [user], "max_tokens": 9}, anthropic.MessageBody),
        ("messages/count_tokens", {"messages": [user]}, anthropic.TokenCount),
    ):
        reply = client.post(f"/v1/{path}", json={"model": "fake", **body})
        TypeAdapter(kind).validate_json(reply.content, strict=True)
    for path, kind in (
        ("v1/models", models.ModelList),
        ("health", health.Health),
        ("health/ready", health.Readiness),
        ("api/machine", health.MachineBody),
        ("v1/models/none", ErrorBody),
        ("v1/files", files_schemas.FileList),
        ("v1/batches", batches_schemas.BatchList),
    ):
        TypeAdapter(kind).validate_json(client.get(f"/{path}").content, strict=True)


def test_files_and_batches_are_as_the_document_has_them(client, document):
    form = document["paths"]["/v1/files"]["post"]["requestBody"]["content"]
    assert list(form) == ["multipart/form-data"]
    asked = {one["name"] for one in document["paths"]["/v1/files"]["get"]["parameters"]}
    assert asked == {"after", "limit", "order", "purpose"}
    upload = {"file": ("lines.jsonl", b"{}\n"), "purpose": (None, "batch")}
    reply = client.post("/v1/files", files=upload)
    made = TypeAdapter(files_schemas.FileBody).validate_json(reply.content, strict=True)
    body = {
        "input_file_id": made.id,
        "endpoint": "/v1/completions",
        "completion_window": "24h",
        "metadata": {"a": "b"},
    }
    reply = client.post("/v1/batches", json=body)
    TypeAdapter(batches_schemas.BatchBody).validate_json(reply.content, strict=True)
    for path, kind in (
        ("files", files_schemas.FileList),
        ("batches", batches_schemas.BatchList),
    ):
        listed = client.get(f"/v1/{path}").content
        assert TypeAdapter(kind).validate_json(listed, strict=True).data
    gone = client.delete(f"/v1/files/{made.id}").content
    TypeAdapter(files_schemas.DeletedFile).validate_json(gone, strict=True)


def test_the_key_is_required_by_all_but_public_paths(serve_fakes):
    key = "a-key-that-nobody-guesses"
    with serve_fakes(api_key=key).client(Authorization=f"Bearer {key}") as client:
        document = client.get("/openapi.json").json()
    paths = document["paths"]
    assert "security" not in paths["/health"]["get"]
    assert paths["/v1/models"]["get"]["security"] == [{"key": []}]
    assert "401" in paths["/v1/models"]["get"]["responses"]
