from __future__ import annotations

import json

import pytest
from speller import OpenVINOSpeller

from aipc.errors import UsageError
from aipc.runtimes.openvino.schema import check_schema, risky_piece, written

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
INTEGER = {"type": "integer"}
STRING = {"type": "string"}
NUMBERS = {"type": "object", "additionalProperties": INTEGER}
OWN = {"type": "object", "properties": {"a": INTEGER}}


@pytest.fixture(scope="module")
def speller(tiny_artifact):
    return OpenVINOSpeller(tiny_artifact("llama-gqa")[0])


@pytest.mark.parametrize("schema", [{}, {"type": "object"}, PERSON, {"const": 3}])
def test_what_is_enforced_is_taken(schema):
    check_schema(json.dumps(schema))


@pytest.mark.parametrize(
    ("schema", "right", "wrong"),
    [
        (INTEGER, "5", "5.5"),
        (INTEGER | {"minimum": 3, "maximum": 12}, "7", "13"),
        (INTEGER | {"exclusiveMinimum": 3, "maximum": 12}, "4", "3"),
        (INTEGER | {"minimum": 0}, "0", "-1"),
        (INTEGER | {"exclusiveMinimum": 0}, "1", "0"),
        (INTEGER | {"minimum": 10}, "10", "5"),
        (INTEGER | {"maximum": 37}, "9", "38"),
        (INTEGER | {"maximum": -1}, "-1", "0"),
        ({"type": ["integer", "null"], "minimum": 0}, "null", "-1"),
        (STRING | {"minLength": 2, "maxLength": 3}, '"ab"', '"a"'),
        (STRING | {"pattern": "^[a-z]+$"}, '"ab"', '"ab1"'),
        (STRING | {"format": "date"}, '"2020-01-02"', '"abc"'),
        ({"type": ["string", "null"], "format": "date"}, "null", '"x"'),
        (STRING | {"enum": ["a", "b"]}, '"b"', '"c"'),
        ({"const": {"a": 1}}, '{"a":1}', '{"a":2}'),
        ({"anyOf": [INTEGER, STRING]}, "1", "true"),
        ({"allOf": [INTEGER]}, "1", "true"),
        ({"$ref": "#/$defs/a", "$defs": {"a": INTEGER}}, "1", "true"),
        ({"type": "array", "items": INTEGER, "minItems": 2}, "[1,2]", "[1]"),
        ({"type": "array", "items": INTEGER, "maxItems": 1}, "[1]", "[1,2]"),
        ({"type": "array", "prefixItems": [INTEGER], "items": STRING}, '[1,"a"]', "[1,2]"),
        (OWN, '{"a":1}', '{"a":"x"}'),
        (OWN | {"required": ["a"]}, '{"a":1}', "{}"),
        (NUMBERS, '{"b":1}', '{"b":"x"}'),
        (NUMBERS | {"properties": {"a": INTEGER}}, '{"b":1}', '{"a":"x"}'),
        (NUMBERS | {"minProperties": 1}, '{"b":1}', "{}"),
        (NUMBERS | {"maxProperties": 1}, '{"b":1}', '{"b":1,"c":1}'),
        ({"type": "object"}, '{"a":{"b":[1]}}', "[1]"),
    ],
)
def test_what_is_taken_is_enforced(speller, schema, right, wrong):
    check_schema(json.dumps(schema))
    assert speller.allows(schema, right)
    assert not speller.allows(schema, wrong)


