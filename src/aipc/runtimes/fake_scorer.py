"""Scores without a model, for tests: what follows a token depends on that token alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aipc.errors import EngineError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass
class FakeScorer:
    """Draws its scores by ``seed``; ``noise`` 0 to 1 blends in those of another seed.

    See `aipc.runtimes.base.Scorer`.
    """

    vocabulary: int = 260
    seed: int = 0
    noise: float = 0.0
    piece: int = 7
    """Rows of one piece."""
    asked: int = 0
    """Rows given so far."""
    closed: bool = False

    def __post_init__(self) -> None:
        self._scores = self._drawn(self.seed) + self.noise * self._drawn(self.seed + 1)

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"runtime": "fake", "version": "1", "device": "CPU", "properties": {}}

    def logits(self, ids: Sequence[int]) -> Iterator[npt.NDArray[np.float32]]:
        if self.closed:
            raise EngineError("the scorer is closed", "open another one")
        if not ids or not 0 <= min(ids) <= max(ids) < self.vocabulary:
            raise EngineError(f"the text needs tokens from 0 to {self.vocabulary - 1}")
        for start in range(0, len(ids), self.piece):
            rows = self._scores[list(ids[start : start + self.piece])]
            self.asked += len(rows)
            yield rows

    def close(self) -> None:
        self.closed = True

    def _drawn(self, seed: int) -> npt.NDArray[np.float32]:
        import numpy as np

        generator = np.random.default_rng(seed)
        return 2 * generator.standard_normal((self.vocabulary, self.vocabulary), np.float32)
