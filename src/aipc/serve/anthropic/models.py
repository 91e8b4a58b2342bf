"""/v1/models as Anthropic's clients expect it, which say so by their header."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Literal

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from aipc.serve.anthropic.errors import is_anthropic
from aipc.serve.http.connection import json_response
from aipc.wire.schemas import ApiModel

if TYPE_CHECKING:
    from aipc.pool.model_registry import ModelCard
    from aipc.pool.pool import Pool
    from aipc.serve.openai.models import Models


class ModelInfo(ApiModel):
    id: str
    type: Literal["model"]
    display_name: str
    created_at: str
    max_input_tokens: int | None


class ModelPage(ApiModel):
    data: list[ModelInfo]
    has_more: Literal[False]
    first_id: str | None
    last_id: str | None


class SharedModels:
    """The paths that OpenAI and Anthropic both have: the client's header chooses the form."""

    def __init__(self, pool: Pool, others: Models) -> None:
        self._pool = pool
        self._others = others

    async def list(self, request: Request) -> Response:
        if not is_anthropic(request.headers):
            return await self._others.list(request)
        models = [_info(card) for card in await run_in_threadpool(self._pool.models)]
        first, last = (models[0].id, models[-1].id) if models else (None, None)
        return json_response(ModelPage(data=models, has_more=False, first_id=first, last_id=last))

    async def one(self, request: Request) -> Response:
        if not is_anthropic(request.headers):
            return await self._others.one(request)
        return json_response(_info(await self._pool.card(request.path_params["model"])))


def _info(card: ModelCard) -> ModelInfo:
    return ModelInfo(
        id=card.name,
        type="model",
        display_name=card.name,
        created_at=datetime.fromtimestamp(card.created, timezone.utc).isoformat(),
        max_input_tokens=card.context,
    )
