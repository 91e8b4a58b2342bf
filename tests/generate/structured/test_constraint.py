from __future__ import annotations

import time

import pytest

from aipc.errors import UsageError
from aipc.generate.structured.constraint import constrain

STRING, INTEGER = {"type": "string"}, {"type": "integer"}


def doubled(levels, inner):
    """References that mean 2**levels of the last."""
    defined = {f"a{level}": inner(f"#/$defs/a{level - 1}") for level in range(1, levels)}
    return {"$ref": f"#/$defs/a{levels - 1}", "$defs": {"a0": INTEGER, **defined}}


@pytest.mark.parametrize(
    "schema",
    [
        {"$id": "x", "x-order": 1, "markdownDescription": "a", "contentEncoding": "base64"},
        STRING | {"format": "moon"},
        STRING | {"nullable": True},
        STRING | {"maxLength": 5000},
        STRING | {"enum": [f"value {number}" for number in range(800)]},
        {"type": "object", "properties": {f"p{number}": STRING for number in range(250)}},
        doubled(
            30, lambda name: {"type": "object", "properties": {k: {"$ref": name} for k in "ab"}}
        ),
        doubled(30, lambda name: {"allOf": [{"$ref": name}, {"$ref": name}]}),
    ],
)
def test_what_libraries_write_is_taken_whole(schema):
    enforced = constrain(schema)
    assert not enforced.unenforced
    assert not enforced.constraint.grammar.is_empty


@pytest.mark.parametrize(
    ("schema", "what"),
    [
        ({"type": "array", "contains": INTEGER}, "'contains' at #"),
        ({"type": "array", "items": STRING, "uniqueItems": True}, "'uniqueItems' at #"),
        ({"items": {"oneOf": [INTEGER, {"type": "number"}]}}, "'oneOf' with parts .* at #/items"),
        (STRING | {"pattern": r"(a)\1"}, r"'\\1' in the pattern at #"),
        (STRING | {"pattern": "(?<=a)b"}, r"'\(\?<=' in the pattern at #"),
        ({"not": {"type": "object", "minProperties": 1}}, "'not' at #"),
        ({"type": "object", "minProperties": 3}, "'minProperties' at #"),
    ],
)
def test_what_is_not_enforced_is_refused_or_left_to_be_checked(schema, what):
    with pytest.raises(UsageError, match=f"{what}.* of the schema can't be enforced; say strict"):
        constrain(schema)
    (named,) = constrain(schema, strict=False).unenforced
    assert named


def test_a_finished_answer_is_checked_for_what_is_not_enforced():
    schema = {"type": "array", "items": STRING, "uniqueItems": True}
    loose = constrain(schema, strict=False)
    assert loose.misfit('["a"]') == ""
    assert loose.misfit('["a", "a"]') == "['a', 'a'] has non-unique elements (at $)"
    assert loose.misfit("[") == "it is no JSON"
    assert constrain({"type": "array"}).misfit("[") == ""


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"type": "string", "enum": [1]},
        {"type": "object", "properties": {"a": False}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        {"type": "integer", "minimum": 3, "maximum": 2},
        {"type": "array", "items": {"enum": ["a"]}, "uniqueItems": True, "minItems": 2},
        {"allOf": [STRING, INTEGER]},
    ],
)
def test_a_contradiction_is_refused(schema):
    with pytest.raises(UsageError):
        constrain(schema if schema is not False else {"not": {}})


@pytest.mark.parametrize(
    "schema",
    [
        {"allOf": [{"anyOf": [{"required": [f"{k}{n}"]} for k in "ab"]} for n in range(14)]},
        doubled(24, lambda name: {"anyOf": [{"$ref": name}, {"$ref": name}], "type": "integer"}),
        {"type": "integer", "exclusiveMinimum": 1e300},
        {**doubled(30, lambda name: {"allOf": [{"$ref": name}, {"$ref": name}]}), "enum": [1, 2]},
        {
            "type": "object",
            "patternProperties": {f"{letter}.*{letter}": {} for letter in "abcdefghijklmnopqrst"},
            "additionalProperties": {},
        },
    ],
)
def test_a_bomb_is_refused_soon(schema):
    started = time.thread_time()
    with pytest.raises(UsageError):
        constrain(schema)
    assert time.thread_time() - started < 10
