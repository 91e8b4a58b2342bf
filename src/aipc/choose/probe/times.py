"""What stacks of a model's shape took on one device, timed in a process of its own.

The process speaks over its pipes (`aipc.child`): a task as JSON on a line, the times on another.
A runtime that crashes, hangs or eats the memory takes this process with it, and no other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aipc.devices.system.memory import peak_memory
from aipc.records import plain, read
from aipc.runtimes.base import Decoding, Engine
from aipc.runtimes.registry import RUNTIMES

PROMPT = 64
"""Tokens: enough for a product that computes them together."""
TOKENS = 12
SPAN = 4
"""Tokens; a single one may have been ready before it was asked for."""
SHORT, SHORTS = 8, 4
"""The first token after each of four prompts of eight tells whether two runtimes agree."""
_NOTHING: frozenset[int] = frozenset()


@dataclass(frozen=True)
class StackTask:
    """``stacks`` are the folders of the small, the large and the wide one, in this order."""

    runtime: str
    device: str
    properties: Mapping[str, str]
    stacks: tuple[str, ...]
    rows: int
    """Of each stack's embedding, at least: token ids are below it."""


@dataclass(frozen=True)
class StackTimes:
    """Of one stack, in seconds."""

    load_s: float
    cold_s: float
    """To the first token of the first prompt of `PROMPT` tokens."""
    prompt_s: float
    """To the first token of another one."""
    token_s: float
    """A further token: of the `SPAN` tokens in a row that other programs disturbed least."""


@dataclass(frozen=True)
class DeviceTimes:
    """Of every stack of a task."""

    start_s: float
    """What the first loading of a process takes more than others: the runtime's own start."""
    small: StackTimes
    large: StackTimes
    wide: StackTimes
    memory: int
    """Bytes that the process had at most, for the large stack, above what it has without one."""
    answers: tuple[int, ...]
    """The tokens that the wide stack gave after the short prompts."""


def time_stacks(task: StackTask, tell: Callable[[str], None]) -> DeviceTimes:
    """Load every stack and have it answer; ``tell`` gets "loading" or "answering" before each.

    Raises:
        AipcError: the runtime can't load or run one.
    """
    small, large, wide = task.stacks
    tell("loading")
    first = _load_s(task, small)
    before = peak_memory()
    large_times, _ = time_stack(task, large, tell)
    memory = peak_memory() - before
    small_times, _ = time_stack(task, small, tell)
    wide_times, answers = time_stack(task, wide, tell)
    start_s = max(first - small_times.load_s, 0.0)
    return DeviceTimes(start_s, small_times, large_times, wide_times, memory, answers)


def prompts(rows: int, length: int, count: int) -> list[list[int]]:
    """Token ids below ``rows``, no prompt beginning like another: no cache of one helps another."""
    step = max(rows // 7, 1)
    return [
        [(first + 1 + at * (step + first)) % rows for at in range(length)] for first in range(count)
    ]


def _load_s(task: StackTask, stack: str) -> float:
    started = time.perf_counter()
    engine = _open(task, stack)
    elapsed = time.perf_counter() - started
    engine.close()
    return elapsed


def time_stack(
    task: StackTask, stack: str, tell: Callable[[str], None]
) -> tuple[StackTimes, tuple[int, ...]]:
    """The times of the stack in this folder, and what it answers to the short prompts.

    Raises:
        AipcError: the runtime can't load or run it.
    """
    tell("loading")
    started = time.perf_counter()
    engine = _open(task, stack)
    load_s = time.perf_counter() - started
    try:
        tell("answering")
        cold, warm, last = prompts(task.rows, PROMPT, 3)
        cold_s, _ = _answer(engine, cold, 2)
        warm_s, _ = _answer(engine, warm, 2)
        last_s, times = _answer(engine, last, TOKENS)
        shorts = prompts(task.rows, SHORT, SHORTS)
        answers = tuple(next(iter(engine.start(one, Decoding(1), _NOTHING))) for one in shorts)
    finally:
        engine.close()
    prompt_s = min(warm_s, last_s)
    spans = [after - before for before, after in zip(times, times[SPAN:], strict=False)]
    return StackTimes(load_s, max(cold_s, prompt_s), prompt_s, min(spans) / SPAN), answers


def _open(task: StackTask, stack: str) -> Engine:
    return RUNTIMES.get(task.runtime).open(Path(stack), task.device.lower(), task.properties)


def _answer(engine: Engine, prompt: Sequence[int], tokens: int) -> tuple[float, list[float]]:
    """Seconds to the first token, and when each came."""
    started = time.perf_counter()
    times = [time.perf_counter() for _ in engine.start(prompt, Decoding(tokens), _NOTHING)]
    return times[0] - started, times


def main() -> None:
    """Answer one task."""
    from aipc import telemetry
    from aipc.child import one_task
    from aipc.errors import AipcError

    telemetry.switch_off()
    told, tell = one_task()
    task = read(StackTask, told)
    try:
        times = time_stacks(task, lambda stage: tell({"stage": stage}))
    except AipcError as error:
        tell({"error": error.what})
    else:
        tell({"times": plain(times)})


if __name__ == "__main__":
    main()
