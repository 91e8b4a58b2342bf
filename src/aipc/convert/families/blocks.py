"""The blocks of a network: their parts, and the tensors that these are stacked from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aipc.artifact.kv_cache import CONVOLUTION, DELTA
from aipc.convert.families.layers import LayerSettings
from aipc.convert.families.table import Family
from aipc.convert.network import (
    Attention,
    Block,
    GatedDelta,
    Matrix,
    Mixer,
    ShortConvolution,
    TokenGate,
    Vector,
)


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
        family, norms = self.family, self.family.norms
        hidden, intermediate = int(self.config["hidden_size"]), layer.intermediate
        both, down = 2 * intermediate, (family.down,)
        return Block(
            mixer_norm=self._norm("attention_norm", norms.attention, hidden),
            mixer=self._mixer(layer),
            mixer_out_norm=self._norm("attention_out_norm", norms.attention_out, hidden),
            feed_forward_norm=self._norm("feed_forward_norm", norms.feed_forward, hidden),
            gate_up=self.matrix("gate_up", family.gate_up, both, hidden),
            gate_up_bias=self.bias("gate_up_bias", family.gate_up, both, has=self._has("mlp")),
            down=self.matrix("down", down, hidden, intermediate),
            down_bias=self.bias("down_bias", down, hidden, has=self._has("mlp")),
            feed_forward_out_norm=self._norm(
                "feed_forward_out_norm", norms.feed_forward_out, hidden
            ),
            token_gate=self._token_gate(hidden),
            scale=self._scale(),
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
        has_bias = self._has("attention")
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
            bias=self.bias("bias", parts, joint, has=family.has_bias or has_bias),
            query_norm=self._head_norm("query_norm", of_query, layer, query),
            key_norm=key_norm if layer.shares is None else None,
            out=self.matrix("attention_out", out, hidden, query),
            out_bias=self.bias("attention_out_bias", out, hidden, has=has_bias),
            norms_values=family.norms_values,
            shares=layer.shares,
            gated=family.gated,
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
        return self.vector(name, (part,), length, self.family.norm_offset) if part else None

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
