"""Every path of the server but /openapi.json; the files of the web page, served as they are."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from aipc.serve.announcement import LOADED, PROOF
from aipc.serve.api.chat import answer_chat
from aipc.serve.api.chat_schemas import ChatChunk, ChatCompletion, ChatRequest
from aipc.serve.api.completions import Completion, CompletionRequest, answer_completion
from aipc.serve.api.dispatch import Dispatcher
from aipc.serve.api.embeddings import EmbeddingList, EmbeddingRequest, answer_embeddings
from aipc.serve.api.health import Health, MachineBody, Readiness, ServerHealth
from aipc.serve.api.models import ModelBody, ModelList, Models
from aipc.serve.api.own import Loaded, OwnPrograms, Proof
from aipc.serve.api.responses import answer_response
from aipc.serve.api.responses_schemas import ResponseBody, ResponseRequest
from aipc.serve.api.schemas import RequestBody
from aipc.serve.http.binding import Binding
from aipc.serve.http.metrics import Metrics

if TYPE_CHECKING:
    from aipc.devices.counters.monitor import Monitor
    from aipc.serve.pool.pool import Pool

Handler = Callable[[Request], Awaitable[Response]]

JSON = "application/json"
EVENTS = "text/event-stream"
_GENERATION_ERRORS = (404, 429, 500, 503)
PAGE = Path(__file__).parents[1] / "page"
# On Windows the registry may call a script text/plain, and no browser runs that as a module.
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class Endpoint:
    method: str
    path: str
    """In Starlette's form: "/v1/models/{model:path}"."""
    handler: Handler
    summary: str
    body: type[RequestBody] | None = None
    returns: type[BaseModel] | None = None
    """None: a text of ``media``."""
    media: str = JSON
    streams: bool = False
    """Whether the response may be server-sent events too."""
    chunk: type[BaseModel] | None = None
    """The data of such an event; None where there are many kinds."""
    errors: tuple[int, ...] = ()
    """Statuses of errors besides those of every path."""
    is_public: bool = False
    """Whether it is served without the API key."""
    is_own: bool = False
    """Whether it is for this user's own programs alone, which know the token of this run."""

    @property
    def name(self) -> str:
        """The path without the converters of its parameters: "/v1/models/{model}"."""
        return self.path.replace(":path}", "}")

    def route(self) -> Route:
        return Route(self.path, self.handler, methods=[self.method])


def list_endpoints(
    pool: Pool, binding: Binding, metrics: Metrics, monitor: Monitor
) -> tuple[Endpoint, ...]:
    return (
        *_generation(Dispatcher(pool, metrics)),
        *_models(Models(pool)),
        *_health(ServerHealth(pool, metrics, monitor)),
        *_own(OwnPrograms(pool, binding)),
        Endpoint("GET", "/", _page, "The page for people.", media="text/html", is_public=True),
    )


def _generation(dispatcher: Dispatcher) -> tuple[Endpoint, ...]:
    return (
        Endpoint(
            "POST",
            "/v1/chat/completions",
            partial(answer_chat, dispatcher),
            "The next message of a conversation.",
            body=ChatRequest,
            returns=ChatCompletion,
            streams=True,
            chunk=ChatChunk,
            errors=_GENERATION_ERRORS,
        ),
        Endpoint(
            "POST",
            "/v1/completions",
            partial(answer_completion, dispatcher),
            "What follows a text.",
            body=CompletionRequest,
            returns=Completion,
            streams=True,
            chunk=Completion,
            errors=_GENERATION_ERRORS,
        ),
        Endpoint(
            "POST",
            "/v1/responses",
            partial(answer_response, dispatcher),
            "The next message of a conversation, in OpenAI's newer form; nothing is stored.",
            body=ResponseRequest,
            returns=ResponseBody,
            streams=True,
            errors=_GENERATION_ERRORS,
        ),
        Endpoint(
            "POST",
            "/v1/embeddings",
            partial(answer_embeddings, dispatcher),
            "A vector of each text, from a model that can make them.",
            body=EmbeddingRequest,
            returns=EmbeddingList,
            errors=_GENERATION_ERRORS,
        ),
    )


def _models(models: Models) -> tuple[Endpoint, ...]:
    return (
        Endpoint("GET", "/v1/models", models.list, "Models that may be asked.", returns=ModelList),
        Endpoint(
            "GET",
            "/v1/models/{model:path}",
            models.one,
            "One of them.",
            returns=ModelBody,
            errors=(404,),
        ),
    )


def _health(health: ServerHealth) -> tuple[Endpoint, ...]:
    return (
        Endpoint("GET", "/health", health.alive, "That it lives.", returns=Health, is_public=True),
        Endpoint(
            "GET",
            "/health/ready",
            health.ready,
            "Whether a model has produced tokens, or none is wanted yet.",
            returns=Readiness,
            errors=(503,),
        ),
        Endpoint("GET", "/metrics", health.metrics, "Prometheus' figures.", media="text/plain"),
        Endpoint(
            "GET",
            "/api/machine",
            health.machine,
            "Load of this machine.",
            returns=MachineBody,
        ),
    )


def _own(own: OwnPrograms) -> tuple[Endpoint, ...]:
    return (
        Endpoint(
            "GET",
            f"{PROOF}{{nonce}}",
            own.prove,
            "That this server is the announced one.",
            returns=Proof,
            is_public=True,
        ),
        Endpoint(
            "GET",
            LOADED,
            own.loaded,
            "What is loaded, and how; for programs of this server's user.",
            returns=Loaded,
            is_own=True,
        ),
    )


async def _page(_: Request) -> Response:
    return FileResponse(PAGE / "index.html", headers={"Cache-Control": "no-cache"})


class PageFiles(StaticFiles):
    """An ASGI application; a browser revalidates its cached copy each time."""

    def __init__(self) -> None:
        super().__init__(directory=PAGE)

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        kind = _TYPES.get(Path(full_path).suffix)
        if kind:
            response.headers["Content-Type"] = f"{kind}; charset=utf-8"
        response.headers["Cache-Control"] = "no-cache"
        return response
