"""The sequences of one model: made as requests need them, the last one kept for the next turn."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from aipc.artifact.providers import Provider
from aipc.devices.system.memory import read_memory
from aipc.errors import EngineError
from aipc.runtimes.base import Constraint
from aipc.runtimes.onnx.adapters import GraphAdapters
from aipc.runtimes.onnx.folder import GenAIFolder
from aipc.runtimes.onnx.guided import PLAIN_SEARCH, GuidedSequence, guided_generator
from aipc.runtimes.onnx.sequence import CachedSequence

_Made = TypeVar("_Made", bound=CachedSequence)


class SequencePool:
    """Makes `CachedSequence`s for one model, and keeps the last one for a chat's next turn."""

    def __init__(
        self,
        model: Any,
        folder: GenAIFolder,
        provider: Provider,
        available: Callable[[], int] = lambda: read_memory().available,
        adapters: GraphAdapters | None = None,
    ) -> None:
        """``adapters`` are those of the model's graph."""
        self._model = model
        self._adapters = adapters
        self._folder = folder
        self._provider = provider
        self._available = available
        self._switch = folder.switch if provider.continues else None
        self._idle: CachedSequence | None = None
        self._lock = threading.Lock()

    def take(self, prompt: Sequence[int], answer: int, adapter: str = "") -> CachedSequence:
        """A sequence with room for ``prompt`` and ``answer`` more tokens.

        It may hold a beginning of the prompt already, computed with the same ``adapter``.

        Raises:
            EngineError: more tokens than the model's context or the free memory hold.
        """
        wanted = self._checked_length(len(prompt), answer)
        with self._lock:
            idle, self._idle = self._idle, None
        shared = self._shared(idle, prompt) if idle and idle.adapter == adapter else 0
        if idle and shared and idle.capacity >= wanted:
            idle.rewind(shared)
            return idle
        del idle  # its memory is free before the next is requested
        # A conversation that outgrew its room gets twice as much, so that it seldom does again.
        return self._make(wanted, 2 * wanted if shared else wanted, len(prompt), adapter)

    def _shared(self, idle: CachedSequence, prompt: Sequence[int]) -> int:
        """Tokens of ``idle`` that ``prompt`` begins with; 0 where the others can't be forgotten."""
        shared = idle.reusable(prompt)
        return shared if self._folder.rewinds or shared == len(idle.tokens) else 0

    def guided(
        self, prompt: int, answer: int, constraint: Constraint, adapter: str = ""
    ) -> GuidedSequence:
        """An empty one whose answer keeps ``constraint``; lengths in tokens, errors as `take`'s.

        Raises:
            UsageError: the constraint can't be enforced.
        """
        wanted = self._checked_length(prompt, answer)
        model, params = self._parameters(wanted, prompt)
        generator = guided_generator(model, params, constraint)
        made = GuidedSequence(generator, wanted, self._provider, self._switch)
        return self._adapted(made, adapter)

    def fresh(self, tokens: int) -> CachedSequence:
        """One with an empty cache and room for ``tokens``; errors are those of `take`."""
        return self._make(tokens, tokens, tokens)

    def give_back(self, sequence: CachedSequence) -> None:
        """Keep it for a prompt that begins like it."""
        with self._lock:
            if self._provider.continues and self._model is not None:
                self._idle = sequence

    def close(self) -> None:
        with self._lock:
            self._idle = self._model = None

    def _checked_length(self, prompt: int, answer: int) -> int:
        self._folder.check_length(prompt + answer)
        return prompt + answer

    def _make(self, wanted: int, generous: int, prompt: int, adapter: str = "") -> CachedSequence:
        import onnxruntime_genai

        capacity = min(generous, self._folder.context)
        if self._cost(capacity, prompt) > self._available():
            capacity = wanted
        generator = onnxruntime_genai.Generator(*self._parameters(capacity, prompt))
        made = CachedSequence(generator, capacity, self._provider, self._switch)
        return self._adapted(made, adapter)

    def _adapted(self, made: _Made, adapter: str) -> _Made:
        """The same, which has computed nothing yet, with an adapter; "" for none."""
        if self._adapters is not None:
            made.adapt(adapter, self._adapters.inputs([adapter]))
        return made

    def _parameters(self, capacity: int, prompt: int) -> tuple[Any, Any]:
        """The model, and how it should generate."""
        import onnxruntime_genai

        if self._model is None:
            raise EngineError("the model has been closed", "load it again")
        self._check_memory(capacity, prompt)
        params = onnxruntime_genai.GeneratorParams(self._model)
        params.set_search_options(max_length=capacity, **PLAIN_SEARCH)
        return self._model, params

    def _check_memory(self, capacity: int, prompt: int) -> None:
        available, cost = self._available(), self._cost(capacity, prompt)
        if self._provider.host_memory and cost > available:
            raise no_memory(self._folder, capacity, cost, available)

    def _cost(self, capacity: int, prompt: int) -> int:
        scores = score_bytes(self._folder, self._switch, prompt, self._provider.piece)
        return capacity * self._folder.token_bytes + scores


def score_bytes(folder: GenAIFolder, switch: int | None, prompt: int, piece: int) -> int:
    """Memory for the scores of the longest piece of ``prompt`` that is computed at once."""
    is_whole = switch is not None and prompt > switch
    return 2 * 4 * (prompt if is_whole else min(prompt, piece)) * folder.vocabulary


def no_memory(folder: GenAIFolder, tokens: int, cost: int, available: int) -> EngineError:
    return EngineError(
        f"a sequence of {tokens:,} tokens needs {cost / 2**30:.1f} GiB of memory "
        f"({folder.token_bytes / 2**10:,.0f} KiB a token) and {available / 2**30:.1f} GiB are free",
        "shorten the prompt or lower --max-new-tokens",
    )
