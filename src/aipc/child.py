"""A child process spoken to over its pipes, one JSON value a line: start, ask, time out, end.

JSON in ASCII holds no line break, so a line is a message whole; and nothing is unpickled.  Only
the standard library is imported here: `participant_loop` loads this file under other Pythons.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import BufferedIOBase
from queue import Empty, SimpleQueue
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

if TYPE_CHECKING:
    from typing import TypeAlias  # of Python 3.10, older than which a peer's may be

Message: TypeAlias = dict[str, Any]

PIECE = 1 << 16
"""Bytes to read from a pipe at once, at most."""
_SLICE_S = 1.0
_OOM_SCORE = 1000
"""As if it took all of the memory besides (``proc_pid_oom_score_adj(5)``), in a container its own.

With half of it a server of 90 MB was ended before a worker that still imported."""
_LONGEST = 1 << 28  # bytes; more is no message but noise on the pipe


def safe_environment() -> dict[str, str]:
    """For a child by ``-m``: no module is imported from the folder that the user is in."""
    return {**os.environ, "PYTHONSAFEPATH": "1"}


@contextmanager
def spared_ctrl_c() -> Iterator[None]:
    """What is started within hears no Ctrl-C, which reaches every program in a terminal.

    The parent hears it, and ends its children.  One that ignores it by itself would be interrupted
    while it still imports.
    """
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # a program inherits it
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class ChildEnded(Exception):
    """The child ended, or was ended at a time limit (``status`` None), without an answer."""

    def __init__(self, status: int | None) -> None:
        super().__init__(f"ended with status {status}" if status is not None else "took too long")
        self.status = status


class Child:
    """A program that answers each line of its stdin with one on its stdout.

    Its stderr goes to the open file ``stderr``, or nowhere; ``env`` is its environment, None this
    process's.

    Raises:
        OSError: the system starts no such process.
    """

    def __init__(
        self,
        command: Sequence[str],
        stderr: IO[Any] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
        errors = nowhere if stderr is None else stderr
        with spared_ctrl_c():
            self._process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=errors, env=env
            )
        self._answers: SimpleQueue[bytes] = SimpleQueue()
        threading.Thread(target=self._read, name="child", daemon=True).start()

    def ask(self, question: Any, limit_s: float | None = None) -> Any:
        """The answer to ``question``.

        Raises:
            ChildEnded: it died of the question, or was ended after ``limit_s`` seconds.
        """
        with suppress(OSError, ValueError):  # a broken or closed pipe: `answer` finds the end
            pipe = cast("BinaryIO", self._process.stdin)
            pipe.write(encode(question))
            pipe.flush()
        return self.answer(limit_s)

    def answer(self, limit_s: float | None = None) -> Any:
        """The next line that it says by itself, as a program does that has started.

        Raises:
            ChildEnded: as for `ask`.
        """
        line = self._line(limit_s)
        if line is None:
            self.end()
            raise ChildEnded(None)
        if not line.endswith(b"\n"):
            self._answers.put(b"")  # for a later question
            status = self._process.wait()
            self.end()
            raise ChildEnded(status)
        return json.loads(line)

    def end(self) -> None:
        """Kill it; a second call does nothing."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # what it had not read yet can't be flushed
                cast("BinaryIO", pipe).close()

    def _line(self, limit_s: float | None) -> bytes | None:
        """The next one; None where none comes in time.

        Time for which this very process stood still does not count: the child did too, most likely.
        """
        if limit_s is None:
            return self._answers.get()
        left_s = limit_s
        while left_s > 0:
            with suppress(Empty):
                return self._answers.get(timeout=min(left_s, _SLICE_S))
            left_s -= _SLICE_S
        return None

    def _read(self) -> None:
        """Lines as they come, and one without an end when there are no more."""
        with suppress(ValueError):  # closed by `end`
            for line in cast("BinaryIO", self._process.stdout):
                self._answers.put(line)
        self._answers.put(b"")


def leave_no_core_file() -> None:
    """Have this process, and those that it starts, write none when it crashes.

    It would hold prompts and keys.  ``prlimit --core=unlimited --pid PID`` allows it again.
    """
    if sys.platform != "win32":  # whose reports hold no heap
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (0, most))


def own_pipes() -> tuple[BufferedIOBase, BinaryIO]:
    """In the child: stdin and stdout for messages alone; what a library prints goes to stderr.

    What comes over them is for nobody else: `leave_no_core_file`.
    """
    leave_no_core_file()
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a name, no path, on Windows
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    return questions, answers


def one_task() -> tuple[Any, Callable[[Any], None]]:
    """In the child: the task that it is given, and what sends a message back; plain JSON data."""
    questions, answers = own_pipes()

    def tell(message: Any) -> None:
        answers.write(encode(message))
        answers.flush()

    return json.loads(questions.readline()), tell


def answer_lines(start: Callable[[], Callable[[Any], Any]]) -> None:
    """In the child: ``start`` it, say so in a line, then answer each question until stdin ends.

    What ``start`` returns gives the answer to a question, both plain JSON data.
    """
    questions, answers = own_pipes()
    with answers:
        answer = start()
        answers.write(encode(None))
        answers.flush()
        for line in questions:
            answers.write(encode(answer(json.loads(line))))
            answers.flush()


