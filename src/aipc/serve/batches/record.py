"""What is known of a batch, kept so that it outlives the server.

    HOME/batches/ID/record.json

Beside it stand the input and the answers so far, while the batch is unfinished.
All of it is readable by this user alone.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from aipc import disk
from aipc.batch.answers import TokenUse
from aipc.records import Misfit, hashed, plain, read, replace_private, unhashed

ENDED = ("failed", "completed", "expired", "cancelled")
"""Statuses after which nothing changes."""
_ID = re.compile(r"batch_[0-9a-f]{24}")
_RECORD = "record.json"
_KEPT_S = 30 * 24 * 3600.0  # after the end of a batch


@dataclass(frozen=True)
class RequestFault:
    """Why a batch has failed; ``line`` is None where no line has caused it."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None


@dataclass(frozen=True)
class BatchRecord:
    id: str
    owner: str
    endpoint: str
    input_file_id: str
    completion_window: str
    created: float
    """Seconds since 1970, as all times here."""
    expires: float
    output_lasts_s: int | None = None
    """Seconds after which the results expire."""
    metadata: Mapping[str, str] | None = None
    status: str = "validating"
    times: Mapping[str, float] = field(default_factory=dict)
    """When it got each status."""
    outcome: str = ""
    """The status that it will have once its results are written: they are about to be."""
    model: str | None = None
    total: int = 0
    completed: int = 0
    failed: int = 0
    errors: tuple[RequestFault, ...] = ()
    output_file_id: str | None = None
    error_file_id: str | None = None
    usage: TokenUse | None = None
    """None before its results are written."""

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED

    def at(self, status: str) -> BatchRecord:
        """It, from now on with that status."""
        return replace(self, status=status, times={**self.times, status: time.time()})


class BatchFolder:
    """The batches of one user's servers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, batch_id: str) -> Path:
        """Where a batch has its files."""
        return self._folder / batch_id

    def create(self, record: BatchRecord, content: Path) -> None:
        """Keep a new batch, and its input apart from the file that it was made of.

        Raises:
            OSError: the disk's, or the content is gone.
        """
        disk.private_folder(self._folder)
        folder = self.path(record.id)
        disk.private_folder(folder)
        try:
            try:
                os.link(content, self.input(record.id))
            except OSError:  # a file system without links
                with disk.create_private(self.input(record.id)) as copy, content.open("rb") as file:
                    shutil.copyfileobj(file, copy)
            self.save(record)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def input(self, batch_id: str) -> Path:
        return self.path(batch_id) / "input.jsonl"

    def output(self, batch_id: str) -> Path:
        return self.path(batch_id) / "output.jsonl"

    def save(self, record: BatchRecord) -> None:
        """Replace its record; one that has ended loses its other files.

        Raises:
            OSError: the disk's.
        """
        replace_private(self.path(record.id) / _RECORD, json.dumps(hashed(plain(record))))
        if record.has_ended:
            for path in self.path(record.id).iterdir():
                if path.name != _RECORD:
                    path.unlink(missing_ok=True)

    def find(self, batch_id: str) -> BatchRecord | None:
        return self._read(self.path(batch_id)) if _ID.fullmatch(batch_id) else None

    def all(self) -> list[BatchRecord]:
        """In the order of their creation."""
        return sorted(self._records(), key=lambda record: record.created)

    def verify(self) -> Mapping[str, Sequence[str]]:
        """What is wrong with each batch's record, by its id."""
        return {path.name: self._damage(path) for path in self._folder.glob("batch_*")}

    def _damage(self, path: Path) -> Sequence[str]:
        try:
            self._whole(path)
        except (OSError, ValueError, Misfit) as error:
            return [f"{_RECORD}: {error}"]
        return []

    def tidy(self) -> None:
        """Remove batches that ended long ago, and those that a killed server had but begun."""
        long_ago = time.time() - _KEPT_S
        for path in self._folder.glob("batch_*"):
            record = self._read(path)
            with suppress(OSError):
                if path.stat().st_mtime < long_ago and (record is None or record.has_ended):
                    shutil.rmtree(path)

    def _records(self) -> Iterator[BatchRecord]:
        for path in self._folder.glob("batch_*"):
            record = self._read(path)
            if record is not None:
                yield record

    def _read(self, path: Path) -> BatchRecord | None:
        """None for one that is not whole or is damaged."""
        try:
            return self._whole(path)
        except (OSError, ValueError, Misfit):
            return None

    def _whole(self, path: Path) -> BatchRecord:
        return read(BatchRecord, unhashed((path / _RECORD).read_text("utf-8")))
