"""A mixture of experts as ONNX nodes: scores, and one operator that computes the chosen experts.

The operators are MoE, of float weights, and QMoE (ONNX Runtime 1.31).  Each takes scores
[tokens, experts] for its own softmax and choice, and reads the weights of the chosen experts alone.
Both have gates and ups in one matrix, row by row in turn.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from aipc.convert.feed_forward import Experts, Router
from aipc.convert.network import Network
from aipc.convert.onnx.nodes import MICROSOFT
from aipc.convert.onnx.operators import Operators
from aipc.convert.parts import Matrix, Vector

ACTIVATION = "silu"
"""Of gates, in both; `ClampedGate` is a variation of it."""
LEAST_WEIGHT = 1e-6
"""What an expert that is not chosen weighs where weights become scores: they need a logarithm."""
LEFT_OUT = -1e4
"""The score of an expert that was chosen before."""


def join_experts(network: Network) -> Network:
    """The same with gates and ups of all experts in one matrix."""
    blocks = (
        replace(block, feed_forward=block.feed_forward.joined)
        if isinstance(block.feed_forward, Experts)
        else block
        for block in network.blocks
    )
    return replace(network, blocks=tuple(blocks))


def add_experts(operators: Operators, value: str, one: Experts) -> str:
    """What the experts that are chosen for each token make of it, by its weights."""
    nodes, router, (gate_up,) = operators.nodes, one.router, one.gate_up
    name = f"{router.matrix.name}.experts"
    scores, total = _scores(operators, value, router)
    is_quantized = operators.weights.stored(gate_up).scale is not None
    inputs, attributes = (_quantized if is_quantized else _whole)(operators, one)
    update = nodes.add(
        "QMoE" if is_quantized else "MoE",
        [value, scores, *inputs],
        name,
        domain=MICROSOFT,
        k=router.active,
        normalize_routing_weights=1,
        activation_type="swiglu",
        swiglu_fusion=1,
        **_activation(one),
        **attributes,
    )
    return nodes.add("Mul", [update, total], f"{name}.weighed") if total else update


def _activation(one: Experts) -> dict[str, Any]:
    if one.clamped is None:
        return {"activation_alpha": 1.0, "activation_beta": 0.0}
    return {
        "activation_alpha": one.clamped.alpha,
        "activation_beta": 1.0,
        "swiglu_limit": one.clamped.limit,
    }


def _quantized(operators: Operators, one: Experts) -> tuple[list[str], dict[str, Any]]:
    """Inputs and attributes of QMoE's own; both products have the same encoding."""
    weights, form = operators.weights, operators.form
    inputs, zeros = [], []
    for matrix, bias in _products(one):
        stored, count = weights.stored(matrix), matrix.experts
        codes, scale, zero = (
            "" if array is None else weights.by_expert(array, count)
            for array in (stored.weight, stored.scale, stored.zero)
        )
        inputs += [codes, scale, "" if bias is None else weights.vector(bias.name)]
        zeros.append(zero)
    attributes: dict[str, Any] = {
        "expert_weight_bits": stored.encoding.bits,
        "block_size": stored.encoding.group,
        **(form.experts or {}),
    }
    if form.accuracy_level is not None:
        attributes["accuracy_level"] = form.accuracy_level
    third = [""] * 3  # a matrix of ups apart from the gates, which no provider takes
    return [*inputs, *third, *zeros] if any(zeros) else inputs, attributes


def _whole(operators: Operators, one: Experts) -> tuple[list[str], dict[str, Any]]:
    """Inputs of MoE's own."""
    weights, inputs = operators.weights, []
    for matrix, bias in _products(one):
        array = weights.stored(matrix).weight
        whole = weights.by_expert(array, matrix.experts)
        inputs.append(operators.nodes.as_activation(whole, operators.form.whole))
        inputs.append("" if bias is None else weights.vector(bias.name))
    return inputs, {}


def _products(one: Experts) -> tuple[tuple[Matrix, Vector | None], ...]:
    (gate_up,) = one.gate_up
    return (gate_up, one.gate_up_bias), (one.down, one.down_bias)


