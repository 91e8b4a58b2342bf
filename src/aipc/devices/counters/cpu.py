"""Load of the processor, of all cores together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aipc.devices.counters.counter import Reading, share

# guests' time is in user already, and Windows' interrupts in system
_STATES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")


class CpuCounter:
    """``times`` gives the seconds spent in each state since the start, as psutil.cpu_times does."""

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
