"""Load of NPU and GPUs, and the processor's power, from files of the Linux kernel's.

Where the files are described: Documentation/power/powercap.rst, gpu/amdgpu/thermal.rst,
ABI/testing/sysfs-driver-intel-xe-hwmon, and the comments "DOC:" of
drivers/accel/ivpu/ivpu_sysfs.c and drivers/gpu/drm/xe/xe_gt_idle.c.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from aipc.devices.adapters import Adapter
from aipc.devices.counters.counter import Counter, Growth, Reading, share
from aipc.devices.system.files import rapl_packages, read_number, read_text

ROOT = Path("/")
_PCI = "sys/bus/pci/devices"


def _reading(adapter: Adapter, **values: Any) -> Reading:
    total = adapter.memory_bytes
    return Reading(adapter.kind, adapter.name, adapter.maker, memory_total_bytes=total, **values)


class NpuCounter:
    """Intel's: the file counts microseconds of work since the driver was loaded."""

    def __init__(self, adapter: Adapter, root: Path = ROOT) -> None:
        self._adapter = adapter
        self._folder = root / _PCI / adapter.slot
        self._busy = Growth()

    def read(self, now: float) -> Reading | None:
        grown = self._busy.per_second(read_number(self._folder / "npu_busy_time_us"), now)
        return _reading(
            self._adapter,
            busy_share=share(None if grown is None else grown / 1e6),
            memory_used_bytes=read_number(self._folder / "npu_memory_utilization"),
            frequency_mhz=read_number(self._folder / "npu_current_frequency_mhz"),
        )


class IntelGpuCounter:
    """The files count milliseconds in which each engine group slept; awake counts as busy.

    That is more than the time spent computing: a GPU stays awake for a moment after each job.
    """

    def __init__(self, adapter: Adapter, root: Path = ROOT) -> None:
        self._adapter = adapter
        self._folder = root / _PCI / adapter.slot
        xe = sorted(self._folder.glob("tile*/gt*/gtidle/idle_residency_ms"))
        self._idle = xe or sorted(self._folder.glob("drm/card*/gt/gt*/rc6_residency_ms"))  # i915
        self._growths = [Growth() for _ in self._idle]

    def read(self, now: float) -> Reading | None:
        slept = [
            growth.per_second(read_number(file), now)
            for file, growth in zip(self._idle, self._growths, strict=True)
        ]
        awake = [1 - grown / 1000 for grown in slept if grown is not None]
        return _reading(
            self._adapter,
            busy_share=share(max(awake, default=None)),
            frequency_mhz=_first_number(
                self._folder.glob("tile*/gt*/freq0/act_freq"),
                self._folder.glob("drm/card*/gt/gt0/rps_act_freq_mhz"),
            ),
        )


class AmdGpuCounter:
    """AMD's: the files hold momentary values."""

    def __init__(self, adapter: Adapter, root: Path = ROOT) -> None:
        self._adapter = adapter
        self._folder = root / _PCI / adapter.slot

    def read(self, now: float) -> Reading | None:  # noqa: ARG002 - momentary values
        percent = read_number(self._folder / "gpu_busy_percent")
        microwatts = _first_number(
            self._folder.glob("hwmon/hwmon*/power1_average"),
            self._folder.glob("hwmon/hwmon*/power1_input"),
        )
        hertz = _first_number(self._folder.glob("hwmon/hwmon*/freq1_input"))
        return _reading(
            self._adapter,
            busy_share=None if percent is None else share(percent / 100),
            memory_used_bytes=read_number(self._folder / "mem_info_vram_used"),
            power_w=None if microwatts is None else microwatts / 1e6,
            frequency_mhz=None if hertz is None else hertz / 1e6,
        )


class PackageCounter:
    """Energy that a processor with its GPU and NPU took (RAPL); many systems show root alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._energy = Growth(read_number(folder / "max_energy_range_uj"))

    def read(self, now: float) -> Reading | None:
        grown = self._energy.per_second(read_number(self._folder / "energy_uj"), now)
        if grown is None:
            return None
        name = read_text(self._folder / "name") or self._folder.name
        return Reading("package", name, power_w=grown / 1e6)


_GPUS: dict[str, Callable[[Adapter, Path], Counter]] = {
    "i915": IntelGpuCounter,
    "xe": IntelGpuCounter,
    "amdgpu": AmdGpuCounter,
}


def linux_counters(adapters: Sequence[Adapter], root: Path = ROOT) -> tuple[Counter, ...]:
    """Those for which this machine has files."""
    found: list[Counter] = []
    for adapter in adapters:
        if (root / _PCI / adapter.slot / "npu_busy_time_us").is_file():
            found.append(NpuCounter(adapter, root))
        elif adapter.module in _GPUS:
            found.append(_GPUS[adapter.module](adapter, root))
    return (*found, *map(PackageCounter, rapl_packages(root)))


def _first_number(*files: Iterator[Path]) -> int | None:
    for group in files:
        for file in sorted(group):
            number = read_number(file)
            if number is not None:
                return number
    return None
