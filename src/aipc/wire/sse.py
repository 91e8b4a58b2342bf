"""Server-sent events."""

from __future__ import annotations

import json

from aipc.pool.worker.messages import Waiting
from aipc.wire.errors import HTTPError, openai_error

DONE = b"data: [DONE]\n\n"


def frame(data: str, event: str = "") -> bytes:
    """One server-sent event; ``data`` is JSON on one line."""
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {data}\n\n".encode()


def waiting_frame(waiting: Waiting) -> bytes:
    """A comment, which clients of server-sent events skip: ``: waiting 2``."""
    return f": waiting {waiting.position}\n\n".encode()


def error_frame(error: HTTPError) -> bytes:
    return frame(json.dumps(openai_error(error)))
