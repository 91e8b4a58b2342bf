"""Attention as an OpenVINO graph: masks, rotary embedding, the key-value state.

This module loads OpenVINO: import it at use.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from openvino import opset15 as ops
from openvino.utils.node_factory import NodeFactory
from openvino.utils.types import as_nodes

from aipc.convert.network import Attention
from aipc.convert.openvino.operators import (
    GraphInputs,
    bend,
    integer,
    integers,
    norm,
    product,
    state,
    unit_norm,
)
from aipc.convert.openvino.weights import PlaceholderWeights
from aipc.convert.parts import Vector
from aipc.convert.rope import Rope

MASKED = -65504.0  # the least float16: finite, so that a row with nothing to attend to stays finite


@dataclass(frozen=True)
class Rotation:
    cosine: Any  # f32 [batch, 1, tokens, dimensions]
    sine: Any
    dimensions: int
    growth: Any  # f32 [batch, 1, tokens, 1], of queries; None where they do not grow


def rotation(inputs: GraphInputs, rope: Rope) -> Rotation:
    positions = ops.convert(ops.unsqueeze(inputs.position_ids, integer(-1)), "f32")
    angles = ops.multiply(positions, _frequencies(inputs, rope))
    angles = ops.unsqueeze(ops.concat([angles, angles], axis=-1), integer(1))
    magnitude = _by_length(inputs, rope, np.float32(rope.magnitude), rope.long_magnitude)
    cosine, sine = ops.cos(angles), ops.sin(angles)
    if rope.magnitude != 1.0 or rope.long_magnitude is not None:
        cosine, sine = ops.multiply(cosine, magnitude), ops.multiply(sine, magnitude)
    return Rotation(cosine, sine, rope.dimensions, _growth(positions, rope))


def _growth(positions: Any, rope: Rope) -> Any:
    if not rope.growth:
        return None
    steps = ops.floor(ops.divide(positions, np.float32(rope.growth_step)))
    logarithm = ops.log(ops.add(steps, np.float32(1)))
    factors = ops.add(ops.multiply(logarithm, np.float32(rope.growth)), np.float32(1))
    return ops.unsqueeze(factors, integer(1))


def _frequencies(inputs: GraphInputs, rope: Rope) -> Any:
    """The inverse frequencies."""
    short = np.array(rope.frequencies, np.float32).reshape(1, 1, -1)
    if rope.long_frequencies is None:
        return ops.constant(short)
    long = np.array(rope.long_frequencies, np.float32).reshape(1, 1, -1)
    return _by_length(inputs, rope, short, long)


def _by_length(inputs: GraphInputs, rope: Rope, short: Any, long: Any) -> Any:
    """The long one, if there is one, once a position is past the switch."""
    if long is None or rope.switch is None:
        return ops.constant(short)
    last = ops.reduce_max(inputs.position_ids, integers(0, 1), keep_dims=False)
    is_long = ops.greater_equal(last, integer(rope.switch))
    return ops.select(is_long, ops.constant(np.float32(long)), ops.constant(short))


def rotate(value: Any, rotation: Rotation | None, head_dim: int) -> Any:
    """Rotate the first ``dimensions`` of each head; the rest stays as it is."""
    if rotation is None:
        return value
    if rotation.dimensions == head_dim:
        return _rotate_all(value, rotation)
    rest = head_dim - rotation.dimensions
    parts = ops.variadic_split(value, integer(3), integers(rotation.dimensions, rest))
    return ops.concat([_rotate_all(parts.output(0), rotation), parts.output(1)], axis=-1)


def _rotate_all(value: Any, rotation: Rotation) -> Any:
    half = rotation.dimensions // 2
    halves = ops.variadic_split(value, integer(3), integers(half, half))
    negated = ops.multiply(halves.output(1), np.float32(-1))
    turned = ops.concat([negated, halves.output(0)], axis=-1)
    return ops.add(ops.multiply(value, rotation.cosine), ops.multiply(turned, rotation.sine))


def attention_mask(inputs: GraphInputs, window: int | None) -> Any:
    """f32 [batch, 1, tokens, past + tokens]: 0 where a token attends, MASKED elsewhere.

    With a window the nodes have the order in which OpenVINO's paged attention recognizes a sliding
    window (the one that transformers exports for gpt-oss).
    """
    total = ops.gather(ops.shape_of(inputs.attention_mask), integer(1), integer(0))
    tokens = ops.gather(ops.shape_of(inputs.input_ids), integer(1), integer(0))
    keys = ops.range(integer(0), total, integer(1), "i64")
    queries = ops.range(ops.subtract(total, tokens), total, integer(1), "i64")
    keys = ops.unsqueeze(keys, integers(0, 1, 2))
    queries = ops.unsqueeze(queries, integers(0, 1, 3))
    causal = ops.less_equal(keys, queries)
    present = ops.not_equal(ops.unsqueeze(inputs.attention_mask, integers(1, 2)), integer(0))
    if window is None:
        return ops.select(ops.logical_and(causal, present), np.float32(0), np.float32(MASKED))
    return _window_mask(inputs, causal, present, window, total)


def _window_mask(inputs: GraphInputs, causal: Any, present: Any, window: int, total: Any) -> Any:
    """Distances are counted in positions: the NPU pipeline pads the cache between tokens."""
    always = ops.constant(np.array(True))
    keys = ops.cum_sum(inputs.attention_mask, integer(1), exclusive=True)
    queries = ops.unsqueeze(inputs.position_ids, integers(1, 3))
    recent = ops.greater(ops.unsqueeze(keys, integers(1, 2)), ops.add(queries, integer(-window)))
    allowed = ops.bitwise_and(causal, recent)
    allowed = ops.bitwise_and(allowed, present)
    allowed = ops.bitwise_and(always, allowed)
    allowed = ops.bitwise_and(allowed, always)
    allowed = ops.broadcast(allowed, ops.shape_of(allowed))
    mask = ops.select(allowed, np.float32(0), np.float32(MASKED))
    return ops.slice(mask, integers(0), ops.unsqueeze(total, integer(0)), integers(1), integers(3))


def two_sided_mask(inputs: GraphInputs, window: int | None) -> Any:
    """f32 [batch, 1, 1 or tokens, tokens]: 0 where a token is attended to, MASKED elsewhere.

    A token attends to those fewer than ``window`` positions from it, on either side; None: to all.
    """
    allowed = ops.not_equal(inputs.attention_mask, integer(0))
    allowed = ops.unsqueeze(allowed, integers(1, 2))
    if window is not None:
        at = inputs.position_ids
        apart = ops.subtract(ops.unsqueeze(at, integer(2)), ops.unsqueeze(at, integer(1)))
        near = ops.less(ops.abs(apart), integer(window))
        allowed = ops.logical_and(allowed, ops.unsqueeze(near, integer(1)))
    return ops.select(allowed, np.float32(0), np.float32(MASKED))


KeysValues: TypeAlias = tuple[Any, Any]
"""Of a block, past and new, a head for every query head: f32 [batch, heads, tokens, head_dim]."""


@dataclass
class OpenVINOAttention:
    """One block's attention; ``states`` are the assignments to its key-value cache.

    ``kept`` has the keys and values of the blocks before, by index.
    """

    mixer: Attention
    epsilon: float
    weights: PlaceholderWeights
    inputs: GraphInputs
    index: int
    kept: dict[int, KeysValues]
    states: list[Any] = field(default_factory=list)

    def build(self, value: Any, rotation: Rotation | None, mask: Any) -> Any:
        one = self.mixer
        (query, *new), gate = self._split(value)
        query = rotate(query, rotation, one.head_dim)
        if rotation is not None and rotation.growth is not None:
            query = ops.multiply(query, rotation.growth)
        if one.shares is None:
            key = self._append_to_state(rotate(new[0], rotation, one.head_dim), "key")
            new_value = self._append_to_state(new[1], "value")
            self.kept[self.index] = self._repeat(key), self._repeat(new_value)
        key, new_value = self.kept[self.index if one.shares is None else one.shares]
        attended = self._attend(query, key, new_value, mask)
        attended = ops.transpose(attended, integers(0, 2, 1, 3))
        attended = ops.reshape(attended, integers(0, 0, -1), special_zero=True)
        if gate is not None:
            attended = ops.multiply(attended, ops.sigmoid(gate))
        return product(attended, one.out, self.weights, one.out_bias)

    def _attend(self, query: Any, key: Any, value: Any, mask: Any) -> Any:
        """f32 [batch, heads, tokens, head_dim]; no fused kernel bends scores."""
        one = self.mixer
        scale = np.float32(one.scale)
        if one.softcap is not None:
            scores = ops.multiply(
                ops.matmul(query, key, transpose_a=False, transpose_b=True), scale
            )
            weights = ops.softmax(ops.add(bend(scores, one.softcap), mask), -1)
            return ops.matmul(weights, value, transpose_a=False, transpose_b=False)
        if one.sinks is not None:
            shape = integers(1, -1, 1, 1)
            sinks = self.weights.vector(one.sinks.name)
            sinks = ops.reshape(sinks, shape, special_zero=False).output(0)
            inputs = [query, key, value, mask, ops.constant(scale), sinks]
            # the Python function of this operator knows no sinks
            make = NodeFactory("opset13").create
            return make("ScaledDotProductAttention", as_nodes(*inputs), {"causal": False})
        if one.scale == one.head_dim**-0.5:
            return ops.scaled_dot_product_attention(query, key, value, mask)
        return ops.scaled_dot_product_attention(query, key, value, mask, scale)

    def _split(self, value: Any) -> tuple[list[Any], Any]:
        """Query, and key and value if it has its own, each f32 [batch, heads, tokens, head_dim].

        And the gate [batch, tokens, heads * head_dim] or None.
        """
        one = self.mixer
        joint = product(value, one.query_key_value, self.weights, one.bias)
        if one.shares is not None:
            return [self._heads(joint, one.heads, one.query_norm)], None
        counts = (one.heads, one.kv_heads, one.kv_heads)
        width = one.kv_heads * one.head_dim
        sizes = integers(one.query_rows, width, width)
        query, *others = ops.variadic_split(joint, integer(2), sizes).outputs()
        query, gate = self._part_gate(query)
        norms = (one.query_norm, one.key_norm, None)
        heads = [
            self._heads(part, count, weight)
            for part, count, weight in zip((query, *others), counts, norms, strict=True)
        ]
        if one.norms_values:
            heads[2] = unit_norm(heads[2], self.epsilon)
        return heads, gate

    def _part_gate(self, query: Any) -> tuple[Any, Any]:
        """Queries and gates, each [batch, tokens, heads * head_dim], of their rows together."""
        one = self.mixer
        if not one.gated:
            return query, None
        shape = integers(0, 0, one.heads, 2 * one.head_dim)
        pairs = ops.reshape(query, shape, special_zero=True)
        query, gate = (
            ops.reshape(part, integers(0, 0, -1), special_zero=True)
            for part in ops.split(pairs, integer(3), 2).outputs()
        )
        return query, gate

    def _heads(self, part: Any, count: int, weight: Vector | None) -> Any:
        """Normed over as much as the weight is long."""
        head_dim = self.mixer.head_dim
        of_all = weight is not None and weight.length != head_dim
        if of_all:
            part = norm(part, weight, self.epsilon, self.weights)
        heads = ops.reshape(part, integers(0, 0, count, head_dim), special_zero=True)
        heads = ops.transpose(heads, integers(0, 2, 1, 3))
        return heads if of_all else norm(heads, weight, self.epsilon, self.weights)

    def _append_to_state(self, new: Any, kind: str) -> Any:
        """Append to the state; f32 [batch, kv heads, past + tokens, head_dim]."""
        one = self.mixer
        if self.inputs.beam_idx is None:
            return new
        name = f"past_key_values.{self.index}.{kind}present.{self.index}.{kind}"
        past, variable = state(name, (one.kv_heads, -1, one.head_dim), self.inputs)
        past = ops.gather(past, self.inputs.beam_idx, integer(0))
        present = ops.concat([past, new], axis=2)
        self.states.append(ops.assign(present, variable))
        return present

    def _repeat(self, kept: Any) -> Any:
        """A key or value head for every query head."""
        one = self.mixer
        if one.heads == one.kv_heads:
            return kept
        times = one.heads // one.kv_heads
        spread = ops.unsqueeze(kept, integer(2))
        wide = ops.concat(
            [
                ops.gather(ops.shape_of(kept), integers(0, 1), integer(0)),
                integers(times),
                ops.gather(ops.shape_of(kept), integers(2, 3), integer(0)),
            ],
            axis=0,
        )
        spread = ops.broadcast(spread, wide, broadcast_spec="BIDIRECTIONAL")
        return ops.reshape(spread, integers(0, one.heads, -1, one.head_dim), special_zero=True)
