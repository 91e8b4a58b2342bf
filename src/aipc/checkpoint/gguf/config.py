"""A config.json for a GGUF file, from its metadata and tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aipc.checkpoint.gguf.metadata import Metadata
from aipc.checkpoint.gguf.names import Architecture, find_architecture
from aipc.checkpoint.gguf.networks import LAYERS_DIFFER, local_theta, network_fields
from aipc.checkpoint.gguf.rope import rope_settings
from aipc.checkpoint.gguf.weights import GgufTensors
from aipc.checkpoint.tensors import TensorInfo
from aipc.errors import damaged

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
_OFF_BELOW_0 = frozenset({"temp", "min_p"})
"""llama.cpp takes the likeliest token at any temperature up to 0, and leaves min_p out."""
_TOKEN_IDS = {"bos": "bos", "eos": "eos", "padding": "pad"}


def make_config(file: GgufTensors, tensors: Mapping[str, TensorInfo]) -> dict[str, Any]:
    """The config.json that the Hugging Face repository of this model would have.

    Args:
        file: the open file.
        tensors: its tensors by Hugging Face name.

    Raises:
        CheckpointError: a value is missing, or no size that a network can have.
        UnsupportedModel: layers that differ, or settings that no config.json can state.
    """
    metadata = file.metadata
    architecture = find_architecture(file.path, metadata.architecture)
    sizes = _sizes(metadata)
    if sizes["num_hidden_layers"] > len(tensors):
        raise damaged(file.path, f"it states more blocks than its {len(tensors)} tensors can be")
    window = metadata.integer("{arch}.attention.sliding_window", 0)
    own = network_fields(metadata, sizes, tensors)
    return {
        "architectures": [architecture.model_class],
        "model_type": metadata.architecture,
        "vocab_size": _vocabulary_size(file, tensors),
        **sizes,
        **({} if "hidden_activation" in own else {"hidden_act": "silu"}),
        "rms_norm_eps": metadata.number("{arch}.attention.layer_norm_rms_epsilon"),
        **_positions(file, sizes["head_dim"]),
        **({"sliding_window": window} if window else {}),
        "attention_bias": _has_attention_bias(architecture, tensors),
        "mlp_bias": "model.layers.0.mlp.down_proj.bias" in tensors,
        **({"lm_head_bias": True} if "lm_head.bias" in tensors else {}),
        "tie_word_embeddings": "lm_head.weight" not in tensors,
        **own,
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
        CheckpointError: a value of another type, or a negative one that means nothing.
    """
    prefix = "general.sampling."
    stated: dict[str, Any] = {}
    for key, name in _SAMPLING.items():
        if prefix + key in metadata:
            is_off = key in _OFF_BELOW_0 and metadata.finite(prefix + key) < 0
            stated[name] = 0.0 if is_off else metadata.share(prefix + key)
    if f"{prefix}top_k" in metadata:
        is_off = metadata.finite(f"{prefix}top_k") < 0
        stated["top_k"] = 0 if is_off else metadata.integer(f"{prefix}top_k")
    if stated.keys() <= {"repetition_penalty"}:
        return stated
    return {"do_sample": stated.get("temperature") != 0, **stated}


def _sizes(metadata: Metadata) -> dict[str, int]:
    hidden = metadata.size("{arch}.embedding_length")
    heads = metadata.size("{arch}.attention.head_count")
    size = metadata.first_size if metadata.architecture in LAYERS_DIFFER else metadata.size
    return {
        "hidden_size": hidden,
        "intermediate_size": size("{arch}.feed_forward_length"),
        "num_hidden_layers": metadata.size("{arch}.block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": size("{arch}.attention.head_count_kv", heads),
        "head_dim": metadata.size("{arch}.attention.key_length", max(hidden // heads, 1)),
        "max_position_embeddings": metadata.size("{arch}.context_length"),
    }


def _vocabulary_size(file: GgufTensors, tensors: Mapping[str, TensorInfo]) -> int:
    embeddings = tensors.get("model.embed_tokens.weight")
    if embeddings is None or len(embeddings.shape) != 2:
        raise damaged(file.path, "it has no table of token embeddings")
    return embeddings.shape[0]


def _has_attention_bias(architecture: Architecture, tensors: Mapping[str, TensorInfo]) -> bool:
    biased = ("o_proj",) if architecture.always_biased else ("q_proj", "o_proj")
    return any(f"model.layers.0.self_attn.{name}.bias" in tensors for name in biased)


def _positions(file: GgufTensors, head_size: int) -> dict[str, Any]:
    """The rotary settings; those of layers with and without a window apart where they differ."""
    metadata = file.metadata
    theta = metadata.number("{arch}.rope.freq_base", _DEFAULT_THETA)
    rotated = metadata.size("{arch}.rope.dimension_count", head_size)
    if rotated > head_size or rotated % 2:
        raise damaged(file.path, f"{rotated} dimensions of a head of {head_size} rotate")
    partial = {} if rotated == head_size else {"partial_rotary_factor": rotated / head_size}
    settings = rope_settings(file, theta, rotated)
    local = local_theta(metadata, theta)
    if local is None:
        return {"rope_theta": theta, **partial, **settings}
    scaling = settings.get("rope_scaling", {"rope_type": "default"})
    return {
        "rope_parameters": {
            "full_attention": {"rope_theta": theta, **partial, **scaling},
            "sliding_attention": {"rope_theta": local, **partial, "rope_type": "default"},
        }
    }
