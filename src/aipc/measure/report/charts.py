"""What a report's pictures show, as plain data: nothing here knows how they are drawn."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ChartLine:
    """Medians over x, with a band that half of the values lie in; ``style`` tells lines apart."""

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
    """``told`` is the value in words for people; ``mark`` another value, a stroke on the bar."""

    label: str
    style: int
    value: float
    told: str
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
    """``frontiers`` has for each machine the places of the points on it, from left to right."""

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
