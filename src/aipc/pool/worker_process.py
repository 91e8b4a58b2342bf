"""A worker's child process and its pipes, driven by the event loop."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, BinaryIO, cast

from aipc.child import (
    PIECE,
    Message,
    Outbox,
    Splitter,
    end_first,
    safe_environment,
    spared_ctrl_c,
)
from aipc.pool.failures import WorkerDied

_LAST_S = 5.0
"""Until a worker that has closed its stdout is killed; it ends itself after 3 at the latest."""
_POLL_S = 0.01
_COMMAND = (sys.executable, "-m", "aipc.pool.worker.worker")


class WorkerProcess:
    """Started at once; ``on_messages`` and ``on_end`` are called on the running loop, in order.

    ``on_messages`` gets the worker's messages as they arrive, ``on_end`` its exit status, once,
    after the last of them.  Negative statuses are signals, as `subprocess.Popen.returncode` has
    them.

    Raises:
        WorkerDied: the system starts no process.
    """

    def __init__(
        self,
        arguments: Mapping[str, Any],
        loader: str,
        on_messages: Callable[[list[Message]], None],
        on_end: Callable[[int], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_messages = on_messages
        self._ended: asyncio.Future[int] = self._loop.create_future()
        self._ended.add_done_callback(lambda status: on_end(status.result()))
        self._process = start_worker()
        self._outbox = Outbox(cast("BinaryIO", self._process.stdin), "requests")
        self._outbox.put({"arguments": dict(arguments), "loader": loader})
        self._splitter = Splitter()
        self._stdout = cast("BinaryIO", self._process.stdout)
        self._listen()

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, message: Message) -> None:
        """Never blocks; a message to a worker that has ended is dropped."""
        self._outbox.put(message)

    async def end(self, grace_s: float) -> None:
        """Close its stdin, which ends it, and wait; after ``grace_s`` seconds kill it."""
        self._outbox.close()
        try:
            await asyncio.wait_for(asyncio.shield(self._ended), grace_s)
        except asyncio.TimeoutError:
            self.kill()
            await asyncio.shield(self._ended)

    def kill(self) -> None:
        self._process.kill()

    def _listen(self) -> None:
        """Read on the loop itself, which saves a thread switch per token.

        Windows' loop can't watch a pipe, so a thread reads there.
        """
        if sys.platform == "win32":
            threading.Thread(target=self._read, name="worker", daemon=True).start()
        else:
            os.set_blocking(self._stdout.fileno(), False)
            self._loop.add_reader(self._stdout.fileno(), self._read_available)

    def _read_available(self) -> None:
        piece = os.read(self._stdout.fileno(), PIECE)
        if piece:
            self._split(piece)
        else:
            self._loop.remove_reader(self._stdout.fileno())
            self._outbox.close()  # a worker that can tell nothing any more is to end
            self._wait_on_loop(self._loop.time() + _LAST_S)

    def _wait_on_loop(self, until: float) -> None:
        """A thread might not start where the worker has ended for want of memory."""
        status = self._process.poll()
        if status is None:
            if self._loop.time() > until:
                self.kill()
            self._loop.call_later(_POLL_S, self._wait_on_loop, until)
            return
        self._stdout.close()
        self._ended.set_result(status)

    def _read(self) -> None:
        """In a thread of its own, to the worker's end."""
        while piece := os.read(self._stdout.fileno(), PIECE):
            self._on_loop(self._split, piece)
        self._outbox.close()
        try:
            status = self._process.wait(_LAST_S)
        except subprocess.TimeoutExpired:
            self.kill()
            status = self._process.wait()
        self._stdout.close()
        self._on_loop(self._ended.set_result, status)

    def _split(self, piece: bytes) -> None:
        try:
            messages = self._splitter.feed(piece)
        except ValueError:
            self.kill()
        else:
            self._on_messages(messages)

    def _on_loop(self, call: Callable[[Any], None], value: Any) -> None:
        with suppress(RuntimeError):  # the loop is closed: the server has ended
            self._loop.call_soon_threadsafe(call, value)


def start_worker() -> subprocess.Popen[bytes]:
    """The process, which waits for its first message.

    Raises:
        WorkerDied: the system starts no process.
    """
    pipe = subprocess.PIPE
    try:
        with spared_ctrl_c():
            process = subprocess.Popen(_COMMAND, stdin=pipe, stdout=pipe, env=safe_environment())
    except OSError as error:
        raise WorkerDied(
            f"no worker can be started ({error.strerror})", "end other programs, and ask again"
        ) from error
    end_first(process.pid)
    return process
