"""What is asked of `aipc prove`."""

from __future__ import annotations

from dataclasses import dataclass

from aipc.options import check, option

MINUTES, FULL_MINUTES = 5.0, 15.0
"""With the small model, and with Phi-3-mini."""


@dataclass(frozen=True)
class ProofOptions:
    minutes: float = option(
        MINUTES, "time for all devices, without fetching and converting", minimum=0.5, maximum=240
    )

    def __post_init__(self) -> None:
        check(self)
