"""Speed against quality, with the frontier: who is slower is closer to the float original."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from aipc.measure.quality.quality import Quality
from aipc.measure.report import words
from aipc.measure.report.charts import Picture, Point, PointChart, ReportTable
from aipc.measure.report.entries import ReportEntry, Section
from aipc.measure.statistics import Interval, frontier

_KL = "KL divergence from the float original, nats: less is better"
_PERPLEXITY = "perplexity: less is better"


def speed_and_quality(section: Section) -> Picture:
    """By divergence where any participant's is known, else by perplexity."""
    axis = _KL if any(_kl(entry) is not None for entry in section.entries) else _PERPLEXITY
    found = [(one, _loss(one, axis), _speed(one, section)) for one in section.entries]
    points = tuple(
        Point(one.label, one.style, loss, speed)
        for one, loss, speed in found
        if loss is not None and speed is not None
    )
    shown = [one for one, loss, speed in found if loss is not None and speed is not None]
    machines = [one.machine for one in shown]
    lacking = [one.label for one, loss, _ in found if loss is None]
    return Picture(
        name="quality",
        title="Speed against quality",
        about=(
            "Filled marks on the line are the frontier: no other is both faster and nearer. "
            f"Decoding after {section.typical.prompt:,} tokens."
        ),
        chart=(
            PointChart(points, tuple(_frontiers(points, machines)), axis, "tokens a second")
            if points
            else None
        ),
        absent=(
            "no quality was given; add files of `aipc eval -o` for the same artifacts, run "
            "with the same properties."
        ),
        table=_table(section) if points else None,
        notes=(
            (f"No quality was given for {words.listed(lacking)}.",) if points and lacking else ()
        ),
    )


def _frontiers(points: Sequence[Point], machines: Sequence[str]) -> Iterator[tuple[int, ...]]:
    """One for each machine: what is fast on another is no choice on this one."""
    for machine in dict.fromkeys(machines):
        own = [at for at, one in enumerate(machines) if one == machine]
        best = frontier([(points[at].x, points[at].y) for at in own])
        yield tuple(own[at] for at in best)


def _table(section: Section) -> ReportTable:
    head = ("participant", "tokens/s", "KL, nats", "perplexity", "same top token")
    rows = tuple(
        (
            one.label,
            words.rate(_speed(one, section)),
            words.estimate(_kl(one), ".4f"),
            words.estimate(_perplexity(one), ".2f"),
            words.estimate(_top1(one), ".1%"),
        )
        for one in section.entries
    )
    return ReportTable(head, rows)


def _speed(entry: ReportEntry, section: Section) -> float | None:
    found = entry.figures(section.typical)
    return None if found is None else found.decode_per_s


def _loss(entry: ReportEntry, axis: str) -> float | None:
    interval = _kl(entry) if axis == _KL else _perplexity(entry)
    return None if interval is None else interval.middle


def _quality(entry: ReportEntry) -> Quality | None:
    return None if entry.quality is None else entry.quality.quality


def _kl(entry: ReportEntry) -> Interval | None:
    quality = _quality(entry)
    return None if quality is None else quality.kl


def _perplexity(entry: ReportEntry) -> Interval | None:
    quality = _quality(entry)
    return None if quality is None else quality.perplexity


def _top1(entry: ReportEntry) -> Interval | None:
    """Estimated from answers where the device tells no scores."""
    if entry.quality is not None and entry.quality.agreement is not None:
        return entry.quality.agreement.top1
    quality = _quality(entry)
    return None if quality is None else quality.top1
