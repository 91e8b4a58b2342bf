from __future__ import annotations

import numpy as np
import pytest

from aipc.convert.network import Matrix
from aipc.convert.onnx.weights import ONNXPacking, blocked
from aipc.convert.quantizers.rtn import asymmetric, symmetric
from aipc.convert.recipe import Encoding

ROWS = np.random.default_rng(0).standard_normal((6, 96)).astype(np.float32)


def unpacked(packed, bits, count):
    """Codes as MatMulNBits reads them: the first of a byte in its low bits."""
    if bits == 8:
        return packed.reshape(-1, count)
    flat = packed.reshape(-1)
    return np.stack([flat & 15, flat >> 4], axis=-1).reshape(len(packed), -1)[:, :count]


@pytest.mark.parametrize("bits", [4, 8])
def test_symmetric_codes_are_read_with_the_operators_own_zero_point(bits):
    quantized = symmetric(ROWS, bits, 32)
    packed = ONNXPacking("f32").codes(quantized, Encoding(bits, 32)).reshape(6, -1)
    read = unpacked(packed, bits, 96).astype(np.int16) - 2 ** (bits - 1)
    assert (read == quantized.codes).all()


@pytest.mark.parametrize("bits", [4, 8])
def test_asymmetric_codes_and_zero_points_stay(bits):
    """Three blocks a row: a row's last 4-bit zero point has a byte to itself."""
    quantized = asymmetric(ROWS, bits, 32)
    packing, encoding = ONNXPacking("f16"), Encoding(bits, 32, sym=False)
    packed = packing.codes(quantized, encoding).reshape(6, -1)
    assert (unpacked(packed, bits, 96) == quantized.codes).all()
    zero = packing.zero(quantized.zero, encoding)
    zero = zero.reshape(packing.types(Matrix("m", ("t",), 6, 96), encoding).zero.shape)
    assert zero.shape == ((6, 2) if bits == 4 else (6, 3))
    assert (unpacked(zero, bits, 3) == quantized.zero).all()


@pytest.mark.parametrize(("element", "kind"), [("f32", np.float32), ("f16", np.float16)])
def test_scales_have_the_providers_type(element, kind):
    scale = symmetric(ROWS, 4, 32).scale
    kept = ONNXPacking(element).scale(scale)
    assert kept.dtype == kind
    assert (kept == scale).all()


@pytest.mark.parametrize(
    ("columns", "encoding", "wanted"),
    [
        (576, Encoding(8, 576), Encoding(8, 32)),
        (3072, Encoding(8, 3072, sym=False), Encoding(8, 32, sym=False)),
        (3072, Encoding(4, 128), Encoding(4, 128)),
        (72, Encoding(4, 72), Encoding(16)),
        (72, Encoding(8, 72), Encoding(16)),
        (64, Encoding(16), Encoding(16)),
    ],
)
def test_whole_rows_become_blocks_of_a_power_of_two(columns, encoding, wanted):
    class OneMatrix:
        def matrices(self):
            return [Matrix("m", ("t",), 8, columns)]

    assert blocked(OneMatrix(), {"m": encoding}) == {"m": wanted}
