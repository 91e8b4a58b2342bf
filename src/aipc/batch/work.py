"""The lines of a batch that are to be asked: in which order, how far, and how many are left."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from aipc.batch.answers import LineAnswer
from aipc.batch.input.line_index import Column, LineEntry, LineIndex, SomeEntries
from aipc.batch.options import BatchOptions

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PREFIX_BITS = (32, 16, 0)
"""At the right of a prefix's key, in which lines of a group may differ; the widest group first."""


def in_order(index: LineIndex, positions: Column | None = None) -> Column:
    """The positions of entries, all or ``positions``, in the order in which they are best asked.

    Model by model, as they come first in the input.  Among a model's, lines whose prompts begin
    alike are neighbors; the group with the longest line goes first, and its longest line: what runs
    alone at the end is short.
    """
    positions = np.arange(len(index)) if positions is None else positions
    if not len(positions):
        return positions
    models = list(dict.fromkeys(model for model, _ in index.targets))
    ranks = np.array([models.index(model) for model, _ in index.targets])
    model = ranks[index.column("target")[positions]]
    prefix = index.column("prefix")[positions]
    together = np.lexsort([prefix, model])  # of any width, a group's lines are neighbors
    positions, model, prefix = positions[together], model[together], prefix[together]
    expected = index.column("expected_tokens")[positions].astype(np.int64)
    keys = [positions, -expected]  # the last key counts most
    for bits in reversed(_PREFIX_BITS):
        group = prefix >> np.uint64(bits)
        keys += [group, -_longest(model, group, expected)]
    return positions[np.lexsort([*keys, model])]


def _longest(model: Column, group: Column, expected: Column) -> Column:
    """For each line the longest expectation in its group, whose lines are neighbors."""
    begins = np.ones(len(group), bool)
    begins[1:] = (model[1:] != model[:-1]) | (group[1:] != group[:-1])
    longest = np.maximum.reduceat(expected, np.flatnonzero(begins))
    told: Column = longest[np.cumsum(begins) - 1]
    return told


@dataclass(frozen=True)
class Counts:
    """How far a run is; ``tokens`` and ``elapsed_s`` are this run's, as are ``done`` and failed."""

    done: int
    failed: int
    left: int
    under_way: int
    tokens: int
    generated: int
    """Of the tokens: those of answers."""
    elapsed_s: float

    @property
    def lines_per_s(self) -> float:
        return self.done / self.elapsed_s if self.elapsed_s else 0.0

    @property
    def tokens_per_s(self) -> float:
        """Generated."""
        return self.generated / self.elapsed_s if self.elapsed_s else 0.0

    @property
    def left_s(self) -> float | None:
        """Seconds to the end, at the rate so far; None before the first answer."""
        return self.left * self.elapsed_s / self.done if self.done else None


class BatchWork:
    """Hands out ``entries``, in ``order`` (positions), and counts what comes back.

    ``keep`` is given each answer.  Not for several threads at once.
    """

    def __init__(
        self,
        entries: Sequence[LineEntry],
        order: Column | None = None,
        options: BatchOptions | None = None,
        keep: Callable[[LineAnswer], object] = lambda _: None,
    ) -> None:
        options = options or BatchOptions()
        self.stopped = ""
        """Why no more lines are handed out while some are left; empty while they are."""
        self._waiting = SomeEntries(entries, np.arange(len(entries)) if order is None else order)
        self._begun = 0
        self._given_back: list[LineEntry] = []
        self._under_way = 0
        self._keep = keep
        self._most_tokens = options.max_tokens_total
        self._until = options.until
        self._end = options.ends_at
        self._begun_s = time.monotonic()
        self._done = self._failed = self._tokens = self._generated = 0

    def take(self) -> LineEntry | None:
        """The next line; None when there is none, or no more are to be begun."""
        if not self._count_waiting():
            return None
        self.check_limits()
        if self.stopped:
            return None
        self._under_way += 1
        if self._given_back:
            return self._given_back.pop()
        self._begun += 1
        return self._waiting[self._begun - 1]

    def take_all(self) -> Sequence[LineEntry]:
        """All that `take` would hand out, before any is given back."""
        self.check_limits()
        if self.stopped:
            return ()
        taken = self._waiting[self._begun :]
        self._begun += len(taken)
        self._under_way += len(taken)
        return taken

    def done(self, answer: LineAnswer) -> None:
        """Count and keep the answer to a line that was taken."""
        self._under_way -= 1
        self._done += 1
        self._failed += answer.is_failed
        use = answer.use
        self._tokens += use.prompt + use.completion
        self._generated += use.completion
        self._keep(answer)

    def give_back(self, entry: LineEntry) -> None:
        """A line that was taken and not answered: it is the next to be taken."""
        self._under_way -= 1
        self._given_back.append(entry)

    def stop(self, reason: str) -> None:
        """Hand out no more lines."""
        self.stopped = self.stopped or reason

    @property
    def counts(self) -> Counts:
        return Counts(
            done=self._done,
            failed=self._failed,
            left=self._count_waiting() + self._under_way,
            under_way=self._under_way,
            tokens=self._tokens,
            generated=self._generated,
            elapsed_s=time.monotonic() - self._begun_s,
        )

    def _count_waiting(self) -> int:
        return len(self._waiting) - self._begun + len(self._given_back)

    def check_limits(self) -> None:
        """Stop if a limit is reached; `take` does so by itself."""
        if self._most_tokens is not None and self._tokens >= self._most_tokens:
            self.stop(f"{self._tokens:,} tokens are computed (--max-tokens-total)")
        if self._end is not None and _now() >= self._end:
            self.stop(f"its time is over (--until {self._until})")


def _now() -> datetime:
    return datetime.now().astimezone()


@contextmanager
def stopping(work: BatchWork, *, heeds_signals: bool) -> Iterator[list[int]]:
    """Stop ``work`` at the first signal, whose number is then in the list; a second acts as ever.

    Where they are not to be heeded, or in another thread than the main one, which alone can do so,
    all act as ever.
    """
    stopped: list[int] = []
    before: dict[int, Any] = {}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)
        before.clear()

    def on_signal(number: int, _: Any) -> None:
        restore()
        stopped.append(number)
        work.stop(f"stopped by {signal.Signals(number).name}")

    if heeds_signals and threading.current_thread() is threading.main_thread():
        before.update({number: signal.signal(number, on_signal) for number in _SIGNALS})
    try:
        yield stopped
    finally:
        restore()
