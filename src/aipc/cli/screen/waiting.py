"""The wait as a person sees it: one line on a terminal's stderr that is gone when it is over."""

from __future__ import annotations

import os
import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from aipc.cli.screen import output
from aipc.foreign_text import one_line

if TYPE_CHECKING:
    from typing_extensions import Self

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_EVERY_S = 0.1
_TOLD_S = 2.0
"""From when on the seconds are told."""
_CLEAR = "\r\x1b[K"


def can_repaint(stream: TextIO | None) -> bool:
    """Whether it is a terminal that can take back what stands there."""
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"


class WaitingLine:
    """Says what is being done, from `show` to `end`; nothing where stderr is no such terminal.

    A context manager, which ends it whatever happens.  The line is written at once, as the work
    that follows may hold the interpreter's lock; while it does not, the line moves.  A notice in
    between is written above it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # of the line
        self._changing = threading.Lock()  # of whether there is one
        self._text = ""
        self._since = 0.0
        self._is_shown = False
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._can_show = can_repaint(sys.stderr)

    def show(self, text: str) -> None:
        """Say ``text`` in place of what was said before."""
        if not self._can_show:
            return
        with self._changing:
            if not self._is_shown:
                self._is_shown = True  # first, as Ctrl-C may come at any point
                self._ended.clear()
                output.cover(self.take_back)
            with self._lock:
                self._text, self._since = text, time.monotonic()
                self._paint(0)
            if self._thread is None:
                self._thread = threading.Thread(target=self._move, name="waiting", daemon=True)
                self._thread.start()

    def end(self) -> bool:
        """Take the line back; whether there was one."""
        with self._changing:
            if not self._is_shown:
                return False
            self._ended.set()
            if self._thread is not None and self._thread.is_alive():
                self._thread.join()
            self._thread = None
            output.uncover(self.take_back)
            self._is_shown = False
            self.take_back()
        return True

    def take_back(self) -> None:
        """Clear it for what is written now; it comes again by itself."""
        with self._lock:
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    def _move(self) -> None:
        frame = 0
        while not self._ended.wait(_EVERY_S):
            frame += 1
            with self._lock:
                self._paint(frame)

    def _paint(self, frame: int) -> None:
        seconds = time.monotonic() - self._since
        told = f" {seconds:.0f} s" if seconds >= _TOLD_S else ""
        shown = one_line(self._text)
        room = output.columns() - len(told) - 5  # the cursor stays in the line
        text = shown if len(shown) <= room else f"{shown[: room - 1]}…"
        sys.stderr.write(f"{_CLEAR}{_FRAMES[frame % len(_FRAMES)]} {text}{told}")
        sys.stderr.flush()
