"""How text is cut before byte-level BPE, by GGUF's ``tokenizer.ggml.pre``.

Sources: the tokenizer.json files of the models named, and llama.cpp's ``llama-vocab.cpp`` for
the names, for who ignores merges and for who begins with a bos token.
"""

from __future__ import annotations

from dataclasses import dataclass

_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+"
_ENDS = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_CL100K = rf"{_WORDS}|\p{{N}}{{1,3}}|{_ENDS}"
_QWEN2 = rf"{_WORDS}|\p{{N}}|{_ENDS}"
_UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_LEAD = r"[^\r\n\p{L}\p{N}]?"
_CASES = (rf"{_LEAD}{_UPPER}*{_LOWER}+", rf"{_LEAD}{_UPPER}+{_LOWER}*")
_SLASHED_ENDS = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_O200K = "|".join((*(c + _CONTRACTION for c in _CASES), r"\p{N}{1,3}", _SLASHED_ENDS))
# GPT-2's pattern on what lies between single digits.  In the models' own tokenizer.json these are
# two steps, which openvino_tokenizers 2026.4 joins wrongly: it cuts "  1" into " ", " ", "1".
_SINGLE_DIGITS = (
    r"'s|'t|'re|'ve|'m|'ll|'d|\p{N}| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+(?=\p{N})|\s+(?!\S)|\s+"
)
_TEKKEN = "|".join((*_CASES, r"\p{N}", _SLASHED_ENDS))


@dataclass(frozen=True)
class PreTokenizer:
    """One way of cutting; without a ``pattern`` it is GPT-2's."""

    pattern: str = ""
    composed: bool = False
    """Text is brought to Unicode's form NFC first."""
    ignores_merges: bool = False
    """A piece that is in the vocabulary is taken whole."""
    begins: bool = False
    """The bos token comes first unless the file says otherwise."""


_GPT2 = PreTokenizer()
_DIGITS = PreTokenizer(_SINGLE_DIGITS)
_LLAMA3 = PreTokenizer(_CL100K, ignores_merges=True, begins=True)

PRE_TOKENIZERS = {
    "gpt-2": _GPT2,
    "phi-2": _GPT2,
    "smollm": _DIGITS,
    "starcoder": _DIGITS,
    "refact": _DIGITS,
    "llama-bpe": _LLAMA3,
    "llama3": _LLAMA3,
    "llama-v3": _LLAMA3,
    "dbrx": PreTokenizer(_CL100K),  # Phi-4
    "gpt-4o": PreTokenizer(_O200K),  # Phi-4-mini
    "qwen2": PreTokenizer(_QWEN2, composed=True),
    "deepseek-r1-qwen": PreTokenizer(_QWEN2),
    "tekken": PreTokenizer(_TEKKEN, ignores_merges=True, begins=True),  # Mistral Nemo
}
