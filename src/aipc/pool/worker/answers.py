"""The answers of one worker: each in a thread of its own, and each with exactly one end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from aipc.child import Message, Outbox
from aipc.errors import EngineBroken, EngineError
from aipc.generate import Finished, Text, Thinking, Timings, Usage
from aipc.generate.events import join
from aipc.generate.request import GenerationRequest
from aipc.pool.worker.loading import ReaderSession
from aipc.pool.worker.messages import Begun, error_to_data, event_to_data, request_from_data
from aipc.runtimes.vendor_errors import broken

JOINED_S = 1.0
"""At least between two events of an answer that nobody reads while it is made."""
STILL_S = 10.0
"""For a token that shows that an engine answers still."""


class RunningAnswers:
    """Starts and cancels the answers of one session, a thread each, and sends their events.

    Every answer ends with exactly one message: "finished" with its `Finished`, or "failed".
    """

    def __init__(self, session: Any, outbox: Outbox, after_first: Callable[[], None]) -> None:
        """``after_first`` is called once, when an answer is complete."""
        self._session = session
        self._outbox = outbox
        self._after_first: Callable[[], None] | None = after_first
        self._lock = threading.Lock()
        self._running: dict[int, _Answer] = {}

    def start(self, number: int, data: Mapping[str, Any]) -> None:
        answer = _Answer()
        with self._lock:
            self._running[number] = answer
        work = (number, data, answer)
        try:
            threading.Thread(target=self._answer, args=work, name="answer", daemon=True).start()
        except RuntimeError as error:  # the system has no more threads
            self._end(number, {"id": number, "failed": error_to_data(error)})

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

    def _answer(self, number: int, data: Mapping[str, Any], answer: _Answer) -> None:
        try:
            self._send(number, request_from_data(data), answer)
        except BaseException as error:  # noqa: BLE001 - whatever it is goes to the client
            self._end(number, {"id": number, "failed": error_to_data(self._weighed(error))})

    def _weighed(self, error: BaseException) -> BaseException:
        """As `EngineBroken` where the engine answers nothing any more.

        An error of a driver can spoil every later call of its process.
        """
        if not isinstance(error, EngineError) or isinstance(error, EngineBroken):
            return error
        is_vendors = error.__cause__ is not None
        return broken(error) if is_vendors and not still_answers(self._session) else error

    def _send(self, number: int, request: GenerationRequest, answer: _Answer) -> None:
        if request.count_only:
            self._count(number, request)
            return
        stream = answer.attach(self._session.answer(request))
        if not request.texts:
            begun = event_to_data(Begun(stream.prompt_tokens))
            self._outbox.put({"id": number, "event": begun})
        for event in joined(stream, JOINED_S) if request.whole else stream:
            data = event_to_data(event)
            if isinstance(event, Finished):
                self._end(number, {"id": number, "finished": data})
                self._note_first()
            else:
                self._outbox.put({"id": number, "event": data})
        raise EngineError("the answer broke off", "ask again")  # unless its end was told

    def _count(self, number: int, request: GenerationRequest) -> None:
        counted = Usage(self._session.count(request), 0)
        end = Finished("stop", counted, Timings(None, None, 0.0))
        self._end(number, {"id": number, "finished": event_to_data(end)})

    def _note_first(self) -> None:
        with self._lock:
            call, self._after_first = self._after_first, None
        if call is not None:
            call()

    def _end(self, number: int, message: Message) -> None:
        """The first end that an answer comes to is the one that is told."""
        with self._lock:
            is_running = self._running.pop(number, None) is not None
        if is_running:
            self._outbox.put(message)


class _Answer:
    """An event stream that may be cancelled before or after it is attached."""

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


def joined(events: Iterable[Any], every_s: float) -> Iterator[Any]:
    """The events, with texts that follow one another as one, at most one every ``every_s`` seconds.

    The first comes at once.
    """
    held: list[Any] = []
    due = float("-inf")
    for event in events:
        if held and type(event) is not type(held[0]):
            yield join(held)
            held = []
        if not isinstance(event, Text | Thinking):
            yield event
            continue
        held.append(event)
        if time.monotonic() >= due:
            yield join(held)
            held, due = [], time.monotonic() + every_s


def warm_up(session: Any) -> None:
    """Produce a token, which is what ready means; a reader of texts reads one.

    Raises:
        EngineError: it does not.
    """
    if isinstance(session, ReaderSession):
        session.warm_up()
        return
    reply = session.generate("Hi", max_new_tokens=2)
    if not reply.usage.completion_tokens:
        raise EngineError("the model was loaded and produces no token", "convert it again")


def still_answers(session: Any) -> bool:
    """False where it fails; one that takes long may only be busy, or hangs and is found so."""
    failed = threading.Event()

    def ask() -> None:
        try:
            warm_up(session)
        except BaseException:  # noqa: BLE001 - whatever it is, it does not answer
            failed.set()

    asking = threading.Thread(target=ask, name="still there", daemon=True)
    asking.start()
    asking.join(STILL_S)
    return not failed.is_set()
