"""The scores of an OpenVINO model at every position of a text, on the CPU and the GPU.

The graph itself is run, not GenAI's pipeline, which gives none: the same weights, numerics and
kernels but for attention, which the pipeline computes on a paged cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aipc.artifact.files import OPENVINO_MODEL
from aipc.artifact.rope_switch import read_rope_switch
from aipc.devices import resolve_device
from aipc.errors import EngineError
from aipc.runtimes.vendor_errors import translated

EXACT = {
    "INFERENCE_PRECISION_HINT": "f32",
    "KV_CACHE_PRECISION": "f32",
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
}
"""Properties under which a CPU computes in float32 throughout: only stored weights differ then."""
PIECE = 64
"""Tokens computed at once: their scores take 50 MB where a vocabulary has 200,000 entries."""
_CORES_OWN = frozenset({"CACHE_DIR", "CACHE_MODE", "ENABLE_MMAP"})


class OpenVINOScorer:
    """A compiled graph; see `aipc.runtimes.base.Scorer`."""

    def __init__(self, artifact: Path, device: str, properties: Mapping[str, str]) -> None:
        """Load ``artifact``; properties of GenAI's pipeline alone are left out, and named.

        Raises:
            DeviceError: this machine has no such device.
            EngineError: OpenVINO failed; its own error is the cause.
        """
        import openvino

        core = openvino.Core()
        name = resolve_device(device, core.available_devices)
        own = _graphs_own(core, name, properties)
        with translated(f"the model could not be loaded on {name}"):
            model = core.compile_model(artifact / OPENVINO_MODEL, name, own)
            self._request: Any = model.create_infer_request()
        self._inputs = frozenset(port.get_any_name() for port in model.inputs)
        self._vocabulary = _vocabulary(model)
        self._switch = read_rope_switch(artifact)
        self.facts: Mapping[str, Any] = {
            "runtime": "openvino",
            "version": openvino.__version__,
            "device": name,
            "properties": own,
            "left_out": sorted(set(properties) - set(own)),
            "numerics": _numerics(model),
        }

    def logits(self, ids: Sequence[int]) -> Iterator[npt.NDArray[np.float32]]:
        sequence = np.asarray(ids, np.int64)
        self._check(sequence)
        size = PIECE
        if self._switch is not None and len(sequence) > self._switch:
            size = len(sequence)  # past the switch every key is turned otherwise
        with translated("OpenVINO failed while scoring"):
            self._request.reset_state()
        for start in range(0, len(sequence), size):
            with translated("OpenVINO failed while scoring"):
                yield self._compute(sequence[start : start + size], start)

    def close(self) -> None:
        self._request = None

    def _compute(self, piece: npt.NDArray[np.int64], start: int) -> npt.NDArray[np.float32]:
        end = start + len(piece)
        given = {
            "input_ids": piece[None],
            "attention_mask": np.ones((1, end), np.int64),
            "position_ids": np.arange(start, end)[None],
            "beam_idx": np.zeros(1, np.int32),
        }
        feed = {name: value for name, value in given.items() if name in self._inputs}
        scores = self._request.infer(feed)["logits"][0]
        return np.array(scores, np.float32)  # a copy: the next piece takes the same memory

    def _check(self, sequence: npt.NDArray[np.int64]) -> None:
        if self._request is None:
            raise EngineError("the model has been closed", "load it again")
        if not len(sequence):
            raise EngineError("the text has no tokens", "give at least one")
        known = self._vocabulary
        if sequence.min() < 0 or (known is not None and sequence.max() >= known):
            raise EngineError(
                f"the text has tokens from {sequence.min()} to {sequence.max()} and the model "
                f"knows {known or 'some'} from 0",
                "use the model's own tokenizer",
            )


def _graphs_own(core: Any, device: str, properties: Mapping[str, str]) -> dict[str, str]:
    """Those that the device or OpenVINO's core understands; the others are the pipeline's."""
    known = _CORES_OWN | set(core.get_property(device, "SUPPORTED_PROPERTIES"))
    return {name: value for name, value in properties.items() if name in known}


def _vocabulary(model: Any) -> int | None:
    """Entries of the vocabulary; None where the graph does not fix them."""
    last = model.output("logits").get_partial_shape()[-1]
    return None if last.is_dynamic else int(last.get_length())


def _numerics(model: Any) -> dict[str, str]:
    """What the device computes in, as it says itself."""
    known = set(model.get_property("SUPPORTED_PROPERTIES"))
    return {name: _text(model.get_property(name)) for name in EXACT if name in known}


def _text(value: Any) -> str:
    return str(value.to_string() if hasattr(value, "to_string") else value)
