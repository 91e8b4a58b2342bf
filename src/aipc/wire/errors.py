"""An error on the wire: its HTTP status, its type and code, and its body as OpenAI writes it."""

from __future__ import annotations

import logging
import re
import secrets
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from aipc.errors import (
    AipcError,
    DeviceError,
    GenerationError,
    ModelNotFound,
    PromptTooLong,
    UsageError,
)
from aipc.pool.failures import (
    Draining,
    ModelTooLarge,
    ModelUnknown,
    NoProgress,
    ServerBusy,
    TryLater,
    WorkerDied,
    WrongModel,
)

INVALID = "invalid_request_error"
SERVER = "server_error"
BUSY = "rate_limit_error"

# The first class that fits: (class, status, type, code).
_TABLE: tuple[tuple[type[AipcError], int, str, str | None], ...] = (
    (PromptTooLong, 400, INVALID, "context_length_exceeded"),
    (GenerationError, 400, INVALID, "invalid_value"),
    (UsageError, 400, INVALID, "invalid_value"),
    (DeviceError, 400, INVALID, "device_unavailable"),
    (ModelUnknown, 404, INVALID, "model_not_found"),
    (ModelNotFound, 404, INVALID, "model_not_found"),
    (WrongModel, 400, INVALID, "model_not_supported"),
    (ModelTooLarge, 400, INVALID, "model_too_large"),
    (ServerBusy, 429, BUSY, "server_busy"),
    (Draining, 503, SERVER, "server_stopping"),
    (WorkerDied, 503, SERVER, "worker_died"),
    (NoProgress, 503, SERVER, "no_progress"),
    (AipcError, 500, SERVER, "engine_error"),
)
_QUOTED_PATH = re.compile(r"'(?:[A-Za-z]:[\\/]|/|\\\\)(?:[^'\n]*[\\/])?(?=[^'\\/\n]+')")
"""Up to the last name of it."""
_log = logging.getLogger(__name__)


def new_request_id() -> str:
    return f"req_{secrets.token_hex(12)}"


class HTTPError(Exception):
    """A status, a message and a code: becomes the response, or the last event of a stream."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = INVALID,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.code = code
        self.param = param
        self.headers = dict(headers or {})
        self.request_id = new_request_id()


ErrorShape = Callable[[HTTPError], dict[str, Any]]
"""Writes an error's body as the clients of one API expect it."""


def openai_error(error: HTTPError) -> dict[str, Any]:
    members = {"message": error.message, "type": error.kind}
    return {"error": {**members, "param": error.param, "code": error.code}}


def http_error(error: BaseException) -> HTTPError:
    """Any error as the client gets it; an unforeseen one has no details."""
    if isinstance(error, HTTPError):
        return error
    if isinstance(error, AipcError):
        return _known(error)
    # the type and the lines of code; never the message, which may hold a part of a prompt
    frames = traceback.walk_tb(error.__traceback__)
    lines = [f"{one.f_code.co_filename}:{line} in {one.f_code.co_name}" for one, line in frames]
    _log.error("internal error: %s", "; ".join([type(error).__name__, *lines]))
    return HTTPError(500, "internal error; the server's log says where", kind=SERVER)


def public_text(error: AipcError) -> str:
    """An error's text without the folders of this machine, which may be a person's name."""
    return str(error) if isinstance(error, ModelUnknown) else _QUOTED_PATH.sub("'", str(error))


def _known(error: AipcError) -> HTTPError:
    status, kind, code = next(row[1:] for row in _TABLE if isinstance(error, row[0]))
    headers = {"Retry-After": str(error.retry_after_s)} if isinstance(error, TryLater) else None
    param = "model" if code in {"model_not_found", "model_not_supported"} else None
    return HTTPError(status, public_text(error), kind=kind, code=code, param=param, headers=headers)
