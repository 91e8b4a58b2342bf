"""How a benchmark repeats itself; light enough for the command line to import at its start."""

from __future__ import annotations

from dataclasses import dataclass

from aipc.options import check, option


@dataclass(frozen=True)
class BenchOptions:
    """How often, and from which seed."""

    repeats: int = option(
        6, "runs of each case that count; six give an interval of 95%", minimum=1, maximum=1000
    )
    loads: int = option(
        1, "how often each is loaded, in a process of its own", minimum=1, maximum=100
    )
    seed: int = option(1, "the same seed draws the same prompts", minimum=0, maximum=2**32 - 1)

    def __post_init__(self) -> None:
        check(self)
