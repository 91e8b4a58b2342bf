"""Whether a config's numbers can be a network's, before anything is built of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aipc.artifact.bounds import RANGES, find_misstated
from aipc.artifact.config import stretched_context
from aipc.errors import CheckpointError, misstated, quoted

_REQUIRED = (
    *("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
    *("vocab_size", "max_position_embeddings"),
)
_FLAGS = (
    *("tie_word_embeddings", "attention_bias", "mlp_bias", "use_sliding_window"),
    *("norm_topk_prob", "lm_head_bias", "qkv_bias", "use_expert_bias"),
)
_LAYER = re.compile(r"model\.layers\.(\d{1,9})\.", re.ASCII)


def check_numbers(path: Path, config: Mapping[str, Any]) -> None:
    """Refuse a number that no network can have, wherever in the config it stands.

    Args:
        path: the checkpoint, for the message.
        config: its config.json.

    Raises:
        CheckpointError: naming the first that is wrong.
    """
    for key in ("rope_scaling", "rope_parameters"):
        if not isinstance(config.get(key), Mapping | None):
            raise _wrong(path, key, config[key], ", no rotary settings")
    for key in _FLAGS:
        if not isinstance(config.get(key), bool | None):
            raise _wrong(path, key, config[key], ", not true or false")
    if found := find_misstated(config):
        raise _wrong(path, found.key, found.value, found.why)


def check_sizes(path: Path, config: Mapping[str, Any]) -> None:
    """`check_numbers`, and that every size is there which a network needs.

    Raises:
        CheckpointError: naming the first that is wrong or missing.
    """
    check_numbers(path, config)
    for key in RANGES:
        if isinstance(config.get(key), list) or (key in _REQUIRED and config.get(key) is None):
            raise _wrong(path, key, config.get(key), f", no {RANGES[key]}")
    context, most = stretched_context(config), RANGES["max_position_embeddings"].most
    if context > most:
        raise _wrong(path, "a context stretched by YaRN", context, f", more than {most:,}")


def check_layers(path: Path, config: Mapping[str, Any], tensors: Iterable[str]) -> None:
    """Refuse a config with more layers than the weights have, naming the first that is missing.

    Raises:
        CheckpointError: it has.
    """
    names = tuple(tensors)
    layers = {int(match[1]) for match in map(_LAYER.match, names) if match}
    stated = int(config["num_hidden_layers"])
    missing = next((layer for layer in range(stated) if layer not in layers), None)
    if not layers:
        raise CheckpointError(
            f"the weights of '{path}' have no model.layers.0, but {quoted(max(names, default=''))}",
            "take the model in the form of the transformers package",
        )
    if missing is not None:
        raise CheckpointError(
            f"the config of '{path}' has {stated:,} layers, its weights have {len(layers)}:"
            f" model.layers.{missing} is missing",
            "take config.json and weights of the same model",
        )


def _wrong(path: Path, key: str, value: Any, why: str = "") -> CheckpointError:
    fix = "correct it in config.json: the model's page has the right one"
    if path.suffix == ".gguf":
        fix = "take another file of this model, or its checkpoint folder (safetensors)"
    return misstated(path, f"its config has {key} = {_shown(value)}{why}", fix)


def _shown(value: Any) -> str:
    return f"{value:,}" if type(value) is int and abs(value) < 10**24 else quoted(value)
