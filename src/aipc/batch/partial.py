"""The answers of a batch while it is unfinished: OUT.partial, from which it is gone on with.

Its first line tells the run that it belongs to; each further line is an answer, whole, behind its
checksum (CRC-32, hexadecimal), written at once and brought to the disk in groups.  Whenever the
process is killed, what is lost are answers that were not finished.  At the end the answers are
copied to OUT and the failures to OUT.errors.jsonl, which appear in one step each, the failures
first.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from io import FileIO
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np

from aipc import disk
from aipc.batch.answers import LineAnswer, failed_answer
from aipc.batch.input.line_index import Column, Fault, FaultLog, LineIndex
from aipc.batch.output import check_key, check_output, errors_path, partial_path, writing
from aipc.batch.run_key import RunKey
from aipc.errors import BatchError, quoted
from aipc.records import replace_bytes

GROUP_S = 1.0
"""Seconds after which answers are brought to the disk."""
_GROUP = 64  # answers, after which they are as well
_NOWHERE = -1
_BEGIN_AGAIN = "remove '{}' to begin again"


class PartialFile:
    """OUT.partial of a run, begun or gone on with; of a `claimed` output.

    ``see`` is given each answer that it has already.

    Raises:
        BatchError: it belongs to another run, is damaged, or can't be written.
    """

    def __init__(
        self,
        out: Path,
        key: RunKey,
        entries: LineIndex,
        *,
        retry_failed: bool = False,
        see: Callable[[LineAnswer], None] = lambda _: None,
    ) -> None:
        check_output(out, retry_failed=retry_failed)
        self.out = out
        self.path = partial_path(out)
        self._entries = entries
        self._see = see
        self._places = np.full(len(entries), _NOWHERE, np.int64)
        """Where in the file each line's answer stands."""
        self._failed = np.zeros(len(entries), bool)
        self._appended = self._synced = 0
        self._synced_at = time.monotonic()
        with writing(self.path):
            self._begin(key)
            self._end = self._take_up(key)
            self._file = self.path.open("r+b", buffering=0)
            self._file.truncate(self._end)
        if retry_failed:
            self._places[self._failed] = _NOWHERE

    def left(self) -> Column:
        """The positions of the entries that have no answer, in the input's order."""
        return np.flatnonzero(self._places == _NOWHERE)

    @property
    def counts(self) -> tuple[int, int]:
        """How many entries have an answer, and how many of these are failures."""
        has_answer = self._places != _NOWHERE
        return int(has_answer.sum()), int(self._failed[has_answer].sum())

    def append(self, answer: LineAnswer, *, syncs: bool = True) -> bool:
        """Keep an answer; False where there is one already, which stays.

        Without ``syncs`` it is for the caller to `sync`.

        Raises:
            BatchError: the disk is full; what was kept before is still there.
        """
        position = self._position(answer)
        if self._places[position] != _NOWHERE and not self._failed[position]:
            return False
        with writing(self.path):
            self._file.seek(self._end)
            try:
                _write_all(self._file, _checked(answer.to_line()))
            except OSError:
                self._file.truncate(self._end)
                raise
            self._places[position], self._end = self._end, self._file.tell()
            self._failed[position] = answer.is_failed
        self._appended += 1
        if syncs and (
            self._appended - self._synced >= _GROUP or time.monotonic() - self._synced_at >= GROUP_S
        ):
            self.sync()
        return True

    def sync(self) -> None:
        """Bring to the disk what was appended; from any thread, while another one appends.

        Raises:
            BatchError: the disk's.
        """
        appended = self._appended
        if appended != self._synced:
            with writing(self.path):
                os.fsync(self._file.fileno())
        self._synced = appended
        self._synced_at = time.monotonic()

    def close(self) -> None:
        if not self._file.closed:
            self.sync()
            self._file.close()

    def finish(self, faults: FaultLog | None = None, *, ordered: bool = False) -> None:
        """Write OUT and the failures, ``faults`` among them, and remove OUT.partial.

        Lines without an answer are in neither.

        Raises:
            BatchError: the disk is full; the partial file stays.
        """
        self.close()
        order = np.arange(len(self._places)) if ordered else np.argsort(self._places)
        order = order[self._places[order] != _NOWHERE]
        is_failed = self._failed[order]
        errors = errors_path(self.out)
        with writing(self.out), self.path.open("rb") as source:
            if faults or is_failed.any():
                lines = self._lines(source, order[is_failed])
                left_out = map(_left_out, faults or ())
                _replace(errors, chain(lines, left_out))
            else:
                errors.unlink(missing_ok=True)
            _replace(self.out, self._lines(source, order[~is_failed]))
        with writing(self.out):
            self.path.unlink()
            disk.flush(self.out.parent)

    def _begin(self, key: RunKey) -> None:
        """Make the file, unless it is there and has a whole first line."""
        if self.path.exists():
            with self.path.open("rb") as file:
                if file.readline().endswith(b"\n"):
                    return
        earlier = self._earlier_answers() if self.out.exists() else ()
        _replace(self.path, chain([key.line()], map(_checked, earlier)))

    def _earlier_answers(self) -> Iterator[bytes]:
        """The lines of an output whose failures are asked again."""
        with self.out.open("rb") as file:
            for number, raw in enumerate(file, 1):
                try:
                    answer = LineAnswer.from_line(raw)
                except ValueError as error:
                    what = f"line {number} of '{self.out}' is damaged"
                    raise BatchError(what, "answer the input anew, to another name") from error
                self._check_earlier(answer)
                yield raw

    def _check_earlier(self, answer: LineAnswer) -> None:
        """See that an answer is to this input, by the model that is asked now.

        Raises:
            BatchError: it is not.
        """
        position = self._entries.find(answer.custom_id or "")
        if position is None:
            what = f"the input has no line {quoted(answer.custom_id)}, which '{self.out}' answers"
            raise BatchError(what, "retry with the input that it answers")
        before, now = (answer.body or {}).get("model"), self._entries[position].model
        if before not in {None, now}:
            what = f"'{self.out}' was answered by {quoted(before)}, not by {quoted(now)}"
            raise BatchError(what, "retry with the same model, or choose another name")

    def _take_up(self, key: RunKey) -> int:
        """Read what is there; returns where its last whole line ends.

        Raises:
            BatchError: it is another run's, or damaged.
        """
        with self.path.open("rb") as file:
            first = file.readline()
            check_key(self.path, first, key)
            end, size = len(first), self.path.stat().st_size
            for number, raw in enumerate(file, 2):
                try:
                    answer = LineAnswer.from_line(_unchecked(raw))
                except ValueError as error:
                    if end + len(raw) == size:
                        return end
                    what = f"line {number} of '{self.path}' is damaged"
                    raise BatchError(what, _BEGIN_AGAIN.format(self.path)) from error
                if not raw.endswith(b"\n"):
                    return end
                self._see(answer)
                position = self._position(answer)
                if self._places[position] == _NOWHERE or self._failed[position]:
                    self._places[position] = end
                    self._failed[position] = answer.is_failed
                end += len(raw)
        return end

    def _position(self, answer: LineAnswer) -> int:
        position = self._entries.find(answer.custom_id or "")
        if position is None:
            what = f"the input has no line {quoted(answer.custom_id)}, which '{self.path}' answers"
            raise BatchError(what, _BEGIN_AGAIN.format(self.path))
        return position

    def _lines(self, source: BinaryIO, positions: Column) -> Iterator[bytes]:
        for position in positions:
            source.seek(self._places[position])
            yield _unchecked(source.readline())


def _checked(line: bytes) -> bytes:
    return b"%08x %s" % (zlib.crc32(line), line)


def _unchecked(raw: bytes) -> bytes:
    """The line of a `_checked` one.

    Raises:
        ValueError: it is damaged.
    """
    checksum, _, line = raw.partition(b" ")
    if checksum != b"%08x" % zlib.crc32(line):
        raise ValueError("its checksum is another's")
    return line


def _replace(path: Path, lines: Iterable[bytes]) -> None:
    replace_bytes(path, lines)
    disk.flush(path.parent)


def _left_out(fault: Fault) -> bytes:
    """The failure of a line that could not be asked."""
    return failed_answer(fault.custom_id, "invalid_line", str(fault)).to_line()


def _write_all(file: FileIO, data: bytes) -> None:
    """A full disk may take a part."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
