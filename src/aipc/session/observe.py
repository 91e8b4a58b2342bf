"""An engine that is seen at work: its speed is published, its device's counters are read."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING, Any

from aipc.devices.counters.counter import Counter
from aipc.devices.counters.watch import Seen, find_counters, watch
from aipc.runtimes.base import Alternatives, Decoding, Engine, Generation
from aipc.session_status import StatusPublisher

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class ObservedEngine:
    """The engine given, watched from its first answer under way to the last.

    ``kind`` is the kind of device that computes: "npu", "gpu", "cpu" …
    """

    def __init__(self, engine: Engine, kind: str, publication: StatusPublisher) -> None:
        self._engine = engine
        self._kind = kind
        self._publication = publication
        self._lock = threading.Lock()
        self._answers = 0
        self._watching = ExitStack()
        self._seen = Seen(kind)

    @property
    def device(self) -> str:
        return self._engine.device

    @property
    def facts(self) -> Mapping[str, Any]:
        """The engine's own, and ``seen``: its device's load and power during the latest answer.

        ``seen`` is empty where no counter reports it.
        """
        return {**self._engine.facts, "seen": self._seen.facts}

    def start(
        self, prompt: Sequence[int], decoding: Decoding, stop_ids: frozenset[int]
    ) -> Generation:
        """As `Engine.start`."""
        self._begin()
        try:
            generation = self._engine.start(prompt, decoding, stop_ids)
        except BaseException:
            self.end()
            raise
        return _Observed(generation, self, self._publication)

    def scores(self, ids: Sequence[int]) -> Iterator[npt.NDArray[np.float32]]:
        return self._engine.scores(ids)

    def close(self) -> None:
        self._publication.close()
        self._engine.close()

    def end(self) -> None:
        """An answer is over."""
        with self._lock:
            self._publication.end()
            self._answers -= 1
            if not self._answers:
                self._watching.close()

    def _begin(self) -> None:
        with self._lock:
            self._publication.begin()
            self._answers += 1
            if self._answers == 1:
                self._seen = self._watching.enter_context(watch(self._kind, self._counters))

    @cached_property
    def _counters(self) -> tuple[Counter, ...]:
        return find_counters()


class _Observed:
    """A generation whose tokens are counted and whose end is reported, once."""

    def __init__(
        self, generation: Generation, engine: ObservedEngine, publication: StatusPublisher
    ) -> None:
        self._generation = generation
        self._engine = engine
        self._publication = publication
        self._lock = threading.Lock()
        self._is_over = False

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        try:
            token = next(self._generation)
        except BaseException:
            self._end()
            raise
        self._publication.note()
        return token

    @property
    def logprobs(self) -> Sequence[float]:
        return self._generation.logprobs

    @property
    def top_logprobs(self) -> Sequence[Alternatives]:
        return self._generation.top_logprobs

    @property
    def cached_tokens(self) -> int:
        return self._generation.cached_tokens

    def cancel(self) -> None:
        self._generation.cancel()
        self._end()

    def _end(self) -> None:
        with self._lock:
            was_over, self._is_over = self._is_over, True
        if not was_over:
            self._engine.end()
