from __future__ import annotations

import ctypes
import struct
import sys

import pytest

from aipc.devices.system import windows


def test_the_layout_is_the_one_that_windows_checks() -> None:
    assert ctypes.sizeof(windows.MemoryStatus) == 64
    assert windows.MemoryStatus.available_physical.offset == 16


def test_records_of_different_lengths_are_walked() -> None:
    buffer = b"".join(
        struct.pack("<II", kind, length).ljust(length, b"\xff")
        for kind, length in ((0, 48), (0, 32), (3, 40))
    )
    assert list(windows.record_kinds(buffer)) == [0, 0, 3]


@pytest.mark.skipif(sys.platform == "win32", reason="there it works")
@pytest.mark.parametrize(
    "ask",
    [windows.physical_memory, windows.cpu_name, windows.cpu_features, windows.physical_cores],
)
def test_elsewhere_it_refuses(ask: object) -> None:
    with pytest.raises(OSError, match="Windows"):
        ask()  # type: ignore[operator]


@pytest.mark.skipif(sys.platform != "win32", reason="needs Windows")
def test_windows_tells() -> None:
    total, available = windows.physical_memory()
    assert 0 < available <= total
    assert windows.cpu_name()
    assert windows.physical_cores() >= 1
