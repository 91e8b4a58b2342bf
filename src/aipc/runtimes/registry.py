"""The runtimes by name, each imported when it is requested."""

from __future__ import annotations

import importlib
from typing import cast

from aipc.errors import UsageError
from aipc.runtimes.base import Runtime


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
        module, _, attribute = self._modules[name].partition(":")
        return cast("Runtime", getattr(importlib.import_module(module), attribute)())


RUNTIMES = Registry(
    {
        "openvino": "aipc.runtimes.openvino.engine:OpenVINORuntime",
        "onnx": "aipc.runtimes.onnx.runtime:ONNXRuntime",
    },
    {"openvino": "OpenVINO", "onnx": "ONNX Runtime"},
)
