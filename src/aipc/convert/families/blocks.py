"""The blocks of a network: their parts, and the tensors that these are stacked from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from aipc.artifact.kv_cache import CONVOLUTION, DELTA
from aipc.convert.families.family import Family, Mixture, SharedNames
from aipc.convert.families.layers import LayerSettings
from aipc.convert.feed_forward import ClampedGate, Experts, FeedForward, Router, SharedExpert
from aipc.convert.network import Attention, Block, GatedDelta, Mixer, ShortConvolution, TokenGate
from aipc.convert.parts import Matrix, Vector


def token_width(config: Mapping[str, Any], family: Family) -> int:
    return int(config.get("hidden_size_per_layer_input", 256)) if family.differs_by_type else 0


def softcap(config: Mapping[str, Any], key: str) -> float | None:
    return float(config[key]) if config.get(key) else None


def _scale(config: Mapping[str, Any], family: Family, head_dim: int) -> float:
    """What queries times keys are multiplied by."""
    if family.has_multipliers:
        return float(config.get("attention_multiplier", 1))
    if family.query_width:
        return 1 / math.sqrt(config.get("query_pre_attn_scalar") or family.query_width)
    return float(head_dim**-0.5)


@dataclass(frozen=True)
class Parts:
    """Names the parts of one layer and the tensors that they are stacked from."""

    config: Mapping[str, Any]
    family: Family
    index: int

    def block(self, layer: LayerSettings) -> Block:
        norms, hidden = self.family.norms, int(self.config["hidden_size"])
        return Block(
            mixer_norm=self._norm("attention_norm", norms.attention, hidden),
            mixer=self._mixer(layer),
            mixer_out_norm=self._norm("attention_out_norm", norms.attention_out, hidden),
            feed_forward_norm=self._norm("feed_forward_norm", norms.feed_forward, hidden),
            feed_forward=self._feed_forward(layer),
            feed_forward_out_norm=self._norm(
                "feed_forward_out_norm", norms.feed_forward_out, hidden
            ),
            token_gate=self._token_gate(hidden),
            scale=self._scale(),
        )

    def _feed_forward(self, layer: LayerSettings) -> FeedForward | Experts:
        if self.family.mixture is not None and layer.has_experts:
            return experts(self, self.family.mixture)
        gate_up, down, has = self.family.gate_up, (self.family.down,), self._has("mlp")
        hidden, both = int(self.config["hidden_size"]), 2 * layer.intermediate
        return FeedForward(
            gate_up=self.matrix("gate_up", gate_up, both, hidden),
            gate_up_bias=self.bias("gate_up_bias", gate_up, both, has=has),
            down=self.matrix("down", down, hidden, layer.intermediate),
            down_bias=self.bias("down_bias", down, hidden, has=has),
        )

    def _token_gate(self, hidden: int) -> TokenGate | None:
        width = token_width(self.config, self.family)
        if not width:
            return None
        norm = self.vector("token_out_norm", ("post_per_layer_input_norm",), hidden)
        return TokenGate(
            gate=self.matrix("token_gate", ("per_layer_input_gate",), width, hidden),
            out=self.matrix("token_out", ("per_layer_projection",), hidden, width),
            out_norm=norm,
        )

    def _scale(self) -> Vector | None:
        if not self.family.differs_by_type:
            return None
        return Vector(f"block.{self.index}.scale", (f"model.layers.{self.index}.layer_scalar",), 1)

    def _mixer(self, layer: LayerSettings) -> Mixer:
        if layer.mixer == CONVOLUTION:
            return short_convolution(self)
        return gated_delta(self) if layer.mixer == DELTA else self._attention(layer)

    def _attention(self, layer: LayerSettings) -> Attention:
        config, family, head_dim = self.config, self.family, layer.head_dim
        heads, kv_heads = int(config["num_attention_heads"]), layer.kv_heads
        if min(heads, kv_heads, head_dim) < 1 or heads % kv_heads:
            raise ValueError(f"sizes: {heads} heads of {head_dim} over {kv_heads} key-value heads")
        query, key, hidden = heads * head_dim, kv_heads * head_dim, int(config["hidden_size"])
        joint = query * (2 if family.gated else 1) + 2 * key
        parts, out = family.query_key_value, (family.out,)
        if layer.shares is not None:
            parts, joint = parts[:1], query
        elif layer.values_are_keys:
            parts = (*parts[:2], parts[1])
        has_bias, of_keys = self._has("attention"), bool(config.get("qkv_bias", True))
        of_query, of_key = family.head_norms
        key_norm = self._head_norm("key_norm", of_key, layer, key)
        return Attention(
            heads=heads,
            kv_heads=kv_heads,
            head_dim=head_dim,
            scale=_scale(config, family, head_dim),
            window=layer.window,
            rope=layer.rope,
            softcap=softcap(config, "attn_logit_softcapping") if family.caps_scores else None,
            query_key_value=self.matrix("query_key_value", parts, joint, hidden),
            bias=self.bias("bias", parts, joint, has=(family.has_bias and of_keys) or has_bias),
            query_norm=self._head_norm("query_norm", of_query, layer, query),
            key_norm=key_norm if layer.shares is None else None,
            out=self.matrix("attention_out", out, hidden, query),
            out_bias=self.bias("attention_out_bias", out, hidden, has=has_bias),
            norms_values=family.norms_values,
            shares=layer.shares,
            gated=family.gated,
            sinks=self.vector("sinks", ("self_attn.sinks",), heads, kind="")
            if family.has_sinks
            else None,
        )

    def _has(self, part: str) -> bool:
        """Whether "attention" or "mlp" has biases by the config's word."""
        return self.family.reads_bias and bool(self.config.get(f"{part}_bias"))

    def _head_norm(self, name: str, part: str, layer: LayerSettings, width: int) -> Vector | None:
        if not (self.family.norms_heads or self.family.norms_width):
            return None
        length = width if self.family.norms_width else layer.head_dim
        return self._norm(name, part, length)

    def _norm(self, name: str, part: str, length: int) -> Vector | None:
        if not part:
            return None
        weight = self.vector(name, (part,), length, self.family.norm_offset)
        if not self.family.layer_norms:
            return weight
        return replace(weight, bias=self.bias(f"{name}_bias", (part,), length, has=True))

    def bias(self, name: str, parts: tuple[str, ...], length: int, *, has: bool) -> Vector | None:
        return self.vector(name, parts, length, kind=".bias") if has else None

    def matrix(self, name: str, parts: tuple[str, ...], rows: int, columns: int) -> Matrix:
        return Matrix(f"block.{self.index}.{name}", self._tensors(parts, ".weight"), rows, columns)

    def vector(
        self,
        name: str,
        parts: tuple[str, ...],
        length: int,
        offset: float = 0.0,
        kind: str = ".weight",
        entry: tuple[int, ...] = (),
    ) -> Vector:
        tensors = self._tensors(parts, kind)
        return Vector(f"block.{self.index}.{name}", tensors, length, offset, entry)

    def _tensors(self, parts: tuple[str, ...], kind: str) -> tuple[str, ...]:
        return tuple(f"model.layers.{self.index}.{part}{kind}" for part in parts)


