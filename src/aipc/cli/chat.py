"""``aipc chat``: a conversation in the terminal.

The session is loaded and warmed up while the user types the first question.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import click

from aipc.cli.answer import show, warn_if_cut
from aipc.cli.command_group import Invocation
from aipc.cli.conversation import ChatCommands, Conversation
from aipc.cli.loop import loop_flag, loop_options, warn_if_looped
from aipc.cli.output import STOPPED, notice, report_failure
from aipc.cli.progress_bar import Display, display
from aipc.cli.server_session import ServedSession, find_server, server_flags
from aipc.cli.session_flags import (
    make_ready_later,
    open_session,
    prepare,
    sampling_of,
    session_flags,
)
from aipc.cli.stdin import LineInput, check_text
from aipc.cli.thinking import thinking_flags, thinking_options
from aipc.errors import AipcError, PromptTooLong

if TYPE_CHECKING:
    from typing_extensions import Self

    from aipc.serve.client import RemoteSession
    from aipc.session.session import Session


_LOOK_EVERY_S = 0.2  # Windows delivers Ctrl-C only between two waits


class SessionSource(Protocol):
    """A session that is loaded, or will be."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """The facts of the session that are known so far."""

    @property
    def has_failed(self) -> bool:
        """Whether there will be none."""

    def session(self) -> Session | RemoteSession:
        """Wait for it; raises any error of its loading."""


class LoadedSession:
    """A session that is loaded."""

    has_failed = False

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def facts(self) -> Mapping[str, Any]:
        return self._session.facts

    def session(self) -> Session:
        return self._session

    def close(self) -> None:
        self._session.close()


class Loading:
    """Fetches and converts at once, with progress; loads in a thread of its own.

    A context manager.  Leaving it while the thread still loads ends the process: a runtime that
    compiles can't be stopped otherwise.
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
            _end_process(STOPPED if isinstance(error, KeyboardInterrupt) else 0)
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
    """Progress and notices, held back while the user types."""

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
    """Interrupt the wait for a line; on Windows the failure is reported after the next one."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def _end_process(status: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(status)


@click.command()
@session_flags
@loop_flag
@thinking_flags
@server_flags
@click.option("--system", metavar="TEXT", help="Instructions that come before the conversation.")
def chat(system: str | None, stops_loops: bool, **flags: Any) -> None:
    """Hold a conversation: the model gets all messages so far.

    /help shows the commands. Ctrl-C stops an answer, Ctrl-D leaves. Lines on stdin that is no
    terminal are answered one by one.
    """
    options = {**sampling_of(flags), **loop_options(stops_loops), **thinking_options(flags)}
    conversation = Conversation(check_text(system) if system else None)
    lines = LineInput()
    debug = click.get_current_context().ensure_object(Invocation).debug
    hides = flags["hide_thinking"]
    remote = find_server(flags, notice)
    if lines.is_terminal and remote is None:
        with Loading(flags) as loading:
            notice(_greeting(loading.facts, "loading"))
            talk = Talk(loading, conversation, options, debug=debug, hides_thinking=hides)
            talk.hold(lines)
        talk.make_ready_later()
        return
    source = ServedSession(remote, flags, notice) if remote else LoadedSession(open_session(flags))
    with closing(source):
        if lines.is_terminal:
            notice(_greeting(source.facts, f"at {source.facts['server']}"))
        talk = Talk(source, conversation, options, debug=debug, hides_thinking=hides)
        talk.hold(lines)
    talk.make_ready_later()
    if talk.failures and not lines.is_terminal:
        raise click.exceptions.Exit(1)


class Talk:
    """Messages in, answers out, until the user leaves; a failed answer does not end it."""

    def __init__(
        self,
        source: SessionSource,
        conversation: Conversation,
        options: dict[str, Any],
        *,
        debug: bool,
        hides_thinking: bool = False,
    ) -> None:
        self.failures = 0
        self._hides_thinking = hides_thinking
        self._answered = False
        self._debug = debug
        self._source = source
        self._conversation = conversation
        self._options = options
        self._commands = ChatCommands(conversation, lambda: source.facts)

    def hold(self, lines: LineInput) -> None:
        for line in lines.messages():
            if not self._source.has_failed:
                self._take(line)
            if self._commands.wants_to_leave or self._source.has_failed:
                return

    def make_ready_later(self) -> None:
        if self._answered:
            make_ready_later(self._source.facts)

    def _take(self, line: str) -> None:
        try:
            if not self._commands.obey(line) and line.strip():
                self._answer(line.strip())
        except AipcError as error:
            if self._source.has_failed:
                raise
            self.failures += 1
            report_failure(_advised(error), debug=self._debug)

    def _answer(self, question: str) -> None:
        session = self._source.session()
        self._conversation.ask(question)
        shown: list[str] = []
        try:
            messages = self._conversation.messages()
            events = session.stream(messages, **self._options)
            reply = show(events, shown, hides_thinking=self._hides_thinking)
        except KeyboardInterrupt:
            self._keep_stopped("".join(shown))
        except BaseException:
            self._conversation.withdraw()
            raise
        else:
            self._answered = True
            self._conversation.answer(reply.text)
            warn_if_cut(reply)
            warn_if_looped(reply, self._options, self._source.facts)

    def _keep_stopped(self, text: str) -> None:
        """Keep a partial answer; a question without any answer is withdrawn."""
        if text:
            self._conversation.answer(text, stopped=True)
            notice("[stopped]")
        else:
            self._conversation.withdraw()
            notice("[stopped before the first word; the question is taken back]")


def _advised(error: AipcError) -> AipcError:
    """With the fix that a chat has."""
    if not isinstance(error, PromptTooLong):
        return error
    advised = PromptTooLong(error.what, "/reset begins a new conversation")
    advised.__cause__ = error
    return advised


def _greeting(facts: Mapping[str, Any], state: str) -> str:
    device = f"{facts.get('device', '?')} ({facts.get('runtime', '?')})"
    return f"{facts.get('model', 'The model')} on {device}, {state}. /help shows the commands."
