"""Text from stdin, in UTF-8 only: a prompt, or the lines of a chat, joined to messages."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aipc.cli.screen.waiting import can_repaint
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
    """One line.

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


def is_typed_at() -> bool:
    """Whether a person types, and sees what they type, at a terminal that can be edited on."""
    return is_terminal() and (can_repaint(sys.stdout) or can_repaint(sys.stderr))


def plain_messages() -> Iterator[str]:
    """Each message on stdin as it comes; a terminal that can no more gets a prompt.

    Raises:
        UsageError: bytes that are not UTF-8.
    """
    while (message := _next_plain()) is not None:
        yield message


def _next_plain() -> str | None:
    try:
        return read_message(_read_prompted if is_terminal() else lambda _: read_line())
    except EOFError:
        return None


def _read_prompted(prompt: str) -> str:
    if sys.stderr is not None:
        sys.stderr.write(prompt)
        sys.stderr.flush()
    return read_line()


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
