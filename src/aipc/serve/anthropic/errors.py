"""Errors as Anthropic's clients expect them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aipc.wire.errors import HTTPError
from aipc.wire.sse import frame

_KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}


def is_anthropic(headers: Mapping[str, str]) -> bool:
    """Whether a client of Anthropic's asks, on a path that others have too."""
    return "anthropic-version" in headers


def anthropic_error(error: HTTPError) -> dict[str, Any]:
    return {**_body(error), "request_id": error.request_id}


def error_frame(error: HTTPError) -> bytes:
    """The last event of a stream, whose response had its request id in a header."""
    return frame(json.dumps(_body(error), ensure_ascii=False), "error")


def _body(error: HTTPError) -> dict[str, Any]:
    kind = "invalid_request_error" if error.status < 500 else "api_error"
    members: dict[str, Any] = {"type": _KINDS.get(error.status, kind), "message": error.message}
    if error.code is not None:
        members["details"] = {"error_code": error.code}
    return {"type": "error", "error": members}