def _scores(operators: Operators, value: str, router: Router) -> tuple[str, str]:
    """Scores [tokens, experts], and the sum of the chosen experts' weights where it is not 1.

    Both operators give those a softmax of their own.  QMoE has no other way on the CPU, whatever
    its ``normalize_routing_weights`` says (measured with 1.31.1).
    """
    nodes, total = operators.nodes, ""
    scores = operators.product(value, router.matrix, bias=router.bias)
    if router.weighting == "softmax":
        shares = nodes.add("Softmax", [scores], f"{scores}.shares", axis=-1)
        best = f"{shares}.best"
        count = nodes.integers(router.active)
        nodes.add("TopK", [shares, count], best, more=(f"{shares}.order",), axis=-1)
        total = nodes.add("ReduceSum", [best, nodes.integers(-1)], f"{shares}.total")
    if spelt := _SPELT.get(router.weighting):
        weights = spelt(operators, scores, router)
        if router.weighting != "sigmoid_active":
            total = nodes.add("ReduceSum", [weights, nodes.integers(-1)], f"{weights}.total")
        least = nodes.add("Max", [weights, nodes.real(LEAST_WEIGHT)], f"{weights}.least")
        scores = nodes.add("Log", [least], f"{weights}.scores")
    if router.scale != 1.0:
        scale = nodes.real(router.scale)
        total = nodes.add("Mul", [total, scale], f"{total}.scaled") if total else scale
    shape = nodes.integers(-1, router.matrix.rows)
    return nodes.add("Reshape", [scores, shape], f"{scores}.flat"), total


def _sparsemixer(operators: Operators, scores: str, router: Router) -> str:
    """Weights [batch, tokens, experts], 0 of those that are not chosen; see `Router`."""
    nodes, left, weights = operators.nodes, scores, operators.nodes.real(0)
    indices = nodes.integers(*range(router.matrix.rows))
    size = nodes.add("Abs", [scores], f"{scores}.size")
    for place in range(router.active):
        name = f"{scores}.{place}"
        best = nodes.add("ReduceMax", [left, nodes.integers(-1)], f"{name}.best")
        behind = nodes.add("Sub", [left, best], f"{name}.behind")
        larger = nodes.add("Max", [size, best], f"{name}.larger")
        reach = nodes.add("Mul", [larger, nodes.real(-2 * router.jitter)], f"{name}.reach")
        is_near = nodes.add("GreaterOrEqual", [behind, reach], f"{name}.is_near")
        grown = nodes.add("Exp", [behind], f"{name}.grown")
        shares = nodes.add("Where", [is_near, grown, nodes.real(0)], f"{name}.shares")
        total = nodes.add("ReduceSum", [shares, nodes.integers(-1)], f"{name}.total")
        weight = nodes.add("Reciprocal", [total], f"{name}.weight")
        index = nodes.add("ArgMax", [left], f"{name}.index", axis=-1)
        is_best = nodes.add("Equal", [index, indices], f"{name}.is_best")
        weights = nodes.add("Where", [is_best, weight, weights], f"{name}.weights")
        left = nodes.add("Where", [is_best, nodes.real(LEFT_OUT), left], f"{name}.left")
    return weights


def _sigmoid(operators: Operators, scores: str, router: Router) -> str:
    """As `_sparsemixer`; those of "sigmoid_active" do not add up to 1 yet."""
    nodes, bias = operators.nodes, router.choice_bias
    shares = nodes.add("Sigmoid", [scores], f"{scores}.shares")
    ranked, order = shares, f"{scores}.order"
    if bias is not None:
        ranked = nodes.add("Add", [shares, operators.weights.vector(bias.name)], f"{scores}.ranked")
    count = nodes.integers(router.active)
    nodes.add("TopK", [ranked, count], f"{scores}.best", more=(order,), axis=-1)
    best = nodes.add("GatherElements", [shares, order], f"{shares}.best", axis=-1)
    nothing = nodes.add("Mul", [shares, nodes.real(0)], f"{shares}.nothing")
    return nodes.add("ScatterElements", [nothing, order, best], f"{scores}.weights", axis=-1)


_SPELT = {"sparsemixer": _sparsemixer, "sigmoid": _sigmoid, "sigmoid_active": _sigmoid}
"""The weightings that the operators have not: nodes that give the weights of all experts."""
