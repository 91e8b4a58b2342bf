"""How much less likely than the judge's own choice a device's tokens are.

A sound device falls short of it where a near-tie falls the other way, and where tokens are drawn:
by as much, in the mean, as the judge's own distribution says.  Only what is beyond that tells of a
device that computes wrongly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aipc.runtimes.base import Decoding, Scorer
from aipc.runtimes.sampler import Sampler

MOST_SHORT = 0.5
"""Nats that an answer's tokens may be less likely than the judge's own, in the mean.  Measured with
the small model in int8: at most 0.03 by either runtime and the emulated NPU; 1.4 to 1.9 by English
that fits another prompt, of which the judge holds half of the tokens for the likeliest too; 13 by
tokens at random."""
_DEVIATIONS = 4.0
"""Standard deviations by which drawn tokens may lie further off: one answer in 30,000 does."""


@dataclass(frozen=True)
class Shortfall:
    """Of one answer, in nats a token."""

    mean: float
    """Beyond what drawing explains."""
    spread: float
    """One standard deviation of that mean, by chance; 0 where nothing was drawn."""
    tokens: int

    @property
    def is_wrong(self) -> bool:
        return not self.mean <= MOST_SHORT + _DEVIATIONS * self.spread


def shortfalls(scorer: Scorer, prompt: Sequence[int], tokens: Sequence[int]) -> Iterator[float]:
    """In nats, of each of ``tokens`` behind ``prompt``; 0 for the judge's own choice.

    Raises:
        EngineError: the runtime failed.
    """
    for row, token in zip(_rows(scorer, prompt, tokens), tokens, strict=True):
        yield max(float(row.max()) - float(row[token]), 0.0)


def shortfall_of(
    scorer: Scorer, prompt: Sequence[int], tokens: Sequence[int], decoding: Decoding
) -> Shortfall:
    """That of an answer whose tokens were chosen as ``decoding`` says, without a constraint.

    Raises:
        EngineError: the runtime failed.
    """
    sampler, temperature = Sampler(decoding, prompt), decoding.temperature
    excess, variance = 0.0, 0.0
    for row, token in zip(_rows(scorer, prompt, tokens), tokens, strict=True):
        scores = sampler.penalized(row)
        sampler.note(token)
        gaps = scores.max() - scores.astype(np.float64)
        excess += float(gaps[token])
        if temperature > 0:
            shares = np.exp(-gaps / temperature)
            shares /= shares.sum()
            expected = float((shares * gaps).sum())
            excess -= expected
            variance += float((shares * gaps**2).sum()) - expected**2
    count = len(tokens)
    return Shortfall(excess / count, math.sqrt(max(variance, 0.0)) / count, count)


def _rows(
    scorer: Scorer, prompt: Sequence[int], tokens: Sequence[int]
) -> Iterator[npt.NDArray[np.float32]]:
    """Scores [vocabulary] at the place of each of ``tokens``."""
    first, at = len(prompt) - 1, 0
    for piece in scorer.logits([*prompt, *tokens[:-1]]):
        yield from piece[max(first - at, 0) :]
        at += len(piece)
