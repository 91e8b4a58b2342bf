"""The rows of a batch's cache: who has which, how large they may become, what they share.

One call computes a range of rows.  So those that decode come first, side by side; after them those
whose prompt is being computed, and those kept for a prompt that begins as they do.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aipc.devices.system.memory import read_memory
from aipc.runtimes.onnx.decoder import CacheRows, DecoderGraph
from aipc.runtimes.onnx.folder import GenAIFolder
from aipc.runtimes.onnx.sequence import crosses, reusable
from aipc.runtimes.onnx.sequence_pool import no_memory, score_bytes

MOST_ROWS = 16
"""On a CPU more rows at once give no more tokens a second: 8 of a 135M int4 model have 4 times as
many as one, 16 have 3.6 times."""


@dataclass(eq=False)
class Row:
    """A sequence in the cache."""

    tokens: list[int] = field(default_factory=list)
    """Those whose keys and values are there."""
    request: Any = None
    """The `RowRequest` that it computes; None where it is kept for a later one."""
    length: int = 0
    """Tokens that the request may come to."""
    pending: list[int] = field(default_factory=list)
    """To be computed next."""
    piece: int = 0
    """How many of those in one call, while the prompt is computed."""
    adapter: str = ""
    """That its keys and values were computed with."""
    decodes: bool = False
    """Whether the prompt is computed."""
    taken: int = 0
    """A later one has a higher number."""


class RowPool:
    """Gives requests their rows; of one thread."""

    def __init__(
        self,
        graph: DecoderGraph,
        folder: GenAIFolder,
        piece: int,
        available: Callable[[], int] = lambda: read_memory().available,
    ) -> None:
        """``piece``: most tokens of a prompt that are computed at once."""
        self.cache = CacheRows(graph)
        self.rows: list[Row] = []
        self.piece = piece
        self.switch = folder.switch
        self._folder = folder
        self._available = available
        self._clock = itertools.count(1)

    @property
    def is_busy(self) -> bool:
        return any(row.request for row in self.rows)

    @property
    def decoding(self) -> list[Row]:
        """They lie side by side, from the first row on."""
        return [row for row in self.rows if row.decodes]

    def take(self, prompt: Sequence[int], length: int, adapter: str = "") -> Row | None:
        """A row with room for ``length`` tokens that holds as much of ``prompt`` as any does.

        What was computed with another ``adapter`` does not count.  None where it has to wait for
        another to end.

        Raises:
            EngineError: the free memory does not hold it, though nothing else runs.
        """
        if not self._make_room(prompt, length, adapter):
            return None
        source, row = self._choose(prompt, adapter)
        shared = self._shared(source, prompt, adapter)
        if source is not row and shared:
            self.cache.copy(self.at(source), self.at(row), shared)
        row.tokens, row.adapter = list(prompt[:shared]), adapter
        row.length, row.taken = length, next(self._clock)
        return row

    def check_memory(self, length: int, prompt: int) -> None:
        """Refuse a sequence, of ``length`` tokens with its prompt, that memory does not hold.

        Raises:
            EngineError: saying what it takes and what is free.
        """
        available = self._available()
        cost = length * self._folder.token_bytes + self._score_bytes(prompt)
        if cost > available:
            raise no_memory(self._folder, length, cost, available)

    def begin_decoding(self, row: Row) -> None:
        self._move(row, len(self.decoding))
        row.decodes = True

    def end_decoding(self, row: Row) -> None:
        if row.decodes:
            self._move(row, len(self.decoding) - 1)
            row.decodes = False

    def release(self, row: Row) -> None:
        """Keep it for a prompt that begins like it."""
        self.end_decoding(row)
        row.request, row.pending = None, []

    def trim(self) -> None:
        """While nothing runs: keep no more than as much memory as is free besides."""
        capacity = self.cache.capacity
        if len(self.rows) > 1 and self._bytes(len(self.rows), capacity) > self._available():
            self._keep(max(self.rows, key=lambda row: row.taken))
            self._resize(len(self.rows), capacity)

    def at(self, row: Row) -> int:
        """Its place in the cache."""
        return self.rows.index(row)

    def _make_room(self, prompt: Sequence[int], length: int, adapter: str) -> bool:
        """Whether there is a row for it; kept ones give way where memory is short."""
        kept = [row for row in self.rows if row.request is None]
        running = [row for row in self.rows if row.request is not None]
        if len(running) == MOST_ROWS:
            return False
        held, rows = self.cache.capacity, len(self.rows) + (not kept)
        # A conversation that outgrew its room gets twice as much, so that it seldom does again.
        ample = held if length <= held else min((2 if held else 1) * length, self._folder.context)
        for capacity in dict.fromkeys((ample, max(held, length))):
            if self._fits(rows, capacity, prompt):
                self._resize(rows, capacity)
                return True
        least = max([length, *(row.length for row in running)])
        if self._fits(len(running) + 1, least, prompt):
            self._keep(max(kept, key=lambda row: self._shared(row, prompt, adapter), default=None))
            self._resize(len(running) + 1, least)
            return True
        if not running:
            self._keep(None)
            self._resize(0, 0)
            self.check_memory(length, len(prompt))
        return False

    def _choose(self, prompt: Sequence[int], adapter: str) -> tuple[Row, Row]:
        """(the row with the most of ``prompt``, the row to use, which may be the same)."""
        source = max(self.rows, key=lambda row: self._shared(row, prompt, adapter))
        shared = self._shared(source, prompt, adapter)
        if source.request is None and 2 * shared >= len(source.tokens):
            return source, source  # goes on with it
        kept = [row for row in self.rows if row.request is None]
        return source, min(kept, key=lambda row: (row is source, row.taken))

    def _shared(self, row: Row, prompt: Sequence[int], adapter: str) -> int:
        return reusable(row.tokens, prompt, self.switch) if row.adapter == adapter else 0

    def _fits(self, rows: int, capacity: int, prompt: Sequence[int]) -> bool:
        # Of a cache the system has handed out only what was written to.
        written = sum(len(row.tokens) for row in self.rows)
        more = max(rows * capacity - written, 0) * self._folder.token_bytes
        return more + self._score_bytes(len(prompt)) <= self._available()

    def _bytes(self, rows: int, capacity: int) -> int:
        return rows * capacity * self._folder.token_bytes

    def _score_bytes(self, prompt: int) -> int:
        return score_bytes(self._folder, self.switch, prompt, self.piece)

    def _keep(self, kept: Row | None) -> None:
        """Give up all rows but those of requests and ``kept``."""
        stay = [row for row in self.rows if row.request is not None or row is kept]
        for to, row in enumerate(stay):
            self._move(row, to)
        self.rows = stay

    def _resize(self, rows: int, capacity: int) -> None:
        if (rows, capacity) == (self.cache.rows, self.cache.capacity):
            return
        for row in self.rows:
            cut = len(row.tokens) - capacity
            if cut > 0:  # a beginning is of no use where all of it was turned by the other table
                del row.tokens[0 if crosses(capacity, cut, self.switch) else capacity :]
        self.cache.resize(rows, capacity, [len(row.tokens) for row in self.rows])
        self.rows += [Row() for _ in range(rows - len(self.rows))]

    def _move(self, row: Row, to: int) -> None:
        """Exchange its place with another's."""
        at, other = self.at(row), self.rows[to]
        if at != to:
            self.cache.swap(at, to, max(len(row.tokens), len(other.tokens)))
            self.rows[at], self.rows[to] = other, row
