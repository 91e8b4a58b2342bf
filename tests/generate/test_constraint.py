from __future__ import annotations

import json

import pytest

from aipc.errors import UsageError
from aipc.generate.constraint import constrain


def enforced(schema):
    constraint = constrain(schema)
    assert constraint.kind == "json_schema"
    return json.loads(constraint.text)


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object"},
        {"type": ["string", "null"], "maxLength": 3},
        {"type": "integer", "minimum": 0, "maximum": 9},
        {"enum": ["a", 1, None, {"x": True}]},
        {"type": "string", "enum": ["a", "b"], "description": "a or b"},
        {"type": "number", "const": 1},
        {"$ref": "#/$defs/A", "title": "a", "$defs": {"A": {"type": "string", "format": "date"}}},
        {"anyOf": [{"const": 1}, {"type": "null"}], "default": None},
        {"type": "string", "pattern": "^[a-z]+$"},
    ],
)
def test_what_is_enforced_as_it_stands_is_not_changed(schema):
    assert enforced(schema) == schema


@pytest.mark.parametrize(
    ("schema", "written"),
    [
        ({"minLength": 3}, {"minLength": 3, "type": "string"}),
        ({"minItems": 2}, {"minItems": 2, "type": "array", "items": {}}),
        (
            {"items": {"properties": {}}},
            {"items": {"properties": {}, "type": "object"}, "type": "array"},
        ),
        (
            {"type": "object", "required": ["a"]},
            {"type": "object", "required": ["a"], "properties": {"a": {}}},
        ),
        (
            {"type": "object", "required": ["a"], "additionalProperties": {"minLength": 1}},
            {
                "type": "object",
                "required": ["a"],
                "additionalProperties": {"minLength": 1, "type": "string"},
                "properties": {"a": {"minLength": 1, "type": "string"}},
            },
        ),
    ],
)
def test_what_a_compiler_would_pass_over_is_written_so_that_it_does_not(schema, written):
    assert enforced(schema) == written


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "integer", "multipleOf": 5}, "'multipleOf' at # of the schema can't be enforced"),
        ({"items": {"not": {}}}, "'not' at #/items of the schema can't be enforced"),
        ({"allOf": [{}, {}]}, "'allOf' .* has several parts"),
        ({"$ref": "#/$defs/A", "maxLength": 3, "$defs": {"A": {}}}, "'\\$ref' and 'maxLength'"),
        ({"anyOf": [{}], "properties": {}}, "'anyOf' and 'properties'"),
        ({"anyOf": [{}], "type": "object"}, "'anyOf' and 'type'"),
        ({"enum": ["a"], "maxLength": 3}, "'enum' and 'maxLength'"),
        ({"enum": ["a"], "const": "a"}, "'const' and 'enum'"),
        ({"type": "string", "pattern": "a+", "maxLength": 3}, "'pattern' and 'maxLength'"),
        ({"enum": ["a"], "pattern": "a"}, "'enum' and 'pattern'|'pattern' and 'enum'"),
        ({"type": "string", "pattern": "a.c"}, "'.' in the pattern at # of the schema"),
        ({"type": "string", "enum": ["a", 1]}, "1 at # of the schema is not of the type string"),
        ({"type": "integer", "const": True}, "True at # of the schema is not of the type integer"),
        ({"minimum": 3}, "minimum at # of the schema have no type"),
        ({"minLength": 3, "items": {}}, "items, minLength at # of the schema have no type"),
        ({"type": "number", "minimum": 0, "maximum": 1}, "'maximum' at # .* bounds a number"),
        ({"maxItems": 10**9}, "'maxItems' at # of the schema is 1,000,000,000; at most 4,096"),
        ({"items": {"maxLength": 300}}, "'maxLength' at #/items .* is 300; at most 256"),
        ({"minLength": -1}, "'minLength' at # of the schema is no count: -1"),
        ({"minLength": True}, "is no count: True"),
        ({"prefixItems": [{"maxLength": 250}] * 3}, "too many and too long"),
        ({"prefixItems": [{"pattern": "a{0,250}"}] * 3}, "too many and too long"),
        ({"type": "strin"}, "no type is called 'strin'"),
        ({"type": {}}, "no type is called"),
        ({"required": "a"}, "'required' at # of the schema is no list of names"),
        (
            {"type": "object", "required": ["a"], "additionalProperties": False},
            "'a' at # of the schema is required, but no property",
        ),
    ],
)
def test_what_would_not_be_enforced_is_refused_by_name_and_place(schema, reason):
    with pytest.raises(UsageError, match=reason):
        constrain(schema)
