"""What one answer's tokens say: thinking, text and calls, up to a stop string."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from aipc.generate.detokenize import Detokenizer
from aipc.generate.events import Alternative, Text, Thinking, ToolCall
from aipc.generate.repetition import RepetitionDetector
from aipc.generate.stops import StopStrings
from aipc.generate.structured.call_reader import CallReader
from aipc.generate.thinking.reader import MarkedText, ThinkingReader
from aipc.runtimes.base import Alternatives, Decoding

E = TypeVar("E", Text, Thinking)
Written = Text | Thinking | ToolCall
Told = tuple[float, Alternatives | None]
"""Of a token: its logprob, and those of its alternatives where they were requested."""


class Writer:
    """Tokens in, events out; every token is in exactly one event.

    Stop strings and calls are looked for in the answer alone, not in thinking.
    """

    def __init__(
        self,
        detokenizer: Detokenizer,
        stops: StopStrings,
        reader: CallReader | None,
        detector: RepetitionDetector | None = None,
        thinking: ThinkingReader | None = None,
    ) -> None:
        self._detokenizer = detokenizer
        self._stops = stops
        self._reader = reader
        self._detector = detector
        self._thinking = thinking
        self.loops = False
        """Whether the text so far ends in a loop, if those are looked for."""
        self._texts: list[str] = []
        self._read_texts: list[str] = []
        self._thinking_tokens = 0
        self._tokens: list[int] = []
        self._logprobs: list[float] = []
        self._pieces: list[bytes] = []
        self._top_logprobs: list[tuple[Alternative, ...]] = []

    @property
    def stop(self) -> str | None:
        """The stop string that was found."""
        return self._stops.matched

    @property
    def stopped(self) -> bool:
        return self.stop is not None

    @property
    def text(self) -> str:
        """The answer's text so far."""
        return "".join(self._texts)

    @property
    def constrained(self) -> str | None:
        """What a schema was to hold: the answer's text, or the JSON of a call that was forced.

        None where the model called a tool in place of a text.
        """
        if self._reader is not None and self._reader.is_constrained:
            return "".join(self._read_texts)
        return None if self.has_called else self.text

    @property
    def has_called(self) -> bool:
        return self._reader is not None and self._reader.calls > 0

    @property
    def is_thinking(self) -> bool:
        return self._thinking is not None and self._thinking.is_thinking

    @property
    def thinking_tokens(self) -> int:
        """Tokens up to the mark that ends thinking, and the mark's own."""
        return self._thinking_tokens + (len(self._tokens) if self.is_thinking else 0)

    def keep(self, token: int, told: Told | None = None) -> None:
        """Count a token that has no text; ``told`` are its probability and its alternatives."""
        self._tokens.append(token)
        if told is None:
            return
        logprob, top = told
        self._logprobs.append(logprob)
        self._pieces.append(self._detokenizer.bytes_of(token))
        if top is not None:
            self._top_logprobs.append(self._detokenizer.alternatives(top))

    def feed(self, token: int, told: Told | None = None) -> Iterator[Written]:
        self.keep(token, told)
        if self._detector is not None:
            self.loops = self._detector.feed(token) is not None
        yield from self._write(self._detokenizer.feed(token))

    def close_thinking(self, tokens: Iterable[int], decoding: Decoding) -> Iterator[Written]:
        """End it by ``tokens`` that the model did not choose; each is told as certain."""
        top: Alternatives | None = () if decoding.top_logprobs else None
        for token in tokens:
            self.keep(token, (0.0, top) if decoding.logprobs else None)
            self._detokenizer.feed(token)
        if self._thinking is not None:
            for part in self._thinking.close():
                yield from self._pass(part)

    def finish(self) -> Iterator[Written]:
        yield from self._write(self._detokenizer.finish())
        if self._thinking is not None:
            for part in self._thinking.finish():
                yield from self._pass(part)
        yield from self._events(self._read(self._stops.finish()))
        if self._reader is not None:
            yield from self._events(self._reader.finish())
        if self._tokens:
            yield self._thought("") if self.is_thinking else self._text("")

    def _write(self, text: str) -> Iterator[Written]:
        if self._thinking is None:
            yield from self._answer(text)
            return
        for part in self._thinking.feed(text):
            yield from self._pass(part)

    def _pass(self, part: MarkedText) -> Iterator[Written]:
        if not part.is_thinking:
            yield from self._answer(part.text)
        elif part.text or self._tokens:
            yield self._thought(part.text)

    def _answer(self, text: str) -> Iterator[Written]:
        yield from self._events(self._read(self._stops.feed(text)))

    def _read(self, text: str) -> list[str | ToolCall]:
        if self._reader is None:
            return [text] if text else []
        if self._reader.is_constrained:
            self._read_texts.append(text)
        return self._reader.feed(text)

    def _events(self, parts: list[str | ToolCall]) -> Iterator[Written]:
        for part in parts:
            yield self._text(part) if isinstance(part, str) else part

    def _text(self, text: str) -> Text:
        self._texts.append(text)
        return self._event(Text, text)

    def _thought(self, text: str) -> Thinking:
        self._thinking_tokens += len(self._tokens)
        return self._event(Thinking, text)

    def _event(self, kind: type[E], text: str) -> E:
        """With the tokens since the event before."""
        told = (tuple(self._logprobs), tuple(self._pieces), tuple(self._top_logprobs))
        event = kind(text, tuple(self._tokens), *told)
        for each in (self._tokens, self._logprobs, self._pieces, self._top_logprobs):
            each.clear()
        return event
