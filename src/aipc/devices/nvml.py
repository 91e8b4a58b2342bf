"""NVIDIA's management library, which comes with its driver: called without a package.

Functions and layouts: docs.nvidia.com/deploy/nvml-api.
"""

from __future__ import annotations

import ctypes
import dataclasses
import sys
from collections.abc import Sequence
from typing import Any

from aipc.devices.adapters.adapters import Adapter

_NAMES = {"linux": "libnvidia-ml.so.1", "win32": "nvml.dll"}
_TEXT = 96  # bytes; the longest of NVML's own buffer sizes


class Utilization(ctypes.Structure):
    """nvmlUtilization_t: percent of the last sample period."""

    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


class MemoryInfo(ctypes.Structure):
    """nvmlMemory_t: bytes."""

    _fields_ = (
        ("total", ctypes.c_ulonglong),
        ("free", ctypes.c_ulonglong),
        ("used", ctypes.c_ulonglong),
    )


class PciInfo(ctypes.Structure):
    """nvmlPciInfo_t."""

    _fields_ = (
        ("busIdLegacy", ctypes.c_char * 16),
        ("domain", ctypes.c_uint),
        ("bus", ctypes.c_uint),
        ("device", ctypes.c_uint),
        ("pciDeviceId", ctypes.c_uint),
        ("pciSubSystemId", ctypes.c_uint),
        ("busId", ctypes.c_char * 32),
    )


class Gpu:
    """One GPU; each question is answered with None where the GPU or its driver can't tell."""

    def __init__(self, library: Any, index: int) -> None:
        self._library = library
        self._handle = ctypes.c_void_p()
        library.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(self._handle))

    def name(self) -> str | None:
        buffer = ctypes.create_string_buffer(_TEXT)
        failed = self._library.nvmlDeviceGetName(self._handle, buffer, _TEXT)
        return None if failed else buffer.value.decode()

    def slot(self) -> str | None:
        """As Linux writes it: "0000:01:00.0"."""
        info = PciInfo()
        if self._library.nvmlDeviceGetPciInfo_v3(self._handle, ctypes.byref(info)):
            return None
        return f"{info.domain:04x}:{info.bus:02x}:{info.device:02x}.0"

    def memory(self) -> tuple[int, int] | None:
        """(used, total) in bytes."""
        info = MemoryInfo()
        if self._library.nvmlDeviceGetMemoryInfo(self._handle, ctypes.byref(info)):
            return None
        return info.used, info.total

    def busy_share(self) -> float | None:
        """Share of the last sample period (1 s or less) in which it computed: 0 to 1."""
        rates = Utilization()
        if self._library.nvmlDeviceGetUtilizationRates(self._handle, ctypes.byref(rates)):
            return None
        return float(rates.gpu) / 100

    def power_w(self) -> float | None:
        milliwatts = ctypes.c_uint()
        if self._library.nvmlDeviceGetPowerUsage(self._handle, ctypes.byref(milliwatts)):
            return None
        return milliwatts.value / 1000

    def energy_j(self) -> float | None:
        """Since the driver was loaded."""
        millijoules = ctypes.c_ulonglong()
        counted = ctypes.byref(millijoules)
        if self._library.nvmlDeviceGetTotalEnergyConsumption(self._handle, counted):
            return None
        return millijoules.value / 1000


class Nvml:
    """The library, started."""

    def __init__(self, library: Any) -> None:
        self._library = library

    def driver(self) -> str | None:
        buffer = ctypes.create_string_buffer(_TEXT)
        failed = self._library.nvmlSystemGetDriverVersion(buffer, _TEXT)
        return None if failed else buffer.value.decode()

    def gpus(self) -> tuple[Gpu, ...]:
        count = ctypes.c_uint()
        if self._library.nvmlDeviceGetCount_v2(ctypes.byref(count)):
            return ()
        return tuple(Gpu(self._library, index) for index in range(count.value))


def open_nvml() -> Nvml | None:
    """None where NVIDIA's driver is not installed or does not answer."""
    try:
        library = ctypes.CDLL(_NAMES[sys.platform])
    except (KeyError, OSError):
        return None
    return None if library.nvmlInit_v2() else Nvml(library)


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
