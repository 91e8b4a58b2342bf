"""What a report says of ratios, estimates and cases; plain quantities are in `aipc.units`."""

from __future__ import annotations

from collections.abc import Sequence

from aipc.measure.bench.workload import Case
from aipc.measure.statistics import Interval
from aipc.units import ABSENT

_TIMES = "\N{MULTIPLICATION SIGN}"


def ratio(times: Interval) -> str:
    """Without bounds where there is but one value."""
    middle = f"{times.middle:.2f}{_TIMES}"
    return middle if times.confidence == 0 else f"{middle} ({times.low:.2f} to {times.high:.2f})"


def estimate(interval: Interval | None, form: str) -> str:
    if interval is None:
        return ABSENT
    return f"{interval.middle:{form}} ({interval.low:{form}} to {interval.high:{form}})"


def case(one: Case) -> str:
    batch = f" {_TIMES} {one.batch}" if one.batch > 1 else ""
    return f"{one.prompt:,} + {one.output:,}{batch}"


def listed(values: Sequence[object]) -> str:
    """As a sentence lists them: "a, b and c"."""
    *most, last = map(str, values)
    return f"{', '.join(most)} and {last}" if most else last
