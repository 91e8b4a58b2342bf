"""What of the families' chat templates says how they think, shortened to that."""

from __future__ import annotations

TURNS = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}"
    "{% endfor %}"
)
START = "{{ '<|im_start|>assistant\\n' }}"
QWEN_3 = (
    "{% for m in messages %}{% if m.role == 'assistant' %}"
    "{% set reasoning = '' %}{% if m.reasoning_content is string %}"
    "{% set reasoning = m.reasoning_content %}{% elif '</think>' in m.content %}"
    "{% set reasoning = m.content.split('</think>')[0].split('<think>')[-1] %}{% endif %}"
    "{{ '<|im_start|>assistant\\n<think>\\n' + reasoning + '\\n</think>\\n\\n' + m.content }}"
    "{% else %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endif %}"
    "{% endfor %}" + START + "{% if enable_thinking is defined and enable_thinking is false %}"
    "{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}"
)
QWEN_3_THINKING = TURNS + "{# </think> #}" + START + "{{ '<think>\\n' }}"
SMOLLM_3 = (
    "{% if enable_thinking is not defined %}{% set enable_thinking = true %}{% endif %}"
    "{% set mode = '/think' if enable_thinking else '/no_think' %}"
    "{{ '<|im_start|>system\\n' + mode + ' <think></think><|im_end|>\\n' }}"
    + TURNS
    + START
    + "{% if mode == '/no_think' %}{{ '<think>\\n\\n</think>\\n' }}{% endif %}"
)
NEMOTRON = (
    "{% set ns = namespace(on=true) %}{% for m in messages %}"
    "{% if '/think' in m.content %}{% set ns.on = true %}"
    "{% elif '/no_think' in m.content %}{% set ns.on = false %}{% endif %}{% endfor %}"
    + TURNS
    + START
    + "{{ '<think>\\n\\n' if ns.on else '<think></think>' }}"
)
DEEPSEEK_V3_1 = (
    "{% if not thinking is defined %}{% if enable_thinking is defined %}"
    "{% set thinking = enable_thinking %}{% else %}{% set thinking = false %}{% endif %}{% endif %}"
    + TURNS
    + "{{ '<Assistant>' + ('<think>' if thinking else '</think>') }}"
)
GRANITE_3_3 = (
    "{% if thinking %}{{ 'Write your thoughts between <think></think> and write your response "
    "between <response></response>.\\n' }}{% endif %}" + TURNS + START
)
GEMMA_4 = (
    "{% if enable_thinking is defined and enable_thinking %}{{ '<|turn>system\\n<|think|>' }}"
    "{% endif %}" + TURNS + "{{ '<|turn>model\\n' }}"
    "{% if not enable_thinking | default(false) %}{{ '<|channel>thought\\n<channel|>' }}{% endif %}"
)
SEED = (
    "{% if not thinking_budget is defined %}{% set thinking_budget = -1 %}{% endif %}"
    "{{ 'Budget: ' ~ thinking_budget ~ '\\n' }}"
    + TURNS
    + "{{ 'assistant\\n' }}{% if thinking_budget == 0 %}"
    "{{ '<seed:think>' + '<seed:cot_budget_reflect>' }}{% endif %}{# </seed:think> #}"
)
HARMONY = (
    "{{ 'Reasoning: ' + reasoning_effort | default('medium') + '\\n' }}"
    "{% for m in messages %}{% if m.thinking %}"
    "{{ '<|start|>assistant<|channel|>analysis<|message|>' + m.thinking + '<|end|>' }}{% endif %}"
    "{{ '<|start|>' + m.role + '<|message|>' + m.content + '<|end|>' }}{% endfor %}"
    "{{ '<|start|>assistant' }}"
)
MAGISTRAL = "{{ '[SYSTEM]Think: [THINK]thoughts[/THINK]answer.' }}" + TURNS
LFM_2_5 = (
    "{% for m in messages %}{% if m.thinking %}{{ '<think>' + m.thinking + '</think>' }}{% endif %}"
    "{{ m.role + '\\n' + m.content }}{% endfor %}" + START
)
EXAONE_DEEP = TURNS + "{{ '[|assistant|]<thought>\\n' }}{# </thought> #}"
COMMAND = "{# <|START_THINKING|> <|END_THINKING|> #}" + TURNS + "{{ '<|CHATBOT_TOKEN|>' }}"
HUNYUAN = (
    "{# <think>\\n</think>\\n<answer> #}" + TURNS + "{{ 'assistant\\n' }}"
    "{% if enable_thinking is defined and not enable_thinking %}"
    "{{ '<think>\\n\\n</think>\\n' }}{% endif %}"
)
GRANITE_3_2 = (
    "{% if thinking %}{{ \"Begin with 'Here is my thought process:', then "
    "'Here is my response:'.\\n\" }}{% endif %}" + TURNS + START
)
CHATML = TURNS + START

NAMES = {
    HARMONY: "harmony",
    GEMMA_4: "gemma-4",
    MAGISTRAL: "mistral",
    COMMAND: "command",
    SEED: "seed",
    EXAONE_DEEP: "exaone-deep",
    GRANITE_3_3: "granite-3.3",
    GRANITE_3_2: "granite-3.2",
    HUNYUAN: "hunyuan",
    QWEN_3: "think",
    QWEN_3_THINKING: "think",
    SMOLLM_3: "think",
    NEMOTRON: "think",
    DEEPSEEK_V3_1: "think",
    LFM_2_5: "think",
}
