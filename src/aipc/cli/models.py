"""``aipc models``: what is here, and what can be had by a short name."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from aipc.cli.output import notice, write_json, write_table
from aipc.units import amount

if TYPE_CHECKING:
    from aipc.models.names import Model
    from aipc.models.store import StoredModel


@click.command()
@click.option("--available", is_flag=True, help="The short names instead, with size and licence.")
@click.option("--json", "wants_json", is_flag=True, help="A JSON list with every fact.")
def models(available: bool, wants_json: bool) -> None:
    """List what the store holds: checkpoints as they were fetched, artifacts as they were made."""
    if available:
        _show_catalogue(wants_json)
    else:
        _show_store(wants_json)


def _show_store(wants_json: bool) -> None:
    from aipc.models.store import Store

    store = Store()
    entries = store.entries()
    if wants_json:
        write_json([_entry_facts(entry) for entry in entries])
    elif entries:
        for kind in ("checkpoint", "artifact"):
            _show_kind(kind, [entry for entry in entries if entry.kind == kind])
        notice(f"{amount(sum(entry.nbytes for entry in entries))} in {store.home}")
    else:
        notice(f"nothing in {store.home} yet; `aipc models --available` shows what can be fetched")


def _show_kind(kind: str, entries: Sequence[StoredModel]) -> None:
    if entries:
        columns = ("SIZE", "CREATED", kind.upper())
        write_table(columns, [_entry_row(entry) for entry in entries], right={"SIZE"})


def _entry_row(entry: StoredModel) -> tuple[str, ...]:
    created = datetime.fromisoformat(entry.created).astimezone().strftime("%Y-%m-%d")
    return amount(entry.nbytes), created, entry.name


def _entry_facts(entry: StoredModel) -> dict[str, Any]:
    return {**dataclasses.asdict(entry), "path": str(entry.path)}


def _show_catalogue(wants_json: bool) -> None:
    from aipc.models.names import CATALOGUE

    known: Sequence[Model] = tuple(CATALOGUE.values())
    if wants_json:
        write_json([dataclasses.asdict(model) for model in known])
        return
    columns = ("NAME", "DOWNLOAD", "CONTEXT", "WHAT IT IS (LICENCE)")
    write_table(columns, [_model_row(model) for model in known], right={"DOWNLOAD", "CONTEXT"})
    notice(f"without -m it is {CATALOGUE.default.name}")


def _model_row(model: Model) -> tuple[str, ...]:
    what = f"{model.what} ({model.licence})"
    return model.name, amount(model.nbytes), f"{model.context:,}", what
