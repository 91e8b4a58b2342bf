"""Server-sent events."""

from __future__ import annotations

from aipc.pool.worker.messages import Waiting

DONE = b"data: [DONE]\n\n"


def frame(data: str, event: str = "") -> bytes:
    """One server-sent event; ``data`` is JSON on one line."""
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {data}\n\n".encode()


def waiting_frame(waiting: Waiting) -> bytes:
    """A comment, which clients of server-sent events skip: ``: waiting 2``."""
    return f": waiting {waiting.position}\n\n".encode()
