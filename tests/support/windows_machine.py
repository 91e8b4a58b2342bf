"""A Windows machine out of a file: its registry as ``reg query KEY /s`` prints it, and pdh.dll."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from aipc.devices.counters.windows import Item

MORE_DATA, NO_DATA = 0x800007D2, 0xC0000BC6
INVALID_DATA = 0xC0000BBA
_ROOT = "HKEY_LOCAL_MACHINE\\"
_INDENT = "    "


def read_registry(file: Path) -> dict[str, dict[str, Any]]:
    """Path below HKEY_LOCAL_MACHINE → name → value."""
    keys: dict[str, dict[str, Any]] = {}
    values: dict[str, Any] = {}
    for line in file.read_text("utf-8").splitlines():
        if line.startswith(_ROOT):
            values = keys.setdefault(line.removeprefix(_ROOT), {})
        elif line.startswith(_INDENT):
            name, kind, text = line.strip().split(_INDENT, 2)
            values[name] = text if kind == "REG_SZ" else int(text, 16)
    return keys


class _Key:
    """An open key, as winreg's functions take one."""

    def __init__(self, path: str, keys: Mapping[str, Mapping[str, Any]]) -> None:
        below = [one for one in keys if one.startswith(path + "\\")]
        if path not in keys and not below:
            raise FileNotFoundError(2, "The system cannot find the file specified")
        self.names = list(dict.fromkeys(one[len(path) + 1 :].split("\\")[0] for one in below))
        self.values = list(keys.get(path, {}).items())

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        pass


def install_registry(keys: Mapping[str, Mapping[str, Any]], patch: pytest.MonkeyPatch) -> None:
    """Have this process believe that it is on Windows, with these keys."""
    winreg = ModuleType("winreg")
    table = {
        "HKEY_LOCAL_MACHINE": None,
        "OpenKey": lambda _, path: _Key(path, keys),
        "QueryInfoKey": lambda key: (len(key.names), len(key.values), 0),
        "EnumKey": lambda key, at: key.names[at],
        "EnumValue": lambda key, at: (*key.values[at], 1),
    }
    vars(winreg).update(table)
    patch.setitem(sys.modules, "winreg", winreg)
    patch.setattr(sys, "platform", "win32")


@dataclass
class RecordedPdh:
    """Answers as pdh.dll: in its layouts, with its statuses.

    ``instances``: path of a counter → [(name, status of the value, value)].  ``late`` more of them
    come between asking for the size and asking for the values, once each.
    """

    instances: dict[str, list[tuple[str, int, float]]]
    late: list[tuple[str, int, float]] = field(default_factory=list)
    collects: int = 0
    paths: list[str] = field(default_factory=list)

    def PdhOpenQueryW(self, *_: Any) -> int:  # noqa: N802
        return 0

    def PdhAddEnglishCounterW(self, query: Any, path: str, user: Any, counter: Any) -> int:  # noqa: N802
        self.paths.append(path)
        counter._obj.value = len(self.paths)
        return 0

    def PdhCollectQueryData(self, query: Any) -> int:  # noqa: N802
        return self.collects

    def PdhGetFormattedCounterArrayW(  # noqa: N802
        self, counter: Any, form: int, size: Any, count: Any, buffer: Any
    ) -> int:
        assert form == 0x200  # PDH_FMT_DOUBLE: a number, and so no text of any language
        path = self.paths[counter.value - 1]
        items = self.instances.get(path)
        if items is None:
            return NO_DATA - 2**32  # ctypes reads a PDH_STATUS as a signed number
        if buffer is not None and self.late:
            items.append(self.late.pop())
        needed = ctypes.sizeof(Item) * len(items)
        if buffer is None or size._obj.value < needed:
            size._obj.value = needed
            return MORE_DATA - 2**32
        count._obj.value = len(items)
        array = ctypes.cast(buffer, ctypes.POINTER(Item))
        for at, (name, status, value) in enumerate(items):
            array[at].name, array[at].status, array[at].value = name, status, value
        return 0
