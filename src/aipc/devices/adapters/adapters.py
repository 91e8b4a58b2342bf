"""GPUs and NPUs as the operating system sees them, whether or not a runtime reaches them."""

from __future__ import annotations

import sys

from aipc.devices.adapters.adapter import Adapter


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
