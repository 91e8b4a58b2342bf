"""One model on one device: its queue, and its worker, loaded on demand and after its death."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from aipc.errors import AipcError
from aipc.pool.failures import Draining, ServerBusy
from aipc.pool.fair_queue import Backoff, FairQueue, PendingRequest
from aipc.pool.model_registry import ModelCard
from aipc.pool.options import PoolOptions
from aipc.pool.worker_client import Ready, WorkerClient

State = Literal["stopped", "loading", "ready", "failed"]
"""Ready: it has produced a token since it was loaded, and its process lives."""
STATES: tuple[State, ...] = ("ready", "loading", "failed", "stopped")
"""The best first."""
_CANCEL_S = 2.0  # for the last token of answers that are cut short


@dataclass(frozen=True)
class ModelStatus:
    """Of one model on one device, at one moment; counts are since the server's start."""

    model: str
    device: str
    """As requested: "auto", "cpu", "gpu.1" …"""
    source: str
    """The name of what it was loaded from, as it was then; empty before."""
    state: State
    ready: Ready | None
    """What its worker reported; None while it is not loaded."""
    doing: str
    """The step of loading, for display; may be empty."""
    error: AipcError | None
    """Why it is not loaded, where it failed."""
    waiting: int
    running: int
    tokens: int
    """Generated."""
    answers: int
    """Ended, cancelled ones included."""
    restarts: int
    """Loads after the first one."""
    memory_bytes: int | None
    """Of its process; None without one, or while it is not known."""
    notices: tuple[str, ...]
    """What a user should know of this load, such as a fallback to another device; a line each."""
    pid: int | None
    idle_left_s: float | None = None
    """Seconds without a request after which it is unloaded; None: it stays."""


