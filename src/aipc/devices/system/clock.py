"""How fast the processor's cores run, and whether heat held them back (Linux).

The files are described in Documentation/admin-guide/pm/cpufreq.rst and, of throttling, in
Documentation/ABI/testing/sysfs-devices-system-cpu.  Virtual machines have none of them.
"""

from __future__ import annotations

from pathlib import Path

from aipc.devices.system.files import read_number

ROOT = Path("/")
_CPUS = "sys/devices/system/cpu"


def current_mhz(root: Path = ROOT) -> float | None:
    """Mean over all cores; None where the system does not tell."""
    files = (root / _CPUS).glob("cpufreq/policy*/scaling_cur_freq")
    found = [number / 1000 for number in map(read_number, files) if number is not None]
    return sum(found) / len(found) if found else None


def throttled(root: Path = ROOT) -> int | None:
    """How often a core was slowed down for its heat since the start; None: nobody tells."""
    files = (root / _CPUS).glob("cpu*/thermal_throttle/core_throttle_count")
    found = [number for number in map(read_number, files) if number is not None]
    return sum(found) if found else None
