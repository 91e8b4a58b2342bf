"""Who asks a model directly has it first: batches stand back then, and for a while after."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextlib import suppress

_LINGER_S = 10.0  # who has asked asks again, and what of a batch is cut short is lost


class Claim:
    """``on_change`` is called when it begins or ends to be held."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self.last_at = -math.inf
        """When the model was last asked, or answered, on the event loop's clock."""
        self._on_change = on_change
        self._asked = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_held(self) -> bool:
        """Whether the model is asked, or was a moment ago."""
        return self._timer is not None

    def note(self, *, is_asked: bool) -> None:
        """To be told as often as that may have changed."""
        was_held = self.is_held
        if is_asked or self._asked.is_set():
            self.last_at = asyncio.get_running_loop().time()
            self._start()
        self._asked.set() if is_asked else self._asked.clear()
        if is_asked and not was_held:
            self._on_change()

    async def until_asked(self, limit_s: float) -> None:
        """Wait until the model is asked, but for so many seconds at most."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._asked.wait(), limit_s)

    def release(self) -> None:
        """End it, unless the model is being asked."""
        self._timer = None
        if self._asked.is_set():
            self._start()
        else:
            self._on_change()

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(_LINGER_S, self.release)
