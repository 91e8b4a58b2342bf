"""What the config.json of a network has besides llama's fields, from a GGUF file's metadata.

The fields are transformers'.  What a file does not state is what llama.cpp takes then (its
``load_arch_hparams``), as some of it is never written.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from aipc.checkpoint.gguf.metadata import Metadata
from aipc.checkpoint.tensors import TensorInfo
from aipc.errors import UnsupportedModel, damaged

_Fields = dict[str, Any]
_Sizes = Mapping[str, int]
_GELU = "gelu_pytorch_tanh"
_FULL, _LOCAL = "full_attention", "sliding_attention"
_EXPERT_WIDTH = "{arch}.expert_feed_forward_length"
_WINDOW = "{arch}.attention.sliding_window"


LAYERS_DIFFER = frozenset({"gemma4"})
"""Architectures whose sizes may be lists, one number a layer."""


def network_fields(metadata: Metadata, sizes: _Sizes, tensors: Mapping[str, TensorInfo]) -> _Fields:
    """Fields of the network's own, which count before llama's.

    Args:
        metadata: the file's.
        sizes: the sizes in config.json, by name.
        tensors: the file's, by Hugging Face name.

    Raises:
        CheckpointError: a value that no network has.
        UnsupportedModel: an option that no config.json of this network can state.
    """
    if metadata.architecture == "gemma4":
        return _gemma4(metadata, sizes, tensors)
    fields = _NETWORKS.get(metadata.architecture)
    return {} if fields is None else fields(metadata, sizes)


def local_theta(metadata: Metadata, theta: float) -> float | None:
    """The rotary base of layers with a window, where it is stated by itself; else None."""
    if metadata.architecture in {"gemma3", "gemma4"}:
        return metadata.number("{arch}.rope.freq_base_swa", 10_000.0)
    if metadata.architecture == "olmo2" and metadata.integer(_WINDOW, 0):
        return metadata.number("{arch}.rope.freq_base_swa", theta)
    return None


def _mistral3(metadata: Metadata, _: _Sizes) -> _Fields:
    if "{arch}.attention.temperature_scale" in metadata:
        return {"model_type": "ministral3", "architectures": ["Ministral3ForCausalLM"]}
    return {"model_type": "mistral", "sliding_window": None}


def _gemma2(metadata: Metadata, sizes: _Sizes) -> _Fields:
    return {
        "hidden_activation": _GELU,
        "query_pre_attn_scalar": _query_scalar(sizes, largest=46),
        "attn_logit_softcapping": metadata.number("{arch}.attn_logit_softcapping", 50.0),
        "final_logit_softcapping": metadata.number("{arch}.final_logit_softcapping", 30.0),
        "sliding_window": metadata.size(_WINDOW, 4096),
        "layer_types": _layer_types(metadata, sizes, period=2),
    }


def _gemma3(metadata: Metadata, sizes: _Sizes) -> _Fields:
    window = metadata.integer(_WINDOW, 0)
    return {
        "model_type": "gemma3_text",
        "hidden_activation": _GELU,
        "query_pre_attn_scalar": _query_scalar(sizes, largest=62),
        "attn_logit_softcapping": None,
        "final_logit_softcapping": metadata.share("{arch}.final_logit_softcapping", 0.0) or None,
        "sliding_window": window or None,
        "layer_types": _layer_types(metadata, sizes, period=6 if window else 1),
    }


def _gemma4(metadata: Metadata, sizes: _Sizes, tensors: Mapping[str, TensorInfo]) -> _Fields:
    layers, types = sizes["num_hidden_layers"], _layer_types(metadata, sizes, period=6)
    shared = metadata.integer("{arch}.attention.shared_kv_layers", 0)
    wide = metadata.by_layer("{arch}.feed_forward_length", layers)
    heads = metadata.by_layer("{arch}.attention.head_count_kv", layers)
    by_type = dict(zip(reversed(types), reversed(heads), strict=True))
    values = "model.layers.{}.self_attn.v_proj.weight".format
    has_values = [values(i) in tensors for i in range(layers - shared) if types[i] == _FULL]
    width = metadata.integer("{arch}.embedding_length_per_layer_input", 0)
    rows = tensors.get("model.embed_tokens_per_layer.weight")
    if _WINDOW not in metadata or set(types) != {_FULL, _LOCAL} or shared >= layers:
        raise damaged(metadata.path, "its Gemma 4 lacks layers of a kind")
    return {
        "model_type": "gemma4_text",
        "hidden_activation": _GELU,
        "head_dim": metadata.size("{arch}.attention.key_length_swa"),
        "global_head_dim": metadata.size("{arch}.attention.key_length"),
        "num_key_value_heads": by_type[_LOCAL],
        "num_global_key_value_heads": by_type[_FULL],
        "attention_k_eq_v": not all(has_values),
        "num_kv_shared_layers": shared,
        "use_double_wide_mlp": bool(shared) and wide[-1] == 2 * wide[0],
        "hidden_size_per_layer_input": width,
        **({"vocab_size_per_layer_input": rows.shape[0]} if width and rows else {}),
        "final_logit_softcapping": metadata.share("{arch}.final_logit_softcapping", 0.0) or None,
        "layer_types": types,
    }


def _granite(metadata: Metadata, sizes: _Sizes) -> _Fields:
    if not metadata.flag("{arch}.rope.scaling.finetuned", default=True):
        raise UnsupportedModel(
            f"'{metadata.path}' is a Granite whose layers do not know positions",
            "take a Granite model that rotates",
        )
    usual = 1 / math.sqrt(sizes["head_dim"])
    return {
        "embedding_multiplier": metadata.number("{arch}.embedding_scale", 1.0),
        "attention_multiplier": metadata.number("{arch}.attention.scale", usual),
        "residual_multiplier": metadata.number("{arch}.residual_scale", 1.0),
        "logits_scaling": metadata.number("{arch}.logit_scale"),
    }


def _smollm3(_: Metadata, sizes: _Sizes) -> _Fields:
    """Every fourth layer does not rotate; no key says so."""
    layers = sizes["num_hidden_layers"]
    return {
        "no_rope_layers": [int((layer + 1) % 4 != 0) for layer in range(layers)],
        "no_rope_layer_interval": 4,
        "use_sliding_window": False,
        "layer_types": [_FULL] * layers,
    }


def _olmo2(metadata: Metadata, sizes: _Sizes) -> _Fields:
    """OLMo 3 is stored as OLMo 2 with a window."""
    if not metadata.integer(_WINDOW, 0):
        return {}
    return {
        "model_type": "olmo3",
        "architectures": ["Olmo3ForCausalLM"],
        "layer_types": _layer_types(metadata, sizes, period=4),
    }


def _llama(metadata: Metadata, sizes: _Sizes) -> _Fields:
    """Mixtral is stored as a Llama with experts."""
    if not expert_count(metadata):
        return {}
    return {
        "model_type": "mixtral",
        "architectures": ["MixtralForCausalLM"],
        **_local_experts(metadata, sizes),
    }


def _qwen3moe(metadata: Metadata, sizes: _Sizes) -> _Fields:
    """llama.cpp has the weights of active experts add up to 1, without a key."""
    return {
        "model_type": "qwen3_moe",
        "num_experts": expert_count(metadata),
        "num_experts_per_tok": metadata.size("{arch}.expert_used_count"),
        "moe_intermediate_size": metadata.size(_EXPERT_WIDTH, sizes["intermediate_size"]),
        "norm_topk_prob": True,
    }


def _qwen2moe(metadata: Metadata, sizes: _Sizes) -> _Fields:
    width = metadata.size("{arch}.expert_shared_feed_forward_length", sizes["intermediate_size"])
    return {
        **_qwen3moe(metadata, sizes),
        "model_type": "qwen2_moe",
        "shared_expert_intermediate_size": width,
        "norm_topk_prob": False,
    }


def _olmoe(metadata: Metadata, sizes: _Sizes) -> _Fields:
    """llama.cpp leaves the weights of active experts as they are, without a key."""
    experts = _local_experts(metadata, sizes)
    count = experts.pop("num_local_experts")
    return {"model_type": "olmoe", "num_experts": count, "norm_topk_prob": False, **experts}


def _granitemoe(metadata: Metadata, sizes: _Sizes) -> _Fields:
    own = {"model_type": "granitemoe", **_local_experts(metadata, sizes)}
    return {**_granite(metadata, sizes), **own}


def _gpt_oss(metadata: Metadata, sizes: _Sizes) -> _Fields:
    return {
        "model_type": "gpt_oss",
        "layer_types": _layer_types(metadata, sizes, period=2),
        **_local_experts(metadata, sizes),
    }


def _phimoe(metadata: Metadata, sizes: _Sizes) -> _Fields:
    return {"model_type": "phimoe", **_local_experts(metadata, sizes)}


def _local_experts(metadata: Metadata, sizes: _Sizes) -> _Fields:
    return {
        "num_local_experts": expert_count(metadata),
        "num_experts_per_tok": metadata.size("{arch}.expert_used_count"),
        "intermediate_size": metadata.size(_EXPERT_WIDTH, sizes["intermediate_size"]),
    }


def expert_count(metadata: Metadata) -> int:
    """0 where there are none."""
    return metadata.integer("{arch}.expert_count", 0)


_NETWORKS: dict[str, Callable[[Metadata, _Sizes], _Fields]] = {
    "llama": _llama,
    "mistral3": _mistral3,
    "qwen2moe": _qwen2moe,
    "qwen3moe": _qwen3moe,
    "gpt-oss": _gpt_oss,
    "phimoe": _phimoe,
    "olmoe": _olmoe,
    "gemma": lambda _, __: {"hidden_act": _GELU},
    "gemma2": _gemma2,
    "gemma3": _gemma3,
    "granite": _granite,
    "granitemoe": _granitemoe,
    "smollm3": _smollm3,
    "olmo2": _olmo2,
}


def _query_scalar(sizes: _Sizes, largest: int) -> int:
    """A query is divided by the root of this: the size of a head, but in the 27B models."""
    if sizes["num_hidden_layers"] == largest:
        return sizes["hidden_size"] // sizes["num_attention_heads"]
    return sizes["head_dim"]


def _layer_types(metadata: Metadata, sizes: _Sizes, period: int) -> list[str]:
    """Which layers have a window: all but each ``period``-th, unless the file says which."""
    key, layers = "{arch}.attention.sliding_window_pattern", sizes["num_hidden_layers"]
    stated = metadata.numbers(key) if metadata.is_list(key) else None
    if stated is None:
        period = metadata.integer(key, period)
        stated = np.array([not period or (i + 1) % period != 0 for i in range(layers)])
    if len(stated) != layers:
        raise damaged(metadata.path, f"a pattern of {len(stated)} windows for {layers} layers")
    return [_LOCAL if is_local else _FULL for is_local in stated]
