"""The feed-forward of a block in numpy: for all tokens, or by the experts that a router chooses."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from aipc.checkpoint import Weights
from aipc.convert.feed_forward import ClampedGate, Experts, FeedForward, Router
from aipc.convert.network import Network
from aipc.convert.parts import Matrix
from aipc.convert.quantizers.attention import biased, read_vector, sigmoid, silu
from aipc.convert.quantizers.rtn import Floats

Forward: TypeAlias = Generator[tuple[Matrix, Floats], Floats, None]
"""Yields a matrix and its inputs [tokens, columns], is sent their product [tokens, rows]."""
LEAST_TOKENS = 16
"""That each expert is shown: so quantizers learn what reaches one that is hardly ever active."""
_Update: TypeAlias = Generator[tuple[Matrix, Floats], Floats, Floats]
"""As `Forward`; returns what is added to the hidden states [tokens, hidden]."""


def feed_forward(
    checkpoint: Weights, network: Network, one: FeedForward | Experts, inputs: Floats
) -> _Update:
    if isinstance(one, Experts):
        return (yield from _mixture(checkpoint, network, one, inputs))
    both = biased(checkpoint, (yield one.gate_up, inputs), one.gate_up_bias)
    gate, up = np.split(both, 2, axis=1)
    gated = ACTIVATIONS[network.activation](gate)
    gated *= up
    del both, gate, up
    return biased(checkpoint, (yield one.down, gated), one.down_bias)


def _mixture(checkpoint: Weights, network: Network, one: Experts, inputs: Floats) -> _Update:
    router = one.router
    scores = biased(checkpoint, (yield router.matrix, inputs), router.bias)
    bias = router.choice_bias
    weights = route(scores, router, None if bias is None else read_vector(checkpoint, bias))
    tokens = [_shown(scores[:, expert], weights[:, expert] != 0) for expert in range(one.count)]
    joint = yield from _gates_and_ups(checkpoint, one, [inputs[some] for some in tokens])
    update = np.zeros_like(inputs)
    down_bias = None if one.down_bias is None else read_vector(checkpoint, one.down_bias)
    for expert, matrix in enumerate(one.down.each_expert):
        gate, up = joint[expert]
        product = yield matrix, _gated(gate, up, one.clamped, network.activation)
        if down_bias is not None:
            product = product + down_bias[expert]
        some = tokens[expert]
        update[some] += weights[some, expert, None] * product
        joint[expert] = gate[:0], up[:0]  # so that what is no longer needed is let go
    if one.shared is not None:
        made = yield from feed_forward(checkpoint, network, one.shared.feed_forward, inputs)
        share = one.shared.gate
        update += made if share is None else made * sigmoid((yield share, inputs))
    return update


def _shown(scores: Floats, is_active: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """The tokens that an expert is shown: those it is active for, and others if these are few.

    What it makes of the others, of the greatest scores, counts nothing: their weights are 0.
    """
    count = max(int(is_active.sum()), min(LEAST_TOKENS, len(scores)))
    likeliest = np.argsort(np.where(is_active, np.inf, scores), kind="stable")
    return np.sort(likeliest[len(scores) - count :])


def _gates_and_ups(
    checkpoint: Weights, one: Experts, inputs: list[Floats]
) -> Generator[tuple[Matrix, Floats], Floats, list[tuple[Floats, Floats]]]:
    """Of each expert, of its tokens' ``inputs``."""
    products = []
    for matrix in one.gate_up:
        found = []
        for expert, some in zip(matrix.each_expert, inputs, strict=True):
            found.append((yield expert, some))
        products.append(found)
    if len(products) == 2:
        return list(zip(*products, strict=True))
    (both,) = products
    if one.gate_up_bias is not None:
        bias = read_vector(checkpoint, one.gate_up_bias)
        both = [product + row for product, row in zip(both, bias, strict=True)]
    return [(product[:, 0::2], product[:, 1::2]) for product in both]


def _gated(gate: Floats, up: Floats, clamped: ClampedGate | None, activation: str) -> Floats:
    if clamped is None:
        return ACTIVATIONS[activation](gate) * up
    gate = np.minimum(gate, np.float32(clamped.limit))
    up = np.clip(up, -np.float32(clamped.limit), np.float32(clamped.limit))
    return (up + 1) * gate * sigmoid(np.float32(clamped.alpha) * gate)


def route(scores: Floats, router: Router, choice_bias: Floats | None = None) -> Floats:
    """Each expert's weight for each token, float32 [tokens, experts], 0 where it is not active."""
    if router.weighting == "sparsemixer":
        return _sparsemixer(scores, router) * np.float32(router.scale)
    if router.weighting.startswith("sigmoid"):
        scores = sigmoid(scores)
    ranked = scores if choice_bias is None else scores + choice_bias
    chosen = np.argsort(-ranked, axis=1, kind="stable")[:, : router.active]
    counted = np.take_along_axis(scores, chosen, axis=1)
    shares = _SHARES[router.weighting](counted, scores) * np.float32(router.scale)
    weights = np.zeros_like(scores)
    np.put_along_axis(weights, chosen, shares, axis=1)
    return weights


def _softmax(counted: Floats, among: Floats) -> Floats:
    """Of the softmax of all ``among`` which they are, the shares of those ``counted``."""
    greatest = among.max(axis=1, keepdims=True)
    shares: Floats = np.exp(counted - greatest)
    shares /= np.exp(among - greatest).sum(axis=1, keepdims=True)
    return shares


_SHARES: dict[str, Callable[[Floats, Floats], Floats]] = {
    "softmax": _softmax,
    "softmax_active": lambda counted, _: _softmax(counted, counted),
    "sigmoid": lambda counted, _: counted,
    "sigmoid_active": lambda counted, _: counted / counted.sum(axis=1, keepdims=True),
}
"""Of the active experts' scores and all scores the active ones' weights, by `Router.weighting`."""


def _sparsemixer(scores: Floats, router: Router) -> Floats:
    left, weights = scores.copy(), np.zeros_like(scores)
    rows: npt.NDArray[np.int64] = np.arange(len(scores))
    for _ in range(router.active):
        best = left.argmax(axis=1)
        greatest = left[rows, best][:, None]
        spread = (greatest - scores) / np.maximum(np.abs(scores), greatest)
        near = np.where(spread > 2 * router.jitter, -np.inf, left)
        weights[rows, best] = 1 / np.exp(near - greatest).sum(axis=1)
        left[rows, best] = -np.inf
    return weights


def _gelu_tanh(values: Floats) -> Floats:
    inner = np.float32(np.sqrt(2 / np.pi)) * (values + np.float32(0.044715) * values**3)
    active: Floats = values * np.float32(0.5) * (1 + np.tanh(inner))
    return active


ACTIVATIONS = {"silu": silu, "gelu_tanh": _gelu_tanh}
