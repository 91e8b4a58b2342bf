from __future__ import annotations

from types import SimpleNamespace

import pynvml
import pytest

from aipc.devices.adapters import Adapter, add_nvml
from aipc.devices.nvml import Nvml, nvidia_counters, open_nvml

ANSWERS = {
    "nvmlDeviceGetCount": 1,
    "nvmlDeviceGetHandleByIndex": object(),
    "nvmlSystemGetDriverVersion": "580.82.07",
    "nvmlDeviceGetName": "NVIDIA H200",
    "nvmlDeviceGetPciInfo": SimpleNamespace(domain=0, bus=0x0F, device=0),
    "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=150_000_000_000, used=3_000_000_000),
    "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=37),
    "nvmlDeviceGetPowerUsage": 123_456,
    "nvmlDeviceGetTotalEnergyConsumption": 7_654_321,
}


class RecordedLibrary:
    """One GPU; functions named in ``unable`` answer as on a GPU that can't tell."""

    NVMLError = pynvml.NVMLError

    def __init__(self, unable: tuple[str, ...] = ()) -> None:
        self._unable = unable

    def __getattr__(self, name: str):
        assert hasattr(pynvml, name)

        def call(*arguments):
            if name in self._unable:
                raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
            return ANSWERS[name]

        return call


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


def test_without_its_driver_there_is_no_library(monkeypatch) -> None:
    def refuse() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", refuse)
    monkeypatch.setattr("aipc.devices.nvml._is_there", lambda: True)
    assert open_nvml() is None
    assert nvidia_counters() == ()


def test_energy_is_told_in_joules_or_not_at_all() -> None:
    [gpu] = Nvml(RecordedLibrary()).gpus()
    assert gpu.energy_j() == 7654.321
    [silent] = Nvml(RecordedLibrary(("nvmlDeviceGetTotalEnergyConsumption",))).gpus()
    assert silent.energy_j() is None
