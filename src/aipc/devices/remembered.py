"""The devices of this machine as an earlier session found them.

Asking OpenVINO loads it, 0.3 s that a session with ONNX Runtime has no other use for.  The answer
is kept under what it depends on: what the operating system sees of GPUs and NPUs, their drivers,
the packages, the libraries of the system.  A device that is gone all the same is missed, in plain
words, by the runtime that is to open it.
"""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aipc.devices.adapters import read_adapters
from aipc.devices.device import Device
from aipc.devices.reach import ask_runtimes, reachable_devices
from aipc.devices.system.cpu import read_cpu
from aipc.devices.wheels import installed
from aipc.records import JsonCache, Misfit, plain, read

_LIBRARIES = Path("/etc/ld.so.cache")
"""Written anew whenever a package with libraries comes or goes: Linux, `man ldconfig`."""
_VARIABLES = (
    *("DNNL_", "LD_", "LIBOV_", "NEO", "ONEAPI_", "ONEDNN_", "OPENVINO_", "OV_", "ZE_"),
    *("ORT_", "VK_"),
)


def remembered_devices(folder: Path) -> tuple[Device, ...]:
    """As `reachable_devices` of all runtimes; ``folder`` keeps what it was told, need not exist."""
    cache, identity = JsonCache(folder), _identity()
    with suppress(Misfit, TypeError):
        return tuple(read(Device, entry) for entry in cache.find(identity))
    devices, problems = ask_runtimes()
    if not devices:
        return reachable_devices()  # which raises the first problem
    if not problems:
        cache.keep(identity, [plain(device) for device in devices])
    return devices


def _identity() -> dict[str, Any]:
    """All that the answer holds for, ready for JSON."""
    return {
        "adapters": [asdict(adapter) for adapter in read_adapters()],
        "cpu": asdict(read_cpu()),
        "packages": dict(installed()),
        "system": [platform.release(), platform.version()],
        "libraries": _LIBRARIES.stat().st_mtime_ns if _LIBRARIES.is_file() else None,
        "environment": {
            name: value for name, value in os.environ.items() if name.startswith(_VARIABLES)
        },
    }
