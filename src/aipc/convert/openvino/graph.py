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


def build_graph(network: Network, weights: PlaceholderWeights) -> Any:
    """An ``ov.Model``: token ids in, logits f32 [batch, tokens, vocabulary] out."""
    inputs = _inputs()
    mask = _attention_mask(inputs, network.window)
    rotation = _rotation(inputs, network)
    hidden = _embed(inputs, network, weights)
    states: list[Any] = []
    for index, block in enumerate(network.blocks):
        attention = _Attention(network, block, weights, inputs, index)
        normed = _norm(hidden, block.attention_norm, network, weights)
        hidden = ops.add(hidden, attention.build(normed, rotation, mask))
        normed = _norm(hidden, block.feed_forward_norm, network, weights)
        hidden = ops.add(hidden, _feed_forward(normed, block, network, weights))
        states += attention.states
    hidden = _norm(hidden, network.final_norm, network, weights)
    logits = _product(hidden, network.head, weights)
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


def _product(value: Any, matrix: Matrix, weights: PlaceholderWeights) -> Any:
    node = ops.matmul(value, weights.matrix(matrix.name), transpose_a=False, transpose_b=True)
    node.set_friendly_name(f"{matrix.name}.product")
    return node


def _norm(value: Any, weight: Vector, network: Network, weights: PlaceholderWeights) -> Any:
    """Root mean square norm, in the form that OpenVINO's RMSFusion recognizes."""
    square = ops.power(value, np.float32(2))
    mean = ops.reduce_mean(square, _ints(-1), keep_dims=True)
    root = ops.sqrt(ops.add(mean, np.float32(network.norm_epsilon)))
    scaled = ops.multiply(value, ops.divide(np.float32(1), root))
    return ops.multiply(scaled, weights.vector(weight.name))


def _feed_forward(value: Any, block: Block, network: Network, weights: PlaceholderWeights) -> Any:
    both = _product(value, block.gate_up, weights)
    halves = ops.variadic_split(both, _int(2), _ints(network.intermediate, network.intermediate))
    gate = _ACTIVATIONS[network.activation](halves.output(0))
    return _product(ops.multiply(gate, halves.output(1)), block.down, weights)


def _rotation(inputs: _Inputs, network: Network) -> _Rotation:
    rope = network.rope
    positions = ops.convert(ops.unsqueeze(inputs.position_ids, _int(-1)), "f32")
    angles = ops.multiply(positions, _frequencies(inputs, network))
    angles = ops.unsqueeze(ops.concat([angles, angles], axis=-1), _int(1))
    magnitude = np.float32(rope.magnitude)
    cosine, sine = ops.cos(angles), ops.sin(angles)
    if rope.magnitude != 1.0:
        cosine, sine = ops.multiply(cosine, magnitude), ops.multiply(sine, magnitude)
    return _Rotation(cosine, sine, rope.dimensions)


def _frequencies(inputs: _Inputs, network: Network) -> Any:
    """The inverse frequencies: the long ones once a position is past the switch."""
    rope = network.rope
    short = ops.constant(np.array(rope.frequencies, np.float32).reshape(1, 1, -1))
    if rope.long_frequencies is None or rope.switch is None:
        return short
    long = ops.constant(np.array(rope.long_frequencies, np.float32).reshape(1, 1, -1))
    last = ops.reduce_max(inputs.position_ids, _ints(0, 1), keep_dims=False)
    return ops.select(ops.greater_equal(last, _int(rope.switch)), long, short)


def _rotate(value: Any, rotation: _Rotation, head_dim: int) -> Any:
    """Rotate the first ``dimensions`` of each head; the rest stays as it is."""
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

    def build(self, value: Any, rotation: _Rotation, mask: Any) -> Any:
        network = self.network
        query, key, new_value = self._split(value)
        query = _rotate(self._norm_heads(query, self.block.query_norm), rotation, network.head_dim)
        key = _rotate(self._norm_heads(key, self.block.key_norm), rotation, network.head_dim)
        key = self._append_to_state(key, "key")
        new_value = self._append_to_state(new_value, "value")
        attended = ops.scaled_dot_product_attention(
            query, self._repeat(key), self._repeat(new_value), mask
        )
        attended = ops.transpose(attended, _ints(0, 2, 1, 3))
        attended = ops.reshape(attended, _ints(0, 0, -1), special_zero=True)
        return _product(attended, self.block.attention_out, self.weights)

    def _split(self, value: Any) -> tuple[Any, Any, Any]:
        """Query, key and value, each f32 [batch, heads, tokens, head_dim]."""
        network = self.network
        counts = (network.heads, network.kv_heads, network.kv_heads)
        joint = _product(value, self.block.query_key_value, self.weights)
        if self.block.bias is not None:
            joint = ops.add(joint, self.weights.vector(self.block.bias.name))
        sizes = _ints(*(count * network.head_dim for count in counts))
        parts = ops.variadic_split(joint, _int(2), sizes)
        query, key, new_value = (
            ops.transpose(
                ops.reshape(
                    parts.output(i), _ints(0, 0, count, network.head_dim), special_zero=True
                ),
                _ints(0, 2, 1, 3),
            )
            for i, count in enumerate(counts)
        )
        return query, key, new_value

    def _norm_heads(self, heads: Any, weight: Vector | None) -> Any:
        return heads if weight is None else _norm(heads, weight, self.network, self.weights)

    def _append_to_state(self, new: Any, kind: str) -> Any:
        """Append to the state; f32 [batch, kv heads, past + tokens, head_dim]."""
        network = self.network
        info = VariableInfo()
        info.data_shape = ov.PartialShape([-1, network.kv_heads, -1, network.head_dim])
        info.data_type = ov.Type.f32
        info.variable_id = f"past_key_values.{self.index}.{kind}present.{self.index}.{kind}"
        variable = Variable(info)
        batch = ops.gather(ops.shape_of(self.inputs.input_ids), _ints(0), _int(0))
        shape = ops.concat([batch, _ints(network.kv_heads), _ints(0), _ints(network.head_dim)], 0)
        empty = ops.broadcast(np.float32(0), shape)
        past = ops.read_value(empty, variable)
        past = ops.gather(past, self.inputs.beam_idx, _int(0))
        present = ops.concat([past, new], axis=2)
        self.states.append(ops.assign(present, variable))
        return present

    def _repeat(self, state: Any) -> Any:
        """A key or value head for every query head."""
        network = self.network
        if network.heads == network.kv_heads:
            return state
        times = network.heads // network.kv_heads
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
        return ops.reshape(spread, _ints(0, network.heads, -1, network.head_dim), special_zero=True)
