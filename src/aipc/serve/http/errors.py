"""Errors as responses."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from aipc.wire.errors import ErrorShape, HTTPError, http_error

REQUEST_ID = "request-id"
"""The header by which clients name a request, as Anthropic calls it."""
_ROUTING = {404: "there is nothing at this path", 405: "this path does not take that method"}


def error_response(error: BaseException, shape: ErrorShape) -> Response:
    """The response of any error, its body written by ``shape``."""
    if isinstance(error, HTTPException):
        message = _ROUTING.get(error.status_code, error.detail)
        error = HTTPError(error.status_code, message, headers=error.headers)
    told = http_error(error)
    headers = {REQUEST_ID: told.request_id, **told.headers}
    return JSONResponse(shape(told), told.status, headers)
