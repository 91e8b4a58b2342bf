"""A report of results: one HTML page without network or script, its pictures, or Markdown."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

from aipc import disk, units
from aipc.choose.measured import Tuned
from aipc.errors import MeasurementError
from aipc.measure.report import machines, tables, words
from aipc.measure.report.charts import Picture, ReportTable
from aipc.measure.report.drawing import Heading, draw_png, draw_svg
from aipc.measure.report.findings import Findings, Section, printable, sections
from aipc.measure.report.pictures import pictures
from aipc.measure.report.scatter import trials_picture
from aipc.measure.report.tables import command, short_name
from aipc.measure.report.theme import page_rules, themed

_MARKS = re.compile(r"([\\`*_\[\]<>|~$#&!])")
"""What Markdown, or the HTML that it allows, would take for more than text."""


@dataclass(frozen=True)
class Chapter:
    """A section with its pictures; ``machines`` is the first, where it has several."""

    section: Section
    machines: Picture | None
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class TuningSection:
    """What was tuned, with its picture."""

    tuned: Tuned
    picture: Picture


@dataclass(frozen=True)
class Report:
    """All that is shown, not yet drawn."""

    chapters: tuple[Chapter, ...]
    searches: tuple[TuningSection, ...]
    notes: tuple[str, ...] = ()
    """What was read and is not shown, one line each."""

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """Of all the chapters; no two have the same name."""
        return tuple(picture for picture, _ in self.credited)

    @property
    def credited(self) -> Iterator[tuple[Picture, str]]:
        """Each picture with the models, machines and days that it is of."""
        for chapter in self.chapters:
            results = [one.result for one in chapter.section.benchmarks]
            credit = _credit(
                [short_name(one.model) for one in results],
                [one.machine.processor for one in results],
                [one.created for one in results],
            )
            for picture in (chapter.machines, *chapter.pictures):
                if picture is not None:
                    yield picture, credit
        for search in self.searches:
            tuned = search.tuned
            yield search.picture, _credit([tuned.label], [tuned.machine.processor], [tuned.when])

    @property
    def headline(self) -> str:
        """Which models, on which processors."""
        results = [one.result for chapter in self.chapters for one in chapter.section.benchmarks]
        tuned = [search.tuned for search in self.searches]
        models = [*(short_name(one.model) for one in results), *(one.label for one in tuned)]
        processors = [one.machine.processor for one in results]
        processors += [one.machine.processor for one in tuned]
        return f"{_distinct(models)} on {_distinct(processors)}"


def make_report(findings: Findings) -> Report:
    """Arrange what was found; participants of different workloads come in different chapters."""
    found = sections(findings)
    chapters = []
    for at, section in enumerate(found, 1):
        number = f"-{at}" if len(found) > 1 else ""
        drawn = [machines.machines(section)] if len(section.machines) > 1 else []
        named = [replace(one, name=f"{one.name}{number}") for one in (*drawn, *pictures(section))]
        first = named.pop(0) if drawn else None
        chapters.append(Chapter(section, first, tuple(named)))
    searches = tuple(
        TuningSection(tuned, trials_picture(tuned, f"tuned-{at}"))
        for at, tuned in enumerate(findings.tunings, 1)
    )
    return Report(tuple(chapters), searches, tuple(_unused(findings, found)))


def render(report: Report) -> str:
    """The page; equal reports give equal pages.

    Raises:
        MeasurementError: matplotlib is not installed.
    """
    from jinja2 import Environment, StrictUndefined

    css = page_rules() + _data("report.css")
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    style = f"'sha256-{digest}'"  # the one style sheet that the security policy allows
    svgs = {picture.name: _svg(picture) for picture in report.pictures if picture.chart}
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.from_string(_data("report.html")).render(
        report=report,
        css=css,
        policy=f"default-src 'none'; style-src {style}; base-uri 'none'; form-action 'none'",
        svgs=svgs,
        words=words,
        units=units,
        tables=tables,
        machines=machines,
        command=command,
    )
    return page + "\n"


def write_page(report: Report, file: Path) -> None:
    """Write the page, in place of an older one.

    Raises:
        MeasurementError: matplotlib is not installed, or the disk refuses the file.
    """
    _write(file, render(report).encode("utf-8", "replace"))


def write_pictures(report: Report, folder: Path, form: str) -> Iterator[Path]:
    """Write each picture that shows something as NAME.svg or NAME.png; yield the files.

    Raises:
        MeasurementError: matplotlib is not installed, or the disk refuses a file.
    """
    for picture, credit in report.credited:
        if picture.chart is None:
            continue
        file = folder / f"{picture.name}.{form}"
        heading = Heading(picture.title, credit)
        if form == "png":
            content = draw_png(picture.chart, heading)
        else:
            content = _svg(picture, heading).encode()
        _write(file, content)
        yield file


def _unused(findings: Findings, found: Sequence[Section]) -> Iterator[str]:
    used = [entry.quality for section in found for entry in section.entries]
    for one in findings.evaluations:
        if not any(one is quality for quality in used):
            runtime = one.run.get("runtime")
            yield (
                f"the evaluation of {one.artifact.name} on {runtime} is of no participant: its "
                "artifact, runtime or properties are others"
            )


def _svg(picture: Picture, heading: Heading | None = None) -> str:
    """With a ``heading``, as a file of its own."""
    if picture.chart is None:
        raise ValueError(f"{picture.name} shows nothing")
    drawn = draw_svg(picture.chart, heading)
    is_file = heading is not None
    return themed(drawn, picture.name, picture.title, picture.about, is_file=is_file)


def _credit(models: Sequence[str], processors: Sequence[str], times: Sequence[str]) -> str:
    days = sorted({time[:10] for time in times})
    period = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    return f"{_distinct(models)} on {_distinct(processors)}, {period}; measured by aipc"


def _distinct(names: Sequence[str]) -> str:
    return words.listed(list(dict.fromkeys(map(printable, names))))


def _data(name: str) -> str:
    return resources.files(__package__ or "").joinpath(name).read_text(encoding="utf-8")


def _write(file: Path, content: bytes) -> None:
    with disk.explained(file, MeasurementError, len(content)):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def markdown(report: Report) -> str:
    """Speeds, and the ratios between participants, of each chapter; what was tuned, of each search.

    Names are escaped: whatever they hold, they come out as text.
    """
    parts = [part for chapter in report.chapters for part in _chapter(chapter)]
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


def _chapter(chapter: Chapter) -> Iterator[str]:
    section = chapter.section
    results = [one.result for one in section.benchmarks]
    models = words.listed(list(dict.fromkeys(short_name(one.model) for one in results)))
    processors = words.listed(list(dict.fromkeys(one.machine.processor for one in results)))
    days = words.listed(list(dict.fromkeys(one.created[:10] for one in results)))
    yield escaped(f"{models} on {processors}, {days}:")
    if chapter.machines is not None and chapter.machines.table is not None:
        yield f"{chapter.machines.title}:"
        yield table(chapter.machines.table)
        yield "Which model for which machine:"
        yield table(machines.models_by_machine(section))
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
