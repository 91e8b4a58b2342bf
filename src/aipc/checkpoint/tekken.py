"""Mistral's own tokenizer file, tekken.json, as a tokenizers.Tokenizer.

Format: ``Tekkenizer`` of the package mistral-common; read as transformers 5 reads it
(``MistralConverter``).  Ids begin with the special tokens; the rest are byte strings by rank.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aipc.artifact.bounds import RANGES
from aipc.checkpoint.gguf.byte_level import BYTE_LETTERS, PreTokenizer, build_split_bpe
from aipc.errors import CheckpointError, UnsupportedModel, damaged
from aipc.records import read_object

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TEKKEN = "tekken.json"
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
_LIMIT = 2**26  # bytes; the largest have 20 million


def build_tekken(path: Path) -> Tokenizer:
    """Build it, without a frame.

    Raises:
        CheckpointError: unreadable, or ranks that contradict themselves.
        UnsupportedModel: of the first version, which does not list its special tokens.
    """
    from tokenizers import AddedToken

    content = read_object(path, _LIMIT)
    if "special_tokens" not in content:
        raise UnsupportedModel(
            f"'{path}' does not list its special tokens", "put the model's tokenizer.json beside it"
        )
    try:
        special = _special(content)
        ranks = _ranks(content, len(special))
        pattern = str(content["config"]["pattern"])
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise damaged(path, "it is no vocabulary") from error
    ids = {_letters(token): len(special) + rank for token, rank in ranks.items()}
    if set(special) & ids.keys() or len(set(special)) < len(special):
        raise _twice(path)
    merges = [(_letters(left), _letters(right)) for left, right in _merges(ranks)]
    whole = {**{token: rank for rank, token in enumerate(special)}, **ids}
    tokenizer = build_split_bpe(PreTokenizer(pattern, ignores_merges=True), whole, merges)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in special])
    return tokenizer


def _twice(path: Path) -> CheckpointError:
    return damaged(path, "a token is in its vocabulary twice")


def _special(content: Mapping[str, Any]) -> list[str]:
    """Special tokens by rank, filled up to the stated number."""
    stated = sorted((int(one["rank"]), str(one["token_str"])) for one in content["special_tokens"])
    if [rank for rank, _ in stated] != list(range(len(stated))):
        raise ValueError("special tokens without a rank")
    count = int(content["config"].get("default_num_special_tokens") or len(stated))
    if not RANGES["vocab_size"].holds(max(count, 1)):
        raise ValueError("more special tokens than a vocabulary has")
    filled = (f"<SPECIAL_{rank}>" for rank in range(len(stated), count))
    return [*(token for _, token in stated), *filled]


def _ranks(content: Mapping[str, Any], special: int) -> dict[bytes, int]:
    """Rank of each byte string; the file has more than the network knows."""
    size = content["config"].get("default_vocab_size")
    entries = content["vocab"][: None if size is None else max(0, int(size) - special)]
    tokens = [base64.b64decode(one["token_bytes"], validate=True) for one in entries]
    ranks = {token: rank for rank, token in enumerate(tokens)}
    if len(ranks) < len(tokens) or b"" in ranks:
        raise ValueError("a byte string stands twice")
    return ranks


def _merges(ranks: Mapping[bytes, int]) -> Iterator[tuple[bytes, bytes]]:
    """Every way to make a byte string of two others, by the rank of what is made."""
    for token in ranks:
        pairs = ((token[:cut], token[cut:]) for cut in range(1, len(token)))
        known = [(left, right) for left, right in pairs if left in ranks and right in ranks]
        yield from sorted(known, key=lambda pair: (ranks[pair[0]], ranks[pair[1]]))


def _letters(token: bytes) -> str:
    return "".join(map(BYTE_LETTERS.__getitem__, token))
