from __future__ import annotations

import subprocess
import sys
import time

import pytest

from aipc.devices.counters.counter import Reading
from aipc.devices.counters.watch import Seen, find_counters, is_of, watch


class Steady:
    """A counter that always reads the same."""

    def __init__(self, **fields) -> None:
        self._reading = Reading(**fields)

    def read(self, now: float) -> Reading:
        return self._reading


NPU = Steady(kind="npu", name="AI Boost", maker="intel", busy_share=0.8)
ARC = Steady(kind="gpu", name="Arc", maker="intel", busy_share=0.1, power_w=9.0)
RTX = Steady(kind="gpu", name="RTX", maker="nvidia", busy_share=0.9, power_w=200.0)
PACKAGE = Steady(kind="package", name="package-0", power_w=21.5)
ALL = (NPU, ARC, RTX, PACKAGE)


@pytest.mark.parametrize(
    ("kind", "busy"),
    [
        ("npu", {"AI Boost": 0.8}),
        ("gpu", {"Arc": 0.1}),
        ("cuda", {"RTX": 0.9}),
        ("webgpu", {"Arc": 0.1, "RTX": 0.9}),
    ],
)
def test_only_devices_of_the_kind_are_seen(kind: str, busy: dict[str, float]) -> None:
    with watch(kind, ALL) as seen:
        time.sleep(0.01)
    assert seen.facts["busy_share"] == busy
    assert seen.busy_share == pytest.approx(max(busy.values()))
    assert seen.facts["power_w"]["package-0"] == 21.5


def test_where_no_counter_tells_nothing_is_said() -> None:
    with watch("npu", [Steady(kind="npu", name="AI Boost"), ARC]) as seen:
        time.sleep(0.01)
    assert seen.busy_share is None
    assert seen.facts == {}


def test_a_reading_weighs_as_long_as_it_stands_for() -> None:
    seen = Seen("npu")
    seen.add(Reading("npu", "AI Boost", busy_share=1.0, power_w=30.0), 1.0)
    seen.add(Reading("npu", "AI Boost", busy_share=0.0, power_w=10.0), 3.0)
    assert seen.facts == {"busy_share": {"AI Boost": 0.25}, "power_w": {"AI Boost": 15.0}}


def test_it_is_looked_at_all_the_time() -> None:
    class Rising:
        share = 0.0

        def read(self, now: float) -> Reading:
            return Reading("npu", "AI Boost", busy_share=self.share)

    counter = Rising()
    with watch("npu", [counter]) as seen:
        time.sleep(0.6)
        counter.share = 1.0
    assert 0 < seen.busy_share < 0.9


def test_the_counters_are_read_to_the_end_of_a_block_that_fails() -> None:
    def fail() -> None:
        with watch("npu", ALL) as seen:
            kept.append(seen)
            time.sleep(0.01)
            raise KeyError

    kept: list = []
    with pytest.raises(KeyError):
        fail()
    assert kept[0].busy_share == pytest.approx(0.8)


def test_a_windows_adapter_of_no_known_maker_may_be_any() -> None:
    assert is_of("gpu", Reading("gpu", "x"))
    assert not is_of("gpu", Reading("gpu", "x", "nvidia"))
    assert not is_of("npu", Reading("gpu", "x"))


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has none that are read here")
def test_this_machine_has_one_of_its_cpu() -> None:
    counters = find_counters()
    with watch("cpu", counters) as seen:
        ends = time.monotonic() + 0.3
        while time.monotonic() < ends:
            pass
    assert 0 < seen.busy_share <= 1


def test_no_vendors_package_is_loaded() -> None:
    program = (
        "import sys; from aipc.devices.counters.watch import find_counters; find_counters()\n"
        "vendors = {'openvino', 'onnxruntime', 'numpy', 'rich', 'transformers'}\n"
        "print(vendors & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
