from __future__ import annotations

import pytest
import thinking_templates as templates

from aipc.errors import UsageError
from aipc.generate.prompt import write_prompt
from aipc.generate.request import GenerationRequest
from aipc.generate.template import ChatTemplate
from aipc.generate.thinking.mode import choose_mode, forbids_thinking, refuse_thinking

ASKED = [{"role": "user", "content": "Why?"}]


def prompt_of(source, *, is_constrained=False, messages=ASKED, **fields):
    """The prompt's text for a request with ``fields``."""
    template = ChatTemplate(source, {})
    request = GenerationRequest(messages=messages, **fields)
    mode = choose_mode(request, template, is_constrained=is_constrained)
    return write_prompt(messages, template, mode=mode).text


CLOSED = "<think>\n\n</think>\n\n"


@pytest.mark.parametrize(
    ("source", "think", "end"),
    [
        (templates.QWEN_3, None, "assistant\n"),
        (templates.QWEN_3, True, "assistant\n"),
        (templates.QWEN_3, False, f"assistant\n{CLOSED}"),
        (templates.QWEN_3_THINKING, None, "assistant\n<think>\n"),
        (templates.QWEN_3_THINKING, True, "assistant\n<think>\n"),
        (templates.QWEN_3_THINKING, False, f"assistant\n{CLOSED}"),
        (templates.NEMOTRON, None, "assistant\n<think>\n\n"),
        (templates.NEMOTRON, True, "assistant\n<think>\n\n"),
        (templates.NEMOTRON, False, "assistant\n<think></think>"),
        (templates.DEEPSEEK_V3_1, None, "<Assistant></think>"),
        (templates.DEEPSEEK_V3_1, True, "<Assistant><think>"),
        (templates.DEEPSEEK_V3_1, False, "<Assistant></think>"),
        (templates.GEMMA_4, None, "model\n<|channel>thought\n<channel|>"),
        (templates.GEMMA_4, True, "<|turn>model\n"),
        (templates.LFM_2_5, None, "assistant\n"),
        (templates.LFM_2_5, True, "assistant\n<think>\n"),
        (templates.LFM_2_5, False, f"assistant\n{CLOSED}"),
        (templates.MAGISTRAL, False, "<|im_end|>\n[THINK][/THINK]"),
        (
            templates.HARMONY,
            False,
            (
                "<|start|>assistant<|channel|>analysis<|message|><|end|>"
                "<|start|>assistant<|channel|>final<|message|>"
            ),
        ),
        (templates.SEED, False, "<seed:think><seed:cot_budget_reflect></seed:think>"),
        (templates.CHATML, False, "assistant\n"),
    ],
)
def test_thinking_is_switched_as_the_template_has_it(source, think, end):
    prompt = prompt_of(source, think=think)
    assert prompt.endswith(end)
    assert prompt.count("<think>") == end.count("<think>")


@pytest.mark.parametrize(
    ("source", "think", "written"),
    [
        (templates.SMOLLM_3, False, "/no_think <think>"),
        (templates.SMOLLM_3, True, "/think <think>"),
        (templates.GRANITE_3_3, True, "your thoughts between"),
        (templates.GRANITE_3_2, True, "Here is my thought process:"),
        (templates.GEMMA_4, True, "<|think|>"),
    ],
)
def test_the_system_message_says_so(source, think, written):
    assert written in prompt_of(source, think=think)
    assert written not in prompt_of(source, think=not think)


def test_a_command_goes_into_the_system_message():
    system = {"role": "system", "content": "Be brief."}
    assert "system\nBe brief.\n\n/no_think" in prompt_of(
        templates.NEMOTRON, think=False, messages=[system, *ASKED]
    )
    assert prompt_of(templates.NEMOTRON, think=False).startswith("<|im_start|>system\n/no_think<")


@pytest.mark.parametrize("fields", [{"reasoning_effort": "none"}, {"thinking_budget": 0}])
def test_no_effort_and_no_tokens_are_no_thinking(fields):
    assert prompt_of(templates.QWEN_3, **fields).endswith(CLOSED)
    assert prompt_of(templates.CHATML, **fields) == prompt_of(templates.CHATML)


@pytest.mark.parametrize(
    ("effort", "told"),
    [("minimal", "low"), ("low", "low"), ("medium", "medium"), ("xhigh", "high")],
)
def test_an_effort_is_told_to_the_template_that_reads_it(effort, told):
    assert f"Reasoning: {told}\n" in prompt_of(templates.HARMONY, reasoning_effort=effort)
    assert prompt_of(templates.QWEN_3, reasoning_effort=effort) == prompt_of(templates.QWEN_3)


def test_no_effort_is_told_to_a_template_that_knows_the_word():
    source = "{{ messages[0].content }} {{ 'off' if reasoning_effort == 'none' else 'on' }}"
    assert prompt_of(source, reasoning_effort="none") == "Why? off"
    assert prompt_of(source) == prompt_of(source, reasoning_effort="high") == "Why? on"


