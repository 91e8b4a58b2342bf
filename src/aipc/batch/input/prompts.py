"""Plain prompts as lines of a batch: a text file, or a column of a table.

Each prompt becomes a request for a chat of one user message.  Where a format has lines, a request
stands on the line on which its prompt begins, so that what is said of a line holds for the source.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from aipc import disk, remedies, units
from aipc.batch.input.line_index import Fault, FaultLog
from aipc.batch.input.lines import MAX_LINE, TOO_LONG, raw_lines, reading
from aipc.errors import BatchError, UsageError, quoted
from aipc.progress import Notify, unheard
from aipc.wire import strict_json
from aipc.wire.errors import HTTPError
from aipc.wire.openai.urls import CHAT

TEXT = ".txt"
TABLES = {".csv", ".parquet"}
LINE = "line"
"""The column of a text file, each of whose lines is a prompt."""
_ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class PromptTable:
    """Where the prompts are: in ``column``, with ids in ``ids`` or else their rows' numbers.

    ``members`` are those of each request's body besides its messages, and ``system`` is said
    before each prompt.
    """

    source: Path
    column: str = LINE
    ids: str | None = None
    system: str = ""
    members: Mapping[str, Any] = field(default_factory=dict)


class _Row(NamedTuple):
    """``number`` counts rows, ``line`` lines of the file; both from 1."""

    number: int
    line: int
    values: Mapping[str, Any] | str
    """By column; a text is what is wrong with the row."""


_Reader = Callable[[PromptTable, Notify], Iterator[_Row]]


def write_requests(table: PromptTable, target: Path, notify: Notify = unheard) -> FaultLog:
    """Write a request for each prompt; returns what is wrong with rows that have none.

    Raises:
        UsageError: a file of another kind, or without such a column.
        BatchError: it can't be read, or can't be copied.
    """
    suffix = table.source.suffix.lower()
    if suffix not in _READERS:
        fix = f"prompts are read from {', '.join(_READERS)}"
        raise UsageError(f"'{table.source}' is no table of prompts by its name", fix)
    what = f"can't copy the prompts to '{target}'"
    fix = "see that there is room and permission beside OUT"
    with disk.told(BatchError, what, fix), target.open("wb") as file:
        return _write(_rows(_READERS[suffix], table, notify), table, file)


def _rows(reader: _Reader, table: PromptTable, notify: Notify) -> Iterator[_Row]:
    with reading(table.source):
        yield from reader(table, notify)


def _write(rows: Iterable[_Row], table: PromptTable, file: BinaryIO) -> FaultLog:
    faults = FaultLog()
    written = 0
    for row in rows:
        request = _request(table, row)
        if isinstance(request, Fault):
            faults.add(request)
            continue
        file.write(b"\n" * (row.line - written - 1))
        file.write(json.dumps(request, ensure_ascii=False).encode() + b"\n")
        written = row.line
    return faults


def _request(table: PromptTable, row: _Row) -> dict[str, Any] | Fault:
    if isinstance(row.values, str):
        return Fault(row.line, None, row.values)
    custom_id = row.values.get(table.ids) if table.ids else row.number
    if isinstance(custom_id, bool) or not isinstance(custom_id, str | int):
        return Fault(
            row.line, None, f"{quoted(table.ids)} is missing, or no text and no whole number"
        )
    prompt = row.values.get(table.column)
    if not isinstance(prompt, str):
        return Fault(row.line, str(custom_id), f"{quoted(table.column)} is missing, or no text")
    said = [{"role": "system", "content": table.system}] if table.system else []
    messages = [*said, {"role": "user", "content": prompt}]
    body = {"messages": messages, **table.members}
    return {"custom_id": str(custom_id), "method": "POST", "url": CHAT, "body": body}


def _text_rows(table: PromptTable, _: Notify) -> Iterator[_Row]:
    with table.source.open("rb") as file:
        for number, _offset, raw in raw_lines(file):
            if raw is None:
                yield _Row(number, number, TOO_LONG)
            elif raw.strip():
                yield _Row(number, number, _text_of(raw))


def _text_of(raw: bytes) -> dict[str, Any] | str:
    try:
        return {LINE: raw.decode("utf-8-sig").rstrip("\r\n")}
    except UnicodeDecodeError:
        return "it is not UTF-8"


def _json_rows(table: PromptTable, notify: Notify) -> Iterator[_Row]:
    told = False
    with table.source.open("rb") as file:
        for number, _, raw in raw_lines(file):
            if raw is None:
                yield _Row(number, number, TOO_LONG)
                continue
            if not raw.strip():
                continue
            values = _object_of(raw)
            if not told and isinstance(values, dict):
                _tell_left_out(table, values, notify)
                told = True
            yield _Row(number, number, values)


def _object_of(raw: bytes) -> dict[str, Any] | str:
    try:
        values = strict_json.parse(raw)
    except HTTPError as error:  # which speaks of a request's body
        return f"it{error.message.removeprefix('the body')}"
    return values if isinstance(values, dict) else "it is no JSON object"


def _csv_rows(table: PromptTable, notify: Notify) -> Iterator[_Row]:
    csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE))
    with table.source.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            names = next(reader, [])
            _check_columns(table, names, notify)
            before = reader.line_num
            rows = 0
            for cells in reader:
                if cells:
                    rows += 1
                    yield _Row(rows, before + 1, _cells(names, cells))
                before = reader.line_num
        except (csv.Error, UnicodeDecodeError) as error:
            what = f"'{table.source}' is no CSV in UTF-8 near line {reader.line_num + 1}: {error}"
            raise UsageError(what, "write it with commas and double quotes") from error


def _cells(names: Sequence[str], cells: Sequence[str]) -> dict[str, str] | str:
    if len(cells) != len(names):
        had, named = units.count(len(cells), "cell"), units.count(len(names), "column")
        return f"it has {had}, and the first line names {named}"
    return dict(zip(names, cells, strict=True))


def _parquet_rows(table: PromptTable, notify: Notify) -> Iterator[_Row]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise UsageError(
            "reading Parquet needs pyarrow, which is not installed", remedies.add_extra("parquet")
        ) from error
    wanted = [name for name in (table.column, table.ids) if name is not None]
    try:
        with table.source.open("rb") as opened, parquet.ParquetFile(opened) as file:
            _check_columns(table, file.schema_arrow.names, notify)
            number = 0
            for batch in file.iter_batches(_ROWS_AT_ONCE, columns=wanted):
                for values in batch.to_pylist():
                    number += 1
                    yield _Row(number, number, values)
    except ArrowException as error:
        raise BatchError(f"'{table.source}' is no whole Parquet file: {error}") from error


def _check_columns(table: PromptTable, names: Sequence[str], notify: Notify) -> None:
    for name in (table.column, table.ids):
        if name is not None and names.count(name) != 1:
            found = "twice" if name in names else "not"
            known = ", ".join(map(quoted, names))
            raise UsageError(
                f"'{table.source}' has {found} a column {quoted(name)}", f"it has {known or 'none'}"
            )
    _tell_left_out(table, names, notify)


def _tell_left_out(table: PromptTable, names: Iterable[str], notify: Notify) -> None:
    others = [quoted(name) for name in names if name not in {table.column, table.ids}]
    if others:
        notify(f"columns left out of the answers, which tell the id: {', '.join(others)}")


_READERS: Mapping[str, _Reader] = {
    TEXT: _text_rows,
    ".jsonl": _json_rows,
    ".csv": _csv_rows,
    ".parquet": _parquet_rows,
}
"""By the ends of files' names."""
