"""The answers of a batch while it is unfinished: OUT.partial, from which it is gone on with.

Its first line tells the run that it belongs to; each further line is an answer, whole, written at
once and brought to the disk in groups.  Whenever the process is killed, what is lost are answers
that were not finished.  At the end the answers are copied to OUT and the failures to
OUT.errors.jsonl, which appear in one step each, the failures first.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from io import FileIO
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np

from aipc import disk
from aipc.batch.answers import LineAnswer, failed_answer
from aipc.batch.line_index import Column, LineIndex
from aipc.batch.lines import Fault
from aipc.batch.run_key import RunKey
from aipc.errors import BatchError, quoted
from aipc.records import drafted, replace_bytes

_GROUP, _GROUP_S = 64, 1.0
"""Answers, and seconds, after which they are brought to the disk."""
KEPT = "see that there is room and permission, then run it again: answers are kept"
_NOWHERE = -1
_BEGIN_AGAIN = "remove '{}' to begin again"


def partial_path(out: Path) -> Path:
    return out.with_name(f"{out.name}.partial")


def errors_path(out: Path) -> Path:
    return out.with_name(f"{out.name}.errors.jsonl")


@contextmanager
def claimed(out: Path) -> Iterator[None]:
    """Hold ``out`` for this process.

    Raises:
        BatchError: another process writes it, or its folder can't be written or has no locks.
    """
    from filelock import FileLock, Timeout

    if not out.parent.is_dir():
        raise BatchError(f"there is no folder '{out.parent}'", "make it first")
    lock = FileLock(out.with_name(f".{out.name}.lock"))
    with _writing(out):
        try:
            lock.acquire(timeout=0)
        except Timeout as busy:
            fix = "wait for it to finish, or choose another name"
            raise BatchError(f"another process writes '{out}'", fix) from busy
        except NotImplementedError as missing:
            fix = "choose a name on a local disk"
            raise BatchError(f"the file system of '{out.parent}' has no locks", fix) from missing
    try:
        with _writing(out):
            _remove_drafts(out)
        yield
    finally:
        if os.name != "nt":  # there the release removes it; here a waiting process sees it is gone
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def check_output(out: Path, *, retry_failed: bool = False) -> None:
    """Refuse to replace an output, unless its failures are to be asked again.

    Raises:
        BatchError: it exists, and is of no unfinished run.
    """
    if out.exists() and not retry_failed and not partial_path(out).exists():
        fix = "choose another name, or ask its failures again with --retry-failed"
        raise BatchError(f"'{out}' exists already", fix)


def check_begun(out: Path, key: RunKey) -> None:
    """Refuse to go on with another run's answers, before the artifacts of ``key`` are known.

    Raises:
        BatchError: what else the key has differs from that of OUT.partial.
    """
    path = partial_path(out)
    with _writing(path), suppress(FileNotFoundError), path.open("rb") as file:
        first = file.readline()
        before = RunKey.from_line(first)
        if first.endswith(b"\n"):
            _check_key(path, first, replace(key, artifacts=before.artifacts if before else {}))


def _check_key(path: Path, line: bytes, now: RunKey) -> None:
    before = RunKey.from_line(line)
    fix = f"go on as it was begun, or remove '{path}' to begin again"
    if before is None:
        raise BatchError(f"'{path}' is of another version, or no unfinished batch", fix)
    differences = before.differences(now)
    if differences:
        raise BatchError(f"'{path}' is of another run: {', '.join(differences)}", fix)


class PartialFile:
    """OUT.partial of a run, begun or gone on with; of a `claimed` output.

    Raises:
        BatchError: it belongs to another run, is damaged, or can't be written.
    """

    def __init__(
        self, out: Path, key: RunKey, entries: LineIndex, *, retry_failed: bool = False
    ) -> None:
        check_output(out, retry_failed=retry_failed)
        self.out = out
        self.path = partial_path(out)
        self._entries = entries
        self._places = np.full(len(entries), _NOWHERE, np.int64)
        """Where in the file each line's answer stands."""
        self._failed = np.zeros(len(entries), bool)
        self._unsynced = 0
        self._synced_at = time.monotonic()
        with _writing(self.path):
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

    def append(self, answer: LineAnswer) -> bool:
        """Keep an answer; False where there is one already, which stays.

        Raises:
            BatchError: the disk is full; what was kept before is still there.
        """
        position = self._position(answer)
        if self._places[position] != _NOWHERE and not self._failed[position]:
            return False
        with _writing(self.path):
            self._file.seek(self._end)
            try:
                _write_all(self._file, answer.to_line())
            except OSError:
                self._file.truncate(self._end)
                raise
            self._places[position], self._end = self._end, self._file.tell()
            self._failed[position] = answer.is_failed
            self._unsynced += 1
            if self._unsynced >= _GROUP or time.monotonic() - self._synced_at >= _GROUP_S:
                self.sync()
        return True

    def sync(self) -> None:
        """Bring to the disk what was appended."""
        if self._unsynced:
            os.fsync(self._file.fileno())
        self._unsynced = 0
        self._synced_at = time.monotonic()

    def close(self) -> None:
        if not self._file.closed:
            with _writing(self.path):
                self.sync()
            self._file.close()

    def finish(self, faults: Sequence[Fault] = (), *, ordered: bool = False) -> None:
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
        with _writing(self.out), self.path.open("rb") as source:
            if faults or is_failed.any():
                lines = self._lines(source, order[is_failed])
                left_out = (_left_out(fault) for fault in faults)
                _replace(errors, chain(lines, left_out))
            else:
                errors.unlink(missing_ok=True)
            _replace(self.out, self._lines(source, order[~is_failed]))
        with _writing(self.out):
            self.path.unlink()
            disk.flush(self.out.parent)

    def _begin(self, key: RunKey) -> None:
        """Make the file, unless it is there and has a whole first line."""
        if self.path.exists():
            with self.path.open("rb") as file:
                if file.readline().endswith(b"\n"):
                    return
        earlier = self._earlier_answers() if self.out.exists() else ()
        _replace(self.path, chain([key.line()], earlier))

    def _earlier_answers(self) -> Iterator[bytes]:
        """The lines of an output whose failures are asked again."""
        with self.out.open("rb") as file:
            for number, raw in enumerate(file, 1):
                try:
                    custom_id = LineAnswer.from_line(raw).custom_id
                except ValueError as error:
                    what = f"line {number} of '{self.out}' is damaged"
                    raise BatchError(what, "answer the input anew, to another name") from error
                if self._entries.find(custom_id or "") is None:
                    what = f"the input has no line {quoted(custom_id)}, which '{self.out}' answers"
                    raise BatchError(what, "retry with the input that it answers")
                yield raw

    def _take_up(self, key: RunKey) -> int:
        """Read what is there; returns where its last whole line ends.

        Raises:
            BatchError: it is another run's, or damaged.
        """
        with self.path.open("rb") as file:
            first = file.readline()
            _check_key(self.path, first, key)
            end, size = len(first), self.path.stat().st_size
            for number, raw in enumerate(file, 2):
                try:
                    answer = LineAnswer.from_line(raw)
                except ValueError as error:
                    if end + len(raw) == size:
                        return end
                    what = f"line {number} of '{self.path}' is damaged"
                    raise BatchError(what, _BEGIN_AGAIN.format(self.path)) from error
                if not raw.endswith(b"\n"):
                    return end
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
            yield source.readline()


def _replace(path: Path, lines: Iterable[bytes]) -> None:
    replace_bytes(path, lines)
    disk.flush(path.parent)


def _remove_drafts(out: Path) -> None:
    """What killed processes left of the files that are written here."""
    names = {out.name, partial_path(out).name, errors_path(out).name}
    for path in out.parent.iterdir():
        if path.name not in names and drafted(path.name) in names:
            path.unlink(missing_ok=True)


def _left_out(fault: Fault) -> bytes:
    """The failure of a line that could not be asked."""
    return failed_answer(fault.custom_id, "invalid_line", str(fault)).to_line()


def _write_all(file: FileIO, data: bytes) -> None:
    """A full disk may take a part."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _writing(path: Path) -> AbstractContextManager[None]:
    return disk.told(BatchError, f"can't write '{path}'", KEPT)
