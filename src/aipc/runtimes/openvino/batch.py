"""Requests that share a continuous-batching pipeline, stepped by one thread of their own.

A step advances all of them.  Only that thread touches the pipeline, so a reader that is slow,
interrupted or gone holds up nobody, and a cancelled request is freed though nobody reads.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aipc.artifact.lora import Factors, write_factors
from aipc.errors import EngineBroken, EngineError, UsageError
from aipc.runtimes.openvino.generation import token_tensor
from aipc.runtimes.token_queue import Readers, TokenChunk, TokenQueue
from aipc.runtimes.vendor_errors import again, broken, translated

_PRECISION, _FLOAT32 = "INFERENCE_PRECISION_HINT", "f32"
_PATIENCE_S = 0.02
"""With a reader that keeps the others waiting."""


class BatchRequest:
    """One request; what is made for it waits here until it is read."""

    def __init__(
        self,
        prompt: Any,
        config: Any,
        length: int,
        readers: Readers | None = None,
        *,
        whole: bool = False,
        adapter: str = "",
    ) -> None:
        """``prompt`` and ``config`` as the pipeline takes them; ``length``: most tokens of both.

        ``whole`` and ``adapter``: as `Decoding` has them.
        """
        self.length = length
        self.adapter = adapter
        self.is_cancelled = False
        self._arguments = (prompt, config)
        self._handle: Any = None
        self._arrivals = TokenQueue(readers, whole=whole)

    def read(self) -> TokenChunk:
        """Wait for the next tokens; none at the end, for ever.

        Raises:
            EngineError: the pipeline failed, or was closed.
        """
        return self._arrivals.read()

    def cancel(self) -> None:
        """Wake who reads, and free what it holds at the next step; returns at once."""
        self.is_cancelled = True
        self.drop()
        self._arrivals.end()
        self._arrivals.leave()

    def drop(self) -> None:
        """Have the pipeline free what it holds at the next step."""
        if self._handle is not None:
            self._handle.cancel()

    def begin(self, pipeline: Any, number: int) -> bool:
        """Hand it to the pipeline; False where that refuses, which the reader gets as an error."""
        try:
            with translated("OpenVINO GenAI refused the request"):
                self._handle = pipeline.add_request(number, *self._arguments)
        except EngineError as error:
            self.fail(error)
            return False
        if self.is_cancelled:  # by another thread, before it could see the handle
            self._handle.cancel()
        return True

    def deliver(self) -> bool:
        """Pass on what the last step made; whether there is more to come."""
        import openvino_genai

        status = self._handle.get_status()
        while self._handle.can_read():
            for output in self._handle.read().values():
                if output.generated_ids:
                    self._arrivals.put(TokenChunk(output.generated_ids, output.generated_log_probs))
        is_running = bool(status == openvino_genai.GenerationStatus.RUNNING)
        if not is_running:
            self._arrivals.end()
        return is_running

    def fail(self, error: EngineError) -> None:
        self._arrivals.fail(error)


class LoadedAdapters:
    """The adapters that a pipeline was made with, by the names that requests choose them by.

    GenAI adds their products to those of the graph's nodes, and keeps the factors as states of its
    one inference request, so that all requests under way have the same; only `generate` changes
    them, and only while none is under way.

    Its prefix cache knows the tokens alone, and not by which adapter they were computed, so that
    the base's would change an adapter's answer; it is switched off where there are adapters.  In
    bfloat16, which the CPU plugin takes by itself where the processor has it, an adapter computes
    no numbers where another rank, or none, was before it; float32 is set.  With
    factors of rank 0, which GenAI gives a matrix that the chosen adapter does not change, float32
    computed no numbers either in 3 of 14 rounds of requests at once; with factors of zeros in
    their place in none of 85.  All measured with 2026.4.1.

    Source: openvino.genai, ``lora/adapter.cpp`` and ``continuous_batching/pipeline_impl.cpp``.
    """

    def __init__(self, adapters: Mapping[str, Factors]) -> None:
        import numpy as np
        import openvino
        import openvino_genai

        unchanged = {
            matrix: (np.zeros((1, down.shape[1]), np.float32), np.zeros((len(up), 1), np.float32))
            for factors in adapters.values()
            for matrix, (down, up) in factors.items()
        }
        self._made: dict[str, Any] = {}
        for name, factors in {"": unchanged, **adapters}.items():
            file = np.frombuffer(bytearray(write_factors({**unchanged, **factors})), np.uint8)
            self._made[name] = openvino_genai.Adapter(openvino.Tensor(file))
        self._current: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(filter(None, self._made))

    @property
    def properties(self) -> dict[str, Any]:
        """What the pipeline is made with."""
        import openvino_genai

        return {"adapters": openvino_genai.AdapterConfig(list(self._made.values()))}

    @staticmethod
    def exact(properties: Mapping[str, str]) -> Mapping[str, str]:
        """The properties, with the precision in which adapters can be changed.

        Raises:
            UsageError: they have another one.
        """
        stated = properties.get(_PRECISION, _FLOAT32)
        if stated.lower() != _FLOAT32:
            raise UsageError(
                f"adapters compute wrongly with {_PRECISION}={stated} while they change",
                f"give --ov-config {_PRECISION}={_FLOAT32}, or merge them: aipc convert --adapter",
            )
        return {**properties, _PRECISION: _FLOAT32}

    def is_current(self, name: str) -> bool:
        """Whether the pipeline computes with it already."""
        return name == self._current

    def switch(self, pipeline: Any, name: str) -> None:
        """Have ``pipeline``, which has no requests, compute with one of them; "": with none."""
        import openvino_genai

        if name == self._current:
            return
        config = openvino_genai.GenerationConfig()
        config.max_new_tokens, config.ignore_eos = 1, True
        config.adapters = openvino_genai.AdapterConfig([(self._made[name], 1.0)])
        pipeline.generate([token_tensor([0])], [config])
        self._current = name


class Batch:
    """Steps a pipeline while it has requests; idle, its thread sleeps.

    ``room`` is how many tokens of prompts and answers may be under way at once, None for any
    number.  A request that would exceed it waits for its turn, first come first served; one
    that is larger than all the room runs alone.  ``prepare`` is called with the pipeline once,
    when the first request has come.

    Requests of one adapter run together; one of another waits until they have ended, and those
    that came after it wait behind it.
    """

    def __init__(
        self,
        pipeline: Any,
        room: int | None,
        prepare: Callable[[Any], None] | None = None,
        adapters: LoadedAdapters | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._room = room
        self._prepare = prepare
        self._adapters = adapters
        self.readers = Readers()
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._waiting: deque[BatchRequest] = deque()
        self._running: list[BatchRequest] = []
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._failure: EngineError | None = None

    def add(self, request: BatchRequest) -> None:
        """Begin a request as soon as there is room.

        Raises:
            EngineError: closed, or the pipeline has failed for good.
        """
        with self._changed:
            self._check_usable()
            self._waiting.append(request)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="aipc-batch", daemon=True)
                self._thread.start()
            self._changed.notify()

    def close(self) -> None:
        """End every request, and let go of the pipeline after the step under way."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
            thread = self._thread
        if thread is None:
            self._pipeline = None
        elif thread is not threading.current_thread():
            thread.join()

    def _check_usable(self) -> None:
        if self._is_closed:
            raise _closed()
        if self._failure is not None:
            raise EngineBroken(
                f"the model can't go on after an error ({self._failure.what})", "load it again"
            ) from self._failure

    def _run(self) -> None:
        try:
            with translated("OpenVINO GenAI failed while generating"):
                if self._prepare is not None:
                    self._prepare(self._pipeline)
                while self._admit():
                    self._pipeline.step()
                    self._running = [each for each in self._running if each.deliver()]
                    self.readers.wait(_PATIENCE_S)
                self._free_all()
            self._end(_closed())
        except EngineError as error:
            self._end(broken(error))
        finally:
            self._pipeline = None

    def _free_all(self) -> None:
        """Else the vendor writes of leaked blocks when the pipeline goes."""
        for request in self._running:
            request.drop()
        if self._is_busy():
            self._pipeline.step()

    def _admit(self) -> bool:
        """Wait for work, and give the pipeline what there is room for; False when closed."""
        with self._changed:
            while not (self._is_closed or self._waiting or self._is_busy()):
                self._changed.wait()
            if self._is_closed:
                return False
            admitted = self._take_fitting()
        if admitted and self._adapters is not None:
            self._adapters.switch(self._pipeline, admitted[0].adapter)
        self._running += [
            each for each in admitted if each.begin(self._pipeline, next(self._numbers))
        ]
        return True

    def _is_busy(self) -> bool:
        """Also while the pipeline has yet to free a request that was cancelled."""
        return bool(self._pipeline.has_non_finished_requests())

    def _take_fitting(self) -> list[BatchRequest]:
        held = sum(each.length for each in self._running)
        taken: list[BatchRequest] = []
        while self._waiting:
            first = self._waiting[0]
            if self._is_of_another(first, taken) and not first.is_cancelled:
                break
            is_alone = not self._running and not taken
            fits = self._room is None or held + first.length <= self._room
            if not (fits or is_alone or first.is_cancelled):
                break
            self._waiting.popleft()
            if not first.is_cancelled:
                taken.append(first)
                held += first.length
        return taken

    def _is_of_another(self, request: BatchRequest, taken: Sequence[BatchRequest]) -> bool:
        """Whether its adapter is not the one that the pipeline computes with, and can't be yet."""
        if self._adapters is None:
            return False
        beside = next(iter([*self._running, *taken]), None)
        if beside is not None:
            return request.adapter != beside.adapter
        return not self._adapters.is_current(request.adapter) and self._is_busy()

    def _end(self, error: EngineError) -> None:
        """Tell everybody why nothing comes any more."""
        with self._changed:
            self._failure = error
            left = [*self._running, *self._waiting]
            self._running, self._waiting = [], deque()
        for request in left:
            request.fail(again(error))


def _closed() -> EngineError:
    return EngineError("the model has been closed", "load it again")
