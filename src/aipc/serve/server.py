"""The application on a socket until a signal stops it, with time for running answers to end."""

from __future__ import annotations

import asyncio
import logging
import math
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

import uvicorn

from aipc.errors import AipcError
from aipc.foreign_text import escaped, one_line
from aipc.progress import Notify
from aipc.serve.app import Application
from aipc.serve.http.binding import Binding
from aipc.serve.http.client_connection import ClientConnection
from aipc.serve.http.connections import Connections, most_connections
from aipc.serve.http.guard import MAX_HEADER_BYTES

if TYPE_CHECKING:
    from aipc.devices.counters.monitor import Monitor
    from aipc.pool.pool import Pool


_HANG_UP = getattr(signal, "SIGHUP", None)  # Windows has none
_MARGIN_S = 5
_PROGRESS_EVERY_S = 10
_KEEP_ALIVE_S = 75
_LOOK_AGAIN_S = 0.5
_AT_ONCE, _QUEUED = 32, 2048
"""Connections that are taken in one turn of the loop, and that wait with the system: of a flood,
none is to be let go for another before what it asks was read."""


def serve(
    pool: Pool,
    monitor: Monitor,
    listeners: Sequence[socket.socket],
    binding: Binding,
    *,
    first: str,
    notify: Notify,
) -> None:
    """Answer until SIGINT, SIGTERM or SIGHUP; the second SIGINT raises KeyboardInterrupt.

    ``first`` is a model to load at once; ``notify`` gets lines for the operator.
    """
    server = Server(pool, monitor, binding, notify)
    asyncio.run(server.run_on(listeners, first))


class Server(uvicorn.Server):
    """Uvicorn's server, which also closes the pool and ends without an error."""

    def __init__(self, pool: Pool, monitor: Monitor, binding: Binding, notify: Notify) -> None:
        self._pool = pool
        self._drain_s = binding.drain_s
        self._exit_idle_s = binding.exit_idle_s
        self._notify = notify
        self.app = Application(pool, binding, monitor)
        connections = Connections(most_connections(binding.limits.max_connections))
        config = uvicorn.Config(
            self.app,
            http=cast("Any", partial(ClientConnection, binding.limits, connections)),
            h11_max_incomplete_event_size=2 * MAX_HEADER_BYTES,
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            backlog=_AT_ONCE,
            timeout_graceful_shutdown=math.ceil(binding.drain_s) + _MARGIN_S,
        )
        super().__init__(config)
        logging.getLogger("uvicorn.access").disabled = True  # its lines have whole addresses

    async def run_on(self, listeners: Sequence[socket.socket], first: str | None = None) -> None:
        beside = [asyncio.ensure_future(self._load(first))] if first else []
        if self._exit_idle_s is not None:
            beside.append(asyncio.ensure_future(self._end_unused(self._exit_idle_s)))
        else:  # one that may end any time goes on with no work of others
            await self.app.batches.resume()
        try:
            await self.serve([*listeners])
        finally:
            for task in beside:
                task.cancel()
            await self.app.batches.close()
            await self._pool.close()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(_QUEUED)  # asyncio has one number for both

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        running = sum(one.running - one.background for one in self._pool.statuses())
        if running:
            self._notify(
                f"stopping; waiting for the answers under way: {running}; Ctrl-C ends them now"
            )
        await self.app.batches.close()
        closing = asyncio.ensure_future(self._pool.close(self._drain_s))
        await super().shutdown(sockets)
        await closing

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Unlike uvicorn's, re-raises no signal at the end: a stopped server has not failed."""
        try:
            before = {number: signal.signal(number, self.handle_exit) for number in _signals()}
        except ValueError:  # in a thread there are no signals
            before = {}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self.should_exit and sig == signal.SIGINT:
            logging.getLogger("uvicorn.error").disabled = True  # it would log each answer's end
            raise KeyboardInterrupt
        self.should_exit = True

    async def _end_unused(self, limit_s: float) -> None:
        """End after so many seconds in which no model loaded, answered or was waited for.

        An unfinished batch waits for one.
        """
        loop = asyncio.get_running_loop()
        started = loop.time()
        while not self.should_exit:
            left_s = max(started, self._pool.last_used_at) + limit_s - loop.time()
            if left_s <= 0 and not self.app.batches.is_busy:
                break
            await asyncio.sleep(max(left_s, _LOOK_AGAIN_S))
        self._notify(f"no request for {limit_s:g} s: stopping")
        self.should_exit = True

    async def _load(self, model: str) -> None:
        loading = asyncio.ensure_future(self._pool.load(model))
        try:
            while not (await asyncio.wait({loading}, timeout=_PROGRESS_EVERY_S))[0]:
                for one in self._pool.statuses():
                    if one.doing:
                        self._notify(f"{one.model}: {one.doing}")
            status = await loading
        except AipcError as error:
            self._notify(f"{model}: {error}")
            return
        for notice in status.notices:
            self._notify(notice)
        facts = status.ready.facts if status.ready else {}
        device, runtime = str(facts.get("device", "?")).lower(), facts.get("runtime", "?")
        self._notify(f"{model} is ready on {device} ({runtime})")


def _signals() -> list[int]:
    """Those that end a server; SIGHUP too, but where ``nohup`` has it ignored."""
    signals: list[int] = [*uvicorn.server.HANDLED_SIGNALS]
    if _HANG_UP is not None and signal.getsignal(_HANG_UP) is not signal.SIG_IGN:
        signals.append(_HANG_UP)
    return signals


class _Formatter(logging.Formatter):
    """Clients and models write some of what is logged: a message of theirs is one line."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        record.message = one_line(record.message)
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        return escaped(super().format(record))


def log_to(handler: logging.Handler, *, debug: bool = False) -> None:
    """Send the requests' lines, and uvicorn's warnings, to a handler.

    With ``debug`` those of the paths too that programs ask again and again.
    """
    own = logging.DEBUG if debug else logging.INFO
    handler.setFormatter(_Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    for name, level in (("aipc.serve", own), ("uvicorn.error", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(level)
        logger.propagate = False
