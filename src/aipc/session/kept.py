"""A model whose checkpoint is not here: what was converted of it, here or elsewhere, answers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from aipc.choose import read_artifact
from aipc.choose.runtime_device import RuntimeDevice, runtime_devices
from aipc.convert.recipe import REVISION, Recipe, recorded_recipe
from aipc.devices import Device, resolve_device
from aipc.devices.device import plain_name
from aipc.errors import DeviceError, UsageError
from aipc.models.source import Source
from aipc.models.store import Store, StoredModel
from aipc.session.place import SessionOptions


def requested_places(
    wanted: SessionOptions, devices: Sequence[Device]
) -> tuple[RuntimeDevice, ...]:
    """Devices through runtimes, in the documented order; none where the device is not there."""
    name = plain_name(wanted.device)
    if name != "auto":
        try:
            name = resolve_device(name, [device.name for device in devices])
        except DeviceError:
            return ()
    return runtime_devices(devices, device=name, runtime=wanted.runtime)


def kept_artifact(
    source: Source,
    wanted: SessionOptions,
    recipe: Recipe | None,
    devices: Sequence[Device],
    store: Store,
) -> StoredModel | None:
    """The artifact to take instead of fetching the checkpoint; None: there is none, or no need.

    It is for the first place that has one, in the target's own recipe if there are several; a
    ``recipe`` has to be its own.
    """
    if store.holds(source) or wanted.emulate:
        return None
    kept = [one for one in store.artifacts_of(source) if _is_usable(one, recipe)]
    for place in requested_places(wanted, devices) if kept else ():
        suiting = [one for one in kept if _suits(one, place, devices)]
        if suiting:
            return max(suiting, key=lambda one: (_is_default(one, place), one.created))
    return None


def _is_usable(kept: StoredModel, recipe: Recipe | None) -> bool:
    is_current = kept.name.endswith(f"-{REVISION}")
    return is_current and (recipe is None or _recipe(kept) == recipe)


def _suits(kept: StoredModel, place: RuntimeDevice, devices: Sequence[Device]) -> bool:
    places = runtime_devices(
        devices,
        device=place.device.name,
        runtime=place.runtime,
        artifact=read_artifact(kept.path),
    )
    return bool(places)


def _is_default(kept: StoredModel, place: RuntimeDevice) -> bool:
    parameters = kept.facts.get("parameters")
    if place.target is None or not isinstance(parameters, int):
        return False
    return _recipe(kept) == place.target.sized(parameters).recipe


def _recipe(kept: StoredModel) -> Recipe | None:
    """None where it states none, or one that no version takes."""
    stated = kept.facts.get("recipe")
    with suppress(UsageError, TypeError):
        return recorded_recipe(stated) if stated else None
    return None
