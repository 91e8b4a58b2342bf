"""What a model's worker may send besides the events of an answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from aipc.generate import Event
from aipc.generate.request import GenerationRequest

__all__ = ["Embedded", "GenerationRequest", "ServerEvent", "Waiting"]


@dataclass(frozen=True)
class Waiting:
    """The answer has not begun: it is the ``position``-th to be begun, 1 being the next.

    Also sent, with position 1 and up, while the model is being loaded.
    """

    position: int


@dataclass(frozen=True)
class Embedded:
    """The vectors of the next few texts, in the order of the request."""

    vectors: tuple[str, ...]
    """Each float32, little-endian, in base64, as it goes over every wire."""


ServerEvent: TypeAlias = Event | Embedded | Waiting
"""`Text` and `ToolCall`, or `Embedded`, and at last one `Finished`; first any `Waiting`."""
