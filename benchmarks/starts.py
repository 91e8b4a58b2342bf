"""A participant started in a process of its own: load, first prompt, second prompt, memory."""

from __future__ import annotations

import random
from dataclasses import dataclass

from aipc.measure.bench.runner import ParticipantProcess

COLD_TOKENS = 2


@dataclass(frozen=True)
class Start:
    """Seconds and bytes of one start."""

    load_s: float
    cold_s: float
    """From the first prompt to its first token."""
    warm_s: float
    """As ``cold_s``, of the second prompt."""
    step_s: float
    """From token to token of the second answer."""
    peak_bytes: int | None


def start(runner: ParticipantProcess, prompt: int, tokens: int, seed: int) -> Start:
    """Two answers to random prompts of ``prompt`` tokens, the second with ``tokens`` tokens.

    Raises:
        MeasurementError: it could not be loaded or run.
    """
    source = random.Random(seed)
    try:
        load = runner.load().seconds
        cold, warm = (
            runner.run([source.choices(range(300, 30000), k=prompt)], count)
            for count in (COLD_TOKENS, tokens)
        )
    finally:
        runner.close()
    (first,), (times,) = cold.times, warm.times
    step = (times[-1] - times[0]) / (len(times) - 1)
    return Start(load, first[0], times[0], step, warm.peak_memory_bytes)
