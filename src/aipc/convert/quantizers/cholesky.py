"""H = U D U^T in place: a Hessian of 8,192 columns takes 268 MB, and no second one is needed.

LAPACK's Cholesky factor as numpy gives it takes three matrices of that size at its peak.  This is
the same computation a panel of columns at a time, from the last to the first (Golub and Van Loan,
Matrix Computations, 4.2.9: block outer product Cholesky), almost all of it in matrix products.
"""

from __future__ import annotations

import numpy as np

from aipc.convert.quantizers.rtn import Floats

PANEL = 256  # columns: small beside the whole, large enough for products to run at full speed


def factorize(matrix: Floats) -> Floats:
    """Overwrite a symmetric, positive definite matrix [n, n] by U; D [n].

    U is upper with a unit diagonal; what lies below the diagonal is left over and means nothing.

    Raises:
        numpy.linalg.LinAlgError: the matrix is not positive definite.
    """
    pivots = np.empty(len(matrix), np.float32)
    for first in reversed(range(0, len(matrix), PANEL)):
        here = slice(first, first + PANEL)
        factor = _upper_factor(matrix[here, here])
        above = np.linalg.solve(factor, matrix[:first, here].T).T
        _subtract_square(matrix[:first, :first], above)
        diagonal = np.diag(factor)
        matrix[here, here] = factor / diagonal
        matrix[:first, here] = above / diagonal
        pivots[here] = np.square(diagonal)
    return pivots


def _upper_factor(matrix: Floats) -> Floats:
    """The upper R with R R^T = ``matrix``."""
    return np.linalg.cholesky(matrix[::-1, ::-1])[::-1, ::-1]


def _subtract_square(matrix: Floats, factor: Floats) -> None:
    """Take factor factor^T off ``matrix``, on and above the diagonal."""
    for first in range(0, len(matrix), PANEL):
        rows = slice(first, first + PANEL)
        matrix[rows, first:] -= factor[rows] @ factor[first:].T
