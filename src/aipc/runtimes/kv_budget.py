"""How many tokens the key-value cache may hold before the machine runs out of memory.

On the CPU OpenVINO GenAI lets the cache grow with the requests, and never asks whether the
memory is there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aipc.devices.system.memory import read_memory

SHARE = 0.5  # of the memory that is free once the model is loaded
BYTES_PER_NUMBER = 2  # f16; the CPU's default, u8 with its scales, takes little more than half


def cache_room(artifact: Path) -> int | None:
    """Tokens, of all requests together; None where folder or system don't tell."""
    available, size = read_memory().available, token_bytes(artifact)
    if available is None or not size:
        return None
    return int(available * SHARE) // size


def token_bytes(artifact: Path) -> int:
    """Bytes that keys and values of one token take, by config.json; 0 where it does not tell."""
    try:
        config: dict[str, Any] = json.loads((artifact / "config.json").read_text("utf-8"))
        heads = config["num_attention_heads"]
        width = config.get("head_dim") or config["hidden_size"] // heads
        numbers = 2 * config["num_hidden_layers"] * width
        return int(numbers * (config.get("num_key_value_heads") or heads) * BYTES_PER_NUMBER)
    except (OSError, ValueError, KeyError, TypeError):
        return 0
