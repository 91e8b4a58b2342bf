from __future__ import annotations

import pytest

from aipc.checkpoint import open_checkpoint
from aipc.errors import GenerationError, UsageError
from aipc.generate.prompt import encode_prompt, write_prompt
from aipc.generate.structured.tools import choose_tools
from aipc.generate.template import ChatTemplate
from aipc.generate.tokenizer import Tokenizer

TEMPLATE = "{{ bos_token }}{% for message in messages %}{{ message.content }}<|end|>{% endfor %}"


@pytest.fixture
def template(byte_level):
    return ChatTemplate(TEMPLATE, byte_level.special_tokens)


def text_of(tokenizer, tokens):
    return tokenizer._backend.decode(tokens, skip_special_tokens=False)


def test_text_is_one_message_and_has_one_bos(byte_level, template):
    tokens = encode_prompt("Where?", byte_level, template)
    assert text_of(byte_level, tokens) == "<s>Where?<|end|>"
    assert tokens == encode_prompt([{"role": "user", "content": "Where?"}], byte_level, template)


def test_rendered_conversation_is_encoded_as_transformers_does(byte_level_backend, byte_level):
    from transformers import PreTrainedTokenizerFast

    conversation = [{"role": "user", "content": "der größte<|end|> Bär"}]
    theirs = PreTrainedTokenizerFast(tokenizer_object=byte_level_backend, bos_token="<s>")
    theirs.chat_template = TEMPLATE
    expected = theirs.apply_chat_template(conversation, return_dict=False)
    ours = ChatTemplate(TEMPLATE, byte_level.special_tokens)
    assert encode_prompt(conversation, byte_level, ours) == expected


def test_raw_text_is_not_rendered(byte_level, template):
    tokens = encode_prompt("Where?", byte_level, template, raw=True)
    assert text_of(byte_level, tokens) == "<s>Where?"
    assert tokens == encode_prompt("Where?", byte_level, None)


MESSAGES = [{"role": "user", "content": "Where?"}]


@pytest.mark.parametrize(
    ("prompt", "raw", "reason"),
    [
        ("", False, "the prompt is empty"),
        (" \n", True, "the prompt is empty"),
        (MESSAGES, True, "can't be a list of messages"),
        ([], False, "the conversation is empty"),
    ],
)
def test_prompt_that_means_nothing_is_refused(byte_level, template, prompt, raw, reason):
    with pytest.raises(GenerationError, match=reason):
        encode_prompt(prompt, byte_level, template, raw=raw)


def test_a_begun_answer_is_the_end_of_the_prompt(byte_level):
    template = ChatTemplate(TEMPLATE, byte_level.special_tokens)
    begun = [*MESSAGES, {"role": "assistant", "content": [{"type": "text", "text": "In"}]}]
    tokens = write_prompt(begun, template, continue_final=True).encode(byte_level)
    assert text_of(byte_level, tokens) == "<s>Where?<|end|>In"
    tool = {"type": "function", "function": {"name": "look"}}
    with pytest.raises(UsageError, match="can't be a call that is required"):
        write_prompt(begun, template, tools=choose_tools([tool], "required"), continue_final=True)


def test_conversation_needs_a_template(byte_level):
    with pytest.raises(GenerationError, match=r"has no chat template, .*; give one text"):
        encode_prompt(MESSAGES, byte_level, None)


def test_small_real_model_s_prompt_is_the_one_of_transformers(smollm_gguf, tmp_path):
    from transformers import PreTrainedTokenizerFast

    with open_checkpoint(smollm_gguf) as checkpoint:
        checkpoint.write_text_files(tmp_path)
    tokenizer = Tokenizer.from_folder(tmp_path)
    template = ChatTemplate.from_folder(tmp_path, tokenizer.special_tokens)
    conversation = [{"role": "user", "content": "What is the capital of France? 😀 今日は"}]
    theirs = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    expected = theirs.apply_chat_template(
        conversation, add_generation_prompt=True, return_dict=False
    )
    assert encode_prompt(conversation, tokenizer, template) == expected
