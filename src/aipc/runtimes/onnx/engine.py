"""ONNX Runtime GenAI behind the runtime protocol, for accelerators.

The CPU has `aipc.runtimes.onnx.batch_engine`, but for graphs that can't be batched there.

One model serves every request; each has a key-value cache of its own.  Tokens are chosen here
(`Sampler`), so that a cache serves any options and the same seed gives the same answer
wherever it runs.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakSet

from aipc import disk
from aipc.artifact.lora import Factors
from aipc.artifact.providers import Provider
from aipc.errors import EngineError, NotPlaced
from aipc.runtimes.base import Decoding, check_adapter
from aipc.runtimes.json_schema import check_constrained
from aipc.runtimes.onnx.adapters import WEIGHTS_FOLDER, GraphAdapters
from aipc.runtimes.onnx.folder import GenAIFolder
from aipc.runtimes.onnx.guided import GuidedSequence, check_end
from aipc.runtimes.onnx.provider import Settings, configure, session_options
from aipc.runtimes.onnx.sequence import CachedSequence, checked_scores
from aipc.runtimes.onnx.sequence_pool import SequencePool
from aipc.runtimes.sampler import JudgedTokens, Sampler, Scores
from aipc.runtimes.vendor_errors import translated
from aipc.timing_spans import span

KERNEL = "kernel_time"
_TOKEN = 0  # of any kind: every vocabulary has it

CPU = "CPUExecutionProvider"


def read_placement(model: Any) -> Mapping[str, int]:
    """Execution provider to the number of nodes that it computed for one token.

    ``model`` is an ``og.Model``: the profile is of the session that will answer, not of a copy.
    Providers fuse nodes, so numbers of two providers can't be compared.
    """
    import onnxruntime_genai

    params = onnxruntime_genai.GeneratorParams(model)
    params.set_search_options(max_length=2, batch_size=1, num_beams=1)
    generator = onnxruntime_genai.Generator(model, params)
    with disk.scratch(EngineError) as folder:
        generator.set_runtime_option("enable_profiling", str(folder / "run"))
        generator.append_tokens([_TOKEN])
        generator.set_runtime_option("enable_profiling", "0")
        return _count(folder)


def _count(folder: Path) -> Mapping[str, int]:
    counted: Counter[str] = Counter()
    for file in folder.iterdir():
        for event in json.loads(file.read_text("utf-8")):
            if event.get("cat") == "Node" and event["name"].endswith(KERNEL):
                counted[event["args"]["provider"]] += 1
    return dict(counted)


class ONNXEngine:
    """A model loaded by ONNX Runtime GenAI; see `aipc.runtimes.base.Engine`."""

    def __init__(
        self,
        folder: GenAIFolder,
        provider: Provider,
        device: str,
        settings: Settings,
        properties: Mapping[str, str],
        adapters: Mapping[str, Factors] | None = None,
    ) -> None:
        with span("import the runtime"):
            import onnxruntime_genai

        with translated(f"the model could not be loaded on {device}"):
            added = GraphAdapters(folder.file, adapters) if adapters else None
            model = _load(folder, provider, device, settings, added)
            placement = read_placement(model) if provider.profiled else None
        _check_placement(model, provider, device, placement)
        self.device = device
        self.facts: Mapping[str, Any] = {
            "runtime": "onnx",
            "version": onnxruntime_genai.__version__,
            "device": device,
            "provider": provider.name,
            "properties": dict(properties),
        }
        if placement is not None:
            self.facts = {**self.facts, "placement": placement}
        self._folder = folder
        self._adapters = tuple(adapters or ())
        self._pool: SequencePool | None = SequencePool(model, folder, provider, adapters=added)
        self._running: WeakSet[ONNXGeneration] = WeakSet()

    def start(
        self, prompt: Sequence[int], decoding: Decoding, stop_ids: frozenset[int]
    ) -> ONNXGeneration:
        pool = self._checked_pool(prompt)
        check_constrained(decoding, len(prompt), stop_ids, self._folder.switch)
        check_adapter(decoding.adapter, self._adapters)
        if decoding.constraint is not None:
            check_end(self._folder.ends, stop_ids)
        with translated("ONNX Runtime GenAI refused the request"):
            generation = ONNXGeneration(pool, prompt, decoding, stop_ids)
        self._running.add(generation)
        return generation

    def scores(self, ids: Sequence[int]) -> Iterator[Scores]:
        """As the protocol says, in a sequence of its own."""
        pool = self._checked_pool(ids)
        return checked_scores(pool.fresh(len(ids)).score(ids), len(ids))

    def _checked_pool(self, ids: Sequence[int]) -> SequencePool:
        if self._pool is None:
            raise EngineError("the model has been closed", "load it again")
        self._folder.check_tokens(ids)
        return self._pool

    def close(self) -> None:
        for generation in list(self._running):
            generation.cancel()
        if self._pool is not None:
            self._pool.close()
        self._pool = None


class ONNXGeneration(JudgedTokens):
    """One request: the token chosen last is computed when the next one is requested."""

    def __init__(
        self,
        pool: SequencePool,
        prompt: Sequence[int],
        decoding: Decoding,
        stop_ids: frozenset[int],
    ) -> None:
        super().__init__(decoding)
        self._pool = pool
        self._prompt = list(prompt)
        self._sampler = Sampler(decoding, prompt)
        self._stop_ids = stop_ids
        self._left = decoding.max_new_tokens
        self._adapter = decoding.adapter
        self._pending = self._prompt
        self._sequence: CachedSequence | None = None
        if decoding.constraint is not None:
            constraint, adapter = decoding.constraint, decoding.adapter
            self._sequence = pool.guided(len(prompt), self._left, constraint, adapter)
        self._cancelled = threading.Event()
        self._turn = threading.Lock()

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        with self._turn:
            token = self._step()
        if self._cancelled.is_set():
            self.cancel()  # gives back what a cancel during the step could not
        if token is None:
            raise StopIteration
        return token

    def cancel(self) -> None:
        self._cancelled.set()
        if self._turn.acquire(blocking=False):
            try:
                self._finish()
            finally:
                self._turn.release()

    def _step(self) -> int | None:
        if self._left == 0 or self._cancelled.is_set():
            return None
        try:
            with translated("ONNX Runtime GenAI failed while generating"):
                token = self._choose()
        except BaseException:
            self._sequence, self._left = None, 0  # the cache may hold half of a step
            raise
        if token is not None:
            self._left = 0 if token in self._stop_ids else self._left - 1
        if self._left == 0:
            self._finish()
        return token

    def _choose(self) -> int | None:
        if self._sequence is None:
            self._sequence = self._pool.take(self._prompt, self._left, self._adapter)
            self._pending = self._prompt[len(self._sequence.tokens) :]
        if not self._sequence.append(self._pending, self._cancelled.is_set):
            return None
        scores = self._sequence.logits()
        if isinstance(self._sequence, GuidedSequence):
            token = self._sequence.choose(self._sampler.rank(scores))
            self._sampler.note(token)
            self._pending = []
        else:
            token = self._sampler.choose(scores)
            self._pending = [token]
        self.judge(scores, token)
        return token

    def _finish(self) -> None:
        self._left = 0
        sequence, self._sequence = self._sequence, None
        if sequence is not None and not isinstance(sequence, GuidedSequence):
            self._pool.give_back(sequence)


def _load(
    folder: GenAIFolder,
    provider: Provider,
    device: str,
    settings: Settings,
    adapters: GraphAdapters | None,
) -> Any:
    import onnxruntime_genai

    config = onnxruntime_genai.Config(str(folder.path))
    configure(config, provider, device, settings.provider)
    options = session_options(folder.session, settings)
    if adapters is not None:
        config.add_model_data(folder.file.name, adapters.model)  # which outlives the loading
        options[WEIGHTS_FOLDER] = "."  # GenAI puts the config's own folder before it
    config.overlay(Settings(options, {}).overlay())
    return onnxruntime_genai.Model(config)


def _check_placement(
    model: Any, provider: Provider, device: str, placement: Mapping[str, int] | None
) -> None:
    """Refuse a model that computes elsewhere than it was set to.

    Raises:
        NotPlaced: saying where.
    """
    ran = set(placement or ())
    if model.device_type != provider.device_type or ran == {CPU}:
        where = CPU if ran == {CPU} else model.device_type
        raise NotPlaced(
            f"{device} was requested and ONNX Runtime took {where}", "`aipc doctor` looks into it"
        )
