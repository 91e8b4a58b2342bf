"""OpenVINO GenAI's static-shape pipeline behind the runtime protocol: the NPU.

The lengths of prompt and answer are compiled in (`static_shape`).  One compiled pipeline is kept:
where a request does not fit, a larger one takes its place and serves the shorter requests too.  Two
at once would hold the weights twice, as each has its own copy; only a request whose tokens are
chosen here (`is_scored`) has the graph compiled besides.
"""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Any

from aipc.artifact.config import read_context
from aipc.artifact.rope_switch import read_rope_switch
from aipc.devices import resolve_device
from aipc.errors import DeviceError, EngineError, PromptTooLong
from aipc.progress import Notify, Progress, silent, unheard
from aipc.runtimes.base import Decoding
from aipc.runtimes.blob_cache import BlobCache
from aipc.runtimes.json_schema import check_constrained
from aipc.runtimes.openvino.generation import OpenVINOGeneration, generation_config, token_tensor
from aipc.runtimes.openvino.grammar_check import GrammarCheck
from aipc.runtimes.openvino.npu_compiler import EMULATION, NpuCompiler, is_emulated
from aipc.runtimes.openvino.properties import check_npu_properties
from aipc.runtimes.openvino.recipe import check_npu_recipe
from aipc.runtimes.openvino.scorer import ScoredGeneration, ScoredSequence, is_scored
from aipc.runtimes.openvino.static_shape import (
    LONGEST,
    NpuOptions,
    Shape,
    fitting_shape,
    smallest_shape,
)
from aipc.runtimes.sampler import Scores
from aipc.runtimes.signal_stack import leave_signal_stack
from aipc.runtimes.token_queue import TokenChunk, TokenQueue
from aipc.runtimes.vendor_errors import translated

__all__ = ["EMULATION", "NpuEngine", "is_emulated", "open_npu"]


class NpuRequest:
    """Runs ``generate``, GenAI's blocking call with a streamer, in ``worker``.

    The worker is one thread that lives as long as the pipeline: with a new thread for every
    request OpenVINO 2026.4.1 was seen to corrupt the heap.
    """

    def __init__(self, generate: Callable[[Any], object], worker: Executor) -> None:
        self._generate: Callable[[Any], object] | None = generate
        self._arrivals = TokenQueue()
        self._cancelled = threading.Event()
        self._work = worker.submit(self._run)

    def read(self) -> TokenChunk:
        """Wait for the next tokens; none at the end, for ever.

        Raises:
            RuntimeError: the vendor's own, where it failed.
        """
        return self._arrivals.read()

    def cancel(self) -> None:
        """End it at the next token; returns at once and wakes who waits in `read`."""
        self._cancelled.set()
        self._arrivals.end()

    def wait(self) -> None:
        """Until the device is free of it."""
        wait([self._work])

    def _run(self) -> None:
        try:
            if self._generate is not None and not self._cancelled.is_set():
                self._generate(_streamer(self._push))
        except BaseException as error:  # noqa: BLE001 - raised again in `read`
            self._arrivals.fail(error)
        else:
            self._arrivals.end()
        finally:
            self._generate = None  # it holds the pipeline and all its memory

    def _push(self, tokens: list[int]) -> bool:
        """Whether to go on."""
        if not self._cancelled.is_set():
            self._arrivals.put(TokenChunk(tokens, []))
        return not self._cancelled.is_set()


def _streamer(push: Callable[[list[int]], bool]) -> Any:
    import openvino_genai

    class Streamer(openvino_genai.StreamerBase):  # type: ignore[misc]
        def write(self, token: int | list[int]) -> Any:
            status = openvino_genai.StreamingStatus
            tokens = token if isinstance(token, list) else [token]
            return status.RUNNING if push(list(tokens)) else status.CANCEL

        def end(self) -> None:
            """Everything was written already."""

    return Streamer()


def open_npu(
    artifact: Path,
    properties: Mapping[str, str],
    options: NpuOptions = NpuOptions(),  # noqa: B008 - frozen
    *,
    blobs: BlobCache | None = None,
    progress: Progress = silent,
    notify: Notify = unheard,
) -> NpuEngine:
    """Load ``artifact`` on the NPU, or with `EMULATION` in ``properties`` on the CPU as if.

    The smallest shape is compiled at once, or taken from ``blobs``.

    Raises:
        ArtifactError: no model, or one whose weights the NPU can't compute with.
        DeviceError: this machine has no NPU.
        UsageError: a property that is not OpenVINO's, or has an option here.
        EngineError: it can't be compiled; the vendor's error is the cause.
    """
    import openvino

    core = openvino.Core()
    if not is_emulated(properties):
        resolve_device("npu", core.available_devices)
    check_npu_properties(core, properties)
    check_npu_recipe(artifact)
    return NpuEngine(artifact, properties, options, blobs, progress, notify)


class NpuSequence(ScoredSequence):
    """A sequence in the graph of an engine's, which takes a prompt in one piece."""

    def __init__(self, engine: NpuEngine, graph: Any) -> None:
        super().__init__(graph, engine.switch, piece=None)
        self._engine = engine

    def _compute(self, piece: Sequence[int]) -> Scores:
        return self._engine.compute(partial(super()._compute, piece))


