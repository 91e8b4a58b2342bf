"""All the models of a server: found by name, loaded on demand, within a memory budget."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from aipc.artifact.sentence_model import Task
from aipc.devices import resolve_device
from aipc.devices.device import plain_name
from aipc.devices.system.memory import SHARE_FOR_MODELS, read_memory
from aipc.generate.request import GenerationRequest
from aipc.models.store import Store
from aipc.pool.device_list import DeviceList, ReachableDevice
from aipc.pool.failures import ModelTooLarge, ModelUnknown, WrongModel, draining
from aipc.pool.fair_queue import PendingRequest
from aipc.pool.model_registry import ModelCard, ModelRegistry
from aipc.pool.model_scheduler import ModelScheduler
from aipc.pool.options import PoolOptions
from aipc.pool.status import ModelStatus
from aipc.pool.worker.loading import LOADER
from aipc.pool.worker_client import WorkerClient
from aipc.units import amount

_ASKED: Mapping[Task, str] = {"embeddings": "/v1/embeddings", "scores": "/v1/rerank"}
_GB = 1e9
_RECENT_S = 300.0
"""Since its last interactive request, for which no batch has a model unloaded."""
_QUIET_S = 5.0
"""The same since any: the pauses within a batch are shorter."""


class Pool:
    """Answers requests with the models of a registry, each on each device in its own process.

    Made, used and closed on one event loop.

    Args:
        registry: the models that may be requested.
        options: the limits.
        device: of requests that name none: auto, npu, gpu, gpu.N …
        loading: further arguments of `aipc.load` as plain data for JSON: runtime, properties,
            npu and recipe (the fields of `NpuOptions` and `Recipe`), emulate, overflow, canary.
        loader: MODULE:FUNCTION, called in the worker as `load_session` is; for tests.
        device_list: the devices that a request may name; None: those of this machine.
    """

    def __init__(
        self,
        registry: ModelRegistry,
        options: PoolOptions | None = None,
        *,
        device: str = "auto",
        loading: Mapping[str, Any] | None = None,
        loader: str = LOADER,
        device_list: DeviceList | None = None,
    ) -> None:
        self._registry = registry
        self._options = options or PoolOptions()
        self.device = plain_name(device)
        """Of requests that name none."""
        self.loading: Mapping[str, Any] = dict(loading or {})
        """How each model is loaded, but for its device."""
        self._loader = loader
        self._device_list = device_list or DeviceList(self.loading.get("runtime", "auto"))
        self._schedulers: dict[tuple[str, str], ModelScheduler] = {}
        self._memory_lock = asyncio.Lock()
        self._is_closing = False
        share = SHARE_FOR_MODELS * read_memory().total
        budget = self._options.memory_budget
        self.budget = int(budget * _GB if budget is not None else share)
        """Bytes that all workers together may take."""

    @property
    def answers_at_once(self) -> int:
        """From one model, at most."""
        return self._options.max_running

    @property
    def store(self) -> Store:
        """Where the models are kept."""
        return self._registry.store

    def models(self) -> tuple[ModelCard, ...]:
        """The models to list, those named at the start first; reads the disk."""
        return tuple(card for card in self._registry.cards().values() if not card.is_variant)

    async def card(self, model: str) -> ModelCard:
        """A model by its name or an alias, also one that `models` leaves out: another's artifact.

        NAME:latest is NAME, as Ollama's clients write it.

        Raises:
            ModelUnknown: no such model.
        """
        model = model.removesuffix(":latest")
        loaded = (one.card for one in self._schedulers.values() if one.runs_on is not None)
        card = next((card for card in loaded if card.name == model), None)
        if card is None:  # for a loaded model the disk need not be read
            card = await asyncio.to_thread(self._registry.find, model)
        if card is None:
            raise ModelUnknown(
                f"there is no model '{model}' here",
                "GET /v1/models lists those that there are; --alias gives one more names",
            )
        return card

    async def devices(self) -> tuple[ReachableDevice, ...]:
        """The devices that a request may name.

        Raises:
            DeviceError: they can't be listed.
        """
        return await self._device_list.read()

    def answer(
        self,
        model: str,
        device: str | None,
        request: GenerationRequest,
        keep_s: float | None = None,
        *,
        is_background: bool = False,
    ) -> PendingRequest:
        """An async iterator: any number of `Waiting`, then the answer's events.

        The events are those of `Session.stream`, several texts in one where they arrived
        faster than they were read and have no logprobs; the last is a `Finished`.

        The first step of the iteration queues the request.  Closing the iterator, or cancelling
        the task that awaits it, takes the request out of the queue or ends its answer at the next
        token.  The model is loaded first where that is needed, which goes on if the client leaves.

        Args:
            model: its name, exactly.
            device: auto, npu, gpu, gpu.N …; None is the pool's own.
            request: see `GenerationRequest`.
            keep_s: seconds without a request after which the model is unloaded, infinity included;
                None leaves that as it is.
            is_background: it waits behind all others, with no end to how many, and its answer is
                cut short where another request needs its slot.  For it no model is unloaded that
                others have used in the last five minutes: it waits until there is room.

        Raises:
            ModelUnknown: no such model.
            WrongModel: a model for another task than the request's.
            DeviceError: this machine has no such device.
            UsageError: an invalid device name, value or combination of options.
            ServerBusy: too many requests wait for this model already.
            Draining: the pool is being closed.
            GaveWay: it was in the background and was cut short; ask again.
            WorkerDied: the model's process ended, hangs, or has failed several times in a row.
            ModelTooLarge: it takes more than the whole memory budget.
            AipcError: as `aipc.load` and `aipc.session.session.Session.stream`.
        """

        async def enqueue(pending: PendingRequest) -> None:
            card = await self.card(model)
            _check_kind(card, request)
            if card.adapter:
                pending.request = replace(request, adapter=card.adapter)
            scheduler = await self._scheduler_of(card, device)
            if keep_s is not None:
                scheduler.keep(keep_s)
            scheduler.enqueue(pending)

        return PendingRequest(request, enqueue, is_background=is_background)

    async def load(
        self, model: str, device: str | None = None, keep_s: float | None = None
    ) -> ModelStatus:
        """Load a model before it is requested; ``keep_s`` is as for `answer`.

        Raises:
            AipcError: as `answer`, as far as loading goes.
        """
        scheduler = await self._scheduler_of(await self.card(model), device)
        await scheduler.load()
        if keep_s is not None:
            scheduler.keep(keep_s)
        return scheduler.status()

    async def unload(self, model: str) -> None:
        """Unload a model from every device, once its answers under way have ended.

        Raises:
            ModelUnknown: no such model.
        """
        name = (await self.card(model)).loaded_name
        loaded = [one for one in self._schedulers.values() if one.card.name == name]
        await asyncio.gather(*(one.retire() for one in loaded))

    def read_again(self) -> None:
        """Have the store read anew, which was changed."""
        self._registry.read_again()

    def statuses(self) -> tuple[ModelStatus, ...]:
        """One for each model and device that was requested since the start."""
        return tuple(scheduler.status() for scheduler in self._schedulers.values())

    @property
    def last_used_at(self) -> float:
        """When a model had something to do, on the event loop's clock; now, if one has."""
        if not all(one.is_idle for one in self._schedulers.values()):
            return asyncio.get_running_loop().time()
        return max((one.last_used_at for one in self._schedulers.values()), default=0.0)

    async def close(self, drain_s: float = 0.0) -> None:
        """Refuse waiting and new requests; end every worker, and what is left of its answers.

        Args:
            drain_s: seconds that running answers get to end by themselves.
        """
        self._is_closing = True
        await asyncio.gather(*(one.drain(drain_s) for one in self._schedulers.values()))

    async def _device_names(self, device: str | None) -> tuple[str, ...]:
        """The device as requested, and, where that is another name, as its runtime addresses it."""
        name = self.device if device is None else plain_name(device)
        if name in {"auto", self.device}:
            return (name,)
        reachable = [one.device.upper() for one in await self.devices()]  # as runtimes write them
        return name, resolve_device(name, reachable).lower()

    async def _scheduler_of(self, card: ModelCard, device: str | None) -> ModelScheduler:
        """Of the model itself where the card is that of one of its adapters."""
        loaded = await self.card(card.base) if card.base else card
        return self._scheduler(loaded, await self._device_names(device))

    def _scheduler(self, card: ModelCard, device_names: tuple[str, ...]) -> ModelScheduler:
        """The existing one under any of the device's names, or a new one under the last."""
        if self._is_closing:
            raise draining()
        for one in self._schedulers.values():
            if one.card.name == card.name and {one.device, one.runs_on} & {*device_names}:
                return one
        arguments = {
            "model": card.load_name,
            "device": device_names[-1],
            "home": str(self._registry.store.home),
            **self.loading,
        }
        if card.adapters:
            arguments["adapters"] = dict(card.adapters)
        new = ModelScheduler(
            card,
            device_names[-1],
            self._options,
            make_room=self._make_room,
            on_device=self._on_device,
            start_worker=partial(
                WorkerClient, card.name, arguments, self._loader, self._options.stuck_s
            ),
        )
        self._schedulers[card.name, device_names[-1]] = new
        return new

    def _on_device(self, scheduler: ModelScheduler) -> list[ModelScheduler]:
        """Those whose models are where its model is; at least itself."""
        device = scheduler.runs_on
        shared = [one for one in self._schedulers.values() if one.runs_on == device]
        return shared if device is not None else [scheduler]

    async def _make_room(self, scheduler: ModelScheduler) -> None:
        """Unload others, the least recently used first, until its model fits the budget."""
        needed = scheduler.expected_bytes
        if needed > self.budget:
            raise ModelTooLarge(
                f"'{scheduler.card.name}' takes {amount(needed)} of memory, all models together "
                f"may take {amount(self.budget)}",
                "allow more with --memory-budget, or ask for a smaller model",
            )
        while not await self._has_made_room(scheduler, needed):
            await scheduler.claim.until_asked(_QUIET_S)

    async def _has_made_room(self, scheduler: ModelScheduler, needed: int) -> bool:
        """False where that would take a model that background requests have to leave alone."""
        async with self._memory_lock:
            while True:
                others = [
                    one
                    for one in self._schedulers.values()
                    if one.footprint and one is not scheduler
                ]
                if sum(one.footprint for one in others) + needed <= self.budget:
                    return True
                if not scheduler.is_asked:
                    others = [one for one in others if _is_unused(one)]
                if not others:
                    return False
                await min(others, key=_claim).retire()


