"""The network as an OpenVINO graph, stateful, in the form that OpenVINO's own passes recognize.

The shapes of the subgraphs (norm, rotary embedding, key-value state, grouped attention, window
mask) are those that the plugins fuse and that GenAI turns into paged attention; see docs/graph.md
before changing one.  This module loads OpenVINO: import it at use.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset15 as ops
from openvino.op.util import Variable, VariableInfo

from aipc.convert.network import Block, Matrix, Network, Vector
from aipc.convert.openvino.weights import PlaceholderWeights
from aipc.convert.rope import Rope

MASKED = -65504.0  # the least float16: finite, so that a row with nothing to attend to stays finite
_ACTIVATIONS = {"silu": ops.swish, "gelu_tanh": lambda value: ops.gelu(value, "TANH")}


@dataclass(frozen=True)
class _Inputs:
    input_ids: Any  # i64 [batch, tokens]
    attention_mask: Any  # i64 [batch, past + tokens]
    position_ids: Any  # i64 [batch, tokens]
    beam_idx: Any  # i32 [batch]


@dataclass(frozen=True)
class _Rotation:
    cosine: Any  # f32 [batch, 1, tokens, dimensions]
    sine: Any
    dimensions: int
    growth: Any  # f32 [batch, 1, tokens, 1], of queries; None where they do not grow


def build_graph(network: Network, weights: PlaceholderWeights) -> Any:
    """An ``ov.Model``: token ids in, logits f32 [batch, tokens, vocabulary] out."""
    inputs = _inputs()
    masks = {one.window: _attention_mask(inputs, one.window) for one in network.attentions}
    rotations = {rope: _rotation(inputs, rope) for rope in network.ropes}
    hidden = _embed(inputs, network, weights)
    states: list[Any] = []
    for index, block in enumerate(network.blocks):
        attention = _Attention(network, block, weights, inputs, index)
        rope, window = block.attention.rope, block.attention.window
        normed = _norm(hidden, block.attention_norm, network, weights)
        update = attention.build(normed, None if rope is None else rotations[rope], masks[window])
        update = _norm(update, block.attention_out_norm, network, weights)
        hidden = _add(hidden, update, network)
        normed = _norm(hidden, block.feed_forward_norm, network, weights)
        update = _feed_forward(normed, block, network, weights)
        update = _norm(update, block.feed_forward_out_norm, network, weights)
        hidden = _add(hidden, update, network)
        states += attention.states
    hidden = _norm(hidden, network.final_norm, network, weights)
    logits = _logits(hidden, network, weights)
    logits.output(0).get_tensor().set_names({"logits"})
    parameters = [inputs.input_ids, inputs.attention_mask, inputs.position_ids, inputs.beam_idx]
    model = ov.Model([ops.result(logits)], states, parameters, network.model_type)
    model.validate_nodes_and_infer_types()
    return model


def _int(value: int) -> Any:
    """A scalar constant."""
    return ops.constant(np.array(value, np.int64))


def _ints(*values: int) -> Any:
    """A constant vector."""
    return ops.constant(np.array(values, np.int64))


def _inputs() -> _Inputs:
    def parameter(name: str, shape: list[int], kind: Any) -> Any:
        node = ops.parameter(shape, kind, name=name)
        node.output(0).get_tensor().set_names({name})
        return node

    return _Inputs(
        input_ids=parameter("input_ids", [-1, -1], np.int64),
        attention_mask=parameter("attention_mask", [-1, -1], np.int64),
        position_ids=parameter("position_ids", [-1, -1], np.int64),
        beam_idx=parameter("beam_idx", [-1], np.int32),
    )


def _embed(inputs: _Inputs, network: Network, weights: PlaceholderWeights) -> Any:
    table = weights.matrix(network.embedding.name)
    embedded = ops.gather(table, inputs.input_ids, _int(0))
    if network.embedding_scale == 1.0:
        return embedded
    return ops.multiply(embedded, np.float32(network.embedding_scale))


def _add(hidden: Any, update: Any, network: Network) -> Any:
    if network.residual_scale != 1.0:
        update = ops.multiply(update, np.float32(network.residual_scale))
    return ops.add(hidden, update)


def _logits(hidden: Any, network: Network, weights: PlaceholderWeights) -> Any:
    logits = _product(hidden, network.head, weights)
    if network.logits_scale != 1.0:
        logits = ops.multiply(logits, np.float32(network.logits_scale))
    cap = network.logits_softcap
    return logits if cap is None else _bend(logits, cap)


def _bend(scores: Any, cap: float) -> Any:
    return ops.multiply(ops.tanh(ops.multiply(scores, np.float32(1 / cap))), np.float32(cap))


def _product(
    value: Any, matrix: Matrix, weights: PlaceholderWeights, bias: Vector | None = None
) -> Any:
    node = ops.matmul(value, weights.matrix(matrix.name), transpose_a=False, transpose_b=True)
    node.set_friendly_name(f"{matrix.name}.product")
    return node if bias is None else ops.add(node, weights.vector(bias.name))


def _norm(value: Any, weight: Vector | None, network: Network, weights: PlaceholderWeights) -> Any:
    """Root mean square norm, in the form that OpenVINO's RMSFusion recognizes."""
    if weight is None:
        return value
    square = ops.power(value, np.float32(2))
    mean = ops.reduce_mean(square, _ints(-1), keep_dims=True)
    root = ops.sqrt(ops.add(mean, np.float32(network.norm_epsilon)))
    scaled = ops.multiply(value, ops.divide(np.float32(1), root))
    return ops.multiply(scaled, weights.vector(weight.name))


