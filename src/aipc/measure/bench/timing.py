"""When each token of an answer arrives: the one clock that benchmark and tuning share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aipc.errors import MeasurementError
from aipc.generate import GREEDY
from aipc.runtimes.base import Decoding, Engine

if TYPE_CHECKING:
    from aipc.session.session import Session

Answer = Callable[[Sequence[int], int], Iterator[int]]
"""Called with a prompt's token ids and how many tokens the answer has; how many came at once."""


@dataclass(frozen=True)
class Timed:
    """``times``: for each prompt, seconds from the start to each token; ``seconds``: to the end."""

    times: tuple[tuple[float, ...], ...]
    seconds: float


def engine_answers(engine: Engine) -> Answer:
    """Greedy, exactly as long as requested: no token ends it."""

    def answer(prompt: Sequence[int], tokens: int) -> Iterator[int]:
        for _ in engine.start(prompt, Decoding(tokens), frozenset()):
            yield 1

    return answer


def session_answers(session: Session) -> Answer:
    """As `engine_answers`, with all that a session does for each token: text and events.

    Tokens that make no whole character yet arrive with the one that completes it.
    """

    def answer(prompt: Sequence[int], tokens: int) -> Iterator[int]:
        events = session.stream_ids(
            prompt,
            stop_ids=(),
            max_new_tokens=tokens,
            **GREEDY,
        )
        return (len(getattr(event, "tokens", ())) for event in events)

    return answer


def time_answers(answer: Answer, prompts: Sequence[Sequence[int]], tokens: int) -> Timed:
    """Answer all ``prompts`` at once, each in a thread of its own, with ``tokens`` tokens each.

    Raises:
        MeasurementError: an answer that ends early.
        AipcError: whatever the engine raises.
    """
    together = threading.Barrier(len(prompts) + 1)

    def timed(prompt: Sequence[int]) -> list[float]:
        together.wait()
        return _arrivals(answer(prompt, tokens), started)

    if len(prompts) == 1:  # without a thread's switches, which the peers do not pay either
        started = time.perf_counter()
        times = [_arrivals(answer(prompts[0], tokens), started)]
    else:
        with ThreadPoolExecutor(len(prompts)) as pool:
            running = [pool.submit(timed, prompt) for prompt in prompts]
            started = time.perf_counter()
            together.wait()
            times = [one.result() for one in running]
    seconds = time.perf_counter() - started
    short = next((len(one) for one in times if len(one) != tokens), None)
    if short is not None:
        raise MeasurementError(
            f"an answer of {tokens} tokens ended after {short}",
            "choose lengths that fit the model's context together",
        )
    return Timed(tuple(map(tuple, times)), seconds)


def _arrivals(counts: Iterator[int], started: float) -> list[float]:
    arrivals: list[float] = []
    for count in counts:
        arrivals += [time.perf_counter() - started] * count
    return arrivals
