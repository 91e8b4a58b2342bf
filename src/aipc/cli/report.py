"""``aipc report``: results as one page of tables and pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from aipc.cli.output import notice, write
from aipc.errors import UsageError

_FILE = click.Path(exists=True, path_type=Path)
_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.argument("files", nargs=-1, required=True, type=_FILE, metavar="RESULT.json|DIR…")
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
def report(
    files: tuple[Path, ...],
    output: Path | None,
    svg: Path | None,
    png: Path | None,
    wants_markdown: bool,
) -> None:
    """Make a page of what `aipc bench`, `aipc eval -o` and `aipc tune` found.

    It needs no network and no script. Give results of several recipes, and their evaluations, to
    see speed against quality. Participants stand side by side where their work was the same; those
    of different machines carry a letter each, and are compared: which are worth using, and which
    model each should run. A folder, as `aipc bench --fleet` writes one, stands for its .json files.
    """
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
