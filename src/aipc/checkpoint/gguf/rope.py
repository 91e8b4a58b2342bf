"""The rotary settings of a GGUF file, as config.json spells them.

They are llama.cpp's ``convert_hf_to_gguf.py``, read backwards.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from aipc.checkpoint.gguf.metadata import Metadata
from aipc.checkpoint.gguf.names import ROPE_FREQS, ROPE_LONG, ROPE_SHORT
from aipc.checkpoint.gguf.weights import GgufTensors
from aipc.errors import UnsupportedModel, damaged

_LLAMA3 = {
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
"""What every Llama 3.1, 3.2 and 3.3 has in its config.json; the GGUF keeps only the result."""
_STILL = 1e29
"""A divisor that stops a frequency: Gemma 4's file has 1e30 for what does not turn."""
_PHIMOE_MAGNITUDE = 1.243163121016122
"""Of Phi-3.5-MoE's config.json; no key of its files has it."""
_CONTEXT = "{arch}.context_length"
_SCALING = "{arch}.rope.scaling."
_YARN = {
    "yarn_attn_factor": "attention_factor",
    "yarn_beta_fast": "beta_fast",
    "yarn_beta_slow": "beta_slow",
}


def rope_settings(file: GgufTensors, theta: float, rotated: int) -> dict[str, Any]:
    """``rope_scaling`` and what belongs to it; empty where positions are not scaled.

    Args:
        file: the file whose factor tensors are read (`NOT_WEIGHTS`).
        theta: base of the rotary frequencies.
        rotated: how many dimensions of a head rotate.

    Raises:
        CheckpointError: factors or keys are missing or of the wrong size.
        UnsupportedModel: a kind of scaling, or a combination, that no config.json can state.
    """
    if ROPE_LONG in file.tensors or ROPE_SHORT in file.tensors:
        return _long_rope(file, rotated)
    scaling = _stated(file.metadata)
    if ROPE_FREQS in file.tensors:
        scaling = _divided(file, theta, rotated, scaling)
    return {"rope_scaling": scaling} if scaling else {}


def llama3_factors(theta: float, rotated: int, factor: float) -> npt.NDArray[np.float64]:
    """Divisors of the rotary frequencies, [rotated / 2]; Llama 3.1's rule with its constants.

    Source: transformers' ``_compute_llama3_parameters``.
    """
    low, high = _LLAMA3["low_freq_factor"], _LLAMA3["high_freq_factor"]
    wavelengths = 2 * math.pi * theta ** (np.arange(0, rotated, 2) / rotated)
    turns = _LLAMA3["original_max_position_embeddings"] / wavelengths
    smooth = np.clip((turns - low) / (high - low), 0, 1)
    return np.asarray(1 / ((1 - smooth) / factor + smooth))


def _long_rope(file: GgufTensors, rotated: int) -> dict[str, Any]:
    original = file.metadata.size(f"{_SCALING}original_context_length")
    scaling: dict[str, Any] = {
        "type": "longrope",
        "long_factor": _factors(file, ROPE_LONG, rotated),
        "short_factor": _factors(file, ROPE_SHORT, rotated),
    }
    if f"{_SCALING}attn_factor" in file.metadata:
        scaling["attention_factor"] = file.metadata.number(f"{_SCALING}attn_factor")
    if file.metadata.architecture == "phimoe":
        scaling |= dict.fromkeys(("short_mscale", "long_mscale"), _PHIMOE_MAGNITUDE)
    return {"original_max_position_embeddings": original, "rope_scaling": scaling}


def _stated(metadata: Metadata) -> dict[str, Any]:
    """``rope_scaling`` by the keys alone; a factor without a type is linear, as in llama.cpp."""
    kind = metadata.text(f"{_SCALING}type", "linear")
    older = metadata.share("{arch}.rope.scale_linear", 0.0)
    factor = metadata.share(f"{_SCALING}factor", older) or 1.0
    if kind == "none" or (kind == "linear" and factor == 1):
        return {}
    if kind == "linear":
        return {"rope_type": "linear", "factor": factor}
    if kind == "yarn":
        return _yarn(metadata, factor)
    raise UnsupportedModel(
        f"'{metadata.path}' scales its rotary positions by {kind!r} and has no factors for it",
        "take the checkpoint folder (safetensors) of this model",
    )


def _yarn(metadata: Metadata, factor: float) -> dict[str, Any]:
    if metadata.finite(f"{_SCALING}yarn_ext_factor", 1.0) not in {1.0, -1.0}:
        raise UnsupportedModel(
            f"'{metadata.path}' extrapolates its rotary positions by a share",
            "take the checkpoint folder (safetensors) of this model",
        )
    original = f"{_SCALING}original_context_length"
    scaling: dict[str, Any] = {
        "rope_type": "yarn",
        "factor": factor,
        "original_max_position_embeddings": metadata.size(original, metadata.size(_CONTEXT)),
    }
    for key, name in _YARN.items():
        if _SCALING + key in metadata:
            scaling[name] = metadata.number(_SCALING + key)
    if f"{_SCALING}attn_factor" in metadata:
        usual = 1 + 0.1 * math.log(max(factor, 1))
        magnitude = metadata.number(f"{_SCALING}attn_factor")
        scaling["attention_factor"] = scaling.get("attention_factor", usual) * magnitude
    if metadata.architecture == "gpt-oss":  # as in its config.json; no key says so
        scaling["truncate"] = False
    if f"{_SCALING}yarn_log_multiplier" in metadata:
        multiplier = metadata.share(f"{_SCALING}yarn_log_multiplier")
        scaling |= {"mscale": 1.0, "mscale_all_dim": multiplier}
    if "{arch}.attention.temperature_scale" in metadata:
        scaling["llama_4_scaling_beta"] = metadata.share("{arch}.attention.temperature_scale")
    return scaling


def _divided(
    file: GgufTensors, theta: float, rotated: int, scaling: dict[str, Any]
) -> dict[str, Any]:
    """``rope_scaling`` where a list of factors divides the frequencies, beside the keys' own."""
    factors = np.array(_factors(file, ROPE_FREQS, rotated))
    if (factors == 1).all():
        return scaling
    greatest = float(factors.max())
    turning = int((factors == 1).sum())
    if not scaling and turning and (factors[turning:] >= _STILL).all():
        share = turning / len(factors)
        return {"rope_type": "proportional", "partial_rotary_factor": share}
    if not scaling and np.allclose(factors, llama3_factors(theta, rotated, greatest), rtol=1e-3):
        return {"rope_type": "llama3", "factor": greatest, **_LLAMA3}
    if scaling and scaling["rope_type"] != "linear":
        raise UnsupportedModel(
            f"'{file.path}' has rotary factors beside {scaling['rope_type']}",
            "take the checkpoint folder (safetensors) of this model",
        )
    divisors = [float(factor) for factor in factors * scaling.get("factor", 1.0)]
    # LongRoPE that never switches and scales nothing else: these divisors, at every position
    return {
        "rope_type": "longrope",
        "long_factor": divisors,
        "short_factor": divisors,
        "original_max_position_embeddings": file.metadata.size(_CONTEXT),
        "attention_factor": 1.0,
    }


def _factors(file: GgufTensors, name: str, rotated: int) -> list[float]:
    values = file.read_all(name) if name in file.tensors else np.empty(0)
    if values.shape != (rotated // 2,) or not (np.isfinite(values) & (values > 0)).all():
        raise damaged(file.path, f"'{name}' does not hold {rotated // 2} rotary factors")
    return [float(str(value)) for value in values]
