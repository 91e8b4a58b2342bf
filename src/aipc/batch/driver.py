"""Keeps lines under way until all are answered, through the deaths of what answers them.

A worker that dies takes all its answers along, and any of their lines may be the reason.  Each is
asked again beside others.  If that ends so too they are suspects: when the others are through they
are asked in two halves, one after the other, and of a half that kills the worker again the halves,
down to the line that does it.  That one alone fails.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import chain

from aipc.batch.answers import LineAnswer, refused_answer
from aipc.batch.asking import LineInterrupted
from aipc.batch.input.line_index import LineEntry
from aipc.batch.work import BatchWork
from aipc.pool.failures import GaveWay, TryLater
from aipc.wire.errors import SERVER, HTTPError

Answer = Callable[[LineEntry], Awaitable[LineAnswer]]
"""Asks a line; raises `LineInterrupted` and other `TryLater` as `answer_line` does."""
_BESIDE_OTHERS = 2
"""Deaths of the worker while it answers a line; then the line is a suspect."""
_MOST_PAUSES = 10
"""In a row, with no answer between them; then there is no model to be had."""


async def drive(work: BatchWork, answer: Answer, in_flight: int) -> None:
    """Ask the lines of ``work``, ``in_flight`` at a time, until it hands out no more.

    Cancelled, it abandons what is under way and gives it back.

    Raises:
        TryLater: what answers can't be had, try after try.
        AipcError: ``answer`` raised it, or `BatchWork.done`.
    """
    await _Driver(work, answer, in_flight).drive()


class _Driver:
    def __init__(self, work: BatchWork, answer: Answer, in_flight: int) -> None:
        self._work = work
        self._answer = answer
        self._in_flight = in_flight
        self._running: dict[asyncio.Future[LineAnswer], LineEntry] = {}
        self._deaths: Counter[int] = Counter()
        self._suspects: list[LineEntry] = []
        self._groups: list[list[LineEntry]] = []
        """Of suspects, to be asked group by group; the last is the next."""
        self._group: list[LineEntry] = []
        """What is left to ask of the one that is under way, of `_group_size` lines at first."""
        self._group_size = 0
        self._pauses = 0

    async def drive(self) -> None:
        try:
            while self._begin():
                await self._collect()
        finally:
            await self._abandon()

    def _begin(self) -> bool:
        """Ask as many more as may be under way; False where nothing is."""
        while len(self._running) < self._in_flight:
            entry = self._next()
            if entry is None:
                break
            self._running[asyncio.ensure_future(self._answer(entry))] = entry
        return bool(self._running)

    def _next(self) -> LineEntry | None:
        if not self._group:
            if self._running and self._group_size:
                return None  # beside a group nothing is asked
            self._group_size = 0
            entry = self._work.take()
            if entry is not None or self._running:
                return entry
            self._begin_group()
        return self._group.pop() if self._group and not self._work.stopped else None

    def _begin_group(self) -> None:
        """Nothing is under way; the suspects are what was left of the last group, or the first."""
        middle = len(self._suspects) // 2
        halves = self._suspects[middle:], self._suspects[:middle]
        self._groups += [half for half in halves if half]
        self._suspects = []
        if self._groups:
            self._group = self._groups.pop()
            self._group_size = len(self._group)

    async def _collect(self) -> None:
        """Wait for an answer, and take all that there are, before an error ends it."""
        done, _ = await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
        pause_s = 0.0
        for task in sorted(done, key=lambda one: one.exception() is not None):
            entry = self._running[task]
            try:
                answer = task.result()
            except LineInterrupted as error:
                self._note_death(entry, error)
            except GaveWay:
                self._work.give_back(entry)
            except TryLater as error:
                if self._pauses == _MOST_PAUSES:
                    raise
                self._work.give_back(entry)
                pause_s = max(pause_s, float(error.retry_after_s))
            else:
                self._pauses = 0
                self._work.done(answer)
            del self._running[task]
        if pause_s:
            self._pauses += 1
            await asyncio.sleep(pause_s)

    def _note_death(self, entry: LineEntry, error: LineInterrupted) -> None:
        self._deaths[entry.number] += 1
        deaths = self._deaths[entry.number]
        if self._group_size == 1:
            what = f"{error.what}, {deaths} times while it answered this line, at last alone"
            failed = HTTPError(503, what, kind=SERVER, code="worker_died")
            self._work.done(refused_answer(entry.custom_id, failed))
        elif deaths >= _BESIDE_OTHERS:
            self._suspects.append(entry)
        else:
            self._work.give_back(entry)

    async def _abandon(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        for entry in chain(self._running.values(), self._suspects, self._group, *self._groups):
            self._work.give_back(entry)
        self._running.clear()
