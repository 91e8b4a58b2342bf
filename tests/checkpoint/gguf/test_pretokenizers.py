import random

import pytest

from aipc.checkpoint.gguf.pretokenizers import PRE_TOKENIZERS

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
    assert begins == {"llama-bpe", "llama3", "llama-v3", "tekken"}
