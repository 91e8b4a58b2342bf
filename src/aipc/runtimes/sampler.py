"""Choosing the next token from a model's scores, for runtimes whose own sampler can't be used.

The order is transformers': repetition penalty, temperature, top-k, top-p.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from aipc.runtimes.base import Decoding

Scores = npt.NDArray[np.float32]
_BEHIND = 1e5  # more than any score, and float32 still tells apart those behind


class Sampler:
    """Makes the choices of one answer; the same seed makes the same ones again."""

    def __init__(self, decoding: Decoding, prompt: Sequence[int]) -> None:
        self._decoding = decoding
        self._random = np.random.default_rng(decoding.seed)
        self._seen = set(prompt)

    def choose(self, scores: Scores) -> int:
        """The next token, an index of ``scores`` (logits [vocabulary], float32, left unchanged)."""
        scores = self._penalized(scores)
        token = int(scores.argmax()) if self._decoding.temperature == 0 else self._draw(scores)
        self.note(token)
        return token

    def note(self, token: int) -> None:
        """Count a token that was chosen otherwise, for the repetition penalty."""
        self._seen.add(token)

    def rank(self, scores: Scores) -> Scores:
        """Scores whose highest is the choice, among all tokens or whichever of them are allowed.

        Sampled with noise in place of a draw (Gumbel-max: Maddison et al. 2014, A* Sampling,
        section 2).  What top_k and top_p take away comes after all that they keep.
        """
        scores = self._penalized(scores)
        if self._decoding.temperature == 0:
            return scores
        kept, _ = self._kept(scores)
        ranked = scores.astype(np.float64) / self._decoding.temperature
        ranked -= ranked.max() + _BEHIND
        ranked[kept] += _BEHIND
        return (ranked + self._random.gumbel(size=scores.size)).astype(np.float32)

    def _penalized(self, scores: Scores) -> Scores:
        """Keskar et al. 2019, CTRL, section 4.1: a negative score is multiplied instead."""
        if self._decoding.repetition_penalty == 1.0:
            return scores
        seen = np.fromiter((t for t in self._seen if t < scores.size), np.int64)
        penalty = np.float32(self._decoding.repetition_penalty)
        changed = scores.copy()
        old = scores[seen]
        changed[seen] = np.where(old < 0, old * penalty, old / penalty)
        return changed

    def _draw(self, scores: Scores) -> int:
        candidates, shares = self._kept(scores)
        sums = shares.cumsum()
        at = int(np.searchsorted(sums, self._random.random() * sums[-1], side="right"))
        return int(candidates[min(at, candidates.size - 1)])

    def _kept(self, scores: Scores) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """The tokens that top_k and top_p leave, and their shares of anything."""
        candidates = _likeliest(scores, self._decoding.top_k)
        scaled = scores[candidates].astype(np.float64) / self._decoding.temperature
        shares = np.exp(scaled - scaled.max())
        if self._decoding.top_p < 1.0:
            order = np.argsort(-shares, kind="stable")
            candidates, shares = candidates[order], shares[order]
            kept = _nucleus(shares, self._decoding.top_p)
            candidates, shares = candidates[:kept], shares[:kept]
        return candidates, shares


def logprob(scores: Scores, token: int) -> float:
    """Natural logarithm of the share that a softmax of ``scores`` [vocabulary] gives ``token``."""
    highest = float(scores.max())
    total = np.exp(scores.astype(np.float64) - highest).sum()
    return float(scores[token]) - highest - math.log(total)


def _likeliest(scores: Scores, count: int) -> npt.NDArray[np.int64]:
    """Indices of the ``count`` highest scores, in no order; of all where it is 0."""
    if count == 0 or count >= scores.size:
        return np.arange(scores.size)
    return np.argpartition(-scores, count - 1)[:count]


def _nucleus(shares: npt.NDArray[np.float64], share: float) -> int:
    """How many of the falling ``shares`` it takes to hold ``share`` of their sum."""
    sums = shares.cumsum()
    return int(np.searchsorted(sums, share * sums[-1])) + 1
