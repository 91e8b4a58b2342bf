"""What the parts of a graph share: its inputs, constants, products and norms.

This module loads OpenVINO: import it at use.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset15 as ops
from openvino.op.util import Variable, VariableInfo

from aipc.convert.network import Matrix, Vector
from aipc.convert.openvino.weights import PlaceholderWeights


@dataclass(frozen=True)
class GraphInputs:
    input_ids: Any  # i64 [batch, tokens]
    attention_mask: Any  # i64 [batch, past + tokens]
    position_ids: Any  # i64 [batch, tokens]
    beam_idx: Any  # i32 [batch]


def integer(value: int) -> Any:
    """A scalar constant."""
    return ops.constant(np.array(value, np.int64))


def integers(*values: int) -> Any:
    """A constant vector."""
    return ops.constant(np.array(values, np.int64))


def bend(scores: Any, cap: float) -> Any:
    return ops.multiply(ops.tanh(ops.multiply(scores, np.float32(1 / cap))), np.float32(cap))


def product(
    value: Any, matrix: Matrix, weights: PlaceholderWeights, bias: Vector | None = None
) -> Any:
    node = ops.matmul(value, weights.matrix(matrix.name), transpose_a=False, transpose_b=True)
    node.set_friendly_name(f"{matrix.name}.product")
    return node if bias is None else ops.add(node, weights.vector(bias.name))


def norm(value: Any, weight: Vector | None, epsilon: float, weights: PlaceholderWeights) -> Any:
    """Root mean square norm, in the form that OpenVINO's RMSFusion recognizes."""
    if weight is None:
        return value
    return ops.multiply(unit_norm(value, epsilon), weights.vector(weight.name))


def unit_norm(value: Any, epsilon: float) -> Any:
    """Without a weight."""
    square = ops.power(value, np.float32(2))
    mean = ops.reduce_mean(square, integers(-1), keep_dims=True)
    root = ops.sqrt(ops.add(mean, np.float32(epsilon)))
    return ops.multiply(value, ops.divide(np.float32(1), root))


def state(name: str, shape: tuple[int, ...], inputs: GraphInputs) -> tuple[Any, Variable]:
    """What a block keeps from one call to the next, f32 [batch, *shape], and its variable.

    Zeros at first; an axis of -1 grows, and begins empty.  GenAI knows states by such a ``name``.
    """
    info = VariableInfo()
    info.data_shape = ov.PartialShape([-1, *shape])
    info.data_type = ov.Type.f32
    info.variable_id = name
    variable = Variable(info)
    batch = ops.gather(ops.shape_of(inputs.input_ids), integers(0), integer(0))
    sizes = [integers(max(size, 0)) for size in shape]
    zeros = ops.broadcast(np.float32(0), ops.concat([batch, *sizes], 0))
    return ops.read_value(zeros, variable), variable


def fixed_state(name: str, shape: tuple[int, ...], inputs: GraphInputs) -> tuple[Any, Variable]:
    """A `state` of one size, as optimum-intel names it."""
    return state(f"cache_params.past.{name}cache_params.present.{name}", shape, inputs)
