"""A convolution along the tokens as ONNX nodes, the last of them kept in the cache."""

from __future__ import annotations

from aipc.convert.network import ShortConvolution
from aipc.convert.onnx.nodes import MICROSOFT
from aipc.convert.onnx.operators import Operators
from aipc.convert.parts import Vector

PAST_TOKENS, PRESENT_TOKENS = "past.{}.conv", "present.{}.conv"


def add_convolution(operators: Operators, value: str, one: ShortConvolution, index: int) -> str:
    """The short convolution of block ``index`` on normed hidden states."""
    nodes = operators.nodes
    joint = operators.product(value, one.projection, bias=one.bias)
    before, after, value = nodes.split(joint, (one.taps.length,) * 3, f"block.{index}.convolution")
    gated = nodes.add("Mul", [before, value], f"block.{index}.gated")
    convolved = convolve(operators, gated, one.taps, one.taps_bias, index)
    mixed = nodes.add("Mul", [after, convolved], f"block.{index}.mixed")
    return operators.product(mixed, one.out, bias=one.out_bias)


def convolve(
    operators: Operators,
    value: str,
    taps: Vector,
    bias: Vector | None,
    index: int,
    activation: str = "none",
) -> str:
    """``value`` [batch, tokens, channels] convolved; `PAST_TOKENS` [batch, channels, taps - 1]."""
    nodes, name, weights = operators.nodes, f"{taps.name}.product", operators.weights
    channels_first = nodes.add("Transpose", [value], f"{name}.columns", perm=[0, 2, 1])
    convolved = nodes.add(
        "CausalConvWithState",
        [
            channels_first,
            weights.vector(taps.name),
            weights.vector(bias.name) if bias is not None else "",
            PAST_TOKENS.format(index),
        ],
        name,
        domain=MICROSOFT,
        more=(PRESENT_TOKENS.format(index),),
        activation=activation,
    )
    return nodes.add("Transpose", [convolved], f"{name}.rows", perm=[0, 2, 1])
