"""The tokens of a text one by one, where their probabilities are told."""

from __future__ import annotations

from collections.abc import Iterator

from aipc.generate import Text


def told_tokens(said: Text) -> Iterator[tuple[str, float, bytes]]:
    """(text, logprob, bytes) of each; a part of a character is U+FFFD in the text alone.

    Tokens that write nothing are left out, and those of an event without text: what they wrote
    was a stop text or a tool call.
    """
    if not said.text:
        return
    for piece, value in zip(said.pieces, said.logprobs, strict=True):
        if piece:
            yield piece.decode(errors="replace"), value, piece
