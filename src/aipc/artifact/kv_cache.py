"""The size of a network's key-value cache."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def token_numbers(layers: int, key_heads: int, head_size: int) -> int:
    """How many numbers the keys and values of one token have, over all layers."""
    return 2 * layers * key_heads * head_size


def cached_numbers(config: Mapping[str, Any]) -> int:
    """`token_numbers` by a model's config.json; 0 where it does not state them."""
    try:
        heads = config["num_attention_heads"]
        size = config.get("head_dim") or config["hidden_size"] // heads
        key_heads = config.get("num_key_value_heads") or heads
        return int(token_numbers(config["num_hidden_layers"], key_heads, size))
    except (KeyError, TypeError, ZeroDivisionError):
        return 0
