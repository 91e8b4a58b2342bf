"""What a person types at a terminal, one message at a time, by prompt_toolkit.

A paste is one message whatever lines it has; the terminal marks its ends (bracketed paste).
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from prompt_toolkit import PromptSession
from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.completion import NestedCompleter, PathCompleter
from prompt_toolkit.history import History
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import create_output
from prompt_toolkit.shortcuts import CompleteStyle
from prompt_toolkit.styles import Style

from aipc.cli.answering.stdin import CONTINUED, PROMPT, QUOTES
from aipc.cli.conversation import commands, settings
from aipc.cli.screen import output
from aipc.cli.screen.waiting import can_repaint

_STYLE = Style.from_dict({"bottom-toolbar": "noreverse", "bottom-toolbar.text": "noreverse"})


class Keyboard:
    """Reads messages; what other threads have to say meanwhile is shown around what is typed."""

    def __init__(self, history: History) -> None:
        # stdout may go elsewhere, and is for answers alone
        is_seen = sys.stdout is not None and sys.stdout.isatty()
        self._shown = sys.stdout if is_seen else sys.stderr
        self._session: PromptSession[str] = PromptSession(
            PROMPT,
            multiline=True,
            prompt_continuation=_continuation,
            history=history,
            key_bindings=_bindings(),
            completer=_completer(),
            complete_while_typing=False,
            complete_style=CompleteStyle.READLINE_LIKE,
            reserve_space_for_menu=0,
            enable_suspend=True,
            style=_STYLE,
            output=None if is_seen else create_output(self._shown),
        )
        self.is_over: Callable[[], bool] = lambda: False
        """Whether no message is wanted any more."""

    @contextmanager
    def held(self) -> Iterator[None]:
        """What is typed while no message is waited for is kept for the next, and not echoed."""
        with _without_echo(), self._ended_tidily():
            try:
                yield
            finally:
                self._mark_pastes(is_on=False)

    def messages(self) -> Iterator[str]:
        """Each message, until Ctrl-D, Ctrl-C where nothing is typed, or `is_over`.

        "" for one that is dropped.
        """
        while (message := self._next()) is not None:
            yield message

    def show_status(self, text: str) -> None:
        """Below what is typed, from any thread; empty: nothing."""
        self._session.bottom_toolbar = text or None
        self._session.app.invalidate()

    def notice(self, line: str) -> None:
        """On stderr, above what is typed; from any thread."""
        self._in_loop(lambda: run_in_terminal(lambda: output.notice(line)), line)

    def interrupt(self) -> None:
        """End the wait for a message if `is_over`; from any thread."""
        self._in_loop(self._check, "")

    def _next(self) -> str | None:
        """None to leave."""
        try:
            return message_of(self._read())
        except EOFError:
            return None
        except KeyboardInterrupt:
            return "" if self._session.default_buffer.text else None

    def _read(self) -> str:
        try:
            return self._session.prompt(pre_run=self._check)
        finally:  # what is pasted while an answer comes is one message, too
            self._mark_pastes(is_on=True)

    def _mark_pastes(self, *, is_on: bool) -> None:
        if can_repaint(self._shown):
            self._shown.write("\x1b[?2004h" if is_on else "\x1b[?2004l")
            self._shown.flush()

    def _check(self) -> None:
        app = self._session.app
        if self.is_over() and app.is_running and not app.is_done:
            app.exit(exception=EOFError)

    @contextmanager
    def _ended_tidily(self) -> Iterator[None]:
        """A signal that ends the process leaves by the way that restores the terminal."""
        names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
        before = {
            name: signal.signal(getattr(signal, name), lambda number, _: self._leave(number))
            for name in names
        }
        try:
            yield
        finally:
            for name, was in before.items():
                signal.signal(getattr(signal, name), was)

    def _leave(self, number: int) -> None:
        """While the prompt runs, by its own end: what is raised in it is reported as a fault."""
        app, left = self._session.app, click.exceptions.Exit(128 + number)
        if not app.is_running or app.loop is None:
            raise left
        app.loop.call_soon_threadsafe(lambda: app.is_done or app.exit(exception=left))

    def _in_loop(self, call: Any, otherwise: str) -> None:
        """Call it where the prompt runs; where none does, the line that is given is written."""
        loop = self._session.app.loop
        if self._session.app.is_running and loop is not None:
            loop.call_soon_threadsafe(call)
        elif otherwise:
            output.notice(otherwise)


@contextmanager
def _without_echo() -> Iterator[None]:
    """Ctrl-C works on.  Windows' console shows nothing by itself."""
    if sys.platform == "win32":
        yield
        return
    import termios

    descriptor = sys.stdin.fileno()
    was = termios.tcgetattr(descriptor)
    quiet = [*was]
    quiet[3] &= ~termios.ECHO
    termios.tcsetattr(descriptor, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSANOW, was)


def _continuation(width: int, line: int, wraps: int) -> str:  # noqa: ARG001 - prompt_toolkit's
    """Before a further line; before the rest of one that the terminal's edge breaks, spaces."""
    return " " * len(CONTINUED) if wraps else CONTINUED


def message_of(text: str) -> str:
    """Without the quotes around a text of several lines."""
    inner = text.strip()
    if inner.startswith(QUOTES):
        return inner.removeprefix(QUOTES).removesuffix(QUOTES).strip("\n")
    return text


def is_whole(text: str) -> bool:
    """Whether Enter sends it: no quotes are open."""
    inner = text.strip()
    if not inner.startswith(QUOTES):
        return True
    return len(inner) >= 2 * len(QUOTES) and inner.endswith(QUOTES)


def _bindings() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def enter(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.text.endswith("\\") and buffer.document.is_cursor_at_the_end:
            buffer.delete_before_cursor()
            buffer.insert_text("\n")
        elif is_whole(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.insert_text("\n")

    @keys.add("escape", "enter")
    def further_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys


def _completer() -> NestedCompleter:
    paths = PathCompleter(expanduser=True)
    further: dict[str, Any] = dict.fromkeys(commands.NAMES)
    further |= dict.fromkeys(("/file", "/save", "/load"), paths)
    further["/set"] = dict.fromkeys(settings.NAMES)
    return NestedCompleter.from_nested_dict(further)
