"""Convolutions and the delta rule in numpy, token after token; all arrays are float32."""

from __future__ import annotations

import numpy as np

from aipc.checkpoint import Weights
from aipc.convert.network import UNIT_EPSILON, GatedDelta, Network, ShortConvolution
from aipc.convert.quantizers.attention import norm, read_vector, sigmoid, silu
from aipc.convert.quantizers.rtn import Floats


class GatedConvolution:
    """One block's short convolution over a window."""

    def __init__(self, checkpoint: Weights, one: ShortConvolution) -> None:
        self._taps = read_vector(checkpoint, one.taps)
        self._bias, self._taps_bias = (
            np.float32(0) if vector is None else read_vector(checkpoint, vector)
            for vector in (one.bias, one.taps_bias)
        )

    def __call__(self, joint: Floats) -> Floats:
        """float32 [tokens, hidden] of a window's joint gates and value."""
        before, after, value = np.split(joint + self._bias, 3, axis=1)
        mixed: Floats = after * (convolve(before * value, self._taps) + self._taps_bias)
        return mixed


class DeltaRule:
    """One block's gated delta rule over a window."""

    def __init__(self, checkpoint: Weights, network: Network, one: GatedDelta) -> None:
        self._delta = one
        self._epsilon = network.norm_epsilon
        self._taps, decay, self._step_bias, self._norm = (
            read_vector(checkpoint, vector)
            for vector in (one.taps, one.decay, one.step_bias, one.norm)
        )
        self._speed = -np.exp(decay)

    def __call__(self, joint: Floats) -> Floats:
        """float32 [tokens, value_heads * value_dim] of a window's product."""
        one, ends = self._delta, np.cumsum(self._delta.widths)
        *_, gate, rate, step = np.split(joint, ends[:-1], axis=1)
        convolved = silu(convolve(joint[:, : ends[2]], self._taps))
        query, key, value = np.split(convolved, ends[:2], axis=1)
        times = one.value_heads // one.key_heads
        query, key = (
            np.repeat(unit(part.reshape(len(part), one.key_heads, -1)), times, axis=1)
            for part in (query, key)
        )
        steps: Floats = np.logaddexp(step + self._step_bias, np.float32(0))
        value = value.reshape(len(value), one.value_heads, -1)
        found = delta_rule(query, key, value, self._speed * steps, sigmoid(rate))
        normed = norm(found, self._norm, self._epsilon).reshape(len(joint), -1)
        mixed: Floats = normed * silu(gate)
        return mixed


def convolve(values: Floats, taps: Floats) -> Floats:
    """Of each channel of ``values`` [tokens, channels]; ``taps`` [channels, 1, n], the newest last.

    What is before the first token is zero.
    """
    count = taps.shape[-1]
    padded = np.concatenate([np.zeros((count - 1, values.shape[1]), np.float32), values])
    total = np.zeros_like(values)
    for tap in range(count):
        total += padded[tap : tap + len(values)] * taps[:, 0, tap]
    return total


def unit(vectors: Floats) -> Floats:
    """Vectors of the length 1, over the last axis."""
    square = np.square(vectors).sum(axis=-1, keepdims=True)
    normed: Floats = vectors / np.sqrt(square + np.float32(UNIT_EPSILON))
    return normed


def delta_rule(query: Floats, key: Floats, value: Floats, decay: Floats, rate: Floats) -> Floats:
    """What each query finds in its head's memory, [tokens, heads, value_dim].

    ``query`` and ``key`` are [tokens, heads, key_dim], ``value`` [tokens, heads, value_dim].  Each
    token's memory is the last one's times exp(``decay``), corrected by the share ``rate`` so that
    its key finds its value; both are [tokens, heads].
    """
    memory = np.zeros((*key.shape[1:], value.shape[2]), np.float32)
    found = np.empty_like(value)
    scale = np.float32(key.shape[2] ** -0.5)
    for token in range(len(key)):
        memory *= np.exp(decay[token])[:, None, None]
        one = key[token][:, :, None]
        error = value[token] - (memory * one).sum(axis=1)
        memory += one * (error * rate[token][:, None])[:, None, :]
        found[token] = (memory * query[token][:, :, None]).sum(axis=1) * scale
    return found
