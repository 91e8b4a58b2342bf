from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from aipc.convert.onnx.weights import ONNXPacking, blocked
from aipc.convert.parts import Matrix
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
    found = blocked(Products(columns, 10**9), {"m": encoding}, rounds_activations=True)
    assert found == {"m": wanted}


@pytest.mark.parametrize(
    ("name", "columns", "encoding", "wanted"),
    [
        ("m", 576, Encoding(8, 576), Encoding(8, 16)),
        ("m", 80, Encoding(8, 80), Encoding(8, 16)),
        ("m", 72, Encoding(8, 72), Encoding(16)),
        ("m", 576, Encoding(4, 64), Encoding(4, 64)),
        ("qkv", 576, Encoding(8, 576), Encoding(16)),
        ("qkv", 576, Encoding(8, 32, carried=True), Encoding(16)),
        ("qkv", 576, Encoding(4, 64), Encoding(4, 64)),
    ],
)
def test_a_small_network_keeps_more_where_activations_are_rounded(name, columns, encoding, wanted):
    found = blocked(Products(columns, 10**8, name), {name: encoding}, rounds_activations=True)
    assert found == {name: wanted}


def test_a_small_network_has_ordinary_blocks_where_activations_are_kept():
    found = blocked(
        Products(576, 10**8, "qkv"), {"qkv": Encoding(8, 576)}, rounds_activations=False
    )
    assert found == {"qkv": Encoding(8, 32)}


@pytest.mark.parametrize(
    ("gate_up", "down", "wanted"),
    [
        (Encoding(4, 128), Encoding(4, 128), (Encoding(4, 64), Encoding(4, 64))),
        (Encoding(4, 32), Encoding(4, 64), (Encoding(4, 32), Encoding(4, 32))),
        (
            Encoding(4, 128, carried=True),
            Encoding(8, 192, sym=False),
            (Encoding(8, 32), Encoding(8, 32, sym=False)),
        ),
        (Encoding(4, 64, carried=True), Encoding(16), (Encoding(16), Encoding(16))),
        (
            Encoding(4, 64, carried=True),
            Encoding(4, 64),
            (Encoding(4, 64, carried=True), Encoding(4, 64)),
        ),
    ],
)
def test_both_products_of_experts_have_the_same_bits_and_blocks(gate_up, down, wanted):
    experts = SimpleNamespace(
        gate_up=(Matrix("gate_up", ("a", "b"), 768, 256, experts=2),),
        down=Matrix("down", ("c", "d"), 512, 192, experts=2),
    )
    network = SimpleNamespace(
        parameters=10**9,
        mixtures=(experts,),
        matrices=lambda: [*experts.gate_up, experts.down],
    )
    encodings = {"gate_up": gate_up, "down": down}
    found = blocked(network, encodings, rounds_activations=True)
    assert (found["gate_up"], found["down"]) == wanted


class Products:
    """A network of one matrix, named qkv where it makes queries, keys and values."""

    mixtures = ()

    def __init__(self, columns, parameters, name="m"):
        self.parameters = parameters
        self._matrix = Matrix(name, ("t",), 8, columns)

    def matrices(self):
        return [self._matrix]

    @property
    def attentions(self):
        attention = SimpleNamespace(query_key_value=self._matrix)
        return (attention,) if self._matrix.name == "qkv" else ()
