"""What disturbed a benchmark: other programs, a falling clock, repeats that differ."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from aipc.devices.counters.counter import Counter
from aipc.devices.counters.watch import find_counters
from aipc.devices.system.cpu import current_mhz, read_cpu, throttled
from aipc.measure.bench.result import Noise, Participant
from aipc.measure.statistics import spread

OTHERS = 0.05  # share of the processor's time that other programs may have unnoticed
SLOWDOWN = 0.85  # of the fastest clock seen
SPREAD = 0.1  # of the middle half of the repeats, relative to their median


class Listener:
    """Listens while samples are taken; ``counters`` are the machine's own when left out."""

    def __init__(self, counters: Sequence[Counter] | None = None) -> None:
        self._counters = find_counters() if counters is None else counters
        self._threads = read_cpu().usable_threads
        self._others: list[tuple[float, float]] = []
        self._clocks: list[float] = []
        self._throttled = throttled()

    @contextmanager
    def sample(self, own_cpu: list[float]) -> Iterator[None]:
        """Around one sample; the block puts the processor's seconds that it took in ``own_cpu``."""
        self._busy()
        own, started = time.process_time(), time.perf_counter()
        yield
        seconds, busy = time.perf_counter() - started, self._busy()
        if busy is not None and own_cpu:
            used = (time.process_time() - own + sum(own_cpu)) / (self._threads * seconds)
            self._others.append((max(busy - used, 0.0), seconds))
        clock = current_mhz()
        if clock is not None:
            self._clocks.append(clock)

    def noise(self, participants: Sequence[Participant]) -> Noise:
        """What was heard, and how the participants' repeats differ."""
        total = sum(seconds for _, seconds in self._others)
        others = sum(share * s for share, s in self._others) / total if total else None
        slowest, fastest = min(self._clocks, default=None), max(self._clocks, default=None)
        slowed = throttled()
        warnings = []
        if others is not None and others > OTHERS:
            warnings.append(f"other programs took {others:.0%} of the processor")
        if slowest is not None and fastest is not None and slowest < SLOWDOWN * fastest:
            warnings.append(f"the processor's clock fell from {fastest:.0f} to {slowest:.0f} MHz")
        if slowed is not None and self._throttled is not None and slowed != self._throttled:
            warnings.append(f"heat slowed a core down {slowed - self._throttled} times")
        return Noise(others, slowest, fastest, (*warnings, *_unsteady(participants)))

    def _busy(self) -> float | None:
        """Share of the processor's time since the last call."""
        now = time.monotonic()
        readings = [counter.read(now) for counter in self._counters]
        shares = [one.busy_share for one in readings if one is not None and one.kind == "cpu"]
        return shares[0] if shares else None


def _unsteady(participants: Sequence[Participant]) -> Iterator[str]:
    """Of each participant the case whose repeats differ most, if they differ much."""
    for one in participants:
        runs: dict[tuple[int, int, int], list[float]] = {}
        for sample in one.samples:
            if not sample.cold:
                case = sample.prompt, len(sample.times[0]), sample.batch
                runs.setdefault(case, []).append(sample.seconds)
        spreads = {case: spread(seconds) for case, seconds in runs.items()}
        worst = max(spreads, key=lambda case: spreads[case], default=None)
        if worst is not None and spreads[worst] > SPREAD:
            yield (
                f"repeats of {one.name} differ by {spreads[worst]:.0%} "
                f"(prompt {worst[0]}, {worst[1]} tokens, batch {worst[2]})"
            )
