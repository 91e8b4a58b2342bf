"""What a worker loads when it is told: a session, with all that the operator requested."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aipc.progress import Progress

if TYPE_CHECKING:
    from aipc.serve.worker.embedding_session import EmbeddingSession
    from aipc.session.session import Session

LOADER = "aipc.serve.worker.loading:load_session"
"""The loader of every worker but those of tests: MODULE:FUNCTION."""


def load_session(
    order: Mapping[str, Any], progress: Progress, notify: Callable[[str], None]
) -> Session | EmbeddingSession:
    """``order`` has the arguments of `aipc.load` as plain data; ``home`` is its store's folder.

    Raises:
        AipcError: as `aipc.load`.
    """
    from aipc.models.store import Store
    from aipc.runtimes.openvino.static_shape import NpuOptions
    from aipc.session import embed, session

    if embed.is_embedder(order["model"]):
        return _embedder(order, notify)
    given = dict(order)
    npu = given.pop("npu", None)
    return session.load(
        given.pop("model"),
        npu=NpuOptions(**npu) if npu else None,
        store=Store(Path(given.pop("home"))),
        progress=progress,
        notify=notify,
        **given,
    )


def _embedder(order: Mapping[str, Any], notify: Callable[[str], None]) -> EmbeddingSession:
    from aipc.serve.worker.embedding_session import EmbeddingSession
    from aipc.session.embed import embedder

    properties = order.get("properties")
    model = embedder(order["model"], device=order["device"], properties=properties, notify=notify)
    return EmbeddingSession(model)
