"""Where a model's rotary embedding switches to its long factors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aipc.artifact.config import read_config, rope_settings


def rope_switch(config: Mapping[str, Any]) -> int | None:
    """The longest sequence, in tokens, that is computed with the short factors.

    Keys turned by one set can't be compared with queries turned by the other, so a cache is
    computed anew past it, as transformers does for Phi-3.  ``config`` is a model's config.json;
    None where its embedding has no such switch.
    """
    scaling = rope_settings(config)
    if scaling.get("rope_type", scaling.get("type")) not in ("longrope", "su"):
        return None
    names = "original_max_position_embeddings"
    switch = config.get(names) or scaling.get(names)
    return int(switch) if switch else None


def read_rope_switch(folder: Path) -> int | None:
    """`rope_switch` of the model in an artifact's folder."""
    return rope_switch(read_config(folder))
