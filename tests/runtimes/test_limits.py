from __future__ import annotations

import numpy as np
import pytest

from aipc.runtimes.limits import Limits, Rate, better, matrix_rate, measure_limits, read_bandwidth
from aipc.runtimes.openvino.product import openvino_products

ROWS = np.random.default_rng(2).standard_normal((8, 256), np.float32)


def test_the_faster_of_two_measurements_is_the_limit():
    slow, fast = Rate(1.0, "slow"), Rate(2.0, "fast")
    assert better(Limits(slow, None), Limits(fast, fast)) == Limits(fast, fast)
    assert better(Limits(None, None), Limits(None, slow)) == Limits(None, slow)


def test_this_machine_reads_a_block():
    bandwidth = read_bandwidth(1 << 26)
    assert 1e8 < bandwidth.per_second < 1e13
    assert "64 MiB" in bandwidth.how


def test_this_machine_multiplies_and_the_result_says_through_what():
    rate = matrix_rate("CPU")
    assert 1e9 < rate.per_second < 1e15
    assert rate.how.startswith(("OpenVINO", "ONNX Runtime", "numpy"))
    assert "512x4096 times 4096x4096" in rate.how


def test_a_device_that_nothing_here_multiplies_on_has_no_limits():
    assert measure_limits("NPU.7") == Limits(None, None)


def test_openvino_multiplies_in_every_format_of_the_processor():
    found = dict(openvino_products(ROWS, "CPU"))
    assert "OpenVINO, 8-bit weights, INFERENCE_PRECISION_HINT=f32" in found
    products = [next(iter(multiply().values())) for multiply in found.values()]
    for product in products:  # the activations are rounded to bf16, f16 or 8 bits at worst
        np.testing.assert_allclose(product, products[0], rtol=0, atol=0.03 * products[0].max())


def test_onnx_runtime_multiplies_integers_and_floats():
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    from aipc.runtimes.onnx.product import onnx_products

    found = dict(onnx_products(ROWS, 1))
    assert [name.partition(" weights")[0] for name in found] == [
        "ONNX Runtime, MatMulNBits, 4-bit",
        "ONNX Runtime, float32",
    ]
    whole, plain = (multiply()[0] for multiply in found.values())
    assert whole.shape == plain.shape == (8, 256)
    np.testing.assert_allclose(plain, 0.01 * ROWS.sum(1, keepdims=True).repeat(256, 1), atol=1e-4)
