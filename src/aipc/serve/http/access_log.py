"""One line for each request, and its count: the path's pattern, never what was asked or shown."""

from __future__ import annotations

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aipc.serve.api.asker import TOKENS
from aipc.serve.http.metrics import Metrics

UNKNOWN = "unknown"
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_log = logging.getLogger(__name__)


class Access:
    """ASGI middleware around all else."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

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
        method = scope["method"] if scope["method"] in _METHODS else UNKNOWN
        path = getattr(scope.get("route"), "path", UNKNOWN)
        self._metrics.requests.labels(method, path, str(status)).inc()
        tokens = scope.get(TOKENS)
        told = "" if tokens is None else f", {tokens} tokens"
        _log.info("%s %s %d, %.0f ms%s", method, path, status, 1000 * seconds, told)
