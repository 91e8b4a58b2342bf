"""A config.json for a GGUF file, from its metadata and tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aipc.checkpoint.gguf.file import GgufFile
from aipc.checkpoint.gguf.metadata import Metadata
from aipc.checkpoint.gguf.names import find_architecture
from aipc.checkpoint.gguf.rope import rope_settings
from aipc.checkpoint.tensors import TensorInfo
from aipc.errors import damaged

_DEFAULT_THETA = 10000.0
_TOKEN_IDS = {"bos": "bos", "eos": "eos", "padding": "pad"}


def make_config(file: GgufFile, tensors: Mapping[str, TensorInfo]) -> dict[str, Any]:
    """What the Hugging Face repository of this model would have as config.json.

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
        **_window(metadata),
        "attention_bias": "model.layers.0.self_attn.o_proj.bias" in tensors,
        "mlp_bias": "model.layers.0.mlp.down_proj.bias" in tensors,
        "tie_word_embeddings": "lm_head.weight" not in tensors,
        **token_ids(metadata),
    }


def token_ids(metadata: Metadata) -> dict[str, int]:
    """``bos_token_id``, ``eos_token_id`` and ``pad_token_id``, as far as they are stated."""
    stated = {
        f"{name}_token_id": f"tokenizer.ggml.{key}_token_id" for key, name in _TOKEN_IDS.items()
    }
    return {name: metadata.integer(key) for name, key in stated.items() if key in metadata}


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


def _window(metadata: Metadata) -> dict[str, int]:
    window = metadata.integer("{arch}.attention.sliding_window", 0)
    return {"sliding_window": window} if window else {}
