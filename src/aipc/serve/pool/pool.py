"""All the models of a server: found by name, loaded on demand, within a memory budget."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any

from aipc.devices import resolve_device
from aipc.devices.names import plain_name
from aipc.devices.system.memory import read_memory
from aipc.serve.failures import ModelTooLarge, ModelUnknown, WrongModel
from aipc.serve.pool.device_list import FoundPlaces, Place, Places
from aipc.serve.pool.model_registry import ModelCard, ModelRegistry
from aipc.serve.pool.model_scheduler import ModelScheduler, draining
from aipc.serve.pool.options import PoolOptions
from aipc.serve.pool.pace import Pace
from aipc.serve.pool.status import Status
from aipc.serve.pool.worker_client import WorkerClient
from aipc.serve.requests import GenerationRequest, Saying
from aipc.serve.worker.loading import LOADER
from aipc.units import amount

_SHARE = 0.7  # of the machine's memory: the rest is for whoever else works on it
_GB = 1e9


class Pool:
    """Answers asks with the models of a shelf, each on each device in a process of its own.

    Made, used and closed on one event loop.

    Args:
        shelf: what may be asked for.
        options: the limits.
        device: where a model answers of which the ask does not say: auto, npu, gpu, gpu.N …
        loading: further arguments of `aipc.load` as plain data for JSON: runtime, properties,
            npu (the fields of `NpuOptions`), emulate, overflow, canary.
        loader: MODULE:FUNCTION, called in the worker as `load_session` is;
            for tests.
        places: the devices that an ask may name; None: those that are found here.
    """

    def __init__(
        self,
        shelf: ModelRegistry,
        options: PoolOptions | None = None,
        *,
        device: str = "auto",
        loading: Mapping[str, Any] | None = None,
        loader: str = LOADER,
        places: Places | None = None,
    ) -> None:
        self._shelf = shelf
        self._options = options or PoolOptions()
        self._device = plain_name(device)
        self._loading = dict(loading or {})
        self._loader = loader
        self._places = places or FoundPlaces(self._loading.get("runtime", "auto"))
        self._hosted: dict[tuple[str, str], ModelScheduler] = {}
        self._room = asyncio.Lock()
        self._is_closing = False
        share = _SHARE * read_memory().total
        given = self._options.memory_budget
        self.budget = int(given * _GB if given is not None else share)
        """Bytes that all workers together may take."""

    def names(self) -> tuple[ModelCard, ...]:
        """The models to choose from, those named at the start first; reads a disk."""
        return tuple(card for card in self._shelf.cards().values() if not card.is_twin)

    async def card(self, model: str) -> ModelCard:
        """A model by its name, also one that `names` leaves out: an artifact of another.

        Raises:
            ModelUnknown: no such model.
        """
        card = self._loaded_card(model) or (await asyncio.to_thread(self._shelf.cards)).get(model)
        if card is None:
            raise ModelUnknown(
                f"there is no model '{model}' here", "GET /v1/models lists those that can be asked"
            )
        return card

    def _loaded_card(self, model: str) -> ModelCard | None:
        """To ask one that is loaded, the disk need not be read."""
        loaded = (one.card for one in self._hosted.values() if one.runs_on is not None)
        return next((card for card in loaded if card.name == model), None)

    async def places(self) -> tuple[Place, ...]:
        """The devices that an ask may name.

        Raises:
            DeviceError: they can't be found.
        """
        return await self._places.list()

    async def answer(
        self, model: str, device: str | None, ask: GenerationRequest
    ) -> AsyncGenerator[Saying, None]:
        """Answer as an async iterator: any number of `Waiting`, then the answer's events.

        The events are those of `Session.stream`, several texts in one where they
        came faster than they were taken and have no logprobs; the last is a `Finished`.

        Closing the iterator, or cancelling the task that waits for it, gives the place in the
        line back or ends the answer at its next token.  The model is loaded first where that is
        needed, which goes on if whoever asked leaves.

        Args:
            model: its name, exactly.
            device: auto, npu, gpu, gpu.N …; None is the pool's own.
            ask: see `GenerationRequest`.

        Raises:
            ModelUnknown: no such model.
            WrongModel: it makes embeddings and text is asked for, or the other way round.
            DeviceError: this machine has no such device.
            UsageError: no device name, or an ask with a value or option that can't be meant.
            ServerBusy: too many wait for this model already.
            Draining: the pool is being closed.
            WorkerDied: the model's process ended, hangs, or has failed several times in a row.
            ModelTooLarge: it takes more than the whole memory budget.
            AipcError: as `aipc.load` and `aipc.session.session.Session.stream`.
        """
        card = await self.card(model)
        _check_kind(card, ask)
        hosted = self._host(card, await self._names_of(device))
        async with aclosing(hosted.answer(ask)) as sayings:
            async for saying in sayings:
                yield saying

    async def load(self, model: str, device: str | None = None) -> Status:
        """Have a model ready before it is asked for.

        Raises:
            AipcError: as `answer`, as far as loading goes.
        """
        hosted = self._host(await self.card(model), await self._names_of(device))
        await hosted.load()
        return hosted.status()

    def statuses(self) -> tuple[Status, ...]:
        """Of every model and device that was asked for since the start."""
        return tuple(hosted.status() for hosted in self._hosted.values())

    async def close(self, drain_s: float = 0.0) -> None:
        """Refuse what waits and what comes; end every worker, and what is left of its answers.

        Args:
            drain_s: seconds that answers under way get to end by themselves.
        """
        self._is_closing = True
        await asyncio.gather(*(hosted.drain(drain_s) for hosted in self._hosted.values()))

    async def _names_of(self, device: str | None) -> tuple[str, ...]:
        """The device as it was asked for, and as its runtime addresses it."""
        name = self._device if device is None else plain_name(device)
        if name in {"auto", self._device}:
            return (name,)
        here = [place.device.upper() for place in await self.places()]  # as runtimes write them
        return name, resolve_device(name, here).lower()

    def _host(self, card: ModelCard, device: tuple[str, ...]) -> ModelScheduler:
        """The one there is under one of the ``device``'s names, or a new one under the last."""
        if self._is_closing:
            raise draining()
        for hosted in self._hosted.values():
            if hosted.card.name == card.name and {hosted.device, hosted.runs_on} & {*device}:
                return hosted
        hosted = self._new(card, device[-1])
        self._hosted[card.name, device[-1]] = hosted
        return hosted

    def _new(self, card: ModelCard, device: str) -> ModelScheduler:
        order = {
            "model": card.load_name,
            "device": device,
            "home": str(self._shelf.store.home),
            **self._loading,
        }

        def start(changed: Callable[[], None], pace: Pace) -> WorkerClient:
            stuck_s = self._options.stuck_s
            return WorkerClient(
                card.name, order, self._loader, stuck_s=stuck_s, changed=changed, pace=pace
            )

        return ModelScheduler(card, device, self._options, make_room=self._make_room, start=start)

    async def _make_room(self, hosted: ModelScheduler) -> None:
        """Unload others, those unused for longest first, until ``hosted`` fits the budget."""
        needed = hosted.expected_bytes
        if needed > self.budget:
            raise ModelTooLarge(
                f"'{hosted.card.name}' takes {amount(needed)} of memory, all models together may "
                f"take {amount(self.budget)}",
                "allow more with --memory-budget, or ask for a smaller model",
            )
        async with self._room:
            while self._used(hosted) + needed > self.budget:
                await self._next_to_go(hosted).retire()

    def _used(self, but: ModelScheduler) -> int:
        return sum(one.footprint for one in self._hosted.values() if one is not but)

    def _next_to_go(self, but: ModelScheduler) -> ModelScheduler:
        loaded = [one for one in self._hosted.values() if one.footprint and one is not but]
        return min(loaded, key=lambda one: (not one.is_quiet, one.used_s))


def _check_kind(card: ModelCard, ask: GenerationRequest) -> None:
    if ask.texts and not card.embeds:
        raise WrongModel(
            f"'{card.name}' writes text and makes no embeddings",
            "GET /v1/models lists those that `can` make embeddings, if there are any",
        )
    if card.embeds and not ask.texts:
        raise WrongModel(
            f"'{card.name}' makes embeddings and writes no text", "ask /v1/embeddings of it"
        )
