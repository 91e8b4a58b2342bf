"""An error as OpenAI's clients understand it: a status and {"error": {…}}."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse, Response

INVALID = "invalid_request_error"
SERVER = "server_error"
BUSY = "rate_limit_error"


class Refusal(Exception):
    """Raised anywhere in the HTTP side; becomes the response, or an event of one under way."""

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
        self.headers = dict(headers or {})
        self.body: dict[str, Any] = {
            "error": {"message": message, "type": kind, "param": param, "code": code}
        }

    def response(self) -> Response:
        return JSONResponse(self.body, self.status, self.headers)
