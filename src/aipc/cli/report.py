"""``aipc report``: results as one page of tables and pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from aipc.cli.arguments.command import SectionedCommand
from aipc.cli.screen.output import notice, write
from aipc.errors import UsageError

_FILE = click.Path(exists=True, path_type=Path)
_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command(cls=SectionedCommand)
@click.argument("files", nargs=-1, type=_FILE, metavar="RESULT.json|DIR…")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The page; report.html where nothing else is requested.",
)
@click.option("--svg", type=_FOLDER, metavar="DIR", help="Each picture as an SVG file, in DIR.")
@click.option("--png", type=_FOLDER, metavar="DIR", help="Each picture as a PNG file, in DIR.")
@click.option(
    "--markdown", "wants_markdown", is_flag=True, help="Tables for a README, on stdout; no page."
)
@click.option(
    "--hardware",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Of a folder of `aipc prove`'s files make a page of measured machines, hardware.md.",
)
@click.option(
    "--readme",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="With --hardware: what runs where, as a table between its two marks in FILE.",
)
def report(
    files: tuple[Path, ...],
    output: Path | None,
    svg: Path | None,
    png: Path | None,
    wants_markdown: bool,
    hardware: Path | None,
    readme: Path | None,
) -> None:
    """Make a page of what `aipc bench`, `aipc eval -o` and `aipc tune` found.

    It needs no network and no script. Give results of several recipes, and their evaluations, to
    see speed against quality. Participants stand side by side where their work was the same; those
    of different machines carry a letter each, and are compared: which are worth using, and which
    model each should run. A folder, as `aipc bench --fleet` writes one, stands for its .json files.
    """
    if hardware is not None:
        if files or svg or png or wants_markdown:
            raise UsageError("--hardware goes with -o and --readme alone", "leave the others out")
        _write_hardware(hardware, output, readme)
        return
    if readme is not None or not files:
        raise UsageError("no results were named", "give files of `aipc bench`, or --hardware DIR")
    from aipc.measure.report import report as pages
    from aipc.measure.report.findings import read_findings

    shown = pages.make_report(read_findings([*_listed(files)]))
    for note in shown.notes:
        notice(f"note: {note}")
    if wants_markdown:
        write(pages.markdown(shown))
    for folder, form in ((svg, "svg"), (png, "png")):
        for file in pages.write_pictures(shown, folder, form) if folder else ():
            notice(f"picture: {file}")
    if output is not None or not (wants_markdown or svg or png):
        page = output or Path("report.html")
        pages.write_page(shown, page)
        notice(f"page: {page}")


def _write_hardware(folder: Path, output: Path | None, readme: Path | None) -> None:
    from aipc import disk
    from aipc.errors import MeasurementError
    from aipc.measure.prove.hardware import (
        hardware_page,
        read_hardware,
        update_readme,
        what_runs_where,
    )
    from aipc.records import replace_text

    files = read_hardware(folder)
    page = output or Path("hardware.md")
    with disk.explained(page, MeasurementError):
        replace_text(page, hardware_page(files))
    notice(f"page: {page}")
    if readme is not None:
        update_readme(readme, what_runs_where(files))
        notice(f"table: {readme}")


def _listed(files: tuple[Path, ...]) -> Iterator[Path]:
    """The files, and those directly in the folders among them."""
    for file in files:
        if not file.is_dir():
            yield file
            continue
        found = sorted(file.glob("*.json"))
        if not found:
            raise UsageError(f"the folder '{file}' holds no .json file", "name another")
        yield from found
