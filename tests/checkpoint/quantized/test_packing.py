from __future__ import annotations

import numpy as np
import pytest

from aipc.checkpoint.quantized.packing import look_up, unpack, unpack_part


def packed(codes, bits):
    """Words of codes [n, k], bit by bit from the lowest up."""
    ones = (codes[..., None] >> np.arange(bits)) & 1
    stream = ones.reshape(len(codes), -1, 32).astype(np.uint64)
    words = (stream << np.arange(32, dtype=np.uint64)).sum(axis=-1)
    return words.astype(np.uint32).view(np.int32)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_codes_come_out_as_they_went_in(bits):
    codes = np.random.default_rng(bits).integers(0, 2**bits, (5, 96), np.uint8)
    np.testing.assert_array_equal(unpack(packed(codes, bits), bits), codes)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize(("start", "stop"), [(0, 96), (7, 41), (32, 64), (95, 96), (3, 3)])
def test_a_part_is_that_part_of_the_whole(bits, start, stop):
    codes = np.random.default_rng(bits).integers(0, 2**bits, (3, 96), np.uint8)
    found = unpack_part(packed(codes, bits), bits, start, stop)
    np.testing.assert_array_equal(found, codes[:, start:stop])


@pytest.mark.parametrize(
    ("first_is_low", "expected"), [(True, [7, 2, 0, 15]), (False, [2, 7, 15, 0])]
)
def test_two_values_a_byte(first_is_low, expected):
    bytes_ = np.array([0x27, 0xF0], np.uint8)
    values = np.arange(16, dtype=np.float32)
    np.testing.assert_array_equal(look_up(bytes_, values, first_is_low), expected)
