"""Run a network on the CPU, in numpy, for the inputs of each matrix.

Weights are read a few rows at a time: in memory are the hidden states of the calibration windows
and what is computed from them, no whole matrix.  Windows start at position 0 and are shorter than
any rotary switch or attention window that matters here.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from aipc.checkpoint import Weights
from aipc.convert.network import Attention, Block, Matrix, Network, Vector
from aipc.convert.quantizers.rtn import Floats
from aipc.convert.rope import Rope

READ_WEIGHTS = 2**22  # at once: 17 MB in float32, and enough for products to run at full speed
RANDOM_TOKENS = 64
"""What the channels of random tokens show serves the search of scales as well as text does, and
eight times as many tokens no better (docs/quality.md)."""


def read_matrix(
    checkpoint: Weights, matrix: Matrix, start: int = 0, stop: int | None = None
) -> Floats:
    """Rows [start, stop), float32, of a matrix stacked from its tensors."""
    stop, found, first = matrix.rows if stop is None else stop, [], 0
    for tensor in matrix.tensors:
        height = checkpoint.tensors[tensor].shape[0]
        low, high = max(start - first, 0), min(stop - first, height)
        if low < high:
            found.append(checkpoint.rows(tensor, low, high))
        first += height
    return found[0] if len(found) == 1 else np.concatenate(found)


def row_ranges(rows: int, columns: int, weights: int) -> Iterator[tuple[int, int]]:
    """Ranges [start, stop) of rows, each of at most ``weights`` weights or one row."""
    height = max(1, weights // columns)
    return ((start, min(start + height, rows)) for start in range(0, rows, height))


def read_vector(checkpoint: Weights, vector: Vector) -> Floats:
    """The float32 values [length] of a vector, its offset added."""
    values = np.concatenate([checkpoint.rows(tensor) for tensor in vector.tensors])
    return values + np.float32(vector.offset)


Forward: TypeAlias = Generator[tuple[Matrix, Floats], Floats, None]
"""Yields a matrix and its inputs [tokens, columns], is sent their product [tokens, rows]."""


def matrix_inputs(
    checkpoint: Weights, network: Network, ids: npt.NDArray[np.int64]
) -> Iterator[tuple[Matrix, Floats]]:
    """Each matrix of the blocks, then the head, with its inputs float32 [tokens, columns].

    Matrices come in the order of use; ``ids`` are [windows, tokens].  The inputs are those of the
    float network, not of one whose earlier matrices are quantized.

    Raises:
        CheckpointError: a checkpoint that can't be read on.
    """
    steps = forward(checkpoint, network, ids)
    matrix, inputs = next(steps)
    while matrix is not network.head:
        yield matrix, inputs
        matrix, inputs = steps.send(_product(checkpoint, matrix, inputs))
    yield matrix, inputs


def forward(checkpoint: Weights, network: Network, ids: npt.NDArray[np.int64]) -> Forward:
    """`matrix_inputs` for whoever reads the weights anyway: each product is sent in.

    The head comes last, and nothing is to be sent for it.
    """
    hidden = embed(checkpoint, network, ids)
    for block in network.blocks:
        yield from _block_forward(checkpoint, network, block, hidden, ids.shape[1])
    weight = read_vector(checkpoint, network.final_norm)
    yield network.head, norm(hidden, weight, network.norm_epsilon)


def random_tokens(network: Network) -> npt.NDArray[np.int64]:
    """One window [1, RANDOM_TOKENS] of tokens drawn evenly from the vocabulary, always the same."""
    drawn = np.random.default_rng(0).integers(0, network.embedding.rows, (1, RANDOM_TOKENS))
    return drawn.astype(np.int64)


def embed(checkpoint: Weights, network: Network, ids: npt.NDArray[np.int64]) -> Floats:
    """Hidden states float32 [tokens, hidden] of token ids, one window after another."""
    rows, places = np.unique(ids, return_inverse=True)
    hidden = np.concatenate(
        [read_matrix(checkpoint, network.embedding, row, row + 1) for row in rows.tolist()]
    )[places.reshape(-1)]
    hidden *= np.float32(network.embedding_scale)
    return hidden


def _block_forward(
    checkpoint: Weights, network: Network, block: Block, hidden: Floats, window: int
) -> Forward:
    """The block's matrices and their inputs; ``hidden`` becomes the block's output in place."""

    def normed(values: Floats, vector: Vector | None) -> Floats:
        if vector is None:
            return values
        return norm(values, read_vector(checkpoint, vector), network.norm_epsilon)

    def biased(values: Floats, vector: Vector | None) -> Floats:
        return values if vector is None else values + read_vector(checkpoint, vector)

    scale = np.float32(network.residual_scale)
    mixer = block.mixer
    joint = yield mixer.query_key_value, normed(hidden, block.mixer_norm)
    attention = _Attention(checkpoint, network, mixer, window)
    attended = np.concatenate([attention(part) for part in np.split(joint, len(joint) // window)])
    del joint
    update = biased((yield mixer.out, attended), mixer.out_bias)
    del attended
    hidden += normed(update, block.mixer_out_norm) * scale
    both = yield block.gate_up, normed(hidden, block.feed_forward_norm)
    gate, up = np.split(biased(both, block.gate_up_bias), 2, axis=1)
    gated = _ACTIVATIONS[network.activation](gate)
    gated *= up
    del both, gate, up
    update = biased((yield block.down, gated), block.down_bias)
    hidden += normed(update, block.feed_forward_out_norm) * scale


def _product(checkpoint: Weights, matrix: Matrix, inputs: Floats) -> Floats:
    """Of the matrix with ``inputs``, float32 [tokens, rows]."""
    product = np.empty((len(inputs), matrix.rows), np.float32)
    for start, stop in row_ranges(matrix.rows, matrix.columns, READ_WEIGHTS):
        product[:, start:stop] = inputs @ read_matrix(checkpoint, matrix, start, stop).T
    return product


def mean_square(inputs: Floats) -> Floats:
    """Mean square of each column, float32 [columns], without a copy of ``inputs``."""
    total: Floats = np.einsum("tk,tk->k", inputs, inputs)
    return total / np.float32(len(inputs))


def norm(hidden: Floats, weight: Floats, epsilon: float) -> Floats:
    """Root mean square norm over the last axis (Zhang and Sennrich 2019, arXiv 1910.07467)."""
    square = np.square(hidden).mean(axis=-1, keepdims=True)
    normed: Floats = hidden / np.sqrt(square + np.float32(epsilon)) * weight
    return normed


def _silu(values: Floats) -> Floats:
    with np.errstate(over="ignore"):  # exp of a large negative value is infinite, the result 0
        active: Floats = values / (1 + np.exp(-values))
    return active


def _gelu_tanh(values: Floats) -> Floats:
    inner = np.float32(np.sqrt(2 / np.pi)) * (values + np.float32(0.044715) * values**3)
    active: Floats = values * np.float32(0.5) * (1 + np.tanh(inner))
    return active


_ACTIVATIONS = {"silu": _silu, "gelu_tanh": _gelu_tanh}


def logits(network: Network, product: Floats) -> Floats:
    """The scores of the next token from the product of the head."""
    product = product * np.float32(network.logits_scale)
    cap = network.logits_softcap
    return product if cap is None else _bent(product, cap)


def _bent(scores: Floats, cap: float) -> Floats:
    bent: Floats = np.tanh(scores / np.float32(cap)) * np.float32(cap)
    return bent


class _Attention:
    """One block's causal attention over windows of ``tokens`` tokens."""

    def __init__(self, checkpoint: Weights, network: Network, one: Attention, tokens: int) -> None:
        self._attention = one
        self._epsilon = network.norm_epsilon
        self._bias, self._query_norm, self._key_norm = (
            None if vector is None else read_vector(checkpoint, vector)
            for vector in (one.bias, one.query_norm, one.key_norm)
        )
        rope = one.rope
        self._rotation = None if rope is None else _rotation(rope, tokens)
        self._growth = None if rope is None else _growth(rope, tokens)
        distance = np.arange(tokens)[:, None] - np.arange(tokens)[None, :]
        self._masked = (distance < 0) | (distance >= (one.window or tokens))

    def __call__(self, joint: Floats) -> Floats:
        """float32 [tokens, heads * head_dim] of a window's joint query, key and value."""
        query, key, value = self._split(joint)
        scores: Floats = query @ key.transpose(0, 2, 1)
        scores *= np.float32(self._attention.scale)
        if self._attention.softcap is not None:
            scores = _bent(scores, self._attention.softcap)
        scores[:, self._masked] = -np.inf
        scores -= scores.max(axis=-1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=-1, keepdims=True)
        attended: Floats = (scores @ value).transpose(1, 0, 2)
        return attended.reshape(len(joint), -1)

    def _split(self, joint: Floats) -> tuple[Floats, Floats, Floats]:
        """Each [heads, tokens, head_dim], normed and rotated; keys and values for all heads."""
        one = self._attention
        if self._bias is not None:
            joint = joint + self._bias
        widths = np.cumsum([one.heads, one.kv_heads]) * one.head_dim
        query, key, value = np.split(joint, widths, axis=-1)
        query = self._rotate(self._heads(query, self._query_norm))
        key = self._rotate(self._heads(key, self._key_norm))
        if self._growth is not None:
            query = query * self._growth
        times = one.heads // one.kv_heads
        key, value = (np.repeat(part, times, axis=0) for part in (key, self._heads(value, None)))
        return query, key, value

    def _heads(self, part: Floats, weight: Floats | None) -> Floats:
        """[heads, tokens, head_dim], normed over as much as the weight is long."""
        heads = part.reshape(len(part), -1, self._attention.head_dim)
        if weight is not None:
            whole = part.reshape(len(part), -1, len(weight))
            heads = norm(whole, weight, self._epsilon).reshape(heads.shape)
        return heads.transpose(1, 0, 2)

    def _rotate(self, heads: Floats) -> Floats:
        if self._rotation is None:
            return heads
        cosine, sine = self._rotation
        rotated, rest = heads[..., : cosine.shape[-1]], heads[..., cosine.shape[-1] :]
        first, second = np.split(rotated, 2, axis=-1)
        swapped = np.concatenate([-second, first], axis=-1)
        return np.concatenate([rotated * cosine + swapped * sine, rest], axis=-1)


def _rotation(rope: Rope, tokens: int) -> tuple[Floats, Floats]:
    """Cosine and sine, each float32 [tokens, dimensions]."""
    frequencies = np.array(rope.frequencies * 2)
    angles = np.arange(tokens)[:, None] * frequencies[None, :]
    cosine, sine = np.cos(angles) * rope.magnitude, np.sin(angles) * rope.magnitude
    return cosine.astype(np.float32), sine.astype(np.float32)


def _growth(rope: Rope, tokens: int) -> Floats | None:
    """Factors of the queries, float32 [tokens, 1]."""
    if not rope.growth:
        return None
    steps = np.arange(tokens) // rope.growth_step
    return (1 + rope.growth * np.log1p(steps)).astype(np.float32)[:, None]
