"""The status of one model on one device, for those who show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aipc.errors import AipcError
from aipc.pool.worker_client import Ready

State = Literal["stopped", "loading", "ready", "failed"]
"""Ready: it has produced a token since it was loaded, and its process lives."""
STATES: tuple[State, ...] = ("ready", "loading", "failed", "stopped")
"""The best first."""


@dataclass(frozen=True)
class ModelStatus:
    """Of one model on one device, at one moment; counts are since the server's start."""

    model: str
    device: str
    """As requested: "auto", "cpu", "gpu.1" …"""
    source: str
    """The name of what it was loaded from, as it was then; empty before."""
    state: State
    ready: Ready | None
    """What its worker reported; None while it is not loaded."""
    doing: str
    """The step of loading, for display; may be empty."""
    error: AipcError | None
    """Why it is not loaded, where it failed."""
    waiting: int
    """Requests, without those in the background."""
    running: int
    """Answers, with those in the background."""
    tokens: int
    """Generated."""
    answers: int
    """Ended, cancelled ones included."""
    restarts: int
    """Loads after the first one."""
    memory_bytes: int | None
    """Of its process; None without one, or while it is not known."""
    notices: tuple[str, ...]
    """What a user should know of this load, such as a fallback to another device; a line each."""
    pid: int | None
    background: int = 0
    """Of the answers that run, those that give way to others."""
    idle_left_s: float | None = None
    """Seconds without a request after which it is unloaded; None: it stays."""
    failures: int = 0
    """Loads and workers that failed in a row, since an answer last ended well."""
