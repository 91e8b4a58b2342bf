"""A reply of one of the wire's models as a response."""

from __future__ import annotations

from pydantic import BaseModel
from starlette.responses import Response


def json_response(body: BaseModel) -> Response:
    """Members that nobody set are left out; null is told where it was set."""
    text = body.model_dump_json(exclude_unset=True, by_alias=True)
    return Response(text, media_type="application/json", headers={"Cache-Control": "no-store"})
