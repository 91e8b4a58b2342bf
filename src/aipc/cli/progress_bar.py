"""Long work, shown on stderr: bars on a terminal, a line at the start and the end elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from aipc.cli import output
from aipc.units import amount

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Display(Protocol):
    """An `aipc.progress.Progress` that can also print a line."""

    def __call__(self, what: str, done: int, total: int) -> None: ...

    def notice(self, line: str) -> None:
        """A line of its own, which does not break the bars."""

    def close(self) -> None:
        """Leave what is shown as it is."""


@contextmanager
def display() -> Iterator[Display]:
    """The display for this stderr, as long as the block lasts."""
    shown: Display = Bars() if shows_bars() else Lines()
    try:
        yield shown
    except KeyboardInterrupt:
        output.end_interrupted_line()
        raise
    finally:
        shown.close()


def shows_bars() -> bool:
    """Whether stderr is a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()


class Bars:
    """One bar for each ``what``, with bytes and time left; rich is loaded at the first."""

    def __init__(self) -> None:
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        bars = self._started()
        if what not in self._tasks:
            self._tasks[what] = bars.add_task(what, total=None)
        bars.update(self._tasks[what], completed=done, total=total or None)

    def notice(self, line: str) -> None:
        if self._bars is None:
            output.notice(line)
        else:
            self._bars.console.print(line, soft_wrap=True)

    def close(self) -> None:
        if self._bars is not None:
            self._bars.stop()

    def _started(self) -> Progress:
        if self._bars is None:
            self._bars = _new_bars()
            self._bars.start()
        return self._bars


class Lines:
    """For a pipe or a log file."""

    def __init__(self) -> None:
        self._started: dict[str, float] = {}
        self._done: set[str] = set()

    def __call__(self, what: str, done: int, total: int) -> None:
        if what not in self._started:
            self._started[what] = time.monotonic()
            self.notice(f"{what} ({amount(total)}) ..." if total else f"{what} ...")
        if total and done >= total and what not in self._done:
            self._done.add(what)
            seconds = time.monotonic() - self._started[what]
            self.notice(f"{what}: done in {seconds:.1f} s")

    def notice(self, line: str) -> None:
        output.notice(line)

    def close(self) -> None:
        pass


def _new_bars() -> Progress:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column

    # What is being done may be long; the figures beside it stay whole in 80 columns.
    what = Column(max_width=36, no_wrap=True, overflow="ellipsis")
    return Progress(
        TextColumn("{task.description}", markup=False, table_column=what),
        BarColumn(bar_width=16),
        DownloadColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=output.console_for_stderr(),
    )
