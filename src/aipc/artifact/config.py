"""The configuration files of a checkpoint or artifact: sampling defaults, stop ids, sizes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aipc.artifact.files import CONFIG, GENAI_CONFIG, GENERATION_CONFIG
from aipc.errors import damaged, quoted
from aipc.records import read_object


def read_config(folder: Path) -> dict[str, Any]:
    """config.json; empty where a vendor's folder lacks it, whose graph then holds what it needs."""
    try:
        config = json.loads((folder / CONFIG).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


def read_generation_config(folder: Path) -> Mapping[str, Any]:
    """generation_config.json as it is, or the like from genai_config.json; empty without.

    Raises:
        CheckpointError: unreadable, or no JSON object.
    """
    path = folder / GENERATION_CONFIG
    return read_object(path) if path.is_file() else _genai(folder, "search")


def read_stop_ids(folder: Path) -> frozenset[int]:
    """The token ids that end a reply: ``eos_token_id`` of every file that states some.

    All count: config.json alone often lacks the end of a chat turn.

    Raises:
        CheckpointError: unreadable, or an ``eos_token_id`` that is no id and no list of ids.
    """
    found = _ids(folder / GENAI_CONFIG, _genai(folder, "model").get("eos_token_id"))
    for name in (GENERATION_CONFIG, CONFIG):
        path = folder / name
        if path.is_file():
            found |= _ids(path, read_object(path).get("eos_token_id"))
    return frozenset(found)


def read_context(folder: Path) -> int | None:
    """The model's longest sequence in tokens, prompt and answer together; None where unstated.

    Raises:
        CheckpointError: unreadable, or no JSON object.
    """
    path = folder / CONFIG
    stated = read_object(path).get("max_position_embeddings") if path.is_file() else None
    stated = stated or _genai(folder, "model").get("context_length")
    return stated if type(stated) is int and stated > 0 else None


def _genai(folder: Path, section: str) -> Mapping[str, Any]:
    path = folder / GENAI_CONFIG
    stated = read_object(path).get(section) if path.is_file() else None
    return stated if isinstance(stated, dict) else {}


def _ids(path: Path, stated: Any) -> set[int]:
    ids = stated if isinstance(stated, list) else [] if stated is None else [stated]
    for token in ids:
        if type(token) is not int or token < 0:
            raise damaged(path, f"its eos_token_id is {quoted(stated)}")
    return set(ids)
