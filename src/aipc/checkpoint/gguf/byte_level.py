"""Byte-level BPE (GGUF's tokenizer model "gpt2") as a tokenizers.Tokenizer.

The table of pre-tokenizers (``tokenizer.ggml.pre``) is from the tokenizer.json files of the models
named, and from llama.cpp's ``llama-vocab.cpp`` for the names, for which of them ignore merges and
which begin with a bos token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aipc.checkpoint.gguf.metadata import Metadata
from aipc.checkpoint.gguf.vocabulary import Vocabulary, read_merges
from aipc.errors import UnsupportedModel, quoted

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_PRINTABLE = (*range(33, 127), *range(161, 173), *range(174, 256))
BYTE_LETTERS: Mapping[int, str] = {byte: chr(byte) for byte in _PRINTABLE} | {
    byte: chr(256 + at)
    for at, byte in enumerate(byte for byte in range(256) if byte not in _PRINTABLE)
}
"""GPT-2's letter for each byte: printable ones stand for themselves, the others come after all."""
_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+"
_ENDS = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_CL100K = rf"{_WORDS}|\p{{N}}{{1,3}}|{_ENDS}"
_QWEN2 = rf"{_WORDS}|\p{{N}}|{_ENDS}"
_QWEN35 = _QWEN2.replace(r"\p{L}+", r"[\p{L}\p{M}]+").replace(r"^\s\p{L}", r"^\s\p{L}\p{M}")
_SEED_CODER = rf"{_WORDS}|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+|\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_LEAD = r"[^\r\n\p{L}\p{N}]?"
_CASES = (rf"{_LEAD}{_UPPER}*{_LOWER}+", rf"{_LEAD}{_UPPER}+{_LOWER}*")
_SLASHED_ENDS = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_O200K = "|".join((*(c + _CONTRACTION for c in _CASES), r"\p{N}{1,3}", _SLASHED_ENDS))
# GPT-2's pattern on the text between single digits.  In the models' own tokenizer.json these are
# two steps, which openvino_tokenizers 2026.4 joins wrongly: it splits "  1" into " ", " ", "1".
_SINGLE_DIGITS = (
    r"'s|'t|'re|'ve|'m|'ll|'d|\p{N}| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+(?=\p{N})|\s+(?!\S)|\s+"
)
_TEKKEN = "|".join((*_CASES, r"\p{N}", _SLASHED_ENDS))


@dataclass(frozen=True)
class PreTokenizer:
    """How text is split before BPE; without a ``pattern`` as GPT-2 does."""

    pattern: str = ""
    composed: bool = False
    """Text is normalized to NFC first."""
    ignores_merges: bool = False
    """A piece that is in the vocabulary is one token."""
    begins: bool = False
    """A bos token comes first where the file does not state it."""


_GPT2 = PreTokenizer()
_DIGITS = PreTokenizer(_SINGLE_DIGITS)
_TIKTOKEN = PreTokenizer(_CL100K)
_LLAMA3 = PreTokenizer(_CL100K, ignores_merges=True, begins=True)
_WORDS_AND_DIGITS = PreTokenizer(_QWEN2)
_GPT4O = PreTokenizer(_O200K)

PRE_TOKENIZERS = {
    **dict.fromkeys(("gpt-2", "phi-2", "olmo", "mpt", "jais", "trillion", "exaone4"), _GPT2),
    **dict.fromkeys(("gigachat", "a.x-4.0", "mellum", "granite-docling", "modern-bert"), _GPT2),
    **dict.fromkeys(("jina-es", "jina-de", "jina-v2-es", "jina-v2-de"), _GPT2),
    **dict.fromkeys(("smollm", "starcoder", "refact", "command-r", "codeshell"), _DIGITS),
    **dict.fromkeys(("exaone", "minerva-7b", "mellum2"), _DIGITS),
    **dict.fromkeys(("llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1"), _LLAMA3),
    **dict.fromkeys(("pixtral", "midm-2.0", "lfm2", "jina-v5-nano"), _LLAMA3),
    # Phi-4 and OLMo 2; SmolLM3; GLM
    **dict.fromkeys(("dbrx", "smaug-bpe", "glm4", "chatglm-bpe"), _TIKTOKEN),
    # Phi-4-mini
    **dict.fromkeys(("gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"), _GPT4O),
    "qwen2": PreTokenizer(_QWEN2, composed=True),
    "qwen35": PreTokenizer(_QWEN35, composed=True),
    **dict.fromkeys(("deepseek-r1-qwen", "megrez", "kormo", "f2llmv2"), _WORDS_AND_DIGITS),
    **dict.fromkeys(("stablelm2", "hunyuan", "solar-open", "grok-2"), _WORDS_AND_DIGITS),
    "seed-coder": PreTokenizer(_SEED_CODER),
    "tekken": PreTokenizer(_TEKKEN, ignores_merges=True, begins=True),  # Mistral Nemo
}


def build_byte_level(metadata: Metadata, vocabulary: Vocabulary) -> Tokenizer:
    """Build it from the file's tokens and merges.

    Raises:
        CheckpointError: merges of tokens that the vocabulary lacks.
        UnsupportedModel: a pre-tokenizer that is not in the table.
    """
    pre_tokenizer = find_pre_tokenizer(metadata)
    return build_split_bpe(pre_tokenizer, vocabulary.ids, read_merges(metadata, vocabulary))


def build_split_bpe(
    pre_tokenizer: PreTokenizer, ids: Mapping[str, int], merges: list[tuple[str, str]]
) -> Tokenizer:
    """BPE over GPT-2's letters for bytes, of text that ``pre_tokenizer`` has split."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    tokenizer = Tokenizer(models.BPE(dict(ids), merges, ignore_merges=pre_tokenizer.ignores_merges))
    if pre_tokenizer.composed:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if pre_tokenizer.pattern:
        first = pre_tokenizers.Split(Regex(pre_tokenizer.pattern), "isolated")
        rest = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([first, rest])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def find_pre_tokenizer(metadata: Metadata) -> PreTokenizer:
    """The table's line for ``tokenizer.ggml.pre``.

    A file with none, or "default", was written before these names and does not state how its text
    is split.

    Raises:
        UnsupportedModel: the table has no such line.
    """
    name = metadata.text("tokenizer.ggml.pre", "default")
    if name not in PRE_TOKENIZERS:
        raise UnsupportedModel(
            f"'{metadata.path}' has the unknown pre-tokenizer {quoted(name)}",
            f"known: {', '.join(PRE_TOKENIZERS)}; or take the checkpoint folder (safetensors)",
        )
    return PRE_TOKENIZERS[name]
