"""What each engine makes of a schema's grammar: it lets right answers through and no wrong ones."""

from __future__ import annotations

import pytest
from speller import ONNXSpeller, OpenVINOSpeller

from aipc.generate.structured.constraint import constrain
from aipc.generate.structured.tool_format import format_of
from aipc.generate.structured.tools import choose_tools

INTEGER = {"type": "integer"}
NUMBER = {"type": "number"}
STRING = {"type": "string"}
NUMBERS = {"type": "object", "additionalProperties": INTEGER}
OWN = {"type": "object", "properties": {"a": INTEGER}}
TREE = {
    "type": "object",
    "properties": {"v": INTEGER, "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
    "required": ["v"],
}
TAGGED = {
    "oneOf": [
        {"type": "object", "properties": {"t": {"const": tag}, tag: INTEGER}, "required": ["t"]}
        for tag in ("a", "b")
    ]
}
DECIMAL = r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$"
CASES = [
    (INTEGER, "-5", "5.5"),
    (INTEGER, "1234567890123456", "12345678901234567"),
    (INTEGER | {"minimum": 1 - 2**53, "maximum": 2**53 - 1}, f"{2**53 - 1}", f"{2**53}"),
    (INTEGER | {"exclusiveMinimum": 0, "maximum": 2**53 - 1}, "1", "0"),
    (INTEGER | {"minimum": 3, "maximum": 12}, "7", "13"),
    (INTEGER | {"exclusiveMinimum": 3, "maximum": 12}, "4", "3"),
    (INTEGER | {"minimum": 1900}, "1900", "55"),
    (INTEGER | {"maximum": -2}, "-4", "-1"),
    (INTEGER | {"exclusiveMaximum": -1}, "-2", "-1"),
    (INTEGER | {"minimum": 30, "exclusiveMinimum": 20}, "30", "25"),
    (INTEGER | {"multipleOf": 5}, "-10", "7"),
    (INTEGER | {"minimum": 1000000, "multipleOf": 100}, "1000100", "1000150"),
    (NUMBER | {"minimum": 0, "maximum": 1}, "0.5", "1.457"),
    (NUMBER | {"minimum": 0, "maximum": 1}, "1.0", "-0.5"),
    (NUMBER | {"exclusiveMinimum": 0, "exclusiveMaximum": 1}, "0.01", "0.00"),
    (NUMBER | {"minimum": -273.15}, "-273.15", "-273.16"),
    (NUMBER | {"exclusiveMaximum": 2.5}, "2.49", "2.5"),
    (NUMBER | {"multipleOf": 0.25}, "3.75", "3.8"),
    (NUMBER, "-1.5e10", "1e400"),
    ({"minimum": 3}, "3.5", "1"),
    ({"type": ["integer", "null"], "minimum": 0}, "null", "-1"),
    (STRING | {"minLength": 2, "maxLength": 3}, '"ab"', '"a"'),
    (STRING | {"maxLength": 3}, '"aé"', '"abcd"'),
    (STRING | {"maxLength": 40}, '"' + 40 * "a" + '"', '"' + 41 * "a" + '"'),
    (STRING | {"maxLength": 100}, '"' + 100 * "b" + '"', '"' + 101 * "b" + '"'),
    (STRING | {"minLength": 100}, '"' + 100 * "b" + '"', '"' + 99 * "b" + '"'),
    (STRING | {"maxLength": 3}, '"a"', '"a\x0b"'),
    (STRING, r'"a\né \"x\""', '"a\n"'),
    (STRING | {"pattern": "^[a-z]+$"}, '"ab"', '"ab1"'),
    (STRING | {"pattern": "b"}, '"abc"', '"ac"'),
    (STRING | {"pattern": "a|b"}, '"xb"', '"xc"'),
    (STRING | {"pattern": "^[^a-z]{2}$"}, '"A\\""', '"A""'),
    (STRING | {"pattern": "a.c"}, '"a\\"c"', '"a"c"'),
    (STRING | {"pattern": r"^\S+$"}, '"ab"', '"a b"'),
    (STRING | {"pattern": r"^\p{Lu}"}, '"Éa"', '"éa"'),
    (STRING | {"pattern": "^[a-z]+$", "maxLength": 3}, '"abc"', '"abcd"'),
    (STRING | {"pattern": r"^(?=.*[A-Z])(?=.*\d).{4,}$"}, '"xA12"', '"xa12"'),
    (STRING | {"pattern": DECIMAL}, '"-1.5"', '"-."'),
    (STRING | {"format": "date"}, '"2020-02-29"', '"2021-02-29"'),
    (STRING | {"format": "email", "pattern": "@x[.]org$"}, '"a@x.org"', '"a@y.org"'),
    (STRING | {"format": "email", "maxLength": 8}, '"a@xy.org"', '"ab@xy.org"'),
    (STRING | {"not": {"enum": ["a"]}}, '"b"', '"a"'),
    ({"type": ["string", "null"], "format": "date"}, "null", '"x"'),
    (STRING | {"enum": ["größe", 3]}, '"größe"', "3"),
    ({"enum": ["a", "abcd"], "maxLength": 2}, '"a"', '"abcd"'),
    ({"const": 1, "enum": [1, 2]}, "1", "2"),
    ({"const": {"a": 1}}, '{"a": 1}', '{"a": 2}'),
    ({"anyOf": [INTEGER, STRING]}, "1", "true"),
    ({"anyOf": [INTEGER, STRING], "type": "string"}, '"a"', "1"),
    (TAGGED, '{"t":"a","a":1}', '{"t":"a","b":1}'),
    ({"allOf": [STRING, {"maxLength": 3}]}, '"abc"', '"abcd"'),
    ({"$ref": "#/$defs/a", "maxLength": 3, "$defs": {"a": STRING}}, '"abc"', '"abcd"'),
    ({"if": OWN, "then": {"required": ["a"]}, **OWN}, '{"a":1}', "{}"),
    ({"type": "array", "items": INTEGER, "minItems": 2}, "[1, 2]", "[1]"),
    ({"type": "array", "items": INTEGER, "maxItems": 1}, "[1]", "[1,2]"),
    ({"type": "array", "items": INTEGER, "maxItems": 100}, "[1,2,3]", '[1,"a"]'),
    ({"type": "array", "prefixItems": [INTEGER], "items": STRING}, '[1,"a"]', "[1,2]"),
    ({"items": [INTEGER, STRING], "additionalItems": False}, '[1,"a"]', '[1,"a",2]'),
    ({"type": "array", "items": {"enum": [1, 2, 3]}, "uniqueItems": True}, "[3,1]", "[1,1]"),
    ({"items": {"enum": [*"abcdef"]}, "uniqueItems": True}, '["a","c"]', '["a","a"]'),
    ({"type": "object"}, '{"a": {"b": [1, null]}}', "[1]"),
    ({}, '[{"a": true}]', "[{]"),
    (OWN, '{"a":1}', '{"a":"x"}'),
    (OWN, '{\n  "a": 1\n}', '{\n\n"a":1}'),
    (OWN, '{"a": 1}', '{"a":  1}'),
    (OWN | {"required": ["a"]}, '{"a":1}', "{}"),
    (OWN | {"additionalProperties": False}, '{"a":1}', '{"b":1}'),
    (OWN | {"additionalProperties": True}, '{"a":1,"b":"x"}', '{"a":"x"}'),
    (OWN | {"additionalProperties": STRING}, '{"a":1,"ab":"x"}', '{"a":1,"a":"x"}'),
    (OWN | {"patternProperties": {"^x_": STRING}}, '{"x_1":"a"}', '{"y":"a"}'),
    (
        {"allOf": [OWN | {"required": ["a"]}], "unevaluatedProperties": False},
        '{"a":1}',
        '{"a":1,"b":1}',
    ),
    (
        {"type": "object", "patternProperties": {"^[ab]{1,2}$": INTEGER, "^[ab]{1,3}$": INTEGER}},
        '{"aab":1}',
        '{"aab":true}',
    ),
    (NUMBERS, '{"b":1}', '{"b":"x"}'),
    (NUMBERS | {"propertyNames": {"pattern": "^[a-z]{2}$"}}, '{"ab":1}', '{"a":1}'),
    (NUMBERS | {"propertyNames": {"enum": ["k"]}}, '{"k":1}', '{"b":1}'),
    (NUMBERS | {"minProperties": 1}, '{"b":1}', "{}"),
    (NUMBERS | {"maxProperties": 1}, '{"b":1}', '{"b":1,"c":1}'),
    ({"type": "object", "required": ["a"]}, '{"a":1}', "{}"),
    ({"properties": {"a": {}, "b": {}}, "dependentRequired": {"a": ["b"]}}, '{"b":1}', '{"a":1}'),
    (TREE, '{"v":1,"next":{"v":2,"next":null}}', '{"v":1,"next":{}}'),
]  # fmt: skip


@pytest.fixture(scope="module")
def openvino_speller(tiny_artifact):
    return OpenVINOSpeller(tiny_artifact("llama-gqa")[0])


@pytest.fixture(scope="module")
def onnx_speller(tiny_onnx):
    return ONNXSpeller(tiny_onnx("llama-gqa")[0])


@pytest.mark.parametrize(("schema", "right", "wrong"), CASES)
def test_openvino_allows_what_fits_and_nothing_else(openvino_speller, schema, right, wrong):
    grammar = constrain(schema).constraint.grammar
    assert openvino_speller.allows(grammar, right)
    assert not openvino_speller.allows(grammar, wrong)


@pytest.mark.parametrize(("schema", "right", "wrong"), CASES)
def test_onnx_allows_what_fits_and_nothing_else(onnx_speller, schema, right, wrong):
    constraint = constrain(schema).constraint
    assert onnx_speller.allows(constraint, right)
    assert not onnx_speller.allows(constraint, wrong)


@pytest.mark.parametrize("template", ["<tool_call> <function-name>", None])
def test_a_call_or_an_answer_that_fits(openvino_speller, onnx_speller, template):
    form = format_of(template)
    function = {"name": "f", "parameters": OWN | {"required": ["a"]}}
    box = choose_tools([{"type": "function", "function": function}], "auto")
    constraint = box.enforced(form, {"type": "object", "required": ["x"]}).constraint
    call = form.write([{"name": "f", "arguments": {"a": 1}}])
    wrong = form.write([{"name": "f", "arguments": {"a": "b"}}])
    for allows in (
        lambda answer: openvino_speller.allows(constraint.grammar, answer),
        lambda answer: onnx_speller.allows(constraint, answer),
    ):
        assert allows(call)
        assert allows('{"x": 1}')
        assert not allows(wrong)
        assert not allows("{}")
