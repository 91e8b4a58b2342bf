"""Charts drawn by matplotlib, in the light colors of `aipc.measure.report.theme`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from aipc.measure.report.charts import (
    BarChart,
    BarPanel,
    Chart,
    ChartLine,
    LineChart,
    Panel,
    PointChart,
)
from aipc.measure.report.theme import PARTICIPANTS, color_of, dashes_of, light, marker_of, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase

_WIDTH = 9.6  # inches
_FILE_HEIGHT = 5.4  # of every picture that stands alone
_HEADING = 0.62
_CREDIT = 130  # characters that fit into a line
_BESIDE = 1.012
"""Places on a logarithmic axis where one participant's value stands beside another's."""
_RESOLUTION = 160  # dots an inch


@dataclass(frozen=True)
class Heading:
    """What a picture says of itself where no page does: its title, and of what, where and when."""

    title: str
    credit: str


def draw_svg(chart: Chart, heading: Heading | None = None) -> str:
    """As matplotlib writes it: text stays text, and the same chart gives the same bytes.

    With a ``heading`` it stands alone, as large as every other such picture.

    Raises:
        MeasurementError: matplotlib is not installed.
    """
    return _drawn(chart, heading, format="svg", metadata={"Date": None, "Creator": None}).decode()


def draw_png(chart: Chart, heading: Heading | None = None) -> bytes:
    """Errors are those of `draw_svg`."""
    return _drawn(chart, heading, format="png", dpi=_RESOLUTION, metadata={"Software": None})


def _drawn(chart: Chart, heading: Heading | None, **options: Any) -> bytes:
    with style():
        figure = _page_figure(chart) if heading is None else _file_figure(chart, heading)
        written = BytesIO()
        figure.savefig(written, **options)
    return written.getvalue()


def _page_figure(chart: Chart) -> Figure:
    """As high as its bars or its legend need."""
    from matplotlib.figure import Figure

    height = 3.9
    if isinstance(chart, BarChart):
        rows = max(len(panel.bars) for panel in chart.panels)
        height = 0.75 + 0.42 * rows + (0.3 if chart.mark else 0)
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    rows = _draw(figure, chart)
    figure.set_figheight(height + 0.2 * (rows - 1))
    return figure


def _file_figure(chart: Chart, heading: Heading) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, _FILE_HEIGHT), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(_HEADING, _FILE_HEIGHT - _HEADING))
    head, body = parts
    head.text(0.008, 0.62, heading.title, fontsize=13, va="center")
    credit = shorten(heading.credit, _CREDIT, placeholder=" …")
    head.text(0.008, 0.16, credit, color=light("soft"), va="center")
    _draw(body, chart)
    return figure


def _draw(figure: FigureBase, chart: Chart) -> int:
    """Draw the chart; gives the legend's rows."""
    is_bars = isinstance(chart, BarChart)
    count = len(chart.panels) if not isinstance(chart, PointChart) else 1
    axes = figure.subplots(1, count, sharey=True, squeeze=False)[0]
    for one in axes:
        one.tick_params(length=0 if is_bars else 3)
    if isinstance(chart, LineChart):
        return _draw_lines(figure, axes, chart)
    if isinstance(chart, BarChart):
        return _draw_bars(figure, axes, chart)
    return _draw_points(figure, axes[0], chart)


def _draw_lines(figure: FigureBase, axes: Any, chart: LineChart) -> int:
    for one, panel in zip(axes, chart.panels, strict=True):
        for line in panel.lines:
            _draw_line(one, line, is_log=chart.is_log)
        _draw_marks(one, panel)
        one.set_title(panel.title)
        one.set_xlabel(chart.x_label)
        _scale(one, chart, panel)
    axes[0].set_ylabel(chart.y_label)
    handles, labels = axes[0].get_legend_handles_labels()
    if chart.marks:
        handles.append(_hollow())
        labels.append(chart.marks)
    return _legend(figure, handles, labels)


def _draw_line(axes: Axes, line: ChartLine, *, is_log: bool) -> None:
    """A band where there are many values, strokes at each where there are few."""
    color, dash = color_of(line.style), dashes_of(line.style)
    if is_log:
        beside = _BESIDE ** (line.style % len(PARTICIPANTS))
        errors = [
            [middle - low for middle, low in zip(line.middle, line.low, strict=True)],
            [high - middle for middle, high in zip(line.middle, line.high, strict=True)],
        ]
        axes.errorbar(
            [x * beside for x in line.x],
            line.middle,
            errors,
            color=color,
            linestyle=dash,
            marker=marker_of(line.style),
            markersize=5.5,
            elinewidth=1,
            label=line.label,
        )
        return
    axes.fill_between(line.x, line.low, line.high, color=color, alpha=0.14, linewidth=0)
    axes.plot(line.x, line.middle, color=color, linestyle=dash, label=line.label)


