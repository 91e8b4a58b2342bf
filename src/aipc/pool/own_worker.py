"""One worker of a program of its own, without an event loop: a model in another process.

Vendors hold the interpreter's lock for a whole call, and a call may load a model or compute a long
prompt: for seconds a program could neither echo what is typed nor obey Ctrl-C.  Here it can.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from io import BufferedIOBase
from queue import Empty, SimpleQueue
from subprocess import TimeoutExpired
from typing import Any, BinaryIO, cast

from aipc.child import Message, Outbox, batches
from aipc.errors import AipcError, EngineBroken
from aipc.generate.request import GenerationRequest
from aipc.pool.failures import WorkerDied
from aipc.pool.worker.messages import (
    Begun,
    ServerEvent,
    error_from_data,
    event_from_data,
    request_to_data,
)
from aipc.pool.worker_client import Ready, death_reason
from aipc.pool.worker_process import start_worker
from aipc.progress import Notify, Progress

_LOOK_EVERY_S = 0.2  # Windows delivers Ctrl-C only between two waits
_GRACE_S = 4.0  # a worker ends itself after 3 at the latest


class OwnWorker:
    """The process, started at once; `load` has it load a model, `stream` answer.

    ``loader`` is as `aipc.pool.worker.loading.LOADER`.
    ``progress`` and ``notify`` hear of it in a thread of their own; so does ``on_change``, once
    it is ready and once it has ended.

    Raises:
        WorkerDied: the system starts no process.
    """

    def __init__(
        self,
        progress: Progress,
        notify: Notify,
        on_change: Callable[[], None],
        *,
        loader: str,
    ) -> None:
        self._progress = progress
        self._notify = notify
        self._on_change = on_change
        self._loader = loader
        self.ready: Ready | None = None
        """None until it has loaded its model."""
        self.error: AipcError | None = None
        """Why it has ended; None while it runs."""
        self._settled = threading.Event()
        self._lock = threading.Lock()
        self._answers: dict[int, SimpleQueue[Message | None]] = {}
        self._numbers = 0
        self._process = start_worker()
        self._outbox = Outbox(cast("BinaryIO", self._process.stdin), "requests")
        threading.Thread(target=self._read, name="worker", daemon=True).start()

    def load(self, arguments: Mapping[str, Any]) -> None:
        """Begin to load; ``arguments`` are those of `aipc.pool.worker.loading.load_session`."""
        self._outbox.put({"arguments": dict(arguments), "loader": self._loader})

    def wait(self) -> Ready:
        """Until the model is loaded.

        Raises:
            AipcError: it can't be; `WorkerDied` where the process has ended since.
        """
        while not self._settled.wait(_LOOK_EVERY_S):
            pass
        if self.error is not None:
            raise self.error
        assert self.ready is not None  # noqa: S101 - for the type checker
        return self.ready

    def stream(self, request: GenerationRequest) -> WorkerStream:
        """The events of one answer, once `wait` has returned."""
        messages: SimpleQueue[Message | None] = SimpleQueue()
        with self._lock:
            self._numbers += 1
            number = self._numbers
            self._answers[number] = messages
            if self.error is not None:
                messages.put(None)
        self._outbox.put({"id": number, "request": request_to_data(request)})
        return WorkerStream(self, number, messages, tells_prompt=request.tell_prompt)

    def cancel(self, number: int) -> None:
        """End an answer at its next token, and hear no more of it."""
        with self._lock:
            is_running = self._answers.pop(number, None) is not None
        if is_running:
            self._outbox.put({"cancel": number})

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        """End the process: at once while it loads, else when it has let its model go."""
        if self.ready is None:
            self._process.kill()
        self._outbox.close()
        try:
            self._process.wait(_GRACE_S)
        except TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _read(self) -> None:
        with cast("BufferedIOBase", self._process.stdout) as pipe:
            try:
                for batch in batches(pipe):
                    for message in batch:
                        self._take(message)
            except ValueError:  # what comes is no message
                self._process.kill()
        self._end(self._process.wait())

    def _take(self, message: Message) -> None:
        if "id" in message:
            with self._lock:
                answer = self._answers.get(message["id"])
                if "event" not in message:
                    self._answers.pop(message["id"], None)
            if answer is not None:
                answer.put(message)
        elif "doing" in message:
            self._progress(message["doing"], message["done"], message["total"])
        elif "notice" in message:
            self._notify(message["notice"])
        elif "failed" in message:
            self.error = error_from_data(message["failed"])
        elif "ready" in message:
            self._note_ready(message["ready"])

    def _note_ready(self, told: dict[str, Any]) -> None:
        self.ready = Ready.told(told)
        self._settled.set()
        self._on_change()

    def _end(self, status: int) -> None:
        what = f"the model's process {death_reason(status)}"
        with self._lock:
            self.error = self.error or WorkerDied(what, "ask again: it is started anew")
            for answer in self._answers.values():
                answer.put(None)
            self._answers.clear()
        self._settled.set()
        self._on_change()


class WorkerStream(Iterator[ServerEvent]):
    """One answer's events.  `close` ends it without waiting for a token under way."""

    def __init__(
        self,
        worker: OwnWorker,
        number: int,
        messages: SimpleQueue[Message | None],
        *,
        tells_prompt: bool,
    ) -> None:
        self._worker = worker
        self._number = number
        self._messages = messages
        self._tells_prompt = tells_prompt
        self._has_ended = False

    def __next__(self) -> ServerEvent:
        if self._has_ended:
            raise StopIteration
        message = self._next_message()
        while message is not None and "event" in message:
            event = event_from_data(message["event"])
            if self._tells_prompt or not isinstance(event, Begun):
                return event
            message = self._next_message()
        self._has_ended = True
        if message is None:
            raise self._worker.error or WorkerDied("the model's process has ended", "ask again")
        if "finished" in message:
            return event_from_data(message["finished"])
        error = error_from_data(message["failed"])
        if isinstance(error, EngineBroken):
            self._worker.kill()
        raise error

    def close(self) -> None:
        self._has_ended = True
        self._worker.cancel(self._number)

    def _next_message(self) -> Message | None:
        while True:
            with suppress(Empty):
                return self._messages.get(timeout=_LOOK_EVERY_S)
