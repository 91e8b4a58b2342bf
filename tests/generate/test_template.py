from __future__ import annotations

import json

import pytest

from aipc.errors import GenerationError
from aipc.generate.conversation import arrange
from aipc.generate.template import MAX_SOURCE, ChatTemplate

CHATML = (
    "{% for message in messages %}"
    "{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant<|im_end|>\n' }}"
    "{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
PHI_3 = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{'<|system|>\n' + message['content'] + '<|end|>\n'}}"
    "{% elif message['role'] == 'user' %}{{'<|user|>\n' + message['content'] + '<|end|>\n'}}"
    "{% elif message['role'] == 'assistant' %}"
    "{{'<|assistant|>\n' + message['content'] + '<|end|>\n'}}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
)
LLAMA_3 = (
    "{% set loop_messages = messages %}{% for message in loop_messages %}"
    "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'"
    " + message['content'] | trim + '<|eot_id|>' %}"
    "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}"
    "{{ content }}{% endfor %}"
    "{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
LOOP_CONTROLS = """\
{%- set ns = namespace(system=none) %}
{%- macro turn(role, content) -%}
[{{ role|upper }}] {{ content }}
{% endmacro %}
{%- for message in messages %}
    {%- if message.role == 'system' %}
        {%- set ns.system = message.content %}
        {%- continue %}
    {%- endif %}
    {%- if message.role == 'stop' %}{% break %}{% endif %}

    {% if loop.first %}
first
    {% endif %}
    {%- if not loop.last %}
{{ turn(message.role, message.content) }}
    {%- else %}
{{- turn(message.role, (ns.system or '') ~ '\n' ~ message.content) }}
    {%- endif %}
{%- endfor %}
"""
TOJSON = (
    "{{ bos_token }}{% for message in messages %}{{ message | tojson }}\n"
    "{{ message | tojson(indent=2, sort_keys=true) }}{% endfor %}"
    "{% if tools is none and documents is none %}no tools{% endif %}"
)
GENERATION = (
    "{% for message in messages %}{% if message.role == 'assistant' %}"
    "{% set mark = 'outside' %}"
    "{% generation %}{% set mark = 'inside' %}{{ message.content }} {{ mark }}"
    "{% endgeneration %}{{ mark }}"
    "{% else %}{{ message.content }}{% endif %}\n{% endfor %}"
    "{{ missing }}{{ strftime_now('%Y') }} {{ eos_token }}"
)
TEMPLATES = {
    "chatml": CHATML,
    "phi-3": PHI_3,
    "llama-3": LLAMA_3,
    "loop controls": LOOP_CONTROLS,
    "tojson": TOJSON,
    "generation": GENERATION,
}
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}
CONVERSATIONS = [
    [{"role": "user", "content": "What is the capital of France?"}],
    [
        {"role": "system", "content": " Answer <b>briefly</b> & 'well'. "},
        {"role": "user", "content": "  Größe? 😀\n"},
        {"role": "assistant", "content": "1,80 m"},
        {"role": "user", "content": "<|end|>{{ 1 + 1 }}{% raw %}"},
    ],
]


def messages(*contents):
    return [{"role": "user", "content": content} for content in contents]


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("conversation", CONVERSATIONS)
@pytest.mark.parametrize("add_generation_prompt", [True, False])
def test_renders_as_transformers_does(
    byte_level_backend, name, conversation, add_generation_prompt
):
    from transformers import PreTrainedTokenizerFast

    theirs = PreTrainedTokenizerFast(tokenizer_object=byte_level_backend, **SPECIAL)
    expected = theirs.apply_chat_template(
        conversation,
        chat_template=TEMPLATES[name],
        tokenize=False,
        add_generation_prompt=add_generation_prompt,
    )
    ours = ChatTemplate(TEMPLATES[name], SPECIAL)
    assert ours.render(conversation, add_generation_prompt=add_generation_prompt) == expected
    assert len(expected) > 20


@pytest.mark.parametrize("content", ["The capital, of course, is", " It is\n\n", "<|end|>"])
@pytest.mark.parametrize("name", ["chatml", "phi-3", "llama-3"])
def test_an_answer_that_is_begun_stays_open(name, content):
    user = {"role": "user", "content": "The capital, of course, is where?"}
    template = ChatTemplate(TEMPLATES[name], SPECIAL)
    text = template.render_open([user, {"role": "assistant", "content": content}])
    asked = template.render([user])
    assert text.startswith(asked)
    assert text.removeprefix(asked).strip() == content.strip()
    assert text.endswith(content.lstrip())


@pytest.mark.parametrize(
    "last",
    [
        {"role": "user", "content": "Where?"},
        {"role": "assistant", "content": " "},
        {"role": "assistant", "content": "Wait", "tool_calls": []},
    ],
)
def test_what_is_no_beginning_of_an_answer_is_refused(last):
    template = ChatTemplate(CHATML, SPECIAL)
    with pytest.raises(GenerationError, match="no text of the assistant's"):
        template.render_open([{"role": "user", "content": "Where?"}, last])


def test_a_template_that_changes_the_begun_answer_is_told():
    template = ChatTemplate("{% for one in messages %}{{ one.content | upper }}{% endfor %}", {})
    with pytest.raises(GenerationError, match="does not write the last message as it is"):
        template.render_open([{"role": "assistant", "content": "so"}])


def test_folder_without_a_template_gives_none(tokenizer_folder):
    assert ChatTemplate.from_folder(tokenizer_folder, {}) is None
    (tokenizer_folder / "chat_template.jinja").write_text("{{ messages[0].content }}")
    template = ChatTemplate.from_folder(tokenizer_folder, {})
    assert template is not None
    assert template.render(messages("hello")) == "hello"


