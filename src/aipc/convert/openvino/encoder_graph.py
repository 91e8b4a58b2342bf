"""A network that reads whole texts as an OpenVINO graph: hidden states or scores out.

This module loads OpenVINO: import it at use.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import openvino as ov
from openvino import opset15 as ops

from aipc.convert.encoders.network import EncoderBlock, EncoderNetwork, LayerNorm, ScoreHead
from aipc.convert.network import Network
from aipc.convert.openvino.attention import Rotation, rotate, rotation, two_sided_mask
from aipc.convert.openvino.graph import hidden_states
from aipc.convert.openvino.operators import (
    GraphInputs,
    counted_positions,
    integer,
    integers,
    parameter,
    product,
)
from aipc.convert.openvino.weights import PlaceholderWeights
from aipc.convert.rope import Rope

_ACTIVATIONS = {
    "gelu": lambda value: ops.gelu(value, "ERF"),
    "gelu_tanh": lambda value: ops.gelu(value, "TANH"),
    "relu": ops.relu,
    "silu": ops.swish,
    "tanh": ops.tanh,
}


def build_encoder(network: EncoderNetwork, weights: PlaceholderWeights) -> Any:
    """An ``ov.Model``: ``input_ids``, ``attention_mask`` i64 [batch, tokens] in.

    And ``token_type_ids`` of that shape where the network tells a pair's texts apart.  Out comes
    ``last_hidden_state`` f32 [batch, tokens, hidden] or, with a head, ``logits`` f32 [batch, 1].
    """
    ids, mask = parameter("input_ids", [-1, -1]), parameter("attention_mask", [-1, -1])
    inputs = GraphInputs(ids, mask, counted_positions(mask), None)
    types = parameter("token_type_ids", [-1, -1]) if network.tells_types else None
    graph = _EncoderGraph(network, weights, inputs)
    out = graph.hidden_states(types)
    if network.head is not None:
        out = graph.score(out, network.head)
    parameters = [ids, mask] if types is None else [ids, mask, types]
    return _model(out, parameters, network.model_type, scores=network.head is not None)


def build_headless(
    network: Network, weights: PlaceholderWeights, score: npt.NDArray[np.float32] | None
) -> Any:
    """The same of a decoder: ``score`` [1, hidden] makes its score of the last token's state."""
    ids, mask = parameter("input_ids", [-1, -1]), parameter("attention_mask", [-1, -1])
    inputs = GraphInputs(ids, mask, counted_positions(mask), None)
    out, _ = hidden_states(network, weights, inputs)
    if score is not None:
        count = ops.gather(ops.shape_of(ids), integer(1), integer(0))
        places = ops.multiply(ops.range(integer(0), count, integer(1), "i64"), mask)
        last = ops.reduce_max(places, integers(1), keep_dims=False)
        last_states = ops.gather(out, last, integer(1), 1)
        out = ops.matmul(last_states, ops.constant(score), transpose_a=False, transpose_b=True)
    return _model(out, [ids, mask], network.model_type, scores=score is not None)


def _model(out: Any, parameters: list[Any], name: str, *, scores: bool) -> Any:
    out.output(0).get_tensor().set_names({"logits" if scores else "last_hidden_state"})
    model = ov.Model([ops.result(out)], parameters, name)
    model.validate_nodes_and_infer_types()
    return model


