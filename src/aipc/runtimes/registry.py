"""The runtimes by name, each imported when it is requested."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from aipc.artifact.sentence_modules import Pooling
from aipc.errors import UsageError
from aipc.runtimes.base import Runtime
from aipc.runtimes.encoders.encoder import Encoder


class Registry:
    """``modules`` has each runtime's "module:class", ``titles`` its maker's name for it."""

    def __init__(self, modules: dict[str, str], titles: dict[str, str]) -> None:
        self._modules = modules
        self._titles = titles

    def check(self, name: str) -> None:
        """Refuse a name that is no runtime's.

        Raises:
            UsageError: with the names that are.
        """
        if name not in self._modules:
            raise UsageError(f"unknown runtime '{name}'", f"known: {', '.join(self._modules)}")

    def title(self, name: str) -> str:
        """As its maker writes it."""
        return self._titles[name]

    def get(self, name: str) -> Runtime:
        self.check(name)
        return cast("Runtime", _imported(self._modules[name])())


RUNTIMES = Registry(
    {
        "openvino": "aipc.runtimes.openvino.engine:OpenVINORuntime",
        "onnx": "aipc.runtimes.onnx.runtime:ONNXRuntime",
    },
    {"openvino": "OpenVINO", "onnx": "ONNX Runtime"},
)
_ENCODERS = {
    "openvino": "aipc.runtimes.encoders.openvino:OpenVINOEncoder",
    "onnx": "aipc.runtimes.encoders.onnx:ONNXEncoder",
}


def open_encoder(
    runtime: str,
    artifact: Path,
    device: str,
    properties: Mapping[str, str],
    pooling: Pooling | None = None,
) -> Encoder:
    """Load a model that reads whole texts; arguments and errors are those of ``runtime``'s own."""
    made = _imported(_ENCODERS[runtime])(artifact, device, properties, pooling)
    return cast("Encoder", made)


def _imported(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)
