"""What a trial's process is told, and what it found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aipc.measure.prove.record import LongAnswer

QUESTIONS, RELOADED, CANCELLED, LONG = (
    "questions",
    "a question after a reload",
    "a question after a cancel",
    "a long answer",
)
LOADING = "loading"


@dataclass(frozen=True)
class TrialTask:
    """``seconds`` is the time for all; with ``again`` only a question is asked anew."""

    folder: str
    """The artifact."""
    runtime: str
    device: str
    kind: str
    """Of the device that computes: an emulated NPU's work is the CPU's."""
    emulate: bool
    home: str
    scratch: str
    """Where compiled models go, which nobody has used before."""
    seconds: float
    again: bool = False


@dataclass(frozen=True)
class TrialAnswer:
    """Token ids in and out."""

    what: str
    prompt: tuple[int, ...]
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class TimedRun:
    """Seconds to the first token, and of each further one in the mean."""

    prompt: int
    first_s: float
    token_s: float


@dataclass(frozen=True)
class TrialFindings:
    """All that the process told."""

    longest_prompt: int | None = None
    properties: Mapping[str, str] | None = None
    nodes: Mapping[str, int] | None = None
    load_s: float | None = None
    cold_s: float | None = None
    busy_share: float | None = None
    process_cores: float | None = None
    energy_source: str | None = None
    joules_per_token: float | None = None
    watts: float | None = None
    cancel_s: float | None = None
    free_s: float | None = None
    long_answer: LongAnswer | None = None
    answers: tuple[TrialAnswer, ...] = ()
    runs: tuple[TimedRun, ...] = ()
    cut: tuple[str, ...] = ()


@dataclass(frozen=True)
class JudgeTask:
    folder: str
    """The artifact."""
    runtime: str
    seconds: float
    answers: tuple[TrialAnswer, ...]
