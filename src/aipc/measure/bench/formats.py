"""The model that is measured, in each of the formats that peers load."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from aipc.artifact import manifest
from aipc.artifact.files import GENAI_CONFIG, OPENVINO_MODEL
from aipc.convert.recipe import Recipe
from aipc.convert.targets import find_target
from aipc.errors import ArtifactError, MeasurementError
from aipc.measure.bench.result import ArtifactFacts
from aipc.measure.bench.roofline import read_needs
from aipc.models.source import ArtifactSource
from aipc.progress import Progress
from aipc.session.convert import Notify, prepare
from aipc.session.prepare import PreparedModel


class ModelFormats:
    """Makes what peers load of the model that a session was prepared for."""

    def __init__(
        self, prepared: PreparedModel, recipe: Recipe | None, progress: Progress, notify: Notify
    ) -> None:
        self._prepared = prepared
        self._recipe = recipe
        self._report = progress, notify

    def find(self, format: str) -> Path:  # noqa: A002 - peers.toml's word
        """The model in that format: aipc's own artifact where it is in it, else made now.

        Raises:
            MeasurementError: this model can't be had in that format here; how to give it.
        """
        own, source = self._prepared.folder, self._prepared.source
        if _format_of(own) == format:
            return own
        if isinstance(source, ArtifactSource):
            raise MeasurementError(
                f"'{own.name}' is no {format} model", "give the peer's own with --peer NAME=PATH"
            )
        if format in {"openvino", "onnx"}:
            return self._converted(format)
        found = self._prepared.store.fetch(source, self._report[0])
        if format == "gguf" and found.suffix != ".gguf":
            raise MeasurementError(
                f"{source.label} has no GGUF file", "give one with --peer NAME=FILE"
            )
        return found

    def _converted(self, runtime: str) -> Path:
        source, store = self._prepared.source, self._prepared.store
        progress, notify = self._report
        target = find_target("cpu", runtime)
        made = prepare(source, self._recipe, store, target=target, progress=progress, notify=notify)
        return made.path


def artifact_facts(path: Path, properties: Mapping[str, str]) -> ArtifactFacts:
    """What is stated of an artifact, a checkpoint folder or a GGUF file."""
    files = [path] if path.is_file() else sorted(one for one in path.iterdir() if one.is_file())
    made = None if path.is_file() else _manifest(path)
    return ArtifactFacts(
        name=path.name,
        nbytes=sum(file.stat().st_size for file in files),
        sha256=_sha256(files, made),
        recipe={} if made is None else dict(made.facts.get("recipe") or {}),
        needs=read_needs(path, properties),
    )


def _manifest(folder: Path) -> manifest.Manifest | None:
    try:
        return manifest.read(folder)
    except ArtifactError:
        return None


def _sha256(files: list[Path], made: manifest.Manifest | None) -> str:
    """Of the lines "HASH  NAME" of all files, as sha256sum writes them."""
    known = {} if made is None else {name: facts.sha256 for name, facts in made.files.items()}
    rows = (f"{known.get(file.name) or manifest.sha256(file)}  {file.name}\n" for file in files)
    return hashlib.sha256("".join(rows).encode()).hexdigest()


def _format_of(path: Path) -> str:
    if (path / OPENVINO_MODEL).exists():
        return "openvino"
    if (path / GENAI_CONFIG).exists():
        return "onnx"
    return "gguf" if path.suffix == ".gguf" else "checkpoint"
