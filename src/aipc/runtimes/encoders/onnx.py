"""Vectors and scores of texts from a graph that ONNX Runtime itself runs, by any of its providers.

A provider that is built in is named, one that is a plugin is registered and given its devices
(https://onnxruntime.ai/docs/execution-providers/plugin-ep-libraries/usage.html).
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy.typing as npt

from aipc import telemetry
from aipc.artifact.files import whole_text_output
from aipc.artifact.providers import Provider
from aipc.artifact.sentence_modules import Pooling
from aipc.devices import Device, kind_of
from aipc.devices.onnxruntime import PROVIDERS
from aipc.errors import DeviceError
from aipc.runtimes.encoders.batches import BatchedEncoder, Inputs
from aipc.runtimes.onnx.decoder import make_options
from aipc.runtimes.onnx.folder import own_graph
from aipc.runtimes.onnx.provider import (
    PROVIDER,
    Settings,
    check_installed,
    find_device,
    find_provider,
    load_cuda,
    read_properties,
    session_options,
)
from aipc.runtimes.vendor_errors import translated


class ONNXEncoder(BatchedEncoder):
    """A session on a graph; see `aipc.runtimes.encoders.encoder.Encoder`."""

    def __init__(
        self,
        artifact: Path,
        device: str,
        properties: Mapping[str, str],
        pooling: Pooling | None = None,
    ) -> None:
        """Load ``artifact`` on ``device`` ("auto" is the CPU), with --onnx-config's properties.

        ``pooling`` as `BatchedEncoder` has it.

        Raises:
            ArtifactError: a damaged graph, or one that refers to files outside its folder.
            DeviceError: this machine has no such device, or lacks its package.
            UsageError: a property that the provider does not know.
            EngineError: ONNX Runtime failed; its own error is the cause.
        """
        requested = "CPU" if device.lower() == "auto" else device.upper()
        provider = find_provider(kind_of(requested), properties.get(PROVIDER))
        check_installed(provider)
        settings = read_properties(properties, provider)
        graph = own_graph(artifact)
        telemetry.switch_off()
        found = find_device(provider, requested)
        import onnxruntime

        with translated(f"the model could not be loaded on {found.name}"):
            self._session: Any = _session(graph, provider, found, settings)
        self._inputs = {one.name for one in self._session.get_inputs()}
        self._output = whole_text_output(artifact)
        (output,) = (one for one in self._session.get_outputs() if one.name == self._output)
        self.facts: Mapping[str, Any] = {
            "runtime": "onnx",
            "version": onnxruntime.__version__,
            "device": found.name,
            "provider": provider.name,
            "properties": dict(properties),
            "artifact": str(artifact),
        }
        super().__init__(output.shape[-1], pooling)

    def _infer(self, given: Inputs) -> npt.NDArray[Any]:
        with translated("ONNX Runtime failed to read the texts"):
            result: npt.NDArray[Any] = self._session.run(
                [self._output], {name: given[name] for name in self._inputs}
            )[0]
            return result

    def _free(self) -> None:
        self._session = None


def _session(graph: Path, provider: Provider, device: Device, settings: Settings) -> Any:
    import onnxruntime

    options = make_options(session_options({}, settings))
    if provider.name == "CPU":
        return onnxruntime.InferenceSession(str(graph), options, ["CPUExecutionProvider"])
    if provider.kind == "cuda":
        load_cuda()
    number = device.name.partition(".")[2]
    if provider.plugin:
        _register(provider.plugin)
        options.add_provider_for_devices(_plugin_devices(provider, number), dict(settings.provider))
        return onnxruntime.InferenceSession(str(graph), options)
    if provider.kind == "directml":  # its page: neither memory patterns nor parallel execution
        options.enable_mem_pattern = False
    own = {provider.number: number} if number else {}
    named = PROVIDERS.get(provider.kind, f"{provider.name}ExecutionProvider")
    chosen = [(named, {**own, **settings.provider}), ("CPUExecutionProvider", {})]
    session = onnxruntime.InferenceSession(str(graph), options, chosen)
    if named not in session.get_providers():
        raise DeviceError(f"ONNX Runtime could not use {named}", "`aipc doctor` looks into it")
    return session


def _plugin_devices(provider: Provider, number: str) -> list[Any]:
    import onnxruntime

    module = importlib.import_module(provider.plugin)
    name = module.get_ep_name()
    found = [one for one in onnxruntime.get_ep_devices() if one.ep_name == name]
    if not found:
        raise DeviceError(f"{name} finds no device", "`aipc doctor` looks into it")
    return [found[int(number or 0)]]


@cache
def _register(plugin: str) -> None:
    """Once a process."""
    import onnxruntime

    module = importlib.import_module(plugin)
    onnxruntime.register_execution_provider_library(plugin, module.get_library_path())
