"""The gated delta rule as ONNX nodes, each head's memory kept in the cache."""

from __future__ import annotations

from aipc.convert.network import UNIT_EPSILON, GatedDelta
from aipc.convert.onnx.convolution import convolve
from aipc.convert.onnx.nodes import MICROSOFT
from aipc.convert.onnx.operators import Operators

PAST_MEMORY, PRESENT_MEMORY = "past.{}.recurrent", "present.{}.recurrent"


def add_delta(operators: Operators, value: str, one: GatedDelta, index: int) -> str:
    """The gated delta rule of block ``index`` on normed hidden states."""
    nodes, name = operators.nodes, f"block.{index}.delta"
    keys, _, values, _, rates, steps = one.widths
    joint = operators.product(value, one.projection)
    convolved, gate, rate, step = nodes.split(
        joint, (2 * keys + values, values, rates, steps), f"{name}.joint"
    )
    convolved = convolve(operators, convolved, one.taps, None, index, activation="silu")
    query, key, value = nodes.split(convolved, (keys, keys, values), name)
    found = nodes.add(
        "LinearAttention",
        [
            *(_unit(operators, part, one) for part in (query, key)),
            value,
            PAST_MEMORY.format(index),
            *_decay_and_rate(operators, step, rate, one),
        ],
        f"{name}.found",
        domain=MICROSOFT,
        more=(PRESENT_MEMORY.format(index),),
        q_num_heads=one.key_heads,
        kv_num_heads=one.value_heads,
        update_rule="gated_delta",
        scale=one.key_dim**-0.5,
    )
    normed = operators.norm_heads(found, one.norm, values)
    share = nodes.add("Sigmoid", [gate], f"{name}.share")
    active = nodes.add("Mul", [gate, share], f"{name}.active")
    return operators.product(nodes.add("Mul", [normed, active], f"{name}.gated"), one.out)


def _unit(operators: Operators, part: str, one: GatedDelta) -> str:
    """Heads of the length 1: what a norm by the mean square makes, over the root of their width."""
    nodes, width = operators.nodes, one.key_dim
    heads = nodes.add("Reshape", [part, nodes.integers(0, -1, width)], f"{part}.heads")
    normed = nodes.add(
        "SimplifiedLayerNormalization",
        [heads, nodes.reals(width**-0.5, width)],
        f"{part}.unit",
        axis=-1,
        epsilon=UNIT_EPSILON / width,
        stash_type=1,
    )
    shape = nodes.integers(0, -1, one.key_heads * width)
    return nodes.add("Reshape", [normed, shape], f"{part}.joined")


def _decay_and_rate(operators: Operators, step: str, rate: str, one: GatedDelta) -> tuple[str, str]:
    """The logarithm of what is kept of each head's memory, and the rate of correction."""
    nodes, weights = operators.nodes, operators.weights
    logarithm, step_bias = (
        nodes.as_float32(weights.vector(vector.name)) for vector in (one.decay, one.step_bias)
    )
    speed = nodes.add(
        "Neg", [nodes.add("Exp", [logarithm], f"{logarithm}.exp")], f"{logarithm}.speed"
    )
    name, second = f"{one.decay.name}.steps", f"{one.decay.name}.rates"
    inputs = [step, step_bias, speed, rate]
    nodes.add("LinearAttentionGate", inputs, name, domain=MICROSOFT, more=(second,))
    return name, second
