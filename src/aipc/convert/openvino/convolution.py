"""A convolution along the tokens as an OpenVINO graph, the last of them kept as its state.

The nodes have the order in which OpenVINO's PagedCausalConv1DFusion recognizes them.  This module
loads OpenVINO: import it at use.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from openvino import opset15 as ops

from aipc.convert.network import ShortConvolution
from aipc.convert.openvino.operators import GraphInputs, fixed_state, integer, integers, product
from aipc.convert.openvino.weights import PlaceholderWeights
from aipc.convert.parts import Vector

_END = np.iinfo(np.int64).max


@dataclass
class OpenVINOConvolution:
    """One block's short convolution; ``states`` are the assignments to its state."""

    mixer: ShortConvolution
    weights: PlaceholderWeights
    inputs: GraphInputs
    index: int
    states: list[Any] = field(default_factory=list)

    def build(self, value: Any) -> Any:
        one = self.mixer
        joint = product(value, one.projection, self.weights, one.bias)
        before, after, value = ops.split(joint, integer(2), 3).outputs()
        convolved, new = convolve(
            ops.multiply(before, value), one.taps, self.weights, self.inputs, self.index
        )
        self.states.append(new)
        if one.taps_bias is not None:
            convolved = ops.add(convolved, self.weights.vector(one.taps_bias.name))
        return product(ops.multiply(after, convolved), one.out, self.weights, one.out_bias)


def convolve(
    value: Any, taps: Vector, weights: PlaceholderWeights, inputs: GraphInputs, index: int
) -> tuple[Any, Any]:
    """``value`` [batch, tokens, channels] convolved, and the assignment to the state of a block."""
    count = taps.shape[-1]
    past, variable = fixed_state(f"conv.{index}", (taps.length, count), inputs)
    past = ops.gather(past, inputs.beam_idx, integer(0))
    seen = ops.concat([past, ops.transpose(value, integers(0, 2, 1))], axis=-1)
    kernel = ops.unsqueeze(weights.vector(taps.name), integer(1))
    convolved = ops.group_convolution(seen, kernel, [1], [0], [0], [1])
    # the state is one token longer than the kernel reaches back, which makes one output too many
    convolved = _last(convolved, 1)
    return ops.transpose(convolved, integers(0, 2, 1)), ops.assign(_last(seen, -count), variable)


def _last(value: Any, start: int) -> Any:
    """From ``start`` on along the tokens of [batch, channels, tokens]."""
    return ops.slice(value, integers(start), integers(_END), integers(1), integers(2))
