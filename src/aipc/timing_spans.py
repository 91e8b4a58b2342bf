"""Where the time goes: the stages of one piece of work, each with its wall seconds.

`recorded` opens a recording, `span` names a part of the work wherever in the program it is
done; without a recording it costs nothing.  `told` has the same parts told as they begin, to a
person who waits.  Both belong to the thread that opened them: `beside` carries them into another.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")

_depth: ContextVar[int] = ContextVar("depth", default=0)


@dataclass
class TimingSpan:
    """``depth`` 0 is the work itself's, 1 is a part of the stage before it, and so on."""

    name: str
    depth: int
    seconds: float = 0.0


_recording: ContextVar[list[TimingSpan] | None] = ContextVar("recording", default=None)
_listener: ContextVar[Callable[[str], None] | None] = ContextVar("listener", default=None)


@contextmanager
def recorded() -> Iterator[list[TimingSpan]]:
    """The stages that are entered within the block, in the order in which they begin."""
    stages: list[TimingSpan] = []
    was = _recording.set(stages), _depth.set(0)
    try:
        yield stages
    finally:
        _recording.reset(was[0])
        _depth.reset(was[1])


@contextmanager
def told(listener: Callable[[str], None]) -> Iterator[None]:
    """Within the block ``listener`` hears what is being done, in words for people."""
    was = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(was)


@contextmanager
def span(name: str, doing: str = "") -> Iterator[None]:
    """Time the block as a stage, its own stages included.

    ``doing`` says what is being done to who waits; empty: not worth a word.
    """
    listener, stages = _listener.get(), _recording.get()
    if doing and listener is not None:
        listener(doing)
    if stages is None:
        yield
        return
    begun = TimingSpan(name, _depth.get())
    stages.append(begun)
    token = _depth.set(begun.depth + 1)
    started = time.perf_counter()
    try:
        yield
    finally:
        begun.seconds = time.perf_counter() - started
        _depth.reset(token)


def beside(name: str, work: Callable[..., T]) -> Callable[..., T]:
    """``work`` as a stage of this thread's recording, to be called in another thread."""
    context = copy_context()

    def timed(*arguments: Any) -> T:
        with span(name):
            return work(*arguments)

    return lambda *arguments: context.run(timed, *arguments)
