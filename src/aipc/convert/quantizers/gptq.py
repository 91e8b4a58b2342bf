"""GPTQ: round a column at a time and let the columns still to come make up for the error.

Frantar et al. 2022, arXiv 2210.17323, in the form that Chee et al. 2023 (QuIP, arXiv 2307.13304)
proved to be the same and that inverts nothing.  The loss is the squared change of the matrix's
outputs on calibration inputs X [tokens, columns], its Hessian H = X^T X / tokens.  Rows are
independent of each other given H, so that several threads may take several rows each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aipc.convert.quantizers.rtn import SYMMETRIC_CODES, Floats, Quantized, reciprocal
from aipc.convert.quantizers.search import searched

DAMPING = 0.05  # of the mean diagonal, added to all of it
BATCH = 128  # columns that get the errors of all those before them in one product
PANEL = 256  # columns: small beside the whole, large enough for products to run at full speed


@dataclass(frozen=True)
class Feedback:
    """H = U D U^T in the order of quantizing, U upper with a unit diagonal, D diagonal."""

    order: npt.NDArray[np.int64]  # [columns]
    upper: Floats  # U [columns, columns]: for i < j, U[i, j] of column i's error goes to column j
    importance: Floats  # D [columns], in the matrix's own order: what a rounding error costs


def hessian(inputs: Floats) -> Floats:
    """X^T X / tokens, float32 [columns, columns], of inputs [tokens, columns]."""
    product: Floats = inputs.T @ inputs
    product /= np.float32(len(inputs))
    return product


def feedback(second_moment: Floats, tokens: int) -> Feedback:
    """Factorize the Hessian that ``tokens`` inputs gave, in its own memory.

    Off the diagonal it is shrunk, as the covariance of a few thousand tokens is uncertain
    there: on text that was not calibrated on, this took a fifth off the error.  Columns are
    taken in the order of falling activation, the paper's act-order.

    Raises:
        FloatingPointError: the inputs were no finite numbers.
    """
    if not np.isfinite(np.diag(second_moment)).all():
        raise FloatingPointError("what reaches the matrix is not finite")
    _shrink(second_moment, tokens)
    order = np.argsort(np.diag(second_moment), kind="stable")[::-1]
    _reorder(second_moment, order)
    importance = np.empty(len(order), np.float32)
    importance[order] = factorize(second_moment)
    return Feedback(order, second_moment, importance)


def _shrink(second_moment: Floats, tokens: int) -> None:
    columns = len(second_moment)
    diagonal = np.diag(second_moment).copy()
    second_moment *= np.float32(2 * tokens / (columns + 2 * tokens))
    damping = DAMPING * max(float(diagonal.mean()), 1e-12)
    second_moment[np.diag_indices(columns)] = diagonal + np.float32(damping)


def _reorder(matrix: Floats, order: npt.NDArray[np.int64]) -> None:
    """Permute rows and columns alike, a panel at a time."""
    panels = [slice(start, start + PANEL) for start in range(0, len(matrix), PANEL)]
    for panel in panels:
        matrix[panel] = matrix[panel][:, order]
    for panel in panels:
        matrix[:, panel] = matrix[order, panel]


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
    start = searched(rows, bits, group, spread.importance, sym)
    grid = _Grid(start, bits, spread.order // group)
    columns = np.ascontiguousarray(rows.T[spread.order])  # [k, n]: a column is contiguous
    codes = np.empty_like(start.codes)
    codes.T[spread.order] = _rounded(columns, grid, spread.upper)
    return Quantized(codes, start.scale, start.zero)


class _Grid:
    """The values that each column can take, by its position in the order of quantizing."""

    def __init__(self, start: Quantized, bits: int, groups: npt.NDArray[np.int64]) -> None:
        zero = np.zeros_like(start.scale) if start.zero is None else start.zero
        self._groups = groups
        self._scale = np.ascontiguousarray(start.scale.T.astype(np.float32))  # [groups, n]
        self._inverse = np.ascontiguousarray(reciprocal(start.scale).T)
        self._zero = np.ascontiguousarray(zero.T.astype(np.float32))
        self._range = SYMMETRIC_CODES[bits] if start.zero is None else (0, 2**bits - 1)

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


def _rounded(columns: Floats, grid: _Grid, upper: Floats) -> Floats:
    """Codes [k, n] of ``columns`` [k, n], both in the order of quantizing."""
    codes, errors = np.empty_like(columns), np.empty_like(columns)
    for first in range(0, len(columns), BATCH):
        last = min(first + BATCH, len(columns))
        carried = columns[first:last] + upper[:first, first:last].T @ errors[:first]
        for i in range(first, last):
            target = carried[i - first] + upper[first:i, i] @ errors[first:i]
            codes[i] = grid.codes(i, target)
            errors[i] = columns[i] - grid.values(i, codes[i])
    return codes


def factorize(matrix: Floats) -> Floats:
    """Overwrite a symmetric, positive definite matrix [n, n] by U of U D U^T; returns D [n].

    U is upper with a unit diagonal; what is below the diagonal is left over and means nothing.
    In place, because the Hessian of 8,192 columns takes 268 MB and numpy's Cholesky factor (LAPACK)
    takes three matrices of that size at its peak.  This is the same computation a panel of columns
    at a time, from the last to the first, almost all of it in matrix products (Golub and Van Loan,
    Matrix Computations, 4.2.9: block outer product Cholesky).

    Raises:
        numpy.linalg.LinAlgError: the matrix is not positive definite.
    """
    pivots = np.empty(len(matrix), np.float32)
    for first in reversed(range(0, len(matrix), PANEL)):
        here = slice(first, first + PANEL)
        # the upper R with R R^T = the diagonal block: Cholesky of it read backwards
        factor = np.linalg.cholesky(matrix[here, here][::-1, ::-1])[::-1, ::-1]
        above = np.linalg.solve(factor, matrix[:first, here].T).T
        _subtract_square(matrix[:first, :first], above)
        diagonal = np.diag(factor)
        matrix[here, here] = factor / diagonal
        matrix[:first, here] = above / diagonal
        pivots[here] = np.square(diagonal)
    return pivots


def _subtract_square(matrix: Floats, factor: Floats) -> None:
    """Take factor factor^T off ``matrix``, on and above the diagonal."""
    for first in range(0, len(matrix), PANEL):
        rows = slice(first, first + PANEL)
        matrix[rows, first:] -= factor[rows] @ factor[first:].T
