from __future__ import annotations

import numpy as np
import pytest

from aipc.convert.quantizers import search as search_module
from aipc.convert.quantizers.rtn import SYMMETRIC_CODES, asymmetric, dequantize, symmetric
from aipc.convert.quantizers.search import SHARES, searched

RNG = np.random.default_rng(5)
BOTH = pytest.mark.parametrize("sym", [True, False], ids=["sym", "asym"])


def weights(rows=32, columns=256):
    return RNG.standard_normal((rows, columns)).astype(np.float32)


def weighted_error(rows, quantized, importance):
    return float((np.square(dequantize(quantized) - rows) * importance).sum())


@BOTH
@pytest.mark.parametrize(("bits", "group"), [(4, 32), (4, 256), (8, 256)])
def test_every_group_errs_less_than_with_the_widest_range(sym, bits, group):
    rows = weights()
    importance = RNG.gamma(0.5, size=256).astype(np.float32)
    plain = symmetric if sym else asymmetric
    found, wide = searched(rows, bits, group, importance, sym), plain(rows, bits, group)
    assert weighted_error(rows, found, importance) < weighted_error(rows, wide, importance)
    assert found.codes.dtype == wide.codes.dtype
    assert found.scale.shape == wide.scale.shape


@BOTH
def test_an_important_column_is_kept_and_a_dead_one_is_given_up(sym):
    rows = weights(64, 64)
    rows[:, 5] *= 10  # an outlier that would stretch every range
    alive = np.ones(64, np.float32)
    alive[5] = 0
    others = np.delete(np.arange(64), 5)
    error = np.square(dequantize(searched(rows, 4, 64, alive, sym)) - rows)[:, others].mean()
    kept = np.square(dequantize(searched(rows, 4, 64, sym=sym)) - rows)[:, others].mean()
    assert error < 0.7 * kept


@BOTH
def test_values_on_the_grid_come_back_exactly(sym):
    codes = RNG.integers(-8 if sym else 0, 7, (4, 32)).astype(np.float32)
    codes[:, 0], codes[:, 1] = (-8, 7) if sym else (0, 15)
    rows = (codes * np.float32(0.25)).astype(np.float32)
    assert np.array_equal(dequantize(searched(rows, 4, 32, sym=sym)), rows)


@BOTH
def test_zeros_stay_zeros_and_bad_weights_are_refused(sym):
    rows = np.zeros((2, 64), np.float32)
    assert not dequantize(searched(rows, 4, 32, sym=sym)).any()
    for bad in (np.nan, np.inf, 1e30):
        rows[1, 7] = bad
        with pytest.raises(FloatingPointError):
            searched(rows, 4, 32, sym=sym)


def test_eight_bit_codes_never_reach_minus_128():
    assert searched(weights(64, 64), 8, 64).codes.min() >= -127


@BOTH
def test_rows_do_not_depend_on_each_other(sym):
    rows = weights()
    importance = RNG.gamma(0.5, size=256).astype(np.float32)
    whole, part = (
        searched(rows, 4, 32, importance, sym),
        searched(rows[8:16], 4, 32, importance, sym),
    )
    assert np.array_equal(whole.codes[8:16], part.codes)
    assert np.array_equal(whole.scale[8:16], part.scale)


def slowly_searched(rows, bits, group, importance, sym):
    """The same method in numpy, in double precision: each group's least weighted error."""
    least, greatest = SYMMETRIC_CODES[bits] if sym else (0, 2**bits - 1)
    x = rows.reshape(len(rows), -1, group).astype(np.float64)
    weight = importance.reshape(1, -1, group).astype(np.float64)
    low, high = x.min(axis=2), x.max(axis=2)
    errors = []
    for share in SHARES[bits, sym]:
        if sym:
            scale = share * np.where(high > -low, high, low) / least
            zeros = [np.zeros_like(scale)]
        else:
            low, high = np.minimum(low, 0), np.maximum(high, 0)
            scale = share * (high - low) / greatest
            middle = -low * (1 + share) / 2 / scale
            zeros = [np.clip(end(middle), 0, greatest) for end in (np.floor, np.ceil)]
        for zero in zeros:
            z = zero[..., None]
            codes = np.clip(np.rint(x / scale[..., None] + z), least, greatest) - z
            fitted = (weight * codes * x).sum(axis=2) / (weight * codes**2).sum(axis=2)
            errors.append((weight * (x - fitted[..., None] * codes) ** 2).sum(axis=2))
    return np.min(errors, axis=0)


@BOTH
@pytest.mark.parametrize(("bits", "group"), [(4, 32), (4, 128), (8, 256)])
def test_the_kernel_finds_the_candidate_of_least_error(sym, bits, group):
    rows, importance = weights(40), RNG.gamma(0.5, size=256).astype(np.float32)
    found = dequantize(searched(rows, bits, group, importance, sym))
    error = (np.square(found - rows) * importance).reshape(40, -1, group).sum(axis=2)
    least = slowly_searched(rows, bits, group, importance, sym)
    # codes are rounded once more on the fitted scale, which seldom makes up for a worse range
    assert error.sum() <= 1.001 * least.sum()
    assert error.sum() > 0.9 * least.sum()


def test_any_number_of_rows_is_searched_in_runs_of_one_height(monkeypatch):
    monkeypatch.setattr(search_module, "WEIGHTS_AT_ONCE", 4 * 96)
    search_module._compiled.cache_clear()
    rows = weights(11, 96)
    parts = [searched(rows[i : i + 1], 4, 32) for i in range(11)]
    whole = searched(rows, 4, 32)
    assert np.array_equal(whole.codes, np.concatenate([part.codes for part in parts]))
    assert np.array_equal(whole.scale, np.concatenate([part.scale for part in parts]))


def test_a_thorough_search_errs_less():
    rows, importance = weights(64), RNG.gamma(0.5, size=256).astype(np.float32)
    quick, thorough = (
        weighted_error(rows, searched(rows, 4, 256, importance, thorough=more), importance)
        for more in (False, True)
    )
    assert thorough < 0.98 * quick


def test_importance_counts_by_its_shares_alone():
    rows, importance = weights(8, 64), RNG.gamma(0.5, size=64).astype(np.float32)
    small, large = (searched(rows, 4, 32, importance * np.float32(f)) for f in (1e-6, 1e6))
    assert np.array_equal(small.codes, large.codes)
    assert np.array_equal(searched(rows, 4, 32, 0 * importance).codes, searched(rows, 4, 32).codes)
