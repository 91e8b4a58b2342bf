"""Lines that come to an actor block by block, asked together so that no block's end is waited for.

One `drive` asks the lines of all blocks: it sees which of them kill the worker.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from aipc.batch.answers import LineAnswer
from aipc.batch.driver import drive
from aipc.batch.input.line_index import LineEntry
from aipc.batch.input.lines import Line
from aipc.batch.work import BatchWork

Ask = Callable[[Line], Awaitable[LineAnswer]]


class IncomingWork(BatchWork):
    """Used on one event loop."""

    def __init__(self, in_flight: int) -> None:
        super().__init__(())
        self._in_flight = in_flight
        self._coming: deque[LineEntry] = deque()
        self._lines: dict[str, Line] = {}
        self._awaited: dict[str, asyncio.Future[LineAnswer]] = {}
        self._driving: asyncio.Future[None] | None = None

    async def answered(self, lines: Sequence[Line], ask: Ask) -> list[LineAnswer]:
        """The answers of a block, in its order; a line that is under way is not asked again.

        Ray sends a block twice where it has lost sight of the first one's end.

        Raises:
            TryLater: what answers can't be had, try after try.
        """
        for line in lines:
            if line.custom_id not in self._awaited:
                self._lines[line.custom_id] = line
                self._awaited[line.custom_id] = asyncio.get_running_loop().create_future()
                self._coming.append(_entry(line))
        awaited = [asyncio.shield(self._awaited[line.custom_id]) for line in lines]
        if self._driving is None:
            self._driving = asyncio.ensure_future(self._drive(ask))
        return await asyncio.gather(*awaited)

    def take(self) -> LineEntry | None:
        entry = super().take()
        if entry is None and self._coming:
            self._under_way += 1
            entry = self._coming.popleft()
        return entry

    def done(self, answer: LineAnswer) -> None:
        super().done(answer)
        custom_id = answer.custom_id or ""
        del self._lines[custom_id]
        self._awaited.pop(custom_id).set_result(answer)

    async def _drive(self, ask: Ask) -> None:
        try:
            while self._coming:  # a block may come while the last answer is taken
                await drive(self, lambda entry: ask(self._lines[entry.custom_id]), self._in_flight)
        except Exception as error:  # noqa: BLE001 - each block's waiter raises it
            for future in self._awaited.values():
                future.set_exception(error)
            for kept in (self._awaited, self._lines, self._coming, self._given_back):
                kept.clear()
        finally:
            self._driving = None


def _entry(line: Line) -> LineEntry:
    return LineEntry(line.number, 0, 0, 0, line.custom_id, line.model, line.url)
