"""What a program is told of long work: how many bytes of how many are done, and notices."""

from __future__ import annotations

import threading
from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with (what, done, total) in bytes; total 0 means that nobody knows yet."""
Notify = Callable[[str], None]
"""Told, in one line each, what a user should know."""


def silent(what: str, done: int, total: int) -> None:
    """Report to nobody."""


def unheard(line: str) -> None:
    """The `Notify` of who does not listen."""


class Meter:
    """Adds bytes up and reports ``what``, their sum and ``total``; threads may share one."""

    def __init__(self, progress: Progress, what: str, total: int) -> None:
        self._progress = progress
        self._what = what
        self._total = total
        self._done = 0
        self._lock = threading.Lock()
        progress(what, 0, total)

    def add(self, nbytes: int) -> None:
        """Count ``nbytes`` more; negative for bytes that turned out to be useless."""
        with self._lock:
            self._done += nbytes
            self._progress(self._what, self._done, self._total)