def _draw_marks(axes: Axes, panel: Panel) -> None:
    for mark in panel.marks:
        axes.plot(
            mark.x * _BESIDE ** (mark.style % len(PARTICIPANTS)),
            mark.y,
            marker=marker_of(mark.style),
            markersize=7.5,
            markerfacecolor=light("raised"),
            markeredgecolor=color_of(mark.style),
            markeredgewidth=1.6,
            linestyle="none",
        )


def _hollow() -> Any:
    from matplotlib.lines import Line2D

    return Line2D(
        [],
        [],
        marker="o",
        markersize=7,
        markerfacecolor=light("raised"),
        markeredgecolor=light("soft"),
        markeredgewidth=1.4,
        linestyle="none",
    )


def _scale(axes: Axes, chart: LineChart, panel: Panel) -> None:
    if not chart.is_log:
        axes.set_ylim(0, chart.top)
        axes.margins(x=0.02)
        return
    ticks = sorted({x for line in panel.lines for x in line.x})
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{x:,.0f}" for x in ticks])
    axes.set_xticks([], minor=True)
    axes.margins(x=0.08, y=0.12)
    _log_ticks(axes.yaxis, axes.set_yscale)


def _log_ticks(axis: Any, set_scale: Callable[[str], None]) -> None:
    """Plain numbers at 1, 2 and 5 of each power of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    set_scale("log")
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _draw_bars(figure: FigureBase, axes: Any, chart: BarChart) -> int:
    from matplotlib.lines import Line2D

    labels = list(dict.fromkeys(bar.label for panel in chart.panels for bar in panel.bars))
    for one, panel in zip(axes, chart.panels, strict=True):
        _draw_bar_panel(one, panel, labels, chart.limit)
        one.set_title(panel.title)
        one.set_xlabel(chart.x_label)
    axes[0].set_yticks(range(len(labels)), labels)
    axes[0].tick_params(axis="y", labelcolor=light("ink"))
    axes[0].set_ylim(len(labels) - 0.45, -0.55)
    if not chart.mark:
        return 1
    look: dict[str, Any] = {"markersize": 12, "markeredgewidth": 1.9, "linestyle": "none"}
    return _legend(figure, [Line2D([], [], marker="|", color=light("ink"), **look)], [chart.mark])


def _draw_bar_panel(axes: Axes, panel: BarPanel, labels: list[str], limit: float | None) -> None:
    longest = max([limit or 0.0, *(bar.value for bar in panel.bars)])
    for bar in panel.bars:
        position = labels.index(bar.label)
        axes.barh(position, bar.value, height=0.56, color=color_of(bar.style))
        axes.text(bar.value + 0.015 * longest, position, bar.text, va="center", bbox=_behind())
        if bar.mark is not None:
            axes.plot([bar.mark, bar.mark], [position - 0.36, position + 0.36], color=light("ink"))
    if limit is not None:
        axes.axvline(limit, color=light("soft"), linewidth=1.2, linestyle=(0, (4, 3)), zorder=0.9)
    axes.set_xlim(0, 1.18 * longest)
    if limit is not None:
        axes.set_xticks([0, limit / 4, limit / 2, 3 * limit / 4, limit])
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)


def _behind() -> dict[str, Any]:
    """Keeps a number readable where a line passes below it."""
    return {"facecolor": light("raised"), "edgecolor": "none", "pad": 1.2}


def _draw_points(figure: FigureBase, axes: Axes, chart: PointChart) -> int:
    for frontier in chart.frontiers:
        best = [chart.points[at] for at in frontier]
        axes.plot(
            [point.x for point in best],
            [point.y for point in best],
            color=light("soft"),
            linewidth=1.3,
            linestyle=(0, (4, 3)),
            drawstyle="steps-post",
            zorder=1.5,
        )
    best_places = {at for frontier in chart.frontiers for at in frontier}
    for at, point in enumerate(chart.points):
        color = color_of(point.style)
        axes.plot(
            point.x,
            point.y,
            marker=marker_of(point.style),
            markersize=9,
            markeredgewidth=1.8,
            markeredgecolor=color,
            markerfacecolor=color if at in best_places else "none",
            linestyle="none",
            label=point.label,
            zorder=2 if at in best_places else 3,  # hollow ones hide nothing
        )
    values = [point.x for point in chart.points]
    if min(values) > 0 and max(values) > 4 * min(values):
        _log_ticks(axes.xaxis, axes.set_xscale)
        axes.margins(x=0.08)
    else:
        axes.set_xlim(0, 1.15 * max(values))
    axes.set_ylim(0, 1.12 * max(point.y for point in chart.points))
    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(chart.y_label)
    return _legend(figure, *axes.get_legend_handles_labels())


def _legend(figure: FigureBase, handles: list[Any], labels: list[str]) -> int:
    """Above the axes, in as many columns as fit; gives its rows."""
    longest = max(map(len, labels))
    columns = 1 if longest > 44 else 2 if longest > 26 else 3 if longest > 20 else 4
    figure.legend(
        handles, labels, loc="outside upper left", ncols=min(columns, len(labels)), handlelength=3.2
    )
    return math.ceil(len(labels) / columns)
