"""Load of NVIDIA's GPUs, through the library that comes with their driver."""

from __future__ import annotations

from aipc.devices.counters.counter import Counter, Reading
from aipc.devices.nvml import Gpu, Nvml, open_nvml


class NvidiaCounter:
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