def experts(parts: Parts, mixture: Mixture) -> Experts:
    config, hidden = parts.config, int(parts.config["hidden_size"])
    count, active = int(config["num_experts"]), int(config["num_experts_per_tok"])
    width = int(config["moe_intermediate_size"])
    if min(count, active, width) < 1 or active > count:
        raise ValueError(f"sizes: {active} of {count} experts, {width} wide")
    by_config = mixture.scores + ("_active" if config.get("norm_topk_prob") else "")
    is_ranked = mixture.scores == "sigmoid" and bool(config.get("use_expert_bias"))
    is_clamped = mixture.alpha is not None

    def matrix(name: str, part: str, rows: int, columns: int) -> Matrix:
        each = tuple(f"mlp.experts.{expert}.{part}" for expert in range(count))
        return replace(
            parts.matrix(name, each, count * rows, columns), experts=count, active=active
        )

    def bias(name: str, part: str, rows: int) -> Vector | None:
        if not is_clamped:
            return None
        return parts.vector(name, (f"mlp.experts.{part}",), count, kind="_bias", entry=(rows,))

    router = Router(
        matrix=parts.matrix("router", ("mlp.router",), count, hidden),
        bias=parts.bias("router_bias", ("mlp.router",), count, has=is_clamped),
        active=active,
        weighting=mixture.weighting or by_config,
        jitter=float(config.get("router_jitter_noise") or 0),
        choice_bias=parts.vector("choice_bias", ("mlp.router.choice_bias",), count, kind="")
        if is_ranked
        else None,
        scale=float(config.get("routed_scaling_factor") or 1),
    )
    found = Experts(
        router=router,
        gate_up=(
            matrix("gate", "gate_proj", width, hidden),
            matrix("up", "up_proj", width, hidden),
        ),
        gate_up_bias=bias("gate_up_bias", "gate_up_proj", 2 * width),
        down=matrix("down", "down_proj", hidden, width),
        down_bias=bias("down_bias", "down_proj", hidden),
        shared=None if mixture.shared is None else _shared_expert(parts, mixture.shared),
    )
    if mixture.alpha is None:
        return found
    clamped = ClampedGate(mixture.alpha, float(config["swiglu_limit"]))
    return replace(found.joined, clamped=clamped)


