"""How a hosted model is doing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aipc.errors import AipcError
from aipc.serve.pool.worker_client import Ready

State = Literal["stopped", "loading", "ready", "failed"]
"""Ready: it has produced a token since it was loaded, and its process lives."""


@dataclass(frozen=True)
class Status:
    """Of one model on one device, at one moment; counts are since the server's start."""

    model: str
    device: str
    """As it was asked for: "auto", "cpu", "gpu.1" …"""
    state: State
    ready: Ready | None
    """What its worker told; None while nothing is loaded."""
    doing: str
    """What is under way while it loads, for people; may be empty."""
    error: AipcError | None
    """Why it is not loaded, where it failed."""
    waiting: int
    running: int
    tokens: int
    """Generated."""
    answers: int
    """That came to their end, cancelled ones included."""
    restarts: int
    """Loads after the first one."""
    memory_bytes: int | None
    """That its process takes; None while there is none, or nobody tells."""
    notices: tuple[str, ...]
    """What a user should know of this load, such as a fallback; one line each."""
    pid: int | None
    """Of its process."""
