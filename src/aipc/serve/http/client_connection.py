"""One client's connection: few writes, and an answer for who sends no more but still listens."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

_BEGINNING = b"HTTP/1.1 "
"""Of every response, whatever its status."""
_CHUNKED = b"\r\ntransfer-encoding: chunked\r\n"
_MOST_ZEROS = 8
"""Of the 20 digits that a chunk's size may have at some clients."""
_FIRST_PAUSE_S = 0.01


class ClientConnection(H11Protocol):
    """Uvicorn's, which takes the end of what a client sends for its leaving.

    A client that has only closed its half (``nc -N``, some proxies) can't be told from one that
    has left but by writing: where nobody listens, the write after the first fails.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._response = ResponseTransport(transport, self.loop)
        super().connection_made(cast("asyncio.Transport", self._response))

    def eof_received(self) -> bool:  # type: ignore[override]
        """Whether the connection stays open."""
        cycle = self.cycle
        if cycle is None or cycle.more_body or cycle.response_complete:
            return False
        cycle.keep_alive = False
        self._probe(_FIRST_PAUSE_S)
        return True

    def _probe(self, pause_s: float) -> None:
        """Write later and later, as often as that can be done."""
        cycle = self.cycle
        if not cycle.response_complete and self._response.probe(has_begun=cycle.response_started):
            self.loop.call_later(pause_s, self._probe, 2 * pause_s)


class ResponseTransport:
    """A transport that sends once what is written during one turn of the event loop."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._pieces: list[bytes] = []
        self._is_chunked = False
        self._ahead = 0
        """Bytes that were sent by `probe` since the last write."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if data.startswith(_BEGINNING):
            self._is_chunked = _CHUNKED in data.lower()
            data = data[self._ahead :]
        self._ahead = 0
        if not self._pieces:
            self._loop.call_soon(self._flush)
        self._pieces.append(data)

    def probe(self, *, has_begun: bool) -> bool:
        """Send a byte that changes nothing of the response; False where there is none.

        Before its head that is a byte of what every head begins with, before a chunk a zero more
        of its size.
        """
        if self._transport.is_closing():
            return False
        if self._pieces:
            return True
        if has_begun:
            byte = b"0" if self._is_chunked and self._ahead < _MOST_ZEROS else b""
        else:
            byte = _BEGINNING[self._ahead : self._ahead + 1]
        self._ahead += len(byte)
        self._transport.write(byte)
        return bool(byte)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        data, self._pieces = b"".join(self._pieces), []
        if data and not self._transport.is_closing():
            self._transport.write(data)
