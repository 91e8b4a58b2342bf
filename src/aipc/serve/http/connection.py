"""Work that is cancelled when the client disconnects, and streams of server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from typing import Any, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from aipc.serve.http.errors import HTTPError, http_error, openai_error
from aipc.serve.worker.messages import Waiting

T = TypeVar("T")

DONE = b"data: [DONE]\n\n"
CLIENT_CLOSED_REQUEST = 499
"""The status, for the log alone, of a response whose client has disconnected."""


def frame(data: str, event: str = "") -> bytes:
    """One server-sent event; ``data`` is JSON on one line."""
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {data}\n\n".encode()


def waiting_frame(waiting: Waiting) -> bytes:
    """A comment, which clients of server-sent events skip: ``: waiting 2``."""
    return f": waiting {waiting.position}\n\n".encode()


def error_frame(error: HTTPError) -> bytes:
    return frame(json.dumps(openai_error(error)))


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
    last frame, made by ``on_error``, because the status has been sent.
    """

    def __init__(
        self,
        frames: AsyncGenerator[bytes, None],
        on_error: Callable[[HTTPError], bytes] = error_frame,
        media: str = "text/event-stream",
    ) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(headers=headers, media_type=media)
        del self.headers["content-length"]
        self._frames = frames
        self._on_error = on_error

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        try:
            await while_connected(receive, self._run(send))
        except ClientLeft:
            return

    async def _run(self, send: Send) -> None:
        async with aclosing(self._frames) as frames:
            await self._send_all(await anext(frames), frames, send)

    async def _send_all(
        self, first: bytes, frames: AsyncGenerator[bytes, None], send: Send
    ) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        await _send_body(send, first)
        try:
            async for each in frames:
                await _send_body(send, each)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets it
            await _send_body(send, self._on_error(http_error(error)))
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_body(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})
