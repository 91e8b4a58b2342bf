"""``aipc cache``: what was compiled for this machine's NPU, or arranged for its processor."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aipc.cli.arguments.command import section
from aipc.cli.arguments.command_group import CommandGroup
from aipc.cli.arguments.model_parameter import model_parameter
from aipc.cli.arguments.option_flags import flags_of, given
from aipc.cli.screen.output import local_date, notice, write_json, write_line, write_table
from aipc.cli.screen.progress_bar import display
from aipc.errors import UsageError
from aipc.runtimes.openvino.static_shape import NpuOptions
from aipc.units import amount

if TYPE_CHECKING:
    from aipc.models.blobs import Blob

_json = click.option("--json", "wants_json", is_flag=True, help="JSON, with every fact.")


@click.group(cls=CommandGroup)
def cache() -> None:
    """List, make and remove models compiled for the NPU, and weights kept ready for the CPU.

    A compiled model serves only the model, driver, OpenVINO and options that it was made with;
    ready weights only the model, ONNX Runtime and processor.
    """


@cache.command("list")
@_json
def list_(wants_json: bool) -> None:
    """What is there, and whether it can still be used."""
    listed = [(blob, _staleness(blob)) for blob in _blobs()]
    if wants_json:
        write_json([_facts(blob, stale) for blob, stale in listed])
    elif listed:
        columns = ("KEY", "DEVICE", "SIZE", "CREATED", "PROMPT", "STATE", "MODEL")
        write_table(
            columns, [_row(blob, stale) for blob, stale in listed], right={"SIZE", "PROMPT"}
        )
        notice(f"{amount(sum(blob.nbytes for blob, _ in listed))} in {_folder()}")
    else:
        notice(f"nothing in {_folder()}; `aipc cache prebuild MODEL` fills it")


@cache.command()
@model_parameter(is_required=True)
@click.option(
    "--device",
    type=click.Choice(["npu", "cpu"]),
    default="npu",
    show_default=True,
    help="cpu: keep the weights ready for ONNX Runtime.",
)
@click.option("--emulate", is_flag=True, help="For the NPU's pipeline on the CPU.")
@section("NPU", flags_of(NpuOptions))
def prebuild(model: str, device: str, emulate: bool, **flags: Any) -> None:
    """Make now what a load would wait for: MODEL compiled, or its weights arranged."""
    if device == "npu":
        _compile(model, emulate, flags)
        return
    if emulate or given(NpuOptions, flags) is not None:
        raise UsageError("the NPU's options have no meaning on the CPU", "leave them out")
    _arrange(model)


def _arrange(model: str) -> None:
    from aipc.models.store import Store
    from aipc.session.place import SessionOptions
    from aipc.session.prepare import prepare_session
    from aipc.session.ready import make_ready

    wanted = SessionOptions(device="cpu", runtime="onnx")
    with display() as progress:
        prepared = prepare_session(model, wanted, progress=progress, notify=progress.notice)
        made = make_ready(prepared.folder, Store(), progress)
    write_line(f"{'ready' if made else 'ready already'} for the CPU: {prepared.facts['model']}")


def _compile(model: str, emulate: bool, flags: Mapping[str, Any]) -> None:
    from aipc.session import loading

    options = given(NpuOptions, flags) or NpuOptions()
    with (
        display() as progress,
        loading.load(
            model,
            device="npu",
            emulate=emulate,
            npu=options,
            progress=progress,
            notify=progress.notice,
        ) as loaded,
    ):
        facts = loaded.facts
    write_line(f"ready for prompts up to {facts['max_prompt_len']:,} tokens: {facts['model']}")


@cache.command()
@click.argument("key", required=False)
@_json
def explain(key: str | None, wants_json: bool) -> None:
    """What each, or the one of KEY, was made for, and why it is stale."""
    chosen = [blob for blob in _blobs() if key is None or blob.name.startswith(key)]
    if key is not None and not chosen:
        raise click.BadParameter(f"the cache has no '{key}'", param_hint="KEY")
    listed = [(blob, _staleness(blob)) for blob in chosen]
    if wants_json:
        write_json([_facts(blob, stale) for blob, stale in listed])
        return
    for blob, stale in listed:
        write_line(f"{blob.name}: {stale or 'usable'}")
        for name, value in blob.identity.items():
            write_line(f"  {name}: {value}")


@cache.command()
@click.option("--all", "everything", is_flag=True, help="The usable ones too.")
def prune(everything: bool) -> None:
    """Remove what is stale or half made."""
    from aipc.models import blobs

    folder = _folder()
    removed = [f"{name} (half made)" for name in blobs.tidy_blobs(folder)]
    for blob in blobs.list_blobs(folder):
        stale = _staleness(blob)
        if stale or everything:
            blobs.remove_blob(folder, blob.name)
            removed.append(f"{blob.name} ({stale or 'usable'})")
    for line in removed:
        write_line(f"removed {line}")
    if not removed:
        notice("nothing to remove")


def _folder() -> Path:
    from aipc.models.store import Store

    return Store().blobs


def _blobs() -> Sequence[Blob]:
    from aipc.models.blobs import list_blobs

    return list_blobs(_folder())


def _staleness(blob: Blob) -> str:
    """Why no load on this machine would use it; empty where one would."""
    artifact = Path(blob.identity["artifact"])
    if not artifact.is_dir():
        return f"its model is gone ({artifact})"
    from aipc.session.ready import is_ready

    return _ready_staleness(blob) if is_ready(blob) else _npu_staleness(blob)


def _npu_staleness(blob: Blob) -> str:
    made_with, installed = blob.identity["openvino"].partition("-")[0], version("openvino")
    if made_with != installed:
        return f"made with OpenVINO {made_with}, and {installed} is installed"
    driver, now = blob.identity["driver"], _npu_driver()
    if driver not in {None, now}:
        return f"made with the driver {driver}, and this machine has {now or 'no NPU'}"
    return ""


def _ready_staleness(blob: Blob) -> str:
    from aipc.session.ready import ready_identity

    words = {"model": "its model was made again", "form": "made by another aipc"}
    for name, value in ready_identity(Path(blob.identity["artifact"])).items():
        was = blob.identity.get(name)
        if was != value:
            return words.get(name, f"made with {name} {_shown(was)}, and here is {_shown(value)}")
    return ""


def _shown(value: Any) -> str:
    words = value.items() if isinstance(value, dict) else [value or ()]
    return ", ".join(" ".join(map(str, word)) for word in words)


@functools.cache
def _npu_driver() -> str | None:
    from aipc.devices import reachable_devices

    return next((device.driver for device in reachable_devices() if device.kind == "npu"), None)


def _facts(blob: Blob, stale: str) -> dict[str, Any]:
    return {**dataclasses.asdict(blob), "path": str(blob.path), "stale": stale or None}


def _row(blob: Blob, stale: str) -> tuple[str, ...]:
    name, device = Path(blob.identity["artifact"]).name, blob.identity["device"]
    longest = blob.identity.get("max_prompt_len")
    prompt = "any" if longest is None else f"{longest:,}"
    state = "stale" if stale else "usable"
    about = amount(blob.nbytes), local_date(blob.created), prompt, state, name
    return blob.name[:8], device, *about
