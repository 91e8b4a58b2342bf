"""The processor: its name, its instructions for matrices, its clock."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

from aipc.devices.system.files import read_number

ROOT = Path("/")
_CPUS = "sys/devices/system/cpu"
"""Clock and throttling: Documentation/admin-guide/pm/cpufreq.rst and, in Documentation/ABI/testing,
sysfs-devices-system-cpu.  Virtual machines have neither."""

FEATURES = (
    "avx2",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_int8",
    "amx_bf16",
    "amx_fp16",
    "asimd",
    "asimddp",
    "i8mm",
    "bf16",
    "sve",
    "sve2",
)
"""The ones that decide how fast a network runs, by the Linux kernel's names for them."""


@dataclass(frozen=True)
class Cpu:
    name: str
    architecture: str
    """As Python's platform module has it: "x86_64", "AMD64", "aarch64"."""
    physical_cores: int | None
    """None where the system does not report it."""
    usable_threads: int
    """Hardware threads that this process may run on."""
    features: tuple[str, ...]
    """Those of `FEATURES` that it has; on Windows only avx2 and avx512f are known."""


def read_cpu() -> Cpu:
    """What the operating system reports."""
    import psutil

    name, features = _name_and_features()
    machine = platform.machine()
    if sys.platform == "linux":
        threads = len(os.sched_getaffinity(0))
    else:
        threads = os.cpu_count() or 1
    return Cpu(name or machine, machine, psutil.cpu_count(logical=False), threads, features)


def _name_and_features() -> tuple[str, tuple[str, ...]]:
    if sys.platform == "win32":
        from aipc.devices.system import windows

        return windows.cpu_name(), windows.cpu_features()
    if sys.platform == "darwin":
        import subprocess

        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.check_output(command, encoding="utf-8").strip(), ()
    return read_cpuinfo()


def read_cpuinfo(root: Path = ROOT) -> tuple[str, tuple[str, ...]]:
    """(name, features) by ``/proc/cpuinfo``: one block of "name : value" lines a thread."""
    text = (root / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    pairs = (line.partition(":") for line in text.strip().split("\n\n")[0].splitlines())
    first = {name.strip(): value.strip() for name, _, value in pairs}
    flags = (first.get("flags") or first.get("Features") or "").split()
    return first.get("model name", ""), tuple(name for name in FEATURES if name in flags)


def others_s() -> float:
    """Processor seconds since the machine began of all programs but this and its children.

    Of children those count that have ended.
    """
    import psutil

    machine, own = psutil.cpu_times(), psutil.Process().cpu_times()
    work = machine.user + machine.system + getattr(machine, "nice", 0.0)
    return float(work - own.user - own.system - own.children_user - own.children_system)


def current_mhz(root: Path = ROOT) -> float | None:
    """Mean over all cores; None where the system does not report it."""
    files = (root / _CPUS).glob("cpufreq/policy*/scaling_cur_freq")
    found = [number / 1000 for number in map(read_number, files) if number is not None]
    return sum(found) / len(found) if found else None


def throttled(root: Path = ROOT) -> int | None:
    """How often a core was slowed down for its heat since the start; None: unknown."""
    files = (root / _CPUS).glob("cpu*/thermal_throttle/core_throttle_count")
    found = [number for number in map(read_number, files) if number is not None]
    return sum(found) if found else None
