"""The network as an OpenVINO graph, stateful, in the form that OpenVINO's own passes recognize.

The shapes of the subgraphs (norm, rotary embedding, key-value state, grouped attention, window
mask) are those that the plugins fuse and that GenAI turns into paged attention; see docs/graph.md
before changing one.  This module loads OpenVINO: import it at use.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino as ov
from openvino import opset15 as ops

from aipc.convert.feed_forward import Experts, FeedForward
from aipc.convert.network import Attention, Mixer, Network, ShortConvolution
from aipc.convert.openvino.attention import (
    KeysValues,
    OpenVINOAttention,
    attention_mask,
    rotation,
    two_sided_mask,
)
from aipc.convert.openvino.convolution import OpenVINOConvolution
from aipc.convert.openvino.delta import OpenVINODelta
from aipc.convert.openvino.experts import mixture
from aipc.convert.openvino.operators import (
    ACTIVATIONS,
    GraphInputs,
    bend,
    integer,
    integers,
    norm,
    parameter,
    product,
)
from aipc.convert.openvino.weights import PlaceholderWeights
from aipc.convert.parts import Vector


def build_graph(network: Network, weights: PlaceholderWeights) -> Any:
    """An ``ov.Model``: token ids in, logits f32 [batch, tokens, vocabulary] out."""
    inputs = _inputs()
    hidden, states = hidden_states(network, weights, inputs)
    logits = _logits(hidden, network, weights)
    logits.output(0).get_tensor().set_names({"logits"})
    parameters = [inputs.input_ids, inputs.attention_mask, inputs.position_ids, inputs.beam_idx]
    model = ov.Model([ops.result(logits)], states, parameters, network.model_type)
    model.validate_nodes_and_infer_types()
    return model


def hidden_states(
    network: Network, weights: PlaceholderWeights, inputs: GraphInputs
) -> tuple[Any, list[Any]]:
    """f32 [batch, tokens, hidden] after the last norm, and the assignments to what blocks keep."""
    mixers = _Mixers(network, weights, inputs)
    hidden = _embed(inputs, network, weights)

    def normed(value: Any, weight: Vector | None) -> Any:
        return norm(value, weight, network.norm_epsilon, weights)

    of_tokens = _token_inputs(hidden, inputs, network, weights)
    for index, block in enumerate(network.blocks):
        update = mixers.build(normed(hidden, block.mixer_norm), block.mixer, index)
        hidden = _add(hidden, normed(update, block.mixer_out_norm), network)
        update = normed(hidden, block.feed_forward_norm)
        update = _feed_forward(update, block.feed_forward, network, weights)
        hidden = _add(hidden, normed(update, block.feed_forward_out_norm), network)
        if block.token_gate is not None:
            gate = _activate(product(hidden, block.token_gate.gate, weights), network)
            update = ops.multiply(gate, of_tokens[index])
            update = product(update, block.token_gate.out, weights)
            hidden = ops.add(hidden, normed(update, block.token_gate.out_norm))
        if block.scale is not None:
            hidden = ops.multiply(hidden, weights.vector(block.scale.name))
    return normed(hidden, network.final_norm), mixers.states


class _Mixers:
    """Builds one mixer after another; ``states`` are the assignments to what they keep."""

    def __init__(self, network: Network, weights: PlaceholderWeights, inputs: GraphInputs) -> None:
        self._epsilon = network.norm_epsilon
        self._weights, self._inputs = weights, inputs
        mask = attention_mask if network.causal else two_sided_mask
        self._masks = {one.window: mask(inputs, one.window) for one in network.attentions}
        self._rotations = {rope: rotation(inputs, rope) for rope in network.ropes}
        self._kept: dict[int, KeysValues] = {}
        self.states: list[Any] = []

    def build(self, value: Any, mixer: Mixer, index: int) -> Any:
        """What the mixer of block ``index`` adds to the hidden states."""
        weights, inputs, epsilon = self._weights, self._inputs, self._epsilon
        one: OpenVINOAttention | OpenVINOConvolution | OpenVINODelta
        if isinstance(mixer, Attention):
            one = OpenVINOAttention(mixer, epsilon, weights, inputs, index, self._kept)
            turned = None if mixer.rope is None else self._rotations[mixer.rope]
            built = one.build(value, turned, self._masks[mixer.window])
        elif isinstance(mixer, ShortConvolution):
            one = OpenVINOConvolution(mixer, weights, inputs, index)
            built = one.build(value)
        else:
            one = OpenVINODelta(mixer, epsilon, weights, inputs, index)
            built = one.build(value)
        self.states += one.states
        return built


def _inputs() -> GraphInputs:
    return GraphInputs(
        input_ids=parameter("input_ids", [-1, -1]),
        attention_mask=parameter("attention_mask", [-1, -1]),
        position_ids=parameter("position_ids", [-1, -1]),
        beam_idx=parameter("beam_idx", [-1], np.int32),
    )


def _embed(inputs: GraphInputs, network: Network, weights: PlaceholderWeights) -> Any:
    table = weights.matrix(network.embedding.name)
    embedded = ops.gather(table, inputs.input_ids, integer(0))
    if network.embedding_scale == 1.0:
        return embedded
    return ops.multiply(embedded, np.float32(network.embedding_scale))


def _token_inputs(
    hidden: Any, inputs: GraphInputs, network: Network, weights: PlaceholderWeights
) -> list[Any]:
    """Of each block, f32 [batch, tokens, width]; see `TokenInputs`."""
    one, count = network.token_inputs, len(network.blocks)
    if one is None:
        return []
    scale = np.float32(network.hidden**-0.5)
    projected = ops.multiply(product(hidden, one.projection, weights), scale)
    shape = integers(0, 0, count, one.width)
    projected = ops.reshape(projected, shape, special_zero=True)
    normed = norm(projected, one.norm, network.norm_epsilon, weights)
    looked_up = ops.gather(weights.matrix(one.embedding.name), inputs.input_ids, integer(0))
    looked_up = ops.multiply(looked_up, np.float32(one.width**0.5))
    both = ops.add(normed, ops.reshape(looked_up, shape, special_zero=True))
    both = ops.multiply(both, np.float32(2**-0.5))
    parts = ops.split(both, integer(2), count)
    return [ops.squeeze(parts.output(index), integers(2)) for index in range(count)]


def _activate(gate: Any, network: Network) -> Any:
    return ACTIVATIONS[network.activation](gate)


def _add(hidden: Any, update: Any, network: Network) -> Any:
    if network.residual_scale != 1.0:
        update = ops.multiply(update, np.float32(network.residual_scale))
    return ops.add(hidden, update)


def _logits(hidden: Any, network: Network, weights: PlaceholderWeights) -> Any:
    logits = product(hidden, network.head, weights, network.head_bias)
    if network.logits_scale != 1.0:
        logits = ops.multiply(logits, np.float32(network.logits_scale))
    cap = network.logits_softcap
    return logits if cap is None else bend(logits, cap)


def _feed_forward(
    value: Any, one: FeedForward | Experts, network: Network, weights: PlaceholderWeights
) -> Any:
    if isinstance(one, Experts):
        update = mixture(value, one, network, weights)
        if one.shared is None:
            return update
        made = _feed_forward(value, one.shared.feed_forward, network, weights)
        if one.shared.gate is not None:
            made = ops.multiply(made, ops.sigmoid(product(value, one.shared.gate, weights)))
        return ops.add(update, made)
    both = product(value, one.gate_up, weights, one.gate_up_bias)
    halves = ops.variadic_split(both, integer(2), integers(one.down.columns, one.down.columns))
    gate = _activate(halves.output(0), network)
    gated = ops.multiply(gate, halves.output(1))
    return product(gated, one.down, weights, one.down_bias)
