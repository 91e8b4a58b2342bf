"""The scores of an ONNX Runtime GenAI model at every position of a text, on any of its devices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from aipc.errors import EngineError
from aipc.runtimes.onnx.engine import ONNXEngine
from aipc.runtimes.vendor_errors import translated


class ONNXScorer:
    """An engine of which every score is read; see `aipc.runtimes.base.Scorer`."""

    def __init__(self, engine: ONNXEngine) -> None:
        """Take the engine over."""
        self._engine = engine

    @property
    def facts(self) -> Mapping[str, Any]:
        return self._engine.facts

    def logits(self, ids: Sequence[int]) -> Iterator[npt.NDArray[np.float32]]:
        """As the protocol says; EngineError for a graph that gives the last position alone."""
        sequence = self._engine.sequence(ids)
        places = 0
        with translated("ONNX Runtime GenAI failed while scoring"):
            for scores in sequence.score(ids):
                places += len(scores)
                yield scores
        if places != len(ids):
            raise EngineError(
                f"the model gives {places:,} rows of scores for {len(ids):,} tokens",
                "its graph was made to answer only; convert the model with aipc",
            )

    def close(self) -> None:
        self._engine.close()
