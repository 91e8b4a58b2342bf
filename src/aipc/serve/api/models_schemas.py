"""The bodies that tell of models and of the server's state."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from aipc.serve.api.schemas import Wire


class ModelState(Wire):
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
    can: list[str] = Field(description="of: json_schema, regex, logprobs, embeddings")


class ModelBody(Wire):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    aipc: ModelState


class ModelList(Wire):
    object: Literal["list"]
    data: list[ModelBody]


class Health(Wire):
    status: Literal["alive"]


class Readiness(Wire):
    status: Literal["ready", "loading", "failed", "idle"]
    models: dict[str, str] = Field(description="state of each model that was asked for")


class MachineBody(Wire):
    """Null is a figure that no counter of this machine tells."""

    time: float
    devices: list[dict[str, Any]]
    memory: dict[str, Any]
    sessions: list[dict[str, Any]]
    places: list[dict[str, Any]] | None = Field(
        description="what a request's device may be: device, name, runtimes"
    )
    models: list[dict[str, Any]]