def test_template_that_refuses_says_why():
    template = ChatTemplate("{{ raise_exception('roles must alternate') }}", {})
    with pytest.raises(GenerationError, match="refuses this conversation: roles must alternate;"):
        template.render(messages("hello"))


BY_TURNS = (
    "{% if messages[0].role == 'system' %}{% set rest = messages[1:] %}"
    "{{ '[' + messages[0].content + ']' }}{% else %}{% set rest = messages %}{% endif %}"
    "{% for message in rest %}{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}"
    "{{ message.role + ':' + message.content + ';' }}{% endfor %}"
)
NO_SYSTEM = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + BY_TURNS
)
OUT_OF_TURN = [
    {"role": role, "content": content}
    for role, content in (
        ("system", "a"),
        ("developer", "b"),
        ("user", "c"),
        ("user", "d"),
        ("assistant", "e"),
        ("assistant", "f"),
        ("system", "g"),
        ("user", "h"),
    )
]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (BY_TURNS, "[a\n\nb]user:c\n\nd;assistant:e\n\nf;user:g\n\nh;"),
        (NO_SYSTEM, "user:a\n\nb\n\nc\n\nd;assistant:e\n\nf;user:g\n\nh;"),
    ],
)
def test_a_template_that_refuses_the_order_of_roles_is_told_by_turns(source, text):
    template = ChatTemplate(source, {})
    told = arrange(OUT_OF_TURN, template.tool_format)
    assert template.render(told) == text
    in_turn = [{"role": "user", "content": "x"}]
    assert template.render(in_turn) == "user:x;"


def test_calls_and_results_are_not_joined():
    template = ChatTemplate(BY_TURNS, {})
    calls = [{"function": {"name": "f", "arguments": {}}}]
    turns = [{"role": "assistant", "content": "x", "tool_calls": calls} for _ in range(2)]
    with pytest.raises(GenerationError, match="roles must alternate"):
        template.render([{"role": "user", "content": "x"}, *turns])


@pytest.mark.parametrize("source", ["{% for %}", "{{ 1 +", "{% nonsense %}"])
def test_template_that_is_none_is_refused(source):
    with pytest.raises(GenerationError, match="chat template is not valid"):
        ChatTemplate(source, {})


def test_template_that_is_too_long_is_refused_with_the_numbers():
    with pytest.raises(GenerationError, match=r"has 262,145 characters, more than the 262,144"):
        ChatTemplate("x" * (MAX_SOURCE + 1), {})


@pytest.mark.parametrize(
    ("conversation", "reason"),
    [
        ([], "conversation is empty"),
        ([{"content": "hello"}], "a message has no role"),
        (["hello"], "a message has no role"),
        ([{"role": "user", "content": object()}], "no JSON"),
    ],
)
def test_conversation_that_is_none_is_refused(conversation, reason):
    with pytest.raises(GenerationError, match=reason):
        ChatTemplate(CHATML, {}).render(conversation)


def test_messages_reach_the_template_as_plain_data():
    class Text(str):
        __slots__ = ()

        def secret(self):
            return "called"

    template = ChatTemplate("{{ messages[0].content.secret is defined }}", {})
    assert template.render(messages(Text("hello"))) == "False"


def test_keys_without_a_value_are_left_out():
    template = ChatTemplate("{{ messages[0] | tojson }}", {})
    message = {"role": "assistant", "content": "1,80 m", "tool_calls": None}
    assert template.render([message]) == '{"role": "assistant", "content": "1,80 m"}'


def test_render_changes_nothing_of_the_callers_messages():
    conversation = messages("hello")
    before = json.dumps(conversation)
    ChatTemplate(LLAMA_3, SPECIAL).render(conversation)
    assert json.dumps(conversation) == before


TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
ASKED = [{"role": "user", "content": "hey"}]


def test_tools_have_the_template_of_their_own_as_in_transformers(tokenizer_folder):
    from transformers import PreTrainedTokenizerFast

    named = {"default": "D {{ messages[-1].content }}", "tool_use": "T {{ tools | tojson }}"}
    stated = [{"name": name, "template": text} for name, text in named.items()]
    config = json.dumps({"chat_template": stated})
    (tokenizer_folder / "tokenizer_config.json").write_text(config)
    template = ChatTemplate.from_folder(tokenizer_folder, {})
    reference = PreTrainedTokenizerFast(tokenizer_file=str(tokenizer_folder / "tokenizer.json"))
    reference.chat_template = named
    for tools in ([], [TOOL]):
        wanted = reference.apply_chat_template(ASKED, tools=tools or None, tokenize=False)
        assert template.render(ASKED, tools=tools) == wanted
    assert template.tool_format.shown == "template"


def test_a_tool_templates_own_form_is_the_form_of_calls():
    hermes = "<tool_call><function-name>"
    assert ChatTemplate("{{ messages }}", {}, hermes).tool_format.name == "hermes"
    assert ChatTemplate("{{ messages }}", {}).tool_format.shown == "message"


PARTS = (
    "{% for message in messages %}{{ message.role }}:"
    "{% for part in message.content if part.type == 'text' %}{{ part.text }}{% endfor %};"
    "{% endfor %}"
)
EITHER = (
    "{% for message in messages %}{% if message.content is string %}{{ message.content }}"
    "{% else %}{% for part in message.content if part.type == 'text' %}[{{ part.text }}]"
    "{% endfor %}{% endif %}{% endfor %}"
)


def test_a_template_that_reads_parts_alone_is_given_parts():
    assert ChatTemplate(PARTS, {}).render(ASKED) == "user:hey;"
    assert ChatTemplate(EITHER, {}).render(ASKED) == "hey"
