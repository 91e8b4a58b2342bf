"""GPUs and NPUs as the operating system sees them, whether or not a runtime reaches them."""

from __future__ import annotations

import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Adapter:
    kind: str
    """Its family: "gpu" or "npu"."""
    maker: str
    """As in makers.toml: "intel", "nvidia", "amd", "qualcomm"."""
    name: str
    slot: str = ""
    """Where it sits: "0000:00:02.0"; empty where the system does not tell."""
    device_id: str = ""
    """The maker's number of the model: "0x7d55"."""
    module: str | None = None
    """Linux: the kernel's driver for it ("xe", "nvidia"); None: it has none."""
    driver: str | None = None
    """The driver's version; None where the system does not tell."""
    memory_bytes: int | None = None
    """Memory of its own; None where it uses the machine's or the system does not tell."""
    node: str | None = None
    """Linux: the file through which programs reach it."""
    may_open: bool = True
    """Whether this user may open ``node``."""


def read_adapters() -> tuple[Adapter, ...]:
    """Ask the operating system; empty on macOS, whose GPU no runtime here reaches."""
    if sys.platform == "win32":
        from aipc.devices.adapters.windows import read_windows_adapters

        return read_windows_adapters()
    if sys.platform == "darwin":
        return ()
    from aipc.devices.adapters.linux import read_linux_adapters
    from aipc.devices.nvml import with_nvml

    return with_nvml(read_linux_adapters())
