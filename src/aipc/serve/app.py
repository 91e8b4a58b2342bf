"""The whole server as one ASGI application: endpoints, the guard before them, the log around."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from aipc.serve.api.endpoint import Endpoint
from aipc.serve.api.endpoints import list_endpoints
from aipc.serve.api.openapi import document
from aipc.serve.http.access_log import Access
from aipc.serve.http.binding import Binding
from aipc.serve.http.connection import LEFT, ClientLeft
from aipc.serve.http.error_status import refusal_of
from aipc.serve.http.guard import Guard
from aipc.serve.http.metrics import Metrics
from aipc.serve.http.page_files import PageFiles

if TYPE_CHECKING:
    from aipc.devices.counters.monitor import Monitor
    from aipc.serve.pool.pool import Pool


class Application:
    """``endpoints`` are all its paths but those of the page's files, which are under /page."""

    def __init__(self, pool: Pool, binding: Binding, monitor: Monitor) -> None:
        self._metrics = Metrics(pool.statuses)
        self.endpoints = list_endpoints(pool, self._metrics, monitor)
        self._document = document(self.endpoints, needs_key=binding.api_key is not None)
        about = Endpoint("GET", "/openapi.json", self._describe, "This document.")
        self._public = {one.path for one in self.endpoints if one.is_public}
        routes = [endpoint.route() for endpoint in (*self.endpoints, about)]
        page = Mount("/page", PageFiles())
        router = Router([*routes, page], redirect_slashes=False)
        guard = Guard(_Answering(router), binding, self._is_public)
        self._app: ASGIApp = Access(guard, self._metrics)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    async def _describe(self, _: Request) -> Response:
        return JSONResponse(self._document)

    def _is_public(self, path: str) -> bool:
        return path in self._public or path.startswith("/page/")


class _Answering:
    """Turns every error into a response, so that none reaches a log with a prompt in it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        scope["app"] = self  # inside an application, Starlette's router raises what it refuses
        try:
            await self._app(scope, receive, send)
        except ClientLeft:
            await Response(status_code=LEFT)(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - the one place where a request's errors end
            await refusal_of(error).response()(scope, receive, send)
