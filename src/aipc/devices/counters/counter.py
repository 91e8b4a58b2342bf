"""Live load of a device: one small interface, whatever file or system call is behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Reading:
    """What one device did since its last reading; None is "not reported by this system"."""

    kind: str
    """One of "cpu", "npu", "gpu" and "package" (a processor with all that is in it)."""
    name: str
    maker: str = ""
    """As in makers.toml; empty where the system does not report it."""
    busy_share: float | None = None
    """Of the time since the last reading: 0 to 1."""
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    power_w: float | None = None
    frequency_mhz: float | None = None


class Counter(Protocol):
    def read(self, now: float) -> Reading | None:
        """What there is to tell at ``now``, seconds of a clock that only goes forward.

        None when nothing can be told: the device went away, or a rate needs a second reading.
        """


class Growth:
    """How fast a number grows that never falls, save that it starts again at its end."""

    def __init__(self, wraps_after: int | None = None) -> None:
        self._wraps_after = wraps_after
        self._last: tuple[float, float] | None = None

    def per_second(self, value: float | None, now: float) -> float | None:
        """Since the last call; None at the first, when no time went by, and after a reset."""
        last = self._last
        self._last = None if value is None else (value, now)
        if value is None or last is None or now <= last[1]:
            return None
        grown = value - last[0]
        if grown < 0:
            if self._wraps_after is None:
                return None
            grown += self._wraps_after
        return grown / (now - last[1])


def share(value: float | None) -> float | None:
    """Within 0 and 1: clocks of two kinds never agree to the last digit."""
    return None if value is None else min(max(value, 0.0), 1.0)
