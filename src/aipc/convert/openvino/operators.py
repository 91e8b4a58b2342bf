"""What the parts of a graph share: its inputs, constants, products and norms.

This module loads OpenVINO: import it at use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset15 as ops
from openvino.op.util import Variable, VariableInfo
from openvino.utils.node_factory import NodeFactory
from openvino.utils.types import as_nodes

from aipc.artifact.lora import PRODUCT
from aipc.convert.openvino.weights import PlaceholderWeights
from aipc.convert.parts import Matrix, Vector


@dataclass(frozen=True)
class GraphInputs:
    """Without a ``beam_idx`` a graph keeps nothing from one call to the next."""

    input_ids: Any  # i64 [batch, tokens]
    attention_mask: Any  # i64 [batch, past + tokens]
    position_ids: Any  # i64 [batch, tokens]
    beam_idx: Any  # i32 [batch]


def parameter(name: str, shape: list[int], kind: Any = np.int64) -> Any:
    """An input of that name; an axis of -1 is of any size."""
    node = ops.parameter(shape, kind, name=name)
    node.output(0).get_tensor().set_names({name})
    return node


def counted_positions(attention_mask: Any) -> Any:
    """i64 [batch, tokens]: how many tokens lie before each, padding on either side left out."""
    counted = ops.cum_sum(attention_mask, integer(1))
    return ops.maximum(ops.subtract(counted, integer(1)), integer(0))


def integer(value: int) -> Any:
    """A scalar constant."""
    return ops.constant(np.array(value, np.int64))


def integers(*values: int) -> Any:
    """A constant vector."""
    return ops.constant(np.array(values, np.int64))


def bend(scores: Any, cap: float) -> Any:
    return ops.multiply(ops.tanh(ops.multiply(scores, np.float32(1 / cap))), np.float32(cap))


def _silu(value: Any) -> Any:
    """Without the beta that the Python function always adds: experts are recognized so alone."""
    return NodeFactory("opset4").create("Swish", as_nodes(value), {})


ACTIVATIONS: Mapping[str, Callable[[Any], Any]] = {
    "silu": _silu,
    "gelu_tanh": lambda value: ops.gelu(value, "TANH"),
}


def product(
    value: Any, matrix: Matrix, weights: PlaceholderWeights, bias: Vector | None = None
) -> Any:
    node = ops.matmul(value, weights.matrix(matrix.name), transpose_a=False, transpose_b=True)
    node.set_friendly_name(PRODUCT.format(matrix.name))
    return node if bias is None else ops.add(node, weights.vector(bias.name))


def norm(value: Any, weight: Vector | None, epsilon: float, weights: PlaceholderWeights) -> Any:
    """Root mean square norm, in the form that OpenVINO's RMSFusion recognizes; or a layer norm."""
    if weight is None:
        return value
    if weight.bias is None:
        return ops.multiply(unit_norm(value, epsilon), weights.vector(weight.name))
    normed = ops.mvn(value, integers(-1), True, epsilon, "inside_sqrt")
    normed = ops.multiply(normed, weights.vector(weight.name))
    return ops.add(normed, weights.vector(weight.bias.name))


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
