"""How often in a row a model's worker has failed, and when it is worth another try."""

from __future__ import annotations

import time
from collections.abc import Callable

from aipc.errors import AipcError
from aipc.serve.failures import WorkerDied

TRIES = 3
_FIRST_S = 5.0
_LONGEST_S = 300.0


class Backoff:
    """After `TRIES` failures in a row each further try has to wait, twice as long each time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._count = 0
        self._until = 0.0
        self.error: AipcError | None = None
        """The latest, until `clear`."""

    def note(self, error: AipcError) -> None:
        self.error = error
        self._count += 1
        if self._count >= TRIES:
            pause = min(_FIRST_S * 2 ** (self._count - TRIES), _LONGEST_S)
            self._until = self._clock() + pause

    def clear(self) -> None:
        """It works."""
        self._count, self._until, self.error = 0, 0.0, None

    @property
    def in_pause(self) -> bool:
        return self._clock() < self._until

    def check(self) -> None:
        """Refuse a try that would come too early.

        Raises:
            AipcError: the latest error; a `WorkerDied` with the time of the next try.
        """
        error = self.error
        if error is None or not self.in_pause:
            return
        if not isinstance(error, WorkerDied):
            raise type(error)(error.what, error.fix) from error.__cause__
        pause = self._until - self._clock()
        raise WorkerDied(
            f"{error.what}, as {self._count - 1} times before",
            f"it is tried again in {pause:.0f} s",
            retry_after_s=pause,
        )
