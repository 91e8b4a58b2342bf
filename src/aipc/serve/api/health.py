"""/health, /metrics and /api/machine: the state of the server and of its machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from aipc.devices.quarantine import list_quarantined
from aipc.errors import DeviceError
from aipc.pool.status import STATES
from aipc.serve.http.connection import json_response
from aipc.serve.http.metrics import CONTENT_TYPE, Metrics
from aipc.wire.errors import SERVER, HTTPError
from aipc.wire.schemas import ApiModel

if TYPE_CHECKING:
    from aipc.devices.counters.monitor import Monitor
    from aipc.pool.pool import Pool
    from aipc.pool.status import ModelStatus
    from aipc.serve.http.binding import Binding

_FIGURES = ("model", "device", "state", "waiting", "running", "tokens", "memory_bytes")


class Health(ApiModel):
    status: Literal["alive"]


class Readiness(ApiModel):
    status: Literal["ready", "loading", "failed", "idle"]
    models: dict[str, str] = Field(description="state of each model that was asked for")
    quarantined: list[str] = Field(
        description="devices that were seen to compute a model wrongly, with what was seen"
    )


class MachineBody(ApiModel):
    """Null is a figure that no counter of this machine tells."""

    time: float
    devices: list[dict[str, Any]]
    memory: dict[str, Any]
    sessions: list[dict[str, Any]]
    places: list[dict[str, Any]] | None = Field(
        description="what a request's device may be: device, name, runtimes"
    )
    models: list[dict[str, Any]]
    allows: list[Literal["pull", "delete"]] = Field(
        description="what requests may do to the store: Ollama's /api/pull, /api/delete"
    )


class ServerHealth:
    def __init__(self, pool: Pool, metrics: Metrics, monitor: Monitor, binding: Binding) -> None:
        self._pool = pool
        self._metrics = metrics
        self._monitor = monitor
        self._allows = _allowed(binding)

    async def alive(self, _: Request) -> Response:
        return json_response(Health(status="alive"))

    async def ready(self, _: Request) -> Response:
        """A model is ready once it has produced a token since its worker started."""
        states = _best_states(self._pool.statuses())
        best = next((state for state in STATES[:3] if state in states.values()), "idle")
        if best not in {"ready", "idle"}:
            message = f"no model is ready: {', '.join(map(': '.join, states.items()))}"
            headers = {"Retry-After": "1"}
            raise HTTPError(503, message, kind=SERVER, code="not_ready", headers=headers)
        found = await run_in_threadpool(list_quarantined, self._pool.store.quarantine)
        words = [one.words for one in found]
        return json_response(Readiness(status=best, models=states, quarantined=words))  # type: ignore[arg-type]

    async def metrics(self, _: Request) -> Response:
        return Response(self._metrics.read(), headers={"Content-Type": CONTENT_TYPE})

    async def machine(self, _: Request) -> Response:
        facts = await run_in_threadpool(lambda: self._monitor.snapshot().facts)
        statuses = self._pool.statuses()
        models = [{name: getattr(status, name) for name in _FIGURES} for status in statuses]
        try:
            places = [asdict(device) for device in await self._pool.devices()]
        except DeviceError:  # a request for one of the devices gets the error
            places = None
        body = MachineBody(**facts, places=places, models=models, allows=self._allows)
        return JSONResponse(body.model_dump(mode="json"), headers={"Cache-Control": "no-store"})


def _allowed(binding: Binding) -> list[Literal["pull", "delete"]]:
    pull: list[Literal["pull", "delete"]] = ["pull"] if binding.allow_pull else []
    return [*pull, "delete"] if binding.allow_delete else pull


def _best_states(statuses: Sequence[ModelStatus]) -> dict[str, str]:
    """The state of each model; of one that is on several devices, the best."""
    best_last = sorted(statuses, key=lambda status: STATES.index(status.state), reverse=True)
    return {status.model: status.state for status in best_last}
