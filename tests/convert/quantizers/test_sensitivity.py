from __future__ import annotations

import numpy as np

from aipc.convert.network import Matrix
from aipc.convert.quantizers.rtn import dequantize, symmetric
from aipc.convert.quantizers.sensitivity import choose_eight_bits, disturbance


def matrix(name, rows=10):
    return Matrix(name, (name,), rows, 10)


def test_disturbance_is_the_share_of_the_output_that_is_lost():
    rng = np.random.default_rng(2)
    rows = rng.standard_normal((16, 64)).astype(np.float32)
    values = rng.standard_normal((20_000, 64)) * rng.gamma(1.0, size=64)
    change = values @ (dequantize(symmetric(rows, 4, 32)) - rows).T
    share = np.square(change).mean() / np.square(values @ rows.T).mean()
    parts = [(part, symmetric(part, 4, 32)) for part in np.split(rows, 2)]
    found = disturbance(parts, np.square(values).mean(axis=0))
    assert abs(found / share - 1) < 0.05


def test_the_most_disturbed_go_first_until_the_ratio_holds():
    costs = {matrix("a"): 0.1, matrix("b"): 0.4, matrix("c"): 0.2, matrix("d"): 0.3}
    assert choose_eight_bits(costs, 1.0) == frozenset()
    assert choose_eight_bits(costs, 0.75) == {"b"}
    assert choose_eight_bits(costs, 0.6) == {"b", "d"}
    assert choose_eight_bits(costs, 0.0) == {"a", "b", "c", "d"}


def test_large_matrices_pay_by_the_weight():
    costs = {matrix("large", 100): 0.5, matrix("small", 10): 0.2}
    assert choose_eight_bits(costs, 0.95) == {"small"}


def test_a_matrix_that_nothing_reaches_is_not_disturbed():
    rows = np.ones((2, 32), np.float32)
    assert disturbance([(rows, symmetric(rows, 4, 32))], np.zeros(32, np.float32)) == 0.0
