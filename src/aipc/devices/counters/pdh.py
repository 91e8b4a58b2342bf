"""Windows' performance counters (pdh.dll): what the Task Manager shows of GPUs and NPUs.

Functions and layouts: Microsoft's reference pages for PdhAddEnglishCounterW and
PdhGetFormattedCounterArrayW.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator, Mapping
from typing import Any

_DOUBLE = 0x200  # PDH_FMT_DOUBLE
_MORE_DATA = 0x800007D2  # PDH_MORE_DATA


class Item(ctypes.Structure):
    """PDH_FMT_COUNTERVALUE_ITEM_W with a double as its value."""

    _fields_ = (
        ("name", ctypes.c_wchar_p),
        ("status", ctypes.c_uint32),
        ("value", ctypes.c_double),
    )


class Query:
    """Some counters, each with all its instances, sampled together."""

    def __init__(self, paths: tuple[str, ...]) -> None:
        """Raises OSError where Windows has no such counters, or this is not Windows."""
        self._pdh = _library()
        self._query = ctypes.c_void_p()
        _check(self._pdh.PdhOpenQueryW(None, None, ctypes.byref(self._query)))
        self._counters = {path: self._add(path) for path in paths}

    def sample(self) -> Mapping[str, Mapping[str, float]]:
        """Path → instance → value; rates are since the last sample, and empty at the first."""
        if self._pdh.PdhCollectQueryData(self._query):
            return {path: {} for path in self._counters}
        return {path: dict(self._values(counter)) for path, counter in self._counters.items()}

    def _add(self, path: str) -> Any:
        counter = ctypes.c_void_p()
        _check(self._pdh.PdhAddEnglishCounterW(self._query, path, None, ctypes.byref(counter)))
        return counter

    def _values(self, counter: Any) -> Iterator[tuple[str, float]]:
        size, count = ctypes.c_uint32(0), ctypes.c_uint32(0)
        ask = self._pdh.PdhGetFormattedCounterArrayW
        status = ask(counter, _DOUBLE, ctypes.byref(size), ctypes.byref(count), None)
        if status & 0xFFFFFFFF != _MORE_DATA:
            return
        buffer = ctypes.create_string_buffer(size.value)
        if not ask(counter, _DOUBLE, ctypes.byref(size), ctypes.byref(count), buffer):
            items = ctypes.cast(buffer, ctypes.POINTER(Item))
            yield from ((items[at].name, items[at].value) for at in range(count.value))


def _library() -> Any:
    if sys.platform == "win32":
        return ctypes.WinDLL("pdh")
    raise OSError("this needs Windows")


def _check(status: int) -> None:
    if status:
        raise OSError(f"Windows' performance counters answer 0x{status & 0xFFFFFFFF:08X}")
