"""Every path of the server but /openapi.json; the files of the web page, served as they are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from aipc.serve.announcement import LOADED, PROOF
from aipc.serve.anthropic import endpoints as anthropic
from aipc.serve.anthropic.models import SharedModels
from aipc.serve.api.dispatch import Dispatcher
from aipc.serve.api.endpoint import Endpoint
from aipc.serve.api.health import Health, MachineBody, Readiness, ServerHealth
from aipc.serve.api.own import Loaded, OwnPrograms, Proof
from aipc.serve.batches.keeper import BatchKeeper
from aipc.serve.http.binding import Binding
from aipc.serve.http.metrics import Metrics
from aipc.serve.ollama import endpoints as ollama
from aipc.serve.openai import endpoints as openai
from aipc.serve.openai.models import Models
from aipc.serve.openai.stored import owner_of

if TYPE_CHECKING:
    from aipc.devices.counters.monitor import Monitor
    from aipc.pool.pool import Pool

PAGE = Path(__file__).parent / "page"
# On Windows the registry may call a script text/plain, and no browser runs that as a module.
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def list_endpoints(
    pool: Pool,
    binding: Binding,
    metrics: Metrics,
    monitor: Monitor,
    batches: BatchKeeper | None,
) -> tuple[Endpoint, ...]:
    """Without those of files and batches where there is no one to keep them."""
    dispatcher = Dispatcher(pool, metrics)
    owner = owner_of if binding.api_key else _everyone
    return (
        *openai.endpoints(dispatcher, SharedModels(pool, Models(pool))),
        *(openai.batch_endpoints(batches, owner) if batches is not None else ()),
        *anthropic.endpoints(dispatcher),
        *ollama.endpoints(pool, dispatcher, binding),
        *_health(ServerHealth(pool, metrics, monitor, binding)),
        *_own(OwnPrograms(pool, binding)),
        Endpoint(
            "GET",
            "/",
            _page,
            "The page for people.",
            media="text/html",
            is_public=True,
            is_polled=True,
        ),
    )


def _health(health: ServerHealth) -> tuple[Endpoint, ...]:
    return (
        Endpoint(
            "GET",
            "/health",
            health.alive,
            "That it lives.",
            returns=Health,
            is_public=True,
            is_polled=True,
        ),
        Endpoint(
            "GET",
            "/health/ready",
            health.ready,
            "Whether a model has produced tokens, or none is wanted yet.",
            returns=Readiness,
            errors=(503,),
            is_polled=True,
        ),
        Endpoint(
            "GET",
            "/metrics",
            health.metrics,
            "Prometheus' figures.",
            media="text/plain",
            is_polled=True,
        ),
        Endpoint(
            "GET",
            "/api/machine",
            health.machine,
            "Load of this machine.",
            returns=MachineBody,
            is_polled=True,
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
            is_polled=True,
        ),
        Endpoint(
            "GET",
            LOADED,
            own.loaded,
            "What is loaded, and how; for programs of this server's user.",
            returns=Loaded,
            is_own=True,
            is_polled=True,
        ),
    )


def _everyone(_: Request) -> str:
    return ""


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
