"""One model on one device: its queue, and its worker, loaded on demand and after its death."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

from aipc.errors import AipcError
from aipc.pool.background import BackgroundShare, background_of, cut_short
from aipc.pool.claim import Claim
from aipc.pool.failures import ServerBusy, draining
from aipc.pool.fair_queue import Backoff, FairQueue, PendingRequest
from aipc.pool.idle_timer import IdleTimer
from aipc.pool.model_registry import ModelCard
from aipc.pool.options import PoolOptions
from aipc.pool.status import ModelStatus, State
from aipc.pool.worker_client import Ready, WorkerClient

_CANCEL_S = 2.0  # for the last token of answers that are cut short


class ModelScheduler:
    """Queues the requests for one model on one device, and keeps its worker.

    Before each load ``make_room`` is awaited; ``start_worker`` is then called with the worker's
    ``on_change``.  ``on_device`` gives all schedulers whose models are on its device, it included.
    """

    def __init__(
        self,
        card: ModelCard,
        device: str,
        options: PoolOptions,
        *,
        make_room: Callable[[ModelScheduler], Awaitable[None]],
        start_worker: Callable[[Callable[[float | None], None]], WorkerClient],
        on_device: Callable[[ModelScheduler], Iterable[ModelScheduler]],
    ) -> None:
        self.card = card
        self.device = device
        self.last_used_at = 0.0
        """When it last had something to do, on the event loop's clock."""
        self.claim = Claim(self._share_device)
        """That of all but background requests."""
        self._options = options
        self._idle_timer = IdleTimer(options.idle_s, self._unload_idle)
        self._make_room = make_room
        self._start_worker = start_worker
        self._on_device = on_device
        self._share = BackgroundShare(
            lambda: (one.claim for one in on_device(self)), options.max_beside
        )
        self._queue = FairQueue()
        self._backoff = Backoff()
        self._worker: WorkerClient | None = None
        self._ready: Ready | None = None
        self._loading: asyncio.Task[None] | None = None
        self._unloading: asyncio.Task[None] | None = None
        self._idle = asyncio.Event()
        self._load_waiters = 0
        self._retiring = 0
        self._is_draining = False
        self._source = ""
        self._loads = self._tokens = self._answers = self._largest = 0

    @property
    def is_idle(self) -> bool:
        """Whether it neither loads nor answers."""
        return self._loading is None and not (self._worker and self._worker.running)

    @property
    def is_asked(self) -> bool:
        """Whether anything but background requests waits for it or runs on it."""
        running = self._worker.running.values() if self._worker else ()
        runs = any(not one.is_background for one in running)
        return runs or len(self._queue) > 0 or self._load_waiters > 0

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
            background=len(background_of(worker)),
            tokens=self._tokens + (worker.tokens if worker else 0),
            answers=self._answers + (worker.answers if worker else 0),
            restarts=max(self._loads - 1, 0),
            memory_bytes=worker.memory if worker else None,
            notices=tuple(worker.notices) if worker else (),
            pid=worker.pid if worker else None,
            idle_left_s=self._idle_timer.left_s,
            failures=self._backoff.failures,
        )

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
        self._idle_timer.last(idle_s)
        self._note_use()

    def enqueue(self, pending: PendingRequest) -> None:
        """Queue a request; its answer is started once the model is ready and it is its turn.

        One in the background is queued however many wait.

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
        is_full = waiting - self._slots_within_reach() >= self._options.max_waiting
        if is_full and not pending.is_background:
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
            is_for_nobody = pending.is_background and self._queue.is_empty and not self.is_asked
            if self._loading is not None and self._worker is None and is_for_nobody:
                self._loading.cancel()  # it waits for room
            self._schedule()

    def _schedule(self) -> None:
        """Load if needed, start answers in free slots, update the positions of the others."""
        self.claim.note(is_asked=self.is_asked)
        if not (self._queue.is_empty or self._ready or self._loading or self._retiring):
            self._loading = asyncio.create_task(self._load())
        while self._worker is not None and not self._queue.is_empty and self._has_slot():
            self._worker.start(self._queue.pop())
        if self._ready is not None and not self._retiring:
            cut_short(self._worker, self._most_background())
        for position, pending in enumerate(self._queue, 1):
            pending.put_position(position)
        self._note_use()

    def _has_slot(self) -> bool:
        """Whether the next request in the queue can be started."""
        if self._free_slots() <= 0:
            return False
        if len(self._queue) > 0:
            return True
        return len(background_of(self._worker)) < self._most_background()

    def _share_device(self) -> None:
        for one in self._on_device(self):
            one.share()

    def share(self) -> None:
        """Start or cut short background answers, as the device is claimed now."""
        if self._ready is not None and (not self._queue.is_empty or background_of(self._worker)):
            self._schedule()

    def _most_background(self) -> int:
        return self._share.most(max(self._slots_within_reach() - len(self._queue), 0))

    def _slots(self) -> int:
        """Answers that may run at once."""
        is_single = self._ready is not None and not self._ready.concurrent
        return 1 if is_single else self._options.max_running

    def _free_slots(self) -> int:
        worker = self._worker
        if self._ready is None or worker is None or worker.is_dying or self._retiring:
            return 0
        return self._slots() - len(worker.running)

    def _slots_within_reach(self) -> int:
        """Those that are free, or that a background answer would give up."""
        if self._ready is None or self._retiring:
            return 0
        return self._free_slots() + len(background_of(self._worker))

    def _note_use(self) -> None:
        self.last_used_at = asyncio.get_running_loop().time()
        self.claim.note(is_asked=self.is_asked)
        self._idle_timer.stop()
        if not self.is_idle:
            self._idle.clear()
            return
        self._idle.set()
        if self._ready is not None:
            self._idle_timer.start()

    async def load(self) -> None:
        """Load the model, if it is not loaded.

        Raises:
            AipcError: it can't be loaded.
        """
        self._backoff.check()
        if self._ready is None:
            self._loading = self._loading or asyncio.create_task(self._load())
            self._load_waiters += 1
            self._note_use()
            try:
                await asyncio.wait([self._loading])
            finally:
                self._load_waiters -= 1
                self._note_use()
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
        while not self._queue.is_empty:
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
        self._unloading = asyncio.create_task(self._end(self._detach()))

    def _detach(self) -> WorkerClient | None:
        """Drop its worker now, so that a request that arrives meanwhile does not get it."""
        worker, self._worker, self._ready = self._worker, None, None
        self._idle_timer.last()
        return worker

    async def _end(self, worker: WorkerClient | None) -> None:
        if worker is not None:
            await worker.end()
            self._count(worker)

    async def retire(self) -> None:
        """Let running answers end, then unload; waiting requests wait for the next load.

        Those in the background are cut short.
        """
        self._retiring += 1
        try:
            cut_short(self._worker)
            self._schedule()
            await self._idle.wait()
            await self.unload()
        finally:
            self._retiring -= 1
            self._schedule()

    async def drain(self, drain_s: float) -> None:
        """Refuse waiting requests, let running ones end for ``drain_s`` seconds, then unload.

        Those in the background are cut short at once.
        """
        self._is_draining = True
        self._fail_waiting(draining())
        if self._loading is not None:
            self._loading.cancel()
        cut_short(self._worker)
        self._note_use()
        try:
            await asyncio.wait_for(self._idle.wait(), drain_s)
        except asyncio.TimeoutError:
            if self._worker is not None:
                self._worker.cancel_all()
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._idle.wait(), _CANCEL_S)
        await self.unload()
