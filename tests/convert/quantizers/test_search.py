from __future__ import annotations

import numpy as np
import pytest

from aipc.convert.quantizers.rtn import asymmetric, dequantize, symmetric
from aipc.convert.quantizers.search import searched_asymmetric, searched_symmetric

RNG = np.random.default_rng(5)
PAIRS = [(symmetric, searched_symmetric), (asymmetric, searched_asymmetric)]


def weights(rows=32, columns=256):
    return RNG.standard_normal((rows, columns)).astype(np.float32)


def weighted_error(rows, quantized, importance):
    return float((np.square(dequantize(quantized) - rows) * importance).sum())


@pytest.mark.parametrize(("plain", "search"), PAIRS)
@pytest.mark.parametrize(("bits", "group"), [(4, 32), (4, 256), (8, 256)])
def test_every_group_errs_less_than_with_the_widest_range(plain, search, bits, group):
    rows = weights()
    importance = RNG.gamma(0.5, size=256).astype(np.float32)
    found, wide = search(rows, bits, group, importance), plain(rows, bits, group)
    assert weighted_error(rows, found, importance) < weighted_error(rows, wide, importance)
    assert found.codes.dtype == wide.codes.dtype
    assert found.scale.shape == wide.scale.shape


@pytest.mark.parametrize("search", [searched_symmetric, searched_asymmetric])
def test_an_important_column_is_kept_and_a_dead_one_is_given_up(search):
    rows = weights(64, 64)
    rows[:, 5] *= 10  # an outlier that would stretch every range
    alive = np.ones(64, np.float32)
    alive[5] = 0
    others = np.delete(np.arange(64), 5)
    error = np.square(dequantize(search(rows, 4, 64, alive)) - rows)[:, others].mean()
    kept = np.square(dequantize(search(rows, 4, 64)) - rows)[:, others].mean()
    assert error < 0.6 * kept


@pytest.mark.parametrize("search", [searched_symmetric, searched_asymmetric])
def test_values_on_the_grid_come_back_exactly(search):
    codes = RNG.integers(-8 if search is searched_symmetric else 0, 7, (4, 32)).astype(np.float32)
    codes[:, 0], codes[:, 1] = (-8, 7) if search is searched_symmetric else (0, 15)
    rows = (codes * np.float32(0.25)).astype(np.float32)
    assert np.array_equal(dequantize(search(rows, 4, 32)), rows)


@pytest.mark.parametrize("search", [searched_symmetric, searched_asymmetric])
def test_zeros_stay_zeros_and_bad_weights_are_refused(search):
    rows = np.zeros((2, 64), np.float32)
    assert not dequantize(search(rows, 4, 32)).any()
    for bad in (np.nan, np.inf, 1e30):
        rows[1, 7] = bad
        with pytest.raises(FloatingPointError):
            search(rows, 4, 32)


def test_eight_bit_codes_never_reach_minus_128():
    assert searched_symmetric(weights(64, 64), 8, 64).codes.min() >= -127


@pytest.mark.parametrize("search", [searched_symmetric, searched_asymmetric])
def test_rows_do_not_depend_on_each_other(search):
    rows = weights()
    importance = RNG.gamma(0.5, size=256).astype(np.float32)
    whole, part = search(rows, 4, 32, importance), search(rows[8:16], 4, 32, importance)
    assert np.array_equal(whole.codes[8:16], part.codes)
    assert np.array_equal(whole.scale[8:16], part.scale)
