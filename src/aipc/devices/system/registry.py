"""The Windows registry, read below HKEY_LOCAL_MACHINE."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any


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
