"""The answers that a worker is generating: a thread each, from the request to the end."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Protocol

from aipc.child import Message
from aipc.generate import Event, Finished
from aipc.serve.requests import Embedded, GenerationRequest
from aipc.serve.worker.messages import error_to_data, event_to_data, request_from_data


class _Outbox(Protocol):
    def put(self, message: Message) -> None: ...


class Answering:
    """Starts and cancels answers of one session; sends their events.

    Every answer ends with exactly one message: "finished" with its `Finished`, or "failed".
    """

    def __init__(self, session: Any, outbox: _Outbox) -> None:
        self._session = session
        self._outbox = outbox
        self._lock = threading.Lock()
        self._running: dict[int, _Answer] = {}

    def start(self, number: int, data: Mapping[str, Any]) -> None:
        answer = _Answer()
        with self._lock:
            self._running[number] = answer
        work = (number, request_from_data(data), answer)
        threading.Thread(target=self._answer, args=work, name="answer", daemon=True).start()

    def cancel(self, number: int) -> None:
        """End an answer at its next token; one that has ended already stays as it is."""
        with self._lock:
            answer = self._running.get(number)
        if answer is not None:
            answer.cancel()

    def cancel_all(self) -> None:
        with self._lock:
            running = tuple(self._running.values())
        for answer in running:
            answer.cancel()

    def _answer(self, number: int, request: GenerationRequest, answer: _Answer) -> None:
        try:
            for event in answer.attach(self._session.answer(request)):
                self._send(number, event)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client has to be told
            self._end(number, {"id": number, "failed": error_to_data(error)})

    def _send(self, number: int, event: Event | Embedded) -> None:
        if isinstance(event, Finished):
            self._end(number, {"id": number, "finished": event_to_data(event)})
        else:
            self._outbox.put({"id": number, "event": event_to_data(event)})

    def _end(self, number: int, message: Message) -> None:
        with self._lock:
            self._running.pop(number, None)
        self._outbox.put(message)


class _Answer:
    """Joins a cancel to the stream, whichever comes first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stream: Any = None
        self._cancelled = False

    def attach(self, stream: Any) -> Any:
        with self._lock:
            self._stream = stream
            if self._cancelled:
                stream.cancel()
        return stream

    def cancel(self) -> None:
        with self._lock:
            self._cancelled = True
            if self._stream is not None:
                self._stream.cancel()
