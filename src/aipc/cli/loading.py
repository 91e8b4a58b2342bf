"""A session that is loaded and warmed up while the user types the first question."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from aipc.cli import failure
from aipc.cli.output import notice
from aipc.cli.progress_bar import Display, display
from aipc.cli.session_flags import prepare

if TYPE_CHECKING:
    from typing_extensions import Self

    from aipc.serve.client import RemoteSession
    from aipc.session.session import Session

_LOOK_EVERY_S = 0.2  # Windows delivers Ctrl-C only between two waits


class Source(Protocol):
    """Who has the session, now or soon."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What is known of the session by now."""

    @property
    def has_failed(self) -> bool:
        """Whether there will be none."""

    def session(self) -> Session | RemoteSession:
        """Wait for it; raises what its loading raised."""


class LoadedSession:
    """A session that is there."""

    has_failed = False

    def __init__(self, session: Session | RemoteSession) -> None:
        self._session = session

    @property
    def facts(self) -> Mapping[str, Any]:
        return self._session.facts

    def session(self) -> Session | RemoteSession:
        return self._session


class Loading:
    """Fetches and converts at once, with progress; loads in a thread of its own.

    A context manager.  Leaving it while the thread still loads ends the process: a runtime that
    compiles can't be stopped otherwise, and the user wants to go.
    """

    def __init__(self, flags: Mapping[str, Any]) -> None:
        self._report = _Report()
        with self._report.shown():
            self._prepared = prepare(flags, self._report, self._report.notice)
        self._session: Session | None = None
        self._error: BaseException | None = None
        self._is_awaited = False
        self._thread = threading.Thread(target=self._load, name="aipc-loading", daemon=True)
        self._thread.start()

    @property
    def facts(self) -> Mapping[str, Any]:
        return self._prepared.facts if self._session is None else self._session.facts

    @property
    def has_failed(self) -> bool:
        return self._error is not None

    def session(self) -> Session:
        self._is_awaited = True
        if self._thread.is_alive():
            notice("[still loading; the answer comes as soon as that is done]")
        with self._report.shown():
            while self._thread.is_alive():
                self._thread.join(_LOOK_EVERY_S)
        if self._session is None:
            self._raise()
        return self._session

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._thread.is_alive():
            _end_process(failure.STOPPED if isinstance(error, KeyboardInterrupt) else 0)
        if self._session is not None:
            self._session.close()
        elif error is None or isinstance(error, KeyboardInterrupt):
            self._raise()

    def _raise(self) -> NoReturn:
        raise self._error or KeyboardInterrupt

    def _load(self) -> None:
        from aipc.session import session

        try:
            self._session = session.open_session(self._prepared, warm=True)
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            self._error = error
            if not self._is_awaited:
                _interrupt_typing()


class _Report:
    """Progress and notices, kept back while the user types."""

    def __init__(self) -> None:
        self._display: Display | None = None
        self._kept: list[str] = []

    def __call__(self, what: str, done: int, total: int) -> None:
        if self._display is not None:
            self._display(what, done, total)

    def notice(self, line: str) -> None:
        if self._display is None:
            self._kept.append(line)
        else:
            self._display.notice(line)

    @contextmanager
    def shown(self) -> Iterator[None]:
        with display() as shown:
            for line in self._kept:
                shown.notice(line)
            self._kept.clear()
            self._display = shown
            try:
                yield
            finally:
                self._display = None


def _interrupt_typing() -> None:
    """Wake whoever waits for a line; on Windows the failure is told after the next one."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def _end_process(status: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(status)
