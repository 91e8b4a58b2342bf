"""A batch's input, wherever it comes from, as one checked file of requests.

What is not such a file is written as one beside OUT, each time that the batch is gone on with:
prompts (``.OUT.requests.jsonl``) and what comes by a pipe (``.OUT.stdin.jsonl``).
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from aipc import disk, units
from aipc.batch.input.line_index import Fault
from aipc.batch.input.lines import CheckedInput, check_input
from aipc.batch.input.prompts import LINE, TABLES, TEXT, PromptTable, write_requests
from aipc.batch.options import BatchOptions
from aipc.errors import BatchError, UsageError
from aipc.progress import Notify, Progress, silent, unheard


@contextmanager
def checked(
    source: Path | None,
    out: Path,
    options: BatchOptions,
    model: str | None = None,
    *,
    members: Mapping[str, Any] | None = None,
    system: str = "",
    progress: Progress = silent,
    notify: Notify = unheard,
) -> Iterator[CheckedInput]:
    """The requests of ``source``, None being the standard input, while the context lasts.

    ``model`` answers all of them.  ``members`` are those of a chat's body, and ``system`` is said
    before each prompt, where the input is prompts.

    Raises:
        UsageError: lines that can't be asked, or options that do not fit the input.
        BatchError: it can't be read, or can't be copied.
    """
    piped, requests = _beside(out, "stdin"), _beside(out, "requests")
    try:
        path = source or _copy_stdin(piped)
        found: Iterable[Fault] = ()
        if _is_prompts(path, options):
            if model is None:
                raise UsageError("prompts don't say which model answers them", "name it with -m")
            column, ids = options.prompt_column or LINE, options.id_column
            table = PromptTable(path, column, ids, system, members or {})
            found = write_requests(table, requests, notify)
            path = requests
        elif members or system:
            raise UsageError("each line states how it is asked", "give such options for prompts")
        shown = source or Path("-")
        skip = options.skip_invalid
        lines = check_input(
            path, model, skip_invalid=skip, found=found, shown=shown, progress=progress
        )
        for name, count in lines.ignored.items():
            notify(f"without effect: {name} ({units.count(count, 'line')})")
        yield lines
    finally:
        for copy in (piped, requests):
            with suppress(OSError):
                copy.unlink(missing_ok=True)


def _beside(out: Path, what: str) -> Path:
    return out.with_name(f".{out.name}.{what}.jsonl")


def _copy_stdin(target: Path) -> Path:
    with disk.explained(target.parent, BatchError), target.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    return target


def _is_prompts(path: Path, options: BatchOptions) -> bool:
    """Whether the input is prompts, by its name and the options.

    Raises:
        UsageError: the one does not fit the other.
    """
    suffix = path.suffix.lower()
    if options.prompt_column is None and suffix in TABLES:
        raise UsageError(f"'{path}' is a table", "name the column to ask with --prompt-column")
    if options.prompt_column is not None and suffix == TEXT:
        raise UsageError(
            f"'{path}' has no columns", "leave out --prompt-column: a line is a prompt"
        )
    return options.prompt_column is not None or suffix == TEXT
