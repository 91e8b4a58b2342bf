from __future__ import annotations

import pytest

from aipc.errors import UsageError
from aipc.generate.grammar.values import misfit
from aipc.generate.structured.tool_format import format_of
from aipc.generate.structured.tools import choose_tools

CITY = {
    "type": "object",
    "properties": {"city": {"$ref": "#/$defs/City"}},
    "required": ["city"],
    "$defs": {"City": {"type": "string", "maxLength": 20}},
}


HERMES, OTHER = format_of("<tool_call> <function-name>"), format_of(None)


def tool(name, parameters=None, **others):
    return {"type": "function", "function": {"name": name, "parameters": parameters, **others}}


WEATHER = tool("weather", CITY, description="The weather in a city.", strict=True)
NOW = tool("now")


def test_tools_are_shown_as_plain_data_of_known_keys():
    shown = choose_tools([WEATHER, NOW], "auto").shown
    assert shown[0]["function"] == {
        "name": "weather",
        "description": "The weather in a city.",
        "parameters": CITY,
    }
    assert shown[1]["function"]["parameters"] == {"type": "object", "properties": {}}


def test_the_choice_says_which_are_shown_and_which_have_to_be_called():
    assert choose_tools([WEATHER, NOW], "none").shown == ()
    assert choose_tools([WEATHER, NOW], "auto").forced == ()
    assert choose_tools([WEATHER, NOW], "required").forced == ("weather", "now")
    assert choose_tools([WEATHER, NOW], "now").forced == ("now",)
    assert choose_tools([WEATHER, NOW], "now").names == {"weather", "now"}


@pytest.mark.parametrize(
    ("form", "choice", "right", "wrong"),
    [
        (HERMES, "weather", '{"name": "weather", "arguments": {"city": "Paris"}}', "{}"),
        (HERMES, "weather", '{"name": "weather", "arguments": {"city": ""}}', '{"name": "now"}'),
        (OTHER, "required", '[{"name": "now", "arguments": {}}]', '{"name": "now"}'),
        (OTHER, "required", '[{"name": "weather", "arguments": {"city": ""}}]', "[]"),
    ],
)
def test_a_forced_call_is_the_json_of_the_family(form, choice, right, wrong):
    """As a schema of its own; what engines let through of it is tried by the runtimes' tests."""
    box = choose_tools([WEATHER, NOW], choice)
    schema = box.enforced(form, None).schema
    assert misfit(right, schema) == ""
    assert misfit(wrong, schema)


def test_what_is_left_to_the_model_is_not_constrained():
    box = choose_tools([tool("odd", {"properties": {"n": {"minLength": 99_999}}})], "auto")
    assert box.enforced(format_of(None), None) is None
    assert box.reader(format_of(None)) is not None
    assert choose_tools([], "auto").reader(format_of(None)) is None


@pytest.mark.parametrize(
    ("tools", "choice", "reason"),
    [
        ([NOW], "later", "tool_choice is 'later', .* choose auto, none, required or one of: now"),
        ([], "required", "no such tool is offered"),
        ([NOW, NOW], "auto", "two tools are called 'now'"),
        ([{"type": "web_search"}], "auto", "a tool is no function"),
        (["now"], "auto", "a tool is no function"),
        (NOW, "auto", "tools are a list"),
        ([NOW] * 200, "auto", "at most 128"),
        ([tool("a b")], "auto", "can't be called 'a b'"),
        ([tool("f", description=3)], "auto", "description of the tool 'f' is no text"),
        ([tool("f", description="x" * 300_000)], "auto", "have 300,[0-9]+ characters"),
        ([tool("f", {"type": "string"})], "auto", "parameters of the tool 'f' are of the type"),
        ([tool("f", ["city"])], "auto", "parameters of the tool 'f': a schema is a JSON object"),
        ([tool("f", {"$ref": "http://a.org"})], "auto", "tool 'f': the schema refers to 'http"),
    ],
)
def test_tools_that_can_not_be_offered_are_refused(tools, choice, reason):
    with pytest.raises(UsageError, match=reason):
        choose_tools(tools, choice)


def test_parameters_beyond_a_limit_are_refused_where_they_would_have_to_be():
    box = choose_tools([tool("odd", {"properties": {"n": {"minLength": 99_999}}})], "odd")
    with pytest.raises(UsageError, match="the tool 'odd': 'minLength' at #/properties/n"):
        box.enforced(format_of(None), None)


def test_names_of_mcp_servers_tools_can_be_forced():
    names = ["files/read.text", "files.read-text", "files-read-text"]
    box = choose_tools([tool(name) for name in names], "required")
    schema = box.enforced(HERMES, None).schema
    calls = [call["properties"] for call in schema["anyOf"]]
    assert [call["name"]["const"] for call in calls] == names
    pointers = [call["arguments"]["$ref"] for call in calls]
    assert {f"#/$defs/{key}" for key in schema["$defs"]} == set(pointers)
    assert len(set(pointers)) == 3


def test_parameters_as_older_drafts_have_them_can_be_forced():
    city = {"$ref": "#/definitions/city"}
    old = {
        "properties": {"city": {"type": "string"}, "day": {"type": "string"}},
        "dependencies": {"day": {"properties": {"city": city}, "required": ["city"]}},
        "definitions": {"city": {"type": "string", "enum": ["Paris"]}},
    }
    schema = choose_tools([tool("weather", old)], "weather").enforced(HERMES, None).schema
    assert misfit('{"name": "weather", "arguments": {"city": "Rome"}}', schema) == ""
    assert misfit('{"name": "weather", "arguments": {"day": "now", "city": "Paris"}}', schema) == ""
    assert misfit('{"name": "weather", "arguments": {"day": "now", "city": "Rome"}}', schema)
