"""Token ids in, events out: detokenized, cut at the stop string, tool calls found."""

from __future__ import annotations

from collections.abc import Iterator

from aipc.generate.detokenize import Detokenizer
from aipc.generate.events import Text, ToolCall
from aipc.generate.stops import StopStrings
from aipc.generate.structured.call_reader import CallReader


class Writer:
    """What one answer's tokens say; every token is in exactly one event."""

    def __init__(
        self, detokenizer: Detokenizer, stops: StopStrings, reader: CallReader | None
    ) -> None:
        self._detokenizer = detokenizer
        self._stops = stops
        self._reader = reader
        self._tokens: list[int] = []
        self._logprobs: list[float] = []
        self._pieces: list[bytes] = []

    @property
    def stopped(self) -> bool:
        """Whether a stop string was found."""
        return self._stops.matched is not None

    @property
    def has_called(self) -> bool:
        return self._reader is not None and self._reader.calls > 0

    def keep(self, token: int, logprob: float | None = None) -> None:
        """Count a token that has no text."""
        self._tokens.append(token)
        if logprob is not None:
            self._logprobs.append(logprob)
            self._pieces.append(self._detokenizer.bytes_of(token))

    def feed(self, token: int, logprob: float | None = None) -> Iterator[Text | ToolCall]:
        self.keep(token, logprob)
        yield from self._events(self._read(self._stops.feed(self._detokenizer.feed(token))))

    def finish(self) -> Iterator[Text | ToolCall]:
        parts = self._read(self._stops.feed(self._detokenizer.finish()) + self._stops.finish())
        if self._reader is not None:
            parts += self._reader.finish()
        yield from self._events(parts)
        if self._tokens:
            yield self._text("")

    def _read(self, text: str) -> list[str | ToolCall]:
        if self._reader is not None:
            return self._reader.feed(text)
        return [text] if text else []

    def _events(self, parts: list[str | ToolCall]) -> Iterator[Text | ToolCall]:
        for part in parts:
            yield self._text(part) if isinstance(part, str) else part

    def _text(self, text: str) -> Text:
        event = Text(text, tuple(self._tokens), tuple(self._logprobs), tuple(self._pieces))
        self._tokens.clear()
        self._logprobs.clear()
        self._pieces.clear()
        return event
