"""Sentencepiece BPE (GGUF's tokenizer models "llama" and "gemma4") as a tokenizers.Tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aipc.checkpoint.gguf.metadata import Metadata
from aipc.checkpoint.gguf.vocabulary import (
    BYTE,
    NORMAL,
    UNKNOWN,
    Vocabulary,
    read_merges,
    scores,
    special_token,
)

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"


def build_sentencepiece(metadata: Metadata, vocabulary: Vocabulary) -> Tokenizer:
    """Build it from the file's pieces and scores, as Llama 2's tokenizer.json is built.

    Raises:
        CheckpointError: no score for each piece.
    """
    prefix = metadata.flag("tokenizer.ggml.add_space_prefix", default=True)
    unknown = special_token(metadata, vocabulary, "unknown")
    return build_piece_bpe(vocabulary, scores(metadata, vocabulary), prefix=prefix, unknown=unknown)


def build_piece_bpe(
    vocabulary: Vocabulary,
    piece_scores: Sequence[float],
    *,
    prefix: bool,
    unknown: str | None = None,
) -> Tokenizer:
    """BPE over sentencepiece's pieces; with ``prefix`` a text begins with a space of its own.

    ``unknown`` is the token for what has no other, if not the first of that kind.
    """
    ranked = zip(vocabulary.tokens, vocabulary.kinds, piece_scores, strict=True)
    pieces = {token: score for token, kind, score in ranked if kind == NORMAL}
    merges = merges_by_score(pieces, vocabulary.ids)
    return _piece_bpe(vocabulary, merges, prefix=prefix, unknown=unknown)


def build_merged_pieces(metadata: Metadata, vocabulary: Vocabulary) -> Tokenizer:
    """BPE over sentencepiece's pieces by the file's own merges (tokenizer model "gemma4").

    Raises:
        CheckpointError: merges of pieces that the vocabulary lacks.
    """
    prefix = metadata.flag("tokenizer.ggml.add_space_prefix", default=False)
    unknown = special_token(metadata, vocabulary, "unknown")
    return _piece_bpe(vocabulary, read_merges(metadata, vocabulary), prefix=prefix, unknown=unknown)


def _piece_bpe(
    vocabulary: Vocabulary, merges: list[tuple[str, str]], *, prefix: bool, unknown: str | None
) -> Tokenizer:
    from tokenizers import Tokenizer, decoders, models, normalizers

    model = models.BPE(
        dict(vocabulary.ids),
        merges,
        unk_token=unknown or next(iter(vocabulary.of_kind(UNKNOWN)), None),
        fuse_unk=True,
        byte_fallback=bool(vocabulary.of_kind(BYTE)),
    )
    tokenizer = Tokenizer(model)
    normalizer: Any = normalizers.Replace(" ", _SPACE)
    steps: list[Any] = [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    if prefix:
        normalizer = normalizers.Sequence([normalizers.Prepend(_SPACE), normalizer])
        steps.append(decoders.Strip(" ", 1, 0))
    tokenizer.normalizer, tokenizer.decoder = normalizer, decoders.Sequence(steps)
    return tokenizer


def merges_by_score(pieces: Mapping[str, float], ids: Mapping[str, int]) -> list[tuple[str, str]]:
    """Every way to make a piece of two others, best score first.

    Sentencepiece joins the neighbors whose union scores best and has no list of merges; this order
    makes BPE do the same.  Ties go by id, as in Llama 2's tokenizer.json.

    Args:
        pieces: score of each piece that may be made or joined.
        ids: id of each, which orders the ways to make one piece.
    """
    ways = (
        (-score, ids[piece], ids[left], ids[right], left, right)
        for piece, score in pieces.items()
        for left, right in ((piece[:cut], piece[cut:]) for cut in range(1, len(piece)))
        if left in pieces and right in pieces
    )
    return [(way[-2], way[-1]) for way in sorted(ways)]
