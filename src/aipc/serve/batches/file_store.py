"""Uploaded files and the results of batches, kept in the store's folder.

    HOME/files/ID.data     HOME/files/ID.json

The content comes first, and its record second: without a record there is no file.  All of it is
readable by this user alone.  Several servers of one user may have the same folder.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

from aipc import disk
from aipc.artifact import manifest
from aipc.errors import AipcError
from aipc.records import Misfit, hashed, plain, read, replace_private, unhashed
from aipc.wire.schemas import new_id

MAX_FILE = 200 * 10**6
"""Bytes of one upload, as at OpenAI for batches."""
_ID = re.compile(r"file-[0-9a-f]{24}")
_LONGEST_NAME = 255
_STALE_S = 24 * 3600.0  # after which an upload is no longer under way


class StorageFull(AipcError):
    """No room for a file, on the disk or within the limit of all together."""


class FileTooLarge(AipcError):
    pass


class FileDamaged(AipcError):
    """Its content is not what was kept."""


@dataclass(frozen=True)
class FileRecord:
    id: str
    owner: str
    filename: str
    """As its owner calls it: for display alone."""
    purpose: str
    nbytes: int
    created_at: int
    """Seconds since 1970."""
    expires_at: int | None
    sha256: str = ""
    """Of its content, once it is kept."""


class Draft:
    """A file that is being written; at the end of its ``with`` it is gone, unless it was kept."""

    def __init__(self, path: Path, file: BinaryIO, room: int, on_end: Callable[[], None]) -> None:
        self.path = path
        self.nbytes = 0
        self._file = file
        self._room = room
        self._on_end = on_end

    def __enter__(self) -> Draft:  # noqa: PYI034 - nothing is derived from it
        return self

    def __exit__(self, *_: object) -> None:
        self._on_end()
        with suppress(OSError):
            self._file.close()
            self.path.unlink(missing_ok=True)

    def write(self, data: bytes) -> None:
        """Append.

        Raises:
            FileTooLarge: it has more than `MAX_FILE` bytes.
            StorageFull: the disk has no room, or the limit of all files is reached.
        """
        self.nbytes += len(data)
        if self.nbytes > MAX_FILE:
            raise FileTooLarge(f"the file is larger than {MAX_FILE:,} bytes", "split it")
        if self.nbytes > self._room:
            raise _full()
        with storing():
            self._file.write(data)

    def end(self) -> None:
        """Bring it to the disk and close it: Windows moves no file that is open.

        Raises:
            StorageFull: the disk's.
        """
        with storing(), self._file:
            self._file.flush()
            os.fsync(self._file.fileno())


class FileStore:
    """``limit`` is of the bytes of all files together, for uploads: results are never refused."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._expected = 0
        self._lock = threading.Lock()

    def begin(self, expected: int) -> Draft:
        """A file to be written, of ``expected`` bytes at most.

        Raises:
            StorageFull: there is no room for it.
        """
        path = self._folder / f".{new_id('draft')}.part"
        with self._lock, storing():
            used = sum(record.nbytes for record in self._records()) + self._expected
            if used + expected > self._limit:
                raise _full()
            disk.private_folder(self._folder)
            file = disk.create_private(path)
            self._expected += expected
        return Draft(path, file, expected, partial(self._end, expected))

    def _end(self, expected: int) -> None:
        with self._lock:
            self._expected -= expected

    def keep(self, draft: Draft, record: FileRecord) -> FileRecord:
        """Make a draft the content of a new file, whose record is returned.

        Raises:
            StorageFull: the disk's.
        """
        draft.end()
        return self.put(draft.path, record)

    def put(self, content: Path, record: FileRecord) -> FileRecord:
        """Make a file of the same disk, which moves here, the content of a record's; returns that.

        Raises:
            StorageFull: the disk's.
        """
        with storing():
            disk.private_folder(self._folder)
            content.chmod(0o600)
            kept = replace(record, sha256=manifest.sha256(content))
            disk.rename(content, self._data(record.id))
            replace_private(self._about(record.id), json.dumps(hashed(plain(kept))))
        return kept

    def find(self, owner: str, file_id: str) -> FileRecord | None:
        """None where there is none, or it is another's or has expired."""
        record = self._read(self._about(file_id)) if _ID.fullmatch(file_id) else None
        return record if record is not None and record.owner == owner else None

    def content(self, record: FileRecord) -> Path:
        """Its content, read once to see that it is whole.

        Raises:
            FileDamaged: it is not.
        """
        if self._problems(record):
            what = f"the file '{record.id}' is damaged on the server's disk"
            raise FileDamaged(what, "delete it, and upload it again")
        return self._data(record.id)

    def verify(self) -> Mapping[str, Sequence[str]]:
        """What is wrong with each file that was kept, by its id."""
        return {about.stem: self._damage(about) for about in self._folder.glob("file-*.json")}

    def _damage(self, about: Path) -> Sequence[str]:
        try:
            return self._problems(_record(about))
        except (OSError, ValueError, Misfit) as error:
            return [f"{about.name}: {error}"]

    def _problems(self, record: FileRecord) -> Sequence[str]:
        content = self._data(record.id)
        is_whole = content.is_file() and manifest.sha256(content) == record.sha256
        return [] if is_whole else [f"{content.name}: its contents changed"]

    def list(self, owner: str) -> list[FileRecord]:
        """All of an owner's, the newest first."""
        own = [record for record in self._records() if record.owner == owner]
        return sorted(own, key=lambda record: (record.created_at, record.id), reverse=True)

    def delete(self, file_id: str) -> None:
        """Remove its content, and then its record: what fails can be tried again.

        Raises:
            OSError: the disk's; on Windows also while it is being read.
        """
        self._data(file_id).unlink(missing_ok=True)
        self._about(file_id).unlink(missing_ok=True)

    def tidy(self) -> None:
        """Remove what killed servers have left: uploads, and contents without a record."""
        now = time.time()
        for path in self._folder.glob("*"):
            is_left = path.suffix == ".part" or not path.with_suffix(".json").exists()
            with suppress(OSError):
                if is_left and now - path.stat().st_mtime > _STALE_S:
                    path.unlink()

    def _records(self) -> Iterator[FileRecord]:
        for path in self._folder.glob("file-*.json"):
            record = self._read(path)
            if record is not None:
                yield record

    def _read(self, path: Path) -> FileRecord | None:
        """None for one that is going away, is damaged or has expired: that is removed."""
        try:
            record = _record(path)
        except (OSError, ValueError, Misfit):
            return None
        if record.expires_at is not None and record.expires_at <= time.time():
            with suppress(OSError):
                self.delete(record.id)
            return None
        return record

    def _about(self, file_id: str) -> Path:
        return self._folder / f"{file_id}.json"

    def _data(self, file_id: str) -> Path:
        return self._folder / f"{file_id}.data"


def _record(path: Path) -> FileRecord:
    """Raises OSError, ValueError or Misfit where it can't be read or is damaged."""
    return read(FileRecord, unhashed(path.read_text("utf-8")))


def new_record(
    owner: str, filename: str, purpose: str, nbytes: int, lasts_s: int | None
) -> FileRecord:
    """Of a file made now; the last part alone of a path that its owner gave."""
    name = re.split(r"[\\/]", filename)[-1].strip()[-_LONGEST_NAME:] or "unnamed"
    now = int(time.time())
    expires_at = now + lasts_s if lasts_s is not None else None
    return FileRecord(new_id("file"), owner, name, purpose, nbytes, now, expires_at)


def storing() -> AbstractContextManager[None]:
    """Errors of the disk are told without a path of this machine."""
    fix = "delete files, or ask its operator for room"
    return disk.told(StorageFull, "the server can't write to its disk", fix)


def _full() -> StorageFull:
    return StorageFull("the files kept here take all the room they may", "delete some of them")
