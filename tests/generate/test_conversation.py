from __future__ import annotations

import json

import pytest

from aipc.errors import GenerationError, UsageError
from aipc.generate.conversation import arrange
from aipc.generate.structured.tool_format import format_of
from aipc.generate.template import ChatTemplate

TOOL = {
    "type": "function",
    "function": {"name": "weather", "description": "", "parameters": {"type": "object"}},
}
CALL_ID = "call_from_elsewhere"
CALL = {
    "id": CALL_ID,
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city": "Paris"}'},
}
CONVERSATION = [
    {"role": "user", "content": "Weather in Paris?"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": CALL_ID, "content": "sunny"},
]
# What matters of each family's template: how it reads tools, calls and results.
HERMES = (
    "{# <function-name> #}{% if tools %}{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}"
    "{% endif %}{% for message in messages %}{{ message.role }}: {{ message.content }}"
    "{% for call in message.tool_calls %}<tool_call>\n{{ call.function.name }} "
    "{{ call.function.arguments | tojson }}\n</tool_call>{% endfor %}\n{% endfor %}"
)
LLAMA = (
    '{# {"name": function name, "parameters": dictionary of argument name and its value} #}'
    "{% for message in messages %}{% if 'tool_calls' in message %}"
    "{% if message.tool_calls | length != 1 %}{{ raise_exception('single tool-calls') }}{% endif %}"
    "assistant: {{ message.tool_calls[0].function.arguments | tojson }}\n"
    "{% else %}{{ message.role }}: {{ message.content }}\n{% endif %}{% endfor %}"
)
PHI_4_MINI = (
    "{% for message in messages %}{% if message['role'] == 'system' and 'tools' in message %}"
    "{{ message['content'] + '<|tool|>' + message['tools'] + '<|/tool|>' }}"
    "{% else %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endif %}{% endfor %}"
)
MISTRAL = (
    "{% if tools %}[AVAILABLE_TOOLS]{{ tools | tojson }}[/AVAILABLE_TOOLS]{% endif %}"
    "{% for message in messages %}{% if message.tool_calls is defined %}"
    "{% for call in message.tool_calls %}{% if call.id | length != 9 %}"
    "{{ raise_exception('length 9!') }}{% endif %}[TOOL_CALLS]{{ call.id }}{% endfor %}"
    "{% elif message.role == 'tool' %}{% if message.tool_call_id | length != 9 %}"
    "{{ raise_exception('length 9!') }}{% endif %}[TOOL_RESULTS]{{ message.tool_call_id }}"
    "{% else %}{{ message.content }}{% endif %}{{ '\n' }}{% endfor %}"
)
CHATML = (
    "{% for message in messages %}"
    "{{ message['role'] + ': ' + message['content'] + '\n' }}{% endfor %}"
)


def render(source, messages, tools=()):
    template = ChatTemplate(source, {})
    form = template.tool_format
    shown = tools if form.shown == "template" else ()
    return template.render(arrange(messages, form, tools), tools=shown)


def user(content):
    return [{"role": "user", "content": content}]


def test_arguments_reach_a_template_as_an_object_and_missing_content_as_none():
    text = render(HERMES, CONVERSATION, [TOOL])
    assert json.dumps(TOOL) in text
    assert 'assistant: <tool_call>\nweather {"city": "Paris"}\n</tool_call>' in text
    assert "tool: sunny" in text


def test_several_calls_are_told_one_by_one_to_a_template_that_takes_no_more():
    second = {**CALL, "id": "2", "function": {"name": "weather", "arguments": {"city": "Rome"}}}
    text = render(
        LLAMA,
        [
            CONVERSATION[0],
            {"role": "assistant", "tool_calls": [CALL, second]},
            {"role": "tool", "tool_call_id": CALL_ID, "content": "sunny"},
            {"role": "tool", "tool_call_id": "2", "content": "rain"},
            *user("And?"),
        ],
    )
    assert text.splitlines()[1:] == [
        'assistant: {"city": "Paris"}',
        "tool: sunny",
        'assistant: {"city": "Rome"}',
        "tool: rain",
        "user: And?",
    ]


def test_phi_4_mini_reads_tools_from_the_system_message():
    text = render(PHI_4_MINI, [{"role": "system", "content": "Be brief."}, *CONVERSATION], [TOOL])
    assert text.startswith('Be brief.<|tool|>[{"name": "weather", "description": "", "parameters"')
    assert '<|assistant|><|tool_call|>[{"name": "weather", "arguments": {"city": "Paris"}}]' in text
    assert text.endswith("<|/tool_call|><|end|><|tool_response|>sunny<|end|>")


def test_mistral_gets_ids_of_its_own_length_that_still_belong_together():
    text = render(MISTRAL, CONVERSATION, [TOOL])
    call, result = text.splitlines()[-2:]
    assert call.removeprefix("[TOOL_CALLS]") == result.removeprefix("[TOOL_RESULTS]")
    kept = [{**CONVERSATION[1], "tool_calls": [{**CALL, "id": "abcDEF123"}]}]
    assert "[TOOL_CALLS]abcDEF123" in render(MISTRAL, kept)


def test_a_template_without_tools_is_told_in_words():
    text = render(CHATML, [{"role": "developer", "content": "Be brief."}, *CONVERSATION], [TOOL])
    assert text.startswith("system: Be brief.\n\nYou can call functions.")
    assert json.dumps([TOOL["function"]]) in text
    assert (
        'assistant: <tool_call>[{"name": "weather", "arguments": {"city": "Paris"}}]</tool_call>\n'
        "user: <tool_response>sunny</tool_response>\n"
    ) in text


def test_results_in_a_row_are_one_message_since_roles_have_to_alternate():
    result = {"role": "tool", "tool_call_id": "1", "content": "sunny"}
    form = format_of(None)
    turns = arrange([*CONVERSATION, result, *user("And?")], form)
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user", "user"]
    assert turns[2]["content"].count("sunny") == 2


def test_without_tools_nothing_is_said_of_them():
    assert render(CHATML, user("Hello")) == "user: Hello\n"


def test_parts_of_text_are_joined():
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    assert render(CHATML, user(parts)) == "user: one\ntwo\n"


@pytest.mark.parametrize(
    ("message", "error", "reason"),
    [
        ({"content": [{"type": "image_url", "image_url": {}}]}, UsageError, "'image_url'.*images"),
        ({"content": ["text"]}, UsageError, "images, sound and files are not supported"),
        ({"content": 42}, GenerationError, "neither text nor a list"),
        ({"tool_calls": ["weather"]}, GenerationError, "names no function"),
    ],
)
def test_what_can_not_be_told_to_a_model_is_refused(message, error, reason):
    with pytest.raises(error, match=reason):
        render(CHATML, [{"role": "assistant", **message}])


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("", {}),
        ("null", {}),
        (None, {}),
        ('{"city": "Rome"}', {"city": "Rome"}),
        ('{"city": "Ro', {"INVALID_JSON": '{"city": "Ro'}),
        ("[1]", {"INVALID_JSON": "[1]"}),
        ([1], {"INVALID_JSON": [1]}),
    ],
)
@pytest.mark.parametrize("source", [HERMES, LLAMA, PHI_4_MINI, CHATML])
def test_arguments_that_a_model_wrote_wrongly_are_told_to_it_as_an_object(source, written, told):
    call = {"id": "1", "function": {"name": "weather", "arguments": written}}
    text = render(source, [{"role": "assistant", "tool_calls": [call]}])
    assert json.dumps(told) in text


def test_ids_that_begin_anew_in_each_turn_do_not_mix_up_results():
    calls = [{**CALL, "id": f"call_{n}"} for n in (0, 1)]
    turns = [
        {"role": "assistant", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_1", "content": "b"},
        {"role": "tool", "tool_call_id": "call_0", "content": "a"},
        {"role": "user", "content": "again"},
        {"role": "assistant", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_0", "content": "c"},
        {"role": "tool", "tool_call_id": "lost", "content": "d"},
    ]
    told = arrange(turns, format_of(LLAMA))
    assert [
        turn["tool_calls"][0]["id"] if "tool_calls" in turn else turn["content"] for turn in told
    ] == ["call_1", "b", "call_0", "a", "again", "call_0", "c", "call_1", "d"]


def test_the_caller_s_messages_stay_as_they_are():
    before = json.dumps(CONVERSATION)
    for source in (HERMES, LLAMA, PHI_4_MINI, MISTRAL, CHATML):
        render(source, CONVERSATION, [TOOL])
    assert json.dumps(CONVERSATION) == before
