"""The answers under way in a worker: a thread each, from ask to end."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Protocol

from aipc.child import Message
from aipc.generate import Event, Finished
from aipc.serve.requests import Embedded, GenerationRequest
from aipc.serve.worker.messages import ask_from_data, error_to_data, event_to_data


class _Outbox(Protocol):
    def put(self, message: Message) -> None: ...


class Answering:
    """Begins and cancels answers of one session; tells the outbox all that they say.

    Every answer ends with exactly one message: "ends" with its `Finished`, or "fails".
    """

    def __init__(self, session: Any, outbox: _Outbox) -> None:
        self._session = session
        self._outbox = outbox
        self._lock = threading.Lock()
        self._running: dict[int, _Answer] = {}

    def begin(self, number: int, data: Mapping[str, Any]) -> None:
        answer = _Answer()
        with self._lock:
            self._running[number] = answer
        work = (number, ask_from_data(data), answer)
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

    def _answer(self, number: int, ask: GenerationRequest, answer: _Answer) -> None:
        try:
            for event in answer.attach(begin_stream(self._session, ask)):
                self._say(number, event)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client has to be told
            self._end(number, {"id": number, "fails": error_to_data(error)})

    def _say(self, number: int, event: Event | Embedded) -> None:
        if isinstance(event, Finished):
            self._end(number, {"id": number, "ends": event_to_data(event)})
        else:
            self._outbox.put({"id": number, "says": event_to_data(event)})

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


def begin_stream(session: Any, ask: GenerationRequest) -> Any:
    """The session's stream for an ask; errors are those of `Session.stream`."""
    if ask.texts:
        return session.embed(ask.texts, ask.dimensions)
    extras: dict[str, Any] = {}
    if ask.schema is not None:
        extras["schema"] = ask.schema
    if ask.tools:
        extras |= {"tools": ask.tools, "tool_choice": ask.tool_choice}
    if ask.logprobs:
        extras["logprobs"] = True
    if ask.messages is None:
        return session.stream(ask.prompt or "", stop=ask.stop, raw=True, **extras, **ask.sampling)
    return session.stream(ask.messages, stop=ask.stop, **extras, **ask.sampling)
