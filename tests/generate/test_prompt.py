from __future__ import annotations

import pytest
from tokenizers import AddedToken
from tokenizers import Tokenizer as Backend

from aipc.checkpoint import open_checkpoint
from aipc.errors import GenerationError, UsageError
from aipc.generate.prompt import (
    encode_middle,
    encode_prompt,
    fill_format,
    middle_ends,
    write_prompt,
)
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


BAR = "\N{FULLWIDTH VERTICAL LINE}"
DEEPSEEK = tuple(f"<{BAR}fim▁{name}{BAR}>" for name in ("begin", "hole", "end"))
DEEPSEEK_END = f"<{BAR}end▁of▁sentence{BAR}>"


def with_tokens(backend, *texts, special=True):
    """The tokenizer of ``backend``, with more tokens of these texts."""
    more = Backend.from_str(backend.to_str())
    more.add_tokens([AddedToken(text, special=special, normalized=False) for text in texts])
    return Tokenizer(more, {})


@pytest.mark.parametrize(
    ("marks", "ends", "written"),
    [
        (
            ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
            ("<|fim_pad|>", "<|file_sep|>"),
            "<|fim_prefix|>the <|fim_suffix|> Paris<|fim_middle|>",
        ),
        (
            ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
            ("<file_sep>",),
            "<fim_prefix>the <fim_suffix> Paris<fim_middle>",
        ),
        (
            ("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),
            (),
            "<fim-prefix>the <fim-suffix> Paris<fim-middle>",
        ),
        (DEEPSEEK, (DEEPSEEK_END,), f"{DEEPSEEK[0]}the {DEEPSEEK[1]} Paris{DEEPSEEK[2]}"),
        (("▁<PRE>", "▁<SUF>", "▁<MID>"), ("▁<EOT>",), "▁<PRE>the ▁<SUF> Paris▁<MID>"),
        (("[SUFFIX]", "[PREFIX]"), ("[MIDDLE]",), "[SUFFIX] Paris[PREFIX]the "),
    ],
    ids=["qwen", "starcoder", "santacoder", "deepseek", "codellama", "codestral"],
)
@pytest.mark.parametrize("special", [True, False])
def test_a_middle_is_asked_for_in_the_models_own_form(
    byte_level_backend, marks, ends, written, special
):
    tokenizer = with_tokens(byte_level_backend, *marks, *ends, special=special)
    tokens = encode_middle("the ", " Paris", tokenizer)
    assert text_of(tokenizer, tokens) == f"<s>{written}"
    assert {tokenizer.id_of(mark) for mark in marks} <= set(tokens)
    assert middle_ends(tokenizer) == {tokenizer.id_of(text) for text in (*marks, *ends)}


@pytest.mark.parametrize("family", ["sentencepiece_backend", "metaspace_backend"])
def test_a_suffix_gets_no_space_of_sentencepieces(request, family):
    backend = request.getfixturevalue(family)
    tokenizer = with_tokens(backend, "▁<PRE>", "▁<SUF>", "▁<MID>")
    suffix = tokenizer.id_of("▁<SUF>")
    tokens = encode_middle("the", "the", tokenizer)
    at = tokens.index(suffix)
    before = [tokenizer.bytes_of(token) for token in tokens[2:at]]
    behind = [tokenizer.bytes_of(token) for token in tokens[at + 1 : -1]]
    assert (b"".join(before), b"".join(behind)) == (b" the", b"the")


def test_a_part_of_a_formats_tokens_is_no_format(byte_level_backend):
    assert fill_format(with_tokens(byte_level_backend, "<fim_prefix>", "<fim_suffix>")) is None
    with pytest.raises(UsageError, match="can't fill in the middle"):
        encode_middle("a", "b", with_tokens(byte_level_backend, "<fim_prefix>"))
    assert middle_ends(with_tokens(byte_level_backend)) == frozenset()
