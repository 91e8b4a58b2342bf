"""Which matrices get 8 bits: those whose rounding to 4 would disturb the network most.

A matrix's disturbance is the expected squared change of its outputs, as a share of the outputs'
own mean square: sum over columns of E[x^2] * error^2, over the same sum with the weights.  (The
first-order view of NNCF's "mean activation variance" and HAWQ-like metrics, without gradients;
Dong et al. 2019, arXiv 1905.03696, weigh the same error by the Hessian's trace.)  Matrices are
then chosen by disturbance a weight, greedily, until the asked share is left to 4 bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from aipc.convert.network import Matrix
from aipc.convert.quantizers.rtn import Floats, Quantized, dequantize


def disturbance(parts: Iterable[tuple[Floats, Quantized]], importance: Floats) -> float:
    """Relative squared output error of a matrix, given some rows [n, k] after the other.

    ``parts`` are float32 rows and what was made of them, ``importance`` is [k].
    """
    lost = whole = 0.0
    for rows, quantized in parts:
        lost += float(np.square(dequantize(quantized) - rows).sum(axis=0) @ importance)
        whole += float(np.square(rows).sum(axis=0) @ importance)
    return lost / whole if whole > 0 else 0.0


def choose_eight_bits(matrices: Mapping[Matrix, float], ratio: float) -> frozenset[str]:
    """Names of the matrices that keep 8 bits, given each one's disturbance.

    At most the share ``ratio`` of all weights is left to 4 bits; the matrices with the greatest
    disturbance a weight go first, ties by name, so that the choice is the same every time.
    """
    total = sum(matrix.weights for matrix in matrices)
    left = total
    chosen = []
    by_cost = sorted(matrices, key=lambda matrix: (-matrices[matrix] / matrix.weights, matrix.name))
    for matrix in by_cost:
        if left <= ratio * total + 1e-6:
            break
        chosen.append(matrix.name)
        left -= matrix.weights
    return frozenset(chosen)
