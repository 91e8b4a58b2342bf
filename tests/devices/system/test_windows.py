from __future__ import annotations

import ctypes
import sys

import pytest

from aipc.devices.system import windows


def test_the_layout_is_the_one_that_windows_checks() -> None:
    assert ctypes.sizeof(windows.PowerStatus) == 12
    assert windows.PowerStatus.battery_saver.offset == 3


@pytest.mark.skipif(sys.platform == "win32", reason="there it works")
@pytest.mark.parametrize(
    "ask",
    [windows.cpu_features, windows.is_remote_session, windows.saves_battery],
)
def test_elsewhere_it_refuses(ask: object) -> None:
    with pytest.raises(OSError, match="Windows"):
        ask()  # type: ignore[operator]


@pytest.mark.skipif(sys.platform != "win32", reason="needs Windows")
def test_windows_tells() -> None:
    assert windows.cpu_name()
    assert windows.saves_battery() in {True, False}
