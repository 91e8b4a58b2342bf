"""NVIDIA's GPUs by its management library, which comes with the driver; nvidia-ml-py binds it."""

from __future__ import annotations

import sys
from typing import Any

from aipc.devices.counters.counter import Counter, Reading


class Nvml:
    """The library, started; ``module`` is nvidia-ml-py's."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def call(self, function: str, *arguments: Any) -> Any:
        """The result of a function of the library; None where the GPU or driver has none."""
        try:
            return getattr(self._module, function)(*arguments)
        except self._module.NVMLError:
            return None

    def driver(self) -> str | None:
        version: str | None = self.call("nvmlSystemGetDriverVersion")
        return version

    def gpus(self) -> tuple[Gpu, ...]:
        indices = range(self.call("nvmlDeviceGetCount") or 0)
        handles = [self.call("nvmlDeviceGetHandleByIndex", index) for index in indices]
        return tuple(Gpu(self, handle) for handle in handles if handle is not None)


class Gpu:
    """One GPU; every method returns None where the GPU or its driver does not report the value."""

    def __init__(self, nvml: Nvml, handle: Any) -> None:
        self._nvml = nvml
        self._handle = handle

    def name(self) -> str | None:
        name: str | None = self._nvml.call("nvmlDeviceGetName", self._handle)
        return name

    def slot(self) -> str | None:
        """As Linux writes it: "0000:01:00.0"."""
        info = self._nvml.call("nvmlDeviceGetPciInfo", self._handle)
        return info and f"{info.domain:04x}:{info.bus:02x}:{info.device:02x}.0"

    def memory(self) -> tuple[int, int] | None:
        """(used, total) in bytes."""
        info = self._nvml.call("nvmlDeviceGetMemoryInfo", self._handle)
        return info and (info.used, info.total)

    def busy_share(self) -> float | None:
        """Share of the last sample period (1 s or less) in which it computed: 0 to 1."""
        rates = self._nvml.call("nvmlDeviceGetUtilizationRates", self._handle)
        return None if rates is None else rates.gpu / 100

    def power_w(self) -> float | None:
        milliwatts = self._nvml.call("nvmlDeviceGetPowerUsage", self._handle)
        return None if milliwatts is None else milliwatts / 1000

    def energy_j(self) -> float | None:
        """Since the driver was loaded."""
        millijoules = self._nvml.call("nvmlDeviceGetTotalEnergyConsumption", self._handle)
        return None if millijoules is None else millijoules / 1000


def open_nvml() -> Nvml | None:
    """None where NVIDIA's driver is not installed or does not answer."""
    if sys.platform == "linux" and not _is_there():
        return None
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return Nvml(pynvml)


def _is_there() -> bool:
    """Whether the library can be loaded; importing its binding alone takes 20 ms of each start."""
    import ctypes

    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return False
    return True


class NvidiaCounter:
    """Load of one GPU."""

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu
        self._name = gpu.name() or "NVIDIA GPU"

    def read(self, now: float) -> Reading | None:  # noqa: ARG002 - momentary values
        memory = self._gpu.memory()
        return Reading(
            "gpu",
            self._name,
            "nvidia",
            busy_share=self._gpu.busy_share(),
            memory_used_bytes=memory[0] if memory else None,
            memory_total_bytes=memory[1] if memory else None,
            power_w=self._gpu.power_w(),
        )


def nvidia_counters(nvml: Nvml | None = None) -> tuple[Counter, ...]:
    """One for each of NVIDIA's GPUs; none without its driver."""
    library = nvml or open_nvml()
    return () if library is None else tuple(NvidiaCounter(gpu) for gpu in library.gpus())
