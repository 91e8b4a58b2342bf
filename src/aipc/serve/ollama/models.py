"""/api/tags, /api/show, /api/ps and /api/version: what there is, and what is loaded."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

import aipc
from aipc.artifact.config import read_generation_config
from aipc.errors import AipcError
from aipc.serve.http.connection import json_response
from aipc.serve.ollama.model_files import ModelFiles, find_files
from aipc.serve.ollama.models_schemas import (
    ModelDetails,
    NamedModel,
    RunningList,
    RunningModel,
    ShownModel,
    TagBody,
    TagList,
    VersionBody,
)
from aipc.serve.ollama.schemas import rfc3339
from aipc.wire.schemas import read

if TYPE_CHECKING:
    from aipc.models.store import Store
    from aipc.pool.model_registry import ModelCard
    from aipc.pool.pool import Pool
    from aipc.pool.status import ModelStatus
    from aipc.pool.worker_client import Ready

VERSION = "0.12.11"
"""The first with log probabilities, the newest thing that is answered here; clients want 0.6.4."""
_FOR_EVER = 7_258_118_400.0  # the year 2200: clients call what is decades away "forever"
_OPTIONS = {"repetition_penalty": "repeat_penalty"}
_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")
_SIZES = {
    "embedding_length": "hidden_size",
    "block_count": "num_hidden_layers",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "vocab_size": "vocab_size",
}
"""What model_info calls a size, as GGUF's metadata do, and config.json's name of it."""


class OllamaModels:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def version(self, _: Request) -> Response:
        return json_response(VersionBody(version=VERSION, aipc=aipc.__version__))

    async def tags(self, _: Request) -> Response:
        loaded = {status.model: status.ready for status in self._pool.statuses() if status.ready}
        return json_response(await run_in_threadpool(self._tags, loaded))

    def _tags(self, loaded: dict[str, Ready]) -> TagList:
        store = self._pool.store
        cards = self._pool.models()
        return TagList(models=[_found_tag(store, one, loaded.get(one.name)) for one in cards])

    async def running(self, _: Request) -> Response:
        bodies = [
            await self._running(status, status.ready)
            for status in self._pool.statuses()
            if status.ready
        ]
        return json_response(RunningList(models=bodies))

    async def _running(self, status: ModelStatus, ready: Ready) -> RunningModel:
        card = await self._pool.card(status.model)
        files = await run_in_threadpool(find_files, self._pool.store, card, ready)
        size = status.memory_bytes or card.nbytes
        is_cpu = str(ready.facts.get("device", "CPU")).upper().startswith("CPU")
        left = status.idle_left_s
        return RunningModel(
            name=_tagged(card),
            model=_tagged(card),
            size=size,
            digest=files.digest,
            details=_details(files),
            expires_at=rfc3339(_FOR_EVER if left is None else time.time() + left),
            size_vram=0 if is_cpu else size,
            context_length=ready.context or 0,
        )

    async def show(self, request: Request) -> Response:
        body = read(NamedModel, await request.body())
        card = await self._pool.card(body.named)
        statuses = self._pool.statuses()
        loaded = (one for one in statuses if one.model == card.loaded_name)
        ready = next((one.ready for one in loaded if one.ready), None)
        return json_response(await run_in_threadpool(self._shown, card, ready))

    def _shown(self, card: ModelCard, ready: Ready | None) -> ShownModel:
        files = find_files(self._pool.store, card, ready)
        return ShownModel(
            license=files.known.licence if files.known else "",
            modelfile=f"FROM {card.name}\n",
            parameters=_parameters(files),
            template=files.template,
            details=_details(files),
            model_info=_info(files, ready.context if ready else None),
            capabilities=files.capabilities,
            modified_at=rfc3339(files.modified),
        )


def _tagged(card: ModelCard) -> str:
    return card.name if card.adapter else f"{card.name}:latest"


def _found_tag(store: Store, card: ModelCard, ready: Ready | None) -> TagBody:
    try:
        return _tag(find_files(store, card, ready))
    except (AipcError, OSError, UnicodeDecodeError):  # damaged; who asks the model gets the error
        return _tag(ModelFiles(card, None, None))


def _tag(files: ModelFiles) -> TagBody:
    card = files.card
    return TagBody(
        name=_tagged(card),
        model=_tagged(card),
        modified_at=rfc3339(files.modified),
        size=card.nbytes,
        digest=files.digest,
        details=_details(files),
        capabilities=files.capabilities,
    )


def _details(files: ModelFiles) -> ModelDetails:
    hidden = files.config.get("hidden_size")
    sizes = {"context_length": files.context, "embedding_length": hidden}
    return ModelDetails(
        parent_model="",
        format=files.form,
        family=files.family,
        families=[files.family] if files.family else [],
        parameter_size=_amount(files.parameters),
        quantization_level=files.weight_format,
        **{name: size for name, size in sizes.items() if isinstance(size, int)},
    )


def _amount(parameters: int | None) -> str:
    """Such as "135M" or "3.8B"."""
    if parameters is None:
        return ""
    if parameters >= 1e9:
        return f"{parameters / 1e9:.1f}B"
    return f"{parameters / 1e6:.0f}M" if parameters >= 1e6 else f"{parameters / 1e3:.0f}K"


def _info(files: ModelFiles, context: int | None) -> dict[str, Any]:
    family = files.family or "unknown"
    sizes = {name: files.config.get(key) for name, key in _SIZES.items()}
    sizes["context_length"] = context or files.context
    info = {
        "general.architecture": family,
        "general.basename": files.card.name,
        "general.parameter_count": files.parameters,
        **{f"{family}.{name}": size for name, size in sizes.items()},
    }
    return {name: value for name, value in info.items() if value is not None}


def _parameters(files: ModelFiles) -> str:
    """What the model's makers state of sampling, a line each, by Ollama's names."""
    config: Any = {}
    if files.path is not None and files.path.is_dir():
        try:
            config = read_generation_config(files.path)
        except AipcError:  # damaged; who asks the model gets the error
            config = {}
    stated = {**config, **(files.known.sampling if files.known else {})}
    found = {_OPTIONS.get(name, name): stated.get(name) for name in _SAMPLING}
    return "\n".join(f"{name:30} {value}" for name, value in found.items() if value is not None)
