"""Processes as Linux tells of them in /proc."""

from __future__ import annotations

import os
from pathlib import Path

PROC = Path("/proc")


def children(pid: int) -> list[int]:
    return [int(child) for child in (PROC / f"{pid}/task/{pid}/children").read_text().split()]


def resident_bytes(pid: int) -> int:
    return int((PROC / f"{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def is_there(pid: int) -> bool:
    return (PROC / str(pid)).exists()
