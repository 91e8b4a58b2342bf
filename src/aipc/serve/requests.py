"""What is asked of a model, and what its answerer may say besides the answer's own events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from aipc.generate import Event, Message


@dataclass(frozen=True)
class GenerationRequest:
    """One answer wanted: plain data, which travels to the worker as JSON.

    The fields are the arguments of `Session.stream`; exactly one of ``messages``,
    ``prompt`` and ``texts`` is given.  Nothing is checked here: the session refuses what it
    can't do.
    """

    messages: Sequence[Message] | None = None
    """A conversation in OpenAI's form."""
    prompt: str | None = None
    """A text to continue as it is, without a chat template."""
    texts: Sequence[str] = ()
    """Texts to make vectors of: `Embedded` is what a model that can do that says."""
    dimensions: int | None = None
    """Numbers that each vector shall have; None leaves it to the model."""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `aipc.runtimes.base.Sampling`; what is left out is the model's own choice."""
    stop: Sequence[str] = ()
    schema: Mapping[str, Any] | None = None
    tools: Sequence[Mapping[str, Any]] = ()
    tool_choice: str = "auto"
    logprobs: bool = False
    client: str = field(default="", repr=False)
    """Who asks.  The models' turns go round among clients; it never leaves this process."""


@dataclass(frozen=True)
class Waiting:
    """The answer has not begun: it is the ``position``-th to be begun, 1 being the next.

    Also said, with position 1 and up, while the model is being loaded.
    """

    position: int


@dataclass(frozen=True)
class Embedded:
    """The vectors of the next few texts, in the order that they were asked in."""

    vectors: tuple[str, ...]
    """Each float32, little-endian, in base64, as it goes over every wire."""


Saying: TypeAlias = Event | Embedded | Waiting
"""`Text` and `ToolCall`, or `Embedded`, and at last one `Finished`; first any `Waiting`."""