def _shared_expert(parts: Parts, names: SharedNames) -> SharedExpert | None:
    hidden = int(parts.config["hidden_size"])
    width = int(parts.config.get("shared_expert_intermediate_size") or 0)
    if not width:
        return None
    forward = FeedForward(
        gate_up=parts.matrix("shared_gate_up", names.gate_up, 2 * width, hidden),
        gate_up_bias=None,
        down=parts.matrix("shared_down", (names.down,), hidden, width),
        down_bias=None,
    )
    gate = parts.matrix("shared_gate", (names.gate,), 1, hidden) if names.gate else None
    return SharedExpert(forward, gate)


def short_convolution(parts: Parts) -> ShortConvolution:
    config, has = parts.config, bool(parts.config.get("conv_bias"))
    hidden, tokens = int(config["hidden_size"]), int(config.get("conv_L_cache", 3))
    projection, taps, out = ("conv.in_proj",), ("conv.conv",), ("conv.out_proj",)
    return ShortConvolution(
        projection=parts.matrix("projection", projection, 3 * hidden, hidden),
        bias=parts.bias("bias", projection, 3 * hidden, has=has),
        taps=parts.vector("taps", taps, hidden, entry=(1, tokens)),
        taps_bias=parts.bias("taps_bias", taps, hidden, has=has),
        out=parts.matrix("convolution_out", out, hidden, hidden),
        out_bias=parts.bias("convolution_out_bias", out, hidden, has=has),
    )


def gated_delta(parts: Parts) -> GatedDelta:
    config, own = parts.config, "linear_attn"
    hidden = int(config["hidden_size"])
    key_heads, value_heads = (
        int(config.get(f"linear_num_{kind}_heads", count))
        for kind, count in (("key", 16), ("value", 32))
    )
    key_dim, value_dim = (
        int(config.get(f"linear_{kind}_head_dim", 128)) for kind in ("key", "value")
    )
    if min(key_heads, value_heads, key_dim, value_dim) < 1 or value_heads % key_heads:
        raise ValueError(f"sizes: {key_heads} key heads for {value_heads} value heads")
    values = value_heads * value_dim
    convolved = 2 * key_heads * key_dim + values
    tokens = int(config.get("linear_conv_kernel_dim", 4))
    projection = tuple(f"{own}.in_proj_{part}" for part in ("qkv", "z", "b", "a"))
    rows = convolved + values + 2 * value_heads
    return GatedDelta(
        key_heads=key_heads,
        value_heads=value_heads,
        key_dim=key_dim,
        value_dim=value_dim,
        projection=parts.matrix("projection", projection, rows, hidden),
        taps=parts.vector("taps", (f"{own}.conv1d",), convolved, entry=(1, tokens)),
        decay=parts.vector("decay", (f"{own}.A_log",), value_heads, kind=""),
        step_bias=parts.vector("step_bias", (f"{own}.dt_bias",), value_heads, kind=""),
        norm=parts.vector("delta_norm", (f"{own}.norm",), value_dim),
        out=parts.matrix("delta_out", (f"{own}.out_proj",), hidden, values),
    )
