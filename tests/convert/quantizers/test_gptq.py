from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from aipc.convert.quantizers import gptq as module
from aipc.convert.quantizers.gptq import BATCH, DAMPING, factorize, feedback, gptq
from aipc.convert.quantizers.rtn import InfiniteInputs, dequantize, symmetric
from aipc.convert.quantizers.search import searched

RNG = np.random.default_rng(11)
TOKENS, COLUMNS = 4096, 192


def inputs(tokens=TOKENS):
    """Correlated and of unlike size, as a network's activations are."""
    mixing = RNG.standard_normal((24, COLUMNS)) + 0.2 * np.eye(24, COLUMNS)
    noise = 0.3 * RNG.standard_normal((tokens, COLUMNS))
    spread = RNG.gamma(1.0, size=COLUMNS)
    return ((RNG.standard_normal((tokens, 24)) @ mixing + noise) * spread).astype(np.float32)


def output_error(rows, quantized, values):
    return float(np.square(values @ (dequantize(quantized) - rows).T).mean())


def upper(spread):
    """U in the order of quantizing, float64."""
    unit = np.triu(spread.factor.T.astype(np.float64) @ spread.gain, 1)
    return unit + np.eye(len(unit))


def hessian(values):
    """What `feedback` factorizes, in the matrix's own order: damped, shrunk off the diagonal."""
    moment = values.T.astype(np.float64) @ values / len(values)
    diagonal = np.diag(moment) + DAMPING * np.diag(moment).mean()
    moment *= 2 * len(values) / (moment.shape[0] + 2 * len(values))
    moment[np.diag_indices(len(moment))] = diagonal
    return moment


@pytest.mark.parametrize("sym", [True, False])
@pytest.mark.parametrize("group", [32, 64, COLUMNS])
def test_outputs_err_far_less_than_with_the_scales_alone(sym, group):
    rows = RNG.standard_normal((48, COLUMNS)).astype(np.float32)
    seen, fresh = np.split(inputs(), 2)
    alone = searched(rows, 4, group, np.square(seen).mean(axis=0), sym)
    fed_back = gptq(rows, 4, group, feedback(seen), sym)
    assert output_error(rows, fed_back, fresh) < 0.6 * output_error(rows, alone, fresh)
    assert fed_back.codes.dtype == alone.codes.dtype
    assert (fed_back.zero is None) == sym


@pytest.mark.parametrize(("tokens", "columns"), [(64, 128), (300, 128), (2048, 1152)])
def test_inputs_that_are_all_zero_leave_the_search_alone(tokens, columns):
    rows = RNG.standard_normal((8, columns)).astype(np.float32)
    spread = feedback(np.zeros((tokens, columns), np.float32))
    found = gptq(rows, 4, 32, spread)
    assert np.array_equal(found.codes, searched(rows, 4, 32, thorough=True).codes)


def test_without_correlation_it_is_the_search_alone():
    rows = RNG.standard_normal((8, 64)).astype(np.float32)
    spread = feedback(8 * np.eye(64, dtype=np.float32))
    assert np.array_equal(
        gptq(rows, 4, 32, spread).codes, searched(rows, 4, 32, thorough=True).codes
    )


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


@pytest.mark.parametrize("tokens", [100, TOKENS])
def test_codes_are_those_of_the_papers_algorithm(tokens):
    rows, values = RNG.standard_normal((16, COLUMNS)).astype(np.float32), inputs(tokens)
    spread = feedback(values)
    found = gptq(rows, 4, 64, spread)
    expected = papers_codes(rows, found.scale, 64, hessian(values), spread.order)
    assert (found.codes != expected).mean() < 0.01  # near ties, which float32 may round apart


def test_columns_that_nothing_reaches_do_no_harm():
    values = inputs()
    values[:, ::2] = 0
    rows = RNG.standard_normal((8, COLUMNS)).astype(np.float32)
    fed_back = gptq(rows, 4, 64, feedback(values))
    assert np.isfinite(dequantize(fed_back)).all()
    assert output_error(rows, fed_back, values) < output_error(rows, symmetric(rows, 4, 64), values)


def test_one_token_over_and_over_does_no_harm():
    values = np.tile(inputs(1), (TOKENS, 1))
    rows = RNG.standard_normal((8, COLUMNS)).astype(np.float32)
    fed_back = gptq(rows, 4, 64, feedback(values))
    assert output_error(rows, fed_back, values) < output_error(rows, symmetric(rows, 4, 64), values)


def test_rows_do_not_depend_on_each_other():
    rows = RNG.standard_normal((32, COLUMNS)).astype(np.float32)
    spread = feedback(inputs())
    whole, part = gptq(rows, 4, 64, spread), gptq(rows[8:16], 4, 64, spread)
    assert (whole.codes[8:16] != part.codes).mean() < 0.01  # BLAS may sum in another order


def test_inputs_that_are_not_finite_are_refused():
    values = inputs()
    values[5, 5] = np.inf
    with pytest.raises(InfiniteInputs):
        feedback(values)


@pytest.mark.parametrize("columns", [1, 7, BATCH, BATCH + 1, 3 * BATCH - 5])
def test_the_factors_multiply_to_the_matrix(columns):
    values = np.random.default_rng(columns).standard_normal((columns + 9, columns), np.float32)
    spread = feedback(values)
    order, unit = spread.order, upper(spread)
    product = (unit * spread.importance[order]) @ unit.T
    assert np.abs(product - hessian(values)[np.ix_(order, order)]).max() < 1e-5


def test_a_rank_that_is_a_limit_keeps_the_diagonal_and_most_of_the_rest(monkeypatch):
    values = inputs()
    exact = hessian(values)
    monkeypatch.setattr(module, "RANK", 32)
    spread = feedback(values)
    order, unit = spread.order, upper(spread)
    near = (unit * spread.importance[order]) @ unit.T
    exact = exact[np.ix_(order, order)]
    assert spread.factor.shape == (32, COLUMNS)
    assert np.allclose(np.diag(near), np.diag(exact), rtol=1e-4)
    apart = exact - np.diag(np.diag(exact))
    assert np.linalg.norm(near - exact) < 0.05 * np.linalg.norm(apart)


def test_no_matrix_of_columns_squared_is_made():
    columns = 4096
    values = np.random.default_rng(1).standard_normal((256, columns), np.float32)
    tracemalloc.start()
    feedback(values)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.5 * 4 * columns**2


def test_a_matrix_without_such_factors_is_refused():
    with pytest.raises(np.linalg.LinAlgError):
        factorize(np.ones((1, 8), np.float32), np.full(8, -1, np.float32))
