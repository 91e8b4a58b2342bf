"""Sends the generation requests of one HTTP request to the pool and counts what comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from starlette.requests import Request

from aipc.generate import Finished
from aipc.generate.request import GenerationRequest
from aipc.pool.failures import Draining
from aipc.pool.worker.messages import ServerEvent
from aipc.wire.exchange import IndexedEvent, IndexedEvents

if TYPE_CHECKING:
    from aipc.pool.fair_queue import PendingRequest
    from aipc.pool.pool import Pool
    from aipc.serve.http.metrics import AnswerMeter, Metrics

_Queue = asyncio.Queue[IndexedEvent | BaseException | None]
AT_ONCE = 8
"""Answers of one request under way together, so that a list of prompts does not fill the queue."""
TOKENS = "aipc.tokens"
"""Key of the ASGI scope that holds the number of tokens generated for the request."""


def client_of(request: Request) -> str:
    """The client, for the fair queue: its machine and program, whatever its connections."""
    machine = request.client.host if request.client else ""
    return f"{machine} {request.headers.get('user-agent', '')}"


class Dispatcher:
    def __init__(self, pool: Pool, metrics: Metrics) -> None:
        self._pool = pool
        self._metrics = metrics

    async def name_of(self, model: str) -> str:
        """The name of the model that answers where ``model`` is asked for.

        Raises:
            ModelUnknown: there is none.
        """
        return (await self._pool.card(model)).name

    def events(
        self,
        request: Request,
        model: str,
        device: str | None,
        requests: Sequence[GenerationRequest],
        keep_s: float | None = None,
        *,
        whole: bool = False,
    ) -> IndexedEvents:
        """The events of all ``requests``, each with the index of its request.

        Closing it cancels every request; the first error ends them all.  With a seed they run
        one after another: a batch is rounded differently from a single sequence, which can change
        a sampled token.  ``keep_s`` is as `Pool.answer` has it, ``whole`` as
        `GenerationRequest` does.

        Raises:
            AipcError: as `Pool.answer`.
        """
        requests = [replace(each, whole=whole) for each in requests]
        counter = _Counter(request, self._metrics, len(requests))
        streams = [self._pool.answer(model, device, each, keep_s) for each in requests]
        is_sequential = len(requests) == 1 or "seed" in requests[0].sampling
        return _sequential(streams, counter) if is_sequential else _merged(streams, counter)


class _Counter:
    def __init__(self, request: Request, metrics: Metrics, choices: int) -> None:
        self._scope = request.scope
        self._meters: list[AnswerMeter] = [metrics.start_answer() for _ in range(choices)]

    def count(self, index: int, event: ServerEvent) -> None:
        self._meters[index].note(event)
        if isinstance(event, Finished):
            if event.reason == "cancelled":
                raise Draining("the answer was ended by the server", "ask again")
            self._scope[TOKENS] = self._scope.get(TOKENS, 0) + event.usage.completion_tokens


async def _sequential(streams: Sequence[PendingRequest], counter: _Counter) -> IndexedEvents:
    for index, stream in enumerate(streams):
        async with aclosing(stream):
            async for event in stream:
                counter.count(index, event)
                yield index, event


async def _merged(streams: Sequence[PendingRequest], counter: _Counter) -> IndexedEvents:
    queue: _Queue = asyncio.Queue(maxsize=len(streams))
    turns = asyncio.Semaphore(AT_ONCE)
    readers = [asyncio.ensure_future(_read(queue, turns, *each)) for each in enumerate(streams)]
    try:
        running = len(readers)
        while running:
            received = await queue.get()
            if isinstance(received, BaseException):
                raise received
            if received is None:
                running -= 1
            else:
                counter.count(*received)
                yield received
    finally:
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)


async def _read(
    queue: _Queue, turns: asyncio.Semaphore, index: int, stream: PendingRequest
) -> None:
    """Put every event of one stream into the queue, then None; or the error that ended it."""
    try:
        async with turns, aclosing(stream):
            async for event in stream:
                await queue.put((index, event))
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001 - raised again by the reader of the queue
        await queue.put(error)
    else:
        await queue.put(None)
