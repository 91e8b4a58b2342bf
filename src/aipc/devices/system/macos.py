"""What macOS tells of its machine, through its own program ``sysctl``."""

from __future__ import annotations

import subprocess


def sysctl(name: str) -> str:
    """The value of one of the kernel's variables, such as "hw.memsize"."""
    command = ["/usr/sbin/sysctl", "-n", name]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
