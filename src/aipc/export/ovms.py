"""From a name to a folder that OpenVINO Model Server serves."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from aipc import telemetry
from aipc.artifact.artifact import Artifact, read_artifact
from aipc.artifact.files import OPENVINO_DETOKENIZER, OPENVINO_TOKENIZER
from aipc.convert.recipe import Recipe
from aipc.convert.targets import find_target
from aipc.devices.remembered import remembered_devices
from aipc.errors import ArtifactError, UsageError
from aipc.export import graph, kserve
from aipc.export.options import ServingOptions
from aipc.export.repository import ExportedVersion, add_version, serve_version
from aipc.export.settings import (
    RUNTIME,
    GraphSettings,
    embedding_settings,
    find_tuned,
    text_settings,
)
from aipc.models import names
from aipc.models.catalogue import CATALOGUE
from aipc.models.source import ArtifactSource, HubSource, Source
from aipc.models.store import Store
from aipc.progress import Notify, Progress, silent
from aipc.records import replace_text
from aipc.session.convert import announce, log, prepare

STORAGE = "pvc://models"
"""The claim whose root the exported folder is, where no other storage is named."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Exported:
    """A model in a repository; ``why`` gives a reason for each of its settings."""

    name: str
    version: ExportedVersion
    config: Path
    kserve: Path
    image: str
    why: tuple[str, ...]


def export_ovms(
    model: str,
    root: Path,
    recipe: Recipe | None = None,
    *,
    target: str = "cpu",
    name: str = "",
    options: ServingOptions | None = None,
    storage: str = STORAGE,
    store: Store | None = None,
    progress: Progress = silent,
    notify: Notify = log,
) -> Exported:
    """Add a model to the repository in ``root``, as its newest version, and have that served.

    ``target`` is the device of the machine that is to serve; where this machine has one too, what
    was tuned for it here decides, if anything was.  Exported again unchanged, nothing is written.

    Raises:
        ArtifactError: nothing that this server opens, or not there.
        UsageError: a name, recipe or option that can't be meant.
        AipcError: as `aipc.session.convert.convert`.
    """
    telemetry.switch_off()
    store, options = store or Store(), options or ServingOptions()
    meant_for = find_target(target, RUNTIME)
    source = names.resolve(model, store)
    served = name or _name(model, source)
    if not _NAME.fullmatch(served):
        raise UsageError(f"'{served}' can't be a model's name there", "give another with --name")
    devices = remembered_devices(store.devices)
    tuned = find_tuned(source, target, recipe, devices, store)
    if isinstance(source, ArtifactSource):
        folder = _own(source, recipe)
    else:
        announce(model, source, store, notify)
        recipe = tuned.setup.recipe if tuned else recipe
        made = prepare(source, recipe, store, target=meant_for, progress=progress, notify=notify)
        folder = made.path
    artifact = _checked(read_artifact(folder))
    if artifact.task == "scores":
        raise ArtifactError(
            f"'{artifact.path}' scores texts, which is not exported here",
            "serve it with `aipc serve`: /v1/rerank",
        )
    if artifact.task == "embeddings":
        settings = embedding_settings(artifact, target)
        text = graph.embedding_graph(settings.options)
    else:
        settings = text_settings(artifact, target, devices, tuned, options)
        text = graph.text_graph(settings.options)
    return _written(root, served, artifact, settings, text, target, options, storage, progress)


def _written(
    root: Path,
    name: str,
    artifact: Artifact,
    settings: GraphSettings,
    text: str,
    target: str,
    options: ServingOptions,
    storage: str,
    progress: Progress,
) -> Exported:
    """The version, then the manifest for it, and last what has it served."""
    label = kserve.dns_label(name)
    facts = {**artifact.facts, "served_by": {"device": target, **settings.options}}
    version = add_version(root, name, artifact.path, text, facts, progress)
    uri = f"{storage.rstrip('/')}/{name}/{version.number}"
    service = root / f"{label}.kserve.yaml"
    replace_text(
        service, kserve.manifest_text(name, uri, target, version.nbytes, options.cache_size)
    )
    config = serve_version(root, name, version.number)
    return Exported(name, version, config, service, kserve.image(target), settings.why)


def _own(source: ArtifactSource, recipe: Recipe | None) -> Path:
    if recipe is not None:
        what = f"'{source.path}' is converted already, so a recipe can't apply"
        raise UsageError(what, "leave it out, or name the checkpoint")
    return source.path


def _checked(artifact: Artifact) -> Artifact:
    """Refuse what OpenVINO Model Server does not open."""
    if artifact.target != RUNTIME:
        what = f"'{artifact.path}' was made for {artifact.target}, which this server does not open"
        raise ArtifactError(what, f"convert its checkpoint with --runtime {RUNTIME}")
    needed = [OPENVINO_TOKENIZER, *(() if artifact.task else (OPENVINO_DETOKENIZER,))]
    missing = [name for name in needed if not (artifact.path / name).is_file()]
    if missing:
        what = f"'{artifact.path}' has no {missing[0]}, which the server reads texts by"
        raise ArtifactError(what, "convert the model again, or serve it with `aipc serve`")
    return artifact


def _name(model: str, source: Source) -> str:
    """A short name as it is, else the last part of the hub's name or of a path."""
    if model in CATALOGUE:
        return model
    if isinstance(source, HubSource):
        return source.repo.rpartition("/")[2]
    path = Path(model)
    return path.stem if path.is_file() else path.resolve().name
