"""NVIDIA's GPUs by its management library, which comes with the driver; nvidia-ml-py binds it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from aipc.devices.adapters.adapter import Adapter


class Nvml:
    """The library, started; ``module`` is nvidia-ml-py's."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def ask(self, function: str, *arguments: Any) -> Any:
        """What a function of the library gives; None where GPU or driver can't tell."""
        try:
            return getattr(self._module, function)(*arguments)
        except self._module.NVMLError:
            return None

    def driver(self) -> str | None:
        version: str | None = self.ask("nvmlSystemGetDriverVersion")
        return version

    def gpus(self) -> tuple[Gpu, ...]:
        indices = range(self.ask("nvmlDeviceGetCount") or 0)
        handles = [self.ask("nvmlDeviceGetHandleByIndex", index) for index in indices]
        return tuple(Gpu(self, handle) for handle in handles if handle is not None)


class Gpu:
    """One GPU; each question is answered with None where the GPU or its driver can't tell."""

    def __init__(self, nvml: Nvml, handle: Any) -> None:
        self._nvml = nvml
        self._handle = handle

    def name(self) -> str | None:
        name: str | None = self._nvml.ask("nvmlDeviceGetName", self._handle)
        return name

    def slot(self) -> str | None:
        """As Linux writes it: "0000:01:00.0"."""
        info = self._nvml.ask("nvmlDeviceGetPciInfo", self._handle)
        return info and f"{info.domain:04x}:{info.bus:02x}:{info.device:02x}.0"

    def memory(self) -> tuple[int, int] | None:
        """(used, total) in bytes."""
        info = self._nvml.ask("nvmlDeviceGetMemoryInfo", self._handle)
        return info and (info.used, info.total)

    def busy_share(self) -> float | None:
        """Share of the last sample period (1 s or less) in which it computed: 0 to 1."""
        rates = self._nvml.ask("nvmlDeviceGetUtilizationRates", self._handle)
        return None if rates is None else rates.gpu / 100

    def power_w(self) -> float | None:
        milliwatts = self._nvml.ask("nvmlDeviceGetPowerUsage", self._handle)
        return None if milliwatts is None else milliwatts / 1000

    def energy_j(self) -> float | None:
        """Since the driver was loaded."""
        millijoules = self._nvml.ask("nvmlDeviceGetTotalEnergyConsumption", self._handle)
        return None if millijoules is None else millijoules / 1000


def open_nvml() -> Nvml | None:
    """None where NVIDIA's driver is not installed or does not answer."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return Nvml(pynvml)


def with_nvml(adapters: Sequence[Adapter]) -> tuple[Adapter, ...]:
    """The same with what NVML knows of NVIDIA's, and those that only NVML sees (containers)."""
    nvml = open_nvml()
    return tuple(adapters) if nvml is None else add_nvml(adapters, nvml)


def add_nvml(adapters: Sequence[Adapter], nvml: Nvml) -> tuple[Adapter, ...]:
    by_slot = {adapter.slot: adapter for adapter in adapters}
    driver = nvml.driver()
    for gpu in nvml.gpus():
        slot, memory = gpu.slot() or "", gpu.memory()
        known = by_slot.get(slot) or Adapter("gpu", "nvidia", "NVIDIA GPU", slot, module="nvidia")
        by_slot[slot] = dataclasses.replace(
            known,
            name=gpu.name() or known.name,
            driver=driver or known.driver,
            memory_bytes=memory[1] if memory else known.memory_bytes,
        )
    return tuple(by_slot.values())
