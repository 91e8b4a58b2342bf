"""What the processor is, and which instructions for matrices it has."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")

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
    """None where the system does not tell."""
    usable_threads: int
    """Hardware threads that this process may run on."""
    features: tuple[str, ...]
    """Those of `FEATURES` that it has; on Windows only avx2 and avx512f are told."""


def read_cpu() -> Cpu:
    """Ask the operating system."""
    if sys.platform == "win32":
        from aipc.devices.system import windows

        return _cpu(windows.cpu_name(), windows.physical_cores(), windows.cpu_features())
    if sys.platform == "darwin":
        from aipc.devices.system.macos import sysctl

        name, cores = sysctl("machdep.cpu.brand_string"), sysctl("hw.physicalcpu")
        return _cpu(name, int(cores), ())
    return read_linux_cpu()


def read_linux_cpu(root: Path = ROOT) -> Cpu:
    """``/proc/cpuinfo``: one block of "name : value" lines a hardware thread."""
    text = (root / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    threads = [_fields(block) for block in text.strip().split("\n\n")]
    first = threads[0]
    flags = (first.get("flags") or first.get("Features") or "").split()
    features = tuple(name for name in FEATURES if name in flags)
    return _cpu(first.get("model name", ""), _count_cores(threads), features)


def _cpu(name: str, physical_cores: int | None, features: tuple[str, ...]) -> Cpu:
    machine = platform.machine()
    return Cpu(name or machine, machine, physical_cores, _usable_threads(), features)


def _fields(block: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in block.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _count_cores(threads: list[dict[str, str]]) -> int | None:
    """Hardware threads of one core share its number; Arm's kernels give no numbers."""
    cores = {(thread.get("physical id"), thread.get("core id")) for thread in threads}
    return None if any(core is None for _, core in cores) else len(cores)


def _usable_threads() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
