"""AWQ: scales that protect the input channels which matter most (arXiv 2306.00978).

Before a matrix is quantized each of its input channels is multiplied by a scale, a power of the
channel's root mean square: what is multiplied loses less to rounding when the scale is divided
out again.  The power that serves a matrix best is found by trying some on a part of its rows and
tokens (Lin et al. 2023, equation 5, with scales searched as in `search`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from aipc.checkpoint import TensorInfo, Weights
from aipc.checkpoint.tensors import GridCodes
from aipc.convert.feed_forward import FeedForward
from aipc.convert.network import Block, Network
from aipc.convert.parts import Matrix, Vector
from aipc.convert.quantizers.activations import (
    matrix_inputs,
    read_matrix,
    row_ranges,
)
from aipc.convert.quantizers.calibrated import PART_WEIGHTS
from aipc.convert.quantizers.rtn import Floats, dequantize, naming
from aipc.convert.quantizers.search import importance_of, searched
from aipc.convert.recipe import Encoding

POWERS = (0.0, 0.15, 0.3, 0.45)
"""The powers tried; 0 leaves the matrix as it is."""
ROWS_STEP = 4
TOKENS_STEP = 8
"""One in so many rows and tokens is tried."""
LEAST_SHARE = np.float32(1e-8)
"""Of the mean square: a channel that is almost never used counts as if it were so little used."""


def choose_scales(
    weights: Weights,
    network: Network,
    encodings: Mapping[str, Encoding],
    ids: npt.NDArray[np.int64],
) -> dict[str, Floats]:
    """Scales float32 [columns] for `Folded`, by the name of each matrix that they improve.

    Matrices of 8 and 16 bits get none.  ``ids`` [windows, tokens] are the calibration text.

    Raises:
        ConversionError: a weight that the format can't hold.
        CheckpointError: a checkpoint that can't be read on.
    """
    can_fold = {matrix.name for block in network.blocks for matrix in foldable(block)}
    found: dict[str, Floats] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for matrix, inputs in matrix_inputs(weights, network, ids):
            encoding = encodings[matrix.name]
            if matrix.name in can_fold and encoding.bits == 4:
                with naming(matrix.tensors[0], encoding.bits):
                    power = _best_power(pool, weights, matrix, inputs, encoding)
                if power > 0:
                    found[matrix.name] = channel_scale(importance_of(inputs), power)
    return found


def channel_scale(importance: Floats, power: float) -> Floats:
    """Root mean squares [k] to a power, divided by their geometric mean.

    ``importance`` is each channel's mean square [k], float32.
    """
    least = np.maximum(LEAST_SHARE * importance.mean(), np.finfo(np.float32).tiny)
    logarithm = np.log(np.maximum(importance, least)) * np.float32(power / 2)
    scale: Floats = np.exp(logarithm - logarithm.mean())
    return scale


def output_errors(
    rows: Floats, inputs: Floats, importance: Floats, encoding: Encoding
) -> npt.NDArray[np.float64]:
    """Squared error of what rows [n, k] make of inputs [t, k], for each of POWERS."""
    found = []
    for power in POWERS:
        scale = channel_scale(importance, power)
        weight = importance / scale**2
        codes = searched(rows * scale, encoding.bits, encoding.group, weight, encoding.sym)
        lost = dequantize(codes) / scale - rows
        found.append(np.square(inputs @ lost.T).sum(dtype=np.float64))
    return np.array(found)


def _best_power(
    pool: ThreadPoolExecutor, weights: Weights, matrix: Matrix, inputs: Floats, encoding: Encoding
) -> float:
    """The power of least error; the smaller of two equally good ones."""
    importance, some = importance_of(inputs), np.ascontiguousarray(inputs[::TOKENS_STEP])

    def errors(part: tuple[int, int]) -> npt.NDArray[np.float64]:
        rows = read_matrix(weights, matrix, *part)[::ROWS_STEP]
        return output_errors(rows, some, importance, encoding)

    ranges = row_ranges(matrix.rows, matrix.columns, PART_WEIGHTS)
    with threadpool_limits(1, "blas"):  # as in `calibrated`
        total = sum(pool.map(errors, ranges), start=np.zeros(len(POWERS)))
    return POWERS[int(total.argmin())]


class Folded:
    """The `Weights` of a network with scales folded in as they are read; its outputs stay the same.

    Where a matrix's input channels are multiplied by a scale each, whatever makes these inputs is
    divided by it: the weight of the norm before query, key and value and before gate and up, and
    the rows of up before down (Lin et al. 2023, equation 4).  ``scales`` are float32 [columns],
    above 0, by the name of the `foldable` matrix that they multiply.
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

    def codes(self, name: str, start: int, stop: int) -> GridCodes:
        """As `Checkpoint.codes`: of no use where scales are folded in, and never asked for."""
        return self._weights.codes(name, start, stop)

    def _fold(self, block: Block, matrix: Matrix, scale: Floats) -> None:
        self._factors |= dict.fromkeys(matrix.tensors, scale)
        if matrix is block.mixer.projection:
            self._divide(block.mixer_norm, scale)
        elif isinstance(block.feed_forward, FeedForward):
            self._fold_feed_forward(block, block.feed_forward, matrix, scale)

    def _fold_feed_forward(
        self, block: Block, one: FeedForward, matrix: Matrix, scale: Floats
    ) -> None:
        if matrix is one.gate_up:
            self._divide(block.feed_forward_norm, scale)
            return
        gate = np.ones(one.gate_up.rows - len(scale), np.float32)
        self._divide(one.gate_up, np.concatenate([gate, scale]))
        self._divide(one.gate_up_bias, np.concatenate([gate, scale]))

    def _divide(self, whole: Matrix | Vector | None, divisor: Floats) -> None:
        """Cut a divisor [rows] up among the tensors that a matrix or vector is stacked from."""
        if whole is None:
            return
        start = 0
        for tensor in whole.tensors:
            stop = start + self.tensors[tensor].shape[0]
            self._divisors[tensor] = divisor[start:stop]
            if isinstance(whole, Vector):
                self._offsets[tensor] = np.float32(whole.offset)
            start = stop


def foldable(block: Block) -> Iterator[Matrix]:
    """The block's matrices whose inputs can be divided where they are made.

    Attention's output can't where query heads share a value head, nor hidden states without a norm,
    nor what several experts and their router have in common.
    """
    if block.mixer_norm is not None and block.mixer_norm.bias is None:
        yield block.mixer.projection
    if isinstance(block.feed_forward, FeedForward):
        if block.feed_forward_norm is not None:
            yield block.feed_forward.gate_up
        yield block.feed_forward.down
