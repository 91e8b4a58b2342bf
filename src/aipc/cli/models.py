"""``aipc models``: what the store holds, and what can be fetched by a short name."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from aipc.artifact import manifest
from aipc.cli.arguments.command import SectionedCommand
from aipc.cli.screen.output import local_date, notice, notice_folded, write_json, write_table
from aipc.errors import DeviceError
from aipc.units import amount, nats

if TYPE_CHECKING:
    from aipc.choose.offers import Offer, Room
    from aipc.models.store import StoredModel


@click.command(cls=SectionedCommand)
@click.option("--available", is_flag=True, help="The short names instead: which fit here.")
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
    own = {"name": entry.shown, "path": str(entry.path), "manifest_sha256": sha256}
    return {**dataclasses.asdict(entry), **own}


def _write_checkpoints(entries: Sequence[StoredModel]) -> None:
    rows = [(amount(entry.nbytes), local_date(entry.created), entry.shown) for entry in entries]
    if rows:
        write_table(("SIZE", "CREATED", "CHECKPOINT"), rows, right={"SIZE"})


def _write_artifacts(entries: Sequence[StoredModel]) -> None:
    """With what each lost, and where that is from."""
    losses = [_loss(entry) for entry in entries]
    rows = [
        (amount(entry.nbytes), local_date(entry.created), loss, entry.shown)
        for entry, loss in zip(entries, losses, strict=True)
    ]
    if rows:
        write_table(("SIZE", "CREATED", "KL", "ARTIFACT"), rows, right={"SIZE", "KL"})
    if any(losses):
        notice_folded(
            "KL: nats from the float model, measured by convert --check; ~ what its recipe lost"
        )


def _loss(entry: StoredModel) -> str:
    """Empty where nobody knows."""
    from aipc.convert.quality import stated_quality

    quality = stated_quality(entry.facts)
    if quality is None:
        return ""
    return nats(quality.kl) if quality.measured else f"~{nats(quality.kl)}"


def _show_catalogue(wants_json: bool) -> None:
    from aipc.choose.offers import CONTEXT, offers, recommended
    from aipc.models.catalogue import CATALOGUE

    room = _room()
    offered = offers()
    best = recommended(offered, room)
    if wants_json:
        write_json([_offered(one, fits=room.holds(one), is_best=one is best) for one in offered])
        return
    columns = ("NAME", "DOWNLOAD", "MEMORY", "HERE", "CONTEXT", "WHAT IT IS (LICENCE)")
    rows = [
        (
            one.model.name,
            amount(one.model.nbytes),
            amount(one.memory),
            _precision(one, fits=room.holds(one), is_best=one is best),
            f"{one.model.context:,}",
            f"{one.model.what} ({one.model.terms})",
        )
        for one in offered
    ]
    write_table(columns, rows, right={"DOWNLOAD", "MEMORY", "CONTEXT"})
    notice_folded(
        f"MEMORY: of the process, converted as it is without flags, with up to {CONTEXT:,} tokens "
        f"of conversation; this machine has {amount(room.largest)} for it"
    )
    if best is not None:
        notice(f"recommended here: `aipc chat {best.model.name}`")
    notice(f"without -m it is {CATALOGUE.default.name}")


def _room() -> Room:
    from aipc.choose.offers import Room
    from aipc.devices.remembered import remembered_devices
    from aipc.devices.system.cpu import read_cpu
    from aipc.devices.system.memory import read_memory
    from aipc.models.store import Store

    try:
        devices = remembered_devices(Store().devices)
    except DeviceError as error:
        notice_folded(f"problem: {error}")
        devices = ()
    return Room.of(devices, read_memory().total, read_cpu().physical_cores)


def _offered(offer: Offer, *, fits: bool, is_best: bool) -> dict[str, Any]:
    here = {
        "fits": fits,
        "recommended": is_best,
        "weight_format": offer.recipe.weight_format,
        "nbytes": offer.nbytes,
        "memory_bytes": offer.memory,
        "context": offer.context,
    }
    return {
        **dataclasses.asdict(offer.model),
        "checked": offer.model.is_checked,
        "here": here,
    }


def _precision(offer: Offer, *, fits: bool, is_best: bool) -> str:
    if not fits:
        return "too large"
    return f"{offer.recipe.weight_format}{', best' * is_best}"
