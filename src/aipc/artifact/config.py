"""The configuration files of a checkpoint or artifact: sampling defaults, stop ids, sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aipc.artifact.bounds import RANGES, find_misstated
from aipc.artifact.files import CONFIG, GENAI_CONFIG, GENERATION_CONFIG
from aipc.errors import CheckpointError, misstated, quoted
from aipc.records import read_object

_TOKEN_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")
_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")


def read_config(folder: Path) -> dict[str, Any]:
    """config.json; empty where a vendor's folder lacks it, whose graph then holds what it needs.

    Empty too where it is damaged, or states what no model can have: `read_context`, which every
    session asks first, says so.
    """
    try:
        config = read_object(folder / CONFIG)
    except CheckpointError:
        return {}
    return {} if find_misstated(config) else config


def read_generation_config(folder: Path) -> Mapping[str, Any]:
    """generation_config.json as it is, or the like from genai_config.json; empty without.

    Raises:
        CheckpointError: unreadable, or no JSON object.
    """
    path = folder / GENERATION_CONFIG
    return read_object(path) if path.is_file() else _genai(folder, "search")


def without_absent_ids(content: Mapping[str, Any]) -> dict[str, Any]:
    """A config without the token ids that mean "none": null, -1, an empty list, or these in one."""
    kept = dict(content)
    for key in _TOKEN_IDS:
        stated = content.get(key, 0)
        if isinstance(stated, list):
            kept[key] = stated = [token for token in stated if not _is_absent(token)]
        if _is_absent(stated) or stated == []:
            kept.pop(key, None)
    return kept


def check_stated(path: Path, content: Mapping[str, Any]) -> None:
    """Refuse token ids and ways to sample that the vendors' readers would stumble over.

    Raises:
        CheckpointError: naming the member.
    """
    _ids(path, content)
    kept = without_absent_ids(content)
    for key in ("bos_token_id", "pad_token_id"):
        if not _is_id(kept.get(key, 0)):
            raise misstated(path, f"its {key} is {quoted(kept[key])}", "give it a token's id")
    for key in _SAMPLING:
        value = content.get(key)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (is_number and abs(value) < math.inf):
            raise misstated(path, f"its {key} is {quoted(value)}", "correct that, or remove it")


def read_stop_ids(folder: Path) -> frozenset[int]:
    """The token ids that end a reply: ``eos_token_id`` of every file that states some.

    All count: config.json alone often lacks the end of a chat turn.

    Raises:
        CheckpointError: unreadable, or an ``eos_token_id`` that is no id and no list of ids.
    """
    found = _ids(folder / GENAI_CONFIG, _genai(folder, "model"))
    for name in (GENERATION_CONFIG, CONFIG):
        path = folder / name
        if path.is_file():
            found |= _ids(path, read_object(path))
    return frozenset(found)


def read_context(folder: Path) -> int | None:
    """The model's longest sequence in tokens, prompt and answer together; None where unstated.

    Raises:
        CheckpointError: unreadable, no JSON object, or with a number that no model can have.
    """
    if (folder / CONFIG).is_file():
        _check_numbers(folder / CONFIG, read_object(folder / CONFIG))
    stated = _size(folder, "max_position_embeddings", "context_length")
    return None if stated is None else max(stated, stretched_context(read_config(folder)))


def rope_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """The rotary settings of a config.json; of two spellings the old one, as in transformers."""
    stated = config.get("rope_scaling") or config.get("rope_parameters")
    return dict(stated) if isinstance(stated, Mapping) else {}


def stretched_context(config: Mapping[str, Any]) -> int:
    """The context that a config's YaRN scaling makes of the original one, in tokens; else 0.

    Qwen's way to lengthen the context is to add the scaling and leave max_position_embeddings.
    """
    scaling = rope_settings(config)
    if "yarn" not in (scaling.get("rope_type"), scaling.get("type")):
        return 0
    original: Any = scaling.get("original_max_position_embeddings")
    factor: Any = scaling.get("factor")
    is_stated = isinstance(original, int | float) and isinstance(factor, int | float)
    return int(original * factor) if is_stated else 0


def read_vocabulary_size(folder: Path) -> int | None:
    """Rows of the network's embedding; None where unstated.

    Raises:
        CheckpointError: unreadable, or no JSON object.
    """
    return _size(folder, "vocab_size", "vocab_size")


def _size(folder: Path, key: str, genai_key: str) -> int | None:
    path = folder / CONFIG
    stated = read_object(path).get(key) if path.is_file() else None
    stated = stated or _genai(folder, "model").get(genai_key)
    return stated if type(stated) is int and stated > 0 else None


def _check_numbers(path: Path, content: Mapping[str, Any]) -> None:
    if found := find_misstated(content):
        what = f"its {found.key} is {quoted(found.value)}{found.why}"
        raise misstated(path, what, "correct that, or convert the model again")


def _genai(folder: Path, section: str) -> Mapping[str, Any]:
    path = folder / GENAI_CONFIG
    stated = read_object(path).get(section) if path.is_file() else None
    if not isinstance(stated, dict):
        return {}
    _check_numbers(path, stated)
    return stated


def _ids(path: Path, content: Mapping[str, Any]) -> set[int]:
    stated = without_absent_ids(content).get("eos_token_id", [])
    ids = stated if isinstance(stated, list) else [stated]
    for token in ids:
        if not _is_id(token):
            raise misstated(path, f"its eos_token_id is {quoted(stated)}", "give it a token's id")
    return set(ids)


def _is_id(token: Any) -> bool:
    return type(token) is int and 0 <= token < RANGES["vocab_size"].most


def _is_absent(token: Any) -> bool:
    return token is None or (type(token) is int and token == -1)
