from __future__ import annotations

import json
import random

import pytest

from aipc.generate.events import ToolCall
from aipc.generate.structured.call_reader import CallReader
from aipc.generate.structured.tool_format import format_of

SIGNS = {
    "hermes": "<tool_call> <function-name>",
    "llama": '{"name": function name, "parameters": dictionary of argument name and its value}',
    "phi-4-mini": "message['tools'] <|tool|>",
    "mistral": "[AVAILABLE_TOOLS] [TOOL_CALLS]",
    "told": "",
}
FORMS = {name: format_of(sign) for name, sign in SIGNS.items()}
NAMES = frozenset({"weather", "now"})
WEATHER = ("weather", {"city": "Größe </tool_call> {[\"'\\😀"})
NOW = ("now", {})
FUNCTIONS = [{"name": name, "arguments": arguments} for name, arguments in (WEATHER, NOW)]


def read(form, pieces):
    """Text and calls, neighboring texts joined."""
    reader = CallReader(form, NAMES)
    parts = [part for piece in pieces for part in reader.feed(piece)] + reader.finish()
    found = []
    for part in parts:
        if isinstance(part, ToolCall):
            found.append((part.name, json.loads(part.arguments)))
        elif found and isinstance(found[-1], str):
            found[-1] += part
        else:
            found.append(part)
    assert reader.calls == sum(isinstance(part, ToolCall) for part in parts)
    return found


def cut(source, text):
    """``text`` in pieces of one to five characters."""
    pieces = []
    while text:
        size = source.randint(1, 5)
        pieces.append(text[:size])
        text = text[size:]
    return pieces


@pytest.mark.parametrize("name", FORMS)
def test_what_a_family_writes_is_read_back(name):
    form = FORMS[name]
    assert form.name == name
    assert read(form, [form.write(FUNCTIONS)]) == [WEATHER, NOW]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hermes", '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'),
        ("hermes", '<tool_call>{"name": "now", "arguments": "{}"}</tool_call>'),
        ("hermes", '<tool_call>[{"name": "now"}]</tool_call>\n'),
        ("hermes", '\n<tool_call>{"name": "now", "arguments": {}}'),
        ("llama", '{"name": "now", "parameters": {}}'),
        ("llama", '<|python_tag|>{"name": "now", "parameters": {}}'),
        ("phi-4-mini", '<|tool_call|>[{"name": "now", "arguments": {}}]<|/tool_call|>'),
        ("phi-4-mini", '<|tool_call|>[{"name": "now", "arguments": {}}]'),
        ("mistral", '[TOOL_CALLS] [{"name": "now", "arguments": {}, "id": "abcdefghi"}]'),
        ("told", '<tool_call>[{"name": "now", "arguments": {}}]</tool_call>'),
    ],
)
def test_one_call_in_each_family_s_own_words(name, text):
    assert read(FORMS[name], [text]) == [NOW]


@pytest.mark.parametrize(
    "text",
    [
        "no call at all",
        " \n ",
        "a < b, <tool, and <tool_cal",
        "<tool_call>now()</tool_call> is no JSON",
        '<tool_call>{"name": "rm", "arguments": {}}</tool_call>',
        '<tool_call>{"name": ["now"], "arguments": {}}</tool_call>',
        '<tool_call>{"name": "now", "arguments": [1]}</tool_call>',
        '<tool_call>{"name": "now", "arguments": {"a": NaN}}</tool_call>',
        '<tool_call>{"name": "now", "arguments": {}} and more</tool_call>',
        '<tool_call>{"name": "now", "argum',
        "<tool_call></tool_call>",
        "<tool_call>[]</tool_call>",
        "<tool_call>" + "[" * 100_000,
        '<tool_call>"</tool_call>',
    ],
)
def test_what_is_no_call_stays_text(text):
    assert "".join(read(FORMS["hermes"], [text])) == text


@pytest.mark.parametrize(
    "text", ["{}", '{"answer": 42}', "[1] says the source", '{"name": "now", "par', "{ hello"]
)
def test_json_that_is_no_bare_call_stays_text(text):
    assert read(FORMS["llama"], [text]) == [text]


def test_text_before_a_call_is_given_at_once_and_the_call_when_it_is_whole():
    reader = CallReader(FORMS["hermes"], NAMES)
    assert reader.feed("Let me look. <tool") == ["Let me look. "]
    assert reader.feed('_call>{"name": "now",') == []
    assert reader.feed(' "arguments": {}}</tool_call') == []
    (call,) = reader.feed(">")
    assert (call.name, call.arguments) == ("now", "{}")
    assert reader.finish() == []


def test_text_around_calls_is_kept_and_blanks_between_calls_are_not():
    call = '<tool_call>{"name": "now", "arguments": {}}</tool_call>'
    assert read(FORMS["hermes"], [f"One. {call}\n{call}\n Two.\n"]) == [
        "One. ",
        NOW,
        NOW,
        "\n Two.\n",
    ]
    assert read(FORMS["hermes"], [f"\n{call}\n"]) == [NOW]


def test_several_bare_calls():
    call = '{"name": "now", "parameters": {}}'
    assert read(FORMS["llama"], [f"{call}; {call}\n{call}"]) == [NOW, NOW, NOW]


def test_a_constrained_answer_is_the_call_itself():
    for form in FORMS.values():
        reader = CallReader.of_constrained(form, NAMES)
        body = {"name": "now", form.arguments: {}}
        (call,) = reader.feed(json.dumps([body] if form.listed else body, indent=1))
        assert (call.name, call.arguments) == ("now", "{}")


def test_every_call_has_an_id_of_its_own_that_every_template_takes():
    reader = CallReader(FORMS["told"], NAMES)
    ids = [call.id for call in reader.feed(FORMS["told"].write(FUNCTIONS * 50))]
    assert len(set(ids)) == 100
    assert all(len(each) == 9 and each.isalnum() for each in ids)


@pytest.mark.parametrize("name", FORMS)
def test_the_result_does_not_depend_on_how_the_text_is_cut(name):
    form, source = FORMS[name], random.Random(7)
    scraps = [
        *(form.write([function]) for function in FUNCTIONS),
        form.write(FUNCTIONS),
        form.begin,
        form.end,
        form.begin[:-2],
        '{"name": "now"',
        '"',
        "}",
        "\n",
        " ",
        "The answer is 42 [1]. ",
    ]
    for _ in range(300):
        text = "".join(source.choice(scraps) for _ in range(source.randint(0, 6)))
        whole = read(form, [text])
        assert read(form, cut(source, text)) == whole
        assert read(form, list(text)) == whole


@pytest.mark.parametrize("name", FORMS)
def test_text_without_the_marks_of_a_call_comes_through_unchanged(name, random_text):
    source = random.Random(11)
    for _ in range(100):
        text = "x" + random_text(source)
        assert "".join(read(FORMS[name], cut(source, text))) == text
