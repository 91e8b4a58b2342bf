"""Choosing the next token from a model's scores, for runtimes whose own sampler can't be used.

The order is transformers': biases, penalties, temperature, top-k, top-p and min-p, which counts by
the likeliest token, so that it may come before top-p as well.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from aipc.runtimes.base import Alternatives, Decoding

Scores = npt.NDArray[np.float32]
_BEHIND = 1e5  # more than any score, and float32 still tells apart those behind


class Sampler:
    """Makes the choices of one answer; the same seed makes the same ones again."""

    def __init__(self, decoding: Decoding, prompt: Sequence[int]) -> None:
        self._decoding = decoding
        self._biases = dict(decoding.logit_bias)
        self._random = np.random.default_rng(decoding.seed)
        self._seen = set(prompt)
        self._answered: Counter[int] = Counter()

    def choose(self, scores: Scores) -> int:
        """The next token, an index of ``scores`` (logits [vocabulary], float32, left unchanged)."""
        scores = self.penalized(scores)
        token = int(scores.argmax()) if self._decoding.temperature == 0 else self._draw(scores)
        self.note(token)
        return token

    def note(self, token: int) -> None:
        """Count a token that was chosen otherwise, for the penalties."""
        self._seen.add(token)
        self._answered[token] += 1

    def rank(self, scores: Scores) -> Scores:
        """Scores whose highest is the choice, among all tokens or whichever of them are allowed.

        Sampled with noise in place of a draw (Gumbel-max: Maddison et al. 2014, A* Sampling,
        section 2).  What top_k, top_p and min_p take away comes after all that they keep.
        """
        scores = self.penalized(scores)
        if self._decoding.temperature == 0:
            return scores
        kept, _ = self._kept(scores)
        ranked = scores.astype(np.float64) / self._decoding.temperature
        ranked -= ranked.max() + _BEHIND
        ranked[kept] += _BEHIND
        return (ranked + self._random.gumbel(size=scores.size)).astype(np.float32)

    def penalized(self, scores: Scores) -> Scores:
        """``scores`` with biases and penalties, before temperature and draw."""
        repetition = np.float32(self._decoding.repetition_penalty)
        presence, frequency = self._decoding.presence_penalty, self._decoding.frequency_penalty
        if repetition == 1.0 and presence == frequency == 0.0 and not self._biases:
            return scores
        changed = scores.copy()
        for token, bias in self._biases.items():
            changed[token] += np.float32(bias)
        if repetition != 1.0:  # Keskar et al. 2019, CTRL, 4.1: negative scores are multiplied
            seen = np.fromiter((t for t in self._seen if t < scores.size), np.int64)
            old = changed[seen]
            changed[seen] = np.where(old < 0, old * repetition, old / repetition)
        answered = np.fromiter(self._answered.keys(), np.int64)
        times = np.fromiter(self._answered.values(), np.float32)
        changed[answered] -= np.float32(presence) + np.float32(frequency) * times
        return changed

    def _draw(self, scores: Scores) -> int:
        candidates, shares = self._kept(scores)
        sums = shares.cumsum()
        at = int(np.searchsorted(sums, self._random.random() * sums[-1], side="right"))
        return int(candidates[min(at, candidates.size - 1)])

    def _kept(self, scores: Scores) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """The tokens that top_k, top_p and min_p leave, and their shares of anything."""
        candidates = _likeliest(scores, self._decoding.top_k)
        scaled = scores[candidates].astype(np.float64) / self._decoding.temperature
        shares = np.exp(scaled - scaled.max())
        if self._decoding.top_p < 1.0:
            order = np.argsort(-shares, kind="stable")
            candidates, shares = candidates[order], shares[order]
            kept = _nucleus(shares, self._decoding.top_p)
            candidates, shares = candidates[:kept], shares[:kept]
        likely = shares >= self._decoding.min_p * shares.max()
        return candidates[likely], shares[likely]


class JudgedTokens:
    """What a `aipc.runtimes.base.Generation` tells of its tokens, where they are judged here."""

    def __init__(self, decoding: Decoding) -> None:
        self._asked = decoding
        self.logprobs: list[float] = []
        self.top_logprobs: list[Alternatives] = []
        self.cached_tokens = 0

    def judge(self, scores: Scores, token: int) -> None:
        """``token`` was chosen at a place with these ``scores`` [vocabulary]."""
        if self._asked.logprobs:
            chosen, top = logprobs_of(scores, token, self._asked.top_logprobs)
            self.logprobs.append(chosen)
            self.top_logprobs.append(top)


def logprobs_of(scores: Scores, token: int, count: int) -> tuple[float, Alternatives]:
    """Natural logarithms of the shares that a softmax of ``scores`` [vocabulary] gives.

    That of ``token``, and those of the ``count`` likeliest tokens.
    """
    highest = float(scores.max())
    total = math.log(np.exp(scores.astype(np.float64) - highest).sum()) + highest
    top = _likeliest(scores, count) if count else np.arange(0)
    ranked = sorted(top.tolist(), key=lambda one: (-scores[one], one))
    return float(scores[token]) - total, tuple((one, float(scores[one]) - total) for one in ranked)


def _likeliest(scores: Scores, count: int) -> npt.NDArray[np.int64]:
    """Indices of the ``count`` highest scores, in no order; of all where it is 0."""
    if count == 0 or count >= scores.size:
        return np.arange(scores.size)
    return np.argpartition(-scores, count - 1)[:count]


def _nucleus(shares: npt.NDArray[np.float64], share: float) -> int:
    """How many of the falling ``shares`` it takes to hold ``share`` of their sum."""
    sums = shares.cumsum()
    return int(np.searchsorted(sums, share * sums[-1])) + 1
