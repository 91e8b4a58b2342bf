from __future__ import annotations

import numpy as np
import pytest
from replaced import Replaced

from aipc.checkpoint import open_checkpoint
from aipc.convert.families.network_reader import read_network
from aipc.convert.parts import Matrix
from aipc.convert.quantizers.activations import matrix_inputs, read_matrix
from aipc.convert.quantizers.calibrated import (
    PREPARE,
    choose_eight_bits,
    lookup_in_order,
    measure_quantization_error,
    quantization_error,
    quantize_calibrated,
)
from aipc.convert.quantizers.rtn import dequantize, symmetric
from aipc.convert.recipe import Encoding
from aipc.errors import ConversionError

IDS = np.random.default_rng(4).integers(0, 250, (16, 64))
HELD_OUT = np.random.default_rng(5).integers(0, 250, (4, 64))


@pytest.fixture
def opened(tiny_checkpoint):
    folder, _, _ = tiny_checkpoint("llama-gqa")
    with open_checkpoint(folder) as checkpoint:
        yield checkpoint, read_network(checkpoint)


def every(network, encoding):
    return {matrix.name: encoding for matrix in network.matrices()}


def logits_with(checkpoint, network, weights):
    replaced = Replaced(checkpoint, network, weights)
    *_, (head, inputs) = matrix_inputs(replaced, network, HELD_OUT)
    return inputs @ read_matrix(replaced, head).T


def test_every_calibrated_matrix_comes_once_and_in_order(opened):
    checkpoint, network = opened
    encodings = every(network, Encoding(4, 32))
    encodings[network.blocks[1].feed_forward.down.name] = Encoding(16)
    found = list(quantize_calibrated(checkpoint, network, encodings, IDS, PREPARE["awq"]))
    blocks = [m for block in network.blocks for m in block.matrices]
    assert [matrix for matrix, _ in found] == [*blocks[:-1], network.head]
    assert all(q.codes.shape == (matrix.rows, matrix.columns) for matrix, q in found)


@pytest.mark.parametrize("name", ["llama-gqa", "llama-mha-tied"])
def test_a_lookup_in_order_finds_what_was_calibrated_and_nothing_else(name, tiny_checkpoint):
    with open_checkpoint(tiny_checkpoint(name)[0]) as checkpoint:
        network = read_network(checkpoint)
        encodings = every(network, Encoding(4, 32))
        quantized = quantize_calibrated(checkpoint, network, encodings, IDS, PREPARE["awq"])
        lookup = lookup_in_order(quantized)
        given = {matrix.name for matrix in network.matrices() if lookup(matrix) is not None}
    blocks = {m.name for block in network.blocks for m in block.matrices}
    assert given == {*blocks, network.head.name}


def test_an_artifact_without_a_head_in_four_bits_takes_none(opened):
    checkpoint, network = opened
    encodings = every(network, Encoding(4, 32)) | {"head": Encoding(8, 64)}
    found = list(quantize_calibrated(checkpoint, network, encodings, IDS, PREPARE["awq"]))
    assert network.head not in [matrix for matrix, _ in found]


@pytest.mark.parametrize("sym", [True, False])
def test_calibration_lessens_what_the_network_loses(opened, sym):
    checkpoint, network = opened
    exact = {m.name: read_matrix(checkpoint, m) for m in network.matrices()}
    del exact["embedding"]
    truth = logits_with(checkpoint, network, {})

    def loss(weights):
        return float(np.square(logits_with(checkpoint, network, weights) - truth).mean())

    plain = {name: dequantize(symmetric(rows, 4, 32)) for name, rows in exact.items()}
    encodings = every(network, Encoding(4, 32, sym))
    errors = {"plain": loss(plain)}
    for name, prepare in PREPARE.items():
        pairs = quantize_calibrated(checkpoint, network, encodings, IDS, prepare)
        errors[name] = loss({matrix.name: dequantize(q) for matrix, q in pairs})
    assert errors["gptq"] < errors["awq"] < errors["plain"]


def test_twice_gives_the_same(opened):
    checkpoint, network = opened
    encodings = every(network, Encoding(4, 32))
    first, second = (
        list(quantize_calibrated(checkpoint, network, encodings, IDS, PREPARE["gptq"]))
        for _ in range(2)
    )
    for (_, one), (_, other) in zip(first, second, strict=True):
        assert np.array_equal(one.codes, other.codes)
        assert np.array_equal(one.scale, other.scale)


def test_the_quantization_error_falls_with_more_bits(opened):
    checkpoint, network = opened
    four, eight = (
        measure_quantization_error(checkpoint, network, every(network, Encoding(bits, 32)), IDS)
        for bits in (4, 8)
    )
    assert list(four) == [m for block in network.blocks for m in block.matrices]
    assert all(0 < 20 * eight[matrix] < four[matrix] < 1 for matrix in four)


def test_a_bad_weight_is_named(opened):
    checkpoint, network = opened

    def refuse(_):
        def quantize(rows, encoding):
            raise FloatingPointError("nan")

        return quantize

    with pytest.raises(ConversionError, match=r"q_proj.*4-bit"):
        list(quantize_calibrated(checkpoint, network, every(network, Encoding(4, 32)), IDS, refuse))


def matrix(name, rows=10):
    return Matrix(name, (name,), rows, 10)


def test_the_quantization_error_is_the_share_of_the_output_that_is_lost():
    rng = np.random.default_rng(2)
    rows = rng.standard_normal((16, 64)).astype(np.float32)
    values = rng.standard_normal((20_000, 64)) * rng.gamma(1.0, size=64)
    change = values @ (dequantize(symmetric(rows, 4, 32)) - rows).T
    share = np.square(change).mean() / np.square(values @ rows.T).mean()
    parts = [(part, symmetric(part, 4, 32)) for part in np.split(rows, 2)]
    found = quantization_error(parts, np.square(values).mean(axis=0))
    assert abs(found / share - 1) < 0.05


def test_the_largest_errors_go_first_until_the_ratio_holds():
    costs = {matrix("a"): 0.1, matrix("b"): 0.4, matrix("c"): 0.2, matrix("d"): 0.3}
    assert choose_eight_bits(costs, 1.0) == frozenset()
    assert choose_eight_bits(costs, 0.75) == {"b"}
    assert choose_eight_bits(costs, 0.6) == {"b", "d"}
    assert choose_eight_bits(costs, 0.0) == {"a", "b", "c", "d"}


def test_large_matrices_pay_by_the_weight():
    costs = {matrix("large", 100): 0.5, matrix("small", 10): 0.2}
    assert choose_eight_bits(costs, 0.95) == {"small"}


def test_a_matrix_without_inputs_has_no_quantization_error():
    rows = np.ones((2, 32), np.float32)
    assert quantization_error([(rows, symmetric(rows, 4, 32))], np.zeros(32, np.float32)) == 0.0
