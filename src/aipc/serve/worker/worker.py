"""The process that holds one model: requests come in over stdin, events go out over stdout.

It is started by `WorkerProcess` as ``python -m aipc.serve.worker.worker`` and ends when its stdin
does, which is also how it learns that its parent has died.

    in   {"order": …} first, then {"request": …, "id": 1}, {"cancel": 1}
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
from importlib import import_module
from io import BufferedIOBase
from pathlib import Path
from typing import Any

from aipc.child import Message, Outbox, batches, own_pipes
from aipc.errors import EngineError
from aipc.serve.worker.answering import Answering
from aipc.serve.worker.embedding_session import EmbeddingSession
from aipc.serve.worker.messages import error_to_data

HEARTBEAT_S = 2.0
PROGRESS_S = 0.2
GRACE_S = 3.0
"""How long an end may take before the process is left without ceremony."""


class Worker:
    """Reads requests in a thread of its own, answers each in another."""

    def __init__(self, requests: BufferedIOBase, outbox: Outbox) -> None:
        self._batches = batches(requests)
        self._outbox = outbox
        self._over = threading.Event()
        self._answering: Answering | None = None

    def serve(self) -> None:
        """Load what the first message orders and answer until stdin ends."""
        first = next(self._batches, [])
        if not first:
            return
        self._in_thread(self._listen)
        self._in_thread(self._beat)
        session = self._load(first[0]["order"], first[0]["loader"])
        if session is None:
            return
        self._over.wait()
        session.close()

    def _load(self, order: dict[str, Any], loader: str) -> Any:
        """The session, after it has produced a token; None when there is none to be had."""
        try:
            session = _find(loader)(order, self._progress(), self._notify)
            _warm_up(session)
            ready = _ready(session)
        except Exception as error:  # noqa: BLE001 - whatever it is, the parent has to be told
            self._outbox.put({"failed": error_to_data(error)})
            return None
        self._answering = Answering(session, self._outbox)
        self._outbox.put({"ready": ready})
        return session

    def _listen(self) -> None:
        with suppress(ValueError):
            for batch in self._batches:
                for message in batch:
                    self._on_message(message)
        self._over.set()
        if self._answering is not None:
            self._answering.cancel_all()
            time.sleep(GRACE_S)
        os._exit(1)  # loading, or with an engine that does not let go

    def _on_message(self, message: Message) -> None:
        if self._answering is None:
            raise ValueError("a request before the model is loaded")
        if "request" in message:
            self._answering.start(message["id"], message["request"])
        else:
            self._answering.cancel(message["cancel"])

    def _beat(self) -> None:
        while not self._over.wait(HEARTBEAT_S):
            self._outbox.put({"memory": resident_bytes()})

    def _progress(self) -> Callable[[str, int, int], None]:
        """Tells the parent at most every `PROGRESS_S` seconds, and each new kind of work."""
        reported = [("", 0.0)]

        def progress(what: str, done: int, total: int) -> None:
            now = time.monotonic()
            if what != reported[0][0] or now - reported[0][1] >= PROGRESS_S:
                reported[0] = (what, now)
                self._outbox.put({"doing": what, "done": done, "total": total})

        return progress

    def _notify(self, notice: str) -> None:
        self._outbox.put({"notice": notice})

    def _in_thread(self, work: Callable[[], None]) -> None:
        threading.Thread(target=work, name=work.__name__, daemon=True).start()


def _find(loader: str) -> Any:
    module, _, function = loader.partition(":")
    return getattr(import_module(module), function)


def _warm_up(session: Any) -> None:
    """Have it produce a token, which is what ready means; an embedder has made a vector.

    Raises:
        EngineError: it does not.
    """
    if isinstance(session, EmbeddingSession):
        return
    reply = session.generate("Hi", max_new_tokens=2)
    if not reply.usage.completion_tokens:
        raise EngineError("the model was loaded and produces no token", "convert it again")


def _ready(session: Any) -> Message:
    able = session.capabilities
    return {
        "context": session.context,
        "concurrent": session.concurrent,
        "constraints": sorted(able.constraints),
        "logprobs": able.logprobs,
        "facts": dict(session.facts),
        "weights": _nbytes(session.facts.get("artifact")),
        "memory": resident_bytes(),
    }


def resident_bytes() -> int:
    """Bytes of memory that this process takes."""
    import psutil

    return int(psutil.Process().memory_info().rss)


def _nbytes(folder: str | None) -> int:
    """What is in an artifact's folder, which a device may hold outside this process."""
    return sum(file.stat().st_size for file in Path(folder).glob("*")) if folder else 0


def _ignore_signals() -> None:
    """Ctrl-C and a service's stop reach the whole group; the parent decides, and drains."""
    for name in ("SIGINT", "SIGTERM", "SIGBREAK", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def main() -> None:
    _ignore_signals()
    requests, events = own_pipes()
    outbox = Outbox(events, "events")
    Worker(requests, outbox).serve()
    outbox.close(GRACE_S)
    sys.stderr.flush()
    os._exit(0)  # vendors' threads may not outlive the interpreter, nor keep it


if __name__ == "__main__":
    main()
