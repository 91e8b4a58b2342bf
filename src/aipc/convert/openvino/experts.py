"""A mixture of experts as an OpenVINO graph.

Written down, every expert computes every token, and what the router does not choose is multiplied
by 0: so transformers' experts look as optimum-intel exports them.  The plugins recognize that form
(ConvertTiledMoeBlockTo2GatherMatmuls where a `ClampedGate` has gates and ups in one matrix,
ConvertTiledMoeBlockTo3GatherMatmuls otherwise) and put in its place products with the chosen
experts' rows alone; test_experts asks the compiled model whether they did.  This module loads
OpenVINO: import it at use.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from openvino import opset15 as ops

from aipc.convert.feed_forward import ClampedGate, Experts, Router
from aipc.convert.network import Network
from aipc.convert.openvino.operators import ACTIVATIONS, integer, integers, product
from aipc.convert.openvino.weights import PlaceholderWeights
from aipc.convert.parts import Matrix, Vector

_END = np.iinfo(np.int64).max
_LAST = -1


def mixture(value: Any, one: Experts, network: Network, weights: PlaceholderWeights) -> Any:
    """What the experts add to the hidden states; f32 [batch, tokens, hidden], as ``value`` is."""
    hidden = one.down.expert_rows
    tokens = ops.reshape(value, integers(-1, hidden), special_zero=False)
    indices, shares = _route(tokens, one.router, weights)
    everyone = ops.tile(tokens, integers(one.count, 1))
    everyone = ops.reshape(everyone, integers(one.count, -1, hidden), special_zero=False)
    if one.clamped is None:
        gate, up = (_product(everyone, matrix, None, weights) for matrix in one.gate_up)
        gated = ops.multiply(ACTIVATIONS[network.activation](gate), up)
    else:
        (gate_up,) = one.gate_up
        gated = _clamped(_product(everyone, gate_up, one.gate_up_bias, weights), one.clamped)
    made = _product(gated, one.down, one.down_bias, weights)
    made = ops.reshape(made, integers(one.count, 1, -1, hidden), special_zero=False)
    update = ops.multiply(made, _spread(indices, shares, one.count))
    update = ops.reduce_sum(update, integers(0), keep_dims=False)
    return ops.reshape(update, ops.shape_of(value), special_zero=False)


def _product(value: Any, matrix: Matrix, bias: Vector | None, weights: PlaceholderWeights) -> Any:
    """Each expert's; f32 [experts, tokens, rows]."""
    made = product(value, matrix, weights)
    if bias is None:
        return made
    return ops.add(made, ops.unsqueeze(weights.vector(bias.name), integer(1)))


def _clamped(both: Any, gate: ClampedGate) -> Any:
    limit = gate.limit
    up = ops.slice(both, integers(1), integers(_END), integers(2), integers(_LAST))
    up = ops.add(ops.clamp(up, -limit, limit), np.float32(1))
    active = ops.slice(both, integers(0), integers(_END), integers(2), integers(_LAST))
    active = ops.minimum(active, np.float32(limit))
    return ops.multiply(up, ops.swish(active, np.float32(gate.alpha)))


def _spread(indices: Any, shares: Any, count: int) -> Any:
    """Every expert's weight, 0 where it is not active; f32 [experts, 1, tokens, 1]."""
    tokens = ops.gather(ops.shape_of(indices), integers(0), integer(0))
    nothing = ops.broadcast(np.float32(0), ops.concat([tokens, integers(count)], 0))
    spread = ops.scatter_elements_update(nothing, indices, shares, integer(1))
    spread = ops.reshape(
        ops.transpose(spread, integers(1, 0)), integers(count, 1, -1), special_zero=False
    )
    return ops.unsqueeze(spread, integer(-1))


def _route(tokens: Any, router: Router, weights: PlaceholderWeights) -> tuple[Any, Any]:
    """The active experts i64 [tokens, active], and their weights f32."""
    scores = product(tokens, router.matrix, weights, router.bias)
    indices, shares = _weigh(scores, router, weights)
    if router.scale != 1.0:
        shares = ops.multiply(shares, np.float32(router.scale))
    return indices, shares


def _weigh(scores: Any, router: Router, weights: PlaceholderWeights) -> tuple[Any, Any]:
    if router.weighting == "sparsemixer":
        return _sparsemixer(scores, router)
    if router.weighting.startswith("sigmoid"):
        return _sigmoid(ops.sigmoid(scores), router, weights)
    if router.bias is not None:
        values, indices = _best(scores, router.active)
        if router.weighting == "softmax_active":
            return indices, ops.softmax(values, 1)
    values, indices = _best(ops.softmax(scores, 1), router.active)
    return indices, _normed(values) if router.weighting == "softmax_active" else values


def _normed(values: Any) -> Any:
    return ops.divide(values, ops.reduce_sum(values, integers(-1), keep_dims=True))


def _sigmoid(shares: Any, router: Router, weights: PlaceholderWeights) -> tuple[Any, Any]:
    bias = router.choice_bias
    ranked = shares if bias is None else ops.add(shares, weights.vector(bias.name))
    _, indices = _best(ranked, router.active)
    values = ops.gather_elements(shares, indices, 1)
    return indices, _normed(values) if router.weighting == "sigmoid_active" else values


def _best(scores: Any, count: int) -> tuple[Any, Any]:
    best = ops.topk(scores, integer(count), -1, "max", "value", index_element_type="i64")
    return best.output(0), best.output(1)


def _sparsemixer(scores: Any, router: Router) -> tuple[Any, Any]:
    indices, shares, left = [], [], scores
    for _ in range(router.active):
        greatest, index = _best(left, 1)
        size = ops.maximum(ops.absolute(scores), greatest)
        spread = ops.divide(ops.subtract(greatest, scores), size)
        is_far = ops.greater(spread, np.float32(2 * router.jitter))
        near = ops.select(is_far, np.float32(-np.inf), left)
        total = ops.reduce_sum(ops.exp(ops.subtract(near, greatest)), integers(-1), keep_dims=True)
        indices.append(index)
        shares.append(ops.divide(np.float32(1), total))
        gone = ops.broadcast(np.float32(-np.inf), ops.shape_of(index))
        left = ops.scatter_elements_update(left, index, gone, integer(1))
    return ops.concat(indices, 1), ops.concat(shares, 1)
