"""Energy drawn so far, where something counts it: the package (RAPL), a GPU (NVML), the battery.

Each counts a whole device with all that runs on it, idle too.  Where nothing counts, or only the
administrator may read it, there is no counter: absent is not zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from aipc.devices.nvml import Gpu, open_nvml
from aipc.devices.system.files import read_number, read_text

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
    """What has left the battery; told only while it discharges, in steps of some joules.

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
    """What counts the energy of devices of this kind ("cpu", "npu", "gpu", "cuda"), if anything."""
    places: tuple[Callable[[], EnergyCounter | None], ...] = (
        lambda: _gpu_energy() if kind == "cuda" else _package_energy(root),
        lambda: _battery_energy(root),
    )
    for place in places:
        counter = place()
        if counter is not None and counter.joules() is not None:
            return counter
    return None


def _package_energy(root: Path) -> EnergyCounter | None:
    # domains within a package ("intel-rapl:0:0") are counted in it already
    folders = sorted((root / "sys/class/powercap").glob("intel-rapl:[0-9]"))
    return PackageEnergy(folders) if folders else None


def _battery_energy(root: Path) -> EnergyCounter | None:
    folders = sorted((root / "sys/class/power_supply").glob("BAT*"))
    return BatteryEnergy(folders[0]) if folders else None


def _gpu_energy() -> EnergyCounter | None:
    nvml = open_nvml()
    gpus = () if nvml is None else nvml.gpus()
    return GpuEnergy(gpus) if gpus else None
