from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from aipc.convert.quantizers.cholesky import PANEL, factorize


def positive_definite(size):
    values = np.random.default_rng(size).standard_normal((2 * size + 9, size), np.float32)
    return values.T @ values / np.float32(len(values))


@pytest.mark.parametrize("size", [1, 7, PANEL, PANEL + 1, 3 * PANEL - 5])
def test_the_factors_multiply_to_the_matrix(size):
    matrix = positive_definite(size)
    upper = matrix.copy()
    pivots = factorize(upper)
    unit = np.triu(upper.astype(np.float64), 1) + np.eye(size)
    assert np.abs((unit * pivots) @ unit.T - matrix).max() < 1e-5


def test_it_takes_no_second_matrix():
    matrix = positive_definite(6 * PANEL)
    tracemalloc.start()
    factorize(matrix)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.7 * matrix.nbytes


def test_a_matrix_without_such_factors_is_refused():
    matrix = positive_definite(8)
    matrix[3, 3] = -1
    with pytest.raises(np.linalg.LinAlgError):
        factorize(matrix)
