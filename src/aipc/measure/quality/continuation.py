"""How likely a model thinks that one sequence of tokens goes on with another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aipc.measure.quality.divergence import log_softmax
from aipc.runtimes.base import Scorer


@dataclass(frozen=True)
class Continued:
    """``logprob`` of all tokens together in nats; ``greedy``: each was the likeliest."""

    logprob: float
    greedy: bool


def continued(scorer: Scorer, context: Sequence[int], following: Sequence[int]) -> Continued:
    """Score ``following`` (at least one token) after ``context`` (at least one).

    Raises:
        EngineError: the scorer's.
    """
    ids = [*context, *following]
    first = len(context) - 1  # the place that tells of the first token that follows
    logprob, greedy, at = 0.0, True, 0
    for piece in scorer.logits(ids[:-1]):
        rows = log_softmax(piece[max(first - at, 0) :])
        begin = max(first, at) + 1
        wanted = np.array(ids[begin : begin + len(rows)], np.int64)
        if len(wanted):
            logprob += float(rows[np.arange(len(wanted)), wanted].sum(dtype=np.float64))
            greedy = greedy and bool((rows.argmax(axis=-1) == wanted).all())
        at += len(piece)
    return Continued(logprob, greedy)
