"""The counters of this machine, and what they measured between two moments."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from aipc.devices.adapters import read_adapters
from aipc.devices.counters.counter import Counter, CpuCounter, Reading

_WATCHED = {
    "cpu": ("cpu", frozenset[str]()),
    "npu": ("npu", frozenset[str]()),
    "gpu": ("gpu", frozenset({"intel", ""})),
    "cuda": ("gpu", frozenset({"nvidia", ""})),
    "directml": ("gpu", frozenset[str]()),
    "webgpu": ("gpu", frozenset[str]()),
}
"""Kind of device → (kind of reading, makers; none is any)."""
_EVERY_S = 0.25


def find_counters() -> tuple[Counter, ...]:
    """Every one that this system has; loads no vendor's package."""
    cpu = CpuCounter()
    if sys.platform == "darwin":
        return (cpu,)
    adapters = read_adapters()
    if sys.platform == "win32":
        from aipc.devices.counters.windows import windows_counters

        return (cpu, *windows_counters(adapters))
    from aipc.devices.counters.linux import linux_counters
    from aipc.devices.nvml import nvidia_counters

    return (cpu, *linux_counters(adapters), *nvidia_counters())


@dataclass
class _Mean:
    """Of a value over time."""

    total: float = 0.0
    seconds: float = 0.0

    @property
    def value(self) -> float:
        return self.total / self.seconds

    def add(self, value: float, seconds: float) -> None:
        self.total += value * seconds
        self.seconds += seconds


class Seen:
    """What the counters of one kind of device measured; filled while `watch` runs."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._busy: dict[str, _Mean] = {}
        self._watts: dict[str, _Mean] = {}

    @property
    def busy_share(self) -> float | None:
        """Mean over the time, 0 to 1, of the busiest device; None: no counter reports it."""
        return max((mean.value for mean in self._busy.values()), default=None)

    @property
    def facts(self) -> dict[str, Any]:
        """Ready for JSON: mean load and power drawn of each device; empty: nothing is reported."""
        busy = {name: round(mean.value, 4) for name, mean in self._busy.items()}
        watts = {name: round(mean.value, 2) for name, mean in self._watts.items()}
        shown = {"busy_share": busy, "power_w": watts}
        return {what: by_device for what, by_device in shown.items() if by_device}

    def add(self, reading: Reading, seconds: float) -> None:
        """``reading`` is of the last ``seconds``."""
        if reading.power_w is not None and reading.kind in {_WATCHED[self._kind][0], "package"}:
            self._watts.setdefault(reading.name, _Mean()).add(reading.power_w, seconds)
        if reading.busy_share is not None and is_of(self._kind, reading):
            self._busy.setdefault(reading.name, _Mean()).add(reading.busy_share, seconds)


@contextmanager
def watch(kind: str, counters: Sequence[Counter] | None = None) -> Iterator[Seen]:
    """Measure how busy devices of this kind ("npu", "gpu", "cuda", "cpu" …) are in the block.

    The result may be read inside the block too.  ``counters`` are the machine's own when left
    out.
    """
    watched = find_counters() if counters is None else counters
    seen, ended = Seen(kind), threading.Event()
    last = _sample(watched, None, time.monotonic(), seen)

    def keep_looking() -> None:
        nonlocal last
        while not ended.wait(_EVERY_S):
            last = _sample(watched, last, time.monotonic(), seen)

    thread = threading.Thread(target=keep_looking, name="aipc-counters", daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()
        _sample(watched, last, time.monotonic(), seen)


def is_of(kind: str, reading: Reading) -> bool:
    """Whether a reading may be that of a device of this kind."""
    family, makers = _WATCHED[kind]
    return reading.kind == family and (not makers or reading.maker in makers)


def _sample(counters: Sequence[Counter], last: float | None, now: float, seen: Seen) -> float:
    for counter in counters:
        reading = counter.read(now)
        if reading is not None and last is not None and now > last:
            seen.add(reading, now - last)
    return now
