"""``aipc upgrade``: what to run for a newer aipc, or for one of its extras."""

from __future__ import annotations

import click

import aipc
from aipc.cli.screen.output import notice, write_line


@click.command()
@click.option(
    "--extra",
    metavar="NAME",
    help="Say instead how to get what an extra needs, such as ray or report.",
)
def upgrade(extra: str | None) -> None:
    """Say which commands bring a newer aipc, by how this one was installed. Nothing is run."""
    from aipc import remedies
    from aipc.installation import this_installation

    here = this_installation()
    told = _extra(extra) if extra is not None else remedies.upgrade(here)
    notice(f"aipc {aipc.__version__}, installed by {here.tool} from {_WHERE[here.origin.kind]}")
    if here.origin.where:
        notice(f"  {here.origin.where}")
    for line in told:
        write_line(line)
    if any(remedies.NEW_WHEEL in line for line in told):
        notice(f"{remedies.NEW_WHEEL} stands for the file of the newer wheel")


def _extra(name: str) -> list[str]:
    from aipc.remedies import add_extra

    told = add_extra(name) or f"{name} needs nothing more"
    return told.strip("`").split("`, then `")


_WHERE = {
    "index": "a package index",
    "editable": "a source tree, in place",
    "folder": "a source tree",
    "file": "a file",
    "url": "an address",
}
