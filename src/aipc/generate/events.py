"""What a generation says while it runs, and the reply that its events add up to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeVar

from aipc.errors import GenerationError

FinishReason = Literal["stop", "length", "repetition", "tool_calls", "cancelled"]
"""A stop id or stop string; the token limit or the end of the context; a loop, where those are
looked for; a stop after tool calls; ended from outside."""


@dataclass(frozen=True)
class Usage:
    prompt_tokens: int
    completion_tokens: int
    """Every token of the answer, those of thinking, the forced end of it and a stop id included."""
    thinking_tokens: int = 0
    cached_tokens: int = 0
    """Of the prompt's: those that were not computed again; 0 also where nobody tells."""

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True)
class Timings:
    """Wall time as the reader of the events saw it, waits of the reader's own included."""

    first_token_s: float | None
    """Seconds from the start to the first token; None without one."""
    decode_tokens_per_s: float | None
    """Tokens a second after the first one; None with fewer than two."""
    total_s: float
    """Seconds from the start to the end."""


@dataclass(frozen=True)
class Alternative:
    """A token that could have come at a place."""

    token: int
    logprob: float
    text: str
    """As people read it: a special token by its name, U+FFFD for a part of a character."""
    piece: bytes
    """What it writes, be it part of a character; nothing for a special token."""


@dataclass(frozen=True)
class Echo:
    """The prompt's own tokens, before the answer."""

    prompt: str
    """Their text, without special tokens."""
    tokens: tuple[int, ...]
    logprobs: tuple[float | None, ...] = ()
    """None for the first, before which nothing stands."""
    pieces: tuple[bytes, ...] = ()
    top_logprobs: tuple[tuple[Alternative, ...], ...] = ()
    """As of `Text`, these three; the first has no alternatives."""

    @property
    def text(self) -> str:
        """Empty, so that a loop over events may print each one's text."""
        return ""


@dataclass(frozen=True)
class Text:
    """A piece of the answer: whole characters, none of a stop string."""

    text: str
    """May be empty where the last tokens made no text."""
    tokens: tuple[int, ...]
    """The ids that came in since the event before; all events together hold each id once."""
    logprobs: tuple[float, ...] = ()
    """Natural-log probability of each of ``tokens``; empty where they were not requested."""
    pieces: tuple[bytes, ...] = ()
    """Where there are ``logprobs``: what each of ``tokens`` writes, be it part of a character."""
    top_logprobs: tuple[tuple[Alternative, ...], ...] = ()
    """The likeliest at the place of each of ``tokens``; empty where they were not requested."""


@dataclass(frozen=True)
class Thinking:
    """A piece of what the model writes before its answer, between its marks of thinking."""

    thinking: str
    tokens: tuple[int, ...]
    logprobs: tuple[float, ...] = ()
    pieces: tuple[bytes, ...] = ()
    top_logprobs: tuple[tuple[Alternative, ...], ...] = ()
    """As of `Text`, these four."""

    @property
    def text(self) -> str:
        """Empty, so that a loop over events may print each one's text."""
        return ""


@dataclass(frozen=True)
class ToolCall:
    """The model wants a function called.  Its tokens come in the next `Text`."""

    id: str
    """Made up here, so that a result can name its call."""
    name: str
    """One of the tools that were offered."""
    arguments: str
    """A JSON object as text; not checked against the tool's schema unless it was enforced."""

    @property
    def text(self) -> str:
        """Empty, so that a loop over events may print each one's text."""
        return ""


@dataclass(frozen=True)
class Finished:
    """The last event."""

    reason: FinishReason
    usage: Usage
    timings: Timings
    stop: str | None = None
    """The stop string that ended it, if one did."""
    misfit: str = ""
    """What of a finished answer does not fit the schema, where that is checked, not enforced."""

    @property
    def text(self) -> str:
        """Empty, so that a loop over events may print each one's text."""
        return ""


Event = Echo | Text | Thinking | ToolCall | Finished
Written = TypeVar("Written", Text, Thinking)


def join(events: Sequence[Written]) -> Written:
    """Events of one kind, in their order, as one."""
    if len(events) == 1:
        return events[0]
    first = events[0]
    written = "".join(one.thinking if isinstance(one, Thinking) else one.text for one in events)
    return type(first)(
        written,
        tuple(token for one in events for token in one.tokens),
        tuple(value for one in events for value in one.logprobs),
        tuple(piece for one in events for piece in one.pieces),
        tuple(each for one in events for each in one.top_logprobs),
    )


@dataclass(frozen=True)
class Reply:
    """A whole answer."""

    text: str
    tokens: tuple[int, ...]
    finish_reason: FinishReason
    usage: Usage
    timings: Timings
    tool_calls: tuple[ToolCall, ...] = ()
    logprobs: tuple[float, ...] = ()
    """Natural-log probability of each of ``tokens``; empty where they were not requested."""
    thinking: str = ""
    """What came before the answer; its tokens are among ``tokens``."""
    top_logprobs: tuple[tuple[Alternative, ...], ...] = ()
    """The likeliest at the place of each of ``tokens``; empty where they were not requested."""
    echo: Echo | None = None
    """The prompt's tokens, where they were requested."""
    misfit: str = ""
    """As of `Finished`."""

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON, in the order of the fields; bytes are lists of numbers."""
        return asdict(self, dict_factory=_plain)


def _plain(items: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(items)
    if "piece" in members:
        members["piece"] = list(members["piece"])
    if "pieces" in members:
        members["pieces"] = [list(piece) for piece in members["pieces"]]
    return members


def collect(events: Iterable[Event]) -> Reply:
    """Fold events into the reply.

    Raises:
        GenerationError: the events end without a `Finished`.
    """
    pieces: list[Text | Thinking] = []
    calls: list[ToolCall] = []
    echo: Echo | None = None
    for event in events:
        if isinstance(event, Finished):
            return replace(_reply(pieces, calls, event), echo=echo)
        if isinstance(event, Echo):
            echo = event
        elif isinstance(event, ToolCall):
            calls.append(event)
        else:
            pieces.append(event)
    raise GenerationError("the events stopped before the answer was finished", "ask again")


def _reply(pieces: list[Text | Thinking], calls: list[ToolCall], end: Finished) -> Reply:
    return Reply(
        text="".join(piece.text for piece in pieces),
        tokens=tuple(token for piece in pieces for token in piece.tokens),
        finish_reason=end.reason,
        usage=end.usage,
        timings=end.timings,
        tool_calls=tuple(calls),
        logprobs=tuple(value for piece in pieces for value in piece.logprobs),
        top_logprobs=tuple(each for piece in pieces for each in piece.top_logprobs),
        thinking="".join(piece.thinking for piece in pieces if isinstance(piece, Thinking)),
        misfit=end.misfit,
    )