@pytest.mark.parametrize(
    ("schema", "wrong", "message"),
    [
        ({"not": INTEGER}, "1", "'not' without a type"),
        ({"oneOf": [INTEGER, {"type": "number"}]}, "1", "'oneOf' without a type"),
        (INTEGER | {"multipleOf": 7}, "8", "'multipleOf' beside type integer"),
        ({"minLength": 3}, '"ab"', "'minLength' without a type"),
        ({"type": "number", "minimum": 0, "maximum": 1}, "1.457", "'maximum' beside type number"),
        ({"type": ["integer", "number"], "minimum": 3}, "1", "'minimum' of a number"),
        (INTEGER | {"minimum": 2}, "1", "'minimum' without a bound on the other side"),
        (INTEGER | {"minimum": 9}, "8", "'minimum' without a bound on the other side"),
        (INTEGER | {"exclusiveMinimum": 1}, "1", "'exclusiveMinimum' without a bound"),
        (INTEGER | {"minimum": -3}, "-", "'minimum' without a bound on the other side"),
        (INTEGER | {"minimum": 14, "maximum": 1014}, "1015", "'maximum' so far from the other"),
        (INTEGER | {"maximum": -2}, "-1", "'maximum' without a bound on the other side"),
        (INTEGER | {"maximum": -12}, "-11", "'maximum' without a bound on the other side"),
        (INTEGER | {"exclusiveMaximum": -1}, "-1", "'exclusiveMaximum' without a bound"),
        (INTEGER | {"minimum": 30, "exclusiveMinimum": 20}, "25", "beside 'exclusiveMinimum'"),
        ({"type": "array", "items": INTEGER, "uniqueItems": True}, "[1,1]", "'uniqueItems' beside"),
        (STRING | {"minLength": 3, "pattern": "a*"}, '"a"', "pattern and lengths together"),
        (STRING | {"format": "moon"}, '"x"', "'format' 'moon'"),
        (STRING | {"pattern": "a.c"}, '"a"c"', r"'\.' in the pattern"),
        (STRING | {"pattern": "[^a]"}, '"""', r"'\[\^a\]' in the pattern"),
        (STRING | {"pattern": "a^b"}, '"ab"', r"'\^' in the pattern"),
        (STRING | {"pattern": "a|b"}, '"a', r"'\|' in the pattern"),
        (
            {"$ref": "#/$defs/a", "maxLength": 3, "$defs": {"a": STRING}},
            '"abcd"',
            r"'maxLength' beside '\$ref'",
        ),
        (STRING | {"enum": ["a", 3]}, "3", "3, which is not of the type string,"),
        (INTEGER | {"const": True}, "true", "True, which is not of the type integer,"),
        ({"enum": ["a"], "minLength": 3}, '"a"', "'minLength' beside 'enum'"),
        ({"enum": ["a"], "pattern": "b"}, '"a"', "'pattern' beside 'enum'"),
        ({"enum": ["a"], "const": "b"}, '"b"', "'enum' beside 'const'"),
        ({"anyOf": [INTEGER], "type": "string"}, "1", "'type' beside 'anyOf'"),
        ({"anyOf": [{}], **OWN}, '{"a":"x"}', "'properties' beside 'anyOf'"),
        ({"allOf": [STRING, {"maxLength": 3}]}, '"abcd"', "'allOf' with more than one part"),
        ({"$ref": "other.json"}, "1", r"'\$ref' to another document .other.json"),
        ({"type": "object", "required": ["x"]}, "{}", "'required' for 'x'"),
        (OWN | {"additionalProperties": True}, '{"a":"x"}', "'additionalProperties' beside"),
        (
            OWN | {"additionalProperties": STRING, "required": ["a"]},
            '{"a":1,"a":"x"}',
            "'additionalProperties' beside",
        ),
    ],
)
def test_what_is_refused_would_be_let_through(speller, schema, wrong, message):
    assert speller.allows(schema, wrong)
    with pytest.raises(UsageError, match=f"{message}.* at # of the schema can't be enforced by"):
        check_schema(json.dumps(schema))
    within = {"type": "array", "items": schema}
    with pytest.raises(UsageError, match=f"{message}.* at #/items of the schema"):
        check_schema(json.dumps(within))


