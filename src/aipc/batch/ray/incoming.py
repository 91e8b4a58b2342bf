"""Lines that come to an actor block by block, asked together so that no block's end is waited for.

One `drive` asks the lines of all blocks: it sees which of them kill the worker.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from aipc.batch.answers import LineAnswer
from aipc.batch.driver import drive
from aipc.batch.line_index import LineEntry
from aipc.batch.lines import Line
from aipc.batch.work import BatchWork

Ask = Callable[[Line], Awaitable[LineAnswer]]


class IncomingWork(BatchWork):
    """Used on one event loop."""

    def __init__(self, in_flight: int) -> None:
        super().__init__(())
        self._in_flight = in_flight
        self._coming: deque[LineEntry] = deque()
        self._lines: dict[int, Line] = {}
        self._awaited: dict[int, asyncio.Future[LineAnswer]] = {}
        self._driving: asyncio.Future[None] | None = None

    async def answered(self, lines: Sequence[Line], ask: Ask) -> list[LineAnswer]:
        """The answers of a block, in its order.

        Raises:
            TryLater: what answers can't be had, try after try.
        """
        loop = asyncio.get_running_loop()
        for line in lines:
            entry = LineEntry(line.number, 0, 0, 0, line.custom_id, line.model, line.url)
            self._lines[line.number] = line
            self._awaited[line.number] = loop.create_future()
            self._coming.append(entry)
        awaited = [self._awaited[line.number] for line in lines]
        if self._driving is None:
            self._driving = asyncio.ensure_future(self._drive(ask))
        return await asyncio.gather(*awaited)

    def take(self) -> LineEntry | None:
        entry = super().take()
        if entry is None and self._coming:
            self._under_way += 1
            entry = self._coming.popleft()
        return entry

    def done(self, entry: LineEntry, answer: LineAnswer) -> None:
        super().done(entry, answer)
        del self._lines[entry.number]
        self._awaited.pop(entry.number).set_result(answer)

    async def _drive(self, ask: Ask) -> None:
        try:
            while self._coming:  # a block may come while the last answer is taken
                await drive(self, lambda entry: ask(self._lines[entry.number]), self._in_flight)
        except Exception as error:  # noqa: BLE001 - each block's waiter raises it
            for future in self._awaited.values():
                future.set_exception(error)
            for kept in (self._awaited, self._lines, self._coming, self._given_back):
                kept.clear()
        finally:
            self._driving = None
