"""Text from token ids, a piece at a time, never a part of a character."""

from __future__ import annotations

from collections.abc import Collection

from aipc.generate.events import Alternative
from aipc.generate.tokenizer import Tokenizer
from aipc.runtimes.base import Alternatives

_INCOMPLETE = "\N{REPLACEMENT CHARACTER}"
_LONGEST_WAIT = 64
"""Tokens. A character has at most 4 bytes: what waits longer is no character."""


class Detokenizer:
    """Decodes a window: the tokens of the piece before, then those not yet written whole.

    The piece before is decoded along because a decoder treats the first token apart
    (sentencepiece drops its leading space).  Text that ends in U+FFFD is held back, since
    the bytes of its character may be still to come.  For valid text the pieces join to
    exactly what decoding all tokens at once gives; bytes that make no character give
    U+FFFD each time, though perhaps another number of them.

    Each token costs two decodings of a window of a few tokens, however long the answer is.

    Special tokens give no text, but for those whose written form is in ``spoken``.
    """

    def __init__(self, tokenizer: Tokenizer, spoken: Collection[str] = ()) -> None:
        self._tokenizer = tokenizer
        self._spoken = {tokenizer.id_of(text): text for text in spoken}
        self._window: list[int] = []
        self._fresh = 0  # where the tokens after the piece before begin
        self._written = ""  # text of the window that has been handed out

    def bytes_of(self, token: int) -> bytes:
        """As `Tokenizer.bytes_of`; a special token that is spoken has its written form."""
        spoken = self._spoken.get(token)
        return self._tokenizer.bytes_of(token) if spoken is None else spoken.encode()

    def alternatives(self, told: Alternatives) -> tuple[Alternative, ...]:
        """Tokens that could have come, with what each writes."""
        return tuple(
            Alternative(token, logprob, self._tokenizer.written(token), self.bytes_of(token))
            for token, logprob in told
        )

    def feed(self, token: int) -> str:
        """Add one token id; the text that it completes, often empty."""
        if self._tokenizer.is_silent(token):
            return self._speak(self._spoken[token]) if token in self._spoken else ""
        self._window.append(token)
        text = self._tokenizer.decode(self._window)
        whole = text.rstrip(_INCOMPLETE)
        if len(whole) == len(text):
            return self._close(text)
        if len(self._window) - self._fresh > _LONGEST_WAIT:
            return self._give_up(text)
        return self._write(whole)

    def finish(self) -> str:
        """What is held back, after the last token; an incomplete character as U+FFFD."""
        return self._rest(self._tokenizer.decode(self._window))

    def _speak(self, text: str) -> str:
        """A special token: what is held is all that was before it."""
        piece = self.finish()
        self._window, self._fresh, self._written = [], 0, ""
        return piece + text

    def _close(self, text: str) -> str:
        """All of the window is whole: it becomes the piece before."""
        piece = self._rest(text)
        self._window = self._window[self._fresh :]
        self._fresh = len(self._window)
        self._written = self._tokenizer.decode(self._window)
        return piece

    def _give_up(self, text: str) -> str:
        piece = self._rest(text)
        self._window = self._window[: self._fresh]
        self._written = self._tokenizer.decode(self._window)
        return piece

    def _write(self, whole: str) -> str:
        piece = whole[len(self._written) :]
        self._written += piece
        return piece

    def _rest(self, text: str) -> str:
        if text.startswith(self._written):
            return text[len(self._written) :]
        # a run of byte tokens that turns out invalid changes even its valid beginning
        return self._tokenizer.decode(self._window[self._fresh :])
