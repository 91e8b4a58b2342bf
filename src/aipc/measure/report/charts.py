"""What a report's pictures show, as plain data: nothing here knows how they are drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import median

from aipc.measure.bench.figures import first_token, gaps_by_position, warm
from aipc.measure.bench.workload import Case
from aipc.measure.report.findings import ReportEntry, Section
from aipc.measure.statistics import of_median, quantile

POINTS = 32
"""A line has at most so many; of a longer answer, neighbors are taken together."""


@dataclass(frozen=True)
class ChartLine:
    """Medians over x, with a band that half of the values lie in; ``style`` distinguishes lines."""

    label: str
    style: int
    x: tuple[float, ...]
    middle: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class ChartMark:
    """A single value beside the lines, drawn hollow: it is not one of them."""

    style: int
    x: float
    y: float


@dataclass(frozen=True)
class Panel:
    title: str
    lines: tuple[ChartLine, ...]
    marks: tuple[ChartMark, ...] = ()


@dataclass(frozen=True)
class LineChart:
    """``is_log``: both axes, with ticks at the lines' own x.

    ``marks`` names what the hollow marks are; ``top`` is where the vertical axis ends.
    """

    panels: tuple[Panel, ...]
    x_label: str
    y_label: str
    is_log: bool = False
    marks: str = ""
    top: float | None = None


@dataclass(frozen=True)
class Bar:
    """``text`` is the value in words for people; ``mark`` another value, a stroke on the bar."""

    label: str
    style: int
    value: float
    text: str
    mark: float | None = None


@dataclass(frozen=True)
class BarPanel:
    title: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class BarChart:
    """``limit`` is a value that the axis shows in any case, with a line; ``mark`` names marks."""

    panels: tuple[BarPanel, ...]
    x_label: str
    limit: float | None = None
    mark: str = ""


@dataclass(frozen=True)
class Point:
    label: str
    style: int
    x: float
    y: float


@dataclass(frozen=True)
class PointChart:
    """``frontiers`` has for each machine the positions of the points on it, from left to right."""

    points: tuple[Point, ...]
    frontiers: tuple[tuple[int, ...], ...]
    x_label: str
    y_label: str


Chart = LineChart | BarChart | PointChart


@dataclass(frozen=True)
class ReportTable:
    """``head`` names the columns; those from ``right`` on hold numbers."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: int = 1


@dataclass(frozen=True)
class Picture:
    """A chart, or None and in ``absent`` why there is none; and its figures in a table.

    ``name`` is fit for a file's name and for an id; ``about`` says what is seen.
    """

    name: str
    title: str
    about: str
    chart: Chart | None
    absent: str = ""
    table: ReportTable | None = None
    notes: tuple[str, ...] = ()


def step_line(entry: ReportEntry, case: Case) -> ChartLine | None:
    """Milliseconds to each token from the one before it; the first is the answer's second token.

    None where there are no samples of the case, or all tokens came at once.
    """
    steps = _by_place(entry, case)
    if not steps:
        return None
    pool = pooled_places(case)
    pooled: dict[int, list[float]] = {}
    for position, milliseconds in sorted(steps.items()):
        pooled.setdefault((position - 1) // pool, []).extend(milliseconds)
    return ChartLine(
        entry.label,
        entry.style,
        tuple(1 + pool * at + (pool + 1) / 2 for at in pooled),
        tuple(map(median, pooled.values())),
        tuple(quantile(values, 0.25) for values in pooled.values()),
        tuple(quantile(values, 0.75) for values in pooled.values()),
    )


def pooled_places(case: Case) -> int:
    """How many tokens of an answer one point of a line stands for."""
    return math.ceil((case.output - 1) / POINTS)


def first_token_line(entry: ReportEntry, section: Section) -> ChartLine | None:
    """Seconds to the first token by length of the prompt; None where there are no samples."""
    found = [
        (prompt, of_median(list(map(first_token, samples))))
        for prompt in section.workload.prompts
        if (samples := warm(entry.participant, replace(section.typical, prompt=prompt)))
    ]
    if not found:
        return None
    return ChartLine(
        entry.label,
        entry.style,
        tuple(float(prompt) for prompt, _ in found),
        tuple(interval.middle for _, interval in found),
        tuple(interval.low for _, interval in found),
        tuple(interval.high for _, interval in found),
    )


def _by_place(entry: ReportEntry, case: Case) -> dict[int, list[float]]:
    """Place in the answer from 0 → milliseconds, of every sequence of every repeat."""
    found: dict[int, list[float]] = {}
    for sample in warm(entry.participant, case):
        for times in sample.times:
            for position, seconds in gaps_by_position(times):
                found.setdefault(position, []).append(1e3 * seconds)
    return found
