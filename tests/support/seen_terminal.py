"""A program under a pseudo-terminal, and its screen as a person sees it, by pyte."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence

import pyte
import pytest

CTRL_C, CTRL_D, UP, ENTER = "\x03", "\x04", "\x1b[A", "\r"
PASTE, PASTED = "\x1b[200~", "\x1b[201~"

# Not by pty.fork: what it copies is a test run's process, with the threads of vendors' code, and a
# copy of that has died before it came to the program.
_AT_ITS_TERMINAL = """
import fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background job ignores it
os.execv(sys.argv[1], sys.argv[1:])
"""


class SeenTerminal:
    """Starts ``command``; each wait fails the test after ``seconds``."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        columns: int = 80,
        rows: int = 24,
    ) -> None:
        self._screen = pyte.HistoryScreen(columns, rows, history=1000, ratio=1)
        self._stream = pyte.ByteStream(self._screen)
        self.written = b""
        self._fd, terminal = os.openpty()
        self._set_size(columns, rows)
        self._program = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _AT_ITS_TERMINAL, *command],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=dict(environment),
            start_new_session=True,
        )
        os.close(terminal)
        self.flags_before = termios.tcgetattr(self._fd)
        # it answers what it is asked: where the cursor stands
        self._screen.write_process_input = self.type

    @property
    def pid(self) -> int:
        return self._program.pid

    @property
    def lines(self) -> list[str]:
        """What is on the screen, and above it what has left it, without empty lines at the end."""
        above = [
            "".join(row[at].data for at in range(self._screen.columns)).rstrip()
            for row in self._screen.history.top
        ]
        lines = above + [line.rstrip() for line in self._screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def cursor(self) -> tuple[int, int]:
        """Row and column on the screen."""
        return self._screen.cursor.y, self._screen.cursor.x

    @property
    def is_cursor_hidden(self) -> bool:
        return self._screen.cursor.hidden

    def is_styled(self, text: str, name: str) -> bool:
        """Whether every character of ``text`` on the screen is "bold", "italics" …"""
        for row, line in enumerate(self._screen.display):
            at = line.find(text)
            if at >= 0:
                cells = [self._screen.buffer[row][at + one] for one in range(len(text))]
                return all(getattr(cell, name) for cell in cells)
        raise AssertionError(f"no {text!r} on the screen")

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def resize(self, columns: int, rows: int) -> None:
        self._screen.resize(rows, columns)
        self._set_size(columns, rows)  # the kernel tells the program

    def see(self, text: str, seconds: float = 30.0) -> None:
        """Wait until ``text`` is on the screen or above it."""
        self.wait(lambda: text in self.text, f"{text!r}", seconds)

    def see_end(self, *lines: str, seconds: float = 30.0) -> None:
        """Wait until these are the last lines."""
        wanted = list(lines)
        self.wait(lambda: self.lines[-len(wanted) :] == wanted, f"{wanted}", seconds)

    def wait(self, is_so: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
        end = time.monotonic() + seconds
        while not is_so():
            if not self._read(min(0.1, max(end - time.monotonic(), 0))) and (
                time.monotonic() > end or self._has_ended()
            ):
                if is_so():
                    return
                status = self._program.poll()
                ended = "" if status is None else f"; ended: {status}"
                pytest.fail(f"no {what} in:\n{self.text}{ended}")

    def rest(self, seconds: float) -> None:
        """Read on for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._read(left)

    def leave(self, seconds: float = 30.0) -> int:
        """Wait for its end; the exit status."""
        end = time.monotonic() + seconds
        while not self._has_ended():
            self._read(0.1)
            if time.monotonic() > end:
                pytest.fail(f"it has not ended:\n{self.text}")
        while self._read(0.1):
            pass
        return int(self._program.returncode)

    def is_tidy(self) -> bool:
        """Whether the terminal is as it was before: echo, lines, cursor, paste unmarked."""
        last_mark = self.written.rfind(b"\x1b[?2004h")
        return (
            termios.tcgetattr(self._fd) == self.flags_before
            and not self.is_cursor_hidden
            and self.written.rfind(b"\x1b[?2004l") >= last_mark
        )

    def close(self) -> None:
        self._program.kill()
        self._program.wait()
        os.close(self._fd)

    def _has_ended(self) -> bool:
        return self._program.poll() is not None

    def _set_size(self, columns: int, rows: int) -> None:
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, size)

    def _read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self._fd], [], [], max(seconds, 0))
        try:
            data = os.read(self._fd, 65536) if ready else b""
        except OSError:  # how Linux says that the other side is gone
            return False
        self.written += data
        self._stream.feed(data)
        return bool(data)