class _EncoderGraph:
    def __init__(
        self, network: EncoderNetwork, weights: PlaceholderWeights, inputs: GraphInputs
    ) -> None:
        self._network, self._weights, self._inputs = network, weights, inputs
        self._masks: dict[int | None, Any] = {}
        self._rotations: dict[Rope, Rotation] = {}

    def hidden_states(self, types: Any) -> Any:
        network = self._network
        hidden = self._norm(self._embedded(types), network.embedding_norm)
        for block in network.blocks:
            update = self._attention(self._norm(hidden, block.attention_norm), block)
            hidden = self._norm(ops.add(hidden, update), block.attention_out_norm)
            update = self._feed_forward(self._norm(hidden, block.feed_forward_norm), block)
            hidden = self._norm(ops.add(hidden, update), block.feed_forward_out_norm)
        return self._norm(hidden, network.final_norm)

    def score(self, hidden: Any, head: ScoreHead) -> Any:
        """f32 [batch, 1]."""
        if head.pooling == "cls":
            pooled = ops.gather(hidden, integer(0), integer(1))
        else:
            seen = ops.unsqueeze(ops.convert(self._inputs.attention_mask, "f32"), integer(-1))
            total = ops.reduce_sum(ops.multiply(hidden, seen), integers(1), keep_dims=False)
            pooled = ops.divide(total, ops.reduce_sum(seen, integers(1), keep_dims=False))
        if head.dense is not None:
            pooled = product(pooled, head.dense, self._weights, head.dense_bias)
            pooled = self._norm(_ACTIVATIONS[head.activation](pooled), head.norm)
        return product(pooled, head.out, self._weights, head.out_bias)

    def _embedded(self, types: Any) -> Any:
        network, weights, inputs = self._network, self._weights, self._inputs

        def rows(table: Any, indices: Any) -> Any:
            return ops.gather(table, indices, integer(0))

        embedded = rows(weights.matrix(network.embedding.name), inputs.input_ids)
        if network.types is not None:
            of_pair = integer(0) if types is None else types
            embedded = ops.add(embedded, rows(weights.vector(network.types.name), of_pair))
        if network.positions is not None:
            at = ops.add(inputs.position_ids, integer(network.first_position))
            embedded = ops.add(embedded, rows(weights.matrix(network.positions.name), at))
        return embedded

    def _norm(self, value: Any, norm: LayerNorm | None) -> Any:
        """In the form that OpenVINO's plugins compute as one operation."""
        if norm is None:
            return value
        epsilon = self._network.norm_epsilon
        unit = ops.mvn(value, integers(-1), True, epsilon, "inside_sqrt")
        scaled = ops.multiply(unit, self._weights.vector(norm.weight.name))
        return (
            scaled if norm.bias is None else ops.add(scaled, self._weights.vector(norm.bias.name))
        )

    def _attention(self, value: Any, block: EncoderBlock) -> Any:
        network = self._network
        joint = product(value, block.query_key_value, self._weights, block.bias)
        query, key, values = map(self._heads, ops.split(joint, integer(2), 3).outputs())
        if block.rope is not None:
            turned = self._rotation(block.rope)
            query = rotate(query, turned, network.head_dim)
            key = rotate(key, turned, network.head_dim)
        attended = ops.scaled_dot_product_attention(query, key, values, self._mask(block.window))
        attended = ops.transpose(attended, integers(0, 2, 1, 3))
        attended = ops.reshape(attended, integers(0, 0, network.hidden), special_zero=True)
        return product(attended, block.out, self._weights, block.out_bias)

    def _heads(self, part: Any) -> Any:
        """f32 [batch, heads, tokens, head_dim]."""
        shape = integers(0, 0, self._network.heads, self._network.head_dim)
        return ops.transpose(ops.reshape(part, shape, special_zero=True), integers(0, 2, 1, 3))

    def _feed_forward(self, value: Any, block: EncoderBlock) -> Any:
        activate = _ACTIVATIONS[self._network.activation]
        wide = product(value, block.up, self._weights, block.up_bias)
        if self._network.gated:
            width = block.down.columns
            halves = ops.variadic_split(wide, integer(2), integers(width, width))
            wide = ops.multiply(activate(halves.output(0)), halves.output(1))
        else:
            wide = activate(wide)
        return product(wide, block.down, self._weights, block.down_bias)

    def _rotation(self, rope: Rope) -> Rotation:
        if rope not in self._rotations:
            self._rotations[rope] = rotation(self._inputs, rope)
        return self._rotations[rope]

    def _mask(self, window: int | None) -> Any:
        if window not in self._masks:
            self._masks[window] = two_sided_mask(self._inputs, window)
        return self._masks[window]
