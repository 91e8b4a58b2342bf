from __future__ import annotations

import pytest

from aipc.devices.adapters.adapters import Adapter
from aipc.devices.drivers import requirement, requirements

NPU = Adapter("npu", "intel", "AI Boost", device_id="0x7d1d")


def test_every_entry_has_its_source() -> None:
    assert all(entry.source and entry.fix and entry.minimum for entry in requirements())


def test_one_model_may_want_more_than_its_maker() -> None:
    panther_lake = Adapter("npu", "intel", "AI Boost", device_id="0xb03e")
    assert requirement(NPU, "Linux").minimum == "1.10.0"
    assert requirement(panther_lake, "Linux").minimum == "1.28.0"
    assert requirement(Adapter("gpu", "amd", "Radeon"), "Linux") is None


@pytest.mark.parametrize(
    ("version", "is_met"),
    [("1.9.9", False), ("1.10.0", True), ("1.10.0.20241107-11", True), ("1.28.0", True)],
)
def test_versions_are_compared_number_by_number(version: str, is_met: bool) -> None:
    assert requirement(NPU, "Linux").is_met(version) is is_met


@pytest.mark.parametrize(
    ("version", "is_met"), [("32.0.15.7652", False), ("32.0.15.8097", True), ("32.0.101.1", True)]
)
def test_nvidias_number_in_windows(version: str, is_met: bool) -> None:
    gpu = Adapter("gpu", "nvidia", "RTX")
    assert requirement(gpu, "Windows").is_met(version) is is_met
