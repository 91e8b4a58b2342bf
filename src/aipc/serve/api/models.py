"""Which models may be asked, and how they and the server are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from aipc.errors import DeviceError
from aipc.serve.api.json_body import json_response
from aipc.serve.api.models_schemas import (
    Health,
    MachineBody,
    ModelBody,
    ModelList,
    ModelState,
    Readiness,
)
from aipc.serve.http.errors import SERVER, HTTPError
from aipc.serve.http.metrics import CONTENT_TYPE, Metrics

if TYPE_CHECKING:
    from aipc.devices.counters.monitor import Monitor
    from aipc.serve.pool.model_registry import ModelCard
    from aipc.serve.pool.model_scheduler import ModelStatus
    from aipc.serve.pool.pool import Pool
    from aipc.serve.pool.worker_client import Ready

_STATES = ("ready", "loading", "failed", "stopped")


class Catalogue:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def list(self, _: Request) -> Response:
        cards = await run_in_threadpool(self._pool.models)
        bodies = [self._body(card) for card in cards]
        return json_response(ModelList(object="list", data=bodies))

    async def one(self, request: Request) -> Response:
        return json_response(self._body(await self._pool.card(request.path_params["model"])))

    def _body(self, card: ModelCard) -> ModelBody:
        statuses = [one for one in self._pool.statuses() if one.model == card.name]
        state = _state(card, statuses)
        return ModelBody(
            id=card.name, object="model", created=card.created, owned_by="aipc", aipc=state
        )


class State:
    """Whether the server lives, whether it answers, and what the machine does."""

    def __init__(self, pool: Pool, metrics: Metrics, monitor: Monitor) -> None:
        self._pool = pool
        self._metrics = metrics
        self._monitor = monitor

    async def alive(self, _: Request) -> Response:
        return json_response(Health(status="alive"))

    async def ready(self, _: Request) -> Response:
        """Ready is a model that has produced a token since its worker began."""
        states = _best_states(self._pool.statuses())
        best = next((state for state in _STATES[:3] if state in states.values()), "idle")
        if best not in {"ready", "idle"}:
            message = f"no model is ready: {', '.join(map(': '.join, states.items()))}"
            headers = {"Retry-After": "1"}
            raise HTTPError(503, message, kind=SERVER, code="not_ready", headers=headers)
        return json_response(Readiness(status=best, models=states))  # type: ignore[arg-type]

    async def metrics(self, _: Request) -> Response:
        return Response(self._metrics.read(), headers={"Content-Type": CONTENT_TYPE})

    async def machine(self, _: Request) -> Response:
        facts = await run_in_threadpool(lambda: self._monitor.snapshot().facts)
        models = [_figures(one) for one in self._pool.statuses()]
        body = MachineBody(**facts, places=await self._places(), models=models)
        return JSONResponse(body.model_dump(mode="json"), headers={"Cache-Control": "no-store"})

    async def _places(self) -> list[dict[str, Any]] | None:
        try:
            return [asdict(one) for one in await self._pool.devices()]
        except DeviceError:  # it is told to whoever asks for one of them
            return None


def _best_states(statuses: Sequence[ModelStatus]) -> dict[str, str]:
    """By model; of one that was asked for on several devices, that of the best."""
    best_last = sorted(statuses, key=lambda one: _STATES.index(one.state), reverse=True)
    return {one.model: one.state for one in best_last}


def _state(card: ModelCard, statuses: list[ModelStatus]) -> ModelState:
    """That of the place which answers soonest, where a model was asked for on several."""
    best = min(statuses, key=lambda one: _STATES.index(one.state), default=None)
    ready = best.ready if best else None
    return ModelState(
        what=card.what,
        state=best.state if best else "stopped",
        device=str(ready.facts.get("device", "")).lower() if ready else None,
        runtime=ready.facts.get("runtime") if ready else None,
        context=ready.context if ready else card.context,
        doing=best.doing if best else "",
        error=str(best.error) if best and best.error else None,
        waiting=best.waiting if best else 0,
        running=best.running if best else 0,
        can=["embeddings"] if card.embeds else _abilities(ready),
    )


def _abilities(ready: Ready | None) -> list[str]:
    """Of a model that writes text; known once it is loaded."""
    if ready is None:
        return []
    return [*ready.constraints, *(["logprobs"] if ready.logprobs else [])]


def _figures(status: ModelStatus) -> dict[str, Any]:
    return {
        "model": status.model,
        "device": status.device,
        "state": status.state,
        "waiting": status.waiting,
        "running": status.running,
        "tokens": status.tokens,
        "memory_bytes": status.memory_bytes,
    }
