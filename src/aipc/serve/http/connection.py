"""Answers on their way: bodies, streams of events, and work that ends when the client leaves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from aipc.wire.errors import HTTPError, http_error
from aipc.wire.ignored import HEADER, header_value
from aipc.wire.schemas import RequestBody
from aipc.wire.sse import error_frame

T = TypeVar("T")

HEARTBEAT_S = 3.0
"""Without a frame, after which a stream shows that it lives: while a long prompt is computed."""
HEARTBEAT = b": computing the prompt\n\n"
"""A comment, which clients of server-sent events skip."""
CLIENT_CLOSED_REQUEST = 499
"""The status, for the log alone, of a response whose client has disconnected."""


def telling_ignored(response: Response, body: RequestBody) -> Response:
    """``response``, with a header that names the members of ``body`` that have no effect."""
    if body.ignored:
        response.headers[HEADER] = header_value(body.ignored)
    return response


def json_response(body: BaseModel) -> Response:
    """Members that were never set are left out; a null that was set is kept."""
    text = body.model_dump_json(exclude_unset=True, by_alias=True)
    return Response(text, media_type="application/json", headers={"Cache-Control": "no-store"})


class ClientLeft(Exception):
    """The client has disconnected."""


async def while_connected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work``, which is cancelled as soon as the client disconnects.

    ``receive`` is the request's own, its body read.

    Raises:
        ClientLeft: the client disconnected first.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientLeft
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class EventStream(Response):
    """``frames`` of the type ``media`` as they come; closed when the client disconnects.

    An error before the first frame is raised and has a status of its own; a later one becomes the
    last frame, made by ``on_error``, because the status has been sent.  Where no frame comes for
    `HEARTBEAT_S`, ``heartbeat`` is sent, and the status before it; None sends nothing.
    """

    def __init__(
        self,
        frames: AsyncGenerator[bytes, None],
        on_error: Callable[[HTTPError], bytes] = error_frame,
        media: str = "text/event-stream",
        heartbeat: bytes | None = HEARTBEAT,
    ) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(headers=headers, media_type=media)
        del self.headers["content-length"]
        self._frames = frames
        self._on_error = on_error
        self._heartbeat = heartbeat

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        body = _Body(send, self.raw_headers)
        beating = asyncio.ensure_future(self._beat(body))
        try:
            await while_connected(receive, self._run(body))
        except ClientLeft:
            return
        finally:
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)

    async def _run(self, body: _Body) -> None:
        try:
            async with aclosing(self._frames) as frames:
                async for each in frames:
                    await body.send(each)
        except Exception as error:
            if not body.has_begun:
                raise
            await body.send(self._on_error(http_error(error)))
        await body.send(b"", is_last=True)

    async def _beat(self, body: _Body) -> None:
        while self._heartbeat is not None:
            await asyncio.sleep(HEARTBEAT_S - body.silent_s)
            if body.silent_s >= HEARTBEAT_S:
                await body.send(self._heartbeat)


class _Body:
    """A response's body with the status before it, sent by several tasks."""

    def __init__(self, send: Send, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self._send = send
        self._headers = headers
        self._lock = asyncio.Lock()
        self._latest = time.monotonic()
        self.has_begun = False

    @property
    def silent_s(self) -> float:
        """Seconds since the last part was sent."""
        return time.monotonic() - self._latest

    async def send(self, part: bytes, *, is_last: bool = False) -> None:
        begins, self.has_begun = not self.has_begun, True
        async with self._lock:
            self._latest = time.monotonic()
            if begins:
                head = {"type": "http.response.start", "status": 200, "headers": self._headers}
                await self._send(head)
            message = {"type": "http.response.body", "body": part, "more_body": not is_last}
            await self._send(message)
