"""What Windows reports of its machine, through kernel32 and the registry.

Names and layouts are those of Microsoft's reference pages for IsProcessorFeaturePresent,
GetSystemMetrics and GetSystemPowerStatus; keys are read below HKEY_LOCAL_MACHINE.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator, Mapping
from typing import Any

_ELSEWHERE = "this needs Windows"
_AVX2, _AVX512F = 40, 41
_REMOTE_SESSION = 0x1000


def cpu_name() -> str:
    key = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
    return str(registry_value(key, "ProcessorNameString") or "").strip()


def cpu_features() -> tuple[str, ...]:
    """Those of aipc.devices.system.cpu.FEATURES that Windows has a number for: two."""
    known = (("avx2", _AVX2), ("avx512f", _AVX512F))
    kernel32 = _kernel32()
    return tuple(name for name, number in known if kernel32.IsProcessorFeaturePresent(number))


def is_remote_session() -> bool:
    """Whether this is a remote desktop (SM_REMOTESESSION)."""
    if sys.platform == "win32":
        return bool(ctypes.WinDLL("user32").GetSystemMetrics(_REMOTE_SESSION))
    raise OSError(_ELSEWHERE)


class PowerStatus(ctypes.Structure):
    """SYSTEM_POWER_STATUS."""

    _fields_ = (
        ("ac_line", ctypes.c_uint8),
        ("battery_flag", ctypes.c_uint8),
        ("battery_percent", ctypes.c_uint8),
        ("battery_saver", ctypes.c_uint8),
        ("seconds_left", ctypes.c_uint32),
        ("seconds_full", ctypes.c_uint32),
    )


def saves_battery() -> bool:
    """Whether the battery saver is on.

    Raises:
        OSError: Windows refused, or this is not Windows.
    """
    status = PowerStatus()
    if not _kernel32().GetSystemPowerStatus(ctypes.byref(status)):
        raise _last_error()
    return bool(status.battery_saver == 1)


def _kernel32() -> Any:
    if sys.platform == "win32":
        return ctypes.WinDLL("kernel32", use_last_error=True)
    raise OSError(_ELSEWHERE)


def _last_error() -> OSError:
    if sys.platform == "win32":
        return ctypes.WinError(ctypes.get_last_error())
    return OSError(_ELSEWHERE)


def registry_keys(path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(name, values) of each key directly below ``path``; nothing where there is none.

    Keys that only the system may read are left out.
    """
    for name in _names(path):
        values = _values(rf"{path}\{name}")
        if values is not None:
            yield name, values


def registry_value(path: str, name: str) -> Any:
    """One value; None where there is none."""
    return (_values(path) or {}).get(name)


def _names(path: str) -> list[str]:
    if sys.platform == "win32":
        import winreg

        try:
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, path) as key:
                return [winreg.EnumKey(key, at) for at in range(winreg.QueryInfoKey(key)[0])]
        except OSError:
            return []
    return []


def _values(path: str) -> Mapping[str, Any] | None:
    if sys.platform == "win32":
        import winreg

        try:
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, path) as key:
                values = [winreg.EnumValue(key, at) for at in range(winreg.QueryInfoKey(key)[1])]
        except OSError:
            return None
        return {name: value for name, value, _ in values}
    return None
