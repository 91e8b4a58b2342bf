"""The vocabulary in a GGUF file: tokens with their kinds, and the special ones among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from aipc.checkpoint.gguf.metadata import Metadata
from aipc.errors import damaged, quoted

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
"""Token types, as in sentencepiece."""
_ENDS = frozenset(
    {
        "<|end|>",
        "<|im_end|>",
        "<|eot_id|>",
        "<|eom_id|>",
        "<|endoftext|>",
        "<|end_of_text|>",
        "<end_of_turn>",
        "<EOT>",
        "_<EOT>",
        "[EOT]",
        "<eos>",
        "<turn|>",
        "<|tool_response>",
        "<\N{FULLWIDTH VERTICAL LINE}end▁of▁sentence\N{FULLWIDTH VERTICAL LINE}>",
        "<end_of_utterance>",
    }
)
"""Tokens that end a turn whatever the file's eos token is (llama.cpp, llama-vocab.cpp): Phi-3's
files state ``<|endoftext|>`` alone, and its replies end with ``<|end|>``.  A file that has one of
them as user-defined is mistaken: it is control."""
_LONGEST = 1000
_MOST = 2**20
_STATED_ENDS = ("eos", "eot", "eom")


@dataclass(frozen=True)
class Vocabulary:
    """Tokens by id, each with its kind."""

    tokens: list[str]
    kinds: list[int]

    @cached_property
    def ids(self) -> Mapping[str, int]:
        return {token: index for index, token in enumerate(self.tokens)}

    def of_kind(self, *kinds: int) -> list[str]:
        return [t for t, kind in zip(self.tokens, self.kinds, strict=True) if kind in kinds]


def read_vocabulary(metadata: Metadata) -> Vocabulary:
    """Read the tokens and their kinds (all normal where the file has none).

    Raises:
        CheckpointError: no tokens, a token twice, not a kind for each, or absurd sizes.
    """
    tokens = metadata.texts("tokenizer.ggml.tokens")
    kinds = [NORMAL] * len(tokens)
    if "tokenizer.ggml.token_type" in metadata:
        kinds = metadata.numbers("tokenizer.ggml.token_type").tolist()
    if not tokens or len(kinds) != len(tokens):
        raise damaged(metadata.path, f"{len(tokens)} tokens with {len(kinds)} token types")
    if max(map(len, tokens)) > _LONGEST or len(tokens) > _MOST:
        raise damaged(metadata.path, "its vocabulary is beyond any tokenizer's size")
    kinds = [
        CONTROL if kind == USER_DEFINED and token in _ENDS else kind
        for token, kind in zip(tokens, kinds, strict=True)
    ]
    vocabulary = Vocabulary(tokens, kinds)
    if len(vocabulary.ids) < len(tokens):
        raise damaged(metadata.path, "a token is in its vocabulary twice")
    return vocabulary


def special_token(metadata: Metadata, vocabulary: Vocabulary, name: str) -> str | None:
    """The special token ``name`` ("bos", "eos", "unknown", "padding" …); None without one.

    Raises:
        CheckpointError: its id is beyond the vocabulary.
    """
    key = f"tokenizer.ggml.{name}_token_id"
    if key not in metadata:
        return None
    token = metadata.integer(key)
    if token >= len(vocabulary.tokens):
        raise damaged(metadata.path, f"{quoted(key)} is {token} of {len(vocabulary.tokens)} tokens")
    return vocabulary.tokens[token]


def stop_ids(metadata: Metadata, vocabulary: Vocabulary) -> list[int]:
    """Ids that end a reply: the eos token first, then the other ends of a turn or message."""
    stated = [special_token(metadata, vocabulary, name) for name in _STATED_ENDS]
    known = [token for token in vocabulary.of_kind(CONTROL) if token in _ENDS]
    return list(dict.fromkeys(vocabulary.ids[t] for t in (*stated, *known) if t is not None))


def scores(metadata: Metadata, vocabulary: Vocabulary) -> list[float]:
    """The sentencepiece score of each token.

    Raises:
        CheckpointError: missing, not one for each token, or not finite.
    """
    values = metadata.numbers("tokenizer.ggml.scores")
    if len(values) != len(vocabulary.tokens) or not np.isfinite(values).all():
        raise damaged(metadata.path, "its vocabulary has no score for each token")
    return [float(value) for value in values]


def read_merges(metadata: Metadata, vocabulary: Vocabulary) -> list[tuple[str, str]]:
    """The pairs that BPE joins, first ones first.

    Raises:
        CheckpointError: a merge of tokens that the vocabulary lacks.
    """
    merges = []
    for merge in metadata.texts("tokenizer.ggml.merges"):
        left, _, right = merge.partition(" ")
        if any(part not in vocabulary.ids for part in (left, right, left + right)):
            raise damaged(metadata.path, f"its vocabulary lacks the parts of merge {quoted(merge)}")
        merges.append((left, right))
    return merges
