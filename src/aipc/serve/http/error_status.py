"""Which refusal each error of the tree becomes."""

from __future__ import annotations

import logging

from starlette.exceptions import HTTPException

from aipc.errors import (
    AipcError,
    DeviceError,
    GenerationError,
    ModelNotFound,
    PromptTooLong,
    UsageError,
)
from aipc.serve.failures import (
    Draining,
    ModelTooLarge,
    ModelUnknown,
    ServerBusy,
    TryLater,
    WorkerDied,
    WrongModel,
)
from aipc.serve.http.refusal import BUSY, INVALID, SERVER, Refusal

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
    (AipcError, 500, SERVER, "engine_error"),
)
_ROUTING = {404: "there is nothing at this path", 405: "this path does not take that method"}
_log = logging.getLogger(__name__)


def refusal_of(error: Exception) -> Refusal:
    """What the client is told; of an error that nobody foresaw, nothing but that there was one."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, AipcError):
        return _known(error)
    if isinstance(error, HTTPException):
        message = _ROUTING.get(error.status_code, error.detail)
        return Refusal(error.status_code, message, headers=error.headers)
    _log.error("internal error: %s", _where(error))
    return Refusal(500, "internal error; the server's log says where", kind=SERVER)


def _known(error: AipcError) -> Refusal:
    status, kind, code = next(row[1:] for row in _TABLE if isinstance(error, row[0]))
    headers = {"Retry-After": str(error.retry_after_s)} if isinstance(error, TryLater) else None
    param = "model" if code in {"model_not_found", "model_not_supported"} else None
    return Refusal(status, str(error), kind=kind, code=code, param=param, headers=headers)


def _where(error: Exception) -> str:
    """The type and the places; never the message, which may hold a part of a prompt."""
    places = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{code.co_filename}:{trace.tb_lineno} in {code.co_name}")
        trace = trace.tb_next
    return "; ".join([type(error).__name__, *places])
