"""The whole machine: devices, processor, memory, problems, and what can hide or slow devices."""

from __future__ import annotations

import ctypes.util
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aipc.devices.adapters import Adapter, read_adapters
from aipc.devices.device import Device
from aipc.devices.reach import Unreached, ask_runtimes, unreached
from aipc.devices.system.cpu import Cpu, read_cpu
from aipc.devices.system.files import read_text
from aipc.devices.system.memory import Memory, read_memory
from aipc.devices.wheels import clashes, installed

ROOT = Path("/")


@dataclass(frozen=True)
class Machine:
    devices: tuple[Device, ...]
    """Those that a runtime reaches."""
    adapters: tuple[Adapter, ...]
    """GPUs and NPUs that the operating system sees."""
    unreached: tuple[Unreached, ...]
    """Those among ``adapters`` that no runtime reaches, each with what is missing."""
    cpu: Cpu
    memory: Memory
    system: str
    """Operating system, its version and the architecture, as `platform.platform` returns them."""
    python: str
    versions: Mapping[str, str]
    """Runtime package → version installed."""
    problems: tuple[str, ...]
    """One line each: what is wrong, and what to do."""


def this_machine() -> Machine:
    """Read everything; failures are in `Machine.problems`.

    Loads OpenVINO and its plugins (about half a second), and ONNX Runtime where its wheel is
    one for an accelerator.
    """
    adapters = read_adapters()
    devices, problems = ask_runtimes(adapters=lambda: adapters)
    return Machine(
        devices=devices,
        adapters=adapters,
        unreached=unreached(adapters, devices),
        cpu=read_cpu(),
        memory=read_memory(),
        system=platform.platform(),
        python=platform.python_version(),
        versions=installed(),
        problems=(*map(str, problems), *map(str, clashes())),
    )


@dataclass(frozen=True)
class Surroundings:
    """What can hide devices from this process or slow them down; None: not reported."""

    is_wsl: bool = False
    is_remote_desktop: bool = False
    has_vulkan: bool | None = None
    """Whether a Vulkan loader is installed, which WebGPU needs on Linux."""
    power_profile: str | None = None
    """As the system names it: "power-saver", "low-power", "balanced", "battery saver" …"""
    kernel: str | None = None
    """Linux: its release."""


def read_surroundings() -> Surroundings:
    """Read the operating system's."""
    if sys.platform == "win32":
        from aipc.devices.system import windows

        saver = "battery saver" if windows.saves_battery() else None
        remote = windows.is_remote_session()
        return Surroundings(is_remote_desktop=remote, power_profile=saver)
    if sys.platform == "darwin":
        return Surroundings()
    return read_linux_surroundings(ROOT, has_vulkan=ctypes.util.find_library("vulkan") is not None)


def read_linux_surroundings(root: Path, *, has_vulkan: bool | None = None) -> Surroundings:
    """From /proc and /sys.

    The power profile is the firmware's, else what the first core prefers (cpufreq's EPP).
    """
    cpufreq = root / "sys/devices/system/cpu/cpu0/cpufreq"
    kernel = read_text(root / "proc/sys/kernel/osrelease")
    return Surroundings(
        is_wsl="microsoft" in (kernel or "").lower(),
        is_remote_desktop=False,
        has_vulkan=has_vulkan,
        power_profile=read_text(root / "sys/firmware/acpi/platform_profile")
        or read_text(cpufreq / "energy_performance_preference"),
        kernel=kernel,
    )
