"""Causal attention in numpy, and what else a network computes between its products."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from aipc.checkpoint import Weights
from aipc.convert.network import Attention, Network
from aipc.convert.parts import Vector
from aipc.convert.quantizers.rtn import Floats
from aipc.convert.rope import Rope


def read_vector(checkpoint: Weights, vector: Vector) -> Floats:
    """The float32 values of a vector, its offset added."""
    values = np.concatenate([checkpoint.rows(tensor) for tensor in vector.tensors])
    return values + np.float32(vector.offset)


def norm(hidden: Floats, weight: Floats, epsilon: float) -> Floats:
    """Root mean square norm over the last axis (Zhang and Sennrich 2019, arXiv 1910.07467)."""
    square = np.square(hidden).mean(axis=-1, keepdims=True)
    normed: Floats = hidden / np.sqrt(square + np.float32(epsilon)) * weight
    return normed


def normalized(
    checkpoint: Weights, values: Floats, weight: Vector | None, epsilon: float
) -> Floats:
    """Values after a norm, or a layer norm, as the weight says; as they are without one."""
    if weight is None:
        return values
    if weight.bias is None:
        return norm(values, read_vector(checkpoint, weight), epsilon)
    values = values - values.mean(axis=-1, keepdims=True)
    normed = norm(values, read_vector(checkpoint, weight), epsilon)
    return normed + read_vector(checkpoint, weight.bias)


def biased(checkpoint: Weights, values: Floats, bias: Vector | None) -> Floats:
    return values if bias is None else values + read_vector(checkpoint, bias)


def sigmoid(values: Floats) -> Floats:
    with np.errstate(over="ignore"):  # exp of a large negative value is infinite, the result 0
        share: Floats = np.reciprocal(1 + np.exp(-values))
    return share


def silu(values: Floats) -> Floats:
    with np.errstate(over="ignore"):
        active: Floats = values / (1 + np.exp(-values))
    return active


def bend(scores: Floats, cap: float) -> Floats:
    bent: Floats = np.tanh(scores / np.float32(cap)) * np.float32(cap)
    return bent


class CausalAttention:
    """One block's attention over windows of ``tokens`` tokens."""

    def __init__(self, checkpoint: Weights, network: Network, one: Attention, tokens: int) -> None:
        source = one if one.shares is None else network.blocks[one.shares].mixer
        if isinstance(source, Attention):  # the keys come from there, before their norm
            one = replace(one, key_norm=source.key_norm)
        self._attention = one
        self._epsilon = network.norm_epsilon
        self._bias, self._query_norm, self._key_norm = (
            None if vector is None else read_vector(checkpoint, vector)
            for vector in (one.bias, one.query_norm, one.key_norm)
        )
        self._value_norm = np.ones(one.head_dim, np.float32) if one.norms_values else None
        sinks = None if one.sinks is None else read_vector(checkpoint, one.sinks)
        self._sinks = None if sinks is None else sinks[:, None, None]
        rope = one.rope
        self._rotation = None if rope is None else _rotation(rope, tokens)
        self._growth = None if rope is None else _growth(rope, tokens)
        distance = np.arange(tokens)[:, None] - np.arange(tokens)[None, :]
        ahead = distance < 0 if network.causal else False
        self._masked = ahead | (np.abs(distance) >= (one.window or tokens))

    def __call__(self, joint: Floats) -> Floats:
        """float32 [tokens, heads * head_dim] of a window's joint query, key and value."""
        query, gate, key, value = self._split(joint)
        scores: Floats = query @ key.transpose(0, 2, 1)
        scores *= np.float32(self._attention.scale)
        if self._attention.softcap is not None:
            scores = bend(scores, self._attention.softcap)
        scores[:, self._masked] = -np.inf
        scores = self._shares(scores)
        attended: Floats = (scores @ value).transpose(1, 0, 2)
        if gate is not None:
            attended = attended * sigmoid(gate)
        return attended.reshape(len(joint), -1)

    def _shares(self, scores: Floats) -> Floats:
        """Softmax of scores [heads, tokens, tokens], which are overwritten."""
        greatest = scores.max(axis=-1, keepdims=True)
        if self._sinks is not None:
            greatest = np.maximum(greatest, self._sinks)
        scores -= greatest
        np.exp(scores, out=scores)
        total = scores.sum(axis=-1, keepdims=True)
        if self._sinks is not None:
            total = total + np.exp(self._sinks - greatest)
        scores /= total
        return scores

    def _split(self, joint: Floats) -> tuple[Floats, Floats | None, Floats, Floats]:
        """Query, gate [tokens, heads, head_dim] or None, key and value.

        The others are [heads, tokens, head_dim], normed and rotated; keys and values for all heads.
        """
        one = self._attention
        if self._bias is not None:
            joint = joint + self._bias
        widths = np.cumsum([one.query_rows, one.kv_heads * one.head_dim])
        query, key, value = np.split(joint, widths, axis=-1)
        gate = None
        if one.gated:
            pairs = query.reshape(len(query), one.heads, 2, one.head_dim)
            query, gate = pairs[:, :, 0].reshape(len(query), -1), pairs[:, :, 1]
        query = self._rotate(self._heads(query, self._query_norm))
        key = self._rotate(self._heads(key, self._key_norm))
        if self._growth is not None:
            query = query * self._growth
        times = one.heads // one.kv_heads
        value = self._heads(value, self._value_norm)
        return query, gate, np.repeat(key, times, axis=0), np.repeat(value, times, axis=0)

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
    frequencies, magnitude = rope.within(tokens)
    angles = np.arange(tokens)[:, None] * np.array(frequencies * 2)[None, :]
    cosine, sine = np.cos(angles) * magnitude, np.sin(angles) * magnitude
    return cosine.astype(np.float32), sine.astype(np.float32)


def _growth(rope: Rope, tokens: int) -> Floats | None:
    """Factors of the queries, float32 [tokens, 1]."""
    if not rope.growth:
        return None
    steps = np.arange(tokens) // rope.growth_step
    return (1 + rope.growth * np.log1p(steps)).astype(np.float32)[:, None]
