"""``aipc verify``: whether every file is unchanged."""

from __future__ import annotations

import click

from aipc.cli.output import notice, write_json, write_line
from aipc.cli.progress_bar import display


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME...]")
@click.option("--json", "wants_json", is_flag=True, help="A JSON list of names and problems.")
def verify(names: tuple[str, ...], wants_json: bool) -> None:
    """Read every file of the store, or of the entries named, and compare it with its hash.

    Exits with 1 where anything is wrong.
    """
    from aipc.models.store import Store

    store = Store()
    chosen = dict.fromkeys(names or store.names())
    with display() as progress:
        found = {name: store.verify(name, progress) for name in chosen}
    if wants_json:
        write_json([{"name": name, "problems": problems} for name, problems in found.items()])
    else:
        _show(found)
    if any(found.values()):
        raise click.exceptions.Exit(1)


def _show(found: dict[str, list[str]]) -> None:
    for name, problems in found.items():
        write_line(f"{name}: {'damaged' if problems else 'sound'}")
        for problem in problems:
            write_line(f"  {problem}")
    damaged = [name for name, problems in found.items() if problems]
    if damaged:
        notice(f"mend with `aipc rm {' '.join(damaged)}`, then fetch or convert again")