class NpuEngine:
    """A model compiled for fixed lengths; one generation at a time."""

    def __init__(
        self,
        artifact: Path,
        properties: Mapping[str, str],
        options: NpuOptions,
        blobs: BlobCache | None,
        progress: Progress,
        notify: Notify,
    ) -> None:
        self.device = "NPU (emulated)" if is_emulated(properties) else "NPU"
        self.switch = read_rope_switch(artifact)
        self._options = options
        self._context = read_context(artifact) or LONGEST
        self._compiler = NpuCompiler(artifact, properties, options, self.switch, blobs)
        self._report = (progress, notify)
        self._grammars = GrammarCheck(artifact)
        self._lock = threading.Lock()
        self._worker = ThreadPoolExecutor(1, "aipc-npu")
        self._running: weakref.ref[OpenVINOGeneration | ScoredGeneration] | None = None
        self._graph: Any = None
        self._request: NpuRequest | None = None
        self._closed = False
        self._shape = smallest_shape(options, self._context)
        self._pipeline: Any = self._compiler.pipeline(self._shape, *self._report)

    @property
    def facts(self) -> Mapping[str, Any]:
        return {
            "runtime": "openvino",
            "version": self._compiler.version,
            "device": self.device,
            "emulated": is_emulated(self._compiler.properties),
            "properties": dict(self._compiler.properties),
            "max_prompt_len": self._shape.prompt,
            "min_response_len": self._shape.response,
        }

    def start(
        self, prompt: Sequence[int], decoding: Decoding, stop_ids: frozenset[int]
    ) -> OpenVINOGeneration | ScoredGeneration:
        """As the protocol says; a request that needs a larger shape compiles it first.

        Raises:
            PromptTooLong: more tokens than the fixed, or the largest, shape takes.
            EngineError: a generation is under way, the engine is closed, or OpenVINO failed.
        """
        with self._lock:
            self._refuse_second()
            self._check_constraint(len(prompt), decoding, stop_ids)
            self._fit(len(prompt), decoding.max_new_tokens)
            generation: OpenVINOGeneration | ScoredGeneration
            if is_scored(decoding, tells=False):
                generation = self._start_scored(prompt, decoding, stop_ids)
            else:
                generation = OpenVINOGeneration(self, prompt, decoding, stop_ids)
            self._running = weakref.ref(generation)
        return generation

    def compute(self, work: Callable[[], Scores]) -> Scores:
        """What ``work`` gives, done by the one thread that uses the device."""
        self._check_open()
        return self._worker.submit(work).result()

    def scores(self, ids: Sequence[int]) -> Iterator[Scores]:  # noqa: ARG002 - the protocol's
        raise DeviceError("the NPU gives the scores of a text's last token alone", "use cpu or gpu")

    def submit(
        self, prompt: Sequence[int], decoding: Decoding, stop_ids: frozenset[int]
    ) -> NpuRequest:
        self._check_open()
        tokens, config = token_tensor(prompt), generation_config(decoding, stop_ids)
        generate = partial(self._pipeline.generate, tokens, config)
        self._request = NpuRequest(generate, self._worker)
        return self._request

    def advance(self, handle: NpuRequest) -> TokenChunk:
        with translated("OpenVINO GenAI failed while generating"):
            chunk = handle.read()
        self._check_open()
        return chunk

    def release(self, handle: NpuRequest) -> None:
        handle.cancel()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._stop()
            self._pipeline = self._graph = None
            self._worker.shutdown()
            self._grammars.close()
        leave_signal_stack()

    def _start_scored(
        self, prompt: Sequence[int], decoding: Decoding, stop_ids: frozenset[int]
    ) -> ScoredGeneration:
        """With a graph of the pipeline's shape, compiled at the first request that needs it."""
        self._check_open()
        token_tensor(prompt)  # refuses an empty one
        if self._graph is None:
            self._graph = self._compiler.graph(self._shape, self._report[0])
        sequence = NpuSequence(self, self._graph)
        return ScoredGeneration(sequence, prompt, decoding, stop_ids)

    def _check_open(self) -> None:
        if self._closed:
            raise EngineError("the model has been closed", "load it again")

    def _check_constraint(self, prompt: int, decoding: Decoding, stop_ids: frozenset[int]) -> None:
        check_constrained(decoding, prompt, stop_ids, self.switch)
        if decoding.constraint is not None:
            self._grammars.check(decoding.constraint)

    def _refuse_second(self) -> None:
        running = None if self._running is None else self._running()
        if running is not None and not running.ended and not self._closed:
            raise EngineError(
                "the NPU answers one request at a time", "wait for the first or cancel it"
            )
        if self._request is not None:
            self._request.cancel()  # of a generation that was dropped without its end

    def _fit(self, prompt: int, answer: int) -> None:
        """Have a pipeline that the request fits in, the rotary switch's second leg too."""
        last_leg = prompt
        if self.switch is not None and prompt <= self.switch < prompt + answer - 1:
            last_leg = self.switch + 1
        rest = prompt + answer - last_leg
        if self._closed or self._shape.holds(last_leg, rest):
            return
        shape = fitting_shape(last_leg, rest, self._options, self._context)
        if not shape.holds(last_leg, rest):
            raise PromptTooLong(
                f"the prompt's {prompt:,} tokens and an answer of {answer:,} need more than the "
                f"{shape.capacity:,} that the NPU was given",
                "lower --max-new-tokens, or leave --max-prompt-len and --min-response-len out",
            )
        if self._options.max_prompt_len is None and self._options.min_response_len is None:
            shape |= self._shape
        self._replace(shape)

    def _replace(self, shape: Shape) -> None:
        self._stop()
        self._pipeline = self._graph = None
        gc.collect()  # the old pipeline's memory goes before the new one needs as much
        self._pipeline = self._compiler.pipeline(shape, *self._report)
        self._shape = shape

    def _stop(self) -> None:
        if self._request is not None:
            self._request.cancel()
            self._request.wait()
            self._request = None
