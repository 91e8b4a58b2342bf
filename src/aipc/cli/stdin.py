"""Text from stdin, in UTF-8 and nothing else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from aipc.errors import UsageError

_BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"


def is_terminal() -> bool:
    """A program without any stdin has nobody to ask either."""
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


STDIN = "-"


def read_prompt(argument: str | None) -> str:
    """The argument, then what is piped in; "-" and no argument stand for stdin alone.

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
