"""From a request's questions to the events of their answers, counted on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from starlette.requests import Request

from aipc.generate import Finished
from aipc.serve.failures import Draining
from aipc.serve.requests import GenerationRequest, Saying

if TYPE_CHECKING:
    from aipc.serve.http.metrics import AnswerMeter, Metrics
    from aipc.serve.pool.fair_queue import PendingRequest
    from aipc.serve.pool.pool import Pool

Numbered = tuple[int, Saying]
_Heard = asyncio.Queue[Numbered | Exception | None]
TOKENS = "aipc.tokens"
"""Where a request's scope counts the tokens that it was answered with."""


def client_of(request: Request) -> str:
    """Who asks, for fair turns: the machine and the program.

    A program may open as many connections as it likes and gets no more turns by that.
    """
    machine = request.client.host if request.client else ""
    return f"{machine} {request.headers.get('user-agent', '')}"


class Asker:
    """Asks the pool."""

    def __init__(self, pool: Pool, metrics: Metrics) -> None:
        self._pool = pool
        self._metrics = metrics

    async def answers(
        self, request: Request, model: str, device: str | None, asks: Sequence[GenerationRequest]
    ) -> AsyncGenerator[Numbered, None]:
        """What is said in answer to each of ``asks``, with its number, as it comes.

        Closing it cancels every answer; the first error ends them all.  With a seed they come
        one after another: what is computed in one batch is rounded otherwise than alone, and a
        sample may fall otherwise.

        Raises:
            AipcError: as `Pool.answer`.
        """
        tally = _Tally(request, self._metrics, len(asks))
        sources = [self._pool.answer(model, device, ask) for ask in asks]
        is_seeded = "seed" in asks[0].sampling
        order = _in_turn if is_seeded or len(asks) == 1 else _together
        async with aclosing(order(sources)) as sayings:
            async for number, saying in sayings:
                tally.note(number, saying)
                yield number, saying


class _Tally:
    def __init__(self, request: Request, metrics: Metrics, answers: int) -> None:
        self._scope = request.scope
        self._meters: list[AnswerMeter] = [metrics.answer() for _ in range(answers)]

    def note(self, number: int, saying: Saying) -> None:
        self._meters[number].note(saying)
        if isinstance(saying, Finished):
            if saying.reason == "cancelled":
                raise Draining("the answer was ended by the server", "ask again")
            told = self._scope.get(TOKENS, 0)
            self._scope[TOKENS] = told + saying.usage.completion_tokens


async def _in_turn(sources: Sequence[PendingRequest]) -> AsyncGenerator[Numbered, None]:
    for number, source in enumerate(sources):
        async with aclosing(source) as sayings:
            async for saying in sayings:
                yield number, saying


async def _together(sources: Sequence[PendingRequest]) -> AsyncGenerator[Numbered, None]:
    queue: _Heard = asyncio.Queue(maxsize=len(sources))
    readers = [asyncio.ensure_future(_read(queue, *each)) for each in enumerate(sources)]
    try:
        left = len(readers)
        while left:
            heard = await queue.get()
            if isinstance(heard, Exception):
                raise heard
            if heard is None:
                left -= 1
            else:
                yield heard
    finally:
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)


async def _read(queue: _Heard, number: int, source: PendingRequest) -> None:
    """Everything that one answer says, then None; an error instead of it."""
    try:
        async with aclosing(source) as sayings:
            async for saying in sayings:
                await queue.put((number, saying))
    except Exception as error:  # noqa: BLE001 - raised again by whoever reads the queue
        await queue.put(error)
    else:
        await queue.put(None)
