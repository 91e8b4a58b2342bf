"""One client's connection: few writes, limits of time, and an answer for all that comes of it."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from aipc.serve.http.client_limits import BODY_BYTES_S, ClientLimits
from aipc.serve.http.connections import Connections
from aipc.serve.http.errors import error_response
from aipc.wire.errors import SERVER, HTTPError, openai_error

_BEGINNING = b"HTTP/1.1 "
"""Of every response, whatever its status."""
_CHUNKED = b"\r\ntransfer-encoding: chunked\r\n"
_MOST_ZEROS = 8
"""Of the 20 digits that a chunk's size may have at some clients."""
_FIRST_PAUSE_S = 0.01
_LINGER_S = 1.0
"""In which a client that still sends can read why it was refused."""
_CAN_ANSWER = {h11.IDLE, h11.SEND_RESPONSE}
_UNREADABLE = {431: "the head is too large", 501: "this transfer encoding is not taken"}
_log = logging.getLogger(__name__)


class ClientConnection(H11Protocol):
    """Uvicorn's, which waits for no client for ever and refuses in OpenAI's form.

    The end of what a client sends is taken for its leaving.  One that has only closed its half
    (``nc -N``, some proxies) can't be told from one that has left but by writing: where nobody
    listens, the write after the first fails.
    """

    def __init__(
        self, limits: ClientLimits, connections: Connections, *arguments: Any, **more: Any
    ) -> None:
        super().__init__(*arguments, **more)
        self._limits = limits
        self._open = connections
        self._request_timer: asyncio.TimerHandle | None = None
        self._reading_timer: asyncio.TimerHandle | None = None
        self._began_at = 0.0
        self._body_bytes = -1
        """Of the request that is coming; negative while its head is."""
        self._is_refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._response = ResponseTransport(transport, self.loop)
        super().connection_made(cast("asyncio.Transport", self._response))
        if self._open.admit(self):
            self._expect_request()
        elif self._open.may_be_told(self):
            message = "the server has as many connections as it may have; ask again"
            headers = {"Retry-After": "1"}
            self._refuse(
                HTTPError(503, message, kind=SERVER, code="too_many_connections", headers=headers)
            )
        else:
            self._response.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.leave(self)
        self._stop_timers()
        super().connection_lost(exc)

    def drop(self) -> None:
        self._open.leave(self)
        self._response.abort()

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        if self._request_timer is None and self.conn.their_state is h11.IDLE:
            self._expect_request()
        super().data_received(data)
        if not self._is_refused:
            self._note_request(len(data))

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._note_request(0)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        """As uvicorn calls it where what comes is no HTTP."""
        reason = sys.exc_info()[1]
        status = reason.error_status_hint if isinstance(reason, h11.RemoteProtocolError) else 400
        message = _UNREADABLE.get(status, "this is no request of HTTP/1.1")
        self._refuse(HTTPError(status, message, code="invalid_http"))

    def pause_writing(self) -> None:
        super().pause_writing()
        self._reading_timer = self.loop.call_later(self._limits.unread_s, self._give_up_reader)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._reading_timer is not None:
            self._reading_timer.cancel()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Whether the connection stays open."""
        cycle = self.cycle
        if self._is_refused or cycle is None or cycle.more_body or cycle.response_complete:
            return False
        cycle.keep_alive = False
        self._probe(_FIRST_PAUSE_S)
        return True

    def _probe(self, pause_s: float) -> None:
        """Write later and later, as often as that can be done."""
        cycle = self.cycle
        if not cycle.response_complete and self._response.probe(has_begun=cycle.response_started):
            self.loop.call_later(pause_s, self._probe, 2 * pause_s)

    def _expect_request(self) -> None:
        self._body_bytes = -1
        self._allow(self._limits.head_s)

    def _allow(self, seconds: float) -> None:
        """The client has so many for the part of a request that begins now."""
        self._stop_request_timer()
        self._began_at = self.loop.time()
        self._request_timer = self.loop.call_later(seconds, self._check_request)

    def _note_request(self, nbytes: int) -> None:
        """How far a request has come, with so many bytes more, and whether there is one."""
        is_busy = self.cycle is not None and not self.cycle.response_complete
        (self._open.note_busy if is_busy else self._open.note_idle)(self)
        if self.conn.their_state is h11.SEND_BODY:
            if self._body_bytes < 0:
                self._body_bytes = 0
                self._allow(self._limits.body_s)
            self._body_bytes += nbytes
        elif self.conn.their_state is not h11.IDLE:
            self._stop_request_timer()
        elif self._request_timer is not None and self._body_bytes >= 0:
            self._expect_request()  # what was answered early has come whole at last

    def _check_request(self) -> None:
        """Refuse the request if its time is over, and look again when it is."""
        now = self.loop.time()
        if self._body_bytes < 0:
            limit_s, part = self._limits.head_s, "head"
        else:
            limit_s, part = self._limits.body_s + self._body_bytes / BODY_BYTES_S, "body"
        if self.flow.read_paused:  # it is this server that takes no more
            self._began_at = now
        left_s = self._began_at + limit_s - now
        if left_s > 0:
            self._request_timer = self.loop.call_later(left_s, self._check_request)
            return
        self._request_timer = None
        if self._body_bytes < 0 and not self.conn.trailing_data[0]:
            self.drop()  # it asks nothing
            return
        message = f"the {part} of the request did not come in {limit_s:.0f} s"
        self._refuse(HTTPError(408, message, code="request_timeout"))

    def _give_up_reader(self) -> None:
        _log.info("a client read nothing for %g s: its answer is ended", self._limits.unread_s)
        self.drop()

    def _refuse(self, error: HTTPError) -> None:
        """Answer so, if no answer has begun, and close, though more may come."""
        self._is_refused = True
        self._stop_timers()
        _log.info("refused what is no whole request: %d, %s", error.status, error.message)
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in _CAN_ANSWER:
            response = error_response(error, openai_error)
            headers = [*response.raw_headers, (b"connection", b"close")]
            head = h11.Response(status_code=error.status, headers=headers)
            for event in (head, h11.Data(data=bytes(response.body)), h11.EndOfMessage()):
                self._response.write(self.conn.send(event) or b"")
            self.flow.resume_reading()
            self._response.end()
            self.loop.call_later(_LINGER_S, self.drop)
        else:
            self.drop()

    def _stop_timers(self) -> None:
        self._stop_request_timer()
        self._unset_keepalive_if_required()
        if self._reading_timer is not None:
            self._reading_timer.cancel()

    def _stop_request_timer(self) -> None:
        if self._request_timer is not None:
            self._request_timer.cancel()
            self._request_timer = None


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

    def end(self) -> None:
        """Send no more, and go on hearing."""
        self._flush()
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        data, self._pieces = b"".join(self._pieces), []
        if data and not self._transport.is_closing():
            self._transport.write(data)
