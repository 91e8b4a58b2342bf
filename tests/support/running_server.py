"""The whole server on a free port, in a thread, over whatever pool it is given."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2

from aipc.devices.counters.monitor import Monitor
from aipc.pool.pool import Pool
from aipc.serve.http.binding import Binding
from aipc.serve.http.listening import listen
from aipc.serve.server import Server

WAIT_S = 60


class RunningServer:
    """Runs until `stop`; ``make_pool`` is called in its thread."""

    def __init__(self, make_pool: Callable[[], Pool], folder: Path, **binding: Any) -> None:
        self._listeners, self.binding = listen(Binding(**{"port": 0, "drain_s": 5.0, **binding}))
        self._make_pool = make_pool
        self._folder = folder
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self.notices: list[str] = []
        self._thread.start()
        assert self._started.wait(WAIT_S)

    @property
    def url(self) -> str:
        return self.binding.url

    @property
    def pool(self) -> Pool:
        return self.server._pool

    def client(self, **headers: str) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, headers=headers, timeout=WAIT_S, trust_env=False)

    def stop(self) -> None:
        self.server.should_exit = True
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()

    async def _run(self) -> None:
        monitor = Monitor((), self._folder)
        self.server = Server(self._make_pool(), monitor, self.binding, self.notices.append)
        self._started.set()
        await self.server.run_on(self._listeners)
