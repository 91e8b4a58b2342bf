"""How far a batch is, on stderr: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from aipc.cli.screen import output
from aipc.cli.screen.progress_bar import Display, display, shows_bars
from aipc.foreign_text import escaped

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from aipc.batch.work import Counts

_EVERY_S = 30.0
"""Between two lines of a log."""
_MOMENT_S = 1.0


@contextmanager
def batch_display() -> Iterator[BatchDisplay]:
    """The display for this stderr, as long as the block lasts."""
    with display() as shown:
        batch = BatchBar(shown) if shows_bars() else BatchDisplay(shown)
        try:
            yield batch
        finally:
            batch.close()


class BatchDisplay:
    """For a log; what comes before the lines are asked is shown as other commands' work is."""

    def __init__(self, shown: Display) -> None:
        self._shown = shown
        self._told_at = time.monotonic()

    def progress(self, what: str, done: int, total: int) -> None:
        """Work that is over in a moment is not shown."""
        if time.monotonic() - self._told_at >= _MOMENT_S:
            self._shown(what, done, total)

    def notice(self, line: str) -> None:
        self._shown.notice(line)

    def show_counts(self, counts: Counts) -> None:
        now = time.monotonic()
        if counts.done and now - self._told_at >= _EVERY_S:
            self._told_at = now
            total = counts.done + counts.left
            self.notice(f"{counts.done:,} of {total:,} lines, {figures(counts)}")

    def close(self) -> None:
        pass


class BatchBar(BatchDisplay):
    """For a terminal."""

    def __init__(self, shown: Display) -> None:
        super().__init__(shown)
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def notice(self, line: str) -> None:
        if self._bar is None:
            super().notice(line)
        else:
            self._bar.console.print(escaped(line), soft_wrap=True)

    def show_counts(self, counts: Counts) -> None:
        if self._bar is None:
            self._shown.close()
            self._bar = _new_bar()
            self._bar.start()
            self._task = self._bar.add_task("lines", figures="")
        assert self._task is not None  # noqa: S101 - for the type checker
        total = counts.done + counts.left
        self._bar.update(
            self._task, completed=counts.done, total=total or None, figures=figures(counts)
        )

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()


def figures(counts: Counts) -> str:
    """Failures, rate and time left, as far as there are any."""
    told = [f"{counts.failed:,} failed"] if counts.failed else []
    if counts.generated:
        told.append(f"{counts.tokens_per_s:,.0f} tokens/s")
    if counts.left and counts.left_s is not None:
        told.append(f"{timedelta(seconds=round(counts.left_s))} left")
    return ", ".join(told)


def _new_bar() -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}", markup=False),
        console=output.console_for_stderr(),
    )
