"""The OpenAPI document, built from the endpoints and the models of their bodies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import (
    GenerateJsonSchema,
    JsonSchemaMode,
    JsonSchemaValue,
    models_json_schema,
)

import aipc
from aipc.serve.api.endpoint import EVENTS, JSON, Endpoint
from aipc.serve.http.form import FORM

_REF = "#/components/schemas/{model}"
_BOUNDS = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
}
_PARAMETER = {"type": "string", "minLength": 1}
_ALWAYS = {
    400: "the request can't be meant so",
    403: "a page of another site asked, or the operator does not allow it",
    421: "asked for under a name that is not this server's",
    431: "too many headers",
}
_WITH_KEY = {401: "the key is missing or wrong"}
_WITH_BODY = {413: "the body is too large", 415: "the body is of another kind"}
_BY_ENDPOINT = {
    404: "there is no such model",
    409: "it has ended, or is elsewhere",
    429: "too many wait already; Retry-After says when to try again",
    500: "the engine failed",
    503: "the worker died or the server is stopping; Retry-After says when to try again",
    507: "no room for it here",
}


def document(endpoints: Iterable[Endpoint], *, needs_key: bool) -> dict[str, Any]:
    """OpenAPI 3.1."""
    paths: dict[str, dict[str, Any]] = {}
    endpoints = tuple(endpoints)
    for endpoint in endpoints:
        shows_key = endpoint.is_own or (needs_key and not endpoint.is_public)
        operation = _operation(endpoint, needs_key=shows_key)
        paths.setdefault(endpoint.name, {})[endpoint.method.lower()] = operation
    components: dict[str, Any] = {"schemas": _schemas(endpoints)}
    if needs_key or any(endpoint.is_own for endpoint in endpoints):
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "aipc", "version": aipc.__version__},
        "paths": paths,
        "components": components,
    }


def _operation(endpoint: Endpoint, *, needs_key: bool) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": endpoint.summary,
        "operationId": "_".join([endpoint.method.lower(), *re.findall(r"\w+", endpoint.name)]),
        "responses": _responses(endpoint, needs_key=needs_key),
    }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _PARAMETER}
        for name in re.findall(r"{(\w+)}", endpoint.name)
    ]
    if endpoint.query is not None:
        fields = endpoint.query.model_json_schema()["properties"].items()
        parameters += [{"name": name, "in": "query", "schema": schema} for name, schema in fields]
    if parameters:
        operation["parameters"] = parameters
    if endpoint.body is not None:
        kind = FORM if endpoint.form_bytes else JSON
        content = {kind: {"schema": _reference(endpoint.body)}}
        operation["requestBody"] = {"required": True, "content": content}
    if needs_key:
        operation["security"] = [{"key": []}]
    return operation


def _responses(endpoint: Endpoint, *, needs_key: bool) -> dict[str, Any]:
    descriptions = dict(_ALWAYS)
    if needs_key:
        descriptions |= _WITH_KEY
    if endpoint.body is not None or endpoint.method == "POST":
        descriptions |= _WITH_BODY
    descriptions |= {status: _BY_ENDPOINT[status] for status in endpoint.errors}
    error = {JSON: {"schema": _reference(endpoint.error_body)}}
    errors = {
        str(status): {"description": text, "content": error}
        for status, text in sorted(descriptions.items())
    }
    schema = {"type": "string"} if endpoint.returns is None else _reference(endpoint.returns)
    content: dict[str, Any] = {endpoint.media: {"schema": schema}}
    if endpoint.streams:
        is_events = endpoint.stream_media == EVENTS
        schema = _event(endpoint) if is_events else {"type": "string"}
        content[endpoint.stream_media] = {"schema": schema}
    return {"200": {"description": endpoint.summary, "content": content}, **errors}


def _event(endpoint: Endpoint) -> dict[str, Any]:
    """One event of a stream: its data is JSON, or the mark of the end."""
    kinds = [_reference(kind) for kind in (endpoint.chunk, endpoint.error_body) if kind is not None]
    schema = {"anyOf": kinds} if endpoint.chunk else {"type": "object"}
    chunk = {"type": "string", "contentMediaType": JSON, "contentSchema": schema}
    data = {"anyOf": [{"const": "[DONE]"}, chunk]}
    properties = {"event": {"type": "string"}, "data": data}
    return {"type": "object", "properties": properties, "required": ["data"]}


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REF.format(model=model.__name__)}


def _schemas(endpoints: Iterable[Endpoint]) -> Mapping[str, Any]:
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = []
    for endpoint in endpoints:
        models += [
            (model, "validation")
            for model in (endpoint.body, endpoint.returns, endpoint.chunk, endpoint.error_body)
            if model is not None and (model, "validation") not in models
        ]
    _, schemas = models_json_schema(models, ref_template=_REF, schema_generator=_BodySchemas)
    definitions: Mapping[str, Any] = schemas["$defs"]
    return definitions


class _BodySchemas(GenerateJsonSchema):
    """With JSON Schema's words for bounds; of what is converted first, pydantic has its own."""

    def generate_inner(self, schema: Any) -> JsonSchemaValue:
        found = super().generate_inner(schema)
        return {_BOUNDS.get(word, word): value for word, value in found.items()}