def _feed_forward(value: Any, block: Block, network: Network, weights: PlaceholderWeights) -> Any:
    both = _product(value, block.gate_up, weights, block.gate_up_bias)
    halves = ops.variadic_split(both, _int(2), _ints(network.intermediate, network.intermediate))
    gate = _ACTIVATIONS[network.activation](halves.output(0))
    gated = ops.multiply(gate, halves.output(1))
    return _product(gated, block.down, weights, block.down_bias)


def _rotation(inputs: _Inputs, rope: Rope) -> _Rotation:
    positions = ops.convert(ops.unsqueeze(inputs.position_ids, _int(-1)), "f32")
    angles = ops.multiply(positions, _frequencies(inputs, rope))
    angles = ops.unsqueeze(ops.concat([angles, angles], axis=-1), _int(1))
    magnitude = np.float32(rope.magnitude)
    cosine, sine = ops.cos(angles), ops.sin(angles)
    if rope.magnitude != 1.0:
        cosine, sine = ops.multiply(cosine, magnitude), ops.multiply(sine, magnitude)
    return _Rotation(cosine, sine, rope.dimensions, _growth(positions, rope))


def _growth(positions: Any, rope: Rope) -> Any:
    if not rope.growth:
        return None
    steps = ops.floor(ops.divide(positions, np.float32(rope.growth_step)))
    logarithm = ops.log(ops.add(steps, np.float32(1)))
    factors = ops.add(ops.multiply(logarithm, np.float32(rope.growth)), np.float32(1))
    return ops.unsqueeze(factors, _int(1))


def _frequencies(inputs: _Inputs, rope: Rope) -> Any:
    """The inverse frequencies: the long ones once a position is past the switch."""
    short = ops.constant(np.array(rope.frequencies, np.float32).reshape(1, 1, -1))
    if rope.long_frequencies is None or rope.switch is None:
        return short
    long = ops.constant(np.array(rope.long_frequencies, np.float32).reshape(1, 1, -1))
    last = ops.reduce_max(inputs.position_ids, _ints(0, 1), keep_dims=False)
    return ops.select(ops.greater_equal(last, _int(rope.switch)), long, short)


