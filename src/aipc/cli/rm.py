"""``aipc rm``: give disk space back."""

from __future__ import annotations

import click

from aipc.cli import stdin
from aipc.cli.output import notice, write_line
from aipc.errors import UsageError
from aipc.units import amount


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def rm(names: tuple[str, ...], yes: bool) -> None:
    """Remove checkpoints and artifacts from the store by their names in `aipc models`."""
    from aipc.models.store import Store

    store = Store()
    known = {entry.name: entry for entry in store.entries()}
    # Names that may lead nowhere come first, so that an error comes before any loss.
    doomed = sorted(dict.fromkeys(names), key=lambda name: name in known)
    lines = [
        f"{name} ({amount(known[name].nbytes) if name in known else 'not whole'})"
        for name in doomed
    ]
    if not yes and not _confirmed(lines):
        notice("nothing removed")
        return
    for name, line in zip(doomed, lines, strict=True):
        store.remove(name)
        write_line(f"removed {line}")


def _confirmed(lines: list[str]) -> bool:
    if not stdin.is_terminal():
        raise UsageError("there is nobody to ask whether to remove", "say --yes")
    for line in lines:
        notice(line)
    return click.confirm("Remove?", err=True)
