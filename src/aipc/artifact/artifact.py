"""A converted model, ours or a vendor's: what the choice of a device depends on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aipc import disk
from aipc.artifact import manifest
from aipc.artifact.files import GENAI_CONFIG, OPENVINO_CONFIG, runtime_of
from aipc.artifact.links import refuse_links
from aipc.artifact.providers import GRAPH_FORMS, PROVIDERS, normal_name
from aipc.artifact.sentence_model import Task, task_of
from aipc.errors import ArtifactError


@dataclass(frozen=True)
class Artifact:
    """``target`` is the runtime that it was made for: "openvino" or "onnx".

    ``weights`` is "fp16", "int8" or "int4"; None where a vendor's folder does not state it.
    """

    path: Path
    target: str
    weights: str | None
    facts: Mapping[str, Any]
    provider: str = ""
    """ONNX Runtime's execution provider that the folder names; empty: none, the CPU's."""

    @property
    def task(self) -> Task | None:
        """What it makes of texts where it writes none: `aipc.embedder` or `reranker` opens it."""
        return task_of(self.path)

    @property
    def parameters(self) -> int | None:
        """Of its network; None where nothing states them."""
        stated = self.facts.get("parameters")
        return stated if isinstance(stated, int) else None

    @property
    def kinds(self) -> frozenset[str] | None:
        """Families of devices that its graph can run on; None: whichever the runtime has."""
        if self.target != "onnx":
            return None
        return frozenset(one.kind for one in PROVIDERS if self.provider in one.takes)

    @property
    def activations(self) -> str | None:
        """What its graph computes in, "fp16" or "fp32"; None where nothing states it."""
        stated = self.facts.get("activations")
        if stated is None and self.target == "onnx":  # artifacts older than that fact
            form = GRAPH_FORMS.get(str(self.facts.get("target")))
            return form.activations[0] if form else None
        return stated if isinstance(stated, str) else None

    @property
    def nbytes(self) -> int:
        """Its files together, which is near enough what its weights take in memory."""
        return sum(file.stat().st_size for file in self.path.glob("*") if file.is_file())


def read_artifact(folder: Path) -> Artifact:
    """The artifact in ``folder``.

    Raises:
        ArtifactError: it holds nothing that a runtime here opens, or links that lead out of it.
    """
    target = runtime_of(folder)
    if target is None:
        what = f"'{folder}' holds no model that a runtime here opens"
        raise ArtifactError(what, "convert it first")
    with disk.told(ArtifactError, f"can't look into '{folder}'", "check who may read it"):
        refuse_links(folder, ArtifactError)
    made = manifest.find(folder)
    facts = {} if made is None else made.facts
    stated = facts.get("recipe", {}).get("weight_format")
    weights = str(stated) if stated else _optimum_weights(folder)
    provider = _provider(folder) if (folder / GENAI_CONFIG).is_file() else ""
    return Artifact(folder, target, weights, facts, provider)


def _optimum_weights(folder: Path) -> str | None:
    """As optimum-intel's openvino_config.json states them."""
    try:
        config = json.loads((folder / OPENVINO_CONFIG).read_text("utf-8"))
        bits = (config.get("quantization_config") or {}).get("bits")
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    return f"int{bits}" if bits in {4, 8} else None


def _provider(folder: Path) -> str:
    """From genai_config.json: the first name in the decoder's list of provider options.

    Raises:
        ArtifactError: the file is damaged.
    """
    try:
        config = json.loads((folder / GENAI_CONFIG).read_text("utf-8"))
        listed = config["model"]["decoder"].get("session_options", {}).get("provider_options", [])
        named = [name for entry in listed for name in entry]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ArtifactError(
            f"'{folder / GENAI_CONFIG}' can't be read: {error}", "convert the model again"
        ) from error
    if not named:
        return ""
    return normal_name(named[0])
