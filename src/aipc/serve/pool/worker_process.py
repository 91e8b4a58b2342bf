"""A worker's process, seen from the event loop."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, cast
from typing import BinaryIO as Pipe

from aipc.serve.failures import WorkerDied
from aipc.serve.worker.channel import PIECE, Message, Outbox, Splitter

_COMMAND = (sys.executable, "-m", "aipc.serve.worker.worker")
_SAFE = {"PYTHONSAFEPATH": "1"}  # the folder that the server was started in holds no modules


class WorkerProcess:
    """Started at once; ``told`` and ``ended`` are called on the running loop, in order.

    ``told`` gets the worker's messages as they come, ``ended`` its exit status, once, after
    the last of them.  Negative statuses are signals, as `subprocess.Popen.returncode` has them.

    Raises:
        WorkerDied: the system starts no process.
    """

    def __init__(
        self,
        order: Mapping[str, Any],
        loader: str,
        told: Callable[[list[Message]], None],
        ended: Callable[[int], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._told = told
        self._ended: asyncio.Future[int] = self._loop.create_future()
        self._ended.add_done_callback(lambda status: ended(status.result()))
        self._process = _started()
        self._outbox = Outbox(cast("Pipe", self._process.stdin), "asks")
        self._outbox.put({"order": dict(order), "loader": loader})
        self._splitter = Splitter()
        self._says = cast("Pipe", self._process.stdout)
        self._listen()

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, message: Message) -> None:
        """Never blocks; to a worker that has ended it goes nowhere."""
        self._outbox.put(message)

    async def end(self, grace_s: float) -> None:
        """Ask it to end and wait; after ``grace_s`` seconds kill it."""
        self._outbox.close()
        try:
            await asyncio.wait_for(asyncio.shield(self._ended), grace_s)
        except asyncio.TimeoutError:
            self.kill()
            await asyncio.shield(self._ended)

    def kill(self) -> None:
        self._process.kill()

    def _listen(self) -> None:
        """On the loop itself where it can watch a pipe: each token is spared a change of threads.

        Windows' loop can't.
        """
        if sys.platform == "win32":
            self._in_thread(self._read)
        else:
            os.set_blocking(self._says.fileno(), False)
            self._loop.add_reader(self._says.fileno(), self._read_what_is_there)

    def _read_what_is_there(self) -> None:
        piece = os.read(self._says.fileno(), PIECE)
        if piece:
            self._take(piece)
        else:
            self._loop.remove_reader(self._says.fileno())
            self._in_thread(self._wait)

    def _read(self) -> None:
        while piece := os.read(self._says.fileno(), PIECE):
            self._on_loop(self._take, piece)
        self._wait()

    def _wait(self) -> None:
        status = self._process.wait()
        self._says.close()
        self._outbox.close()
        self._on_loop(self._ended.set_result, status)

    def _take(self, piece: bytes) -> None:
        try:
            messages = self._splitter.feed(piece)
        except ValueError:
            self.kill()
        else:
            self._told(messages)

    def _in_thread(self, work: Callable[[], None]) -> None:
        threading.Thread(target=work, name="says", daemon=True).start()

    def _on_loop(self, call: Callable[[Any], None], value: Any) -> None:
        with suppress(RuntimeError):  # the loop is closed: the server is gone
            self._loop.call_soon_threadsafe(call, value)


def _started() -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    try:
        return subprocess.Popen(_COMMAND, stdin=pipe, stdout=pipe, env=os.environ | _SAFE)
    except OSError as error:
        raise WorkerDied(
            f"no worker can be started ({error.strerror})", "end other programs, and ask again"
        ) from error
