"""How much memory this process may use: the machine's, within the limits of its container."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from aipc.devices.system.files import read_number

ROOT = Path("/")
SHARE_FOR_MODELS = 0.7
"""Of a machine's memory; the rest is for other programs."""


@dataclass(frozen=True)
class Memory:
    total: int
    """Bytes, the machine's or, where it is less, the limit set on this process."""
    available: int
    """Bytes that can be had without swapping."""


def read_memory() -> Memory:
    """The machine's memory, narrowed by the limits of this process's control groups."""
    import psutil

    machine = psutil.virtual_memory()
    return within_limits(Memory(machine.total, machine.available))


def peak_memory() -> int:
    """Bytes that this process has had in memory at most; on macOS, what it has now.

    Linux: VmHWM, which a new program begins anew (getrusage's ru_maxrss survives exec).
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text("ascii", errors="replace").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024
    import psutil

    memory = psutil.Process().memory_info()
    return int(getattr(memory, "peak_wset", memory.rss))


def within_limits(memory: Memory, root: Path = ROOT) -> Memory:
    """Narrow ``memory`` by the limits of this process's control groups; Linux alone has them.

    Both versions of control groups are read, as the kernel's documents describe them
    (``admin-guide/cgroup-v1/memory.rst``, ``admin-guide/cgroup-v2.rst``).
    """
    total, available = memory.total, memory.available
    for limit, used in _limits(root):
        total = min(total, limit)
        available = min(available, max(limit - used, 0))
    return Memory(total, available)


@dataclass(frozen=True)
class _Files:
    """The files of one version of control groups."""

    mount: str
    limit: str
    used: str
    reclaimable: str


_V1 = _Files(
    "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
)
_V2 = _Files("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file")


def _limits(root: Path) -> Iterator[tuple[int, int]]:
    """(limit, used) in bytes of every group around this process that sets a limit."""
    for files, path in _groups(root):
        mount = root / files.mount
        # A container often sees its own group as the top: the path may lead nowhere.
        for part in (path, *path.parents):
            folder = mount / part.relative_to("/")
            limit = read_number(folder / files.limit)
            if limit is not None:  # "max" means none
                used = read_number(folder / files.used) or 0
                yield limit, used - _reclaimable(folder / "memory.stat", files.reclaimable)


def _groups(root: Path) -> Iterator[tuple[_Files, PurePosixPath]]:
    """Lines "4:memory:/path" (version 1) and "0::/path" (version 2)."""
    listing = root / "proc/self/cgroup"
    lines = listing.read_text(encoding="utf-8").splitlines() if listing.exists() else []
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            yield _V1, PurePosixPath(path)
        elif number == "0" and not controllers:
            yield _V2, PurePosixPath(path)


def _reclaimable(stat: Path, name: str) -> int:
    """Bytes of cached files that the kernel drops when memory is short."""
    try:
        lines = stat.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    values = dict(line.split(maxsplit=1) for line in lines)
    return int(values.get(name, 0))
