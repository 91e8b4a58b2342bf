"""What surrounds this process and can hide devices or slow them down."""

from __future__ import annotations

import ctypes.util
import sys
from dataclasses import dataclass
from pathlib import Path

from aipc.devices.system.files import read_text

ROOT = Path("/")


@dataclass(frozen=True)
class Surroundings:
    """None is "this system does not report it"."""

    is_wsl: bool = False
    is_remote_desktop: bool = False
    has_vulkan: bool | None = None
    """Whether a Vulkan loader is installed, which WebGPU needs on Linux."""
    power_profile: str | None = None
    """As the system names it: "power-saver", "low-power", "balanced", "battery saver" …"""
    kernel: str | None = None
    """Linux: its release."""


def read_surroundings() -> Surroundings:
    """Ask the operating system."""
    if sys.platform == "win32":
        from aipc.devices.system import windows

        saver = "battery saver" if windows.saves_battery() else None
        remote = windows.is_remote_session()
        return Surroundings(is_remote_desktop=remote, power_profile=saver)
    if sys.platform == "darwin":
        return Surroundings()
    return read_linux_surroundings(ROOT, has_vulkan=ctypes.util.find_library("vulkan") is not None)


def read_linux_surroundings(root: Path, *, has_vulkan: bool | None = None) -> Surroundings:
    """From /proc and /sys."""
    kernel = read_text(root / "proc/sys/kernel/osrelease")
    return Surroundings(
        is_wsl="microsoft" in (kernel or "").lower(),
        is_remote_desktop=False,
        has_vulkan=has_vulkan,
        power_profile=_power_profile(root),
        kernel=kernel,
    )


def _power_profile(root: Path) -> str | None:
    """The firmware's profile, else what the first core prefers (cpufreq's EPP)."""
    firmware = read_text(root / "sys/firmware/acpi/platform_profile")
    cores = root / "sys/devices/system/cpu/cpu0/cpufreq/energy_performance_preference"
    return firmware or read_text(cores)
