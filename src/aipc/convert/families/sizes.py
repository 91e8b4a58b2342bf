"""Whether a config's numbers can be a network's, before anything is built of them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from aipc.artifact.config import stretched_context
from aipc.errors import CheckpointError, misstated, quoted

_MOST = {
    "hidden_size": 2**17,
    "intermediate_size": 2**20,
    "num_hidden_layers": 2**11,
    "num_attention_heads": 2**12,
    "num_key_value_heads": 2**12,
    "head_dim": 2**12,
    "vocab_size": 2**22,
    "max_position_embeddings": 2**24,
    "sliding_window": 2**31,
    "original_max_position_embeddings": 2**24,
    "sliding_window_pattern": 2**11,
    "no_rope_layer_interval": 2**11,
    "max_window_layers": 2**11,
    "global_head_dim": 2**12,
    "num_global_key_value_heads": 2**12,
    "num_kv_shared_layers": 2**11,
    "hidden_size_per_layer_input": 2**14,
    "vocab_size_per_layer_input": 2**22,
    "shared_intermediate_size": 2**20,
}
"""Some ten times what the largest known network has."""
_REQUIRED = frozenset(
    {
        *("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
        *("vocab_size", "max_position_embeddings"),
    }
)
_MAY_BE_NONE = frozenset(
    {
        *("sliding_window", "max_window_layers", "num_kv_shared_layers"),
        "hidden_size_per_layer_input",
    }
)
"""Of these 0 says that there is none."""
_NUMBERS = (
    *("rms_norm_eps", "rope_theta", "rope_local_base_freq", "partial_rotary_factor"),
    *("query_pre_attn_scalar", "attn_logit_softcapping", "final_logit_softcapping"),
    *("embedding_multiplier", "attention_multiplier", "residual_multiplier", "logits_scaling"),
)
_FLAGS = ("tie_word_embeddings", "attention_bias", "mlp_bias", "use_sliding_window")
_DIVISORS = frozenset(
    {
        *("factor", "long_factor", "short_factor"),
        *("rope_theta", "rope_local_base_freq", "partial_rotary_factor"),
        *("query_pre_attn_scalar", "logits_scaling"),
    }
)
_WORDS = frozenset({"rope_type", "type"})
_LARGEST = {"partial_rotary_factor": 1, "factor": 2**12}
_LAYER = re.compile(r"model\.layers\.(\d{1,9})\.", re.ASCII)


def check_sizes(path: Path, config: Mapping[str, Any]) -> None:
    """Refuse sizes and rotary settings that no network can have.

    Args:
        path: the checkpoint, for the message.
        config: its config.json.

    Raises:
        CheckpointError: naming the first that is wrong.
    """
    _check_counts(path, config)
    for key in _FLAGS:
        if not isinstance(config.get(key), bool | None):
            raise _wrong(path, key, config[key], ", not true or false")
    for key in _NUMBERS:
        if config.get(key) is not None:
            _check_number(path, key, config[key])
    for key in ("rope_scaling", "rope_parameters"):
        if not isinstance(config.get(key), Mapping | None):
            raise _wrong(path, key, config[key], ", no rotary settings")
        for name, value in _flat(config.get(key)):
            check = _check_count if name in _MOST else _check_number
            check(path, f"{key}.{name}", value)
    context, most = stretched_context(config), _MOST["max_position_embeddings"]
    if context > most:
        raise _wrong(path, "a context stretched by YaRN", context, f", more than {most:,}")


def _check_counts(path: Path, config: Mapping[str, Any]) -> None:
    for key in _MOST:
        value = config.get(key)
        is_none = value is None or (key in _MAY_BE_NONE and value == 0)
        if is_none and key not in _REQUIRED:
            continue
        _check_count(path, key, value)


def _check_count(path: Path, key: str, value: Any) -> None:
    most = _MOST[key.rpartition(".")[2]]
    if type(value) is not int or not 1 <= value <= most:
        raise _wrong(path, key, value, f", no whole number from 1 to {most:,}")


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


def _check_number(path: Path, key: str, value: Any) -> None:
    name = key.rpartition(".")[2]
    is_number = type(value) in (int, float) and math.isfinite(value)
    is_zero = name in _DIVISORS and value == 0
    if not is_number or value < 0 or is_zero or value > _LARGEST.get(name, math.inf):
        raise _wrong(path, key, value)


def _flat(settings: Any) -> Iterator[tuple[str, Any]]:
    """Every number of rotary settings by the name of its member; kinds and flags are none."""
    members = settings.items() if isinstance(settings, Mapping) else ()
    for name, value in members:
        if isinstance(value, Mapping):
            yield from _flat(value)
        elif isinstance(value, list):
            yield from ((name, each) for each in value)
        elif value is not None and not isinstance(value, bool) and name not in _WORDS:
            yield name, value


def _wrong(path: Path, key: str, value: Any, why: str = "") -> CheckpointError:
    fix = "correct it in config.json: the model's page has the right one"
    if path.suffix == ".gguf":
        fix = "take another file of this model, or its checkpoint folder (safetensors)"
    return misstated(path, f"its config has {key} = {_shown(value)}{why}", fix)


def _shown(value: Any) -> str:
    return f"{value:,}" if type(value) is int and abs(value) < 10**24 else quoted(value)
