"""The OpenAPI document, made from the endpoints and the models of their bodies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

import aipc
from aipc.serve.api import schemas
from aipc.serve.api.endpoint import EVENTS, JSON, Endpoint

_PLACE = "#/components/schemas/{model}"
_ALWAYS = {
    400: "the request can't be meant so",
    403: "a page of another site asked",
    421: "asked for under a name that is not this server's",
    431: "too many headers",
}
_WITH_KEY = {401: "the key is missing or wrong"}
_WITH_BODY = {413: "the body is too large", 415: "the body is not JSON"}
_OTHER = {
    404: "there is no such model",
    429: "too many wait already; Retry-After says when to try again",
    500: "the engine failed",
    503: "the worker died or the server is stopping; Retry-After says when to try again",
}


class ErrorMembers(schemas.Wire):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(schemas.Wire):
    """What every refusal holds."""

    error: ErrorMembers


def document(endpoints: Iterable[Endpoint], *, needs_key: bool) -> dict[str, Any]:
    """OpenAPI 3.1."""
    paths: dict[str, dict[str, Any]] = {}
    endpoints = tuple(endpoints)
    for endpoint in endpoints:
        operation = _operation(endpoint, needs_key=needs_key and not endpoint.is_public)
        paths.setdefault(endpoint.name, {})[endpoint.method.lower()] = operation
    components: dict[str, Any] = {"schemas": _schemas(endpoints)}
    if needs_key:
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
        "operationId": _identifier(endpoint),
        "responses": _responses(endpoint, needs_key=needs_key),
    }
    parameters = re.findall(r"{(\w+)}", endpoint.name)
    if parameters:
        operation["parameters"] = [_parameter(name) for name in parameters]
    if endpoint.asks is not None:
        content = {JSON: {"schema": _reference(endpoint.asks)}}
        operation["requestBody"] = {"required": True, "content": content}
    if needs_key:
        operation["security"] = [{"key": []}]
    return operation


def _identifier(endpoint: Endpoint) -> str:
    return "_".join([endpoint.method.lower(), *re.findall(r"\w+", endpoint.name)])


def _parameter(name: str) -> dict[str, Any]:
    schema = {"type": "string", "minLength": 1}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _responses(endpoint: Endpoint, *, needs_key: bool) -> dict[str, Any]:
    said = dict(_ALWAYS)
    if needs_key:
        said |= _WITH_KEY
    if endpoint.asks is not None:
        said |= _WITH_BODY
    said |= {status: _OTHER[status] for status in endpoint.refuses}
    error = {JSON: {"schema": _reference(ErrorBody)}}
    refusals = {str(at): {"description": said[at], "content": error} for at in sorted(said)}
    good = {"description": endpoint.summary, "content": _content(endpoint)}
    return {"200": good, **refusals}


def _content(endpoint: Endpoint) -> dict[str, Any]:
    schema = {"type": "string"} if endpoint.gives is None else _reference(endpoint.gives)
    content: dict[str, Any] = {endpoint.media: {"schema": schema}}
    if endpoint.streams:
        content[EVENTS] = {"schema": _event(endpoint)}
    return content


def _event(endpoint: Endpoint) -> dict[str, Any]:
    """One event of a stream: its data is JSON, or the mark of the end."""
    kinds = [_reference(kind) for kind in (endpoint.chunk, ErrorBody) if kind is not None]
    schema = {"anyOf": kinds} if endpoint.chunk else {"type": "object"}
    chunk = {"type": "string", "contentMediaType": JSON, "contentSchema": schema}
    data = {"anyOf": [{"const": "[DONE]"}, chunk]}
    properties = {"event": {"type": "string"}, "data": data}
    return {"type": "object", "properties": properties, "required": ["data"]}


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _PLACE.format(model=model.__name__)}


def _schemas(endpoints: Iterable[Endpoint]) -> Mapping[str, Any]:
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = [(ErrorBody, "validation")]
    for endpoint in endpoints:
        models += [
            (model, "validation")
            for model in (endpoint.asks, endpoint.gives, endpoint.chunk)
            if model is not None and (model, "validation") not in models
        ]
    _, schemas = models_json_schema(models, ref_template=_PLACE)
    definitions: Mapping[str, Any] = schemas["$defs"]
    return definitions
