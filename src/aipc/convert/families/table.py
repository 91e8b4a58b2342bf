"""The known network families: how each differs from llama, in a few words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aipc.artifact.kv_cache import CONVOLUTION, DELTA
from aipc.convert.families.configs import (
    gpt_oss_config,
    granite4_config,
    granite_moe_config,
    lfm2_config,
    lfm2_moe_config,
    mixtral_config,
    olmoe_config,
    phimoe_config,
    qwen2_moe_config,
    qwen3_5_config,
    qwen3_5_moe_config,
    qwen3_moe_config,
)
from aipc.convert.families.family import (
    LOOKS_AHEAD,
    Family,
    Mixture,
    Norms,
    SharedNames,
    Windows,
)
from aipc.convert.rope import Thetas
from aipc.errors import UnsupportedModel

UNSUPPORTED = {  # config key -> the only values that the graph computes correctly
    LOOKS_AHEAD: (False, None, "vision"),  # of images, which are left out
    "enable_moe_block": (False, None),
    "num_local_experts": (0, None),
    "n_shared_experts": (0, None),
    "num_shared_experts": (0, None),
    "shared_expert_intermediate_size": (0, None),
    "clip_qkv": (None,),
}

_GELU = ("gelu_pytorch_tanh", "gelu")
_FOUR_NORMS = Norms(
    attention_out="post_attention_layernorm",
    feed_forward="pre_feedforward_layernorm",
    feed_forward_out="post_feedforward_layernorm",
)
_GEMMA = Family(
    norm_offset=1.0,
    reads_bias=True,
    scales_embedding=True,
    is_tied=True,
    activation="gelu_tanh",
    activation_names=_GELU,
)
_GEMMA2 = replace(
    _GEMMA,
    norms=_FOUR_NORMS,
    windows=Windows(full_every=2),
    query_width=256,
    caps_scores=True,
    caps_logits=True,
)
_GEMMA3 = replace(
    _GEMMA2,
    windows=Windows(full_every=6),
    norms_heads=True,
    thetas=Thetas(1e6, 1e4),
    caps_scores=False,
    may_look_ahead=True,
)
_GEMMA4 = replace(
    _GEMMA3,
    norm_offset=0.0,
    reads_bias=False,
    norms_values=True,
    query_width=1,
    differs_by_type=True,
    may_look_ahead=False,
)
_MISTRAL = Family(windows=Windows(reads_types=False))
_OLMO2 = Family(
    norms=Norms("", "post_attention_layernorm", "", "post_feedforward_layernorm"),
    reads_bias=True,
    norms_width=True,
)
_GRANITE = Family(reads_bias=True, has_multipliers=True)
_GRANITE_SHARED = SharedNames(("shared_mlp.input_linear",), "shared_mlp.output_linear")
_GRANITE_MOE = replace(
    _GRANITE,
    read_config=granite_moe_config,
    mixture=Mixture("softmax_active", shared=_GRANITE_SHARED),
)
_LFM2 = Family(
    gate_up=("feed_forward.w1", "feed_forward.w3"),
    out="self_attn.out_proj",
    down="feed_forward.w2",
    final_norm="model.embedding_norm",
    head_norms=("self_attn.q_layernorm", "self_attn.k_layernorm"),
    read_config=lfm2_config,
    mixers=frozenset({CONVOLUTION}),
    norms=Norms("operator_norm", feed_forward="ffn_norm"),
    norms_heads=True,
    thetas=Thetas(1e6),
)
_QWEN3_5 = Family(
    read_config=qwen3_5_config,
    mixers=frozenset({DELTA}),
    gated=True,
    rotates_part=True,
    reads_bias=True,
    norms_heads=True,
    norm_offset=1.0,
)
_QWEN_SHARED = SharedNames(
    ("mlp.shared_expert.gate_proj", "mlp.shared_expert.up_proj"),
    "mlp.shared_expert.down_proj",
    "mlp.shared_expert_gate",
)
_QWEN_WINDOWS = Windows(needs_leave=True)
_QWEN3_MOE_WINDOWS = Windows(needs_leave=True, reads_types=False)

FAMILIES = {
    "llama": Family(reads_bias=True),
    "phi3": Family(
        ("self_attn.qkv_proj",),
        ("mlp.gate_up_proj",),
        windows=Windows(reads_types=False),
        rotates_part=True,
    ),
    "mistral": _MISTRAL,
    "ministral": Family(windows=Windows()),
    "ministral3": _MISTRAL,
    "qwen2": Family(has_bias=True, windows=_QWEN_WINDOWS),
    "qwen3": Family(norms_heads=True, reads_bias=True, windows=_QWEN_WINDOWS),
    "gemma": _GEMMA,
    "gemma2": _GEMMA2,
    "gemma3_text": _GEMMA3,
    "gemma4_text": _GEMMA4,
    "smollm3": Family(
        reads_bias=True,
        windows=_QWEN_WINDOWS,
        thetas=Thetas(2e6),
        skips_rope=True,
        is_tied=True,
    ),
    "granite": _GRANITE,
    "granitemoe": _GRANITE_MOE,
    "granitemoeshared": _GRANITE_MOE,
    "granitemoehybrid": replace(
        _GRANITE_MOE,
        gate_up=_GRANITE_SHARED.gate_up,
        down=_GRANITE_SHARED.down,
        read_config=granite4_config,
        states_rope=True,
    ),
    "lfm2": _LFM2,
    "lfm2_moe": replace(_LFM2, read_config=lfm2_moe_config, mixture=Mixture(scores="sigmoid")),
    "qwen3_5_text": _QWEN3_5,
    "qwen3_5_moe_text": replace(
        _QWEN3_5,
        read_config=qwen3_5_moe_config,
        mixture=Mixture("softmax_active", shared=_QWEN_SHARED),
    ),
    "qwen2_moe": Family(
        read_config=qwen2_moe_config,
        mixture=Mixture(shared=_QWEN_SHARED),
        has_bias=True,
        windows=_QWEN_WINDOWS,
    ),
    "qwen3_moe": Family(
        read_config=qwen3_moe_config,
        mixture=Mixture(),
        norms_heads=True,
        reads_bias=True,
        windows=_QWEN3_MOE_WINDOWS,
    ),
    "mixtral": replace(
        _MISTRAL,
        read_config=mixtral_config,
        mixture=Mixture("softmax_active"),
        thetas=Thetas(1e6),
    ),
    "gpt_oss": Family(
        read_config=gpt_oss_config,
        mixture=Mixture("softmax_active", alpha=1.702),
        has_sinks=True,
        windows=Windows(full_every=2),
        reads_bias=True,
        thetas=Thetas(1.5e5),
    ),
    "phimoe": Family(
        read_config=phimoe_config,
        mixture=Mixture("sparsemixer"),
        layer_norms=True,
        windows=Windows(reads_types=False),
        reads_bias=True,
        thetas=Thetas(1e6),
    ),
    "olmoe": Family(
        read_config=olmoe_config,
        mixture=Mixture(),
        reads_bias=True,
        norms_width=True,
    ),
    "olmo2": _OLMO2,
    "olmo3": replace(_OLMO2, windows=Windows(full_every=4), thetas=Thetas(5e5, 5e5)),
}


def find_family(config: Mapping[str, Any]) -> Family:
    """Of a config whose network is known.

    Raises:
        UnsupportedModel: an option that the graphs would compute wrongly.
    """
    model_type = str(config["model_type"])
    family = FAMILIES[model_type]
    allowed = dict(UNSUPPORTED)
    if family.mixture is not None:
        del allowed["num_local_experts"]
        if family.mixture.shared is not None:
            del allowed["shared_expert_intermediate_size"]
    if family.may_look_ahead:
        del allowed[LOOKS_AHEAD]
    if not family.reads_bias:
        allowed |= dict.fromkeys(("attention_bias", "mlp_bias"), (False, None))
    for key in ("hidden_act", "hidden_activation"):
        allowed[key] = (*family.activation_names, None)
    for key, values in allowed.items():
        if config.get(key, values[0]) not in values:
            value = str(config[key])
            raise UnsupportedModel(
                f"this {model_type} checkpoint has {key} = "
                + (value if len(value) <= 40 else value[:37] + "..."),
                f"only {values[0]} can be converted; look for an unquantized, plain checkpoint",
            )
    return family
