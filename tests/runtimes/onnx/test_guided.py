from __future__ import annotations

import json

import pytest
from speller import ONNXSpeller

from aipc.errors import UsageError
from aipc.runtimes.onnx.guided import check_schema

INTEGER = {"type": "integer"}
STRING = {"type": "string"}
OWN = {"type": "object", "properties": {"a": INTEGER}}


@pytest.fixture(scope="module")
def speller(tiny_onnx):
    return ONNXSpeller(tiny_onnx("llama-gqa")[0])


@pytest.mark.parametrize(
    ("schema", "right", "wrong"),
    [
        ({"type": "number", "minimum": 0, "maximum": 1}, "0.5", "1.457"),
        ({"type": "number", "exclusiveMaximum": 1}, "0.5", "1"),
        (INTEGER | {"minimum": 3}, "3", "1"),
        (INTEGER | {"maximum": -2}, "-4", "-1"),
        (INTEGER | {"multipleOf": 5}, "10", "7"),
        ({"minimum": 3}, '"x"', "1"),
        ({"minLength": 3}, "7", '"ab"'),
        (STRING | {"pattern": "b"}, '"abc"', '"ac"'),
        (STRING | {"pattern": "^[^a-z]{2}$"}, '"A\\""', '"A""'),
        (STRING | {"pattern": "^[a-z]+$", "maxLength": 3}, '"abc"', '"abcd"'),
        (STRING | {"format": "date"}, '"2020-01-02"', '"abc"'),
        (STRING | {"enum": ["a", 1]}, '"a"', "1"),
        ({"enum": ["a", "abcd"], "maxLength": 2}, '"a"', '"abcd"'),
        ({"type": "object", "required": ["a"]}, '{"a":1}', "{}"),
        (OWN | {"additionalProperties": True}, '{"a":1,"b":"x"}', '{"a":"x"}'),
        (OWN | {"additionalProperties": False}, '{"a":1}', '{"b":1}'),
        ({"type": "object", "maxProperties": 1}, '{"a":1}', '{"a":1,"b":2}'),
        ({"type": "object", "minProperties": 1}, '{"a":1}', "{}"),
        ({"type": "array", "minItems": 2}, "[1,2]", "[1]"),
        ({"type": "array", "maxItems": 1}, "[1]", "[1,2]"),
        ({"type": "array", "prefixItems": [INTEGER], "items": STRING}, '[1,"a"]', "[1,2]"),
        ({"anyOf": [INTEGER, STRING], "type": "string"}, '"a"', "1"),
        ({"oneOf": [INTEGER, STRING]}, "1", "true"),
        ({"allOf": [STRING, {"maxLength": 3}]}, '"abc"', '"abcd"'),
        ({"$ref": "#/$defs/a", "maxLength": 3, "$defs": {"a": STRING}}, '"abc"', '"abcd"'),
        ({"const": 1, "enum": [1, 2]}, "1", "2"),
    ],
)
def test_what_is_taken_is_enforced(speller, schema, right, wrong):
    check_schema(json.dumps(schema))
    assert speller.allows(schema, right)
    assert not speller.allows(schema, wrong)


@pytest.mark.parametrize(
    "schema",
    [
        {"oneOf": [INTEGER, {"type": "number"}]},
        STRING | {"format": "moon"},
        STRING | {"pattern": "a(?=b)"},
        OWN | {"minProperties": 1},
        INTEGER | {"const": "a"},
    ],
)
def test_what_the_engine_can_not_enforce_it_refuses_itself(speller, schema):
    check_schema(json.dumps(schema))
    with pytest.raises(RuntimeError):
        speller.allows(schema, "1")


@pytest.mark.parametrize(
    ("keyword", "schema", "wrong"),
    [
        ("minlength", STRING | {"minlength": 3}, '"a"'),
        (
            "patternProperties",
            OWN | {"patternProperties": {"a": {"const": 2}}},
            '{"a":1}',
        ),
        ("contentEncoding", STRING | {"contentEncoding": "base64"}, '"!"'),
    ],
)
def test_what_is_refused_would_be_let_through(speller, keyword, schema, wrong):
    assert speller.allows(schema, wrong)
    with pytest.raises(UsageError, match=f"'{keyword}' at #/items of the schema can't be enforced"):
        check_schema(json.dumps({"type": "array", "items": schema}))


@pytest.mark.parametrize("bound", [{"maximum": -3}, {"exclusiveMaximum": 0}])
def test_multiples_of_negative_numbers_are_refused_for_they_would_be_left_out(speller, bound):
    schema = INTEGER | {"multipleOf": 5} | bound
    assert speller.allows(schema, "")
    with pytest.raises(UsageError, match="'multipleOf' of negative numbers at # of the schema"):
        check_schema(json.dumps(schema))


@pytest.mark.parametrize("keyword", ["uniqueItems", "not", "contains", "propertyNames", "if"])
def test_what_the_engine_has_not_implemented_is_refused_by_name_and_place(keyword):
    with pytest.raises(UsageError, match=f"'{keyword}' at # of .*; leave it out; enforced are"):
        check_schema(json.dumps({keyword: {}}))
