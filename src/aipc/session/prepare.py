"""From a name to a model that only has to be loaded: found, fetched, converted, placed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aipc import telemetry
from aipc.artifact import manifest
from aipc.artifact.sentence_model import task_of
from aipc.choose import read_artifact
from aipc.convert.recipe import Recipe
from aipc.convert.targets import Target
from aipc.devices import Device, reachable_devices
from aipc.devices.device import kind_of, plain_name
from aipc.devices.remembered import remembered_devices
from aipc.errors import ArtifactError, UsageError
from aipc.generate import SamplingDefaults
from aipc.models import names
from aipc.models.catalogue import CATALOGUE, model_name
from aipc.models.source import (
    AdaptedSource,
    ArtifactSource,
    CheckpointSource,
    Source,
    describe,
)
from aipc.models.store import Store, StoredModel
from aipc.progress import Notify, Progress, silent
from aipc.runtimes.registry import RUNTIMES
from aipc.session.checkpoints import fetch_adapter, open_source
from aipc.session.convert import announce, find_artifact, log, prepare
from aipc.session.encoders.reader import refuse_reader, source_task
from aipc.session.kept import kept_artifact
from aipc.session.place import Placement, SessionOptions
from aipc.session.probe import probed_choice
from aipc.timing_spans import span

if TYPE_CHECKING:
    from aipc.choose.measured import Tuned
    from aipc.choose.setup import ProbedChoice


@dataclass(frozen=True)
class PreparedModel:
    """A whole artifact and its placement; `aipc.session.loading.open_session` loads it."""

    source: Source
    folder: Path
    placement: Placement
    store: Store

    @property
    def sampling(self) -> tuple[SamplingDefaults, ...]:
        """What the catalogue has for the model, also where its artifact was named."""
        source = describe(self.source)
        if isinstance(self.source, ArtifactSource):
            kept = manifest.find(self.folder)
            source = {} if kept is None else kept.facts.get("source", {})
        model = CATALOGUE.of_source(source)
        if model is None or not model.sampling:
            return ()
        stated = model.sampling, model.sampling_without_thinking
        return (SamplingDefaults("the catalogue", *stated),)

    @property
    def facts(self) -> dict[str, Any]:
        """What is known of the session before it is loaded, ready for JSON."""
        return {
            "model": model_name(self.source),
            "artifact": str(self.folder),
            "runtime": self.placement.plan.runtime,
            "device": self.placement.plan.device,
            **self.placement.facts,
        }


@dataclass(frozen=True)
class _Recalled:
    """What was tuned for a model, where it holds here and now; ``note``: why it does not."""

    tuned: Tuned | None = None
    note: str = ""


def prepare_session(
    name: str | None,
    wanted: SessionOptions,
    *,
    recipe: Recipe | None = None,
    store: Store | None = None,
    progress: Progress = silent,
    notify: Notify = log,
) -> PreparedModel:
    """All of `aipc.load`'s work up to the loading; arguments and errors are its own."""
    telemetry.switch_off()
    store = store or Store()
    with span("resolve the name"):
        source, wanted = _resolved(name or CATALOGUE.default.name, wanted, store)
        refuse_reader(name or model_name(source), source_task(source, store))
    with span("look for devices", "looking for devices"):
        devices = _devices(source, wanted.runtime, store)
    for given in wanted.adapters.values():
        _check_adapters(source, given, store, progress)
    if wanted.adapters and wanted.device == "auto":
        devices = tuple(filter(_takes_adapters, devices))
    recalled = _recall(source, wanted, recipe, devices, store)
    probed = None
    if isinstance(source, ArtifactSource):
        folder = _own_folder(source, recipe)
    else:
        if recalled.tuned is None:
            with span("probe"):
                probed = probed_choice(
                    name, source, wanted, recipe, devices, store, progress, notify
                )
        target, recipe = _target(wanted, recipe, recalled.tuned, probed, devices)
        kept = None if recalled.tuned else kept_artifact(source, wanted, recipe, devices, store)
        if kept is None:
            announce(name, source, store, notify)
        if kept is None or _is_made(source, recipe, target, kept, store):
            folder = _made(source, recipe, target, store, progress, notify)
            refuse_reader(model_name(source), task_of(folder))
        else:
            folder, probed = kept.path, None
            why = f"{kept.name}: taken as it is, because the checkpoint is not here"
            recalled = _Recalled(note=f"{recalled.note}; {why}" if recalled.note else why)
    with span("choose"):
        placement = Placement(
            read_artifact(folder),
            wanted,
            devices,
            store,
            progress,
            notify,
            tuned=recalled.tuned,
            probed=probed,
            note=recalled.note,
        )
    return PreparedModel(source, folder, placement, store)


