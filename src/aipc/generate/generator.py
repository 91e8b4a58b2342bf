"""The one way an answer is made: an iterator of events over an engine's token ids.

The engine knows nothing of text.  Its ids are detokenized, cut at the stop string and searched for
tool calls here; the complete reply is a fold over the events.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from aipc.errors import GenerationError, PromptTooLong
from aipc.generate.detokenize import Detokenizer
from aipc.generate.echo import read_echo
from aipc.generate.events import (
    Alternative,
    Event,
    Finished,
    FinishReason,
    Reply,
    Text,
    Timings,
    ToolCall,
    Usage,
    collect,
)
from aipc.generate.prompt import Prompt
from aipc.generate.repetition import RepetitionDetection, RepetitionDetector
from aipc.generate.stops import StopStrings
from aipc.generate.structured.call_reader import CallReader
from aipc.generate.tokenizer import Tokenizer
from aipc.runtimes.base import Alternatives, Decoding, Engine, Generation

if TYPE_CHECKING:
    from typing_extensions import Self


Told = tuple[float, Alternatives | None]
"""Of a token: its logprob, and those of its alternatives where they were requested."""


class Writer:
    """What one answer's tokens say; every token is in exactly one event."""

    def __init__(
        self,
        detokenizer: Detokenizer,
        stops: StopStrings,
        reader: CallReader | None,
        detector: RepetitionDetector | None = None,
    ) -> None:
        self._detokenizer = detokenizer
        self._stops = stops
        self._reader = reader
        self._detector = detector
        self.loops = False
        """Whether the text so far ends in a loop, if those are looked for."""
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
    def has_called(self) -> bool:
        return self._reader is not None and self._reader.calls > 0

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

    def feed(self, token: int, told: Told | None = None) -> Iterator[Text | ToolCall]:
        self.keep(token, told)
        if self._detector is not None:
            self.loops = self._detector.feed(token) is not None
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
        told = (tuple(self._logprobs), tuple(self._pieces), tuple(self._top_logprobs))
        event = Text(text, tuple(self._tokens), *told)
        for each in (self._tokens, self._logprobs, self._pieces, self._top_logprobs):
            each.clear()
        return event


def stream(
    engine: Engine,
    tokenizer: Tokenizer,
    prompt: Sequence[int],
    decoding: Decoding,
    *,
    context: int,
    stops: Collection[str] = (),
    stop_ids: Collection[int] = (),
    reader: CallReader | None = None,
    repetition: RepetitionDetection | None = None,
    echo: bool = False,
) -> Stream:
    """Answer ``prompt`` (token ids) as an iterator of events with a `Finished` at last.

    The engine starts at the first ``next``.  ``context`` is the most tokens that prompt
    and answer may have together; what the prompt leaves of it bounds max_new_tokens, and
    reaching either bound finishes with "length".  A stop id is counted and given, in an
    event without text; of ``stops``, the first to appear ends the answer and is not given.
    ``reader`` finds the calls of the tools that were offered; it serves one answer.
    ``repetition`` says what a loop is: one finishes with "repetition", and what it wrote is
    given; None lets it go on.  ``echo`` gives the prompt's tokens first.  An answer of no tokens at
    most has the engine compute nothing.

    Raises:
        PromptTooLong: at once, when the context has no room for one token of an answer.
        GenerationError: an empty prompt.
        UsageError: an empty stop string.
        EngineError: from ``next``, when the runtime fails.
    """
    room = _room(len(prompt), context + (decoding.max_new_tokens == 0))
    decoding = replace(decoding, max_new_tokens=min(decoding.max_new_tokens, room))
    detokenizer = Detokenizer(tokenizer, reader.markers if reader else ())
    writer = Writer(detokenizer, StopStrings(stops), reader, _detector(repetition, tokenizer))
    ends = frozenset(stop_ids)
    return Stream(_Request(engine, tokenizer, tuple(prompt), decoding, ends, echo), writer)


class Stream(Iterator[Event]):
    """The events of one answer.

    `cancel` ends it from any thread: the iteration then comes to its `Finished`, with the
    reason "cancelled" and the text so far.  `close`, dropping the iterator, or an
    exception such as KeyboardInterrupt while it waits for a token cancel the engine's
    generation too, without further events.  One thread at a time iterates and closes.
    """

    def __init__(self, request: _Request, writer: Writer) -> None:
        self._control = _Control()
        # a plain function, not a method: a cycle through self would outlive the last reference
        self._events = _events(request, writer, self._control)

    def __next__(self) -> Event:
        return next(self._events)

    def cancel(self) -> None:
        self._control.cancel()

    def close(self) -> None:
        self._events.close()


