"""``aipc models``: what the store holds, and what can be fetched by a short name."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from aipc.artifact import manifest
from aipc.cli.output import local_date, notice, write_json, write_table
from aipc.units import amount, nats

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
        write_json([_facts(one) for one in entries])
    elif entries:
        _write_checkpoints([entry for entry in entries if entry.kind == "checkpoint"])
        _write_artifacts([entry for entry in entries if entry.kind == "artifact"])
        notice(f"{amount(sum(entry.nbytes for entry in entries))} in {store.home}")
    else:
        notice(f"nothing in {store.home} yet; `aipc models --available` shows what can be fetched")


def _facts(entry: StoredModel) -> dict[str, Any]:
    """With what vouches for all of its files: `aipc pull --from` takes it as --sha256."""
    sha256 = manifest.sha256(entry.path / manifest.FILE)
    return {**dataclasses.asdict(entry), "path": str(entry.path), "manifest_sha256": sha256}


def _write_checkpoints(entries: Sequence[StoredModel]) -> None:
    rows = [(amount(entry.nbytes), local_date(entry.created), entry.name) for entry in entries]
    if rows:
        write_table(("SIZE", "CREATED", "CHECKPOINT"), rows, right={"SIZE"})


def _write_artifacts(entries: Sequence[StoredModel]) -> None:
    """With what each lost, and where that is from."""
    losses = [_loss(entry) for entry in entries]
    rows = [
        (amount(entry.nbytes), local_date(entry.created), loss, entry.name)
        for entry, loss in zip(entries, losses, strict=True)
    ]
    if rows:
        write_table(("SIZE", "CREATED", "KL", "ARTIFACT"), rows, right={"SIZE", "KL"})
    if any(losses):
        notice("KL: nats from the float model, measured by convert --check; ~ what its recipe lost")


def _loss(entry: StoredModel) -> str:
    """Empty where nobody knows."""
    from aipc.convert.quality import stated_quality

    quality = stated_quality(entry.facts)
    if quality is None:
        return ""
    return nats(quality.kl) if quality.measured else f"~{nats(quality.kl)}"


def _show_catalogue(wants_json: bool) -> None:
    from aipc.models.names import CATALOGUE

    known: Sequence[Model] = tuple(CATALOGUE.values())
    if wants_json:
        write_json([dataclasses.asdict(model) for model in known])
        return
    columns = ("NAME", "DOWNLOAD", "CONTEXT", "WHAT IT IS (LICENCE)")
    rows = [
        (
            model.name,
            amount(model.nbytes),
            f"{model.context:,}",
            f"{model.what} ({model.licence})",
        )
        for model in known
    ]
    write_table(columns, rows, right={"DOWNLOAD", "CONTEXT"})
    notice(f"without -m it is {CATALOGUE.default.name}")
