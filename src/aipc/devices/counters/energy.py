"""Energy drawn so far, where it is counted: the package (RAPL), a GPU (NVML), the battery.

Each counts a whole device with all that runs on it, idle too.  Where nothing is counted, or only
the administrator may read it, there is no counter: absent is not zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from aipc.devices.nvml import Gpu, open_nvml
from aipc.devices.system.files import rapl_packages, read_number, read_text

T = TypeVar("T")
ROOT = Path("/")
_JOULES_PER_MICROWATT_HOUR = 3600e-6


class EnergyCounter(Protocol):
    @property
    def name(self) -> str:
        """What is counted: "package", "gpu" or "battery"."""

    def joules(self) -> float | None:
        """Since some moment in the past, never falling; None: unknown now."""


class PackageEnergy:
    """RAPL's packages, all of them together: Documentation/power/powercap/powercap.rst."""

    name = "package"

    def __init__(self, folders: Sequence[Path]) -> None:
        self._zones = [_Zone(folder) for folder in folders]

    def joules(self) -> float | None:
        values = [zone.microjoules() for zone in self._zones]
        return None if None in values else sum(filter(None, values)) / 1e6


class _Zone:
    """One counter, which starts again at zero when it is full."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "energy_uj"
        self._full = read_number(folder / "max_energy_range_uj") or 0
        self._last = 0
        self._before = 0

    def microjoules(self) -> int | None:
        now = read_number(self._file)
        if now is None:
            return None
        if now < self._last:
            self._before += self._full
        self._last = now
        return self._before + now


class GpuEnergy:
    """NVIDIA's GPUs, all of them together."""

    name = "gpu"

    def __init__(self, gpus: Sequence[Gpu]) -> None:
        self._gpus = gpus

    def joules(self) -> float | None:
        values = [gpu.energy_j() for gpu in self._gpus]
        return None if None in values else sum(filter(None, values))


class BatteryEnergy:
    """What has left the battery; known only while it discharges, in steps of some joules.

    Documentation/ABI/testing/sysfs-class-power, energy_now.
    """

    name = "battery"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._full = read_number(folder / "energy_full") or 0

    def joules(self) -> float | None:
        left = read_number(self._folder / "energy_now")
        if left is None or read_text(self._folder / "status") != "Discharging":
            return None
        return (self._full - left) * _JOULES_PER_MICROWATT_HOUR


def find_energy(kind: str, root: Path = ROOT) -> EnergyCounter | None:
    """The energy counter of devices of this kind ("cpu", "npu", "gpu", "cuda"), if there is one."""
    for counter in _energy_counters(kind, root):
        if counter.joules() is not None:
            return counter
    return None


def drawn(counter: EnergyCounter | None, work: Callable[[], T]) -> tuple[T, float | None]:
    """What ``work`` returns, and the joules drawn meanwhile; None: not counted, or unknown."""
    before = counter.joules() if counter else None
    result = work()
    after = counter.joules() if counter else None
    return result, None if before is None or after is None else after - before


def _energy_counters(kind: str, root: Path) -> Iterator[EnergyCounter]:
    """The nearest to the device first."""
    if kind == "cuda":
        nvml = open_nvml()
        if nvml is not None and (gpus := nvml.gpus()):
            yield GpuEnergy(gpus)
    elif packages := rapl_packages(root):
        yield PackageEnergy(packages)
    for battery in sorted((root / "sys/class/power_supply").glob("BAT*"))[:1]:
        yield BatteryEnergy(battery)
