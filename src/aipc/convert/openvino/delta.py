"""The gated delta rule as an OpenVINO graph: a loop over tokens, and the memory as its state.

The nodes have the order in which OpenVINO's GatedDeltaNetFusion recognizes them, as optimum-intel
exports them; then the loop becomes one operator.  It allows nothing between the memory and the
loop, so that a memory, unlike keys and values, does not follow ``beam_idx``: search with beams is
not for these networks.  This module loads OpenVINO: import it at use.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset1
from openvino import opset15 as ops

from aipc.convert.network import UNIT_EPSILON, GatedDelta
from aipc.convert.openvino.convolution import convolve
from aipc.convert.openvino.operators import (
    GraphInputs,
    fixed_state,
    integer,
    integers,
    norm,
    product,
)
from aipc.convert.openvino.weights import PlaceholderWeights

_TOKENS = 2
"""The axis along which the loop goes."""


@dataclass
class OpenVINODelta:
    """One block's gated delta rule; ``states`` are the assignments to its two states."""

    mixer: GatedDelta
    epsilon: float
    weights: PlaceholderWeights
    inputs: GraphInputs
    index: int
    states: list[Any] = field(default_factory=list)

    def build(self, value: Any) -> Any:
        one = self.mixer
        joint = product(value, one.projection, self.weights)
        keys, _, values, _, rates, steps = one.widths
        sizes = integers(2 * keys + values, values, rates, steps)
        convolved, gate, rate, step = ops.variadic_split(joint, integer(2), sizes).outputs()
        convolved, new = convolve(convolved, one.taps, self.weights, self.inputs, self.index)
        self.states.append(new)
        found = self._remember(ops.swish(convolved), ops.sigmoid(rate), self._decay(step))
        found = norm(found, one.norm, self.epsilon, self.weights)
        found = ops.reshape(found, integers(0, 0, -1), special_zero=True)
        return product(ops.multiply(found, ops.swish(gate)), one.out, self.weights)

    def _decay(self, step: Any) -> Any:
        """The logarithm of what is kept of each head's memory, f32 [batch, tokens, heads]."""
        speed = ops.negative(ops.exp(self.weights.vector(self.mixer.decay.name)))
        step = ops.add(step, self.weights.vector(self.mixer.step_bias.name))
        return ops.multiply(ops.softplus(step), speed)

    def _remember(self, convolved: Any, rate: Any, decay: Any) -> Any:
        """What queries find in the memory, f32 [batch, tokens, heads, value_dim]."""
        one = self.mixer
        sizes = integers(*one.widths[:3])
        query, key, value = ops.variadic_split(convolved, integer(2), sizes).outputs()
        query, key = (_unit(self._heads(part, one.key_dim, one.key_heads)) for part in (query, key))
        value = self._heads(value, one.value_dim, one.value_heads)
        query, key, value = (
            ops.transpose(part, integers(0, 2, 1, 3)) for part in (query, key, value)
        )
        rate, decay = (ops.transpose(part, integers(0, 2, 1)) for part in (rate, decay))
        width = ops.gather(ops.shape_of(query), integer(3), integer(0))
        root = ops.power(ops.convert(width, "f32"), np.float32(0.5))
        shape = (one.value_heads, one.key_dim, one.value_dim)
        past, variable = fixed_state(f"recurrent.{self.index}", shape, self.inputs)
        loop = self._loop(ops.divide(query, root), key, value, decay, rate, past)
        new = ops.assign(past, variable)  # takes only a node's first output at first
        new.input(0).replace_source_output(loop.output(1))
        self.states.append(new)
        return ops.transpose(loop.output(0), integers(0, 2, 1, 3))

    def _heads(self, part: Any, width: int, count: int) -> Any:
        """f32 [batch, tokens, value heads, width]."""
        one = self.mixer
        heads = ops.reshape(part, integers(0, 0, count, width), special_zero=True)
        times = one.value_heads // count
        if times == 1:
            return heads
        # not by Broadcast: with that OpenVINO 2026.4.1 takes the heads of queries for those of what
        # is found, and fails
        spread = ops.tile(ops.unsqueeze(heads, integer(3)), integers(1, 1, 1, times, 1))
        return ops.reshape(spread, integers(0, 0, one.value_heads, width), special_zero=True)

    def _loop(self, query: Any, key: Any, value: Any, decay: Any, rate: Any, past: Any) -> Any:
        """Outputs what is found, f32 [batch, heads, tokens, value_dim], and the last memory."""
        one = self.mixer
        tokens = ops.gather(ops.shape_of(query), integer(_TOKENS), integer(0))
        room = ops.broadcast(np.float32(0), ops.shape_of(value))
        loop = ops.loop(tokens, ops.constant(np.array(True)))
        body = _Body(one)
        loop.set_function(body.model)
        loop.set_special_body_ports([0, 0])
        sliced = zip(body.sliced, (query, key, value, decay, rate), strict=True)
        for parameter, whole in sliced:
            loop.set_sliced_input(parameter, whole.output(0), 0, 1, 1, -1, _TOKENS)
        loop.set_merged_input(body.memory, past.output(0), body.new_memory.output(0))
        loop.set_merged_input(body.room, room.output(0), body.filled.output(0))
        loop.get_iter_value(body.filled.output(0), -1)
        loop.get_iter_value(body.new_memory.output(0), -1)
        return loop


