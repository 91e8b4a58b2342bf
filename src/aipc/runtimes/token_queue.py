"""Tokens on their way from the thread that makes them to the one that reads them."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from aipc.runtimes.base import Alternatives


class TokenChunk(NamedTuple):
    """Tokens that came together."""

    ids: list[int]
    logprobs: list[float]
    """One for each id; empty where the runtime gives none."""
    top_logprobs: Sequence[Alternatives] = ()
    """As those."""

    def singles(self) -> Iterator[TokenChunk]:
        """A chunk for each token."""
        for at, token in enumerate(self.ids):
            one = slice(at, at + 1)
            yield TokenChunk([token], self.logprobs[one], self.top_logprobs[one])


END = TokenChunk([], [])
_HELD_S = 1.0
"""Longest that tokens are held back: who watches the reader sees by them that it goes on."""


class Readers:
    """Those who read; lets each take what has come before more is made.

    OpenVINO GenAI's ``step`` holds the interpreter's lock, so a reader that is not let run
    between two steps has its token a whole step late.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._reading: set[TokenQueue] = set()

    def wait(self, timeout_s: float) -> None:
        """Until all have taken what came; a reader that has not by then is waited for no more."""
        with self._changed:
            self._changed.wait_for(lambda: not self._reading, timeout_s)
            self._reading.clear()

    def give(self, arrivals: TokenQueue) -> None:
        with self._changed:
            self._reading.add(arrivals)

    def take_back(self, arrivals: TokenQueue) -> None:
        with self._changed:
            self._reading.discard(arrivals)
            if not self._reading:
                self._changed.notify()


class TokenQueue:
    """A queue with an end, after which `read` returns at once, for ever."""

    def __init__(self, readers: Readers | None = None, *, whole: bool = False) -> None:
        """``readers``: who is waited for; None where nobody is.

        Where the tokens are read as a ``whole``, all but the first are held back for a while: to
        wake a reader for each costs as much as a small model's share of a step.
        """
        self._held_s = _HELD_S if whole else 0.0
        self._held: list[TokenChunk] = []
        self._given_at = float("-inf")
        self._readers = readers
        self._queue: queue.SimpleQueue[TokenChunk | BaseException] = queue.SimpleQueue()

    def put(self, chunk: TokenChunk) -> None:
        self._held.append(chunk)
        if not self._held_s or time.monotonic() - self._given_at >= self._held_s:
            self._give()

    def _give(self) -> None:
        held, self._held = self._held, []
        if not held:
            return
        self._given_at = time.monotonic()
        if self._readers is not None and self._queue.empty():  # one that is behind is let be
            self._readers.give(self)
        self._queue.put(_merged(held))

    def fail(self, error: BaseException) -> None:
        """End with an error, which `read` raises once."""
        self._give()
        self._queue.put(error)

    def end(self) -> None:
        self._give()
        self._queue.put(END)

    def leave(self) -> None:
        """Nobody reads any more."""
        if self._readers is not None:
            self._readers.take_back(self)

    def read(self) -> TokenChunk:
        """Wait for what comes next; no ids at the end.

        Raises:
            BaseException: the one given to `fail`.
        """
        if self._readers is not None and self._queue.empty():
            self._readers.take_back(self)
        arrived = self._queue.get()
        if isinstance(arrived, TokenChunk) and arrived.ids:
            return arrived
        self._queue.put(END)
        self.leave()
        if isinstance(arrived, BaseException):
            raise arrived
        return END


def _merged(chunks: Sequence[TokenChunk]) -> TokenChunk:
    if len(chunks) == 1:
        return chunks[0]
    return TokenChunk(
        [token for one in chunks for token in one.ids],
        [value for one in chunks for value in one.logprobs],
        [each for one in chunks for each in one.top_logprobs],
    )
