"""What blocks have in place of attention, named from a config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from aipc.convert.network import GatedDelta, Matrix, ShortConvolution, Vector

_Config = Mapping[str, Any]


class Parts(Protocol):
    """Names the parts of one block and the tensors that they are stacked from."""

    @property
    def config(self) -> _Config: ...

    def matrix(self, name: str, parts: tuple[str, ...], rows: int, columns: int) -> Matrix: ...

    def vector(
        self,
        name: str,
        parts: tuple[str, ...],
        length: int,
        offset: float = 0.0,
        kind: str = ".weight",
        entry: tuple[int, ...] = (),
    ) -> Vector: ...

    def bias(
        self, name: str, parts: tuple[str, ...], length: int, *, has: bool
    ) -> Vector | None: ...


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
