"""Agreement with the reference where a device tells no scores: by having it answer.

At places spread evenly over the text the model is given the text so far and asked for one
greedy token; counted is how often it is the reference's likeliest.  That estimates the same share
as `Quality.top1`, from fewer places.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aipc.generate import collect
from aipc.measure.quality.passages import Window
from aipc.measure.statistics import Interval, of_share

if TYPE_CHECKING:
    from aipc.session.session import Session


@dataclass(frozen=True)
class Agreement:
    """``top1`` is the share of ``places`` where the model's greedy token is the reference's."""

    places: int
    top1: Interval


def measure_agreement(
    session: Session, windows: Sequence[Window], truth: npt.NDArray[np.float16], places: int
) -> Agreement:
    """Ask for ``places`` tokens, or for as many as the text has places.

    ``truth`` is as `aipc.measure.quality.reference_logprobs` keeps it, for the same windows.

    Raises:
        AipcError: what `Session.stream_ids` raises.
    """
    prompts = list(_prompts(windows))
    chosen = np.unique(np.linspace(0, len(prompts) - 1, places).round().astype(int))
    right = sum(_next_token(session, prompts[at]) == int(truth[at].argmax()) for at in chosen)
    return Agreement(len(chosen), of_share(right, len(chosen)))


def _prompts(windows: Sequence[Window]) -> Iterator[tuple[int, ...]]:
    for window in windows:
        for place in range(window.first, len(window.ids) - 1):
            yield window.ids[: place + 1]


def _next_token(session: Session, prompt: Sequence[int]) -> int:
    events = session.stream_ids(
        prompt, stop_ids=(), max_new_tokens=1, temperature=0.0, repetition_penalty=1.0
    )
    return collect(events).tokens[0]
