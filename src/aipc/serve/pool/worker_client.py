"""A model in its worker, from the process's start to its end."""

from __future__ import annotations

import asyncio
import signal
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aipc.errors import AipcError
from aipc.generate import Text
from aipc.serve.failures import WorkerDied
from aipc.serve.pool.pace import Pace
from aipc.serve.pool.pending_request import PendingRequest
from aipc.serve.pool.worker_process import WorkerProcess
from aipc.serve.worker.channel import Message
from aipc.serve.worker.messages import ask_to_data, error_from_data, event_from_data

_GRACE_S = 4.0  # a worker leaves after 3 at the latest
_OUT_OF_MEMORY = -9
_NOTICES = 20


@dataclass(frozen=True)
class Ready:
    """What a worker says of its model once it has produced a token."""

    context: int | None
    """Tokens of a prompt and its answer together; None where an embedder does not tell."""
    concurrent: bool
    """Whether several answers can be under way at once."""
    constraints: tuple[str, ...]
    """Kinds of `aipc.runtimes.base.Constraint` that are enforced."""
    logprobs: bool
    facts: Mapping[str, Any]
    """As `aipc.session.session.Session.facts`; has paths of this machine."""


class WorkerClient:
    """Begins and cancels answers, hands on what is said, notices a death or a standstill.

    ``changed`` is called whenever an answer has ended or the worker has; ``pace`` is told how
    long each answer took.
    """

    def __init__(
        self,
        name: str,
        order: Mapping[str, Any],
        loader: str,
        *,
        stuck_s: float,
        changed: Callable[[], None],
        pace: Pace,
    ) -> None:
        self._name = name
        self._stuck_s = stuck_s
        self._changed = changed
        self._pace = pace
        self._loop = asyncio.get_running_loop()
        self._watch: asyncio.TimerHandle | None = None
        self._progress_s = 0.0
        self._is_stuck = False
        self.ready: asyncio.Future[Ready] = self._loop.create_future()
        """Fails with the worker's own error, or `WorkerDied`."""
        self.running: dict[int, PendingRequest] = {}
        self.has_ended = False
        self.error: AipcError | None = None
        """Why it ended; None where it was asked to."""
        self.tokens = 0
        self.answers = 0
        self.memory: int | None = None
        """Bytes that the process takes."""
        self.doing = ""
        """What is under way while it loads."""
        self.notices: deque[str] = deque(maxlen=_NOTICES)
        self._weights = 0
        self._is_leaving = False
        self._numbers = 0
        self._process = WorkerProcess(order, loader, self._told, self._on_end)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def footprint(self) -> int:
        """Bytes that its process or its device holds, as far as is known."""
        return max(self.memory or 0, self._weights)

    def begin(self, visit: PendingRequest) -> None:
        """Have its answer begun; it holds one place in ``running`` until the worker ends it."""
        self._numbers += 1
        visit.number, visit.begun_s = self._numbers, self._loop.time()
        self.running[visit.number] = visit
        self._process.send({"id": visit.number, "ask": ask_to_data(visit.ask)})
        self._note_progress()

    def cancel(self, visit: PendingRequest) -> None:
        """Have its answer ended at the next token, where it is still under way."""
        if visit.number in self.running:
            self._process.send({"cancel": visit.number})

    def cancel_all(self) -> None:
        for visit in self.running.values():
            self.cancel(visit)

    async def end(self) -> None:
        """End the process; what is still under way fails."""
        self._is_leaving = True
        await self._process.end(_GRACE_S)

    def _told(self, batch: list[Message]) -> None:
        for message in batch:
            if "id" in message:
                self._hear(message)
            else:
                self._note(message)

    def _hear(self, message: Message) -> None:
        visit = self.running[message["id"]]
        self._note_progress()
        if "says" in message:
            event = event_from_data(message["says"])
            self.tokens += len(event.tokens) if isinstance(event, Text) else 0
            visit.say(event)
            return
        del self.running[message["id"]]
        if "ends" in message:
            visit.say(event_from_data(message["ends"]))
            self.answers += 1
            self._pace.note(self._loop.time() - visit.begun_s)
        else:
            visit.fail(error_from_data(message["fails"]))
        self._changed()

    def _note(self, message: Message) -> None:
        self.memory = message.get("memory", self.memory)
        if "doing" in message:
            self.doing = _progress(message)
        elif "notice" in message:
            self.notices.append(message["notice"])
        elif "failed" in message:
            self.error = error_from_data(message["failed"])
        elif "ready" in message:
            self.doing = ""
            self._set_ready(message["ready"])

    def _set_ready(self, told: Message) -> None:
        self.memory = told.pop("memory")
        self._weights = told.pop("weights")
        constraints = tuple(told.pop("constraints"))
        if not self.ready.done():
            self.ready.set_result(Ready(constraints=constraints, **told))

    def _on_end(self, status: int) -> None:
        self.has_ended = True
        if self._watch is not None:
            self._watch.cancel()
        error = self.error or self._death(status)
        if not self._is_leaving:
            self.error = error
        if not self.ready.done():
            self.ready.set_exception(error)
            self.ready.exception()  # seen: nobody may be waiting for it any more
        for visit in self.running.values():
            visit.fail(error)
        self.running.clear()
        self._changed()

    def _death(self, status: int) -> WorkerDied:
        if self._is_leaving:
            return WorkerDied(f"'{self._name}' was unloaded", "ask again")
        reason = f"made no token in {self._stuck_s:.0f} s" if self._is_stuck else _reason(status)
        return WorkerDied(f"the worker of '{self._name}' {reason}", "ask again: it is started anew")

    def _note_progress(self) -> None:
        self._progress_s = self._loop.time()
        if self._watch is None:
            self._watch = self._loop.call_later(self._stuck_s, self._look)

    def _look(self) -> None:
        """Kill a worker that has owed a token for too long; look again when that may be."""
        self._watch = None
        left = self._progress_s + self._stuck_s - self._loop.time()
        if not self.running:
            return
        if left > 0:
            self._watch = self._loop.call_later(left, self._look)
            return
        self._is_stuck = True
        self._process.kill()


def _progress(message: Message) -> str:
    what, done, total = message["doing"], message["done"], message["total"]
    return f"{what}, {100 * done / total:.0f}%" if total else str(what)


def _reason(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    name = next((one.name for one in signal.Signals if one == -status), f"signal {-status}")
    hint = ", perhaps for want of memory" if status == _OUT_OF_MEMORY else ""
    return f"was ended by {name}{hint}"
