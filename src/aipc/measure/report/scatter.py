"""Speed against quality, with the frontier: the slower, the closer to the float original."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter

from aipc import units
from aipc.choose.measured import Trial, Tuned
from aipc.measure.report import words
from aipc.measure.report.charts import Picture, Point, PointChart, ReportTable
from aipc.measure.report.findings import ReportEntry, Section, printable
from aipc.measure.statistics import Interval, frontier
from aipc.units import amount

_KL = "KL divergence from the float original, nats: less is better"
_PERPLEXITY = "perplexity: less is better"


def speed_and_quality(section: Section) -> Picture:
    """By divergence where any participant's is known, else by perplexity."""
    is_kl = any(one.kl for one in section.entries)
    axis, estimate = (_KL, attrgetter("kl")) if is_kl else (_PERPLEXITY, _perplexity)
    found = [(one, estimate(one), _speed(one, section)) for one in section.entries]
    shown = [
        (one.machine, Point(one.label, one.style, loss.middle, speed))
        for one, loss, speed in found
        if loss is not None and speed is not None
    ]
    machines, points = [machine for machine, _ in shown], tuple(point for _, point in shown)
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
            units.rate(_speed(one, section)),
            words.estimate(one.kl, ".4f"),
            words.estimate(_perplexity(one), ".2f"),
            words.estimate(_top1(one), ".1%"),
        )
        for one in section.entries
    )
    return ReportTable(head, rows)


def _speed(entry: ReportEntry, section: Section) -> float | None:
    found = entry.figures(section.typical)
    return None if found is None else found.decode_per_s


def _perplexity(entry: ReportEntry) -> Interval | None:
    return None if entry.scores is None else entry.scores.perplexity


def _top1(entry: ReportEntry) -> Interval | None:
    """Estimated from answers where the device gives no scores."""
    if entry.quality is not None and entry.quality.agreement is not None:
        return entry.quality.agreement.top1
    return None if entry.scores is None else entry.scores.top1


def trials_picture(tuned: Tuned, name: str) -> Picture:
    """Speed against quality of the setups whose divergence was measured."""
    known = [(trial, trial.figures.kl) for trial in tuned.trials]
    points = tuple(
        Point(printable(str(trial.setup)), style, kl, 1 / trial.figures.token_s)
        for style, (trial, kl) in enumerate(known)
        if kl is not None and trial.figures.token_s > 0
    )
    best = frontier([(point.x, point.y) for point in points])
    head = ("setup", "marks", "first token", "a token", "files", "KL, nats", "joules a token")
    rows = tuple(_trial_row(trial, tuned) for trial in tuned.trials)
    return Picture(
        name=name,
        title="Speed against quality of what was tried",
        about="Filled marks on the line are the frontier: no other is both faster and nearer.",
        chart=PointChart(points, (best,), _KL, "tokens a second") if points else None,
        absent=("no divergence was measured; `aipc tune --for quality` or --max-kl measures it."),
        table=ReportTable(head, rows, right=2),
    )


def _trial_row(trial: Trial, tuned: Tuned) -> tuple[str, ...]:
    figures = trial.figures
    marks = ("chosen", trial.setup == tuned.setup), ("frontier", trial.frontier)
    return (
        printable(str(trial.setup)),
        ", ".join(mark for mark, holds in marks if holds),
        units.seconds(figures.first_token_s),
        units.milliseconds(figures.token_s),
        amount(figures.nbytes),
        units.ABSENT if figures.kl is None else f"{figures.kl:.4f}",
        units.joules(figures.joules_per_token),
    )
