"""What a checkpoint or artifact folder says about generating: its defaults and stop ids."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aipc.checkpoint.damage import damaged, quoted
from aipc.checkpoint.jsonfile import read_object

CONFIG = "config.json"
GENERATION_CONFIG = "generation_config.json"
GENAI_CONFIG = "genai_config.json"
"""ONNX Runtime GenAI's: all that its model builder writes of the other two."""


def read_generation_config(folder: Path) -> Mapping[str, Any]:
    """generation_config.json as it stands, or the like from genai_config.json; empty without.

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