@dataclass(frozen=True)
class _Request:
    engine: Engine
    tokenizer: Tokenizer
    prompt: tuple[int, ...]
    decoding: Decoding
    stop_ids: frozenset[int]
    echo: bool

    def start(self) -> Generation:
        return self.engine.start(self.prompt, self.decoding, self.stop_ids)


class _Control:
    """Joins a `cancel` from any thread to the generation, whichever comes first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._generation: Generation | None = None
        self._cancelled = False

    def is_cancelled(self) -> bool:
        return self._cancelled

    def attach(self, generation: Generation) -> None:
        with self._lock:
            self._generation = generation
            if self._cancelled:
                generation.cancel()

    def cancel(self) -> None:
        with self._lock:
            self._cancelled = True
            if self._generation is not None:
                self._generation.cancel()


class _Clock:
    """Counts tokens and when the first and the latest came."""

    def __init__(self) -> None:
        self._start = self._first = self._latest = time.perf_counter()
        self.tokens = 0

    def tick(self) -> None:
        self._latest = time.perf_counter()
        self.tokens += 1
        if self.tokens == 1:
            self._first = self._latest

    def timings(self) -> Timings:
        after_first = self._latest - self._first
        return Timings(
            first_token_s=self._first - self._start if self.tokens else None,
            decode_tokens_per_s=(self.tokens - 1) / after_first if after_first > 0 else None,
            total_s=time.perf_counter() - self._start,
        )


def _room(prompt_tokens: int, context: int) -> int:
    if prompt_tokens == 0:
        raise GenerationError("the prompt has no tokens", "write a question")
    if prompt_tokens >= context:
        raise PromptTooLong(
            f"the prompt is too long: {prompt_tokens:,} tokens, and the context holds {context:,}, "
            "the answer's included",
            f"shorten it by {prompt_tokens - context + 1:,} tokens or more, "
            "or choose a model with a longer context",
        )
    return context - prompt_tokens


def _detector(rule: RepetitionDetection | None, tokenizer: Tokenizer) -> RepetitionDetector | None:
    if rule is None or rule.max_pattern_size == 0:
        return None
    return RepetitionDetector(rule, tokenizer.has_letter)


def _events(request: _Request, writer: Writer, control: _Control) -> Generator[Event, None, None]:
    clock = _Clock()
    reason: FinishReason = "length"
    if request.echo:
        yield from _echo(request, control)
    if request.decoding.max_new_tokens > 0:
        reason = yield from _answer(request, writer, control, clock)
    yield from writer.finish()
    if reason == "stop" and writer.has_called:
        reason = "tool_calls"
    usage = Usage(len(request.prompt), clock.tokens)
    yield Finished(reason, usage, clock.timings(), writer.stop)


def _echo(request: _Request, control: _Control) -> Iterator[Event]:
    arguments = (request.engine, request.tokenizer, request.prompt, request.decoding)
    echo = read_echo(*arguments, control.is_cancelled)
    if echo is not None:
        yield echo


def _answer(
    request: _Request, writer: Writer, control: _Control, clock: _Clock
) -> Generator[Event, None, FinishReason]:
    """Events while the engine runs; returns why it ended."""
    if control.is_cancelled():
        return "cancelled"
    generation = request.start()
    try:
        control.attach(generation)
        for token in generation:
            clock.tick()
            told = _told(generation, clock.tokens - 1, request.decoding)
            if token in request.stop_ids:
                writer.keep(token, told)
                return "stop"
            yield from writer.feed(token, told)
            if writer.stopped:
                return "stop"
            if writer.loops:
                return "repetition"
            if clock.tokens == request.decoding.max_new_tokens:
                return "length"
            if control.is_cancelled():
                break
        return "cancelled"
    finally:
        generation.cancel()


def _told(generation: Generation, at: int, decoding: Decoding) -> Told | None:
    if not decoding.logprobs:
        return None
    top = generation.top_logprobs[at] if decoding.top_logprobs else None
    return generation.logprobs[at], top


class Answerer(ABC):
    """A context manager that closes itself; the whole answer is a fold over the streamed one."""

    @abstractmethod
    def stream(self, prompt: Prompt, **options: Any) -> Iterator[Event]:
        """Answer as an iterator of events, a `Finished` at last."""

    @abstractmethod
    def close(self) -> None:
        """Free what it holds."""

    def generate(self, prompt: Prompt, **options: Any) -> Reply:
        """The whole answer; arguments and errors are those of `stream`."""
        return collect(self.stream(prompt, **options))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
