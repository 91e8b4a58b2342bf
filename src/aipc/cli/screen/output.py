"""Results to stdout, all else to stderr, an exception too; at most 100 columns."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import textwrap
import traceback
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from aipc import disk
from aipc.errors import MORE_MEMORY, AipcError, is_out_of_memory
from aipc.foreign_text import escaped, escaped_json, one_line, without_controls

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 100
_INDENT = "  "
_LEAST_LAST = 20  # columns that the last one of a table takes, however narrow the terminal

STOPPED = 130
"""128 + SIGINT, as a shell has it."""


def write(text: str) -> None:
    """A piece of a result, flushed."""
    with _output():
        sys.stdout.write(text)
        sys.stdout.flush()


def write_line(text: str = "") -> None:
    """A line of ours, in which strangers' texts may stand."""
    write(escaped(text) + "\n")


def write_json(value: Any) -> None:
    """One object on one line."""
    write(escaped_json(json.dumps(value, ensure_ascii=False, default=str)) + "\n")


def write_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[str] = ()
) -> None:
    """Aligned columns, those named in ``right`` flush right; the last one folds between words.

    A name without spaces is never folded, so that it can be copied.  On a narrow terminal columns
    are left out, see `fitting`, and a line on stderr says which.
    """
    kept = fitting(columns, rows)
    if len(kept) < len(columns):
        left_out = (name for at, name in enumerate(columns) if at not in kept)
        notice_folded(f"[too narrow for {', '.join(left_out)}]")
    columns, rows = (
        [columns[at] for at in kept],
        [[escaped(row[at]) for at in kept] for row in rows],
    )
    cells = [columns, *rows]
    widths = [max(len(row[at]) for row in cells) for at in range(len(columns) - 1)]
    for row in cells:
        aligned = [
            text.rjust(width) if name in right else text.ljust(width)
            for name, text, width in zip(columns, row, widths, strict=False)
        ]
        write(_folded_row("  ".join([*aligned, ""]), row[-1]))


def fitting(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    """Which columns of a table the terminal has room for: the first, the last, what fits between.

    Into a pipe all of them.
    """
    kept = list(range(len(names)))
    widths = [max(len(row[at]) for row in (names, *rows)) for at in kept]
    if columns() == WIDTH:
        return kept
    while len(kept) > 2:
        needed = sum(widths[at] + 2 for at in kept[:-1]) + min(widths[-1], _LEAST_LAST)
        if needed <= columns():
            break
        del kept[-2]
    return kept


def columns() -> int:
    """The width to fill: the terminal's, but never more than `WIDTH`; into a pipe `WIDTH`."""
    return min(shutil.get_terminal_size((WIDTH, 0)).columns, WIDTH)


def rows() -> int:
    """The terminal's height; into a pipe 24."""
    return shutil.get_terminal_size((WIDTH, 24)).lines


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
    """A line for the user that is not the result; a transient line makes room for it."""
    if sys.stderr is not None:
        for clear in _covering:
            clear()
        sys.stderr.write(escaped(line) + "\n")
        sys.stderr.flush()


_covering: list[Callable[[], None]] = []


def cover(clear: Callable[[], None]) -> None:
    """The cursor's line on stderr is transient now: ``clear`` takes it back before a notice."""
    _covering.append(clear)


def uncover(clear: Callable[[], None]) -> None:
    """It is not any more."""
    if clear in _covering:
        _covering.remove(clear)


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


def _folded_row(start: str, last: str) -> str:
    left = columns() - len(start)
    room, longest = max(left, _LEAST_LAST), max(map(len, last.split()), default=0)
    is_short = left < min(_LEAST_LAST, len(last)) or room < longest
    if is_short and longest <= columns() - len(_INDENT) < WIDTH - len(_INDENT):
        under = textwrap.wrap(
            last, columns(), initial_indent=_INDENT, subsequent_indent=_INDENT,
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
        return "".join(f"{line.rstrip()}\n" for line in [start, *under])
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
        return one_line(str(error)), error.exit_status
    if isinstance(error, click.UsageError):
        message = one_line(error.format_message()).rstrip(".")
        command = error.ctx.command_path if error.ctx else "aipc"
        return f"{message[:1].lower()}{message[1:]}; see `{command} --help`", 2
    if isinstance(error, click.ClickException):
        return one_line(error.format_message()), error.exit_code
    if is_out_of_memory(error):
        return f"out of memory ({one_line(str(error)) or type(error).__name__}); {MORE_MEMORY}", 1
    if isinstance(error, OSError) and disk.is_refused(error):
        where = f" '{error.filename}'" if error.filename else ""
        fix = "make room, or check its owner and permissions"
        return one_line(f"can't write{where} ({error.strerror}); {fix}"), 1
    what = f"internal error: {type(error).__name__}: {one_line(str(error))}"
    return f"{what}; run again with --debug and report it", 1
