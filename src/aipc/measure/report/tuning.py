"""What a search among setups found, for a report."""

from __future__ import annotations

from aipc.choose.measured import Trial, Tuned
from aipc.measure.report import words
from aipc.measure.report.charts import Picture, Point, PointChart, ReportTable
from aipc.measure.report.files import printable
from aipc.measure.statistics import frontier
from aipc.units import amount


def trials_picture(tuned: Tuned, name: str) -> Picture:
    """Speed against quality of the setups whose divergence was measured."""
    known = [(trial, trial.figures.kl) for trial in tuned.trials]
    points = tuple(
        Point(printable(str(trial.setup)), style, kl, 1 / trial.figures.token_s)
        for style, (trial, kl) in enumerate(known)
        if kl is not None and trial.figures.token_s > 0
    )
    best = frontier([(point.x, point.y) for point in points])
    axis = "KL divergence from the float original, nats: less is better"
    return Picture(
        name=name,
        title="Speed against quality of what was tried",
        about="Filled marks on the line are the frontier: no other is both faster and nearer.",
        chart=PointChart(points, (best,), axis, "tokens a second") if points else None,
        absent=("no divergence was measured; `aipc tune --for quality` or --max-kl measures it."),
        table=_table(tuned),
    )


def _table(tuned: Tuned) -> ReportTable:
    head = ("setup", "marks", "first token", "a token", "files", "KL, nats", "joules a token")
    return ReportTable(head, tuple(_row(trial, tuned) for trial in tuned.trials), right=2)


def _row(trial: Trial, tuned: Tuned) -> tuple[str, ...]:
    figures = trial.figures
    marks = ("chosen", trial.setup == tuned.setup), ("frontier", trial.frontier)
    return (
        printable(str(trial.setup)),
        ", ".join(mark for mark, holds in marks if holds),
        words.seconds(figures.first_token_s),
        words.milliseconds(figures.token_s),
        amount(figures.nbytes),
        words.ABSENT if figures.kl is None else f"{figures.kl:.4f}",
        words.joules(figures.joules_per_token),
    )
