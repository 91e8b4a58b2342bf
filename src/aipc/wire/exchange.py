"""One request on the wire and its answer: what is asked of the model, and what becomes of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, aclosing, nullcontext

from aipc.errors import PromptTooLong
from aipc.generate.request import GenerationRequest
from aipc.pool.worker.messages import ServerEvent
from aipc.wire.errors import HTTPError
from aipc.wire.schemas import ApiModel, RequestBody
from aipc.wire.sse import error_frame

IndexedEvent = tuple[int, ServerEvent]
"""An event and the index of the choice that it belongs to."""
IndexedEvents = AsyncGenerator[IndexedEvent, None]
Ask = Callable[[Sequence[GenerationRequest]], IndexedEvents]
"""Asks a model, and gives the events of all the requests."""


class FrameWriter(ABC):
    """Writes an answer's events as server-sent events."""

    @abstractmethod
    def frames(self, index: int, event: ServerEvent) -> Iterator[bytes]:
        """Those of one event."""

    def last_frames(self) -> Iterator[bytes]:
        """Those behind the last event."""
        yield from ()

    def error_frame(self, error: HTTPError) -> bytes:
        """The last one, where the answer failed."""
        return error_frame(error)


class Exchange(ABC):
    """``requests`` are what the model is asked for ``body``, one for each choice."""

    body: RequestBody
    requests: Sequence[GenerationRequest]

    @property
    def wants_frames(self) -> bool:
        """Whether the client wants the answer while it is made."""
        return bool(getattr(self.body, "stream", False))

    @abstractmethod
    def add(self, index: int, event: ServerEvent) -> None:
        """Keep of an event what `whole` tells."""

    @abstractmethod
    def whole(self) -> ApiModel:
        """The answer's body, after the last event."""

    @abstractmethod
    def frame_writer(self) -> FrameWriter:
        """For a client that wants the answer while it is made."""

    def naming(self) -> AbstractContextManager[None]:
        """Turns an error that a part of the body has caused into one that names the part."""
        return nullcontext()

    def shorten(self) -> bool:
        """Leave something out of ``requests`` that were too long, if the client allows that."""
        return False


async def events_of(exchange: Exchange, ask: Ask) -> IndexedEvents:
    """What ``ask`` gives for the requests of an exchange, made shorter where that is allowed.

    Raises:
        HTTPError: what the request has wrong, by its part.
        AipcError: as ``ask``.
    """
    with exchange.naming():
        while True:
            events = ask(exchange.requests)
            try:
                async with aclosing(events):
                    async for event in events:
                        yield event
            except PromptTooLong:
                if not exchange.shorten():
                    raise
            else:
                return
