"""The size of what a network keeps of a sequence: keys and values, and states of fixed size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CONVOLUTION, DELTA = "conv", "linear_attention"
"""A config's ``layer_types`` that keep a state instead of keys and values."""


def token_numbers(layers: int, key_heads: int, head_size: int) -> int:
    """How many numbers the keys and values of one token have, over all layers."""
    return 2 * layers * key_heads * head_size


def cached_numbers(config: Mapping[str, Any]) -> int:
    """`token_numbers` by a model's config.json; 0 where it does not state them."""
    try:
        heads = config["num_attention_heads"]
        size = config.get("head_dim") or config["hidden_size"] // heads
        key_heads = config.get("num_key_value_heads") or heads
        types = layer_types(config)
        layers = len(types) - types.count(CONVOLUTION) - types.count(DELTA)
        return int(token_numbers(layers, key_heads, size))
    except (KeyError, TypeError, ZeroDivisionError):
        return 0


def state_numbers(config: Mapping[str, Any]) -> int:
    """How many numbers the states of one sequence have; 0 where a config.json states none."""
    try:
        types = layer_types(config)
        found = 0
        if CONVOLUTION in types:
            found += types.count(CONVOLUTION) * config["hidden_size"] * config["conv_L_cache"]
        if DELTA in types:
            keys, values = (
                config[f"linear_num_{kind}_heads"] * config[f"linear_{kind}_head_dim"]
                for kind in ("key", "value")
            )
            convolved = (2 * keys + values) * config["linear_conv_kernel_dim"]
            memory = values * config["linear_key_head_dim"]
            found += types.count(DELTA) * (convolved + memory)
        return int(found)
    except (KeyError, TypeError):
        return 0


def layer_types(config: Mapping[str, Any]) -> list[str]:
    """What each layer does, in a config.json's own words; by default it attends to all tokens.

    Raises:
        KeyError, TypeError: a config that lacks or garbles its sizes.
    """
    layers = config["num_hidden_layers"]
    if config.get("layer_types"):
        return list(config["layer_types"][:layers])
    full, attend = "full_attention", config.get("full_attn_idxs")
    every = config.get("full_attention_interval")
    if attend is not None:
        attend = set(attend)
        return [full if index in attend else CONVOLUTION for index in range(layers)]
    if every:
        return [DELTA if (index + 1) % every else full for index in range(layers)]
    return [full] * layers
