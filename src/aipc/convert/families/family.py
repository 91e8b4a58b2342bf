"""How the networks of a family differ from llama's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aipc.convert.families.configs import plain
from aipc.convert.rope import LLAMA_THETAS, Thetas

_SEPARATE = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
_GATE_UP = ("mlp.gate_proj", "mlp.up_proj")
LOOKS_AHEAD = "use_bidirectional_attention"


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
class SharedNames:
    """Of a `SharedExpert`'s parts; it has no ``gate`` where that is ""."""

    gate_up: tuple[str, ...]
    down: str
    gate: str = ""


@dataclass(frozen=True)
class Mixture:
    """How experts are chosen and what each computes; see `Router` and `Experts`.

    The config states ``num_experts``, ``num_experts_per_tok`` and ``moe_intermediate_size``.
    """

    weighting: str = ""
    """Where "", whether the active ones' add up to 1 is the config's ``norm_topk_prob``."""
    scores: str = "softmax"
    """What weights are made of there; or "sigmoid", and ``use_expert_bias`` counts (LFM2)."""
    shared: SharedNames | None = None
    """Of the expert of all tokens, of the config's ``shared_expert_intermediate_size``."""
    alpha: float | None = None
    """Of a `ClampedGate`, with the config's ``swiglu_limit``; then router and experts have biases,
    and a gate and an up take turns (gpt-oss)."""


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
    mixture: Mixture | None = None
    """Of layers that have experts."""
    norms: Norms = Norms()
    layer_norms: bool = False
    """Norms subtract the mean, and have a bias."""
    has_sinks: bool = False
    """`Attention.sinks`."""
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
    may_look_ahead: bool = False
    """The config's ``use_bidirectional_attention`` counts: tokens attend to later ones too."""
    skips_rope: bool = False
    """The config's ``no_rope_layers``, or every fourth layer, have no rotary embedding."""
    is_tied: bool = False
    """Head and embedding share a matrix where the config does not state it."""
    activation: str = "silu"
    activation_names: tuple[Any, ...] = ("silu",)
    """The allowed ``hidden_act`` or ``hidden_activation`` of a config."""
