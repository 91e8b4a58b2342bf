"""One path of the server: what it takes, what it returns, and how its errors are written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from aipc.wire.errors import ErrorShape, openai_error
from aipc.wire.schemas import ApiModel

Handler = Callable[[Request], Awaitable[Response]]

JSON = "application/json"
EVENTS = "text/event-stream"
LINES = "application/x-ndjson"
"""A JSON object a line."""
GENERATION_ERRORS = (404, 429, 500, 503)
"""Statuses of errors of every path that asks a model."""


class ErrorMembers(ApiModel):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(ApiModel):
    """What every refusal holds."""

    error: ErrorMembers


@dataclass(frozen=True)
class Endpoint:
    method: str
    path: str
    """In Starlette's form: "/v1/models/{model:path}"."""
    handler: Handler
    summary: str
    body: type[BaseModel] | None = None
    form_bytes: int = 0
    """Most bytes of a body that is a form, ``multipart/form-data``; 0 where it is JSON."""
    query: type[BaseModel] | None = None
    """What may be asked for behind the path's question mark."""
    returns: type[BaseModel] | None = None
    """None: a text of ``media``."""
    media: str = JSON
    streams: bool = False
    """Whether the response may be a stream too."""
    stream_media: str = EVENTS
    chunk: type[BaseModel] | None = None
    """The data of an event, or a line of the stream; None where there are many kinds."""
    errors: tuple[int, ...] = ()
    """Statuses of errors besides those of every path."""
    error_shape: ErrorShape = openai_error
    """How the bodies of its errors are written."""
    error_body: type[BaseModel] = ErrorBody
    """What ``error_shape`` writes."""
    is_public: bool = False
    """Whether it is served without the API key."""
    is_polled: bool = False
    """Whether programs ask it again and again, so that the log has it for ``--debug`` alone."""
    is_own: bool = False
    """Whether it is for this user's own programs alone, which know the token of this run."""

    @property
    def name(self) -> str:
        """The path without the converters of its parameters: "/v1/models/{model}"."""
        return self.path.replace(":path}", "}")

    def route(self) -> Route:
        return Route(self.path, self.handler, methods=[self.method])
