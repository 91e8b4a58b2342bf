"""One request of OpenVINO GenAI, whichever of its pipelines computes it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import repeat
from typing import Any, Protocol

from aipc.errors import EngineError
from aipc.runtimes.base import Alternatives, Constraint, Decoding
from aipc.runtimes.grammars.ebnf import write_ebnf
from aipc.runtimes.token_queue import TokenChunk

_MOST_MIN_P = 1 - 2**-24  # it refuses 1; in its float32 this is the next below


class Requests(Protocol):
    """The part of an engine that a generation uses; handles are the engine's own."""

    @property
    def switch(self) -> int | None:
        """The length at which the rotary embedding takes other factors, if it does."""

    def submit(self, prompt: Sequence[int], decoding: Decoding, stop_ids: frozenset[int]) -> Any:
        """Begin a request; its handle."""

    def advance(self, handle: Any) -> TokenChunk:
        """Wait for the next tokens of a request; none when it has ended."""

    def release(self, handle: Any) -> None:
        """Cancel a request and free what it holds; returns without waiting."""


class OpenVINOGeneration:
    """One request; restarted once where its rotary embedding switches to the long factors.

    Keys computed with the short factors can't be compared with queries turned by the long
    ones, so the cache is built anew there, as transformers does for Phi-3.
    """

    def __init__(
        self,
        engine: Requests,
        prompt: Sequence[int],
        decoding: Decoding,
        stop_ids: frozenset[int],
    ) -> None:
        self._engine = engine
        self._stop_ids = stop_ids
        self._decoding = decoding
        self._sequence = list(prompt)
        self._left = decoding.max_new_tokens
        self._ready: deque[tuple[int, float]] = deque()
        self._logprobs: list[float] = []
        self._cancelled = threading.Event()
        self._handle = self._submit()

    @property
    def ended(self) -> bool:
        """Whether nothing will come any more."""
        return self._left <= 0 or self._cancelled.is_set()

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        if not self._ready:
            self._ready.extend(self._more())
        if not self._ready or self._cancelled.is_set():
            raise StopIteration
        token, logprob = self._ready.popleft()
        self._sequence.append(token)
        if self._decoding.logprobs:
            self._logprobs.append(logprob)
        self._left = 0 if token in self._stop_ids else self._left - 1
        return token

    @property
    def logprobs(self) -> Sequence[float]:
        return self._logprobs

    @property
    def top_logprobs(self) -> Sequence[Alternatives]:
        """None: GenAI's pipelines tell of the chosen token alone."""
        return ()

    @property
    def cached_tokens(self) -> int:
        return 0

    def cancel(self) -> None:
        self._cancelled.set()
        self._engine.release(self._handle)

    def _more(self) -> Iterator[tuple[int, float]]:
        if self.ended:
            return iter(())
        try:
            chunk = self._engine.advance(self._handle)
            if not chunk.ids and not self._cancelled.is_set():
                self._restart()
                chunk = self._engine.advance(self._handle)
        except EngineError:
            self._left = 0
            raise
        return zip(chunk.ids, chunk.logprobs or repeat(0.0), strict=False)

    def _restart(self) -> None:
        """Begin the leg after the rotary switch; a request has no other reason to end early."""
        if self._engine.switch is None or len(self._sequence) != self._engine.switch + 1:
            raise EngineError(
                f"OpenVINO GenAI ended the request at {len(self._sequence):,} tokens, "
                "probably for want of memory for its cache",
                "shorten the prompt or end other generations",
            )
        self._handle = self._submit()
        if self._cancelled.is_set():
            self._engine.release(self._handle)

    def _submit(self) -> Any:
        leg = replace(self._decoding, max_new_tokens=self._leg())
        return self._engine.submit(self._sequence, leg, self._stop_ids)

    def _leg(self) -> int:
        """Tokens to generate before the rotary switch, where that is still ahead."""
        switch = self._engine.switch
        if switch is None or len(self._sequence) > switch:
            return self._left
        return min(self._left, switch - len(self._sequence) + 1)


def token_tensor(prompt: Sequence[int]) -> Any:
    """Token ids as an ``openvino.Tensor``, i64 [1, tokens].

    Raises:
        EngineError: there are none.
    """
    if not prompt:
        raise EngineError("the prompt has no tokens", "give at least one")
    import numpy as np
    import openvino

    return openvino.Tensor(np.array([prompt], np.int64))


def generation_config(decoding: Decoding, stop_ids: frozenset[int]) -> Any:
    """How to choose the next token, and where to stop."""
    import openvino_genai

    config = openvino_genai.GenerationConfig()
    config.max_new_tokens = decoding.max_new_tokens
    config.repetition_penalty = decoding.repetition_penalty
    config.set_eos_token_id(min(stop_ids, default=0))
    config.stop_token_ids = set(stop_ids) or {0}
    config.ignore_eos = not stop_ids
    config.logprobs = int(decoding.logprobs)
    if decoding.constraint is not None:
        config.structured_output_config = _structured(decoding.constraint)
    if decoding.temperature > 0:
        _sample(config, decoding)
    return config


def _sample(config: Any, decoding: Decoding) -> None:
    config.do_sample = True
    config.temperature = decoding.temperature
    config.top_p = decoding.top_p
    config.min_p = min(decoding.min_p, _MOST_MIN_P)
    config.rng_seed = decoding.seed
    if decoding.top_k:
        config.top_k = decoding.top_k


def _structured(constraint: Constraint) -> Any:
    import openvino_genai

    kind, text = written(constraint)
    return openvino_genai.StructuredOutputConfig(**{kind: text})


def written(constraint: Constraint) -> tuple[str, str]:
    """GenAI's name for the kind, and the text."""
    if constraint.grammar is None:
        return constraint.kind, constraint.text
    return "grammar", write_ebnf(constraint.grammar)
