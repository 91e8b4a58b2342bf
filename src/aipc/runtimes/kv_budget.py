"""How many tokens the key-value cache may hold before the machine runs out of memory.

On the CPU OpenVINO GenAI lets the cache grow with the requests, and never asks whether the
memory is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aipc.artifact.config import read_config
from aipc.artifact.kv_cache import cached_numbers, state_numbers
from aipc.devices.system.memory import read_memory

SHARE = 0.5  # of the memory that is free once the model is loaded
BYTES_PER_NUMBER = 2  # f16; the CPU's default, u8 with its scales, takes little more than half
STATE_BYTES = 4  # f32


def kv_budget(artifact: Path) -> int | None:
    """Tokens, of all requests together; None where the folder does not state its sizes."""
    size = _token_bytes(read_config(artifact))
    return int(read_memory().available * SHARE) // size if size else None


def state_tokens(artifact: Path) -> int:
    """Tokens whose keys and values are as large as what else a sequence keeps."""
    config = read_config(artifact)
    size = _token_bytes(config)
    return state_numbers(config) * STATE_BYTES // size if size else 0


def _token_bytes(config: Mapping[str, Any]) -> int:
    """Of keys and values, and of the copies of states that GenAI makes for the prefix cache.

    It makes so few that one takes as much as the keys and values since the last.
    """
    size = cached_numbers(config) * BYTES_PER_NUMBER
    return 2 * size if state_numbers(config) else size