class ModelScheduler:
    """Queues the requests for one model on one device, and keeps its worker.

    Before each load ``make_room`` is awaited; ``start_worker`` is then called with the worker's
    ``on_change``.
    """

    def __init__(
        self,
        card: ModelCard,
        device: str,
        options: PoolOptions,
        *,
        make_room: Callable[[ModelScheduler], Awaitable[None]],
        start_worker: Callable[[Callable[[float | None], None]], WorkerClient],
    ) -> None:
        self.card = card
        self.device = device
        self.last_used_at = 0.0
        """When it last had something to do, on the event loop's clock."""
        self._options = options
        self._idle_s = options.idle_s
        self._make_room = make_room
        self._start_worker = start_worker
        self._queue = FairQueue()
        self._backoff = Backoff()
        self._worker: WorkerClient | None = None
        self._ready: Ready | None = None
        self._loading: asyncio.Task[None] | None = None
        self._unloading: asyncio.Task[None] | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._retiring = 0
        self._is_draining = False
        self._source = ""
        self._loads = self._tokens = self._answers = self._largest = 0

    @property
    def is_idle(self) -> bool:
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
        """Bytes that a worker will take: what one took before, else estimated from its files."""
        return self._largest or self.card.memory_bytes

    def status(self) -> ModelStatus:
        worker = self._worker
        return ModelStatus(
            model=self.card.name,
            device=self.device,
            source=self._source,
            state=self._state(),
            ready=self._ready,
            doing=worker.doing if worker else "",
            error=None if self._ready else self._backoff.error,
            waiting=len(self._queue),
            running=len(worker.running) if worker else 0,
            tokens=self._tokens + (worker.tokens if worker else 0),
            answers=self._answers + (worker.answers if worker else 0),
            restarts=max(self._loads - 1, 0),
            memory_bytes=worker.memory if worker else None,
            notices=tuple(worker.notices) if worker else (),
            pid=worker.pid if worker else None,
            idle_left_s=self._idle_left_s(),
        )

    def _idle_left_s(self) -> float | None:
        if self._idle_timer is None:
            return self._idle_s
        return max(self._idle_timer.when() - asyncio.get_running_loop().time(), 0.0)

    def _state(self) -> State:
        if self._ready is not None:
            return "ready"
        if self._loading is not None:
            return "loading"
        return "failed" if self._backoff.error is not None else "stopped"

    def keep(self, idle_s: float) -> None:
        """Unload after so many seconds without a request, infinity included.

        It counts until the model is unloaded, instead of the options' own number.
        """
        self._idle_s = None if math.isinf(idle_s) else idle_s
        self._note_use()

    def enqueue(self, pending: PendingRequest) -> None:
        """Queue a request; its answer is started once the model is ready and it is its turn.

        Raises:
            Draining: the server is stopping.
            ServerBusy: the queue is full.
            AipcError: the model has failed several times in a row.
        """
        if self._is_draining:
            raise draining()
        self._backoff.check()
        pending.on_close = self._withdraw
        if pending.request.count_only and self._ready and self._worker and not self._retiring:
            self._worker.start(pending)  # it takes no turn: the engine is not asked
            self._note_use()
            return
        waiting = len(self._queue)
        if waiting >= self._options.max_waiting and (waiting or not self._free_slots()):
            after = self._queue.wait_s(self._slots())
            what = f"{waiting} requests wait for '{self.card.name}' already"
            raise ServerBusy(what, f"ask again in {after:.0f} s", retry_after_s=after)
        self._queue.add(pending)
        self._schedule()

    def _withdraw(self, pending: PendingRequest) -> None:
        """Its client has left: remove it from the queue, or cancel its answer."""
        if pending.number is not None:
            if self._worker is not None and not pending.finished:
                self._worker.cancel(pending)
        elif self._queue.remove(pending):
            self._schedule()

    def _schedule(self) -> None:
        """Load if needed, start answers in free slots, update the positions of the others."""
        if len(self._queue) and not (self._ready or self._loading or self._retiring):
            self._loading = asyncio.create_task(self._load())
        while self._worker is not None and len(self._queue) and self._free_slots() > 0:
            self._worker.start(self._queue.pop())
        for position, pending in enumerate(self._queue, 1):
            pending.put_position(position)
        self._note_use()

    def _slots(self) -> int:
        """Answers that may run at once."""
        is_single = self._ready is not None and not self._ready.concurrent
        return 1 if is_single else self._options.max_running

    def _free_slots(self) -> int:
        if self._ready is None or self._worker is None or self._retiring:
            return 0
        return self._slots() - len(self._worker.running)

    def _note_use(self) -> None:
        loop = asyncio.get_running_loop()
        self.last_used_at = loop.time()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        if not self.is_idle:
            self._idle.clear()
            return
        self._idle.set()
        if self._ready is not None and self._idle_s is not None:
            self._idle_timer = loop.call_later(self._idle_s, self._unload_idle)

    async def load(self) -> None:
        """Load the model, if it is not loaded.

        Raises:
            AipcError: it can't be loaded.
        """
        self._backoff.check()
        if self._ready is None:
            self._loading = self._loading or asyncio.create_task(self._load())
            await asyncio.wait([self._loading])
        if self._is_draining:
            raise draining()
        if self._ready is None and self._backoff.error is not None:
            raise self._backoff.error

    async def _load(self) -> None:
        try:
            await self._make_room(self)
            self._source = self.card.source.name  # before its files are read
            self._worker = self._start_worker(self._on_change)
            self._loads += 1
            self._ready = await self._worker.until_ready(self._options.load_timeout_s)
        except AipcError as error:
            self._backoff.note(error)
            await self.unload()
            self._fail_waiting(error)
        finally:
            self._loading = None
            self._schedule()

    def _fail_waiting(self, error: AipcError) -> None:
        while len(self._queue):
            self._queue.pop().fail(error)

    def _on_change(self, answer_s: float | None) -> None:
        """As `WorkerClient` calls it."""
        if answer_s is not None:
            self._queue.note_answer(answer_s)
        worker = self._worker
        if worker is None or self._ready is None:
            return
        if worker.answers or (worker.has_ended and worker.tokens):
            self._backoff.clear()
        if worker.has_ended:
            self._worker = self._ready = None
            self._count(worker)
            if worker.error is not None:
                self._backoff.note(worker.error)
                if self._backoff.in_pause:  # else waiting requests get the next worker
                    self._fail_waiting(worker.error)
        self._schedule()

    def _count(self, worker: WorkerClient) -> None:
        self._tokens += worker.tokens
        self._answers += worker.answers
        self._largest = max(self._largest, worker.footprint)

    async def unload(self) -> None:
        """End its worker, if it has one; the next request gets another."""
        await self._end(self._detach())

    def _unload_idle(self) -> None:
        self._idle_timer = None
        self._unloading = asyncio.create_task(self._end(self._detach()))

    def _detach(self) -> WorkerClient | None:
        """Drop its worker now, so that a request that arrives meanwhile does not get it."""
        worker, self._worker, self._ready = self._worker, None, None
        self._idle_s = self._options.idle_s
        return worker

    async def _end(self, worker: WorkerClient | None) -> None:
        if worker is not None:
            await worker.end()
            self._count(worker)

    async def retire(self) -> None:
        """Let running answers end, then unload; waiting requests wait for the next load."""
        self._retiring += 1
        try:
            self._schedule()
            await self._idle.wait()
            await self.unload()
        finally:
            self._retiring -= 1
            self._schedule()

    async def drain(self, drain_s: float) -> None:
        """Refuse waiting requests, let running ones end for ``drain_s`` seconds, then unload."""
        self._is_draining = True
        self._fail_waiting(draining())
        if self._loading is not None:
            self._loading.cancel()
        self._note_use()
        try:
            await asyncio.wait_for(self._idle.wait(), drain_s)
        except asyncio.TimeoutError:
            if self._worker is not None:
                self._worker.cancel_all()
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._idle.wait(), _CANCEL_S)
        await self.unload()


def draining() -> Draining:
    return Draining("the server is stopping", "ask again when it is back", retry_after_s=5)
