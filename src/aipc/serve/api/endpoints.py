"""Every path of the server but its own description and the page's files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from aipc.serve.api.asker import Asker
from aipc.serve.api.chat import Chat
from aipc.serve.api.chat_schemas import ChatChunk, ChatCompletion, ChatRequest
from aipc.serve.api.completions import Completions
from aipc.serve.api.completions_schemas import Completion, CompletionRequest
from aipc.serve.api.embeddings import Embeddings
from aipc.serve.api.embeddings_schemas import EmbeddingList, EmbeddingRequest
from aipc.serve.api.endpoint import Endpoint
from aipc.serve.api.models import Catalogue, State
from aipc.serve.api.models_schemas import (
    Health,
    MachineBody,
    ModelBody,
    ModelList,
    Readiness,
)
from aipc.serve.api.responses import Responses
from aipc.serve.api.responses_schemas import ResponseBody, ResponseRequest
from aipc.serve.http.metrics import Metrics
from aipc.serve.http.page_files import PAGE

if TYPE_CHECKING:
    from aipc.devices.counters.monitor import Monitor
    from aipc.serve.pool.pool import Pool

_ANSWERS = (404, 429, 500, 503)


def list_endpoints(pool: Pool, metrics: Metrics, monitor: Monitor) -> tuple[Endpoint, ...]:
    return (
        *_answering(Asker(pool, metrics)),
        *_models(Catalogue(pool)),
        *_state(State(pool, metrics, monitor)),
        Endpoint("GET", "/", _page, "The page for people.", media="text/html", is_public=True),
    )


def _answering(asker: Asker) -> tuple[Endpoint, ...]:
    return (
        Endpoint(
            "POST",
            "/v1/chat/completions",
            Chat(asker).answer,
            "The next message of a conversation.",
            asks=ChatRequest,
            gives=ChatCompletion,
            streams=True,
            chunk=ChatChunk,
            refuses=_ANSWERS,
        ),
        Endpoint(
            "POST",
            "/v1/completions",
            Completions(asker).answer,
            "What follows a text.",
            asks=CompletionRequest,
            gives=Completion,
            streams=True,
            chunk=Completion,
            refuses=_ANSWERS,
        ),
        Endpoint(
            "POST",
            "/v1/responses",
            Responses(asker).answer,
            "The next message of a conversation, in OpenAI's newer form; nothing is stored.",
            asks=ResponseRequest,
            gives=ResponseBody,
            streams=True,
            refuses=_ANSWERS,
        ),
        Endpoint(
            "POST",
            "/v1/embeddings",
            Embeddings(asker).answer,
            "A vector of each text, from a model that can make them.",
            asks=EmbeddingRequest,
            gives=EmbeddingList,
            refuses=_ANSWERS,
        ),
    )


def _models(catalogue: Catalogue) -> tuple[Endpoint, ...]:
    return (
        Endpoint("GET", "/v1/models", catalogue.list, "Models that may be asked.", gives=ModelList),
        Endpoint(
            "GET",
            "/v1/models/{model:path}",
            catalogue.one,
            "One of them.",
            gives=ModelBody,
            refuses=(404,),
        ),
    )


def _state(state: State) -> tuple[Endpoint, ...]:
    return (
        Endpoint("GET", "/health", state.alive, "That it lives.", gives=Health, is_public=True),
        Endpoint(
            "GET",
            "/health/ready",
            state.ready,
            "Whether a model has produced tokens, or none is wanted yet.",
            gives=Readiness,
            refuses=(503,),
        ),
        Endpoint("GET", "/metrics", state.metrics, "Prometheus' figures.", media="text/plain"),
        Endpoint("GET", "/api/machine", state.machine, "Load of this machine.", gives=MachineBody),
    )


async def _page(_: Request) -> Response:
    return FileResponse(PAGE / "index.html", headers={"Cache-Control": "no-cache"})
