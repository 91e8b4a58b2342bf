from __future__ import annotations

import pytest

from aipc.errors import UsageError
from aipc.generate.structured.schema import MAX_DEPTH, check, check_pattern, moved

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
        ({"properties": {str(n): {} for n in range(201)}}, "# of the schema has 201 properties"),
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
    ("pattern", "repeats"),
    [("^[A-C]{2}[0-9]$", 2), (r"^\d{4}-\d{2}$", 8), ("(a{3,}b{2,5})+", 15), ("größe", 1)],
)
def test_the_repetitions_of_a_pattern_are_counted(pattern, repeats):
    assert check_pattern(pattern, "here") == repeats


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("a" * 600, "the pattern here has 600 characters"),
        ("(a{40}b){40}", "has 1,600 repetitions"),
        ("a{" + "9" * 400 + "}", "repetitions"),
        (1, "the pattern here is no text: 1"),
    ],
)
def test_patterns_beyond_a_limit_are_refused(pattern, reason):
    with pytest.raises(UsageError, match=reason):
        check_pattern(pattern, "here")
