"""ONNX Runtime on the CPU behind the runtime protocol: answers in one batch.

Tokens are chosen here (`Sampler`), so that rows of any options share a call.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from weakref import WeakSet

from aipc.artifact.lora import Factors
from aipc.artifact.providers import Provider
from aipc.errors import EngineError
from aipc.runtimes.base import Alternatives, Decoding, check_adapter
from aipc.runtimes.json_schema import check_constrained
from aipc.runtimes.onnx.adapters import GraphAdapters
from aipc.runtimes.onnx.batch import RowBatch, RowRequest
from aipc.runtimes.onnx.decoder import Decoder, DecoderGraph
from aipc.runtimes.onnx.folder import GenAIFolder
from aipc.runtimes.onnx.guided import Grammars, check_end
from aipc.runtimes.onnx.provider import Settings, session_options
from aipc.runtimes.onnx.row_pool import RowPool
from aipc.runtimes.onnx.sequence import checked_scores
from aipc.runtimes.prompt_lookup import PromptLookup
from aipc.runtimes.sampler import Scores
from aipc.runtimes.token_queue import TokenChunk
from aipc.runtimes.vendor_errors import translated
from aipc.timing_spans import span


class BatchEngine:
    """A model loaded in a session of ONNX Runtime's own; see `aipc.runtimes.base.Engine`."""

    def __init__(
        self,
        folder: GenAIFolder,
        graph: DecoderGraph,
        provider: Provider,
        settings: Settings,
        properties: Mapping[str, str],
        lookup: PromptLookup | None,
        adapters: Mapping[str, Factors] | None = None,
    ) -> None:
        with span("import the runtime"):
            import onnxruntime

        self.device = "CPU"
        self.facts: Mapping[str, Any] = {
            "runtime": "onnx",
            "version": onnxruntime.__version__,
            "device": self.device,
            "provider": provider.name,
            "properties": dict(properties),
        }
        with translated(f"the model could not be loaded on {self.device}"):
            options = session_options(folder.session, settings)
            added = GraphAdapters(folder.file, adapters) if adapters else None
            decoder = Decoder(folder.file, graph, folder.vocabulary, options, folder.switch, added)
        self._folder = folder
        self._lookup = lookup
        self._adapters = tuple(adapters or ())
        self._grammars = Grammars(folder)
        self._batch: RowBatch | None = RowBatch(decoder, RowPool(graph, folder, provider.piece))
        self._running: WeakSet[BatchGeneration] = WeakSet()
        # Its thread does not outlive the engine or, in C++ code, the interpreter.
        self._close_batch = weakref.finalize(self, self._batch.close)

    def start(
        self, prompt: Sequence[int], decoding: Decoding, stop_ids: frozenset[int]
    ) -> BatchGeneration:
        batch = self._checked_batch(prompt)
        self._folder.check_length(len(prompt) + decoding.max_new_tokens)
        check_constrained(decoding, len(prompt), stop_ids, self._folder.switch)
        check_adapter(decoding.adapter, self._adapters)
        grammar = None
        if decoding.constraint is not None:
            check_end(self._folder.ends, stop_ids)
            with translated("ONNX Runtime GenAI refused the request"):
                grammar = self._grammars.make(decoding.constraint)
        request = RowRequest(prompt, decoding, stop_ids, grammar, self._lookup)
        batch.add(request)
        generation = BatchGeneration(self, request)
        self._running.add(generation)
        return generation

    def scores(self, ids: Sequence[int]) -> Iterator[Scores]:
        """As the protocol says, with a cache of its own."""
        return checked_scores(self._checked_batch(ids).scores(ids), len(ids))

    def close(self) -> None:
        for generation in list(self._running):
            generation.cancel()
        self._close_batch()
        self._batch = None

    def _checked_batch(self, ids: Sequence[int]) -> RowBatch:
        if self._batch is None:
            raise EngineError("the model has been closed", "load it again")
        self._folder.check_tokens(ids)
        return self._batch


class BatchGeneration:
    """One request of a batch; see `aipc.runtimes.base.Generation`."""

    def __init__(self, engine: BatchEngine, request: RowRequest) -> None:
        self._engine = engine  # which would close with the last reference to it
        self._request = request
        self._ready: deque[TokenChunk] = deque()
        self._logprobs: list[float] = []
        self._top_logprobs: list[Alternatives] = []

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        if not self._ready:
            self._ready.extend(self._request.read().singles())
        if not self._ready or self._request.is_cancelled:
            raise StopIteration
        chunk = self._ready.popleft()
        self._logprobs += chunk.logprobs
        self._top_logprobs += chunk.top_logprobs
        return chunk.ids[0]

    @property
    def logprobs(self) -> Sequence[float]:
        return self._logprobs

    @property
    def top_logprobs(self) -> Sequence[Alternatives]:
        return self._top_logprobs

    @property
    def cached_tokens(self) -> int:
        return self._request.cached_tokens

    def cancel(self) -> None:
        self._request.cancel()
