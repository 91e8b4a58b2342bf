"""A config.json for a GGUF file, from its metadata and tensors.

The rotary settings are llama.cpp's ``convert_hf_to_gguf.py``, read backwards.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from aipc.checkpoint.gguf.metadata import Metadata
from aipc.checkpoint.gguf.names import ROPE_FREQS, ROPE_LONG, ROPE_SHORT, find_architecture
from aipc.checkpoint.gguf.weights import GgufFile
from aipc.checkpoint.tensors import TensorInfo
from aipc.errors import UnsupportedModel, damaged

_LLAMA3 = {
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
"""What every Llama 3.1, 3.2 and 3.3 has in its config.json; the GGUF keeps only the result."""
_DEFAULT_THETA = 10000.0
_SAMPLING = {
    "temp": "temperature",
    "top_p": "top_p",
    "min_p": "min_p",
    "penalty_repeat": "repetition_penalty",
}
"""llama.cpp's recommended sampler parameters that mean the same here, but top_k, a whole number.

Source: ``Keys.General`` of gguf-py's ``constants.py``.
"""
_TOKEN_IDS = {"bos": "bos", "eos": "eos", "padding": "pad"}


def make_config(file: GgufFile, tensors: Mapping[str, TensorInfo]) -> dict[str, Any]:
    """The config.json that the Hugging Face repository of this model would have.

    Args:
        file: the open file.
        tensors: its tensors by Hugging Face name.

    Raises:
        CheckpointError: a value is missing, or no size that a network can have.
        UnsupportedModel: layers that differ, or rotary settings that no known rule gives.
    """
    metadata = file.metadata
    architecture = find_architecture(file.path, metadata.architecture)
    sizes = _sizes(metadata)
    theta = metadata.number("{arch}.rope.freq_base", _DEFAULT_THETA)
    window = metadata.integer("{arch}.attention.sliding_window", 0)
    rotated = metadata.size("{arch}.rope.dimension_count", sizes["head_dim"])
    return {
        "architectures": [architecture.model_class],
        "model_type": metadata.architecture,
        "vocab_size": _vocabulary_size(file, tensors),
        **sizes,
        "hidden_act": "silu",
        "rms_norm_eps": metadata.number("{arch}.attention.layer_norm_rms_epsilon"),
        "rope_theta": theta,
        **_partial_rotation(file, rotated, sizes["head_dim"]),
        **rope_settings(file, theta, rotated),
        **({"sliding_window": window} if window else {}),
        "attention_bias": "model.layers.0.self_attn.o_proj.bias" in tensors,
        "mlp_bias": "model.layers.0.mlp.down_proj.bias" in tensors,
        "tie_word_embeddings": "lm_head.weight" not in tensors,
        **token_ids(metadata),
    }


def token_ids(metadata: Metadata) -> dict[str, int]:
    """``bos_token_id``, ``eos_token_id`` and ``pad_token_id``, where the file has them."""
    ids = {}
    for key, name in _TOKEN_IDS.items():
        if f"tokenizer.ggml.{key}_token_id" in metadata:
            ids[f"{name}_token_id"] = metadata.integer(f"tokenizer.ggml.{key}_token_id")
    return ids


def sampling(metadata: Metadata) -> dict[str, Any]:
    """What the file recommends, as generation_config.json names it; empty where it says nothing.

    Whoever states how to sample wants it done, unless at a temperature of 0.

    Raises:
        CheckpointError: a negative value, or one of another type.
    """
    prefix = "general.sampling."
    shares = {key: name for key, name in _SAMPLING.items() if prefix + key in metadata}
    stated: dict[str, Any] = {name: metadata.share(prefix + key) for key, name in shares.items()}
    if f"{prefix}top_k" in metadata:
        stated["top_k"] = metadata.integer(f"{prefix}top_k")
    if stated.keys() <= {"repetition_penalty"}:
        return stated
    return {"do_sample": stated.get("temperature") != 0, **stated}


def _sizes(metadata: Metadata) -> dict[str, int]:
    hidden = metadata.size("{arch}.embedding_length")
    heads = metadata.size("{arch}.attention.head_count")
    return {
        "hidden_size": hidden,
        "intermediate_size": metadata.size("{arch}.feed_forward_length"),
        "num_hidden_layers": metadata.size("{arch}.block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": metadata.size("{arch}.attention.head_count_kv", heads),
        "head_dim": metadata.size("{arch}.attention.key_length", max(hidden // heads, 1)),
        "max_position_embeddings": metadata.size("{arch}.context_length"),
    }


def _vocabulary_size(file: GgufFile, tensors: Mapping[str, TensorInfo]) -> int:
    embeddings = tensors.get("model.embed_tokens.weight")
    if embeddings is None or len(embeddings.shape) != 2:
        raise damaged(file.path, "it has no table of token embeddings")
    return embeddings.shape[0]


def _partial_rotation(file: GgufFile, rotated: int, head_size: int) -> dict[str, float]:
    if rotated > head_size or rotated % 2:
        raise damaged(file.path, f"{rotated} dimensions of a head of {head_size} rotate")
    return {} if rotated == head_size else {"partial_rotary_factor": rotated / head_size}


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
    values = file.read_all(name) if name in file.tensors else np.empty(0)
    if values.shape != (rotated // 2,) or not (np.isfinite(values) & (values > 0)).all():
        raise damaged(file.path, f"'{name}' does not hold {rotated // 2} rotary factors")
    return [float(str(value)) for value in values]
