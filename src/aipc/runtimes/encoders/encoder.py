"""The protocol of every model that reads whole texts; a vendor's `encoder.py` implements it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True)
class EncodedText:
    """A text, or a pair of them, in tokens, special ones included."""

    ids: Sequence[int]
    types: Sequence[int]
    """Of each token 0, or 1 where it is of a pair's second text."""
    cut: int = 0
    """Tokens that were left out of it, as there were too many."""
    skipped: int = 0
    """Of its first tokens as many are read, and count nothing in its vector."""


def by_score(scores: Sequence[float], most: int | None = None) -> list[int]:
    """The indices by falling score, ``most`` of them at most; of equal ones the first first."""
    return sorted(range(len(scores)), key=lambda index: -scores[index])[:most]


class Encoder(Protocol):
    """A model loaded to read texts; its methods may be called from any thread."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What is stated about it, ready for JSON: runtime, version, device …"""

    @property
    def width(self) -> int:
        """Numbers that it makes of a text: of a vector, or 1 for a score."""

    def run(self, texts: Sequence[EncodedText]) -> npt.NDArray[np.float32]:
        """Float32 [texts, width]; what is made of a text does not depend on the others.

        Raises:
            EngineError: a closed model, or the vendor's runtime failed.
        """

    def close(self) -> None:
        """Free the model and the device; a second call does nothing."""
