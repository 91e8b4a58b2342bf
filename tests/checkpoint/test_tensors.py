from __future__ import annotations

import math
import mmap
from pathlib import Path

import numpy as np
import pytest

from aipc.checkpoint.tensors import (
    FLOATS,
    Extent,
    TensorInfo,
    check_disjoint,
    check_rows,
    find_tensor,
    map_bytes,
    to_float32,
)
from aipc.errors import CheckpointError

MATRIX = TensorInfo("w", "F32", (6, 4), 96)


def test_finds_a_tensor_or_says_which_is_missing():
    assert find_tensor({"w": MATRIX}, "w") is MATRIX
    with pytest.raises(CheckpointError, match="no tensor 'v'"):
        find_tensor({"w": MATRIX}, "v")


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (0, 6), (6, 6), (2, 3)])
def test_rows_inside_pass(start, stop):
    check_rows(MATRIX, start, stop)


@pytest.mark.parametrize(("start", "stop"), [(-1, 1), (0, 7), (3, 2)])
def test_rows_outside_do_not(start, stop):
    with pytest.raises(CheckpointError, match=f"no rows {start} to {stop} in tensor 'w'"):
        check_rows(MATRIX, start, stop)


FILE = Path("weights")


@pytest.mark.parametrize("gaps", [True, False])
def test_extents_that_fill_the_file_pass(gaps):
    check_disjoint(FILE, [Extent(4, 8, "b"), Extent(0, 4, "a"), Extent(4, 4, "e")], 8, gaps=gaps)


def test_a_hole_passes_only_where_holes_may_be():
    extents = [Extent(0, 4, "a"), Extent(6, 8, "b")]
    check_disjoint(FILE, extents, 8, gaps=True)
    with pytest.raises(CheckpointError, match="before tensor 'b' belong to no tensor"):
        check_disjoint(FILE, extents, 8, gaps=False)


@pytest.mark.parametrize("gaps", [True, False])
@pytest.mark.parametrize("second", [Extent(3, 8, "b"), Extent(0, 4, "b"), Extent(1, 2, "b")])
def test_an_overlap_is_refused(second, gaps):
    with pytest.raises(CheckpointError, match="'b' overlaps another tensor"):
        check_disjoint(FILE, [Extent(0, 4, "a"), second], 8, gaps=gaps)


@pytest.mark.parametrize("gaps", [True, False])
def test_an_end_beyond_the_file_is_refused(gaps):
    with pytest.raises(CheckpointError, match="'a' ends 1 bytes after the file"):
        check_disjoint(FILE, [Extent(0, 9, "a")], 8, gaps=gaps)


def test_bytes_after_the_last_tensor_are_refused_where_holes_may_not_be():
    with pytest.raises(CheckpointError, match="last 4 bytes belong to no tensor"):
        check_disjoint(FILE, [Extent(0, 4, "a")], 8, gaps=False)


def bfloat16_value(bits: int) -> float:
    """The number that sixteen bits mean by the format's definition."""
    sign = -1.0 if bits >> 15 else 1.0
    exponent, fraction = (bits >> 7) & 0xFF, bits & 0x7F
    if exponent == 0xFF:
        return math.nan if fraction else sign * math.inf
    if exponent == 0:
        return sign * fraction * 2.0**-133
    return sign * (128 + fraction) * 2.0 ** (exponent - 134)


def test_every_bfloat16_has_its_value():
    bits = np.arange(2**16, dtype="<u2")
    expected = np.array([bfloat16_value(int(b)) for b in bits])
    np.testing.assert_array_equal(to_float32(bits.view(np.uint8), "BF16"), expected)


@pytest.mark.parametrize(("dtype", "numpy"), [("F16", "<f2"), ("F32", "<f4"), ("F64", "<f8")])
def test_plain_types_keep_their_values(dtype, numpy):
    values = np.array([0.0, -1.5, 65504.0, np.inf], numpy)
    converted = to_float32(values.view(np.uint8), dtype)
    assert converted.dtype == np.float32
    np.testing.assert_array_equal(converted, values)


def small_float(code: int, exponents: int, fractions: int, bias: int) -> float:
    """The number of a byte of sign, exponent and fraction, but for its infinities and NaNs."""
    sign = -1.0 if code >> 7 else 1.0
    exponent, fraction = code >> fractions & 2**exponents - 1, code & 2**fractions - 1
    if exponent == 0:
        return sign * fraction * 2.0 ** (1 - bias - fractions)
    return sign * (2**fractions + fraction) * 2.0 ** (exponent - bias - fractions)


def test_every_byte_float_has_its_value():
    """By the tables of OCP 8-bit Floating Point 1.0 and Microscaling Formats 1.0."""
    codes = np.arange(256, dtype=np.uint8)
    wide = [small_float(code, 4, 3, 7) for code in range(256)]
    wide[0x7F] = wide[0xFF] = math.nan
    assert np.nanmax(wide) == 448
    np.testing.assert_array_equal(to_float32(codes, "F8_E4M3"), wide)
    long = [small_float(code, 5, 2, 15) for code in range(256)]
    long[0x7C:0x80] = [math.inf, math.nan, math.nan, math.nan]
    long[0xFC:] = [-math.inf, math.nan, math.nan, math.nan]
    np.testing.assert_array_equal(to_float32(codes, "F8_E5M2"), long)
    powers = [2.0 ** (code - 127) for code in range(255)] + [math.nan]
    np.testing.assert_array_equal(to_float32(codes, "F8_E8M0"), powers)


def test_what_is_no_number_stays_so_without_a_warning():
    signalling = np.array([0x7C01], "<u2").view(np.uint8)
    assert np.isnan(to_float32(signalling, "F16")).all()


def test_float64_beyond_float32_is_infinite():
    assert to_float32(np.array([1e300]).view(np.uint8), "F64")[0] == np.inf


@pytest.mark.parametrize("dtype", sorted(FLOATS))
def test_the_result_is_a_copy(dtype):
    raw = np.zeros(8, np.uint8)
    converted = to_float32(raw, dtype)
    converted[:] = 1
    assert not raw.any()


@pytest.fixture
def numbered(tmp_path):
    """A file of three pages in which each byte differs from its neighbors."""
    content = np.arange(3 * mmap.ALLOCATIONGRANULARITY + 5) % 251
    path = tmp_path / "numbered"
    path.write_bytes(content.astype(np.uint8).tobytes())
    return path, content


@pytest.mark.parametrize(
    ("offset", "nbytes"),
    [
        (0, 10),
        (3, 1),
        (mmap.ALLOCATIONGRANULARITY - 1, 2),
        (2 * mmap.ALLOCATIONGRANULARITY, 4),
        (7, 0),
    ],
)
def test_gives_the_bytes_asked_for(numbered, offset, nbytes):
    path, content = numbered
    np.testing.assert_array_equal(map_bytes(path, offset, nbytes), content[offset:][:nbytes])


def test_is_read_only(numbered):
    with pytest.raises(ValueError, match="read-only"):
        map_bytes(numbered[0], 0, 4)[0] = 1


def test_a_file_that_became_shorter_is_damaged(numbered):
    path, content = numbered
    with pytest.raises(CheckpointError, match=f"ends before byte {len(content) + 1}"):
        map_bytes(path, len(content), 1)


def test_a_file_that_went_away_says_so(tmp_path):
    with pytest.raises(CheckpointError, match="can't read"):
        map_bytes(tmp_path / "gone", 0, 1)
