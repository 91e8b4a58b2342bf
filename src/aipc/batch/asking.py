"""One line asked of a pool: a request on the wire in, the line of its answer out."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from aipc.batch.answers import LineAnswer, new_answer, refused_answer
from aipc.batch.input.lines import Line
from aipc.errors import AipcError, EngineBroken
from aipc.generate import Finished
from aipc.generate.request import GenerationRequest
from aipc.pool.failures import Draining, NoProgress, TryLater, WorkerDied
from aipc.pool.worker.messages import ServerEvent
from aipc.wire.errors import HTTPError, http_error, new_request_id
from aipc.wire.exchange import IndexedEvent, events_of
from aipc.wire.openai.urls import begin

if TYPE_CHECKING:
    from aipc.pool.pool import Pool


class LineInterrupted(TryLater):
    """The worker died, was stuck or broken while it answered the line, which may be why."""


async def answer_line(
    pool: Pool, line: Line, model: str | None = None, *, is_background: bool = False
) -> LineAnswer:
    """Ask ``model`` of the pool, or the one that the line names; a line that fails has an answer.

    Its choices are made one after another.  Where they are sampled and the line gives no seed, it
    is made of the line's id.

    Raises:
        LineInterrupted: its worker died.
        TryLater: no answer was begun; it says when to ask again.
    """
    try:
        exchange = begin(line.url, line.body)
        ask = _Asking(pool, model or exchange.body.model, exchange.body.device, is_background)
        async with aclosing(events_of(exchange, partial(ask.events, line.custom_id))) as events:
            async for index, event in events:
                exchange.add(index, event)
    except TryLater:
        raise
    except (HTTPError, AipcError) as error:
        return refused_answer(line.custom_id, http_error(error))
    body = exchange.whole().model_dump(mode="json", exclude_unset=True, by_alias=True)
    return new_answer(line.custom_id, body, new_request_id())


@dataclass(frozen=True)
class _Asking:
    pool: Pool
    model: str
    device: str | None
    is_background: bool

    async def events(
        self, custom_id: str, requests: Sequence[GenerationRequest]
    ) -> AsyncGenerator[IndexedEvent, None]:
        for index, request in enumerate(requests):
            async with aclosing(self._answer(_whole(request, custom_id, index))) as events:
                async for event in events:
                    yield index, event

    async def _answer(self, request: GenerationRequest) -> AsyncGenerator[ServerEvent, None]:
        background = self.is_background
        stream = self.pool.answer(self.model, self.device, request, is_background=background)
        try:
            async with aclosing(stream):
                async for event in stream:
                    if isinstance(event, Finished) and event.reason == "cancelled":
                        raise Draining("the answer was ended by the server", "ask again")
                    yield event
        except (NoProgress, WorkerDied) as error:
            if stream.number is None:
                raise
            raise LineInterrupted(error.what, error.fix) from error
        except EngineBroken as error:
            raise LineInterrupted(error.what, "ask again: it is loaded anew") from error


def seed_of(custom_id: str, index: int) -> int:
    """32 bits for one choice of a line, the same whenever it is asked."""
    return int.from_bytes(hashlib.sha256(f"{custom_id}\n{index}".encode()).digest()[:4], "big")


def _whole(request: GenerationRequest, custom_id: str, index: int) -> GenerationRequest:
    sampling = {"seed": seed_of(custom_id, index), **request.sampling}
    return replace(request, sampling=sampling, whole=True)