def _rotate(value: Any, rotation: _Rotation | None, head_dim: int) -> Any:
    """Rotate the first ``dimensions`` of each head; the rest stays as it is."""
    if rotation is None:
        return value
    if rotation.dimensions == head_dim:
        return _rotate_all(value, rotation)
    rest = head_dim - rotation.dimensions
    parts = ops.variadic_split(value, _int(3), _ints(rotation.dimensions, rest))
    return ops.concat([_rotate_all(parts.output(0), rotation), parts.output(1)], axis=-1)


def _rotate_all(value: Any, rotation: _Rotation) -> Any:
    half = rotation.dimensions // 2
    halves = ops.variadic_split(value, _int(3), _ints(half, half))
    negated = ops.multiply(halves.output(1), np.float32(-1))
    turned = ops.concat([negated, halves.output(0)], axis=-1)
    return ops.add(ops.multiply(value, rotation.cosine), ops.multiply(turned, rotation.sine))


def _attention_mask(inputs: _Inputs, window: int | None) -> Any:
    """f32 [batch, 1, tokens, past + tokens]: 0 where a token attends, MASKED elsewhere.

    With a window the nodes have the order in which OpenVINO's paged attention recognizes a sliding
    window (the one that transformers exports for gpt-oss).
    """
    total = ops.gather(ops.shape_of(inputs.attention_mask), _int(1), _int(0))
    tokens = ops.gather(ops.shape_of(inputs.input_ids), _int(1), _int(0))
    keys = ops.range(_int(0), total, _int(1), "i64")
    queries = ops.range(ops.subtract(total, tokens), total, _int(1), "i64")
    keys = ops.unsqueeze(keys, _ints(0, 1, 2))
    queries = ops.unsqueeze(queries, _ints(0, 1, 3))
    causal = ops.less_equal(keys, queries)
    present = ops.not_equal(ops.unsqueeze(inputs.attention_mask, _ints(1, 2)), _int(0))
    if window is None:
        return ops.select(ops.logical_and(causal, present), np.float32(0), np.float32(MASKED))
    return _window_mask(inputs, causal, present, window, total)


def _window_mask(inputs: _Inputs, causal: Any, present: Any, window: int, total: Any) -> Any:
    """Distances are counted in positions: the NPU pipeline pads the cache between tokens."""
    always = ops.constant(np.array(True))
    keys = ops.cum_sum(inputs.attention_mask, _int(1), exclusive=True)
    queries = ops.unsqueeze(inputs.position_ids, _ints(1, 3))
    recent = ops.greater(ops.unsqueeze(keys, _ints(1, 2)), ops.add(queries, _int(-window)))
    allowed = ops.bitwise_and(causal, recent)
    allowed = ops.bitwise_and(allowed, present)
    allowed = ops.bitwise_and(always, allowed)
    allowed = ops.bitwise_and(allowed, always)
    allowed = ops.broadcast(allowed, ops.shape_of(allowed))
    mask = ops.select(allowed, np.float32(0), np.float32(MASKED))
    return ops.slice(mask, _ints(0), ops.unsqueeze(total, _int(0)), _ints(1), _ints(3))


