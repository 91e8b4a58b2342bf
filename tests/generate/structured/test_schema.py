from __future__ import annotations

import pytest

from aipc.errors import UsageError
from aipc.generate.structured.schema import MAX_DEPTH, check, checked, moved
from aipc.runtimes.json_schema import resolve

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "friend": {"$ref": "#"}},
    "required": ["name"],
}


def nested(levels):
    schema = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return schema


def test_a_sound_schema_comes_back_as_a_copy():
    copy = check(PERSON)
    assert copy == PERSON
    assert copy is not PERSON


def test_depth_is_allowed_up_to_its_limit():
    assert check(nested(MAX_DEPTH - 2))
    with pytest.raises(UsageError, match=f"has {MAX_DEPTH + 1} levels, more than the {MAX_DEPTH} "):
        check(nested(MAX_DEPTH - 1))


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ([], "a schema is a JSON object, not"),
        ("{}", "a schema is a JSON object, not"),
        ({"const": object()}, "the schema is no JSON"),
        ({"const": float("nan")}, "the schema is no JSON"),
        ({"description": "x" * 70_000}, "characters, more than the 65,536"),
        (nested(100_000), "the schema is no JSON|levels"),
        ({"enum": list(range(1001))}, "'enum' at # .* has 1,001 values"),
        ({"const": list(range(5000))}, "values, more than the 4,096"),
        ({"properties": {str(n): {} for n in range(257)}}, "# of the schema has 257 properties"),
        ({"properties": []}, "'properties' in the schema is no object"),
        ({"anyOf": []}, "'anyOf' in the schema is no filled list"),
        ({"items": 1}, "#/items in the schema is no schema: 1"),
        ({"$ref": "https://example.org/schema"}, "outside itself"),
        ({"$ref": "other.json#/a"}, "outside itself"),
        ({"$ref": 1}, "outside itself"),
        ({"$ref": "#/$defs/A"}, "nothing at '#/\\$defs/A'"),
        ({"$ref": "#/default", "default": {"type": "string"}}, "which is no schema"),
    ],
)
def test_what_goes_beyond_a_limit_is_refused_with_the_reason(schema, reason):
    with pytest.raises(UsageError, match=reason):
        check(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"anyOf": [{"type": "null"}, {"$ref": "#"}]},
        {"not": {"$ref": "#"}},
        {"if": {"$ref": "#"}, "then": {"required": ["a"]}},
        {"dependentSchemas": {"a": {"$ref": "#"}}},
        {
            "$ref": "#/$defs/A",
            "$defs": {"A": {"oneOf": [{"$ref": "#/$defs/B"}]}, "B": {"allOf": [{"$ref": "#"}]}},
        },
    ],
)
def test_what_is_defined_by_nothing_but_itself_is_refused(schema):
    with pytest.raises(UsageError, match="is defined by itself"):
        check(schema)


def test_what_contains_itself_is_a_schema():
    tree = {"anyOf": [{"type": "null"}, {"type": "array", "items": {"$ref": "#"}}]}
    assert check(tree) == tree
    shared = {"anyOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/A"}], "$defs": {"A": {}}}
    assert check(shared) == shared


def test_references_move_with_their_schema_and_names_and_values_do_not():
    schema = {
        "properties": {"$ref": {"$ref": "#/$defs/A"}},
        "anyOf": [{"const": {"$ref": "#"}}, {"items": {"$ref": "#"}}],
        "$defs": {"A": True},
    }
    assert moved(schema, "#/x") == {
        "properties": {"$ref": {"$ref": "#/x/$defs/A"}},
        "anyOf": [{"const": {"$ref": "#"}}, {"items": {"$ref": "#/x"}}],
        "$defs": {"A": True},
    }


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ({"items": [{}, True]}, {"prefixItems": [{}, True]}),
        ({"items": [{}], "additionalItems": False}, {"prefixItems": [{}], "items": False}),
        ({"minimum": 3, "exclusiveMinimum": True}, {"exclusiveMinimum": 3}),
        ({"maximum": 3, "exclusiveMaximum": False}, {"maximum": 3}),
        ({"minLength": 2.0}, {"minLength": 2}),
        ({"maxLength": 2**53}, {}),
        ({"maxItems": 10**9}, {}),
        ({"$id": "a", "$schema": 4}, {}),
        ({"$dynamicRef": "#/$defs/b"}, {"allOf": [{"$ref": "#/$defs/b"}]}),
        (
            {"dependencies": {"b": ["c"], "d": {"required": ["e"]}}},
            {"dependentRequired": {"b": ["c"]}, "dependentSchemas": {"d": {"required": ["e"]}}},
        ),
    ],
)
def test_what_older_drafts_and_odd_writers_write_is_read_as_the_newest(written, read):
    around = {"$defs": {"b": {}}}
    assert checked({"properties": {"a": written}, **around}) == {
        "properties": {"a": read},
        **around,
    }


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"pattern": "a" * 3000}, "the pattern at # of the schema has 3,000 characters"),
        ({"pattern": 1}, "the pattern at # of the schema is no text: 1"),
        ({"minLength": 10**6}, "'minLength' at # of the schema is 1,000,000"),
        ({"minItems": -1}, "'minItems' at # of the schema is no count: -1"),
        ({"maxLength": True}, "'maxLength' at # of the schema is no count: True"),
        ({"minimum": "a"}, "'minimum' at # of the schema is no number: 'a'"),
        ({"multipleOf": 0}, "'multipleOf' at # of the schema is not above 0"),
        ({"type": "text"}, "no type is called 'text'"),
        ({"required": "a"}, "'required' at .* is no list of names"),
        ({"dependencies": {"a": 5}}, "#/dependentSchemas/a in the schema is no schema: 5"),
        (
            {"dependentRequired": {"a": 5}},
            "'required' at .*dependentRequired/a of the schema is no",
        ),
        ({"$dynamicRef": "http://example.org"}, "the schema refers to .* outside itself"),
    ],
)
def test_values_without_a_meaning_are_refused_by_name(schema, reason):
    with pytest.raises(UsageError, match=reason):
        checked(schema)


def test_tuples_of_older_drafts_are_written_as_the_newest_has_them_wherever_they_stand():
    pair = {"type": "array", "items": [{"type": "string"}, {"type": "number"}]}
    point = {"type": "object", "properties": {"at": {**pair, "additionalItems": False}}}
    assert check(point)["properties"]["at"] == {
        "type": "array",
        "prefixItems": [{"type": "string"}, {"type": "number"}],
        "items": False,
    }


def test_references_reach_into_lists_and_tuples():
    schema = {
        "properties": {
            "a": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "b": {"items": [{"type": "integer"}]},
        }
    }
    for reference, kind in (
        ("#/properties/a/anyOf/1", "null"),
        ("#/properties/b/items/0", "integer"),
    ):
        root = checked({**schema, "additionalProperties": {"$ref": reference}})
        assert resolve(root, reference) == {"type": kind}


@pytest.mark.parametrize("end", ["2", "-1", "01234567", "x", "1/type/0"])
def test_references_to_nothing_in_a_list_are_refused(end):
    several = [{"type": "string"}, {"type": "null"}]
    with pytest.raises(UsageError, match="has nothing at"):
        check({"anyOf": several, "items": {"$ref": f"#/anyOf/{end}"}})
