"""Attention as ONNX nodes: the inputs that all blocks share, rotary embedding, the cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aipc.convert.network import Attention, Network
from aipc.convert.onnx.nodes import MICROSOFT
from aipc.convert.onnx.operators import Operators
from aipc.convert.rope import Rope, table_names

PAST, PRESENT = "past_key_values.{}.{}", "present.{}.{}"


@dataclass(frozen=True)
class _Rotation:
    cosine: str  # [positions, dimensions / 2]
    sine: str
    positions: str = ""  # i64 [batch, tokens], where rotary embedding is outside attention
    growth: str = ""  # [batch, tokens, 1], factors of queries that grow


class ONNXAttention:
    """Adds the nodes that all attentions share, then those of one after another."""

    def __init__(self, operators: Operators, network: Network) -> None:
        self._operators = operators
        self._nodes = nodes = operators.nodes
        present = nodes.add(
            "ReduceSum", ["attention_mask", nodes.integers(1)], "present", keepdims=0
        )
        # i32 [batch]: index of each sequence's last token
        self._last = nodes.cast(nodes.add("Sub", [present, nodes.integers(1)], "last"), "i32")
        shape = nodes.add("Shape", ["attention_mask"], "mask_shape")
        wide = nodes.add("Gather", [shape, nodes.integer(1)], "total", axis=0)
        # i32 []: tokens of the longest, past and new
        self._total = nodes.cast(wide, "i32")
        self._rotations = {
            rope: self._rotation(index, rope, wide) for index, rope in enumerate(network.ropes)
        }

    def _rotation(self, index: int, rope: Rope, total: str) -> _Rotation:
        cosine, sine = map(self._operators.weights.table, table_names(index))
        if not self._operators.form.turns_inside:
            positions = self._positions(rope.switch)
            return _Rotation(cosine, sine, positions, self._growth(rope))
        if rope.switch is None:
            return _Rotation(cosine, sine)
        return _Rotation(*self._choose_rows(cosine, sine, total, rope.switch))

    def _choose_rows(self, cosine: str, sine: str, total: str, switch: int) -> tuple[str, str]:
        """Table rows for a sequence of ``total`` tokens: the long frequencies' past the switch."""
        nodes = self._nodes
        is_long = nodes.cast(nodes.add("Greater", [total, nodes.integer(switch)], "is_long"), "i64")
        start = nodes.add("Mul", [is_long, nodes.integers(switch)], "first_row")
        stop = nodes.add("Add", [start, total], "past_row")
        rows = [start, stop, nodes.integers(0)]
        return (
            nodes.add("Slice", [cosine, *rows], "cosine_rows"),
            nodes.add("Slice", [sine, *rows], "sine_rows"),
        )

    def _positions(self, switch: int | None) -> str:
        """Rows of the tables: the long frequencies' once a position is past the switch."""
        nodes = self._nodes
        if switch is None:
            return "position_ids"
        last = nodes.add("ReduceMax", ["position_ids"], "last_position", keepdims=0)
        is_long = nodes.add("GreaterOrEqual", [last, nodes.integer(switch)], "is_long")
        moved = nodes.add("Mul", [nodes.cast(is_long, "i64"), nodes.integer(switch)], "first_row")
        return nodes.add("Add", ["position_ids", moved], "rows")

    def _growth(self, rope: Rope) -> str:
        if not rope.growth:
            return ""
        nodes = self._nodes
        steps = nodes.add("Div", ["position_ids", nodes.integer(rope.growth_step)], "steps")
        steps = nodes.add("Add", [steps, nodes.integer(1)], "steps.more")
        logarithm = nodes.add("Log", [nodes.cast(steps, "f32")], "steps.log")
        logarithm = nodes.from_float32(logarithm)
        grown = nodes.add("Mul", [logarithm, nodes.real(rope.growth)], "growth.less")
        grown = nodes.add("Add", [grown, nodes.real(1)], "growth.flat")
        return nodes.add("Unsqueeze", [grown, nodes.integers(-1)], "growth")

    def add(self, value: str, one: Attention, index: int) -> str:
        """The attention of block ``index`` on normed hidden states."""
        rotation = None if one.rope is None else self._rotations[one.rope]
        turns_inside = rotation is not None and not rotation.positions
        is_whole = one.query_norm is None and not one.gated
        if is_whole and (turns_inside or rotation is None):
            joint = self._operators.product(value, one.query_key_value, bias=one.bias)
            queries, gate = [joint, "", ""], ""
        else:
            queries, gate = self._parts(value, one, rotation)
        past = [PAST.format(index, kind) for kind in ("key", "value")]
        tables = [rotation.cosine, rotation.sine] if rotation and turns_inside else ["", ""]
        sinks = (
            [] if one.sinks is None else ["", "", self._operators.weights.vector(one.sinks.name)]
        )
        more: dict[str, Any] = {} if one.softcap is None else {"softcap": one.softcap}
        attended = self._nodes.add(
            "GroupQueryAttention",
            _without_end([*queries, *past, self._last, self._total, *tables, *sinks]),
            f"block.{index}.attention",
            domain=MICROSOFT,
            more=tuple(PRESENT.format(index, kind) for kind in ("key", "value")),
            num_heads=one.heads,
            kv_num_heads=one.kv_heads,
            scale=one.scale,
            local_window_size=one.window or -1,
            do_rotary=int(turns_inside),
            rotary_interleaved=0,
            **more,
        )
        if gate:
            share = self._nodes.add("Sigmoid", [gate], f"{gate}.share")
            attended = self._nodes.add("Mul", [attended, share], f"{attended}.gated")
        return self._operators.product(attended, one.out, bias=one.out_bias)

    def _parts(
        self, value: str, one: Attention, rotation: _Rotation | None
    ) -> tuple[list[str], str]:
        """Query, key and value, and the gate or "", each [batch, tokens, heads * head_dim]."""
        counts = (one.heads, one.kv_heads, one.kv_heads)
        norms = (one.query_norm, one.key_norm, None)
        width = one.kv_heads * one.head_dim
        parts, start, gate = [], 0, ""
        for index, (count, norm) in enumerate(zip(counts, norms, strict=True)):
            rows = range(start, start + (width if index else one.query_rows))
            part = self._operators.product(value, one.query_key_value, rows=rows, bias=one.bias)
            if index == 0 and one.gated:
                part, gate = self._part_gate(part, one)
            if norm is not None:
                part = self._operators.norm_heads(part, norm, count * one.head_dim)
            if index < 2 and rotation is not None and rotation.positions:
                part = self._rotate(part, count, one, rotation)
            if index == 0 and rotation is not None and rotation.growth:
                part = self._nodes.add("Mul", [part, rotation.growth], f"{part}.grown")
            parts.append(part)
            start = rows.stop
        return parts, gate

    def _part_gate(self, pairs: str, one: Attention) -> tuple[str, str]:
        """Queries and gates of their rows together, head by head."""
        nodes, width = self._nodes, one.head_dim
        heads = nodes.add("Reshape", [pairs, nodes.integers(0, -1, 2 * width)], f"{pairs}.pairs")
        shape = nodes.integers(0, -1, one.heads * width)
        query, gate = (
            nodes.add("Reshape", [part, shape], f"{part}.joined")
            for part in nodes.split(heads, (width, width), f"{pairs}.pair")
        )
        return query, gate

    def _rotate(self, part: str, count: int, one: Attention, rotation: _Rotation) -> str:
        """Rotary embedding as a separate node."""
        dimensions = 0 if one.rope is None else one.rope.dimensions
        is_partial = dimensions != one.head_dim
        return self._nodes.add(
            "RotaryEmbedding",
            [part, rotation.positions, rotation.cosine, rotation.sine],
            f"{part}.turned",
            domain=MICROSOFT,
            interleaved=0,
            num_heads=count if is_partial else 0,
            rotary_embedding_dim=dimensions if is_partial else 0,
        )


def _without_end(inputs: list[str]) -> list[str]:
    """Without those left out after the last."""
    while not inputs[-1]:
        inputs = inputs[:-1]
    return inputs
