"""/api/proof and /api/loaded: for the programs of this server's own user, which know its token."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from aipc.serve.announcement import proof
from aipc.serve.http.connection import json_response
from aipc.wire.errors import HTTPError
from aipc.wire.schemas import ApiModel

if TYPE_CHECKING:
    from aipc.pool.pool import Pool
    from aipc.pool.status import ModelStatus
    from aipc.serve.http.binding import Binding

_NONCE = re.compile(r"[0-9a-f]{64}")


class Proof(ApiModel):
    proof: str = Field(description="HMAC-SHA256 of the address and the number, by the token")


class LoadedModel(ApiModel):
    """A model on a device that was asked for since the start."""

    model: str
    source: str = Field(description="names what it was made from, and the state of its files")
    state: Literal["stopped", "loading", "ready", "failed"]
    device: str | None = Field(description="what a request has to ask for; null: nothing")
    asked: dict[str, Any] = Field(description="how it was to be loaded")
    context: int | None
    facts: dict[str, Any] = Field(description="of its session")
    notices: list[str]
    error: str | None


class Loaded(ApiModel):
    models: list[LoadedModel]
    exit_idle_s: float | None = Field(description="seconds without a request until it ends")


class OwnPrograms:
    def __init__(self, pool: Pool, binding: Binding) -> None:
        self._pool = pool
        self._token = binding.token
        self._exit_idle_s = binding.exit_idle_s

    async def prove(self, request: Request) -> Response:
        nonce = request.path_params["nonce"]
        if not _NONCE.fullmatch(nonce):
            raise HTTPError(400, "the proof is of 64 hexadecimal digits", param="nonce")
        return json_response(Proof(proof=proof(self._token, nonce, request.scope["server"])))

    async def loaded(self, _: Request) -> Response:
        models = [self._model(status) for status in self._pool.statuses()]
        return json_response(Loaded(models=models, exit_idle_s=self._exit_idle_s))

    def _model(self, status: ModelStatus) -> LoadedModel:
        ready = status.ready
        return LoadedModel(
            model=status.model,
            source=status.source,
            state=status.state,
            device=None if status.device == self._pool.device else status.device,
            asked={**self._pool.loading, "device": status.device},
            context=ready.context if ready else None,
            facts=dict(ready.facts) if ready else {},
            notices=[*status.notices],
            error=str(status.error) if status.error else None,
        )
