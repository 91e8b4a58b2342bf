from __future__ import annotations

import numpy as np
import pytest

from aipc.convert.quantizers.rtn import asymmetric, dequantize, pack_nibbles, symmetric

RNG = np.random.default_rng(5)


def weights(rows=16, columns=128):
    return RNG.standard_normal((rows, columns)).astype(np.float32)


@pytest.mark.parametrize("method", [symmetric, asymmetric])
@pytest.mark.parametrize(("bits", "group"), [(4, 32), (4, 128), (8, 128)])
def test_error_stays_within_half_a_step(method, bits, group):
    rows = weights()
    quantized = method(rows, bits, group)
    step = np.repeat(np.abs(quantized.scale.astype(np.float32)), group, axis=1)
    error = np.abs(dequantize(quantized) - rows)
    # at the ends a step more: the greatest of 16 codes is one short, a zero point is rounded
    slack = 0.51 if method is symmetric and bits == 8 else 1.01
    assert (error <= slack * step + 1e-6).all()
    assert np.median(error / step) < 0.3


@pytest.mark.parametrize("method", [symmetric, asymmetric])
def test_values_on_the_grid_come_back_exactly(method):
    codes = RNG.integers(-8 if method is symmetric else 0, 7, (4, 32)).astype(np.float32)
    codes[:, 0], codes[:, 1] = (-8, 7) if method is symmetric else (0, 15)
    rows = (codes * np.float32(0.25)).astype(np.float32)
    assert np.array_equal(dequantize(method(rows, 4, 32)), rows)


def test_symmetric_codes_use_the_range_and_never_reach_minus_128():
    rows = weights(64, 64)
    four, eight = symmetric(rows, 4, 64).codes, symmetric(rows, 8, 64).codes
    assert (four.min(), four.max() <= 7) == (-8, True)
    assert (eight.min(), eight.max() <= 127) == (-127, True)


def test_the_largest_weight_is_exact_whatever_its_sign():
    rows = np.zeros((2, 32), np.float32)
    rows[0, 3], rows[1, 3] = 4.0, -4.0
    assert np.array_equal(dequantize(symmetric(rows, 4, 32)), rows)


@pytest.mark.parametrize("method", [symmetric, asymmetric])
def test_a_group_of_zeros_stays_zero(method):
    rows = np.zeros((2, 64), np.float32)
    assert not dequantize(method(rows, 4, 32)).any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
@pytest.mark.parametrize("method", [symmetric, asymmetric])
def test_a_weight_without_a_finite_scale_is_refused(method, bad):
    rows = weights(2, 32)
    rows[1, 7] = bad
    with pytest.raises(FloatingPointError):
        method(rows, 4, 32)


def test_nibbles_are_packed_low_half_first():
    assert pack_nibbles(np.array([[1, 2], [-1, -8]], np.int8)).tolist() == [0x21, 0x8F]
    assert pack_nibbles(np.array([3, 4, 5], np.uint8)).tolist() == [0x43, 0x05]
