from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from aipc.convert.quantizers.gptq import PANEL, factorize, feedback, gptq, hessian
from aipc.convert.quantizers.rtn import dequantize, symmetric
from aipc.convert.quantizers.search import searched

RNG = np.random.default_rng(11)
TOKENS, COLUMNS = 4096, 192


def inputs():
    """Correlated and of unlike size, as a network's activations are."""
    mixing = RNG.standard_normal((24, COLUMNS)) + 0.2 * np.eye(24, COLUMNS)
    noise = 0.3 * RNG.standard_normal((TOKENS, COLUMNS))
    spread = RNG.gamma(1.0, size=COLUMNS)
    return ((RNG.standard_normal((TOKENS, 24)) @ mixing + noise) * spread).astype(np.float32)


def output_error(rows, quantized, values):
    return float(np.square(values @ (dequantize(quantized) - rows).T).mean())


@pytest.mark.parametrize("sym", [True, False])
@pytest.mark.parametrize("group", [32, 64, COLUMNS])
def test_outputs_err_far_less_than_with_the_scales_alone(sym, group):
    rows = RNG.standard_normal((48, COLUMNS)).astype(np.float32)
    seen, fresh = np.split(inputs(), 2)
    alone = searched(rows, 4, group, np.square(seen).mean(axis=0), sym)
    fed_back = gptq(rows, 4, group, feedback(hessian(seen), len(seen)), sym)
    assert output_error(rows, fed_back, fresh) < 0.6 * output_error(rows, alone, fresh)
    assert fed_back.codes.dtype == alone.codes.dtype
    assert (fed_back.zero is None) == sym


def test_without_correlation_it_is_the_search_alone():
    rows = RNG.standard_normal((8, 64)).astype(np.float32)
    spread = feedback(np.eye(64, dtype=np.float32), 1000)
    assert np.array_equal(gptq(rows, 4, 32, spread).codes, searched(rows, 4, 32).codes)


def papers_codes(rows, scale, group, damped, order):
    """The paper's algorithm 1 word by word, in float64: the inverse Hessian's Cholesky factor."""
    weights = rows[:, order].astype(np.float64)
    upper = np.linalg.cholesky(np.linalg.inv(damped[np.ix_(order, order)])).T
    codes = np.empty_like(weights)
    for i in range(len(order)):
        step = scale[:, order[i] // group].astype(np.float64)
        codes[:, i] = np.clip(np.rint(weights[:, i] / step), -8, 7)
        error = (weights[:, i] - codes[:, i] * step) / upper[i, i]
        weights[:, i + 1 :] -= np.outer(error, upper[i, i + 1 :])
    return codes[:, np.argsort(order)]


def test_codes_are_those_of_the_papers_algorithm():
    rows = RNG.standard_normal((16, COLUMNS)).astype(np.float32)
    moment = hessian(inputs())
    spread = feedback(moment.copy(), 10**9)  # so many tokens that nothing is shrunk
    damped = moment.astype(np.float64)
    damped[np.diag_indices(COLUMNS)] += 0.05 * np.diag(moment).mean()
    found = gptq(rows, 4, 64, spread)
    expected = papers_codes(rows, found.scale, 64, damped, spread.order)
    assert (found.codes != expected).mean() < 0.01  # near ties, which float32 may round apart


def test_columns_that_nothing_reaches_do_no_harm():
    values = inputs()
    values[:, ::2] = 0
    rows = RNG.standard_normal((8, COLUMNS)).astype(np.float32)
    fed_back = gptq(rows, 4, 64, feedback(hessian(values), TOKENS))
    assert np.isfinite(dequantize(fed_back)).all()
    assert output_error(rows, fed_back, values) < output_error(rows, symmetric(rows, 4, 64), values)


def test_rows_do_not_depend_on_each_other():
    rows = RNG.standard_normal((32, COLUMNS)).astype(np.float32)
    spread = feedback(hessian(inputs()), TOKENS)
    whole, part = gptq(rows, 4, 64, spread), gptq(rows[8:16], 4, 64, spread)
    assert (whole.codes[8:16] != part.codes).mean() < 0.01  # BLAS may sum in another order


def test_inputs_that_are_not_finite_are_refused():
    moment = hessian(inputs())
    moment[5, 5] = np.inf
    with pytest.raises(FloatingPointError, match="not finite"):
        feedback(moment, TOKENS)


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
