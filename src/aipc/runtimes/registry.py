"""The runtimes by name, each imported when it is requested."""

from __future__ import annotations

import importlib
from typing import cast

from aipc.errors import UsageError
from aipc.runtimes.base import Runtime


class Registry:
    def __init__(self, places: dict[str, str]) -> None:
        self._modules = places

    def check(self, name: str) -> None:
        """Refuse a name that is no runtime's.

        Raises:
            UsageError: with the names that are.
        """
        if name not in self._modules:
            raise UsageError(f"unknown runtime '{name}'", f"known: {', '.join(self._modules)}")

    def get(self, name: str) -> Runtime:
        self.check(name)
        module, _, attribute = self._modules[name].partition(":")
        return cast("Runtime", getattr(importlib.import_module(module), attribute)())


RUNTIMES = Registry(
    {
        "openvino": "aipc.runtimes.openvino.engine:OpenVINORuntime",
        "onnx": "aipc.runtimes.onnx.runtime:ONNXRuntime",
    }
)
