"""The server's side of one worker, from the process's start to its end."""

from __future__ import annotations

import asyncio
import signal
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from aipc.child import Message
from aipc.errors import AipcError, EngineBroken
from aipc.generate import Text
from aipc.pool.failures import NoProgress, WorkerDied
from aipc.pool.fair_queue import PendingRequest
from aipc.pool.watchdog import Watchdog
from aipc.pool.worker.messages import Begun, error_from_data, event_from_data, request_to_data
from aipc.pool.worker_process import WorkerProcess

_GRACE_S = 4.0  # a worker ends itself after 3 at the latest
_NOTICES = 20


@dataclass(frozen=True)
class Ready:
    """What a worker reports of its model once it has produced a token."""

    context: int | None
    """Tokens of a prompt and its answer together; None where it is not stated."""
    concurrent: bool
    """Whether it can run several answers at once."""
    constraints: tuple[str, ...]
    """Kinds of `aipc.runtimes.base.Constraint` that are enforced."""
    logprobs: bool
    facts: Mapping[str, Any]
    """As `aipc.session.session.Session.facts`; has paths of this machine."""

    @classmethod
    def told(cls, message: Mapping[str, Any]) -> Ready:
        """What a worker's message has of it."""
        found = {one.name: message[one.name] for one in fields(cls)}
        return cls(**found | {"constraints": tuple(message["constraints"])})


class WorkerClient:
    """Starts and cancels answers, forwards their events, detects a dead or stuck worker.

    ``on_change`` is called when an answer has ended, with the seconds that it took (None: it
    failed, or was in the background), and when the worker has ended, with None.
    """

    def __init__(
        self,
        name: str,
        arguments: Mapping[str, Any],
        loader: str,
        stuck_s: float,
        on_change: Callable[[float | None], None],
    ) -> None:
        self._name = name
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._watchdog = Watchdog(stuck_s, self._end_stuck, self._end_deaf)
        self._ready: asyncio.Future[Ready] = self._loop.create_future()
        self.running: dict[int, PendingRequest] = {}
        self.has_ended = False
        self.error: AipcError | None = None
        """Why it ended; None where `end` was called."""
        self.tokens = 0
        self.answers = 0
        self.memory: int | None = None
        """Bytes that the process takes."""
        self.doing = ""
        """The step of loading, for display."""
        self.notices: deque[str] = deque(maxlen=_NOTICES)
        self._weights = 0
        self._is_ending = False
        self._numbers = 0
        self._process = WorkerProcess(arguments, loader, self._on_messages, self._on_end)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_dying(self) -> bool:
        """Whether it was killed, so that it answers nothing more."""
        return self.error is not None

    @property
    def footprint(self) -> int:
        """Bytes that its process or its device holds, as far as it is known."""
        return max(self.memory or 0, self._weights)

    async def until_ready(self, limit_s: float) -> Ready:
        """Wait until it has loaded its model and produced a token.

        Raises:
            WorkerDied: it died, or was not ready in ``limit_s`` seconds.
            AipcError: the model can't be loaded.
        """
        try:
            return await asyncio.wait_for(asyncio.shield(self._ready), limit_s)
        except asyncio.TimeoutError:
            what = f"'{self._name}' was not loaded in {limit_s:.0f} s"
            raise WorkerDied(what, "allow it more with --load-timeout-s") from None

    def start(self, pending: PendingRequest) -> None:
        """Start its answer, which is in ``running`` until the worker ends it."""
        self._numbers += 1
        pending.number, pending.started_at = self._numbers, self._loop.time()
        self.running[pending.number] = pending
        self._process.send({"id": pending.number, "request": request_to_data(pending.request)})
        self._watchdog.start(pending.number)

    def cancel(self, pending: PendingRequest) -> None:
        """End its answer at the next token, if it is running."""
        if pending.number in self.running:
            self._process.send({"cancel": pending.number})

    def cancel_all(self) -> None:
        for pending in self.running.values():
            self.cancel(pending)

    async def end(self) -> None:
        """End the process; running answers fail."""
        self._is_ending = True
        await self._process.end(_GRACE_S)

    def _on_messages(self, messages: list[Message]) -> None:
        try:
            for message in messages:
                if "id" in message:
                    self._on_answer(message)
                else:
                    self._on_report(message)
        except (LookupError, TypeError, ValueError):  # the rest would be lost, ends of answers too
            self._kill(f"the worker of '{self._name}' sent what can't be read")

    def _on_answer(self, message: Message) -> None:
        pending = self.running[message["id"]]
        if "event" in message:
            event = event_from_data(message["event"])
            if isinstance(event, Begun):
                self._watchdog.expect(message["id"], event.prompt_tokens)
                if pending.request.tell_prompt:
                    pending.put(event)
                return
            self.tokens += len(event.tokens) if isinstance(event, Text) else 0
            self._watchdog.note(message["id"])
            pending.put(event)
            return
        del self.running[message["id"]]
        self._watchdog.end(message["id"])
        if "finished" in message:
            pending.put(event_from_data(message["finished"]))
            self.answers += 1
            took_s = self._loop.time() - pending.started_at
            self._on_change(None if pending.is_background else took_s)
        else:
            error = error_from_data(message["failed"])
            if isinstance(error, EngineBroken):
                self._kill(f"the engine of '{self._name}' could not go on")
            pending.fail(error)
            self._on_change(None)

    def _on_report(self, message: Message) -> None:
        """What the worker reports of itself, not of an answer."""
        self.memory = message.get("memory", self.memory)
        if "doing" in message:
            what, done, total = message["doing"], message["done"], message["total"]
            self.doing = f"{what}, {100 * done / total:.0f}%" if total else str(what)
        elif "notice" in message:
            self.notices.append(message["notice"])
        elif "failed" in message:
            self.error = error_from_data(message["failed"])
        elif "ready" in message:
            ready, self.doing = message["ready"], ""
            self.memory, self._weights = ready.pop("memory"), ready.pop("weights")
            if not self._ready.done():
                self._ready.set_result(Ready.told(ready))

    def _on_end(self, status: int) -> None:
        self.has_ended = True
        self._watchdog.stop()
        error = self.error or self._death(status)
        if not self._is_ending:
            self.error = error
        if not self._ready.done():
            self._ready.set_exception(error)
            self._ready.exception()  # retrieved, as it may not be awaited any more
        for pending in self.running.values():
            pending.fail(error)
        self.running.clear()
        self._on_change(None)

    def _death(self, status: int) -> WorkerDied:
        if self._is_ending:
            return WorkerDied(f"'{self._name}' was unloaded", "ask again")
        what = f"the worker of '{self._name}' {death_reason(status)}"
        return WorkerDied(what, "ask again: it is started anew")

    def _kill(self, what: str) -> None:
        self.error = WorkerDied(what, "ask again: it is started anew")
        self._process.kill()

    def _end_stuck(self, number: int) -> None:
        pending = self.running[number]
        after_s = self._watchdog.patience_s(number)
        pending.fail(NoProgress(f"the answer made no token in {after_s:.0f} s", "ask again"))
        self.cancel(pending)

    def _end_deaf(self) -> None:
        self._kill(f"the worker of '{self._name}' made no token, and ends no answer")


def death_reason(status: int) -> str:
    """Of a process's exit status, as `subprocess.Popen.returncode` has it."""
    if status >= 0:
        return f"ended with status {status}"
    name = next((one.name for one in signal.Signals if one == -status), f"signal {-status}")
    hint = ", perhaps for want of memory" if name == "SIGKILL" else ""
    return f"was ended by {name}{hint}"
