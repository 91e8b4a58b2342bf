"""What the numbers of a model's files can be: the one table of their ranges.

A network's sizes have some ten times what the largest known network has.  A file that states more
would have something built of it, or computed with, that no model is: found here it costs a line,
and later memory, hours, or an answer of nonsense.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Range:
    """Both ends included; ``whole`` numbers are integers of JSON."""

    least: float
    most: float
    whole: bool = False

    def holds(self, value: Any) -> bool:
        """Whether ``value`` is a number in it; a flag is none, nor are NaN and infinity."""
        kinds = (int,) if self.whole else (int, float)
        return type(value) in kinds and self.least <= value <= self.most

    def __str__(self) -> str:
        kind = "whole number" if self.whole else "number"
        ends = [f"{end:,}" if abs(end) < 10**9 else f"{end:.4g}" for end in (self.least, self.most)]
        return f"{kind} from {ends[0]} to {ends[1]}"


@dataclass(frozen=True)
class Misstated:
    """A member of a config that no model's can be."""

    key: str
    """Its place, with dots between."""
    value: Any
    range: Range

    @property
    def why(self) -> str:
        return f", no {self.range}"


_LAYERS, _HEADS, _WIDTH, _TOKENS, _CONTEXT = 2**11, 2**12, 2**20, 2**22, 2**24
_SMALLEST = 1e-30  # for what is divided by
_DIVISOR, _FACTOR, _SHARE = Range(_SMALLEST, 1e9), Range(0, 1e9), Range(0, 1)


def _whole(most: int, *names: str, least: int = 1) -> dict[str, Range]:
    return dict.fromkeys(names, Range(least, most, whole=True))


_ROTARY_SETTINGS = ("rope_scaling.", "rope_parameters.")
ROTARY = Range(0, 1e31)
"""Of those numbers of rotary settings that `RANGES` does not name."""

RANGES: Mapping[str, Range] = {
    **_whole(_LAYERS, "num_hidden_layers", "sliding_window_pattern", "no_rope_layer_interval"),
    **_whole(_LAYERS, "full_attention_interval", "decoder_sparse_step"),
    **_whole(_LAYERS, "max_window_layers", "num_kv_shared_layers", "num_dense_layers", least=0),
    **_whole(2**17, "hidden_size"),
    **_whole(2**14, "hidden_size_per_layer_input", least=0),
    **_whole(_WIDTH, "intermediate_size", "block_ff_dim"),
    **_whole(_WIDTH, "block_multiple_of", "moe_intermediate_size"),
    **_whole(_WIDTH, "shared_intermediate_size", "shared_expert_intermediate_size", least=0),
    **_whole(2**14, "num_experts", "num_local_experts", "num_experts_per_tok", least=0),
    **_whole(_HEADS, "num_attention_heads", "num_key_value_heads", "num_global_key_value_heads"),
    **_whole(_HEADS, "head_dim", "global_head_dim", "linear_key_head_dim", "linear_value_head_dim"),
    **_whole(_HEADS, "linear_num_key_heads", "linear_num_value_heads"),
    **_whole(2**10, "conv_L_cache", "linear_conv_kernel_dim"),
    **_whole(_TOKENS, "vocab_size", "vocab_size_per_layer_input"),
    **_whole(_CONTEXT, "max_position_embeddings", "context_length"),
    **_whole(_CONTEXT, "original_max_position_embeddings"),
    **_whole(2**31, "sliding_window", least=0),
    **dict.fromkeys(("rms_norm_eps", "norm_eps"), _SHARE),
    **dict.fromkeys(("rope_theta", "rope_local_base_freq"), Range(1, 1e15)),
    "partial_rotary_factor": Range(_SMALLEST, 1),
    "factor": Range(1e-3, 2**12),
    **dict.fromkeys(("long_factor", "short_factor"), Range(_SMALLEST, 1e31)),
    **dict.fromkeys(("low_freq_factor", "high_freq_factor", "beta_fast", "beta_slow"), _FACTOR),
    **dict.fromkeys(("attention_factor", "mscale", "mscale_all_dim"), _FACTOR),
    "llama_4_scaling_beta": _FACTOR,
    **dict.fromkeys(("attn_logit_softcapping", "final_logit_softcapping"), _FACTOR),
    **dict.fromkeys(("router_jitter_noise", "swiglu_limit", "routed_scaling_factor"), _FACTOR),
    **dict.fromkeys(("embedding_multiplier", "attention_multiplier"), _FACTOR),
    **dict.fromkeys(("residual_multiplier", "block_ffn_dim_multiplier"), _FACTOR),
    **dict.fromkeys(("query_pre_attn_scalar", "logits_scaling"), _DIVISOR),
}
"""By the name that a member has in config.json, wherever in it that stands; null is unstated.

Of a list of numbers each has to be in the range.  0 says that there is none, where it is allowed.
"""


def find_misstated(content: Mapping[str, Any]) -> Misstated | None:
    """The first member of a config, at any depth, that is out of its range."""
    for key, name, value in _members(content):
        allowed = RANGES.get(name) or (ROTARY if key.startswith(_ROTARY_SETTINGS) else None)
        is_settings = allowed is ROTARY and isinstance(value, Mapping)
        if allowed is None or value is None or is_settings:
            continue
        for one in value if isinstance(value, list) else (value,):
            if not allowed.holds(one) and not (allowed is ROTARY and isinstance(one, str | bool)):
                return Misstated(key, one, allowed)
    return None


def _members(content: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Each member's place, its own name and its value; a file may be deeper than Python's stack."""
    waiting: list[tuple[str, Mapping[str, Any]]] = [("", content)]
    while waiting:
        place, members = waiting.pop()
        for name, value in members.items():
            key = f"{place}{name}"
            yield key, name, value
            if isinstance(value, Mapping):
                waiting.append((f"{key}.", value))
