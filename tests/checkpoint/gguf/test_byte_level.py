from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from aipc.checkpoint.gguf.byte_level import PRE_TOKENIZERS, build_byte_level
from aipc.checkpoint.gguf.metadata import Metadata
from aipc.checkpoint.gguf.vocabulary import read_vocabulary
from aipc.errors import CheckpointError, UnsupportedModel


def byte_alphabet():
    from tokenizers.pre_tokenizers import ByteLevel

    return sorted(ByteLevel.alphabet())


def build(pre="gpt-2", merges=(), more=()):
    tokens = [*byte_alphabet(), *(merge.replace(" ", "") for merge in merges), *more]
    values = {
        "general.architecture": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": np.ones(len(tokens), np.int32),
        "tokenizer.ggml.merges": list(merges),
    }
    if pre is not None:
        values["tokenizer.ggml.pre"] = pre
    metadata = Metadata(Path("m.gguf"), values)
    return build_byte_level(metadata, read_vocabulary(metadata))


@pytest.mark.parametrize("pre", sorted(PRE_TOKENIZERS))
@pytest.mark.parametrize(
    "text", ["Hello, world!  12345\n\n\tO'Neill's", " ünïcödé 日本語 🙂\u200d", "", "\x00\x7f\r\n"]
)
def test_every_text_comes_back(pre, text):
    tokenizer = build(pre)
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


CUT = "I'LL pay 12345 for HelloWorld's  x/\n\n"


@pytest.mark.parametrize(
    ("pre", "pieces"),
    [
        ("gpt-2", "I|'|LL| pay| 12345| for| HelloWorld|'s| | x|/|\n\n"),
        ("smollm", "I|'|LL| pay| |1|2|3|4|5| for| HelloWorld|'s| | x|/|\n\n"),
        ("llama-bpe", "I|'LL| pay| |123|45| for| HelloWorld|'s| | x|/\n\n"),
        ("dbrx", "I|'LL| pay| |123|45| for| HelloWorld|'s| | x|/\n\n"),
        ("qwen2", "I|'LL| pay| |1|2|3|4|5| for| HelloWorld|'s| | x|/\n\n"),
        ("gpt-4o", "I'LL| pay| |123|45| for| Hello|World's| | x|/\n\n"),
        ("tekken", "I|'LL| pay| |1|2|3|4|5| for| Hello|World|'s| | x|/\n\n"),
        ("qwen35", "I|'LL| pay| |1|2|3|4|5| for| HelloWorld|'s| | x|/\n\n"),
        ("seed-coder", "I|'LL| pay| |1|2|3|4|5| for| HelloWorld|'s| | x|/|\n\n"),
    ],
)
def test_text_is_cut_as_the_pattern_says(pre, pieces):
    cut = build(pre).pre_tokenizer.pre_tokenize_str(CUT)
    assert [CUT[start:stop] for _, (start, stop) in cut] == pieces.split("|")


def test_merges_apply_in_order():
    tokenizer = build(merges=["b c", "a b", "a bc"])
    assert tokenizer.encode("abc ab").tokens == ["abc", "Ġ", "ab"]


def test_some_take_a_piece_of_the_vocabulary_whole():
    assert build("llama-bpe", more=["xyz"]).encode("xyz").tokens == ["xyz"]
    assert build("gpt-2", more=["xyz"]).encode("xyz").tokens == ["x", "y", "z"]


def test_qwen_composes_its_text():
    assert build("qwen2").encode("e\u0301").ids == build("qwen2").encode("é").ids
    assert build("gpt-2").encode("e\u0301").ids != build("gpt-2").encode("é").ids


@pytest.mark.parametrize("pre", ["klingon", "default", None])
def test_a_pre_tokenizer_that_is_unknown_or_not_stated_is_named(pre):
    name = pre or "default"
    with pytest.raises(UnsupportedModel, match=f"unknown pre-tokenizer '{name}'; known: .*smollm"):
        build(pre)


@pytest.mark.parametrize("merge", ["a q1", "ab", "", " ", "a b"])
def test_a_merge_of_tokens_that_are_not_there(merge):
    metadata = Metadata(
        Path("m.gguf"),
        {
            "general.architecture": "llama",
            "tokenizer.ggml.pre": "gpt-2",
            "tokenizer.ggml.tokens": ["a", "b"],
            "tokenizer.ggml.merges": [merge],
        },
    )
    with pytest.raises(CheckpointError, match="lacks the parts of merge"):
        build_byte_level(metadata, read_vocabulary(metadata))


# As tiktoken publishes them (openai_public.py), two alternatives a line.
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("gpt-4o", O200K),
        ("llama-bpe", LLAMA3),
        ("qwen2", LLAMA3.replace("{1,3}", "")),
        ("tekken", O200K.replace("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", "").replace("{1,3}", "")),
    ],
)
def test_patterns_are_the_published_ones(name, pattern):
    assert PRE_TOKENIZERS[name].pattern == pattern


def test_single_digits_are_cut_as_in_two_steps():
    """The models' own tokenizer.json sets digits apart first and applies GPT-2's pattern then."""
    from tokenizers import Regex, pre_tokenizers

    gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False)
    two = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), gpt2])
    one = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRE_TOKENIZERS["smollm"].pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    parts = [
        "a",
        "Bc",
        " ",
        "  ",
        "\n",
        "\t",
        "1",
        "23",
        "½",
        "٣",
        "'s",
        "'",
        "é",
        "日",
        "🙂",
        "-",
        "_",
    ]
    draw = random.Random(4)
    for _ in range(2000):
        text = "".join(draw.choices(parts, k=draw.randint(1, 15)))
        assert one.pre_tokenize_str(text) == two.pre_tokenize_str(text)


def test_only_llama3_and_tekken_begin_by_default():
    begins = {name for name, cut in PRE_TOKENIZERS.items() if cut.begins}
    like_llama3 = {name for name, cut in PRE_TOKENIZERS.items() if cut == PRE_TOKENIZERS["llama3"]}
    assert begins == {*like_llama3, "tekken"}
    assert {"llama-bpe", "falcon3"} < like_llama3


def test_marks_stay_with_their_letters_in_qwen35_alone():
    text = "क्या"
    pieces = {
        pre: [text[a:b] for _, (a, b) in build(pre).pre_tokenizer.pre_tokenize_str(text)]
        for pre in ("qwen2", "qwen35")
    }
    assert pieces["qwen35"] == [text]
    assert len(pieces["qwen2"]) > 1
