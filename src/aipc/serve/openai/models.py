"""/v1/models: the models, and the state of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from aipc.pool.status import STATES
from aipc.serve.http.connection import json_response
from aipc.wire.errors import public_text
from aipc.wire.schemas import ApiModel

if TYPE_CHECKING:
    from aipc.pool.model_registry import ModelCard
    from aipc.pool.pool import Pool
    from aipc.pool.status import ModelStatus


class ModelState(ApiModel):
    """An extension: where the model stands now."""

    what: str = Field(description="the model in a few words; may be empty")
    state: Literal["stopped", "loading", "ready", "failed"]
    device: str | None = Field(description="that it answers on")
    runtime: str | None
    context: int | None = Field(description="tokens of a prompt and its answer together")
    doing: str = Field(description="what is under way while it loads")
    error: str | None
    waiting: int
    running: int
    can: list[str] = Field(description="of: json_schema, regex, logprobs, embeddings, scores")


class ModelBody(ApiModel):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    aipc: ModelState


class ModelList(ApiModel):
    object: Literal["list"]
    data: list[ModelBody]


class ModelHandlers(Protocol):
    async def list(self, request: Request, /) -> Response:
        """GET /v1/models."""

    async def one(self, request: Request, /) -> Response:
        """GET /v1/models/NAME."""


class Models:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def list(self, _: Request) -> Response:
        cards = await run_in_threadpool(self._pool.models)
        bodies = [self._body(card) for card in cards]
        return json_response(ModelList(object="list", data=bodies))

    async def one(self, request: Request) -> Response:
        return json_response(self._body(await self._pool.card(request.path_params["model"])))

    def _body(self, card: ModelCard) -> ModelBody:
        statuses = [status for status in self._pool.statuses() if status.model == card.loaded_name]
        state = _state(card, statuses)
        return ModelBody(
            id=card.name, object="model", created=card.created, owned_by="aipc", aipc=state
        )


def _state(card: ModelCard, statuses: list[ModelStatus]) -> ModelState:
    """The best state, where the model is loaded on several devices."""
    best = min(statuses, key=lambda status: STATES.index(status.state), default=None)
    ready = best.ready if best else None
    abilities: list[str] = [card.task] if card.task else []
    if ready and not card.task:  # of a model that writes text, known once it is loaded
        abilities = [*ready.constraints, *(["logprobs"] if ready.logprobs else [])]
    return ModelState(
        what=card.what,
        state=best.state if best else "failed" if card.problem else "stopped",
        device=str(ready.facts.get("device", "")).lower() if ready else None,
        runtime=ready.facts.get("runtime") if ready else None,
        context=ready.context if ready else card.context,
        doing=best.doing if best else "",
        error=public_text(best.error) if best and best.error else card.problem or None,
        waiting=best.waiting if best else 0,
        running=best.running if best else 0,
        can=abilities,
    )
