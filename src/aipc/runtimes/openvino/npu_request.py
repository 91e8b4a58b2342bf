"""A request to GenAI's pushing pipeline, turned round so that its tokens can be pulled."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, wait
from typing import Any

from aipc.runtimes.token_queue import Chunk, TokenQueue


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

    def read(self) -> Chunk:
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
            self._arrivals.put(Chunk(tokens, []))
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
