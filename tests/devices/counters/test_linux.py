from __future__ import annotations

import sys

import pytest

from aipc.devices.adapters import read_linux_adapters
from aipc.devices.counters.linux import linux_counters

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the recorded trees have links")

NPU = "sys/bus/pci/devices/0000:00:0b.0"
GPU = "sys/bus/pci/devices/0000:00:02.0"
RADEON = "sys/bus/pci/devices/0000:03:00.0"
RAPL = "sys/class/powercap/intel-rapl:0/energy_uj"


@pytest.fixture
def machine(recorded):
    """A recorded machine: (root, read), where read gives its readings by kind and name."""

    def start(name):
        root = recorded(name)
        counters = linux_counters(read_linux_adapters(root), root)

        def read(now):
            readings = [counter.read(now) for counter in counters]
            return {(one.kind, one.name): one for one in readings if one is not None}

        return root, read

    return start


def test_meteor_lakes_npu_gpu_and_power(machine) -> None:
    root, read = machine("meteor_lake")
    first = read(10.0)
    assert first["npu", "Intel NPU (Meteor Lake)"].busy_share is None
    (root / NPU / "npu_busy_time_us").write_text("3000000\n")
    (root / GPU / "drm/card1/gt/gt0/rc6_residency_ms").write_text("101500\n")
    (root / RAPL).write_text("45000000\n")
    second = read(12.0)
    assert second["npu", "Intel NPU (Meteor Lake)"].busy_share == pytest.approx(0.75)
    gpu = second["gpu", "Intel Meteor Lake-P [Intel Arc Graphics]"]
    assert (gpu.busy_share, gpu.frequency_mhz) == (1.0, 1450)  # its second group never slept
    assert second["package", "package-0"].power_w == pytest.approx(20.0)


def test_lunar_lakes_newer_files(machine) -> None:
    root, read = machine("lunar_lake")
    read(0.0)
    (root / GPU / "tile0/gt0/gtidle/idle_residency_ms").write_text("50400\n")
    (root / GPU / "tile0/gt1/gtidle/idle_residency_ms").write_text("91000\n")
    told = read(1.0)
    gpu = told["gpu", "Intel 0x64a0"]
    assert gpu.busy_share == pytest.approx(0.6)
    assert gpu.frequency_mhz == 1950
    npu = told["npu", "Intel NPU (Lunar Lake)"]
    assert (npu.busy_share, npu.frequency_mhz) == (0.0, 1850)
    assert npu.memory_used_bytes == 2 * 2**30
    assert not [kind for kind, _ in told if kind == "package"]


def test_amds_gpus_and_a_power_counter_that_wraps(machine) -> None:
    root, read = machine("amd")
    read(0.0)
    (root / RAPL).write_text("27389013\n")
    told = read(1.0)
    radeon, own = (told["gpu", f"AMD {number}"] for number in ("0x7480", "0x150e"))
    assert radeon.busy_share == pytest.approx(0.87)
    assert (radeon.memory_used_bytes, radeon.memory_total_bytes) == (6_442_450_944, 8_573_157_376)
    assert (radeon.power_w, radeon.frequency_mhz) == (143.0, 2600.0)
    assert (own.busy_share, own.power_w, own.frequency_mhz) == (0.03, None, None)
    assert told["package", "package-0"].power_w == pytest.approx(28.0)
    assert not [kind for kind, _ in told if kind == "npu"]


@pytest.mark.parametrize("name", ["nvidia", "none"])
def test_machines_without_such_files_show_nothing(machine, name) -> None:
    _, read = machine(name)
    assert (read(0.0), read(1.0)) == ({}, {})


def test_power_that_only_root_may_read_is_absent(machine, monkeypatch) -> None:
    root, read = machine("meteor_lake")
    read(0.0)
    (root / RAPL).unlink()
    assert ("package", "package-0") not in read(1.0)


def test_a_device_that_goes_away_tells_nothing(machine) -> None:
    root, read = machine("meteor_lake")
    read(0.0)
    (root / NPU / "npu_busy_time_us").unlink()
    assert read(1.0)["npu", "Intel NPU (Meteor Lake)"].busy_share is None
