"""``aipc pull``: from a name to files on disk."""

from __future__ import annotations

import click

from aipc.cli.output import write_line
from aipc.cli.progress_bar import display


@click.command()
@click.argument("model")
def pull(model: str) -> None:
    """Fetch MODEL into the store, if it is not there yet, and print its path.

    MODEL is a short name (`aipc models --available`) or a hub id (org/name[@revision]).
    """
    from aipc.session import convert

    with display() as progress:
        path = convert.pull(model, progress=progress, notify=progress.notice)
    write_line(str(path))
