"""The configs of networks that have other words for it, in llama's terms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_Config = Mapping[str, Any]


def plain(config: _Config) -> _Config:
    return config


def granite4_config(config: _Config) -> _Config:
    """Of those without experts, whose feed-forward is the one that experts would share."""
    return {**config, "intermediate_size": config["shared_intermediate_size"]}


def lfm2_config(config: _Config) -> _Config:
    """As transformers' Lfm2Config reads old and new spellings, and Lfm2MLP the width."""
    tied = config.get("tie_embedding", config.get("tie_word_embeddings", True))
    return {
        **config,
        "intermediate_size": _lfm2_width(config),
        "rms_norm_eps": config.get("norm_eps", 1e-5),
        "tie_word_embeddings": tied,
    }


def _lfm2_width(config: _Config) -> int:
    width = int(config["block_ff_dim"] if "block_ff_dim" in config else config["intermediate_size"])
    if not config.get("block_auto_adjust_ff_dim", True):
        return width
    width, factor = 2 * width // 3, config.get("block_ffn_dim_multiplier", 1.0)
    if factor is None:
        return width
    multiple = int(config.get("block_multiple_of", 256))
    return -(-int(factor * width) // multiple) * multiple


def qwen3_5_config(config: _Config) -> _Config:
    """As transformers' Qwen3_5TextConfig reads it."""
    defaults = {"partial_rotary_factor": 0.25, "head_dim": 256, "full_attention_interval": 4}
    return {**defaults, **config}
