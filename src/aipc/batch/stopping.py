"""SIGINT and SIGTERM, which end a batch and leave what it takes to go on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aipc.batch.work import BatchWork

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


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
