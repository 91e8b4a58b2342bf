"""One setup in a process of its own, for `participant_loop`: the engine and nothing above it.

No rule and no record has a say in it: the engine gets exactly the properties that it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Run = Callable[[Sequence[Sequence[int]], int], Sequence[Sequence[float]]]


def load(options: dict[str, Any]) -> tuple[dict[str, Any], Run]:
    from aipc.measure.bench.timing import engine_answers, time_answers
    from aipc.runtimes.registry import RUNTIMES

    runtime = RUNTIMES.get(options["runtime"])
    engine = runtime.open(Path(options["artifact"]), options["device"], options["properties"])
    answer = engine_answers(engine)
    return dict(engine.facts), lambda prompts, tokens: time_answers(answer, prompts, tokens).times
