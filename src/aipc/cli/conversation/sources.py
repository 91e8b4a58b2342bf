"""Where a chat's answers come from: a session that is loaded, or will be."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from aipc.cli.arguments.session_flags import make_ready_later, open_session, plain_loading, prepare
from aipc.cli.screen.progress_bar import Display, display
from aipc.cli.screen.waiting import WaitingLine
from aipc.options import describe
from aipc.runtimes.sampling import Sampling
from aipc.units import amount

if TYPE_CHECKING:
    from aipc.pool.own_worker import OwnWorker, WorkerStream

_SAMPLING = frozenset(declared.name for declared in describe(Sampling))


class SessionSource(Protocol):
    """A session that is loaded, or will be."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """The facts of the session that are known so far."""

    @property
    def has_failed(self) -> bool:
        """Whether there will be none."""

    def session(self) -> Any:
        """What has the `stream` of a `Session`, once it is loaded; raises any error of that."""

    def close(self) -> None:
        """Free what it holds."""


class LoadedSession:
    """A session that is loaded in this process, for lines that are no terminal's."""

    has_failed = False

    def __init__(self, flags: Mapping[str, Any]) -> None:
        self._session = open_session(flags)
        self._was_asked = False

    @property
    def facts(self) -> Mapping[str, Any]:
        return self._session.facts

    def session(self) -> Any:
        self._was_asked = True
        return self._session

    def close(self) -> None:
        facts = self._session.facts
        self._session.close()
        if self._was_asked:
            make_ready_later(facts)


class TypedSide(Protocol):
    """Where the user types while a model loads; called from any thread."""

    def show_status(self, text: str) -> None:
        """Below what is typed; empty: nothing."""

    def notice(self, line: str) -> None:
        """A line above what is typed."""

    def interrupt(self) -> None:
        """End the wait for a message."""


class LoadingSession:
    """Fetches and converts at once, with progress; then a process of its own loads.

    So the user can type whatever the runtime does meanwhile.  A process that dies is started anew
    at the next question.
    """

    def __init__(self, flags: Mapping[str, Any], typed: TypedSide) -> None:
        """Raises whatever `aipc.session.prepare.prepare_session` does."""
        self._typed = typed
        self._news = _News(typed)
        self._worker = self._start()  # it imports while this process prepares
        try:
            with self._news.shown() as shown:
                self._prepared = prepare(flags, shown, shown.notice)
            self._arguments = {
                **plain_loading(flags),
                "work": "chat",
                "model": flags["model"] or _default_name(),
                "home": str(self._prepared.store.home),
            }
            self._load()
        except BaseException:
            self._worker.close()
            raise

    @property
    def facts(self) -> Mapping[str, Any]:
        ready = self._worker.ready
        return self._prepared.facts if ready is None else ready.facts

    @property
    def has_failed(self) -> bool:
        return self._worker.ready is None and self._worker.error is not None

    def session(self) -> WorkerSession:
        if self._worker.error is not None and not self.has_failed:
            self._typed.notice(f"[{self._worker.error.what}; loading the model again]")
            self._worker.close()
            self._worker = self._start()
            self._load()
        with self._news.awaited():
            self._worker.wait()
        return WorkerSession(self._worker)

    def close(self) -> None:
        self._typed.show_status("")
        self._worker.close()

    def _start(self) -> OwnWorker:
        from aipc.pool.own_worker import OwnWorker
        from aipc.pool.worker import loading

        heard = (self._news, self._news.notice, self._note_change)
        return OwnWorker(*heard, loader=loading.LOADER)

    def _load(self) -> None:
        self._began = time.monotonic()
        self._worker.load(self._arguments)

    def _note_change(self) -> None:
        """In the worker's thread: it is ready, or it has ended."""
        self._typed.show_status("")
        if self.has_failed:
            self._typed.interrupt()
        elif self._worker.error is None:
            self._typed.notice(f"[ready after {time.monotonic() - self._began:.1f} s]")


class WorkerSession:
    """A model in a worker, used like a session of this process."""

    def __init__(self, worker: OwnWorker) -> None:
        self._worker = worker

    @property
    def facts(self) -> Mapping[str, Any]:
        return self._worker.wait().facts

    def stream(self, messages: Any, /, **options: Any) -> WorkerStream:
        """Besides a session's events it gives a `Begun`, which tells the prompt's tokens."""
        from aipc.generate.request import GenerationRequest

        sampling = {name: options.pop(name) for name in _SAMPLING & options.keys()}
        request = GenerationRequest(
            messages=messages, sampling=sampling, tell_prompt=True, **options
        )
        return self._worker.stream(request)


class _News:
    """What is heard of the loading: beside what is typed, or where the user waits for it."""

    def __init__(self, typed: TypedSide) -> None:
        self._typed = typed
        self._doing = ""
        self._line: WaitingLine | None = None

    def __call__(self, what: str, done: int, total: int) -> None:
        share = f", {100 * done / total:.0f}% of {amount(total)}" if total else ""
        self._doing = f"{what}{share}"
        self._typed.show_status(self._doing)
        if self._line is not None:
            self._line.show(self._doing)

    def notice(self, line: str) -> None:
        self._typed.notice(line)

    @contextmanager
    def shown(self) -> Iterator[Display]:
        with display() as shown:
            yield shown

    @contextmanager
    def awaited(self) -> Iterator[None]:
        with WaitingLine() as line:
            if self._doing:
                line.show(self._doing)
            self._line = line
            try:
                yield
            finally:
                self._line = None


def _default_name() -> str:
    from aipc.models.catalogue import CATALOGUE

    return CATALOGUE.default.name
