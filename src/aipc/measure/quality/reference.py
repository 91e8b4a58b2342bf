"""The float model that an artifact was made from: found, converted once to 16 bits, and kept.

It is computed in float32 on the CPU, so that nothing but its weights has 16 bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aipc.choose import read_artifact
from aipc.convert.recipe import Recipe
from aipc.errors import MeasurementError
from aipc.measure.quality.subject import Subject
from aipc.models import names
from aipc.models.source import (
    ArtifactSource,
    FolderSource,
    GgufSource,
    HubSource,
    Source,
    WheelSource,
)
from aipc.models.store import Store
from aipc.progress import Progress
from aipc.runtimes.openvino.scorer import EXACT
from aipc.session.convert import Notify, announce, prepare

FLOAT = Recipe(weight_format="fp16")
_LOCAL: Mapping[str, type[FolderSource | GgufSource]] = {
    "folder": FolderSource,
    "gguf": GgufSource,
}
_FIX = "name it with --against MODEL, or judge by the text alone with --against none"


def find_reference(
    artifact: Path, named: str | None, store: Store, progress: Progress, notify: Notify
) -> Subject:
    """The reference of an artifact: ``named``, or the checkpoint that it was made from.

    What is no artifact is converted to fp16, into the store, once.

    Raises:
        MeasurementError: nobody knows the checkpoint, or it is not there or another by now.
        AipcError: it can't be fetched or converted.
    """
    source = names.resolve(named) if named else _origin(artifact)
    if isinstance(source, ArtifactSource):
        return _reference(source.path)
    announce(source.label, source, store, notify)
    made = prepare(source, FLOAT, store, progress=progress, notify=notify)
    if not named:
        _check_same_weights(artifact, made.path)
    return _reference(made.path)


def _reference(folder: Path) -> Subject:
    found = read_artifact(folder)
    return Subject(folder, found.target, "cpu", EXACT if found.target == "openvino" else {})


def _origin(artifact: Path) -> Source:
    stated = dict(read_artifact(artifact).facts.get("source", {}))
    kind = stated.pop("kind", None)
    stated.pop("files", None)
    try:
        if kind in _LOCAL:
            return _existing(_LOCAL[kind](Path(stated["path"])), artifact)
        if kind == "hub":
            return HubSource(**stated)
        if kind == "wheel":
            return WheelSource(**stated)
    except (TypeError, KeyError) as error:
        raise _unknown(artifact) from error
    raise _unknown(artifact)


def _existing(source: FolderSource | GgufSource, artifact: Path) -> Source:
    if not source.path.exists():
        raise MeasurementError(
            f"the float model of '{artifact.name}', '{source.path}', is not there any more", _FIX
        )
    return source


def _unknown(artifact: Path) -> MeasurementError:
    return MeasurementError(f"nobody knows what '{artifact.name}' was made from", _FIX)


def _check_same_weights(artifact: Path, reference: Path) -> None:
    """A checkpoint on the user's disk, or a branch on the hub, may have changed since."""
    ours, theirs = (_files(folder) for folder in (artifact, reference))
    if ours != theirs:
        raise MeasurementError(
            f"the model that '{artifact.name}' was made from has changed since then",
            "convert it again, or name its float model with --against MODEL",
        )


def _files(folder: Path) -> Mapping[str, Any]:
    files: Mapping[str, Any] = read_artifact(folder).facts.get("source", {}).get("files", {})
    return files
