from __future__ import annotations

import json

import pytest

from aipc.errors import UsageError
from aipc.generate.structured.constraint import MAX_PARTS, constrain, write_alternatives


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
        {"type": "object", "properties": {"a": {"type": "number", "multipleOf": 0.5}}},
    ],
)
def test_what_leaves_nothing_to_be_understood_is_not_changed(schema):
    assert enforced(schema) == schema


@pytest.mark.parametrize(
    ("schema", "written"),
    [
        ({"minLength": 3}, {"minLength": 3, "type": "string"}),
        ({"minItems": 2}, {"minItems": 2, "type": "array", "items": {}}),
        ({"format": "date"}, {"format": "date", "type": "string"}),
        (
            {"maxProperties": 2},
            {"maxProperties": 2, "type": "object", "additionalProperties": {}},
        ),
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
        ({"minLength": 3, "items": {}}, "items, minLength at # of the schema have no type"),
        ({"pattern": "a" * 600}, "the pattern at # of the schema has 600 characters"),
        ({"maxProperties": 10**9}, "'maxProperties' at # of the schema is 1,000,000,000; at most"),
        ({"maxItems": 10**9}, "'maxItems' at # of the schema is 1,000,000,000; at most 4,096"),
        ({"items": {"maxLength": 300}}, "'maxLength' at #/items .* is 300; at most 256"),
        ({"minLength": -1}, "'minLength' at # of the schema is no count: -1"),
        ({"minLength": True}, "is no count: True"),
        ({"prefixItems": [{"maxLength": 250}] * 3}, "too many and too long"),
        ({"prefixItems": [{"pattern": "a{0,250}"}] * 3}, "too many and too long"),
        ({"type": "strin"}, "no type is called 'strin'"),
        ({"type": {}}, "no type is called"),
        ({"type": []}, "no type is called"),
        ({"required": "a"}, "'required' at # of the schema is no list of names"),
        (
            {"type": "object", "required": ["a"], "additionalProperties": False},
            "'a' at # of the schema is required, but no property",
        ),
    ],
)
def test_what_has_no_clear_meaning_or_is_too_much_is_refused_by_name_and_place(schema, reason):
    with pytest.raises(UsageError, match=reason):
        constrain(schema)


def tagged(value, **others):
    schema = {"type": "object", "properties": {"kind": value}, "required": ["kind"]}
    return {**schema, **others}


def rewritten(parts, **others):
    inner = {"oneOf": parts, **others}
    schema = {"properties": {"a": inner}, "$defs": others.get("$defs", {})}
    write_alternatives(schema)
    return inner


@pytest.mark.parametrize(
    "parts",
    [
        [{"type": "integer"}, {"type": "string"}, {"type": ["null", "boolean"]}],
        [{"const": 1}, {"const": "1"}, {"enum": [True, None]}],
        [{"const": {"a": 1, "b": 2}}, {"const": {"a": 1, "b": 3}}],
        [tagged({"const": "cat"}), tagged({"enum": ["dog", "fox"]})],
        [tagged({"const": "cat"}), {"type": "null"}],
        [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}],
        [{"type": "integer"}],
    ],
)
def test_parts_that_exclude_one_another_may_be_any(parts):
    defined = {"Cat": tagged({"$ref": "#/$defs/Name"}), "Dog": tagged({"const": "dog"})}
    others = {"$defs": {**defined, "Name": {"const": "cat"}}, "discriminator": {}}
    assert rewritten(parts, **others) == {"anyOf": parts, **others}


@pytest.mark.parametrize(
    "parts",
    [
        [{"type": "integer"}, {"type": "number"}],
        [{"type": "integer"}, {}],
        [{"type": "integer"}, True],
        [{"const": 1}, {"const": 1.0}],
        [{"const": {"a": 1, "b": 2}}, {"const": {"b": 2, "a": 1}}],
        [{"type": "string", "maxLength": 2}, {"type": "string", "minLength": 1}],
        [tagged({"const": "cat"}), tagged({"const": "dog"}, required=[])],
        [tagged({"const": "cat"}), tagged({"const": "dog"}, type=["object", "null"])],
        [tagged({"const": "cat"}), tagged({"type": "string"})],
        [{"type": "boolean"}, {"items": {}}],
    ],
)
def test_parts_that_may_meet_are_refused(parts):
    with pytest.raises(
        UsageError, match="'oneOf' at #/properties/a of the schema has parts that one value"
    ):
        rewritten(parts)


def test_too_many_parts_and_another_choice_beside_them_are_refused():
    with pytest.raises(UsageError, match="'oneOf' at #/properties/a of the schema has 33 parts"):
        rewritten([{"const": number} for number in range(MAX_PARTS + 1)])
    with pytest.raises(UsageError, match="'oneOf' at #/properties/a"):
        rewritten([{"const": 1}, {"const": 2}], anyOf=[{}])


def test_parts_are_compared_as_they_are_told():
    schema = {
        "$defs": {
            "A": {"items": {}},
            "B": {"oneOf": [{"$ref": "#/$defs/A"}, {"type": "boolean"}]},
        }
    }
    with pytest.raises(UsageError, match=r"'oneOf' at #/\$defs/B"):
        constrain(schema)
