"""Live load of a device, whatever file or system call reports it; and the processor's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

# guests' time is in user already, and Windows' interrupts in system
_STATES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")


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
        """The load at ``now``, in seconds of a monotonic clock.

        None when there is none: the device went away, or a rate needs a second reading.
        """


class Growth:
    """The rate of a number that never falls, except that it restarts at ``wraps_after``."""

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


class CpuCounter:
    """Load of the processor, all cores together.

    ``times`` returns the seconds spent in each state since the start, as psutil.cpu_times does.
    """

    def __init__(self, times: Callable[[], Any] | None = None) -> None:
        if times is None:
            import psutil

            times = psutil.cpu_times
        self._times = times
        self._last: tuple[float, float] | None = None

    def read(self, now: float) -> Reading | None:  # noqa: ARG002 - the system has its own clock
        times = self._times()
        total = sum(getattr(times, state, 0.0) for state in _STATES)
        last, self._last = self._last, (total, times.idle + getattr(times, "iowait", 0.0))
        if last is None or self._last[0] <= last[0]:
            return None
        spent, idle = self._last[0] - last[0], self._last[1] - last[1]
        return Reading("cpu", "CPU", busy_share=share(1 - idle / spent))
