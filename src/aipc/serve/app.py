"""The whole server as one ASGI application: the endpoints behind the guard and the access log."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Container
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aipc.errors import is_failure
from aipc.serve.announcement import PROOF
from aipc.serve.anthropic.errors import anthropic_error, is_anthropic
from aipc.serve.api.dispatch import TOKENS
from aipc.serve.api.endpoint import Endpoint
from aipc.serve.batches.file_store import FileStore
from aipc.serve.batches.keeper import BatchKeeper
from aipc.serve.endpoints import PageFiles, list_endpoints
from aipc.serve.http.binding import Binding
from aipc.serve.http.connection import CLIENT_CLOSED_REQUEST, ClientLeft
from aipc.serve.http.errors import error_response
from aipc.serve.http.guard import Guard
from aipc.serve.http.metrics import Metrics
from aipc.serve.ollama.schemas import ollama_error
from aipc.serve.openapi import document
from aipc.wire.errors import ErrorShape, openai_error

if TYPE_CHECKING:
    from aipc.devices.counters.monitor import Monitor
    from aipc.pool.pool import Pool

_PAGE = "/page"
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_FAILED = 400
_log = logging.getLogger(__name__)


class Application:
    """``endpoints`` lists all its paths but /openapi.json and the page's files, under /page.

    ``keeps_batches``: it has the paths of files and batches, which are this machine's own.
    """

    def __init__(
        self, pool: Pool, binding: Binding, monitor: Monitor, *, keeps_batches: bool = True
    ) -> None:
        metrics = Metrics(pool.statuses)
        files = FileStore(pool.store.files, binding.files_bytes)
        self.batches = BatchKeeper(pool, files, pool.store.batches)
        kept = self.batches if keeps_batches else None
        self.endpoints = list_endpoints(pool, binding, metrics, monitor, kept)
        openapi = document(self.endpoints, needs_key=binding.api_key is not None)

        async def describe(_: Request) -> Response:
            return JSONResponse(openapi)

        described = Endpoint("GET", "/openapi.json", describe, "This document.", is_polled=True)
        routes = [endpoint.route() for endpoint in (*self.endpoints, described)]
        router = Router([*routes, Mount(_PAGE, PageFiles())], redirect_slashes=False)
        public = {one.path for one in self.endpoints if one.is_public}
        own = {one.path for one in self.endpoints if one.is_own}
        shapes = {one.path: one.error_shape for one in self.endpoints}

        def error_shape(scope: Scope) -> ErrorShape:
            if is_anthropic(Headers(scope=scope)):
                return anthropic_error
            return shapes.get(scope["path"], _unlisted(scope["path"]))

        guard = Guard(
            _ErrorResponses(router, error_shape),
            binding,
            lambda at: at in public or at.startswith(("/page/", PROOF)),
            own.__contains__,
            error_shape,
            {one.path: one.form_bytes for one in self.endpoints if one.form_bytes},
        )
        polled = {one.path for one in self.endpoints if one.is_polled} | {_PAGE}
        self._app: ASGIApp = _AccessLog(guard, metrics, polled)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def _unlisted(path: str) -> ErrorShape:
    """That of a path with a parameter, or of one that is not there."""
    is_ollamas = path.startswith("/api/") and not path.startswith(PROOF)
    return ollama_error if is_ollamas else openai_error


class _AccessLog:
    """Middleware: a line and a count for each request, with its path's pattern, never the path.

    Of a path that is ``polled`` the line is of the level DEBUG, unless it failed.  The number of
    tokens in its answers comes from the scope, where the endpoints count them.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, polled: Container[str]) -> None:
        self._app = app
        self._metrics = metrics
        self._polled = polled

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 0

        async def send_noted(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        finally:
            self._note(scope, status, time.perf_counter() - started)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "unknown"
        path = getattr(scope.get("route"), "path", "unknown")
        self._metrics.requests.labels(method, path, str(status)).inc()
        tokens = f", {scope[TOKENS]} tokens" if TOKENS in scope else ""
        level = logging.DEBUG if path in self._polled and status < _FAILED else logging.INFO
        _log.log(level, "%s %s %d, %.0f ms%s", method, path, status, 1000 * seconds, tokens)


class _ErrorResponses:
    """Middleware: every error becomes a response, so that none is logged with a prompt in it."""

    def __init__(self, app: ASGIApp, error_shape: Callable[[Scope], ErrorShape]) -> None:
        self._app = app
        self._error_shape = error_shape

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        scope["app"] = self  # with an app set, Starlette's router raises its 404 and 405
        try:
            await self._app(scope, receive, send)
        except (ClientLeft, ClientDisconnect):
            await Response(status_code=CLIENT_CLOSED_REQUEST)(scope, receive, send)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # the one place where a request's errors end
            if not is_failure(error):
                raise
            shape = self._error_shape(scope)
            await error_response(error, shape)(scope, receive, send)