@dataclass
class _Attention:
    """One block's attention; ``states`` are the assignments to its key-value cache."""

    network: Network
    block: Block
    weights: PlaceholderWeights
    inputs: _Inputs
    index: int
    states: list[Any] = field(default_factory=list)

    def build(self, value: Any, rotation: _Rotation | None, mask: Any) -> Any:
        one, block = self.block.attention, self.block
        query, key, new_value = self._split(value)
        query, key = (_rotate(part, rotation, one.head_dim) for part in (query, key))
        if rotation is not None and rotation.growth is not None:
            query = ops.multiply(query, rotation.growth)
        key = self._repeat(self._append_to_state(key, "key"))
        new_value = self._repeat(self._append_to_state(new_value, "value"))
        attended = self._attend(query, key, new_value, mask)
        attended = ops.transpose(attended, _ints(0, 2, 1, 3))
        attended = ops.reshape(attended, _ints(0, 0, -1), special_zero=True)
        return _product(attended, block.attention_out, self.weights, block.attention_out_bias)

    def _attend(self, query: Any, key: Any, value: Any, mask: Any) -> Any:
        """f32 [batch, heads, tokens, head_dim]; no fused kernel bends scores."""
        one = self.block.attention
        scale = np.float32(one.scale)
        if one.softcap is not None:
            scores = ops.multiply(
                ops.matmul(query, key, transpose_a=False, transpose_b=True), scale
            )
            weights = ops.softmax(ops.add(_bend(scores, one.softcap), mask), -1)
            return ops.matmul(weights, value, transpose_a=False, transpose_b=False)
        if one.scale == one.head_dim**-0.5:
            return ops.scaled_dot_product_attention(query, key, value, mask)
        return ops.scaled_dot_product_attention(query, key, value, mask, scale)

    def _split(self, value: Any) -> tuple[Any, Any, Any]:
        """Query, key and value, normed, each f32 [batch, heads, tokens, head_dim]."""
        one, block = self.block.attention, self.block
        joint = _product(value, block.query_key_value, self.weights, block.bias)
        counts = (one.heads, one.kv_heads, one.kv_heads)
        sizes = _ints(*(count * one.head_dim for count in counts))
        parts = ops.variadic_split(joint, _int(2), sizes)
        norms = (block.query_norm, block.key_norm, None)
        query, key, new_value = (
            self._heads(parts.output(index), count, norm)
            for index, (count, norm) in enumerate(zip(counts, norms, strict=True))
        )
        return query, key, new_value

    def _heads(self, part: Any, count: int, weight: Vector | None) -> Any:
        """Normed over as much as the weight is long."""
        head_dim = self.block.attention.head_dim
        of_all = weight is not None and weight.length != head_dim
        if of_all:
            part = _norm(part, weight, self.network, self.weights)
        heads = ops.reshape(part, _ints(0, 0, count, head_dim), special_zero=True)
        heads = ops.transpose(heads, _ints(0, 2, 1, 3))
        return heads if of_all else _norm(heads, weight, self.network, self.weights)

    def _append_to_state(self, new: Any, kind: str) -> Any:
        """Append to the state; f32 [batch, kv heads, past + tokens, head_dim]."""
        one = self.block.attention
        info = VariableInfo()
        info.data_shape = ov.PartialShape([-1, one.kv_heads, -1, one.head_dim])
        info.data_type = ov.Type.f32
        info.variable_id = f"past_key_values.{self.index}.{kind}present.{self.index}.{kind}"
        variable = Variable(info)
        batch = ops.gather(ops.shape_of(self.inputs.input_ids), _ints(0), _int(0))
        shape = ops.concat([batch, _ints(one.kv_heads), _ints(0), _ints(one.head_dim)], 0)
        empty = ops.broadcast(np.float32(0), shape)
        past = ops.read_value(empty, variable)
        past = ops.gather(past, self.inputs.beam_idx, _int(0))
        present = ops.concat([past, new], axis=2)
        self.states.append(ops.assign(present, variable))
        return present

    def _repeat(self, state: Any) -> Any:
        """A key or value head for every query head."""
        one = self.block.attention
        if one.heads == one.kv_heads:
            return state
        times = one.heads // one.kv_heads
        spread = ops.unsqueeze(state, _int(2))
        wide = ops.concat(
            [
                ops.gather(ops.shape_of(state), _ints(0, 1), _int(0)),
                _ints(times),
                ops.gather(ops.shape_of(state), _ints(2, 3), _int(0)),
            ],
            axis=0,
        )
        spread = ops.broadcast(spread, wide, broadcast_spec="BIDIRECTIONAL")
        return ops.reshape(spread, _ints(0, one.heads, -1, one.head_dim), special_zero=True)
