"""Load of GPUs and NPUs on Windows, from the counters (pdh.dll) that the Task Manager shows.

Functions and layouts: Microsoft's reference pages for PdhAddEnglishCounterW and
PdhGetFormattedCounterArrayW.
"""

from __future__ import annotations

import ctypes
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from aipc.devices.adapters import Adapter
from aipc.devices.counters.counter import Counter, Reading, share
from aipc.devices.makers import makers
from aipc.devices.system.windows import registry_keys

_DOUBLE = 0x200  # PDH_FMT_DOUBLE
_MORE_DATA = 0x800007D2  # PDH_MORE_DATA
_VALID = (0, 1)  # PDH_CSTATUS_VALID_DATA, PDH_CSTATUS_NEW_DATA
_TRIES = 5  # processes come between asking for the size and for the values
_PLAUSIBLE = 150.0
"""Percent of one engine for one process.  More was never computed: drivers report it when they
account late (1,413 on an Arc 130V) or when their counter runs backwards (279,947, the same)."""

BUSY = r"\GPU Engine(*)\Utilization Percentage"
OWN_MEMORY = r"\GPU Adapter Memory(*)\Dedicated Usage"
SHARED_MEMORY = r"\GPU Adapter Memory(*)\Shared Usage"
_LUID = re.compile(r"luid_0x([0-9A-Fa-f]{8})_0x([0-9A-Fa-f]{8})")
_GRAPHICS = "engtype_3d"
_ENGINE = re.compile(r"_phys_\d+_eng_\d+")
_MICROSOFT = 0x1414
Sample = Mapping[str, Mapping[str, float]]


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
        """Of each instance that has a valid value."""
        size, count = ctypes.c_uint32(0), ctypes.c_uint32(0)
        buffer = None
        for _ in range(_TRIES):
            status = self._pdh.PdhGetFormattedCounterArrayW(
                counter, _DOUBLE, ctypes.byref(size), ctypes.byref(count), buffer
            )
            if status & 0xFFFFFFFF != _MORE_DATA:
                break
            buffer = ctypes.create_string_buffer(size.value)
        if status or buffer is None:
            return
        items = ctypes.cast(buffer, ctypes.POINTER(Item))
        for item in items[: count.value]:
            if item.status in _VALID and item.name:
                yield item.name, item.value


def _library() -> Any:
    if sys.platform == "win32":
        return ctypes.WinDLL("pdh")
    raise OSError("this needs Windows")


def _check(status: int) -> None:
    if status:
        raise OSError(f"Windows' performance counters answer 0x{status & 0xFFFFFFFF:08X}")


class Samples:
    """One sample of all adapters for every counter that reads at the same moment."""

    def __init__(self, sample: Callable[[], Sample]) -> None:
        self._sample = sample
        self._taken: tuple[float, Sample] | None = None

    def at(self, now: float) -> Sample:
        if self._taken is None or self._taken[0] != now:
            self._taken = (now, self._sample())
        return self._taken[1]


class AdapterCounter:
    """A GPU or an NPU, known to Windows by its locally unique number.

    ``luid`` is None where DirectX keeps no number of it: then it is the one adapter that is
    in none of ``others`` and has no engine for graphics, if there is just one.
    """

    def __init__(
        self,
        luid: int | None,
        adapter: Adapter,
        samples: Samples,
        others: Collection[int] = (),
    ) -> None:
        self._luid = luid
        self._adapter = adapter
        self._samples = samples
        self._others = others

    def read(self, now: float) -> Reading | None:
        sample = self._samples.at(now)
        luid = self._luid or luid_without_graphics(sample[BUSY], self._others)
        if luid is None:
            return Reading(self._adapter.kind, self._adapter.name, self._adapter.maker)
        instances = (sample[OWN_MEMORY], sample[SHARED_MEMORY])
        memory = [
            value for part in instances for name, value in part.items() if luid_of(name) == luid
        ]
        return Reading(
            self._adapter.kind,
            self._adapter.name,
            self._adapter.maker,
            busy_share=busiest_engine(sample[BUSY], luid),
            memory_used_bytes=int(sum(memory)) if memory else None,
            memory_total_bytes=self._adapter.memory_bytes,
        )


