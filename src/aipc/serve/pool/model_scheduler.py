"""A model on a device that may be asked: loaded when it is needed, again when it died."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import TypeAlias

from aipc.errors import AipcError
from aipc.serve.failures import Draining, ServerBusy, WorkerDied
from aipc.serve.pool.backoff import Backoff
from aipc.serve.pool.fair_queue import FairQueue
from aipc.serve.pool.model_registry import ModelCard
from aipc.serve.pool.options import PoolOptions
from aipc.serve.pool.pace import Pace
from aipc.serve.pool.pending_request import PendingRequest
from aipc.serve.pool.status import State, Status
from aipc.serve.pool.worker_client import Ready, WorkerClient
from aipc.serve.requests import GenerationRequest, Saying

Start: TypeAlias = Callable[[Callable[[], None], Pace], WorkerClient]
"""Starts a worker; given what to call when something about it has changed."""

_CANCEL_S = 2.0  # for the last token of answers that are cut short


class ModelScheduler:
    """Lines up what is asked of one model on one device, and keeps its worker.

    ``make_room`` is awaited before each load, ``start`` then begins it.
    """

    def __init__(
        self,
        card: ModelCard,
        device: str,
        options: PoolOptions,
        *,
        make_room: Callable[[ModelScheduler], Awaitable[None]],
        start: Start,
    ) -> None:
        self.card = card
        self.device = device
        self.used_s = 0.0
        """When it last had something to do, on the event loop's clock."""
        self._options = options
        self._make_room = make_room
        self._start = start
        self._line = FairQueue()
        self._pace = Pace()
        self._setbacks = Backoff()
        self._worker: WorkerClient | None = None
        self._ready: Ready | None = None
        self._loading: asyncio.Task[None] | None = None
        self._unloading: asyncio.Task[None] | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self._quiet = asyncio.Event()  # nothing is loading or being answered
        self._retiring = 0
        self._is_draining = False
        self._loads = self._tokens = self._answers = self._largest = 0

    @property
    def is_quiet(self) -> bool:
        """Whether it neither loads nor answers."""
        return self._loading is None and not (self._worker and self._worker.running)

    @property
    def runs_on(self) -> str | None:
        """The device that answers, in small letters; None while nothing is loaded."""
        return str(self._ready.facts.get("device", "")).lower() if self._ready else None

    @property
    def footprint(self) -> int:
        """Bytes that its worker takes, or will take once it is ready; 0 without one."""
        if self._worker is None:
            return 0
        return max(self._worker.footprint, 0 if self._ready else self.expected_bytes)

    @property
    def expected_bytes(self) -> int:
        """Bytes that a worker will take: what one took before, else judged by its files."""
        return self._largest or self.card.memory_bytes

    async def answer(self, ask: GenerationRequest) -> AsyncGenerator[Saying, None]:
        """As `aipc.serve.pool.pool.Pool.answer`."""
        visit = self._enter(ask)
        try:
            async for saying in visit:
                yield saying
        finally:
            self._leave(visit)

    async def load(self) -> None:
        """Have it loaded, if it is not.

        Raises:
            AipcError: it can't be.
        """
        self._setbacks.check()
        if self._ready is None:
            await asyncio.wait([self._loading or self._begin_load()])
        if self._is_draining:
            raise draining()
        if self._ready is None and self._setbacks.error is not None:
            raise self._setbacks.error

    async def retire(self) -> None:
        """End what is being answered, then unload; those that wait do so for the next load."""
        self._retiring += 1
        try:
            self._settle()
            await self._quiet.wait()
            await self.unload()
        finally:
            self._retiring -= 1
            self._settle()

    async def drain(self, drain_s: float) -> None:
        """Refuse those that wait, let the others end for ``drain_s`` seconds, then unload."""
        self._is_draining = True
        self._fail_waiting(draining())
        if self._loading is not None:
            self._loading.cancel()
        try:
            await asyncio.wait_for(self._quiet_now(), drain_s)
        except asyncio.TimeoutError:
            await self._cut_short()
        await self.unload()

    async def unload(self) -> None:
        """End its worker, if it has one; the next ask gets another."""
        await self._end(self._detached())

    def status(self) -> Status:
        worker = self._worker
        return Status(
            model=self.card.name,
            device=self.device,
            state=self._state(),
            ready=self._ready,
            doing=worker.doing if worker else "",
            error=None if self._ready else self._setbacks.error,
            waiting=len(self._line),
            running=len(worker.running) if worker else 0,
            tokens=self._tokens + (worker.tokens if worker else 0),
            answers=self._answers + (worker.answers if worker else 0),
            restarts=max(self._loads - 1, 0),
            memory_bytes=worker.memory if worker else None,
            notices=tuple(worker.notices) if worker else (),
            pid=worker.pid if worker else None,
        )

    def _state(self) -> State:
        if self._ready is not None:
            return "ready"
        if self._loading is not None:
            return "loading"
        return "failed" if self._setbacks.error is not None else "stopped"

    def _enter(self, ask: GenerationRequest) -> PendingRequest:
        if self._is_draining:
            raise draining()
        self._setbacks.check()
        waiting = len(self._line)
        if waiting >= self._options.max_waiting and (waiting or not self._places()):
            raise self._busy(waiting)
        visit = PendingRequest(ask)
        self._line.join(visit)
        self._settle()
        return visit

    def _busy(self, waiting: int) -> ServerBusy:
        after = self._pace.wait_s(waiting + 1, self._at_once())
        what = f"{waiting} requests wait for '{self.card.name}' already"
        return ServerBusy(what, f"ask again in {after:.0f} s", retry_after_s=after)

    def _leave(self, visit: PendingRequest) -> None:
        if visit.number is not None:
            if self._worker is not None and not visit.is_over:
                self._worker.cancel(visit)
        elif self._line.leave(visit):
            self._settle()

    def _at_once(self) -> int:
        is_single = self._ready is not None and not self._ready.concurrent
        return 1 if is_single else self._options.max_running

    def _places(self) -> int:
        """Answers that could be begun now."""
        if self._ready is None or self._worker is None or self._retiring:
            return 0
        return self._at_once() - len(self._worker.running)

    def _settle(self) -> None:
        """Do whatever can be done now: load, begin answers, tell the others where they stand."""
        is_wanted = len(self._line) and not self._retiring
        if is_wanted and self._ready is None and self._loading is None:
            self._begin_load()
        while self._worker is not None and len(self._line) and self._places() > 0:
            self._worker.begin(self._line.take())
        for position, visit in enumerate(self._line.in_order(), 1):
            visit.wait_at(position)
        self._note_use()

    def _note_use(self) -> None:
        loop = asyncio.get_running_loop()
        self.used_s = loop.time()
        if self.is_quiet:
            self._quiet.set()
        else:
            self._quiet.clear()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        if self.is_quiet and self._ready is not None and self._options.idle_s is not None:
            self._idle_timer = loop.call_later(self._options.idle_s, self._unload_idle)

    def _unload_idle(self) -> None:
        self._unloading = asyncio.create_task(self._end(self._detached()))

    def _detached(self) -> WorkerClient | None:
        """The worker, from now on nobody's: an ask that comes in can't be given to it."""
        worker, self._worker, self._ready = self._worker, None, None
        return worker

    async def _end(self, worker: WorkerClient | None) -> None:
        if worker is not None:
            await worker.end()
            self._count(worker)

    def _begin_load(self) -> asyncio.Task[None]:
        self._loading = asyncio.create_task(self._load())
        return self._loading

    async def _load(self) -> None:
        try:
            await self._make_room(self)
            self._worker = self._start(self._on_change, self._pace)
            self._loads += 1
            ready = asyncio.shield(self._worker.ready)
            self._ready = await asyncio.wait_for(ready, self._options.load_timeout_s)
        except asyncio.TimeoutError:
            await self._fail(self._overdue())
        except AipcError as error:
            await self._fail(error)
        finally:
            self._loading = None
            self._settle()

    def _overdue(self) -> WorkerDied:
        return WorkerDied(
            f"'{self.card.name}' was not loaded in {self._options.load_timeout_s:.0f} s",
            "allow it more with --load-timeout-s",
        )

    async def _fail(self, error: AipcError) -> None:
        self._setbacks.note(error)
        await self.unload()
        self._fail_waiting(error)

    def _fail_waiting(self, error: AipcError) -> None:
        while len(self._line):
            self._line.take().fail(error)

    def _on_change(self) -> None:
        worker = self._worker
        if worker is None or self._ready is None:
            return
        if worker.answers:
            self._setbacks.clear()
        if worker.has_ended:
            self._lose(worker)
        self._settle()

    def _lose(self, worker: WorkerClient) -> None:
        """It died.  Those that wait get the next one, unless none of them works."""
        self._worker = self._ready = None
        self._count(worker)
        if worker.tokens:
            self._setbacks.clear()
        if worker.error is not None:
            self._setbacks.note(worker.error)
            if self._setbacks.in_pause:
                self._fail_waiting(worker.error)

    def _count(self, worker: WorkerClient) -> None:
        self._tokens += worker.tokens
        self._answers += worker.answers
        self._largest = max(self._largest, worker.footprint)

    async def _quiet_now(self) -> None:
        self._note_use()
        await self._quiet.wait()

    async def _cut_short(self) -> None:
        if self._worker is not None:
            self._worker.cancel_all()
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._quiet.wait(), _CANCEL_S)


def draining() -> Draining:
    return Draining("the server is stopping", "ask again when it is back", retry_after_s=5)
