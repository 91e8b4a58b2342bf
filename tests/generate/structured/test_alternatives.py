from __future__ import annotations

import pytest

from aipc.errors import UsageError
from aipc.generate.structured.alternatives import MAX_PARTS, write_alternatives
from aipc.generate.structured.constraint import constrain


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