class _Body:
    """One token's turn: the memory decays, is corrected, and is asked."""

    def __init__(self, one: GatedDelta) -> None:
        heads, keys, values = one.value_heads, one.key_dim, one.value_dim

        def parameter(name: str, *shape: int, kind: Any = np.float32) -> Any:
            return _named(ops.parameter(ov.PartialShape(list(shape)), kind), name)

        token = parameter("token", kind=np.int64)
        query, key = (parameter(name, -1, heads, 1, keys) for name in ("query", "key"))
        value = parameter("value", -1, heads, 1, values)
        decay, rate = (parameter(name, -1, heads, 1) for name in ("decay", "rate"))
        self.sliced = query, key, value, decay, rate
        self.memory = parameter("memory", -1, heads, keys, values)
        self.room = parameter("room", -1, heads, -1, values)
        kept = ops.multiply(self.memory, ops.unsqueeze(ops.exp(decay), integer(-1)))
        column = ops.unsqueeze(opset1.squeeze(key, integer(_TOKENS)), integer(-1))
        known = ops.reduce_sum(ops.multiply(kept, column), integer(-2), keep_dims=False)
        error = ops.subtract(opset1.squeeze(value, integer(_TOKENS)), known)
        correction = ops.unsqueeze(ops.multiply(error, rate), integer(-2))
        memory = ops.add(kept, ops.multiply(column, correction))
        asked = ops.unsqueeze(opset1.squeeze(query, integer(_TOKENS)), integer(-1))
        found = ops.reduce_sum(ops.multiply(memory, asked), integer(-2), keep_dims=True)
        place = ops.unsqueeze(token, integer(0))
        filled = ops.scatter_update(self.room, place, found, integer(_TOKENS))
        self.new_memory = ops.result(_named(memory, "new_memory"))
        self.filled = ops.result(_named(filled, "filled"))
        always = ops.result(_named(ops.constant(np.array(True)), "always"))
        results = [always, self.new_memory, self.filled]
        parameters = [token, *self.sliced, self.memory, self.room]
        self.model = ov.Model(results, parameters, "delta")


def _named(node: Any, name: str) -> Any:
    """OpenVINO else names it after its count of all nodes, and no file is as the one before."""
    node.output(0).get_tensor().set_names({name})
    return node


def _unit(vectors: Any) -> Any:
    """Vectors of the length 1, over the last axis."""
    square = ops.reduce_sum(ops.multiply(vectors, vectors), integer(-1), keep_dims=True)
    root = ops.sqrt(ops.add(square, np.float32(UNIT_EPSILON)))
    return ops.multiply(vectors, ops.divide(np.float32(1), root))
