"""Text from stdin, in UTF-8 only: a prompt, or the lines of a chat, joined to messages."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

from aipc.cli.output import notice
from aipc.errors import UsageError

_BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"

STDIN = "-"
PROMPT, CONTINUED = "> ", ". "
QUOTES = '"""'
ReadLine = Callable[[str], str]
"""Gives a line for a prompt; raises EOFError when there are no more."""


def is_terminal() -> bool:
    """False too for a program without any stdin."""
    return sys.stdin is not None and sys.stdin.isatty()


def read_all() -> str:
    """Everything up to the end; PowerShell puts a byte order mark before it.

    Raises:
        UsageError: bytes that are not UTF-8.
    """
    if sys.stdin is None:
        return ""
    with _text():
        return sys.stdin.read().removeprefix(_BYTE_ORDER_MARK).rstrip("\r\n")


def read_line(prompt: str = "") -> str:
    """One line, with editing where a terminal and readline allow it.

    Raises:
        EOFError: no more lines.
        UsageError: bytes that are not UTF-8.
    """
    with _text():
        return input(prompt).removeprefix(_BYTE_ORDER_MARK)


@contextmanager
def _text() -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        what = f"stdin is not UTF-8 text (byte {error.start} of what was read)"
        raise UsageError(what, "save it as UTF-8") from error


def read_prompt(argument: str | None) -> str:
    """The argument, then what is piped in; "-" and no argument mean stdin alone.

    Raises:
        UsageError: nothing there, or bytes that are not UTF-8.
    """
    is_named = argument == STDIN
    parts = [] if argument is None or is_named else [check_text(argument)]
    if is_named or not is_terminal():
        parts.append(read_all())
    prompt = "\n\n".join(part for part in parts if part.strip())
    if not prompt:
        raise UsageError("the prompt is empty", 'write one: aipc run "..."; or pipe text in')
    return prompt


def check_text(argument: str) -> str:
    """The argument; bytes of the command line that are no text arrive as lone surrogates.

    Raises:
        UsageError: there are such bytes.
    """
    try:
        argument.encode("utf-8")
    except UnicodeEncodeError as error:
        fix = "check the terminal's encoding"
        raise UsageError("the command line is not UTF-8 text", fix) from error
    return argument


class LineInput:
    """Messages from stdin; prompts are shown only on a terminal."""

    def __init__(self) -> None:
        self.is_terminal = is_terminal()
        self._readline = _load_readline() if self.is_terminal else None
        self._was_interrupted = False

    def messages(self) -> Iterator[str]:
        """Each message, until the input ends (Ctrl-D) or Ctrl-C leaves."""
        while (message := self._next()) is not None:
            yield message

    def _next(self) -> str | None:
        """A message, empty where the user dropped it; None to leave."""
        try:
            message = read_message(self._read_line)
        except EOFError:
            self._end_line()
            return None
        except KeyboardInterrupt:
            self._end_line()
            return None if self._wants_to_leave() else ""
        self._was_interrupted = False
        return message

    def _read_line(self, prompt: str) -> str:
        if not self.is_terminal:
            return read_line()
        if sys.stdout.isatty():
            return read_line(prompt)
        sys.stderr.write(prompt)  # stdout goes elsewhere, and is for answers alone
        sys.stderr.flush()
        return read_line()

    def _wants_to_leave(self) -> bool:
        """Ctrl-C on a typed line drops the line; on an empty one it leaves.

        Without readline the typed line is unknown: then a second one in a row leaves.
        """
        if not self.is_terminal:
            raise KeyboardInterrupt
        if self._readline is not None:
            return not self._readline.get_line_buffer()
        if not self._was_interrupted:
            notice("[Ctrl-C again leaves]")
        was, self._was_interrupted = self._was_interrupted, True
        return was

    def _end_line(self) -> None:
        if self.is_terminal:
            notice("")


def read_message(read_line: ReadLine) -> str:
    """One message: a line, lines that end in a backslash, or text between triple quotes.

    Raises:
        EOFError: the input ends before a message begins.
    """
    line = read_line(PROMPT)
    if line.lstrip().startswith(QUOTES):
        return _read_quoted(line.lstrip().removeprefix(QUOTES), read_line)
    lines = []
    while line.endswith("\\"):
        lines.append(line[:-1])
        line = _read_more(read_line, at_end="")
    return "\n".join([*lines, line])


def _read_quoted(line: str, read_line: ReadLine) -> str:
    lines = []
    while not line.rstrip().endswith(QUOTES):
        lines.append(line)
        line = _read_more(read_line, at_end=QUOTES)
    return "\n".join([*lines, line.rstrip().removesuffix(QUOTES)]).strip("\n")


def _read_more(read_line: ReadLine, at_end: str) -> str:
    """A further line of a message; where the input ends within it, ``at_end``."""
    try:
        return read_line(CONTINUED)
    except EOFError:
        return at_end


def _load_readline() -> ModuleType | None:
    """Importing it is what gives ``input`` editing and history; Windows has none."""
    try:
        import readline
    except ImportError:
        return None
    return readline
