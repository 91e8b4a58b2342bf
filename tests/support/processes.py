"""Processes as Linux tells of them in /proc."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

PROC = Path("/proc")
SETTLED_S = 30


def children(pid: int) -> list[int]:
    return [int(child) for child in (PROC / f"{pid}/task/{pid}/children").read_text().split()]


def descendants(pid: int) -> list[int]:
    """Of all generations; empty where it has ended meanwhile."""
    try:
        found = children(pid)
    except OSError:
        return []
    return [*found, *(each for child in found for each in descendants(child))]


def settle(pids: Sequence[int]) -> None:
    """Wait until these processes have ended."""
    deadline = time.monotonic() + SETTLED_S
    while any(is_there(pid) for pid in pids):
        assert time.monotonic() < deadline, f"left behind: {pids}"
        time.sleep(0.02)


def resident_bytes(pid: int) -> int:
    return int((PROC / f"{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def address_bytes(pid: int) -> int:
    """Of its address space, which libraries take without touching it."""
    return int((PROC / f"{pid}/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def is_there(pid: int) -> bool:
    return (PROC / str(pid)).exists()
