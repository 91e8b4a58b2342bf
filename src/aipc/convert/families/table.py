"""The known network families: how each differs from llama."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from aipc.artifact.kv_cache import CONVOLUTION, DELTA
from aipc.convert.families.configs import granite4_config, lfm2_config, plain, qwen3_5_config
from aipc.convert.rope import LLAMA_THETAS, Thetas
from aipc.errors import UnsupportedModel

_SEPARATE = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
_GATE_UP = ("mlp.gate_proj", "mlp.up_proj")
UNSUPPORTED = {  # config key -> the only values that the graph computes correctly
    "use_bidirectional_attention": (False, None, "vision"),  # of images, which are left out
    "enable_moe_block": (False, None),
    "num_local_experts": (0, None),
}


@dataclass(frozen=True)
class Norms:
    """The names of a block's norms over the hidden states; "" where it has none."""

    attention: str = "input_layernorm"
    attention_out: str = ""
    feed_forward: str = "post_attention_layernorm"
    feed_forward_out: str = ""


@dataclass(frozen=True)
class Windows:
    """Which layers have the config's ``sliding_window``, unless its ``layer_types`` say so.

    All have it, or all but every ``full_every``-th.
    """

    full_every: int = 0
    needs_leave: bool = False
    """Only where ``use_sliding_window``, and from layer ``max_window_layers`` on."""
    reads_types: bool = True


@dataclass(frozen=True)
class Family:
    """How a network differs from llama; the defaults are llama's."""

    query_key_value: tuple[str, ...] = _SEPARATE
    gate_up: tuple[str, ...] = _GATE_UP
    out: str = "self_attn.o_proj"
    down: str = "mlp.down_proj"
    final_norm: str = "model.norm"
    head_norms: tuple[str, str] = ("self_attn.q_norm", "self_attn.k_norm")
    read_config: Callable[[Mapping[str, Any]], Mapping[str, Any]] = plain
    """Gives what the config says in llama's terms."""
    mixers: frozenset[str] = frozenset()
    """What some of the config's ``layer_types`` have in place of attention."""
    gated: bool = False
    """`Attention.gated`."""
    norms: Norms = Norms()
    windows: Windows | None = None
    has_bias: bool = False
    """Query, key and value have a bias whatever the config says."""
    reads_bias: bool = False
    """The config's ``attention_bias`` and ``mlp_bias`` count."""
    norms_heads: bool = False
    """Query and key are normed, each head by itself."""
    norms_values: bool = False
    """Values are normed too, without a weight."""
    norms_width: bool = False
    """Query and key are normed, all heads together."""
    norm_offset: float = 0.0
    """Norm weights are stored less this."""
    scales_embedding: bool = False
    """Embeddings are multiplied by the square root of the hidden size."""
    has_multipliers: bool = False
    """The config's ``embedding_multiplier``, ``attention_multiplier`` … count."""
    query_width: int | None = None
    """Scores are divided by the root of the config's ``query_pre_attn_scalar``, else of this."""
    differs_by_type: bool = False
    """Layers that attend to all have sizes of their own; the last ones share keys and values; each
    adds what it makes of the token (Gemma 4)."""
    caps_scores: bool = False
    """The config's ``attn_logit_softcapping`` counts."""
    caps_logits: bool = False
    """The config's ``final_logit_softcapping`` counts."""
    thetas: Thetas = LLAMA_THETAS
    states_rope: bool = False
    """Layers have a rotary embedding only where ``position_embedding_type`` is "rope"."""
    rotates_part: bool = False
    """The config's ``partial_rotary_factor`` counts."""
    skips_rope: bool = False
    """The config's ``no_rope_layers``, or every fourth layer, have no rotary embedding."""
    is_tied: bool = False
    """Head and embedding share a matrix where the config does not state it."""
    activation: str = "silu"
    activation_names: tuple[Any, ...] = ("silu",)
    """The allowed ``hidden_act`` or ``hidden_activation`` of a config."""


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
)
_GEMMA4 = replace(
    _GEMMA3,
    norm_offset=0.0,
    reads_bias=False,
    norms_values=True,
    query_width=1,
    differs_by_type=True,
)
_MISTRAL = Family(windows=Windows(reads_types=False))
_OLMO2 = Family(
    norms=Norms("", "post_attention_layernorm", "", "post_feedforward_layernorm"),
    reads_bias=True,
    norms_width=True,
)
_GRANITE = Family(reads_bias=True, has_multipliers=True)
_QWEN_WINDOWS = Windows(needs_leave=True)

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
    "granitemoehybrid": replace(
        _GRANITE,
        gate_up=("shared_mlp.input_linear",),
        down="shared_mlp.output_linear",
        read_config=granite4_config,
        states_rope=True,
    ),
    "lfm2": Family(
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
    ),
    "qwen3_5_text": Family(
        read_config=qwen3_5_config,
        mixers=frozenset({DELTA}),
        gated=True,
        rotates_part=True,
        reads_bias=True,
        norms_heads=True,
        norm_offset=1.0,
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
