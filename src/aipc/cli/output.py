"""Results to stdout, all else to stderr, an exception too; at most 100 columns."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import sys
import textwrap
import traceback
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from aipc.errors import AipcError

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 100
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

STOPPED = 130
"""128 + SIGINT, as a shell has it."""


def write(text: str) -> None:
    """A piece of a result, flushed."""
    with _output():
        sys.stdout.write(text)
        sys.stdout.flush()


def write_line(text: str = "") -> None:
    write(text + "\n")


def write_json(value: Any) -> None:
    """One object on one line."""
    write_line(json.dumps(value, ensure_ascii=False, default=str))


def write_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[str] = ()
) -> None:
    """Aligned columns, those named in ``right`` flush right; the last one folds between words.

    A name without spaces is never folded, so that it can be copied.
    """
    cells = [columns, *rows]
    widths = [max(len(row[at]) for row in cells) for at in range(len(columns) - 1)]
    for row in cells:
        aligned = [
            text.rjust(width) if name in right else text.ljust(width)
            for name, text, width in zip(columns, row, widths, strict=False)
        ]
        write(_folded_row("  ".join([*aligned, ""]), row[-1]))


def columns() -> int:
    """The width to fill: the terminal's, but never more than `WIDTH`; into a pipe `WIDTH`."""
    return min(shutil.get_terminal_size((WIDTH, 0)).columns, WIDTH)


def local_date(when: str) -> str:
    """The day here of an ISO 8601 time."""
    return datetime.fromisoformat(when).astimezone().strftime("%Y-%m-%d")


def folded(line: str) -> list[str]:
    """Lines within `columns`, all but the first indented; no word is cut, so it can be copied."""
    return textwrap.wrap(
        line, columns(), subsequent_indent="  ", break_on_hyphens=False, break_long_words=False
    )


def write_folded(line: str) -> None:
    for part in folded(line):
        write_line(part)


def notice_folded(line: str) -> None:
    for part in folded(line):
        notice(part)


def console_for_stderr() -> Console:
    """Rich's console, for progress bars."""
    from rich.console import Console

    console = Console(stderr=True, markup=False, highlight=False, emoji=False)
    console.width = min(console.width, WIDTH)
    return console


def notice(line: str) -> None:
    """A line for the user that is not the result."""
    if sys.stderr is not None:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()


def end_interrupted_line() -> None:
    """The terminal has shown "^C": go on in the next line."""
    if sys.stderr is not None and sys.stderr.isatty():
        notice("")


def flush() -> None:
    with _output():
        sys.stdout.flush()


def discard_stdout() -> None:
    """Send what is still unwritten nowhere, so that Python's own exit does not complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def printable(text: str) -> str:
    """Without control characters on a terminal, which would obey them; a model may write any."""
    return without_controls(text) if sys.stdout.isatty() else text


def without_controls(text: str) -> str:
    return _CONTROL.sub("", text)


def _folded_row(start: str, last: str) -> str:
    room = max(columns() - len(start), 20)
    lines = textwrap.wrap(last, room, break_long_words=False, break_on_hyphens=False) or [""]
    indented = [" " * len(start) + line for line in lines[1:]]
    return "".join(f"{line.rstrip()}\n" for line in [start + lines[0], *indented])


@contextmanager
def _output() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        discard_stdout()
        fix = "make room, or send it elsewhere"
        raise AipcError(f"can't write to stdout ({error.strerror})", fix) from error


def make_streams_utf8() -> None:
    """Whatever the console's code page: a model may answer in any script."""
    for stream, errors in (
        (sys.stdin, "strict"),
        (sys.stdout, "replace"),
        (sys.stderr, "backslashreplace"),
    ):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors=errors)


def report_failure(error: BaseException, *, debug: bool) -> int:
    """Print what went wrong, return the exit status; with ``debug`` the traceback comes first."""
    if isinstance(error, BrokenPipeError):  # the reader of the output has enough
        discard_stdout()
        return 1
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return STOPPED
    if debug:
        traceback.print_exception(error)
    line, status = describe_failure(error)
    notice(f"aipc: {line}")
    return status


def describe_failure(error: BaseException) -> tuple[str, int]:
    """(one line for the user, exit status)."""
    if isinstance(error, AipcError):
        return _one_line(error), error.exit_status
    if isinstance(error, click.UsageError):
        message = _one_line(error.format_message()).rstrip(".")
        command = error.ctx.command_path if error.ctx else "aipc"
        return f"{message[:1].lower()}{message[1:]}; see `{command} --help`", 2
    if isinstance(error, click.ClickException):
        return _one_line(error.format_message()), error.exit_code
    what = f"internal error: {type(error).__name__}: {_one_line(error)}"
    return f"{what}; run again with --debug and report it", 1


def _one_line(message: object) -> str:
    return " ".join(str(message).split())