def limit_memory(more: int) -> None:
    """In the child: let it have ``more`` bytes than it has now, and no others.

    A MemoryError is what Python makes of that; a library may end the process.  On Linux addresses
    are counted, on Windows what is committed.  On macOS, whose kernel limits no process, and where
    Windows refuses a job, nothing is limited.
    """
    if sys.platform == "linux":
        import resource

        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - pathlib is slow to import
            limit = int(file.read().split()[0]) * resource.getpagesize() + more
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    elif sys.platform == "win32":
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.CreateJobObjectW.restype = wintypes.HANDLE
        kernel.GetCurrentProcess.restype = wintypes.HANDLE
        job = wintypes.HANDLE(kernel.CreateJobObjectW(None, None))
        # a Python that has just started has some tens of millions of bytes
        limits = _Extended(basic=_Basic(flags=_PROCESS_MEMORY), process_memory=more + 2**27)
        kernel.SetInformationJobObject(job, _EXTENDED, ctypes.byref(limits), ctypes.sizeof(limits))
        kernel.AssignProcessToJobObject(job, wintypes.HANDLE(kernel.GetCurrentProcess()))


def end_first(pid: int) -> None:
    """Where memory runs out, have Linux end a child before this process."""
    if sys.platform == "linux":
        with suppress(OSError), open(f"/proc/{pid}/oom_score_adj", "wb") as file:  # noqa: PTH123
            file.write(b"%d" % _OOM_SCORE)


def encode(value: Any) -> bytes:
    """One line."""
    return json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n"


class Outbox:
    """Sends messages in order, whichever thread puts them; never blocks the one who puts.

    A thread of its own writes.  What has gathered while it wrote goes as one line, an array: many
    streams cost few writes, and a lone message is not held back.
    """

    def __init__(self, pipe: BinaryIO, name: str) -> None:
        self._pipe = pipe
        self._messages: SimpleQueue[Message | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._write, name=name, daemon=True)
        self._thread.start()

    def put(self, message: Message) -> None:
        self._messages.put(message)

    def close(self, timeout_s: float | None = None) -> None:
        """Close the pipe after all that was put; wait for that, or for ``timeout_s``."""
        self._messages.put(None)
        if timeout_s is not None:
            self._thread.join(timeout_s)

    def _write(self) -> None:
        # a broken pipe: the other process has ended, which its reader learns too
        with suppress(OSError, ValueError), self._pipe:
            while True:
                batch, is_last = self._gathered()
                if batch:
                    self._pipe.write(encode(batch))
                    self._pipe.flush()
                if is_last:
                    return

    def _gathered(self) -> tuple[list[Message], bool]:
        """All that is there, at least one message; and whether nothing will follow."""
        message = self._messages.get()
        batch: list[Message] = []
        with suppress(Empty):
            while message is not None:
                batch.append(message)
                message = self._messages.get_nowait()
            return batch, True
        return batch, False


class Splitter:
    """Cuts what an `Outbox` wrote, coming in pieces of any size, into messages."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, piece: bytes) -> list[Message]:
        """All messages that are whole now.

        Raises:
            ValueError: what comes is no batch of messages.
        """
        self._held += piece
        if len(self._held) > _LONGEST:
            raise ValueError(f"a line of more than {_LONGEST:,} bytes")
        if b"\n" not in piece:
            return []
        *lines, self._held = self._held.split(b"\n")
        return [message for line in lines for message in _batch(line)]


def _batch(line: bytes | bytearray) -> list[Message]:
    batch = json.loads(line)
    if not isinstance(batch, list) or not all(isinstance(one, dict) for one in batch):
        raise ValueError("no batch of messages")
    return batch


def batches(pipe: BufferedIOBase) -> Iterator[list[Message]]:
    """Messages, as many as have come, until the pipe ends, be it in the midst of one.

    Raises:
        ValueError: what comes is no batch of messages.
    """
    splitter = Splitter()
    while piece := pipe.read1(PIECE):
        if messages := splitter.feed(piece):
            yield messages


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    class _Basic(ctypes.Structure):
        _fields_ = (
            ("process_time", ctypes.c_int64),
            ("job_time", ctypes.c_int64),
            ("flags", wintypes.DWORD),
            ("least_working_set", ctypes.c_size_t),
            ("most_working_set", ctypes.c_size_t),
            ("processes", wintypes.DWORD),
            ("affinity", ctypes.c_size_t),
            ("priority", wintypes.DWORD),
            ("scheduling", wintypes.DWORD),
        )

    class _Extended(ctypes.Structure):
        """JOBOBJECT_EXTENDED_LIMIT_INFORMATION of Microsoft's winnt.h."""

        _fields_ = (
            ("basic", _Basic),
            ("io_counters", ctypes.c_uint64 * 6),
            ("process_memory", ctypes.c_size_t),
            ("job_memory", ctypes.c_size_t),
            ("peak_process_memory", ctypes.c_size_t),
            ("peak_job_memory", ctypes.c_size_t),
        )

    _EXTENDED, _PROCESS_MEMORY = 9, 0x100
