"""Vectors and scores of texts from a graph that OpenVINO runs, on the CPU and the GPU.

The graph itself is run, and not GenAI's pipelines: those compute all the texts of a call as wide as
the longest of them, and cut a text without a word.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from aipc.artifact.files import OPENVINO_MODEL
from aipc.artifact.sentence_modules import Pooling
from aipc.devices import kind_of, resolve_device
from aipc.errors import DeviceError
from aipc.runtimes.encoders.batches import BatchedEncoder, Inputs
from aipc.runtimes.openvino.properties import check_properties
from aipc.runtimes.signal_stack import leave_signal_stack
from aipc.runtimes.vendor_errors import translated

_KINDS = ("cpu", "gpu")


class OpenVINOEncoder(BatchedEncoder):
    """A compiled graph; see `aipc.runtimes.encoders.encoder.Encoder`."""

    def __init__(
        self,
        artifact: Path,
        device: str,
        properties: Mapping[str, str],
        pooling: Pooling | None = None,
    ) -> None:
        """Load ``artifact`` on ``device`` ("auto" is the CPU), with OpenVINO's properties.

        ``pooling`` as `BatchedEncoder` has it.

        Raises:
            DeviceError: this machine has no such device, or it is an NPU.
            UsageError: a property that the device does not know.
            EngineError: OpenVINO failed; its own error is the cause.
        """
        import openvino

        core = openvino.Core()
        name = resolve_device(device, core.available_devices)
        if kind_of(name) not in _KINDS:
            fix = f"ask for {' or '.join(_KINDS)}"
            raise DeviceError(f"no texts are read whole on the {kind_of(name).upper()} here", fix)
        check_properties(core, name, properties)
        with translated(f"the model could not be loaded on {name}"):
            compiled = core.compile_model(artifact / OPENVINO_MODEL, name, dict(properties))
            self._request: Any = compiled.create_infer_request()
        self._inputs = {one.any_name for one in compiled.inputs}
        self.facts: Mapping[str, Any] = {
            "runtime": "openvino",
            "version": openvino.__version__,
            "device": name,
            "properties": dict(properties),
            "artifact": str(artifact),
        }
        super().__init__(compiled.output(0).partial_shape[-1].get_length(), pooling)

    def _infer(self, given: Inputs) -> npt.NDArray[Any]:
        with translated("OpenVINO failed to read the texts"):
            result: npt.NDArray[Any] = self._request.infer(
                {name: given[name] for name in self._inputs}
            )[0]
            return result

    def _free(self) -> None:
        self._request = None
        leave_signal_stack()
