"""How much `aipc tune` measures, and how long that may take."""

from __future__ import annotations

import re
from dataclasses import dataclass

from aipc.errors import UsageError
from aipc.options import check, option

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h)?")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}


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
