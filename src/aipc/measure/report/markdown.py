"""Tables in Markdown, for a README."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from aipc.measure.report import tables, words
from aipc.measure.report.charts import ReportTable
from aipc.measure.report.command import short_name
from aipc.measure.report.entries import Section
from aipc.measure.report.report import Report

_MARKS = re.compile(r"([\\`*_\[\]<>|~$#&!])")
"""What Markdown, or the HTML that it allows, would take for more than text."""


def markdown(report: Report) -> str:
    """Speeds, and the ratios between participants, of each chapter; what was tuned, of each search.

    Names are escaped: whatever they hold, they come out as text.
    """
    parts = [part for chapter in report.chapters for part in _section(chapter.section)]
    for search in report.searches:
        tuned = search.tuned
        parts.append(f"{escaped(f'{tuned.label}, tuned for {tuned.goal}')}:")
        if search.picture.table is not None:
            parts.append(table(search.picture.table))
    return "\n\n".join(parts) + "\n"


def table(shown: ReportTable) -> str:
    """Numbers flush right."""
    rule = ("---:" if at >= shown.right else "---" for at in range(len(shown.head)))
    lines = [_row(map(escaped, shown.head)), _row(rule)]
    return "\n".join([*lines, *(_row(map(escaped, row)) for row in shown.rows)])


def escaped(text: str) -> str:
    return _MARKS.sub(r"\\\1", text)


def _section(section: Section) -> Iterator[str]:
    results = [one.result for one in section.benchmarks]
    models = words.listed(list(dict.fromkeys(short_name(one.model) for one in results)))
    processors = words.listed(list(dict.fromkeys(one.machine.processor for one in results)))
    days = words.listed(list(dict.fromkeys(one.created[:10] for one in results)))
    yield escaped(f"{models} on {processors}, {days}:")
    yield table(tables.speeds(section))
    ratios = tables.ratios(section)
    if ratios.rows:
        yield "How many times as fast the first named is (with the interval of the ratio):"
        yield table(ratios)
    noise = [warning for one in results for warning in one.noise.warnings]
    if noise:
        yield escaped(f"Noisy: {'; '.join(noise)}.")


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
