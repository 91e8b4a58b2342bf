"""What the files of a model tell about it, without loading it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from aipc.artifact import manifest
from aipc.artifact.artifact import read_artifact
from aipc.artifact.config import read_config, read_context
from aipc.artifact.files import CHAT_TEMPLATE, TOKENIZER, runtime_of
from aipc.errors import AipcError
from aipc.generate.prompt import fill_formats
from aipc.generate.thinking.marks import marks_of_template
from aipc.models.catalogue import CATALOGUE, Model
from aipc.models.source import ArtifactSource, HubSource, WheelSource, without_adapters
from aipc.models.store import Store
from aipc.pool.model_registry import ModelCard
from aipc.pool.worker_client import Ready


@dataclass(frozen=True)
class ModelFiles:
    """``path`` is its artifact, else its checkpoint; None where it is not fetched yet."""

    card: ModelCard
    path: Path | None
    origin: Path | None
    """The folder of the store that says what it is, whatever was made of it."""

    @cached_property
    def known(self) -> Model | None:
        """Its line of the catalogue."""
        return CATALOGUE.find(self.card.source)

    @cached_property
    def facts(self) -> Mapping[str, Any]:
        made = manifest.find(self.path) if self.path is not None else None
        return made.facts if made else {}

    @cached_property
    def config(self) -> Mapping[str, Any]:
        return read_config(self.path) if self.path is not None else {}

    @cached_property
    def _about(self) -> manifest.Manifest | None:
        return manifest.find(self.origin) if self.origin is not None else None

    @property
    def modified(self) -> float:
        """When it was fetched or made, in seconds since 1970."""
        if self._about is None:
            return self.card.created
        return datetime.fromisoformat(self._about.created).timestamp()

    @property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, of the hashes of its files; without those of its source."""
        files = self._about.files.items() if self._about else ()
        lines = [f"{facts.sha256}  {name}" for name, facts in files] or [self._key]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    @property
    def _key(self) -> str:
        """Names the state of its files; its own name where they can't be read."""
        try:
            return self.card.source.name
        except AipcError:
            return self.card.name

    @property
    def form(self) -> str:
        """One of openvino, onnx, gguf and safetensors; empty where it is not known."""
        if self.path is None:
            return ""
        is_gguf = self.path.suffix.lower() == ".gguf" or any(self.path.glob("*.gguf"))
        return runtime_of(self.path) or ("gguf" if is_gguf else "safetensors")

    @property
    def family(self) -> str:
        return str(self.config.get("model_type") or self.facts.get("model_type") or "")

    @property
    def parameters(self) -> int | None:
        stated = self.facts.get("parameters")
        if isinstance(stated, int):
            return stated
        return self.known.parameters if self.known else None

    @property
    def weight_format(self) -> str:
        """One of int4, int8 and fp16; empty where nothing states it."""
        if self.path is None or runtime_of(self.path) is None:
            return ""
        try:
            return read_artifact(self.path).weights or ""
        except AipcError:  # damaged; who asks the model gets the error
            return ""

    @property
    def context(self) -> int | None:
        if self.path is None or not self.path.is_dir():
            return self.card.context
        try:
            return read_context(self.path) or self.card.context
        except AipcError:
            return self.card.context

    @property
    def template(self) -> str:
        """The chat template; empty where it has none, or it is not converted yet."""
        file = self.path / CHAT_TEMPLATE if self.path is not None else None
        return file.read_text("utf-8") if file is not None and file.is_file() else ""

    @property
    def capabilities(self) -> list[str]:
        """What it can be asked for, as Ollama calls it.

        Tools can be offered to every model that writes text: where its template has none, a system
        message says how to call them.
        """
        if self.card.task is not None:
            return ["embedding"] if self.card.task == "embeddings" else []
        thinks = ["thinking"] if marks_of_template(self.template) else []
        fills = ["insert"] if self._fills_middles else []
        return ["completion", "tools", *thinks, *fills]

    @property
    def _fills_middles(self) -> bool:
        file = self.path / TOKENIZER if self.path is not None else None
        if file is None or not file.is_file():
            return False
        return _names_fill_marks(file, file.stat().st_mtime_ns)


@lru_cache(maxsize=256)
def _names_fill_marks(file: Path, _: int) -> bool:
    """Whether a tokenizer's file, as it was at that time, has the tokens to fill in the middle."""
    text = file.read_text("utf-8")
    return any(all(f'"{mark}"' in text for mark in form.marks) for form in fill_formats())


def find_files(store: Store, card: ModelCard, ready: Ready | None) -> ModelFiles:
    """Those that are loaded, else those that were made last, else those that were fetched.

    None where they can't be read.
    """
    if card.problem:
        return ModelFiles(card, None, None)
    if isinstance(card.source, ArtifactSource):
        return ModelFiles(card, card.source.path, card.source.path)
    source = without_adapters(card.source)
    fetched = store.fetch(source) if store.holds(source) else None
    origin = None
    if fetched is not None and isinstance(source, HubSource | WheelSource):
        origin = fetched if fetched.is_dir() else fetched.parent
    if ready is not None and ready.facts.get("artifact"):
        return ModelFiles(card, Path(ready.facts["artifact"]), origin)
    made = max(store.artifacts_of(card.source), key=lambda one: one.created, default=None)
    return ModelFiles(card, fetched if made is None else made.path, origin)
