"""Numbers in words for a report: units named, absent things said to be absent."""

from __future__ import annotations

from collections.abc import Sequence

from aipc.measure.bench.workload import Case
from aipc.measure.statistics import Interval

ABSENT = "not measured"
_TIMES = "\N{MULTIPLICATION SIGN}"


def seconds(value: float | None) -> str:
    if value is None:
        return ABSENT
    if value < 0.1:
        return f"{value * 1e3:.1f} ms"
    return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def milliseconds(value: float | None) -> str:
    return ABSENT if value is None else f"{value * 1e3:.1f} ms"


def rate(value: float | None) -> str:
    if value is None:
        return ABSENT
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def share(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.0%}"


def joules(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.3g} J"


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
