"""Messages between two processes over a pipe: JSON and never pickle, many to a frame.

A frame is four bytes of length, big-endian, and an array of objects in ASCII.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from io import BufferedIOBase
from queue import Empty, SimpleQueue
from typing import Any, BinaryIO, TypeAlias

Message: TypeAlias = dict[str, Any]

PIECE = 1 << 16
"""Bytes to read from a pipe at once, at most."""
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


class Splitter:
    """Cuts what comes out of a pipe, in pieces of any size, into messages."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, piece: bytes) -> list[Message]:
        """All messages that are whole now.

        Raises:
            ValueError: what comes is no frame.
        """
        self._held += piece
        messages: list[Message] = []
        start = 0
        while (end := self._end(start)) is not None:
            messages += json.loads(self._held[start + _LENGTH : end])
            start = end
        del self._held[:start]
        return messages

    def _end(self, start: int) -> int | None:
        """Where the frame that begins at ``start`` ends; None where it is not whole."""
        if len(self._held) < start + _LENGTH:
            return None
        size = int.from_bytes(self._held[start : start + _LENGTH], "big")
        if size > _LONGEST:
            raise ValueError(f"a frame of {size:,} bytes")
        end = start + _LENGTH + size
        return end if end <= len(self._held) else None


def batches(pipe: BufferedIOBase) -> Iterator[list[Message]]:
    """Messages, as many as have come, until the pipe ends, be it in the midst of one.

    Raises:
        ValueError: what comes is no frame.
    """
    splitter = Splitter()
    while piece := pipe.read1(PIECE):
        if messages := splitter.feed(piece):
            yield messages
