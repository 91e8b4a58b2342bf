"""Rotary position settings of a GGUF file, as ``rope_scaling`` of a config.json.

Source: llama.cpp's ``convert_hf_to_gguf.py``, read backwards.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from aipc.checkpoint.gguf.file import GgufFile
from aipc.checkpoint.gguf.metadata import Metadata
from aipc.checkpoint.gguf.names import ROPE_FREQS, ROPE_LONG, ROPE_SHORT
from aipc.errors import UnsupportedModel, damaged

_LLAMA3 = {
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
"""What every Llama 3.1, 3.2 and 3.3 has in its config.json; the GGUF keeps only the result."""


def rope_settings(file: GgufFile, theta: float, rotated: int) -> dict[str, Any]:
    """``rope_scaling`` and what belongs to it; empty where positions are not scaled.

    Args:
        file: the file whose factor tensors are read (`NOT_WEIGHTS`).
        theta: base of the rotary frequencies.
        rotated: how many dimensions of a head rotate.

    Raises:
        CheckpointError: factors or keys are missing or of the wrong size.
        UnsupportedModel: factors that no known rule gives.
    """
    if ROPE_LONG in file.tensors or ROPE_SHORT in file.tensors:
        return _long_rope(file, rotated)
    if ROPE_FREQS in file.tensors:
        return {"rope_scaling": _llama3(file, theta, rotated)}
    kind = file.metadata.text("{arch}.rope.scaling.type", "none")
    return {} if kind == "none" else _stated(file.metadata, kind)


def llama3_factors(theta: float, rotated: int, factor: float) -> npt.NDArray[np.float64]:
    """Divisors of the rotary frequencies, [rotated / 2]; Llama 3.1's rule with its constants.

    Source: transformers' ``_compute_llama3_parameters``.
    """
    low, high = _LLAMA3["low_freq_factor"], _LLAMA3["high_freq_factor"]
    wavelengths = 2 * math.pi * theta ** (np.arange(0, rotated, 2) / rotated)
    turns = _LLAMA3["original_max_position_embeddings"] / wavelengths
    smooth = np.clip((turns - low) / (high - low), 0, 1)
    return np.asarray(1 / ((1 - smooth) / factor + smooth))


def _long_rope(file: GgufFile, rotated: int) -> dict[str, Any]:
    original = file.metadata.size("{arch}.rope.scaling.original_context_length")
    return {
        "original_max_position_embeddings": original,
        "rope_scaling": {
            "type": "longrope",
            "long_factor": _factors(file, ROPE_LONG, rotated),
            "short_factor": _factors(file, ROPE_SHORT, rotated),
        },
    }


def _llama3(file: GgufFile, theta: float, rotated: int) -> dict[str, Any]:
    stated = np.array(_factors(file, ROPE_FREQS, rotated))
    factor = float(stated.max())
    if not np.allclose(stated, llama3_factors(theta, rotated, factor), rtol=1e-3):
        raise UnsupportedModel(
            f"the rotary factors in '{file.path}' are not those of Llama 3",
            "take the checkpoint folder (safetensors) of this model",
        )
    return {"rope_type": "llama3", "factor": factor, **_LLAMA3}


def _stated(metadata: Metadata, kind: str) -> dict[str, Any]:
    scaling: dict[str, Any] = {"rope_type": kind}
    scaling["factor"] = metadata.number("{arch}.rope.scaling.factor")
    original = "{arch}.rope.scaling.original_context_length"
    if original in metadata:
        scaling["original_max_position_embeddings"] = metadata.size(original)
    return {"rope_scaling": scaling}


def _factors(file: GgufFile, name: str, rotated: int) -> list[float]:
    values = file.take_all(name) if name in file.tensors else np.empty(0)
    if values.shape != (rotated // 2,) or not (np.isfinite(values) & (values > 0)).all():
        raise damaged(file.path, f"'{name}' does not hold {rotated // 2} rotary factors")
    return [float(str(value)) for value in values]
