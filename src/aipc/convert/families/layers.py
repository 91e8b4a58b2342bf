"""What each layer of a config has of its own: window, rotary embedding, sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from aipc.artifact.config import stretched_context
from aipc.artifact.kv_cache import layer_types
from aipc.convert.families.family import LOOKS_AHEAD, Family
from aipc.convert.rope import Rope, read_rope
from aipc.errors import UnsupportedModel, quoted

_PROPORTIONAL = {"rope_type": "proportional", "partial_rotary_factor": 0.25}
"""Gemma 4's rotary embedding of layers that attend to all, where its config states none."""

_ATTENTION = frozenset({"attention", "full_attention", "sliding_attention"})


def context_length(config: Mapping[str, Any]) -> int:
    """Tokens that the network reads at most, prompt and answer together."""
    return max(int(config["max_position_embeddings"]), stretched_context(config))


@dataclass(frozen=True)
class LayerSettings:
    """What one layer has of its own; ``mixer`` is "" for attention."""

    mixer: str
    window: int | None
    rope: Rope | None
    kv_heads: int
    head_dim: int
    intermediate: int
    has_experts: bool = False
    shares: int | None = None
    values_are_keys: bool = False


def read_layers(config: Mapping[str, Any], family: Family) -> list[LayerSettings]:
    types = _layer_types(config, family)
    windows = {"sliding_attention": _window(config, family)}
    turns = _turns(config, family, len(types))
    layers = []
    for index, (kind, turned) in enumerate(zip(types, turns, strict=True)):
        own = {**config, **_own_sizes(config, family, index, kind)}
        head_dim = _head_dim(own)
        layers.append(
            LayerSettings(
                mixer=kind if kind in family.mixers else "",
                window=windows.get(kind),
                rope=_rope(own, family, head_dim, kind) if turned else None,
                kv_heads=int(own.get("num_key_value_heads") or own["num_attention_heads"]),
                head_dim=head_dim,
                intermediate=int(own["intermediate_size"]),
                has_experts=family.mixture is not None and _has_experts(config, index),
            )
        )
    return _sharing(config, types, layers) if family.differs_by_type else layers


def _has_experts(config: Mapping[str, Any], index: int) -> bool:
    if config.get("num_experts") == 0:
        return False
    dense = config.get("mlp_only_layers") or ()
    if not isinstance(dense, list | tuple):
        raise TypeError(f"mlp_only_layers {quoted(dense)}")
    return index not in dense and (index + 1) % int(config.get("decoder_sparse_step") or 1) == 0


def _rope(config: Mapping[str, Any], family: Family, head_dim: int, kind: str) -> Rope:
    rope = read_rope(config, head_dim, family.thetas, kind)
    if rope.dimensions != head_dim and not family.rotates_part:
        raise UnsupportedModel(
            f"this {config['model_type']} checkpoint rotates {rope.dimensions} of {head_dim}"
            " dimensions of a head, where transformers rotates all",
            "take one whose partial_rotary_factor is 1",
        )
    return rope


def _own_sizes(
    config: Mapping[str, Any], family: Family, index: int, kind: str
) -> Mapping[str, Any]:
    """What a layer's config has in place of the network's."""
    if not family.differs_by_type:
        return {}
    stated = config.get("per_layer_config") or {}
    if not isinstance(stated, Mapping) or not isinstance(stated.get(str(index), {}), Mapping):
        raise TypeError(f"per_layer_config {quoted(stated)}")
    of_layer: Mapping[str, Any] = stated.get(str(index), {})
    return {**(_full_sizes(config, kind) if kind == "full_attention" else {}), **of_layer}