def windows_counters(adapters: Sequence[Adapter]) -> tuple[Counter, ...]:
    """Those that this machine has; before Windows 10 1709 there are none of GPUs."""
    try:
        query = Query((BUSY, OWN_MEMORY, SHARED_MEMORY))
    except OSError:
        return ()
    samples = Samples(query.sample)
    keys = [values for _, values in registry_keys(r"SOFTWARE\Microsoft\DirectX")]
    numbered = adapters_by_luid(keys, adapters)
    others = {*numbered, *_luids_of_software(keys)}
    of_adapters = [AdapterCounter(luid, one, samples) for luid, one in numbered.items()]
    of_npus = [
        AdapterCounter(None, one, samples, others)
        for one in adapters
        if one.kind == "npu" and one not in numbered.values()
    ]
    return (*of_adapters, *of_npus)


def adapters_by_luid(
    keys: Iterable[Mapping[str, Any]], adapters: Sequence[Adapter]
) -> Mapping[int, Adapter]:
    """Windows keeps what DirectX knows of an adapter, also of ones that it knew before.

    A key has AdapterLuid, Description, VendorId, DeviceId, and LastSeen (100 ns since 1601): the
    number is another one after each start, and the newest is the one that holds.
    """
    found, left = {}, list(adapters)
    for values in sorted(keys, key=_last_seen, reverse=True):
        luid = values.get("AdapterLuid")
        adapter = next((one for one in left if _is_of(values, one)), None)
        if isinstance(luid, int) and adapter is not None:
            found[luid] = adapter
            left.remove(adapter)
    return found


def _last_seen(values: Mapping[str, Any]) -> int:
    seen = values.get("LastSeen")
    return seen if isinstance(seen, int) else 0


def _is_of(values: Mapping[str, Any], adapter: Adapter) -> bool:
    if values.get("Description") == adapter.name:
        return True
    vendor, device = values.get("VendorId"), values.get("DeviceId")
    if not isinstance(vendor, int) or not isinstance(device, int):
        return False
    maker = makers().get(f"0x{vendor:04x}")
    is_made = maker is not None and maker.name == adapter.maker
    return is_made and f"0x{device:04x}" == adapter.device_id


def _luids_of_software(keys: Iterable[Mapping[str, Any]]) -> Iterator[int]:
    """Those of Windows' own renderer, which is no device."""
    for values in keys:
        if values.get("VendorId") == _MICROSOFT and isinstance(values.get("AdapterLuid"), int):
            yield values["AdapterLuid"]


def luid_of(instance: str) -> int | None:
    """From "pid_4_luid_0x00000000_0x0000C4F1_phys_0_eng_0_engtype_3D"."""
    match = _LUID.search(instance)
    return None if match is None else int(match[1], 16) << 32 | int(match[2], 16)


def luid_without_graphics(instances: Mapping[str, float], others: Collection[int]) -> int | None:
    """The number of the only adapter, besides ``others``, that has engines and none for 3D."""
    seen = {luid_of(name) for name in instances} - {None, *others}
    seen -= {luid_of(name) for name in instances if name.lower().endswith(_GRAPHICS)}
    return seen.pop() if len(seen) == 1 else None


def busiest_engine(instances: Mapping[str, float], luid: int) -> float | None:
    """The share of time of an adapter's busiest engine, all processes together: 0 to 1.

    None where it reports none, or one that can't be.
    """
    engines: dict[str, float] = defaultdict(float)
    for name, percent in instances.items():
        engine = _ENGINE.search(name)
        if engine and luid_of(name) == luid:
            if not 0 <= percent <= _PLAUSIBLE:
                return None
            engines[engine[0]] += percent
    return share(max(engines.values()) / 100) if engines else None
