"""Messages between two processes over a pipe: JSON and never pickle, many to a frame.

A frame is four bytes of length, big-endian, and an array of objects in ASCII.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, BinaryIO, TypeAlias

Message: TypeAlias = dict[str, Any]

_LENGTH = 4
_LONGEST = 1 << 28  # bytes; more is no frame but noise on the pipe


class Outbox:
    """Sends in order what any thread puts; never blocks the one who puts.

    A thread of its own writes.  What has gathered while it wrote goes as one frame: many streams
    cost few writes, and a lone token is not held back.
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


def encode(batch: list[Message]) -> bytes:
    """One frame."""
    body = json.dumps(batch, separators=(",", ":")).encode("ascii")
    return len(body).to_bytes(_LENGTH, "big") + body


def frames(pipe: BinaryIO) -> Iterator[list[Message]]:
    """Frames until the pipe ends, be it in the midst of one.

    Raises:
        ValueError: what comes is no frame.
    """
    while True:
        length = pipe.read(_LENGTH)
        if len(length) < _LENGTH:
            return
        size = int.from_bytes(length, "big")
        if size > _LONGEST:
            raise ValueError(f"a frame of {size:,} bytes")
        body = pipe.read(size)
        if len(body) < size:
            return
        yield json.loads(body)
