"""``aipc rm``: give disk space back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aipc.cli.answering import stdin
from aipc.cli.arguments.command import SectionedCommand
from aipc.cli.arguments.model_parameter import models_parameter
from aipc.cli.screen.output import notice, write_line
from aipc.errors import ModelNotFound, UsageError
from aipc.units import amount

if TYPE_CHECKING:
    from aipc.models.store import Store, StoredModel


@click.command(cls=SectionedCommand)
@models_parameter(metavar="NAME", is_required=True)
@click.option(
    "--checkpoint",
    "spares_artifacts",
    is_flag=True,
    help="Of a model, its checkpoint alone: what was converted of it goes on answering.",
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def rm(models: tuple[str, ...], spares_artifacts: bool, yes: bool) -> None:
    """Remove models from the store, each with all that was converted of it.

    NAME is a model's name; or that of one checkpoint or artifact as `aipc models` lists it.
    """
    from aipc.models.store import Store

    store = Store()
    known = {entry.name: entry for entry in store.entries()}
    doomed = list(dict.fromkeys(key for name in models for key in _keys(name, store)))
    if spares_artifacts:
        doomed = [key for key in doomed if not _is_made(key, known)]
        if not doomed:
            what = f"the store has no checkpoint of '{models[0]}'"
            raise UsageError(what, "leave out --checkpoint to remove what was converted")
    lines = [_line(key, known.get(key)) for key in doomed]
    if not yes and not _confirmed(lines):
        notice("nothing removed")
        return
    for key, line in zip(doomed, lines, strict=True):
        store.remove(key)
        write_line(f"removed {line}")


def _keys(name: str, store: Store) -> list[str]:
    from aipc.models.names import stored_keys

    try:
        return stored_keys(name, store)
    except ModelNotFound as error:
        if Path(name).expanduser().exists():
            fix = "remove that yourself: aipc removes nothing but what it keeps"
            raise UsageError(f"'{name}' is not in the store", fix) from error
        raise


def _is_made(key: str, known: Mapping[str, StoredModel]) -> bool:
    return key in known and known[key].kind == "artifact"


def _line(key: str, entry: StoredModel | None) -> str:
    if entry is None:
        return f"{key} (not whole)"
    return f"{entry.shown} ({entry.kind}, {amount(entry.nbytes)})"


def _confirmed(lines: list[str]) -> bool:
    if not stdin.is_terminal():
        raise UsageError("there is nobody to ask whether to remove", "say --yes")
    for line in lines:
        notice(line)
    return click.confirm("Remove?", err=True)
