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
from aipc.session.live.check import MOST, LiveCheck
from aipc.session_status import StatusPublisher

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class ObservedEngine:
    """The engine given, watched from its first answer under way to the last.

    ``kind`` is the kind of device that computes: "npu", "gpu", "cpu" …
    """

    def __init__(
        self,
        engine: Engine,
        kind: str,
        publication: StatusPublisher,
        check: LiveCheck | None = None,
    ) -> None:
        """``check`` is offered the answers."""
        self._engine = engine
        self._check = check
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
        checked = {} if self._check is None else {"live_check": self._check.facts}
        return {**self._engine.facts, "seen": self._seen.facts, **checked}

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
        return _Observed(generation, self, self._publication, self._sampled(prompt, decoding))

    def _sampled(self, prompt: Sequence[int], decoding: Decoding) -> _Sampled | None:
        if self._check is None or not self._check.wants(prompt, decoding):
            return None
        return _Sampled(self._check, prompt, decoding)

    def scores(self, ids: Sequence[int]) -> Iterator[npt.NDArray[np.float32]]:
        return self._engine.scores(ids)

    def close(self) -> None:
        if self._check is not None:
            self._check.close()
        self._publication.close()
        self._engine.close()

    def end(self) -> None:
        """An answer is over."""
        with self._lock:
            self._publication.end()
            self._answers -= 1
            if not self._answers:
                self._watching.close()
        if self._check is not None:
            self._check.end()

    def _begin(self) -> None:
        if self._check is not None:
            self._check.begin()
        with self._lock:
            self._publication.begin()
            self._answers += 1
            if self._answers == 1:
                self._seen = self._watching.enter_context(watch(self._kind, self._counters))

    @cached_property
    def _counters(self) -> tuple[Counter, ...]:
        return find_counters()


class _Sampled:
    """The first tokens of one answer, for the check."""

    def __init__(self, check: LiveCheck, prompt: Sequence[int], decoding: Decoding) -> None:
        self._check = check
        self._prompt = prompt
        self._decoding = decoding
        self._tokens: list[int] = []

    def note(self, token: int) -> None:
        if len(self._tokens) < MOST:
            self._tokens.append(token)

    def end(self) -> None:
        self._check.offer(self._prompt, self._tokens, self._decoding)


class _Observed:
    """A generation whose tokens are counted and whose end is reported, once."""

    def __init__(
        self,
        generation: Generation,
        engine: ObservedEngine,
        publication: StatusPublisher,
        sampled: _Sampled | None,
    ) -> None:
        self._sampled = sampled
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
        if self._sampled is not None:
            self._sampled.note(token)
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
        if was_over:
            return
        if self._sampled is not None:
            self._sampled.end()
        self._engine.end()
