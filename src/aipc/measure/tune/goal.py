"""What a choice is made for, one number a setup, the smaller the better; how much is measured."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aipc.errors import UsageError
from aipc.options import check, option

if TYPE_CHECKING:
    from aipc.choose.measured import SetupFigures, Work

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h)?")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}
GOALS = ("latency", "throughput", "energy", "quality")
NO_SLOWER = 1.1
"""For quality: a choice may take at most this multiple of the default choice's time."""


def score(goal: str, figures: SetupFigures, work: Work) -> float:
    """Seconds an answer, seconds a token, joules a token, or nats; infinite where not measured."""
    if goal == "latency":
        return answer_seconds(figures, work)
    value = {
        "throughput": 1 / figures.tokens_per_s if figures.tokens_per_s else None,
        "energy": figures.joules_per_token,
        "quality": figures.kl,
    }[goal]
    return float("inf") if value is None else value


def answer_seconds(figures: SetupFigures, work: Work) -> float:
    """Of one whole answer, prompt included."""
    return figures.first_token_s + (work.tokens - 1) * figures.token_s


@dataclass(frozen=True)
class TuneOptions:
    """What is to be measured, and how long that may take."""

    budget: str = option("10m", "time to spend: 90s, 10m, 1h; conversions count")
    max_kl: float | None = option(
        None,
        "most divergence from the float model, in nats a token; coarser weights are tried then",
        minimum=0.0,
    )
    prompt: int = option(256, "tokens of each prompt", minimum=8)
    tokens: int = option(64, "tokens of each answer", minimum=8)
    work: str = option(
        "plain", "copy: answers that repeat parts of the prompt", choices=("plain", "copy")
    )

    def __post_init__(self) -> None:
        check(self)
        _ = self.budget_s

    @property
    def budget_s(self) -> float:
        match = _DURATION.fullmatch(self.budget.strip())
        if match is None:
            raise UsageError(f"--budget '{self.budget}' is no time", "write 90s, 10m or 1h")
        return float(match[1]) * _SECONDS[match[2]]
