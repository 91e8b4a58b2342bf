"""The process that holds one model: requests come in over stdin, events go out over stdout.

It is started by `WorkerProcess` as ``python -m aipc.pool.worker.worker`` and ends when its stdin
does, which is also how it learns that its parent has died.

    in   {"arguments": …, "loader": …} first, then {"request": …, "id": 1}, {"cancel": 1}
    out  {"doing": …} {"notice": …} {"memory": …} at any time; {"ready": …} or {"failed": …} once;
         {"id": 1, "event": …} for each event of an answer, its end {"id": 1, "finished": …} or
         {"id": 1, "failed": …}
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from importlib import import_module
from io import BufferedIOBase
from pathlib import Path
from typing import Any

from aipc.child import Message, Outbox, batches, own_pipes
from aipc.errors import EngineError
from aipc.generate import Finished, Text, Thinking, Timings, Usage
from aipc.generate.events import join
from aipc.generate.request import GenerationRequest
from aipc.pool.worker.loading import EmbeddingSession, make_ready_later
from aipc.pool.worker.messages import Begun, error_to_data, event_to_data, request_from_data

HEARTBEAT_S = 2.0
PROGRESS_S = 0.2
JOINED_S = 1.0
"""At least between two events of an answer that nobody reads while it is made."""
GRACE_S = 3.0
"""Until running answers, or unsent events, are abandoned at the end."""


class Worker:
    """Reads requests in a thread of its own, answers each in another."""

    def __init__(self, requests: BufferedIOBase, outbox: Outbox) -> None:
        self._batches = batches(requests)
        self._outbox = outbox
        self._over = threading.Event()
        self._answers: RunningAnswers | None = None

    def serve(self) -> None:
        """Load the model of the first message and answer until stdin ends."""
        first = next(self._batches, [])
        if not first:
            return
        self._in_thread(self._listen)
        self._in_thread(self._beat)
        session = self._load(first[0]["arguments"], first[0]["loader"])
        if session is None:
            return
        self._over.wait()
        session.close()

    def _load(self, arguments: dict[str, Any], loader: str) -> Any:
        """The session, after it has produced a token; None where loading failed."""
        try:
            module, _, function = loader.partition(":")
            load = getattr(import_module(module), function)
            session = load(arguments, self._progress(), self._notify)
            _warm_up(session)
            ready = _ready(session)
        except Exception as error:  # noqa: BLE001 - any error goes to the parent
            self._outbox.put({"failed": error_to_data(error)})
            return None
        later = partial(make_ready_later, session.facts, arguments["home"], self._notify)
        self._answers = RunningAnswers(session, self._outbox, later)
        self._outbox.put({"ready": ready})
        return session

    def _notify(self, text: str) -> None:
        self._outbox.put({"notice": text})

    def _listen(self) -> None:
        with suppress(ValueError):
            for batch in self._batches:
                for message in batch:
                    self._on_message(message)
        self._over.set()
        if self._answers is not None:
            self._answers.cancel_all()
            time.sleep(GRACE_S)
        os._exit(1)  # still loading, or the session does not close

    def _on_message(self, message: Message) -> None:
        if self._answers is None:
            raise ValueError("a request before the model is loaded")
        if "request" in message:
            self._answers.start(message["id"], message["request"])
        else:
            self._answers.cancel(message["cancel"])

    def _beat(self) -> None:
        while not self._over.wait(HEARTBEAT_S):
            self._outbox.put({"memory": resident_bytes()})

    def _progress(self) -> Callable[[str, int, int], None]:
        """Reports to the parent at most every `PROGRESS_S` seconds, and each new kind of work."""
        reported = [("", 0.0)]

        def progress(what: str, done: int, total: int) -> None:
            now = time.monotonic()
            if what != reported[0][0] or now - reported[0][1] >= PROGRESS_S:
                reported[0] = (what, now)
                self._outbox.put({"doing": what, "done": done, "total": total})

        return progress

    def _in_thread(self, work: Callable[[], None]) -> None:
        threading.Thread(target=work, name=work.__name__, daemon=True).start()


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
            if request.count_only:
                self._count(number, request)
                return
            stream = answer.attach(self._session.answer(request))
            if request.tell_prompt:
                begun = event_to_data(Begun(stream.prompt_tokens))
                self._outbox.put({"id": number, "event": begun})
            for event in joined(stream, JOINED_S) if request.whole else stream:
                data = event_to_data(event)
                if isinstance(event, Finished):
                    self._end(number, {"id": number, "finished": data})
                    self._note_first()
                else:
                    self._outbox.put({"id": number, "event": data})
        except Exception as error:  # noqa: BLE001 - any error goes to the client
            self._end(number, {"id": number, "failed": error_to_data(error)})

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
        with self._lock:
            self._running.pop(number, None)
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


def _warm_up(session: Any) -> None:
    """Produce a token, which is what ready means; an embedder has made a vector already.

    Raises:
        EngineError: it does not.
    """
    if isinstance(session, EmbeddingSession):
        return
    reply = session.generate("Hi", max_new_tokens=2)
    if not reply.usage.completion_tokens:
        raise EngineError("the model was loaded and produces no token", "convert it again")


def _ready(session: Any) -> Message:
    """The fields of `Ready`, and the bytes of the artifact's files and of this process."""
    able, folder = session.capabilities, session.facts.get("artifact")
    files = Path(folder).glob("*") if folder else ()
    return {
        "context": session.context,
        "concurrent": session.concurrent,
        "constraints": sorted(able.constraints),
        "logprobs": able.logprobs,
        "facts": dict(session.facts),
        "weights": sum(file.stat().st_size for file in files),
        "memory": resident_bytes(),
    }


def resident_bytes() -> int:
    """Bytes of memory that this process takes."""
    import psutil

    return int(psutil.Process().memory_info().rss)


def main() -> None:
    # Ctrl-C and a service's stop reach the whole process group; the parent decides when to end.
    for name in ("SIGINT", "SIGTERM", "SIGBREAK", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    requests, events = own_pipes()
    outbox = Outbox(events, "events")
    Worker(requests, outbox).serve()
    outbox.close(GRACE_S)
    sys.stderr.flush()
    os._exit(0)  # vendors' threads may not outlive the interpreter, nor keep it


if __name__ == "__main__":
    main()
