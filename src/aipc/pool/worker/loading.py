"""What a worker loads: a session, or a model that reads texts with the interface of one."""

from __future__ import annotations

import base64
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from aipc.errors import UsageError
from aipc.generate import Finished, Timings, Usage
from aipc.generate.request import GenerationRequest
from aipc.pool.worker.messages import Embedded, Read, Scored
from aipc.progress import Notify, Progress
from aipc.runtimes.base import Capabilities
from aipc.runtimes.blob_cache import READY

if TYPE_CHECKING:
    from aipc.artifact.sentence_model import Task
    from aipc.convert.recipe import Recipe
    from aipc.models.store import Store
    from aipc.session.encoders.embed import Embedder
    from aipc.session.encoders.rerank import Reranker
    from aipc.session.session import Session

LOADER = "aipc.pool.worker.loading:load_session"
"""The loader of every worker but those of tests: MODULE:FUNCTION."""
_AT_ONCE = 32  # texts; between two such batches an answer can be cancelled


def load_session(
    arguments: Mapping[str, Any], progress: Progress, notify: Notify
) -> Session | ReaderSession:
    """``arguments`` are those of `aipc.load` as plain data; ``home`` is the store's folder.

    Raises:
        AipcError: as `aipc.load`.
    """
    from aipc.convert.recipe import Recipe
    from aipc.models import names
    from aipc.models.store import Store
    from aipc.runtimes.openvino.static_shape import NpuOptions
    from aipc.session import loading
    from aipc.session.convert import announce
    from aipc.session.encoders.reader import knows_task, source_task

    given = dict(arguments)
    npu, recipe = given.pop("npu", None), given.pop("recipe", None)
    made = Recipe(**recipe) if recipe else None
    store, model = Store(Path(given.pop("home"))), given.pop("model")
    source = names.resolve(names.split(model)[0], store)  # adapters change no model's task
    if not knows_task(source, store):
        announce(model, source, store, notify)
        store.fetch(source, progress)
    task = source_task(source, store)
    if task is not None:
        return _load_reader(task, model, given, made, store, progress, notify)
    return loading.load(
        model,
        npu=NpuOptions(**npu) if npu else None,
        recipe=made,
        store=store,
        progress=progress,
        notify=notify,
        **given,
    )


def _load_reader(
    task: Task,
    model: str,
    given: Mapping[str, Any],
    recipe: Recipe | None,
    store: Store,
    progress: Progress,
    notify: Notify,
) -> ReaderSession:
    """Of what a server states for all its models, only runtime, device and properties count."""
    from aipc.session.encoders.embed import embedder
    from aipc.session.encoders.rerank import reranker

    options: dict[str, Any] = {
        "device": given["device"],
        "runtime": given.get("runtime", "auto"),
        "properties": given.get("properties"),
        "recipe": recipe,
        "store": store,
        "progress": progress,
        "notify": notify,
    }
    if task == "embeddings":
        return EmbeddingSession(embedder(model, **options))
    return RerankSession(reranker(model, **options))


def make_ready_later(facts: Mapping[str, Any], home: str, notify: Notify) -> None:
    """After the first answer of a session with these ``facts``: have the next one load faster."""
    if READY in facts:
        from aipc.models.store import Store
        from aipc.session.ready import make_later

        make_later(facts, Store(Path(home)), notify)


class ReaderSession(ABC):
    """The part of a `Session` that a worker uses, on a model that writes no text.

    It gives one answer at a time.
    """

    concurrent = False

    def __init__(self, model: Embedder | Reranker) -> None:
        self.context = model.context
        self.facts: Mapping[str, Any] = model.facts
        self.capabilities = Capabilities(str(self.facts["runtime"]), frozenset(), concurrent=False)
        self.close = model.close

    @abstractmethod
    def answer(self, request: GenerationRequest) -> ReaderStream:
        """An iterator of `Read`, then one `Finished`.

        Raises:
            UsageError: what is asked for is not what the model makes.
        """

    @abstractmethod
    def warm_up(self) -> None:
        """Read a text, which is what ready means.

        Raises:
            EngineError: the vendor's runtime failed.
        """


class EmbeddingSession(ReaderSession):
    """It answers with `Embedded`."""

    def __init__(self, model: Embedder) -> None:
        super().__init__(model)
        self._model = model

    def answer(self, request: GenerationRequest) -> ReaderStream:
        if not request.texts or request.query is not None:
            raise UsageError("the model makes embeddings", "ask /v1/embeddings of it")
        self._model.check_dimensions(request.dimensions)
        return ReaderStream(request.texts, partial(self._read, request))

    def warm_up(self) -> None:
        self._model.read(["a"])

    def _read(
        self, request: GenerationRequest, texts: Sequence[str], start: int
    ) -> tuple[Read, int]:
        made = self._model.read(
            texts,
            prompt=request.prompt_name,
            dimensions=request.dimensions,
            truncate=request.truncate,
        )
        rows = [base64.b64encode(row.tobytes()).decode() for row in made.vectors.astype("<f4")]
        return Embedded(tuple(rows), _places(made.cut, start)), sum(made.tokens)


class RerankSession(ReaderSession):
    """It answers with `Scored`."""

    def __init__(self, model: Reranker) -> None:
        super().__init__(model)
        self._model = model

    def answer(self, request: GenerationRequest) -> ReaderStream:
        if not request.texts or request.query is None:
            raise UsageError("the model scores documents", "ask /v1/rerank of it")
        return ReaderStream(request.texts, partial(self._read, request.query, request.truncate))

    def warm_up(self) -> None:
        self._model.read("a", ["a"])

    def _read(
        self, query: str, truncate: bool, texts: Sequence[str], start: int
    ) -> tuple[Read, int]:
        made = self._model.read(query, texts, truncate=truncate)
        return Scored(tuple(made.values.tolist()), _places(made.cut, start)), sum(made.tokens)


def _places(cut: Sequence[int], start: int) -> tuple[int, ...]:
    return tuple(start + index for index, tokens in enumerate(cut) if tokens)


_Reading: TypeAlias = Callable[[Sequence[str], int], tuple[Read, int]]
"""Texts, and the index of the first among the request's, to what is made of them and tokens."""


class ReaderStream(Iterator[Any]):
    def __init__(self, texts: Sequence[str], read: _Reading) -> None:
        self._read = read
        self._cancelled = threading.Event()
        self._events = self._made(list(texts))

    def __next__(self) -> Any:
        return next(self._events)

    def cancel(self) -> None:
        """End it after the batch under way, from any thread."""
        self._cancelled.set()

    def _made(self, texts: list[str]) -> Iterator[Read | Finished]:
        started, tokens = time.perf_counter(), 0
        for start in range(0, len(texts), _AT_ONCE):
            if self._cancelled.is_set():
                break
            event, read = self._read(texts[start : start + _AT_ONCE], start)
            tokens += read
            yield event
        timings = Timings(None, None, time.perf_counter() - started)
        is_cut = self._cancelled.is_set()
        yield Finished("cancelled" if is_cut else "stop", Usage(tokens, 0), timings)
