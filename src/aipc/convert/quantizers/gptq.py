"""GPTQ: round a column at a time and let the columns still to come make up for the error.

Frantar et al. 2022, arXiv 2210.17323, in the form that Chee et al. 2023 (QuIP, arXiv 2307.13304)
proved to be the same and that inverts nothing.  The loss is the squared change of the matrix's
outputs on calibration inputs X [tokens, columns], its Hessian H = X^T X / tokens.  Rows are
independent of each other given H, so that several threads may take several rows each.

Off its diagonal H is kept as Y^T Y, Y [rank, columns]: what wide inputs do in the RANK directions
in which they are largest.  So no matrix of columns^2 is made and factorized (8,192 columns: 268 MB
and 1.8e11 multiplications), and a weight takes 2 rank multiplications instead of columns / 2.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aipc.convert.quantizers.rtn import (
    Floats,
    InfiniteInputs,
    Quantized,
    code_range,
    reciprocal,
)
from aipc.convert.quantizers.search import importance_of, searched

RANK = 512  # on the small real model as good as no limit (KL divergence, 2,048 tokens)
DAMPING = 0.05  # of the mean diagonal, added to all of it
BATCH = 128  # columns that get the errors of all those before them in one product


@dataclass(frozen=True)
class Feedback:
    """H = U D U^T in the order of quantizing, U upper with a unit diagonal, D diagonal.

    Of column i's error U[i, j] goes to column j > i: ``factor[:, i] @ gain[:, j]``.
    """

    order: npt.NDArray[np.int64]  # [columns]
    factor: Floats  # Y [rank, columns]
    gain: Floats  # [rank, columns]
    importance: Floats  # D [columns], in the matrix's own order: what a rounding error costs


def feedback(inputs: Floats) -> Feedback:
    """Factorize the Hessian of inputs [tokens, columns].

    Off the diagonal it is shrunk, as the covariance of a few thousand tokens is uncertain
    there: on text that was not calibrated on, this took a fifth off the error.  Columns are
    taken in the order of falling activation, the paper's act-order.

    Raises:
        InfiniteInputs: the inputs were no finite numbers.
    """
    tokens, columns = inputs.shape
    diagonal = importance_of(inputs)
    order = np.argsort(diagonal, kind="stable")[::-1]
    shrunk = np.float32(np.sqrt(2 / (columns + 2 * tokens)))
    factor = np.ascontiguousarray(_largest_directions(inputs)[:, order]) * shrunk
    damping = np.float32(DAMPING * max(float(diagonal.mean()), 1e-12))
    rest = diagonal[order] - np.einsum("rk,rk->k", factor, factor) + damping
    gain, pivots = factorize(factor, rest)
    importance = np.empty(columns, np.float32)
    importance[order] = pivots
    return Feedback(order, factor, gain, importance)


def _largest_directions(inputs: Floats) -> Floats:
    """Y [rank, columns] with nearly the X^T X of inputs X [tokens, columns]; a copy, or X itself.

    Exact with few tokens or columns.  Else X is projected onto what a random mixture of it spans
    after half a power iteration (Halko et al. 2011, arXiv 0909.4061, algorithms 4.1 and 4.3).
    """
    tokens, columns = inputs.shape
    if tokens <= min(RANK, columns):
        return inputs
    if columns <= 2 * RANK:
        upper: Floats = _cholesky(inputs.T @ inputs, 1e-6).T.astype(np.float32)
        return upper
    mixture = np.random.default_rng(0).standard_normal((RANK, tokens), np.float32)
    mixed = (mixture @ inputs @ inputs.T).astype(np.float64)
    directions = np.linalg.solve(_cholesky(mixed @ mixed.T, 1e-10), mixed)
    projected: Floats = directions.astype(np.float32) @ inputs
    return projected


def _cholesky(moment: npt.NDArray[Any], precision: float) -> npt.NDArray[np.floating[Any]]:
    """Lower float64 factor of a matrix that may be singular, as of tokens that are repeated.

    It may be all zeros too, as what a matrix of zeros makes.  ``precision`` is that of the moment,
    relative to its trace; where many tokens are alike, float32 sums are less precise.
    """
    wide = moment.astype(np.float64)
    diagonal = np.diag_indices(len(wide))
    damping = max(precision * np.trace(wide), np.finfo(np.float64).tiny)
    for times in (1, 99, 9900):  # 1, 100 and 10,000 in all
        wide[diagonal] += times * damping
        with suppress(np.linalg.LinAlgError):
            return np.linalg.cholesky(wide)
    raise InfiniteInputs


def factorize(factor: Floats, rest: Floats) -> tuple[Floats, Floats]:
    """U D U^T = diag(rest) + Y^T Y: `Feedback.gain` and D [n] of Y [rank, n] and rest [n] > 0.

    A batch of columns at a time, from the last to the first.  ``left`` [rank, rank] is what the
    columns behind leave of Y^T Y's identity (the downdates of recursive least squares).

    Raises:
        numpy.linalg.LinAlgError: the matrix is not positive definite.
    """
    gain, pivots = np.empty_like(factor), np.empty_like(rest)
    left = np.eye(len(factor), dtype=np.float32)
    for first in reversed(range(0, len(rest), BATCH)):
        here = slice(first, first + BATCH)
        reach = left @ factor[:, here]
        block = factor[:, here].T @ reach + np.diag(rest[here])
        # the upper R with R R^T = block: Cholesky of it read backwards
        root = np.linalg.cholesky(block[::-1, ::-1])[::-1, ::-1]
        reach = np.linalg.solve(root, reach.T).T
        left -= reach @ reach.T
        gain[:, here] = reach / np.diag(root)
        pivots[here] = np.square(np.diag(root))
    return gain, pivots


def gptq(rows: Floats, bits: int, group: int, spread: Feedback, sym: bool = True) -> Quantized:
    """Codes of ``rows`` with error feedback, on scales searched beforehand by importance.

    Args:
        rows: float32 [n, k], k a multiple of ``group``.
        bits: 4 or 8.
        group: weights that share one scale.
        spread: of the matrix's Hessian.
        sym: without zero points.

    Raises:
        FloatingPointError: when a weight is no number or its scale exceeds float16.
    """
    start = searched(rows, bits, group, spread.importance, sym, thorough=True)
    grid = _Grid(start, bits, spread.order // group)
    columns = np.ascontiguousarray(rows.T[spread.order])  # [k, n]: a column is contiguous
    codes = np.empty_like(start.codes)
    codes.T[spread.order] = _rounded(columns, grid, spread)
    return Quantized(codes, start.scale, start.zero)


def multiplications(tokens: int, rows: int, columns: int) -> int:
    """How many a matrix takes, its directions and factors included."""
    rank, directions = RANK, 3 * tokens * RANK * columns
    if tokens <= min(RANK, columns):
        rank, directions = tokens, 0
    elif columns <= 2 * RANK:
        rank, directions = columns, tokens * columns**2 // 2
    return directions + 2 * rank**2 * columns + 2 * rank * rows * columns


class _Grid:
    """The values that each column can take, by its position in the order of quantizing."""

    def __init__(self, start: Quantized, bits: int, groups: npt.NDArray[np.int64]) -> None:
        zero = np.zeros_like(start.scale) if start.zero is None else start.zero
        self._groups = groups
        self._scale = np.ascontiguousarray(start.scale.T.astype(np.float32))  # [groups, n]
        self._inverse = np.ascontiguousarray(reciprocal(start.scale).T)
        self._zero = np.ascontiguousarray(zero.T.astype(np.float32))
        self._range = code_range(bits, start.zero is None)

    def codes(self, column: int, values: Floats) -> Floats:
        group = self._groups[column]
        codes: Floats = values * self._inverse[group]
        codes += self._zero[group]
        np.rint(codes, out=codes)
        np.clip(codes, *self._range, out=codes)
        return codes

    def values(self, column: int, codes: Floats) -> Floats:
        group = self._groups[column]
        values: Floats = (codes - self._zero[group]) * self._scale[group]
        return values


def _rounded(columns: Floats, grid: _Grid, spread: Feedback) -> Floats:
    """Codes [k, n] of ``columns`` [k, n], both in the order of quantizing."""
    codes = np.empty_like(columns)
    carried = np.zeros((len(spread.factor), columns.shape[1]), np.float32)
    for first in range(0, len(columns), BATCH):
        here = slice(first, first + BATCH)
        factor, gain = spread.factor[:, here], spread.gain[:, here]
        targets, upper = columns[here] + gain.T @ carried, factor.T @ gain
        errors = np.empty_like(targets)
        for i in range(len(targets)):
            column, target = first + i, targets[i] + upper[:i, i] @ errors[:i]
            codes[column] = grid.codes(column, target)
            errors[i] = columns[column] - grid.values(column, codes[column])
        carried += factor @ errors
    return codes
