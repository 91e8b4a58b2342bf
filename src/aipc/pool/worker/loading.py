"""What a worker loads: a session, or an embedder with the interface of one."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aipc.errors import UsageError
from aipc.generate import Finished, Timings, Usage
from aipc.generate.request import GenerationRequest
from aipc.pool.worker.messages import Embedded
from aipc.progress import Notify, Progress
from aipc.runtimes.base import Capabilities
from aipc.runtimes.blob_cache import READY

if TYPE_CHECKING:
    from aipc.runtimes.embedder import Embedder
    from aipc.session.session import Session

LOADER = "aipc.pool.worker.loading:load_session"
"""The loader of every worker but those of tests: MODULE:FUNCTION."""
_AT_ONCE = 16  # texts; between two such batches an answer can be cancelled


def load_session(
    arguments: Mapping[str, Any], progress: Progress, notify: Notify
) -> Session | EmbeddingSession:
    """``arguments`` are those of `aipc.load` as plain data; ``home`` is the store's folder.

    Raises:
        AipcError: as `aipc.load`.
    """
    from aipc.convert.recipe import Recipe
    from aipc.models.store import Store
    from aipc.runtimes.openvino.static_shape import NpuOptions
    from aipc.session import embed, session

    if embed.is_embedder(arguments["model"]):
        made = embed.embedder(
            arguments["model"],
            device=arguments["device"],
            properties=arguments.get("properties"),
            notify=notify,
        )
        return EmbeddingSession(made)
    given = dict(arguments)
    npu, recipe = given.pop("npu", None), given.pop("recipe", None)
    return session.load(
        given.pop("model"),
        npu=NpuOptions(**npu) if npu else None,
        recipe=Recipe(**recipe) if recipe else None,
        store=Store(Path(given.pop("home"))),
        progress=progress,
        notify=notify,
        **given,
    )


def make_ready_later(facts: Mapping[str, Any], home: str, notify: Notify) -> None:
    """After the first answer of a session with these ``facts``: have the next one load faster."""
    if READY in facts:
        from aipc.models.store import Store
        from aipc.session.ready import make_later

        make_later(facts, Store(Path(home)), notify)


class EmbeddingSession:
    """The part of a `Session` that a worker uses, on an embedder; one answer at a time."""

    concurrent = False

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.context = embedder.context
        self.facts: Mapping[str, Any] = {**embedder.facts, "dimensions": embedder.width}
        self.capabilities = Capabilities(str(self.facts["runtime"]), frozenset(), concurrent=False)

    def answer(self, request: GenerationRequest) -> EmbeddingStream:
        """An iterator of `Embedded`, then one `Finished`.

        Raises:
            UsageError: ``dimensions`` is not what the model's vectors have.
        """
        if request.dimensions not in {None, self._embedder.width}:
            what = f"the model's embeddings have {self._embedder.width} dimensions, not"
            raise UsageError(f"{what} {request.dimensions}", "leave dimensions out")
        return EmbeddingStream(self._embedder, request.texts)

    def close(self) -> None:
        self._embedder.close()


class EmbeddingStream(Iterator[Any]):
    def __init__(self, embedder: Embedder, texts: Sequence[str]) -> None:
        self._embedder = embedder
        self._cancelled = threading.Event()
        self._events = self._embed(list(texts))

    def __next__(self) -> Any:
        return next(self._events)

    def cancel(self) -> None:
        """End it after the batch under way, from any thread."""
        self._cancelled.set()

    def _embed(self, texts: list[str]) -> Iterator[Embedded | Finished]:
        started, tokens = time.perf_counter(), 0
        for start in range(0, len(texts), _AT_ONCE):
            if self._cancelled.is_set():
                break
            batch = texts[start : start + _AT_ONCE]
            tokens += sum(self._embedder.count(batch))
            vectors = self._embedder.embed(batch).astype("<f4")
            yield Embedded(tuple(base64.b64encode(row.tobytes()).decode() for row in vectors))
        timings = Timings(None, None, time.perf_counter() - started)
        is_cut = self._cancelled.is_set()
        yield Finished("cancelled" if is_cut else "stop", Usage(tokens, 0), timings)
