"""Folders of ONNX Runtime GenAI, opened on an execution provider."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aipc import telemetry
from aipc.devices import kind_of
from aipc.errors import UsageError
from aipc.runtimes.base import Capabilities
from aipc.runtimes.onnx.batch_engine import BatchEngine
from aipc.runtimes.onnx.engine import ONNXEngine
from aipc.runtimes.onnx.folder import open_folder
from aipc.runtimes.onnx.provider import (
    KINDS,
    PROVIDER,
    check_installed,
    device_name,
    find_provider,
    read_properties,
)
from aipc.runtimes.prompt_lookup import read_lookup


class ONNXScorer:
    """An engine of which every score is read; see `aipc.runtimes.base.Scorer`."""

    def __init__(self, engine: ONNXEngine | BatchEngine) -> None:
        """Take the engine over."""
        self._engine = engine

    @property
    def facts(self) -> Mapping[str, Any]:
        return self._engine.facts

    def logits(self, ids: Sequence[int]) -> Iterator[npt.NDArray[np.float32]]:
        yield from self._engine.scores(ids)

    def close(self) -> None:
        self._engine.close()


class ONNXRuntime:
    """Opens ONNX Runtime GenAI folders, ours and the model builder's."""

    name = "onnx"
    kinds = KINDS

    def capabilities(self, kind: str) -> Capabilities:  # noqa: ARG002 - its devices are alike
        return Capabilities(
            runtime=self.name,
            formats=frozenset({"onnx"}),
            concurrent=True,
            constraints=frozenset({"json_schema", "regex"}),
            logprobs=True,
            logits=True,
        )

    def open(
        self, artifact: Path, device: str, properties: Mapping[str, str]
    ) -> ONNXEngine | BatchEngine:
        telemetry.switch_off()  # also for callers that come without a session: these packages send
        provider = find_provider(kind_of(device), properties.get(PROVIDER))
        settings = read_properties(properties, provider)
        check_installed(provider)
        folder = open_folder(artifact)
        folder.check_provider(provider)
        lookup = read_lookup(properties)
        if provider.name == "CPU" and folder.graph is not None:
            return BatchEngine(folder, folder.graph, provider, settings, properties, lookup)
        if lookup is not None:
            raise UsageError(
                f"the provider {provider.name} has no prompt lookup with this model",
                "leave prompt_lookup out",
            )
        name = device_name(provider, device)
        return ONNXEngine(folder, provider, name, settings, properties)

    def scorer(self, artifact: Path, device: str, properties: Mapping[str, str]) -> ONNXScorer:
        return ONNXScorer(self.open(artifact, device, properties))
