"""When a model that nobody asks is unloaded."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable


class IdleTimer:
    """Calls ``on_idle`` after ``usual_s`` seconds; None: never."""

    def __init__(self, usual_s: float | None, on_idle: Callable[[], None]) -> None:
        self._usual_s = self._seconds = usual_s
        self._on_idle = on_idle
        self._timer: asyncio.TimerHandle | None = None

    @property
    def left_s(self) -> float | None:
        """Seconds, all of them while it is stopped; None: it is never called."""
        if self._timer is None:
            return self._seconds
        return max(self._timer.when() - asyncio.get_running_loop().time(), 0.0)

    def last(self, seconds: float | None = None) -> None:
        """Take so many from its next start on, infinity included; None: as usual."""
        given = self._usual_s if seconds is None else seconds
        self._seconds = None if given is None or math.isinf(given) else given

    def start(self) -> None:
        """From the beginning."""
        self.stop()
        if self._seconds is not None:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._end)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    def _end(self) -> None:
        self._timer = None
        self._on_idle()
