"""Folders of ONNX Runtime GenAI, opened on an execution provider."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aipc import telemetry
from aipc.artifact.lora import Factors
from aipc.devices import kind_of
from aipc.errors import UsageError
from aipc.runtimes.base import MERGE_ADAPTER, Capabilities
from aipc.runtimes.onnx.batch_engine import BatchEngine
from aipc.runtimes.onnx.engine import ONNXEngine
from aipc.runtimes.onnx.folder import open_folder
from aipc.runtimes.onnx.provider import (
    KINDS,
    PROVIDER,
    check_installed,
    find_device,
    find_provider,
    read_properties,
)
from aipc.runtimes.prompt_lookup import read_lookup

SOFTWARE_PIECE = 31
"""Most tokens of a prompt in one call, on a device that the CPU imitates: for 32 and more WebGPU's
attention takes another kernel, which is wrong where a subgroup has 4 lanes (SwiftShader) or 8
(lavapipe), from the first row past them on.  Measured with onnxruntime-ep-webgpu 0.4.0."""


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

    def capabilities(self, kind: str) -> Capabilities:
        return Capabilities(
            runtime=self.name,
            formats=frozenset({"onnx"}),
            concurrent=True,
            constraints=frozenset({"json_schema", "regex"}),
            logprobs=True,
            logits=True,
            adapters=kind == "cpu",
        )

    def open(
        self,
        artifact: Path,
        device: str,
        properties: Mapping[str, str],
        adapters: Mapping[str, Factors] | None = None,
    ) -> ONNXEngine | BatchEngine:
        if adapters:
            self.capabilities(kind_of(device)).check_adapters()
        telemetry.switch_off()  # also for callers that come without a session: these packages send
        provider = find_provider(kind_of(device), properties.get(PROVIDER))
        if adapters and provider.name != "CPU":
            what = f"the provider {provider.name} takes no adapters while it runs"
            raise UsageError(what, MERGE_ADAPTER)
        settings = read_properties(properties, provider)
        check_installed(provider)
        folder = open_folder(artifact)
        folder.check_provider(provider)
        if folder.is_mixture:
            provider = provider.for_mixtures
        lookup = read_lookup(properties)
        if provider.name == "CPU" and folder.graph is not None:
            graph = folder.graph
            return BatchEngine(folder, graph, provider, settings, properties, lookup, adapters)
        if lookup is not None:
            raise UsageError(
                f"the provider {provider.name} has no prompt lookup with this model",
                "leave prompt_lookup out",
            )
        found = find_device(provider, device)
        folder.check_device(found)
        if found.is_software:
            provider = replace(provider, piece=SOFTWARE_PIECE)
        return ONNXEngine(folder, provider, found.name, settings, properties, adapters)

    def scorer(self, artifact: Path, device: str, properties: Mapping[str, str]) -> ONNXScorer:
        return ONNXScorer(self.open(artifact, device, properties))
