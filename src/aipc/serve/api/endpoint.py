"""One path of the server: who answers it, and what its document says about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from aipc.serve.api import schemas

Handler = Callable[[Request], Awaitable[Response]]

JSON = "application/json"
EVENTS = "text/event-stream"


@dataclass(frozen=True)
class Endpoint:
    method: str
    path: str
    """As Starlette has it: "/v1/models/{model:path}"."""
    handler: Handler
    summary: str
    asks: type[schemas.Request] | None = None
    gives: type[BaseModel] | None = None
    """None: a text of ``media``."""
    media: str = JSON
    streams: bool = False
    """Whether it may answer as server-sent events too."""
    chunk: type[BaseModel] | None = None
    """What the data of such an event is; None where there are many kinds."""
    refuses: tuple[int, ...] = ()
    """Statuses besides those that any path may answer."""
    is_public: bool = False
    """Answered without the key."""

    @property
    def name(self) -> str:
        """The path without how its parts are matched: "/v1/models/{model}"."""
        return self.path.replace(":path}", "}")

    def route(self) -> Route:
        return Route(self.path, self.handler, methods=[self.method])
