"""Tokens on their way from the thread that makes them to the one that reads them."""

from __future__ import annotations

import queue
from typing import NamedTuple


class Chunk(NamedTuple):
    """Tokens that came together."""

    ids: list[int]
    logprobs: list[float]
    """One for each id; empty where the runtime gives none."""


END = Chunk([], [])


class Arrivals:
    """A queue with an end, after which `read` returns at once, for ever."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Chunk | BaseException] = queue.SimpleQueue()

    def put(self, chunk: Chunk) -> None:
        self._queue.put(chunk)

    def fail(self, error: BaseException) -> None:
        """End with an error, which `read` raises once."""
        self._queue.put(error)

    def end(self) -> None:
        self._queue.put(END)

    def read(self) -> Chunk:
        """Wait for what comes next; no ids at the end.

        Raises:
            BaseException: the one given to `fail`.
        """
        arrived = self._queue.get()
        if isinstance(arrived, BaseException):
            self._queue.put(END)
            raise arrived
        if not arrived.ids:
            self._queue.put(END)
        return arrived
