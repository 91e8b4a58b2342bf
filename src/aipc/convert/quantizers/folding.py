"""Move scales between a network's weights, so that its matrices change and its answers do not.

Where a matrix's input channels are multiplied by a scale each, whatever makes these inputs is
divided by it: the gain of the norm before query, key and value and before gate and up, and the
rows of up before down (Lin et al. 2023, arXiv 2306.00978, equation 4).  Attention's output has no
such place where query heads share a value head.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from aipc.checkpoint import TensorInfo, Weights
from aipc.convert.network import Block, Matrix, Network, Vector
from aipc.convert.quantizers.rtn import Floats


class Folded:
    """The `Weights` of the same network with scales folded in, computed as they are read.

    ``scales`` are float32 [columns], above 0, by the name of the matrix that they multiply; only
    those of `foldable` matrices.
    """

    def __init__(self, weights: Weights, network: Network, scales: Mapping[str, Floats]) -> None:
        self._weights = weights
        self._factors: dict[str, Floats] = {}
        self._divisors: dict[str, Floats] = {}
        self._offsets: dict[str, np.float32] = {}
        for block in network.blocks:
            for matrix in foldable(block):
                if matrix.name in scales:
                    self._fold(block, matrix, scales[matrix.name])

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        return self._weights.tensors

    def rows(self, name: str, start: int = 0, stop: int | None = None) -> Floats:
        """As `Checkpoint.rows`, with its errors."""
        rows = self._weights.rows(name, start, stop)
        if name in self._factors:
            rows = rows * self._factors[name]
        if name in self._divisors:
            divisor = self._divisors[name][start:stop].reshape(-1, *[1] * (rows.ndim - 1))
            offset = self._offsets.get(name, np.float32(0))
            rows = (rows + offset) / divisor - offset
        return rows

    def _fold(self, block: Block, matrix: Matrix, scale: Floats) -> None:
        self._factors |= dict.fromkeys(matrix.tensors, scale)
        if matrix is block.down:
            gate = np.ones(block.gate_up.rows - len(scale), np.float32)
            self._divide(block.gate_up, np.concatenate([gate, scale]))
        elif matrix is block.gate_up:
            self._divide(block.feed_forward_norm, scale)
        else:
            self._divide(block.attention_norm, scale)

    def _divide(self, whole: Matrix | Vector, divisor: Floats) -> None:
        """Share a divisor [rows] out among the tensors that a matrix or vector is stacked from."""
        start = 0
        for tensor in whole.tensors:
            stop = start + self.tensors[tensor].shape[0]
            self._divisors[tensor] = divisor[start:stop]
            if isinstance(whole, Vector):
                self._offsets[tensor] = np.float32(whole.offset)
            start = stop


def foldable(block: Block) -> Iterator[Matrix]:
    """The block's matrices whose inputs can be divided where they are made."""
    yield block.query_key_value
    yield block.gate_up
    yield block.down
