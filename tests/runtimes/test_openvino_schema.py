from __future__ import annotations

import json

import pytest

from aipc.errors import UsageError
from aipc.runtimes.openvino_schema import check_schema

PERSON = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Person",
    "type": "object",
    "properties": {
        "name": {"type": "string", "description": "in full", "maxLength": 40},
        "born": {"type": "string", "format": "date"},
        "age": {"type": ["integer", "null"], "minimum": 0},
        "kind": {"type": "string", "enum": ["a", "b"]},
        "children": {"type": "array", "items": {"$ref": "#"}, "maxItems": 3},
        "home": {"anyOf": [{"$ref": "#/$defs/place"}, {"type": "null"}], "default": None},
    },
    "$defs": {"place": {"type": "object", "additionalProperties": {"type": "number"}}},
    "required": ["name"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    "schema", [{}, {"type": "object"}, PERSON, {"const": 3}, {"items": {"type": "string"}}]
)
def test_what_is_enforced_is_taken(schema):
    check_schema(json.dumps(schema))


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"not": {"type": "integer"}}, "does not enforce not without a type"),
        ({"oneOf": [{"type": "integer"}]}, "does not enforce oneOf"),
        ({"type": "integer", "multipleOf": 7}, "multipleOf beside type integer"),
        ({"type": "string", "minimum": 7}, "minimum beside type string"),
        ({"type": "array", "uniqueItems": True}, "uniqueItems beside type array"),
        ({"type": "string", "minLength": 3, "pattern": "a*"}, "pattern and lengths together"),
        ({"type": "string", "format": "moon"}, "format 'moon' .known: date"),
        ({"$ref": "#/$defs/a", "maxLength": 3, "$defs": {"a": {}}}, "maxLength beside .ref"),
        ({"type": "string", "enum": ["a", 3]}, "type beside enum"),
        ({"enum": ["a"], "minLength": 3}, "minLength beside enum"),
        ({"allOf": [{"type": "string"}, {"maxLength": 3}]}, "allOf with more than one part"),
        ({"$ref": "other.json"}, "ref to another document .other.json"),
        ({"type": "object", "required": ["x"]}, "required for 'x'"),
        ({"type": "text"}, "the unknown type 'text'"),
        ({"type": "object", "properties": []}, "malformed"),
        ({"allOf": 3}, "malformed"),
        ({"anyOf": 3}, "malformed"),
    ],
)
@pytest.mark.parametrize("wrap", [lambda it: it, lambda it: {"type": "array", "items": it}])
def test_what_would_be_ignored_is_refused_wherever_it_stands(schema, message, wrap):
    with pytest.raises(UsageError, match=message):
        check_schema(json.dumps(wrap(schema)))


@pytest.mark.parametrize("text", ["{", "[]", "true", "[" * 100_000])
def test_what_is_no_schema_is_refused(text):
    with pytest.raises(UsageError):
        check_schema(text)
