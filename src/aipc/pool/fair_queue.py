"""One model's queue of pending requests, fair between clients, those in the background last.

Also the backoff after failures.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

from aipc.errors import AipcError
from aipc.generate import Finished, Text
from aipc.generate.events import join
from aipc.generate.request import GenerationRequest
from aipc.pool.failures import GaveWay, WorkerDied
from aipc.pool.worker.messages import ServerEvent, Waiting

FAILURES = 3
"""In a row, after which a model is paused."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 5.0, 300.0
_NEWEST = 0.2  # share of the newest answer in the average
_GUESS_S = 5.0  # an answer's time before one was measured
_LONGEST_WAIT_S = 600.0


class PendingRequest(AsyncIterator[ServerEvent]):
    """One request from its queueing to its end: the client iterates its events.

    The first step of the iteration awaits ``enqueue``, which puts the request into a queue and
    may set ``on_close``.  Texts that arrived since the last step are joined to one, except where
    they have log probabilities.  Everything is called on one event loop.
    """

    def __init__(
        self,
        request: GenerationRequest,
        enqueue: Callable[[PendingRequest], Awaitable[None]] | None = None,
        *,
        is_background: bool = False,
    ) -> None:
        self.request = request
        self.is_background = is_background
        """Whether it waits behind all others, and its answer gives way to theirs."""
        self.number: int | None = None
        """Of the answer in its worker; None before it is started."""
        self.started_at = 0.0
        """When the answer was started, on the event loop's clock."""
        self.finished = False
        """Whether its last event, or an error, has arrived."""
        self.on_close: Callable[[PendingRequest], None] | None = None
        """Called once, when the iteration is closed, cancelled or failed."""
        self._enqueue = enqueue
        self._events: deque[ServerEvent] = deque()
        self._error: AipcError | None = None
        self._arrived = asyncio.Event()
        self._is_closed = False
        self._position = 0
        self.gives_way = False
        """Whether its answer was cancelled for another's: it fails once the worker has ended it."""

    def put_position(self, position: int) -> None:
        """Add an event with the position in the queue, 1 being the next, if it has changed."""
        if position != self._position:
            self._position = position
            self.put(Waiting(position))

    def put(self, event: ServerEvent) -> None:
        """Add an event; it replaces a position that was not read yet."""
        if self.gives_way and isinstance(event, Finished) and event.reason == "cancelled":
            self.fail(GaveWay("the answer gave way to an interactive request", "ask again"))
            return
        if self._events and isinstance(self._events[-1], Waiting):
            self._events.pop()
        self._events.append(event)
        self.finished = self.finished or isinstance(event, Finished)
        self._arrived.set()

    def fail(self, error: AipcError) -> None:
        """End the iteration with an error, after the events that arrived before it."""
        if not self.finished:
            self._error = error
            self.finished = True
            self._arrived.set()

    async def aclose(self) -> None:
        """Leave the queue, or end the answer at its next token; the iteration is over."""
        self._is_closed = True
        if self.on_close is not None:
            on_close, self.on_close = self.on_close, None
            on_close(self)

    async def __anext__(self) -> ServerEvent:
        if self._is_closed:
            raise StopAsyncIteration
        try:
            if self._enqueue is not None:
                enqueue, self._enqueue = self._enqueue, None
                await enqueue(self)
            return await self._next()
        except BaseException:
            await self.aclose()
            raise

    async def _next(self) -> ServerEvent:
        while not self._events:
            if self._error is not None:
                raise self._error
            if self.finished:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        texts: list[Text] = []
        while self._events and isinstance(event := self._events[0], Text) and not event.logprobs:
            texts.append(event)
            self._events.popleft()
        return join(texts) if texts else self._events.popleft()


class FairQueue:
    """Round-robin over clients; each client's own requests are first in, first out.

    A client with a hundred requests does not delay those of others.  Requests in the background
    come after all others and are counted apart: `len`, `wait_s` and the iteration leave them out.
    """

    def __init__(self) -> None:
        self._clients: dict[str, deque[PendingRequest]] = {}  # in the order of their turns
        self._background: deque[PendingRequest] = deque()
        self._average_s: float | None = None

    def __len__(self) -> int:
        return sum(map(len, self._clients.values()))

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits, in the background neither."""
        return not self._clients and not self._background

    def __iter__(self) -> Iterator[PendingRequest]:
        """In the order that `pop` will have, if none is added or removed."""
        waiting = [deque(own) for own in self._clients.values()]
        while waiting:
            yield from (own.popleft() for own in waiting)
            waiting = [own for own in waiting if own]

    def add(self, pending: PendingRequest) -> None:
        if pending.is_background:
            self._background.append(pending)
            return
        self._clients.setdefault(pending.request.client, deque()).append(pending)

    def pop(self) -> PendingRequest:
        """The next request; its client's other requests come after those of all others."""
        if not self._clients:
            return self._background.popleft()
        client = next(iter(self._clients))
        own = self._clients.pop(client)
        pending = own.popleft()
        if own:
            self._clients[client] = own
        return pending

    def remove(self, pending: PendingRequest) -> bool:
        """Remove it; whether it was still in the queue."""
        if pending in self._background:
            self._background.remove(pending)
            return True
        own = self._clients.get(pending.request.client)
        if own is None or pending not in own:
            return False
        own.remove(pending)
        if not own:
            del self._clients[pending.request.client]
        return True

    def note_answer(self, seconds: float) -> None:
        """Count how long an answer took; the average follows the newest ones."""
        average = seconds if self._average_s is None else self._average_s
        self._average_s = average + _NEWEST * (seconds - average)

    def wait_s(self, slots: int) -> float:
        """Seconds until a request added now is answered, at ``slots`` answers at a time."""
        average = _GUESS_S if self._average_s is None else self._average_s
        return min(average * (len(self) + 1) / slots, _LONGEST_WAIT_S)


class Backoff:
    """After `FAILURES` in a row each further try waits, twice as long each time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._count = 0
        self._until = 0.0
        self.error: AipcError | None = None
        """The latest, until `clear`."""

    def note(self, error: AipcError) -> None:
        """Count a failure."""
        self.error = error
        self._count += 1
        if self._count >= FAILURES:
            pause = min(_FIRST_PAUSE_S * 2 ** (self._count - FAILURES), _LONGEST_PAUSE_S)
            self._until = self._clock() + pause

    @property
    def failures(self) -> int:
        """In a row, since the model last worked."""
        return self._count

    def clear(self) -> None:
        """Forget the failures: the model works."""
        self._count, self._until, self.error = 0, 0.0, None

    @property
    def in_pause(self) -> bool:
        return self._clock() < self._until

    def check(self) -> None:
        """Refuse a try during the pause.

        Raises:
            AipcError: the latest error; a `WorkerDied` with the time of the next try.
        """
        error = self.error
        if error is None or not self.in_pause:
            return
        if not isinstance(error, WorkerDied):
            raise type(error)(error.what, error.fix) from error.__cause__
        pause = self._until - self._clock()
        raise WorkerDied(
            f"{error.what}, as {self._count - 1} times before",
            f"it is tried again in {pause:.0f} s",
            retry_after_s=pause,
        )