def _claim(scheduler: ModelScheduler) -> tuple[bool, bool, bool, float]:
    """The larger, the longer it stays loaded."""
    is_recent = _age(scheduler.claim.last_at) < _RECENT_S
    return scheduler.is_asked, is_recent, not scheduler.is_idle, scheduler.last_used_at


def _is_unused(scheduler: ModelScheduler) -> bool:
    is_recent = _age(scheduler.claim.last_at) < _RECENT_S
    return scheduler.is_idle and not is_recent and _age(scheduler.last_used_at) >= _QUIET_S


def _age(at: float) -> float:
    return asyncio.get_running_loop().time() - at


def _check_kind(card: ModelCard, request: GenerationRequest) -> None:
    """What is asked of a model that is not here yet, it refuses itself."""
    wanted: Task | None = None
    if request.texts:
        wanted = "embeddings" if request.query is None else "scores"
    if card.task == wanted or not card.is_here:
        return
    if card.task is None:
        raise WrongModel(
            f"'{card.name}' writes text and makes no {wanted}",
            f"GET /v1/models lists those that `can` make {wanted}, if there are any",
        )
    lacks = "writes no text" if wanted is None else f"no {wanted}"
    raise WrongModel(
        f"'{card.name}' makes {card.task} and {lacks}", f"ask {_ASKED[card.task]} of it"
    )
