"""The sessions that run on this machine and their speed, shared between processes.

Each session keeps one small JSON file in a folder that all of this user's processes know.  It is
written at most once a second, replaced whole, and removed at the end; what a killed process left
is recognized by its number and start, and removed by the next reader.
"""

from __future__ import annotations

import itertools
import json
import os
import platform
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from aipc.records import replacing

_EVERY_S = 1.0
_numbers = itertools.count()


@dataclass(frozen=True)
class SessionStatus:
    """One session of any process; times are seconds since 1970."""

    pid: int
    model: str
    runtime: str
    device: str
    started: float
    updated: float
    answers: int = 0
    """Being generated now."""
    tokens: int = 0
    """Generated since the start."""
    tokens_per_second: float | None = None
    """Over the last second or so of generating; None until an answer's first tokens have come."""
    host: str = ""
    process_started: str | None = None
    """In the system's own units; tells two processes of one number apart."""


class StatusPublisher:
    """A session's own file, from `begin` of an answer to `end`; any thread may call."""

    def __init__(self, folder: Path, model: str, runtime: str, device: str) -> None:
        """Made in ``folder``, which need not exist."""
        pid, now = os.getpid(), time.time()
        self._file = folder / f"{pid}-{next(_numbers)}.json"
        self._fixed = SessionStatus(
            pid, model, runtime, device, now, now, 0, 0, None, platform.node(), process_started(pid)
        )
        self._lock = threading.Lock()
        self._answers = self._tokens = self._tokens_then = 0
        self._then = self._written = time.monotonic()
        self._rate: float | None = None
        self._usable = True
        self._write()

    def begin(self) -> None:
        """An answer is requested."""
        with self._lock:
            if not self._answers:
                self._then, self._tokens_then = time.monotonic(), self._tokens
                self._rate = None
            self._answers += 1
            self._write_if_due(is_change=self._answers == 1)

    def note(self, tokens: int = 1) -> None:
        """More tokens have come."""
        with self._lock:
            self._tokens += tokens
            if time.monotonic() - self._written >= _EVERY_S:
                self._measure()
                self._write()

    def end(self) -> None:
        """An answer is whole, cancelled or has failed."""
        with self._lock:
            self._answers -= 1
            if self._tokens > self._tokens_then:
                self._measure()
            self._write_if_due(is_change=not self._answers)

    def close(self) -> None:
        """The session has ended; a second call does nothing."""
        with self._lock, suppress(OSError):
            self._usable = False
            self._file.unlink(missing_ok=True)

    def _write_if_due(self, *, is_change: bool) -> None:
        """At once where it begins or ends to be at work; more answers at a time can wait."""
        if is_change or time.monotonic() - self._written >= _EVERY_S:
            self._write()

    def _measure(self) -> None:
        now = time.monotonic()
        if now > self._then:
            self._rate = (self._tokens - self._tokens_then) / (now - self._then)
        self._then, self._tokens_then = now, self._tokens

    def _write(self) -> None:
        if not self._usable:
            return
        self._written = time.monotonic()
        status = {
            **asdict(self._fixed),
            "updated": time.time(),
            "answers": self._answers,
            "tokens": self._tokens,
            "tokens_per_second": self._rate,
        }
        try:
            with replacing(self._file) as draft:
                draft.write_text(json.dumps(status), encoding="utf-8", newline="\n")
        except OSError:
            self._usable = False  # a full or read-only disk ends the display, not the answer


def read_statuses(folder: Path) -> tuple[SessionStatus, ...]:
    """Every session that runs, oldest first; files of processes that are gone are removed."""
    return tuple(sorted(_alive(folder), key=lambda status: status.started))


def is_running(pid: int, started: str | None) -> bool:
    """Whether the process of that number runs that began then: `process_started`'s answer."""
    if started is not None:
        return process_started(pid) == started
    import psutil

    return bool(psutil.pid_exists(pid))


def _alive(folder: Path) -> Iterator[SessionStatus]:
    for file in folder.glob("*.json"):
        status = _read(file)
        if status is None or status.host != platform.node():
            continue
        if is_running(status.pid, status.process_started):
            yield status
        else:
            with suppress(OSError):
                file.unlink(missing_ok=True)


def _read(file: Path) -> SessionStatus | None:
    """None for a file that is going away or is none of ours."""
    try:
        return SessionStatus(**json.loads(file.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def process_started(pid: int) -> str | None:
    """When a process began, in clock ticks since the machine did; None but on Linux.

    Not psutil's: its time is of the wall clock, and moves when that is set.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
    except OSError:
        return None
    # The name in brackets may hold spaces; the start is field 22, the name field 2.
    return text.rpartition(")")[2].split()[19]
