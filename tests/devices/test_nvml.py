from __future__ import annotations

import ctypes
import sys

import pytest

from aipc.devices.adapters.adapters import Adapter
from aipc.devices.counters.nvidia import nvidia_counters
from aipc.devices.nvml import MemoryInfo, Nvml, PciInfo, Utilization, add_nvml, open_nvml

NOT_SUPPORTED = 3


def give(**values):
    """A function that writes fields of the structure that its last argument points to."""

    def call(*arguments) -> None:
        for name, value in values.items():
            setattr(arguments[-1]._obj, name, value)

    return call


def write(text: bytes):
    def call(*arguments) -> None:
        arguments[-2].value = text

    return call


ANSWERS = {
    "nvmlDeviceGetCount_v2": give(value=1),
    "nvmlDeviceGetHandleByIndex_v2": give(value=0x1000),
    "nvmlSystemGetDriverVersion": write(b"580.82.07"),
    "nvmlDeviceGetName": write(b"NVIDIA H200"),
    "nvmlDeviceGetPciInfo_v3": give(bus=0x0F),
    "nvmlDeviceGetMemoryInfo": give(total=150_000_000_000, used=3_000_000_000),
    "nvmlDeviceGetUtilizationRates": give(gpu=37),
    "nvmlDeviceGetPowerUsage": give(value=123_456),
    "nvmlDeviceGetTotalEnergyConsumption": give(value=7_654_321),
}


class RecordedLibrary:
    """One GPU; functions named in ``unable`` answer as on a GPU that can't tell."""

    def __init__(self, unable: tuple[str, ...] = ()) -> None:
        self._unable = unable

    def __getattr__(self, name: str):
        def call(*arguments) -> int:
            if name in self._unable:
                return NOT_SUPPORTED
            ANSWERS[name](*arguments)
            return 0

        return call


def test_layouts_are_nvmls() -> None:
    assert ctypes.sizeof(Utilization) == 8
    assert ctypes.sizeof(MemoryInfo) == 24
    assert (ctypes.sizeof(PciInfo), PciInfo.busId.offset) == (68, 36)


def test_a_known_gpu_gets_name_driver_and_memory() -> None:
    seen = Adapter("gpu", "nvidia", "NVIDIA 0x2335", "0000:0f:00.0", "0x2335", "nvidia")
    (gpu,) = add_nvml([seen], Nvml(RecordedLibrary()))
    assert (gpu.name, gpu.driver, gpu.device_id) == ("NVIDIA H200", "580.82.07", "0x2335")
    assert gpu.memory_bytes == 150_000_000_000


def test_a_gpu_that_the_bus_hides_is_added() -> None:
    arc = Adapter("gpu", "intel", "Arc", "0000:00:02.0")
    assert [one.maker for one in add_nvml([arc], Nvml(RecordedLibrary()))] == ["intel", "nvidia"]


def test_its_load() -> None:
    (counter,) = nvidia_counters(Nvml(RecordedLibrary()))
    reading = counter.read(0.0)
    assert (reading.name, reading.maker) == ("NVIDIA H200", "nvidia")
    assert reading.busy_share == pytest.approx(0.37)
    assert (reading.memory_used_bytes, reading.memory_total_bytes) == (3 * 10**9, 150 * 10**9)
    assert reading.power_w == pytest.approx(123.456)


def test_what_a_gpu_can_not_tell_is_absent_and_never_zero() -> None:
    unable = ("nvmlDeviceGetUtilizationRates", "nvmlDeviceGetPowerUsage", "nvmlDeviceGetMemoryInfo")
    (counter,) = nvidia_counters(Nvml(RecordedLibrary(unable)))
    reading = counter.read(0.0)
    assert (reading.busy_share, reading.power_w, reading.memory_used_bytes) == (None, None, None)


def test_without_its_driver_there_is_nothing_to_ask(monkeypatch) -> None:
    def refuse(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    assert open_nvml() is None
    assert nvidia_counters() == ()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert open_nvml() is None


def test_energy_is_told_in_joules_or_not_at_all() -> None:
    [gpu] = Nvml(RecordedLibrary()).gpus()
    assert gpu.energy_j() == 7654.321
    [silent] = Nvml(RecordedLibrary(("nvmlDeviceGetTotalEnergyConsumption",))).gpus()
    assert silent.energy_j() is None
