"""How many tokens the key-value cache may hold before the machine runs out of memory.

On the CPU OpenVINO GenAI lets the cache grow with the requests, and never asks whether the
memory is there.
"""

from __future__ import annotations

from pathlib import Path

from aipc.artifact.config import read_config
from aipc.artifact.kv_cache import cached_numbers
from aipc.devices.system.memory import read_memory

SHARE = 0.5  # of the memory that is free once the model is loaded
BYTES_PER_NUMBER = 2  # f16; the CPU's default, u8 with its scales, takes little more than half


def kv_budget(artifact: Path) -> int | None:
    """Tokens, of all requests together; None where the folder does not state its sizes."""
    size = cached_numbers(read_config(artifact)) * BYTES_PER_NUMBER
    return int(read_memory().available * SHARE) // size if size else None