def _resolved(name: str, wanted: SessionOptions, store: Store) -> tuple[Source, SessionOptions]:
    """The source; adapters beside an artifact are for its requests, as it can't be converted."""
    base, adapters = names.split(name)
    source = names.resolve(base, store)
    if adapters and isinstance(source, ArtifactSource):
        wanted = replace(wanted, adapters={**wanted.adapters, adapters: adapters}, adapter=adapters)
    elif adapters:
        source = names.resolve(name, store)
    return source, wanted


def _check_adapters(source: Source, given: str, store: Store, progress: Progress) -> None:
    """Refuse what can't be read, or is of another network, before anything is converted."""
    adapters = names.resolve_adapters(given)
    if isinstance(source, CheckpointSource) and store.holds(source):
        open_source(AdaptedSource(source, tuple(adapters)), store, progress)
        return
    for adapter in adapters:
        fetch_adapter(adapter, store, progress)


def _takes_adapters(device: Device) -> bool:
    return any(
        RUNTIMES.get(runtime).capabilities(kind_of(device.name)).adapters
        for runtime in device.runtimes
    )


def _devices(source: Source, runtime: str, store: Store) -> tuple[Device, ...]:
    """Those that may come into question; of a runtime that does not, nothing is loaded."""
    if isinstance(source, ArtifactSource):
        return reachable_devices({read_artifact(source.path).target})
    return remembered_devices(store.devices) if runtime == "auto" else reachable_devices({runtime})


def _recall(
    source: Source,
    wanted: SessionOptions,
    recipe: Recipe | None,
    devices: Sequence[Device],
    store: Store,
) -> _Recalled:
    from aipc.choose.measured import Records

    try:
        tuned = Records(store.tuned).find(source.name)
    except ArtifactError as error:
        return _Recalled(note=str(error))
    if tuned is None:
        return _Recalled()
    against = _against(tuned, wanted, recipe, devices)
    if against:
        return _Recalled(note=f"what was tuned on {tuned.when[:10]} is not used: {against}")
    return _Recalled(tuned)


def _against(
    tuned: Tuned, wanted: SessionOptions, recipe: Recipe | None, devices: Sequence[Device]
) -> str:
    """Why the record does not count; empty: it does."""
    from aipc.choose.measured import fingerprint

    if wanted.emulate:
        return "--emulate was requested"
    objection = tuned.objection(plain_name(wanted.device), wanted.runtime, recipe)
    changes = tuned.changes(fingerprint(devices))
    if changes and not objection:
        return f"{'; '.join(changes)}; `aipc tune` measures again"
    return objection


def _target(
    wanted: SessionOptions,
    recipe: Recipe | None,
    tuned: Tuned | None,
    probed: ProbedChoice | None,
    devices: Sequence[Device],
) -> tuple[Target, Recipe | None]:
    """What to convert for, and how; a device that is missing costs no download."""
    recipe = tuned.setup.recipe if tuned else recipe
    chosen = tuned.setup if tuned else probed
    if chosen:
        wanted = replace(wanted, device=chosen.device.lower(), runtime=chosen.runtime)
    target = wanted.target(devices, recipe)
    if wanted.adapters:
        RUNTIMES.get(target.runtime).capabilities(target.name).check_adapters()
    return target, recipe


def _own_folder(source: ArtifactSource, recipe: Recipe | None) -> Path:
    if recipe is not None:
        raise UsageError(
            f"'{source.path}' is converted already, so a recipe can't apply",
            "leave out --weight-format, --group-size, --ratio and --sym",
        )
    return source.path


def _is_made(
    source: Source, recipe: Recipe | None, target: Target, kept: StoredModel, store: Store
) -> bool:
    """Whether the artifact that would be made is here, and ``kept`` need not stand in for it."""
    parameters = kept.facts.get("parameters")
    sized = target.sized(parameters) if isinstance(parameters, int) else target
    return find_artifact(source, recipe or sized.recipe, store, target) is not None


def _made(
    source: Source,
    recipe: Recipe | None,
    target: Target,
    store: Store,
    progress: Progress,
    notify: Notify,
) -> Path:
    made = prepare(source, recipe, store, target=target, progress=progress, notify=notify)
    for note in () if made.reused else made.notes:
        notify(note)
    return made.path
