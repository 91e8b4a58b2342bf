"""How far a model's next-token distribution lies from another's, and from the text, by position."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aipc.errors import MeasurementError
from aipc.generate import GREEDY, collect
from aipc.measure.quality.passages import Window
from aipc.measure.statistics import Interval, of_share
from aipc.runtimes.base import Scorer

if TYPE_CHECKING:
    from aipc.session.session import Session


ROWS = 16
"""Places compared at a time: what fits the cache."""

LEAST = np.float32(-1e4)
"""In place of the logarithm of nothing, which some graphs give for tokens that can't come."""

Floats = npt.NDArray[np.float32]
Rows = tuple[Floats, npt.NDArray[np.int64]]
"""Scores [positions, vocabulary], and the ids [positions] of the tokens that do follow."""


@dataclass(frozen=True)
class PositionScores:
    """What was found at each judged position, in the text's order; arrays [positions].

    The last three are empty without a reference.
    """

    loss: Floats
    """Negative log-likelihood of the token that follows, in nats."""
    kl: Floats
    """Kullback-Leibler divergence of the model from the reference, in nats."""
    rank: npt.NDArray[np.int64]
    """How many tokens the reference thinks likelier than the one the model thinks likeliest."""
    reference_loss: Floats

    def __len__(self) -> int:
        return len(self.loss)


def judged(scorer: Scorer, windows: Iterable[Window]) -> Iterator[Rows]:
    """Scores at the judged positions of the windows, a few rows at a time."""
    for window in windows:
        at = 0
        for piece in scorer.logits(window.ids):
            start = max(window.first - at, 0)
            stop = min(len(window.ids) - 1 - at, len(piece))
            for row in range(start, stop, ROWS):
                end = min(row + ROWS, stop)
                following = window.ids[at + row + 1 : at + end + 1]
                yield piece[row:end], np.array(following, np.int64)
            at += len(piece)


def compare(
    scorer: Scorer, windows: Sequence[Window], reference: npt.NDArray[np.float16] | None
) -> PositionScores:
    """Judge a model by the text and, where given, by a reference.

    ``reference`` has the reference's log-probabilities float16 [positions, vocabulary], as
    `aipc.measure.quality.reference` keeps them.

    Raises:
        MeasurementError: the two have different vocabularies, or the scores are no numbers.
        EngineError: the scorer's.
    """
    found: list[tuple[npt.NDArray[np.generic], ...]] = []
    done = 0
    for scores, following in judged(scorer, windows):
        ours = log_softmax(scores)
        loss = -ours[np.arange(len(following)), following]
        if reference is None:
            found.append((loss,))
        else:
            found.append((loss, *_against(ours, reference[done : done + len(ours)], following)))
        done += len(following)
    columns = [np.concatenate(column) for column in zip(*found, strict=True)]
    nothing = np.zeros(0, np.float32)
    positions = PositionScores(*columns, *[nothing] * (4 - len(columns)))
    if not np.isfinite(positions.loss).all():
        raise MeasurementError(
            f"the model's scores are no numbers at {np.sum(~np.isfinite(positions.loss)):,} of "
            f"{len(positions):,} positions",
            "its artifact or the device computes wrongly: convert it again, or try --device cpu",
        )
    return positions


def log_softmax(scores: Floats) -> Floats:
    """Log-probabilities of each row of scores, in nats."""
    shifted: Floats = scores - scores.max(axis=-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return np.maximum(shifted, LEAST, out=shifted)


def _against(
    ours: Floats, reference: npt.NDArray[np.float16], following: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.generic], ...]:
    if reference.shape != ours.shape:
        raise MeasurementError(
            f"the model has a vocabulary of {ours.shape[1]:,} and the reference one of "
            f"{reference.shape[1]:,}",
            "name the float model that it was made from with --against",
        )
    theirs = reference.astype(np.float32)
    at = np.arange(len(following))
    kl = np.einsum("tv,tv->t", np.exp(theirs), theirs - ours)
    top = theirs[at, ours.argmax(axis=-1)]
    rank = np.count_nonzero(theirs > top[:, None], axis=-1)
    return kl, rank, -theirs[at, following]


@dataclass(frozen=True)
class Agreement:
    """``top1`` is the share of ``places`` where the model's greedy token is the reference's."""

    places: int
    top1: Interval


def measure_agreement(
    session: Session, windows: Sequence[Window], logprobs: npt.NDArray[np.float16], count: int
) -> Agreement:
    """Agreement with the reference where a device gives no scores: by having it answer.

    At ``count`` positions spread evenly over the text (or at all, where it has fewer) the model
    is given the text so far and generates one greedy token; counted is how often it is the
    likeliest of ``logprobs``, which `aipc.measure.quality.reference` keeps for the same windows.
    That estimates the same share as `Quality.top1`, from fewer positions.

    Raises:
        AipcError: what `Session.stream_ids` raises.
    """
    prompts = list(_prompts(windows))
    chosen = np.unique(np.linspace(0, len(prompts) - 1, count).round().astype(int))
    right = sum(_next_token(session, prompts[at]) == int(logprobs[at].argmax()) for at in chosen)
    return Agreement(len(chosen), of_share(right, len(chosen)))


def _prompts(windows: Sequence[Window]) -> Iterator[tuple[int, ...]]:
    for window in windows:
        for position in range(window.first, len(window.ids) - 1):
            yield window.ids[: position + 1]


def _next_token(session: Session, prompt: Sequence[int]) -> int:
    events = session.stream_ids(prompt, stop_ids=(), max_new_tokens=1, **GREEDY)
    return collect(events).tokens[0]


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
    first = len(context) - 1  # the position that tells of the first token that follows
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
