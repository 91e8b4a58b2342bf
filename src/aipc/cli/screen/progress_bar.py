"""Long work on stderr: bars and what is being done on a terminal, elsewhere a line at each end."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from aipc.cli.screen import output
from aipc.cli.screen.waiting import WaitingLine
from aipc.foreign_text import escaped
from aipc.timing_spans import told
from aipc.units import amount

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Display(Protocol):
    """An `aipc.progress.Progress` that can also print a line."""

    def __call__(self, what: str, done: int, total: int) -> None: ...

    def notice(self, line: str) -> None:
        """A line of its own, which does not break the bars."""

    def doing(self, text: str) -> None:
        """What begins now and has no measure: on a terminal, until something else is shown."""

    def close(self) -> None:
        """Leave what is shown as it is."""


@contextmanager
def display() -> Iterator[Display]:
    """The display for this stderr, as long as the block lasts."""
    shown: Display = Bars() if shows_bars() else Lines()
    try:
        with told(shown.doing):
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
    """One bar for each ``what``, with bytes and time left; rich is loaded at the first.

    What has no total, and does not run beside something that has one, is a `WaitingLine`.
    """

    def __init__(self) -> None:
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._line = WaitingLine()

    def __call__(self, what: str, done: int, total: int) -> None:
        if not total and self._is_free:
            self.doing(f"{what}, {amount(done)}" if done else what)
            return
        self._line.end()
        bars = self._started()
        if what not in self._tasks:
            self._tasks[what] = bars.add_task(escaped(what), total=None)
        bars.update(self._tasks[what], completed=done, total=total or None)

    def notice(self, line: str) -> None:
        if self._bars is None:
            output.notice(line)
        else:
            self._bars.console.print(escaped(line), soft_wrap=True)

    def doing(self, text: str) -> None:
        if self._is_free:
            self._stop()
            self._line.show(text)

    @property
    def _is_free(self) -> bool:
        """Whether no bar shows already that something is being done."""
        return self._bars is None or self._bars.finished

    def close(self) -> None:
        self._line.end()
        self._stop()

    def _stop(self) -> None:
        """Leave the bars as they are; what follows gets others."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None
            self._tasks.clear()

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

    def doing(self, text: str) -> None:
        pass

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
