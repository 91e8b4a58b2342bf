"""A program run within limits of time and memory, and how it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from memory_group import MemoryGroup

GIB = 2**30


@dataclass(frozen=True)
class Outcome:
    """How a program ended: ``status`` is None where it was ended at the limit of its time."""

    status: int | None
    out: str
    err: str
    seconds: float

    @property
    def is_crash(self) -> bool:
        """Ended by a signal, or by an exception that nobody caught."""
        return self.status is not None and (self.status < 0 or "Traceback (most" in self.err)


def after(steps: str, command: Sequence[str]) -> list[str]:
    """``command`` as a shell begins it after ``steps``, in the same process.

    Not by a ``preexec_fn``: what that runs in is a copy of the test run's process, with the threads
    of vendors' code in any state.
    """
    return ["/bin/sh", "-ec", f'{steps}; exec "$@"', "sh", *command]


def run_limited(
    command: Sequence[str],
    *,
    seconds: float = 10,
    nbytes: int = 8 * GIB,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    said: bytes = b"",
    group: MemoryGroup | None = None,
) -> Outcome:
    """Run ``command`` for at most ``seconds``; no process of it may have more than ``nbytes``.

    ``said`` is its standard input; ``group`` is one that it is to be in.

    ``nbytes`` are addresses, of which libraries take gigabytes that they never touch.  At the limit
    the whole group of processes is killed.
    """

    limits = ["ulimit -c 0", f"ulimit -v {nbytes // 1024}", *([group.entering] if group else [])]
    started = time.monotonic()
    file = tempfile.TemporaryFile
    with file() as into, file() as out, file() as err:
        into.write(said)
        into.seek(0)
        process = subprocess.Popen(
            after("; ".join(limits), command),
            stdin=into,
            stdout=out,
            stderr=err,
            env=env,
            cwd=cwd,
            start_new_session=True,
        )
        status = _status(process, seconds)
        for one in (out, err):
            one.seek(0)
        shown, told = (one.read().decode("utf-8", "replace") for one in (out, err))
    return Outcome(status, shown, told, time.monotonic() - started)


def _status(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """The exit status; None where its time ran out."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return None