@pytest.mark.parametrize("lengths", [{"maxLength": 3}, {"minLength": 2, "maxLength": 3}])
def test_lengths_are_written_so_that_the_text_stays_json(speller, lengths):
    schema = {"type": "array", "items": {"type": ["string", "null"], **lengths}}
    safe = json.loads(written(json.dumps(schema)))
    for answer in ('["aé"]', '["a [", null]'):
        assert speller.allows(safe, answer)
    for answer in ('["abcd"]', '["a\x0b"]', '["a\t"]', '["a""]', '["a\\"]'):
        assert not speller.allows(safe, answer)
    assert speller.allows(schema, '["a\x0b"]')


@pytest.mark.parametrize(("least", "most"), [(4, 154), (-1, 100), (-133, -123), (1900, 2100)])
def test_integers_of_many_digits_are_written_one_by_one(speller, least, most):
    schema = INTEGER | {"minimum": least, "exclusiveMaximum": most + 1}
    check_schema(json.dumps(schema))
    safe = json.loads(written(json.dumps(schema)))
    assert all(speller.allows(safe, str(value)) for value in (least, most))
    assert not any(speller.allows(safe, str(value)) for value in (least - 1, most + 1))


def test_a_least_length_alone_is_written_too(speller):
    safe = json.loads(written(json.dumps(STRING | {"minLength": 2})))
    assert speller.allows(safe, '"abc"')
    assert not speller.allows(safe, '"a"')


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "text"}, "no type is called 'text' at #"),
        ({"type": []}, "no type is called"),
        ({"type": "object", "properties": []}, "'properties' in the schema is no object"),
        ({"type": "object", "required": "a"}, "'required' at # of the schema is no list of names"),
        ({"allOf": 3}, "'allOf' in the schema is no filled list: 3"),
        ({"anyOf": 3}, "'anyOf' in the schema is no filled list: 3"),
        ({"type": "array", "items": 1}, "#/items in the schema is no schema: 1"),
        ({"$ref": 1}, "malformed"),
        (INTEGER | {"minimum": "a"}, "malformed"),
        (STRING | {"pattern": 1}, "malformed"),
    ],
)
def test_what_is_malformed_is_refused_by_name(schema, message):
    with pytest.raises(UsageError, match=message):
        check_schema(json.dumps(schema))


@pytest.mark.parametrize("text", ["{", "[]", "true", "[" * 100_000])
def test_what_is_no_schema_is_refused(text):
    with pytest.raises(UsageError):
        check_schema(text)


def test_depth_alone_overflows_nothing():
    check_schema('{"type": "array", "items": ' * 500 + "{}" + "}" * 500)


@pytest.mark.parametrize(
    "pattern",
    [
        "^[A-C]{2}[0-9]$",
        r"^\d{4}-\d{2}$",
        r"(?:yes|no) \(\w+\)",
        r"[a-z.\-\[ ]+",
        r"[]",
        "größe",
        "^(?:^a|b$)(c|d)$",
        r"a\|b[|]",
    ],
)
def test_patterns_that_match_plain_characters_are_sound(pattern):
    assert risky_piece(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "piece"),
    [
        ("a.c", "."),
        ("[^a-z]", "[^a-z]"),
        ("[ -~]", "[ -~]"),
        ("[A-z]", "[A-z]"),
        ('"', '"'),
        ("[\"']", "[\"']"),
        (r"\\", r"\\"),
        (r"[a\\]", r"[a\\]"),
        (r"\s", r"\s"),
        (r"[\D]", r"[\D]"),
        (r"\u0022", r"\u"),
        (r"\x22", r"\x"),
        ("(?=a)b", "(?="),
        ("(?<name>a)", "(?<"),
        ("\n", "\n"),
        ("[a", "["),
        ("a\\", "\\"),
        ("a^b", "^"),
        ("a$b", "$"),
        ("a|b", "|"),
        ("^(a)|(b)$", "|"),
    ],
)
def test_what_may_match_what_json_escapes_or_is_passed_over_is_found(pattern, piece):
    assert risky_piece(pattern) == piece
