"""One vector of the hidden states of a text's tokens, as sentence-transformers' Pooling has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from aipc.artifact.sentence_modules import PoolingMode

Floats = npt.NDArray[np.float32]
Counted = npt.NDArray[np.bool_]


def pool(states: Floats, counted: Counted, modes: Sequence[PoolingMode]) -> Floats:
    """Float32 [texts, hidden * modes], one mode's vector behind the other's.

    Args:
        states: float32 [texts, tokens, hidden].
        counted: bool [texts, tokens], of each text some tokens in a row: neither padding, nor of a
            prompt that is left out.
        modes: of `Pooling`.
    """
    return np.concatenate([_MODES[mode](states, counted) for mode in modes], axis=1)


def _first(states: Floats, counted: Counted) -> Floats:
    first: Floats = states[np.arange(len(states)), counted.argmax(axis=1)]
    return first


def _last(states: Floats, counted: Counted) -> Floats:
    return _first(states[:, ::-1], counted[:, ::-1])


def _most(states: Floats, counted: Counted) -> Floats:
    most: Floats = states.max(axis=1, where=counted[:, :, None], initial=-np.inf)
    return most


def _mean(states: Floats, counted: Counted) -> Floats:
    return _sum(states, counted / counted.sum(axis=1, keepdims=True))


def _root_mean(states: Floats, counted: Counted) -> Floats:
    """The sum over the square root of the number of tokens."""
    return _sum(states, counted / np.sqrt(counted.sum(axis=1, keepdims=True)))


def _rising_mean(states: Floats, counted: Counted) -> Floats:
    """The first token counts once, the second twice ..."""
    shares = counted * np.arange(1, counted.shape[1] + 1)
    return _sum(states, shares / shares.sum(axis=1, keepdims=True))


def _sum(states: Floats, shares: npt.NDArray[np.float64]) -> Floats:
    total: Floats = np.einsum("bt,bth->bh", shares.astype(np.float32), states)
    return total


_MODES: Mapping[PoolingMode, Callable[[Floats, Counted], Floats]] = {
    "cls": _first,
    "max": _most,
    "mean": _mean,
    "mean_sqrt_len_tokens": _root_mean,
    "weightedmean": _rising_mean,
    "lasttoken": _last,
}