def _full_sizes(config: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    own: dict[str, Any] = {"head_dim": config.get("global_head_dim") or 512}
    if config.get("attention_k_eq_v") and config.get("num_global_key_value_heads"):
        own["num_key_value_heads"] = config["num_global_key_value_heads"]
    if not config.get("rope_parameters"):
        own["rope_parameters"] = {kind: _PROPORTIONAL}
    return own


def _sharing(
    config: Mapping[str, Any], types: list[str], layers: list[LayerSettings]
) -> list[LayerSettings]:
    """The last ``num_kv_shared_layers`` take the keys and values of the last one of their type."""
    own = len(layers) - int(config.get("num_kv_shared_layers") or 0)
    last = {kind: index for index, kind in enumerate(types[: max(own, 0)])}
    if not last.keys() >= set(types[max(own, 0) :]):
        raise ValueError(f"num_kv_shared_layers {config['num_kv_shared_layers']}")
    times = 2 if config.get("use_double_wide_mlp") else 1
    is_same = bool(config.get("attention_k_eq_v"))
    return [
        replace(layer, values_are_keys=is_same and kind == "full_attention")
        if index < own
        else replace(layer, shares=last[kind], intermediate=times * layer.intermediate)
        for index, (kind, layer) in enumerate(zip(types, layers, strict=True))
    ]


def _head_dim(config: Mapping[str, Any]) -> int:
    return int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])


def _layer_types(config: Mapping[str, Any], family: Family) -> list[str]:
    """Of each layer, "full_attention", "sliding_attention", or another mixer's name."""
    layers, windows = int(config["num_hidden_layers"]), family.windows
    full, sliding = "full_attention", "sliding_attention"
    if family.mixers:
        return _known_types(layer_types(config), {full, *family.mixers}, layers)
    _check_layer_types(config)
    if windows is None or (windows.needs_leave and not config.get("use_sliding_window")):
        return [full] * layers
    if config.get("layer_types") and windows.reads_types:
        return _known_types(config["layer_types"], {full, sliding}, layers)
    if family.skips_rope:
        return [full if turned else sliding for turned in _turns(config, family, layers)]
    if windows.needs_leave:
        first = int(config.get("max_window_layers", 28))
        return [full if index < first else sliding for index in range(layers)]
    every = int(config.get("sliding_window_pattern") or windows.full_every)
    forced = layers - 1 if family.differs_by_type else -1  # Gemma 4's last attends to all
    is_full = [index == forced or (every and (index + 1) % every == 0) for index in range(layers)]
    return [full if one else sliding for one in is_full]


def _check_layer_types(config: Mapping[str, Any]) -> None:
    stated = config.get("layer_types")
    for kind in stated if isinstance(stated, list) else ():
        if isinstance(kind, str) and kind not in _ATTENTION:
            raise UnsupportedModel(
                f"the config has layers of the kind {quoted(kind)}, which have no graph here",
                "take a network with attention in every layer",
            )


def _known_types(stated: list[str], known: set[str], layers: int) -> list[str]:
    attend = {"full_attention", "sliding_attention"}
    if len(stated) != layers or not known >= set(stated) or not attend & set(stated):
        raise ValueError(f"layer_types {quoted(stated)}")
    return list(stated)


def looks_ahead(config: Mapping[str, Any], family: Family) -> bool:
    """Whether a token attends to those behind it as well."""
    return family.may_look_ahead and config.get(LOOKS_AHEAD) is True


def _window(config: Mapping[str, Any], family: Family) -> int | None:
    window = int(config.get("sliding_window") or 0)
    if looks_ahead(config, family):  # half of it to each side, the token itself in both
        window = window and window // 2 + 1
    return window if 0 < window < context_length(config) else None


def _turns(config: Mapping[str, Any], family: Family, layers: int) -> list[bool]:
    """Whether each layer has a rotary embedding."""
    if not family.skips_rope:
        turned = not family.states_rope or config.get("position_embedding_type") == "rope"
        return [turned] * layers
    stated = config.get("no_rope_layers")  # 1 where a layer has one, whatever the name says
    if stated:
        if not isinstance(stated, list) or len(stated) < layers:
            raise ValueError(f"no_rope_layers {quoted(stated)}")
        return [bool(one) for one in stated[:layers]]
    every = int(config.get("no_rope_layer_interval") or 4)
    return [(index + 1) % every != 0 for index in range(layers)]
