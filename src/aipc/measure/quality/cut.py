"""How a text is cut, as a user asks for it."""

from __future__ import annotations

from dataclasses import dataclass

from aipc.errors import UsageError
from aipc.options import check, option

FEWEST = 64
"""Places; of fewer nothing can be told."""


@dataclass(frozen=True)
class Cut:
    """How a text is cut into windows, each of which a model reads from its own beginning."""

    tokens: int = option(2048, "places of the text that are judged", minimum=FEWEST)
    window: int = option(512, "tokens that the model sees at once", minimum=16)
    overlap: int = option(
        128, "tokens that windows share: the least context of a place, but at the start", minimum=1
    )

    def __post_init__(self) -> None:
        check(self)
        if self.overlap >= self.window:
            raise UsageError(
                f"--overlap {self.overlap} leaves nothing of --window {self.window}",
                "give a smaller overlap",
            )
