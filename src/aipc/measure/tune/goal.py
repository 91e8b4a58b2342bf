"""What a choice is made for: one number of each setup, the smaller the better."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aipc.choose.measured import Figures, Work

GOALS = ("latency", "throughput", "energy", "quality")
NO_SLOWER = 1.1
"""For quality: a choice may take at most this multiple of the default choice's time."""


def score(goal: str, figures: Figures, work: Work) -> float:
    """Seconds an answer, seconds a token, joules a token, or nats; infinite where not measured."""
    return _SCORES[goal](figures, work)


def answer_seconds(figures: Figures, work: Work) -> float:
    """Of one whole answer, prompt included."""
    return figures.first_token_s + (work.tokens - 1) * figures.token_s


def _throughput(figures: Figures, work: Work) -> float:  # noqa: ARG001 - one signature for all
    return 1 / figures.tokens_per_s if figures.tokens_per_s else float("inf")


def _energy(figures: Figures, work: Work) -> float:  # noqa: ARG001
    joules = figures.joules_per_token
    return float("inf") if joules is None else joules


def _quality(figures: Figures, work: Work) -> float:  # noqa: ARG001
    return float("inf") if figures.kl is None else figures.kl


_SCORES: Mapping[str, Callable[[Figures, Work], float]] = {
    "latency": answer_seconds,
    "throughput": _throughput,
    "energy": _energy,
    "quality": _quality,
}
