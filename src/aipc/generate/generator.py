"""The one way an answer is made: an iterator of events over an engine's token ids.

The engine knows nothing of text.  Its ids are detokenized, cut at the stop string and searched for
tool calls here; the complete reply is a fold over the events.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from aipc.errors import GenerationError, PromptTooLong
from aipc.generate.detokenize import Detokenizer
from aipc.generate.echo import read_echo
from aipc.generate.events import (
    Event,
    Finished,
    FinishReason,
    Reply,
    Text,
    Timings,
    Usage,
    collect,
)
from aipc.generate.prompt import Prompt
from aipc.generate.repetition import RepetitionDetection, RepetitionDetector
from aipc.generate.stops import StopStrings
from aipc.generate.structured.call_reader import CallReader
from aipc.generate.thinking.plan import ThinkingPlan
from aipc.generate.tokenizer import Tokenizer
from aipc.generate.writer import Told, Writer
from aipc.runtimes.base import Decoding, Engine, Generation

if TYPE_CHECKING:
    from typing_extensions import Self


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
    thinking: ThinkingPlan | None = None,
    check: Callable[[str], str] | None = None,
    whole: bool = False,
) -> Stream:
    """Answer ``prompt`` (token ids) as an iterator of events with a `Finished` at last.

    The engine starts at the first ``next``.  ``context`` is the most tokens that prompt
    and answer may have together; what the prompt leaves of it bounds max_new_tokens, and
    reaching either bound finishes with "length".  A stop id is counted and given, in an
    event without text; of ``stops``, the first to appear ends the answer and is not given.
    ``reader`` finds the calls of the tools that were offered; it serves one answer.
    ``repetition`` says what a loop is: one finishes with "repetition", and what it wrote is
    given; None lets it go on.  ``echo`` gives the prompt's tokens first.  An answer of no tokens at
    most has the engine compute nothing.  ``check`` says of a finished answer's text what is wrong
    with it, which the `Finished` tells.  ``whole`` lets the engine give many tokens at a
    time, where nothing that they say ends the answer.

    With ``thinking``, what the model thinks comes as `Thinking`.  A budget of it that is used up is
    followed by the mark of its end, and the engine started anew behind that: with the same seed,
    and penalties then count the thinking as part of the prompt.  An answer that has to match
    something, but begins inside thinking, is started anew in the same way: what it has to match
    holds from where thinking ends.

    Raises:
        PromptTooLong: at once, when the context has no room for one token of an answer.
        GenerationError: an empty prompt.
        UsageError: an empty stop string.
        EngineError: from ``next``, when the runtime fails.
    """
    room = _room(len(prompt), context + (decoding.max_new_tokens == 0))
    whole = whole and not (stops or repetition or _is_watched(thinking, decoding))
    decoding = replace(decoding, max_new_tokens=min(decoding.max_new_tokens, room), whole=whole)
    spoken = (*(reader.markers if reader else ()), *(thinking.marks.special if thinking else ()))
    writer = Writer(
        Detokenizer(tokenizer, spoken),
        StopStrings(stops),
        reader,
        _detector(repetition, tokenizer),
        thinking.reader() if thinking else None,
    )
    ends = frozenset(stop_ids)
    wanted = _Request(
        engine, tokenizer, tuple(prompt), decoding, ends, echo, context, thinking, check
    )
    return Stream(wanted, writer)


class Stream(Iterator[Event]):
    """The events of one answer.

    `cancel` ends it from any thread: the iteration then comes to its `Finished`, with the
    reason "cancelled" and the text so far.  `close`, dropping the iterator, or an
    exception such as KeyboardInterrupt while it waits for a token cancel the engine's
    generation too, without further events.  One thread at a time iterates and closes.
    """

    def __init__(self, request: _Request, writer: Writer) -> None:
        self.prompt_tokens = len(request.prompt)
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
    context: int
    thinking: ThinkingPlan | None
    check: Callable[[str], str] | None

    def misfit(self, text: str | None) -> str:
        """What of a finished answer does not fit, where that is to be checked."""
        return "" if self.check is None or text is None else self.check(text)

    def has_thought_enough(self, writer: Writer) -> bool:
        budget = None if self.thinking is None else self.thinking.budget
        return budget is not None and writer.is_thinking and writer.thinking_tokens >= budget


@dataclass
class _Run:
    """One start of the engine; an answer has several where its thinking is cut, or constrained."""

    prompt: tuple[int, ...]
    decoding: Decoding
    tokens: list[int] = field(default_factory=list)
    """What it gave, without a stop id."""


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
        self.tokens = self.cached_tokens = 0

    def tick(self) -> None:
        self._latest = time.perf_counter()
        self.tokens += 1
        if self.tokens == 1:
            self._first = self._latest

    def note_cached(self, generation: Generation) -> None:
        """At the first token: the prompt of a later run has what was thought besides."""
        if self.tokens == 1:
            self.cached_tokens = generation.cached_tokens

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


def _is_watched(thinking: ThinkingPlan | None, decoding: Decoding) -> bool:
    """Whether the end of thinking starts the engine anew."""
    return thinking is not None and (thinking.budget is not None or decoding.constraint is not None)


def _detector(rule: RepetitionDetection | None, tokenizer: Tokenizer) -> RepetitionDetector | None:
    if rule is None or rule.max_pattern_size == 0:
        return None
    return RepetitionDetector(rule, tokenizer.has_letter)


def _events(request: _Request, writer: Writer, control: _Control) -> Generator[Event, None, None]:
    clock = _Clock()
    if request.echo:
        yield from _echo(request, control)
    reason = yield from _answer(request, writer, control, clock)
    yield from writer.finish()
    misfit = request.misfit(writer.constrained) if reason == "stop" else ""
    if reason == "stop" and writer.has_called:
        reason = "tool_calls"
    usage = Usage(len(request.prompt), clock.tokens, writer.thinking_tokens, clock.cached_tokens)
    yield Finished(reason, usage, clock.timings(), writer.stop, misfit)


def _echo(request: _Request, control: _Control) -> Iterator[Event]:
    arguments = (request.engine, request.tokenizer, request.prompt, request.decoding)
    echo = read_echo(*arguments, control.is_cancelled)
    if echo is not None:
        yield echo


def _answer(
    request: _Request, writer: Writer, control: _Control, clock: _Clock
) -> Generator[Event, None, FinishReason]:
    """Events while the engine runs, as often as it has to; returns why the answer ended."""
    free = replace(request.decoding, constraint=None)
    run: _Run | None = _Run(request.prompt, free if writer.is_thinking else request.decoding)
    if request.decoding.max_new_tokens <= 0:
        return "length"
    while run is not None and not control.is_cancelled():
        reason = yield from _engine_events(request, run, writer, control, clock)
        if reason is not None:
            return reason
        run = yield from _behind_thinking(request, run, writer, clock)
    return "length" if run is None else "cancelled"


def _engine_events(
    request: _Request, run: _Run, writer: Writer, control: _Control, clock: _Clock
) -> Generator[Event, None, FinishReason | None]:
    """Those of one run; returns None where thinking is over, or is to be, and another follows."""
    generation = request.engine.start(run.prompt, run.decoding, request.stop_ids)
    is_withheld = run.decoding.constraint is not request.decoding.constraint
    try:
        control.attach(generation)
        for at, token in enumerate(generation):
            clock.tick()
            clock.note_cached(generation)
            told = _told(generation, at, run.decoding)
            if token in request.stop_ids:
                writer.keep(token, told)
                return None if is_withheld else "stop"
            run.tokens.append(token)
            for event in writer.feed(token, told):
                # what the token of the mark writes besides was never held to the constraint
                if not (is_withheld and isinstance(event, Text)):
                    yield event
            if writer.stopped:
                return "stop"
            if writer.loops:
                return "repetition"
            if clock.tokens == request.decoding.max_new_tokens:
                return "length"
            if control.is_cancelled():
                break
            if request.has_thought_enough(writer) or (is_withheld and not writer.is_thinking):
                return None
        return "cancelled"
    finally:
        generation.cancel()


def _behind_thinking(
    request: _Request, run: _Run, writer: Writer, clock: _Clock
) -> Generator[Event, None, _Run | None]:
    """The run that writes the answer, behind the mark that the model or, else, this one sets.

    None where the limits leave no room for it.
    """
    assert request.thinking is not None  # noqa: S101 - for the type checker
    plan = request.thinking
    end = plan.closing if writer.is_thinking else plan.rest
    counted = len(end) if writer.is_thinking else 0
    prompt = (*run.prompt, *run.tokens, *end, *plan.opening)
    left = request.decoding.max_new_tokens - clock.tokens - counted
    left = min(left, request.context - len(prompt))
    if left <= 0:
        return None
    if writer.is_thinking:
        for _ in end:
            clock.tick()
        yield from writer.close_thinking(end, request.decoding)
    return _Run(prompt, replace(request.decoding, max_new_tokens=left))


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
