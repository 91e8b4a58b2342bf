from __future__ import annotations

import pytest

from aipc.measure.bench.result import Limits, Needs, Rate
from aipc.measure.bench.roofline import best_possible, better, matrix_rate, read_bandwidth

NEEDS = Needs(weight_bytes=1_000, cache_bytes_per_token=10, operations_per_token=50)


def test_a_step_reads_the_weights_once_and_the_cache_of_every_sequence():
    limits = Limits(Rate(1000.0, ""), None)
    alone = best_possible(limits, NEEDS, prompt=95, output=10, batch=1)
    assert alone.step_s == pytest.approx((1000 + 10 * 100) / 1000)
    assert alone.prompt_s is None
    both = best_possible(limits, NEEDS, prompt=95, output=10, batch=2)
    assert both.step_s == pytest.approx((1000 + 2 * 10 * 100) / 1000)


def test_a_prompt_multiplies_every_token_with_every_weight():
    limits = Limits(None, Rate(5000.0, ""))
    best = best_possible(limits, NEEDS, prompt=100, output=10, batch=2)
    assert best.prompt_s == pytest.approx(2 * 100 * 50 / 5000)
    assert best.step_s is None


def test_the_faster_of_two_measurements_is_the_limit():
    slow, fast = Rate(1.0, "slow"), Rate(2.0, "fast")
    assert better(Limits(slow, None), Limits(fast, fast)) == Limits(fast, fast)
    assert better(Limits(None, None), Limits(None, slow)) == Limits(None, slow)


def test_this_machine_has_limits():
    bandwidth = read_bandwidth(1 << 26)
    assert 1e8 < bandwidth.per_second < 1e13
    assert "64 MiB" in bandwidth.how
    rate = matrix_rate("CPU")
    assert 1e9 < rate.per_second < 1e15
    assert "OpenVINO" in rate.how


def test_a_device_that_openvino_does_not_have_has_no_rate():
    assert matrix_rate("NPU.7") is None
