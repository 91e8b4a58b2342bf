"""The configs of networks that have other words for it, in llama's terms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_Config = Mapping[str, Any]


def plain(config: _Config) -> _Config:
    return config


def granite_moe_config(config: _Config) -> _Config:
    """As transformers' GraniteMoeConfig and GraniteMoeSharedConfig read it."""
    defaults = {
        "num_local_experts": 8,
        "num_experts_per_tok": 2,
        "shared_expert_intermediate_size": config.get("shared_intermediate_size", 0),
    }
    return _of_local_experts({**defaults, **config})


def granite4_config(config: _Config) -> _Config:
    """Of those without experts the feed-forward is the one that experts would share."""
    if config.get("num_local_experts"):
        return granite_moe_config(config)
    own = {"intermediate_size": config["shared_intermediate_size"], "num_experts": 0}
    return {**config, **own}


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


def lfm2_moe_config(config: _Config) -> _Config:
    """As transformers' Lfm2MoeConfig reads it, which adjusts no width."""
    defaults = {
        "moe_intermediate_size": 1792,
        "num_experts": 32,
        "num_experts_per_tok": 4,
        "norm_topk_prob": True,
        "use_expert_bias": True,
    }
    own = {
        "block_auto_adjust_ff_dim": False,
        "mlp_only_layers": list(range(int(config.get("num_dense_layers", 2)))),
    }
    return lfm2_config({**defaults, **config, **own})


def qwen3_5_config(config: _Config) -> _Config:
    """As transformers' Qwen3_5TextConfig reads it."""
    defaults = {"partial_rotary_factor": 0.25, "head_dim": 256, "full_attention_interval": 4}
    return {**defaults, **config}


def qwen3_5_moe_config(config: _Config) -> _Config:
    """As transformers' Qwen3_5MoeTextConfig reads it: every layer has experts."""
    defaults = {
        "num_experts": 256,
        "num_experts_per_tok": 8,
        "moe_intermediate_size": 512,
        "shared_expert_intermediate_size": 512,
    }
    found = qwen3_5_config({**defaults, **config})
    return {**found, "intermediate_size": found["moe_intermediate_size"]}


def qwen2_moe_config(config: _Config) -> _Config:
    """As transformers' Qwen2MoeConfig reads it: of the first layers every other has a window."""
    defaults = {
        "num_experts": 60,
        "num_experts_per_tok": 4,
        "moe_intermediate_size": 1408,
        "shared_expert_intermediate_size": 5632,
    }
    layers, first = int(config["num_hidden_layers"]), int(config.get("max_window_layers", 28))
    windows = [index < first and index % 2 == 0 for index in range(layers)]
    windows = [index < first and index % 2 == 0 for index in range(layers)]
    types = ["sliding_attention" if has_window else "full_attention" for has_window in windows]
    return {**defaults, "layer_types": types, **config}


def olmoe_config(config: _Config) -> _Config:
    """As transformers' OlmoeConfig reads it, whose experts are as wide as dense layers would be."""
    experts = config.get("num_experts", config.get("num_local_experts", 64))
    return _of_local_experts({"num_experts_per_tok": 8, **config, "num_local_experts": experts})


def qwen3_moe_config(config: _Config) -> _Config:
    """As transformers' Qwen3MoeConfig reads it, which has two names for the number of experts."""
    defaults = {
        "num_experts": config.get("num_local_experts", 128),
        "num_experts_per_tok": 8,
        "moe_intermediate_size": 768,
    }
    return {**defaults, **config, "max_window_layers": 0}


def mixtral_config(config: _Config) -> _Config:
    """As transformers' MixtralConfig reads it."""
    return _of_local_experts({"num_local_experts": 8, "num_experts_per_tok": 2, **config})


def gpt_oss_config(config: _Config) -> _Config:
    """As transformers' GptOssConfig reads it, whose rotary settings have another name in it."""
    defaults = {
        "num_local_experts": 128,
        "num_experts_per_tok": 4,
        "swiglu_limit": 7.0,
        "attention_bias": True,
        "sliding_window": 128,
        "head_dim": 64,
    }
    return _of_local_experts({**defaults, **config})


def phimoe_config(config: _Config) -> _Config:
    """As transformers' PhimoeConfig reads it."""
    defaults = {"num_local_experts": 16, "num_experts_per_tok": 2, "router_jitter_noise": 0.01}
    return _of_local_experts({**defaults, **config})


def _of_local_experts(config: _Config) -> _Config:
    """All layers have experts, as wide as dense layers would be."""
    own = {
        "num_experts": config["num_local_experts"],
        "moe_intermediate_size": config["intermediate_size"],
    }
    return {**config, **own}