def test_a_budget_is_told_to_the_template_that_reads_it():
    assert prompt_of(templates.SEED, thinking_budget=512).startswith("Budget: 512\n")
    assert prompt_of(templates.SEED).startswith("Budget: -1\n")
    assert prompt_of(templates.SEED, think=False).startswith("Budget: 0\n")


def test_options_that_the_template_reads_reach_it_and_others_do_not_matter():
    off = {"enable_thinking": False, "unknown": [1, "a", None]}
    assert prompt_of(templates.QWEN_3, template_options=off).endswith(CLOSED)
    assert prompt_of(templates.CHATML, template_options={"enable_thinking": True})
    source = "{{ messages[0].content }} {{ tone | default('plain') }}"
    assert prompt_of(source, template_options={"tone": "warm"}) == "Why? warm"


@pytest.mark.parametrize(
    "options",
    [
        {"messages": "x"},
        {"tools": []},
        {"add_generation_prompt": False},
        {"chat_template": "{{ 1 }}"},
        {"tokenize": False},
        {"bos_token": "x"},
        {"no name": 1},
        {"tone": {"a": 1}},
        {"tone": [[1]]},
        {"tone": "x" * 20_000},
        {f"n{at}": at for at in range(99)},
    ],
    ids=lambda options: str(options)[:20],
)
def test_options_that_could_reach_further_are_refused(options):
    with pytest.raises(UsageError, match="template"):
        prompt_of(templates.QWEN_3, template_options=options)


@pytest.mark.parametrize(
    ("source", "fields", "said"),
    [
        (templates.CHATML, {"think": True}, "does not think"),
        (templates.QWEN_3, {"think": True, "reasoning_effort": "none"}, "both asks"),
        (templates.QWEN_3, {"think": True, "thinking_budget": 0}, "both asks"),
        (
            templates.QWEN_3,
            {"think": False, "template_options": {"enable_thinking": True}},
            "both asks",
        ),
        (templates.QWEN_3, {"reasoning_effort": "much"}, "reasoning_effort is 'much'"),
        (templates.QWEN_3, {"thinking_budget": -1}, "thinking_budget is -1"),
    ],
)
def test_what_can_t_be_honored_is_refused(source, fields, said):
    with pytest.raises(UsageError, match=said):
        prompt_of(source, **fields)


def test_text_without_a_template_has_no_switch():
    refuse_thinking(GenerationRequest(prompt="x", think=False, thinking_budget=5))
    with pytest.raises(UsageError, match="no switch"):
        refuse_thinking(GenerationRequest(prompt="x", think=True))


@pytest.mark.parametrize(
    ("source", "fields", "end"),
    [
        (templates.QWEN_3, {}, CLOSED),
        (templates.QWEN_3_THINKING, {}, CLOSED),
        (templates.LFM_2_5, {}, "assistant\n"),  # which may not think at all
        (templates.QWEN_3, {"think": True}, "assistant\n<think>\n"),
        (templates.QWEN_3, {"thinking_budget": 9}, "assistant\n<think>\n"),
        (templates.QWEN_3, {"reasoning_effort": "high"}, CLOSED),
        (templates.HARMONY, {"reasoning_effort": "high"}, "analysis<|message|>"),
        (templates.CHATML, {"thinking_budget": 9}, "assistant\n"),
    ],
)
def test_a_constrained_answer_is_thought_over_only_where_that_is_asked_for(source, fields, end):
    assert prompt_of(source, is_constrained=True, **fields).endswith(end)


HISTORY = [
    *ASKED,
    {"role": "assistant", "content": "So.", "reasoning_content": "Hm."},
    {"role": "user", "content": "And?"},
]


@pytest.mark.parametrize(
    ("source", "written"),
    [
        (templates.QWEN_3, "<think>\nHm.\n</think>\n\nSo."),
        (templates.LFM_2_5, "<think>Hm.</think>"),
        (templates.HARMONY, "<|channel|>analysis<|message|>Hm.<|end|>"),
    ],
)
@pytest.mark.parametrize("key", ["reasoning_content", "reasoning", "thinking"])
def test_what_was_thought_before_is_told_under_the_template_s_own_name(source, written, key):
    spoken = {"role": "assistant", "content": "So.", key: "Hm."}
    assert written in prompt_of(source, messages=[*ASKED, spoken, *ASKED])


def test_a_template_that_reads_none_of_it_gets_none():
    source = "{% for m in messages %}{{ m | tojson }}{% endfor %}"
    assert "Hm." not in prompt_of(source, messages=HISTORY)
    assert "So." in prompt_of(source, messages=HISTORY)


@pytest.mark.parametrize(
    ("fields", "forbids"),
    [
        ({}, False),
        ({"think": True}, False),
        ({"think": False}, True),
        ({"reasoning_effort": "none"}, True),
        ({"reasoning_effort": "low"}, False),
        ({"thinking_budget": 0}, True),
        ({"thinking_budget": 9}, False),
        ({"template_options": {"enable_thinking": False}}, True),
        ({"template_options": {"enable_thinking": 0}}, False),
    ],
)
def test_whether_a_request_forbids_thinking(fields, forbids):
    assert forbids_thinking(GenerationRequest(prompt="Why?", **fields)) is forbids
