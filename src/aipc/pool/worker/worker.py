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
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib import import_module
from io import BufferedIOBase
from pathlib import Path
from typing import Any

from aipc.child import Message, Outbox, batches, own_pipes
from aipc.errors import is_out_of_memory
from aipc.pool.worker.answers import RunningAnswers, warm_up
from aipc.pool.worker.loading import make_ready_later
from aipc.pool.worker.messages import error_to_data
from aipc.timing_spans import span, told

HEARTBEAT_S = 2.0
PROGRESS_S = 0.2
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
            progress = self._progress()
            with told(lambda doing: progress(doing, 0, 0)):
                session = load(arguments, progress, self._notify)
                with span("warm up", "arranging the weights"):
                    warm_up(session)
            ready = _ready(session)
        except BaseException as error:  # noqa: BLE001 - whatever it is goes to the parent
            self._outbox.put({"failed": error_to_data(error)})
            return None
        later = partial(make_ready_later, session.facts, arguments["home"], self._notify)
        self._answers = RunningAnswers(session, self._outbox, later)
        self._outbox.put({"ready": ready})
        return session

    def _notify(self, text: str) -> None:
        self._outbox.put({"notice": text})

    def _listen(self) -> None:
        try:
            with suppress(ValueError):
                for batch in self._batches:
                    for message in batch:
                        self._on_message(message)
        finally:  # one that hears nothing any more would only take a place
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
    try:
        Worker(requests, outbox).serve()
    except Exception as error:
        if is_out_of_memory(error):
            sys.exit("no memory is left for the model's process")
        raise
    outbox.close(GRACE_S)
    sys.stderr.flush()
    os._exit(0)  # vendors' threads may not outlive the interpreter, nor keep it


if __name__ == "__main__":
    main()
