"""Shards: the answers to some lines each, written once by whichever node answered them.

    SHARDS/run.json              the run that they belong to, as OUT.partial's first line
    SHARDS/0f3c….jsonl           answers, a line each, and at last how many: else it is not whole
    SHARDS/stop                  while no more lines are to be begun

SHARDS is a folder that all nodes share, or a URL that fsspec opens (``s3://bucket/run``).  A name
is made of the ids that are asked: a node that was thought dead writes the same file again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from aipc import disk
from aipc.batch.answers import LineAnswer
from aipc.batch.output import KEPT
from aipc.batch.run_key import RunKey
from aipc.errors import BatchError
from aipc.models.remote_folder import by_fsspec, without_logins
from aipc.records import drafted, replace_bytes

_KEY, _STOP = "run.json", "stop"
_NAME = re.compile(r"[0-9a-f]{32}\.jsonl")
_OWN = re.compile(f"{re.escape(_KEY)}|{_STOP}|{_NAME.pattern}")
_SHARED = "a folder that all nodes share"


class AnswerShards:
    """The shards of one run; made on the driver and, from its ``address``, on every node."""

    def __init__(self, address: str) -> None:
        """``address`` is a folder or a URL; a relative folder is this process's.

        Raises:
            UsageError: a URL of a kind that nothing here opens, or its package is missing.
        """
        from fsspec.implementations.local import LocalFileSystem

        self._files, self._root = by_fsspec(address, f"--shards {_SHARED}")
        self._is_local = isinstance(self._files, LocalFileSystem)
        self.address = self._root if self._is_local else address
        self._shown = without_logins(self.address)

    def begin(self, key: RunKey) -> None:
        """Take the folder for this run, or find it taken by it.

        Raises:
            BatchError: it is another run's, or can't be written.
        """
        with self._using():
            found = self._get(_KEY)
            if found is None:
                self._put(_KEY, key.line())
        fix = f"go on as it was begun, or remove '{self._shown}' to begin again"
        before = key if found is None else RunKey.from_line(found)
        if before is None:
            raise BatchError(f"'{self._shown}' is of another version", fix)
        if before != key:
            told = ", ".join(before.differences(key))
            raise BatchError(f"'{self._shown}' is of another run: {told}", fix)
        with self._using():
            if self._files.exists(self._path(_STOP)):
                self._files.rm(self._path(_STOP))

    def check(self, key: RunKey) -> None:
        """See on a node that it is the folder which the driver began.

        Raises:
            BatchError: it is not.
        """
        with self._using():
            found = self._get(_KEY)
        if found != key.line():
            raise BatchError(
                f"'{self._shown}' is not the driver's folder of that name",
                f"give --shards {_SHARED}, or a URL that fsspec knows",
            )

    def write(self, answers: Iterable[LineAnswer]) -> str:
        """Write a shard; its name.

        Raises:
            BatchError: it can't be written.
        """
        lines, ids = [], hashlib.sha256()
        for answer in answers:
            lines.append(answer.to_line())
            ids.update(json.dumps(answer.custom_id).encode())
        name = f"{ids.hexdigest()[:32]}.jsonl"
        with self._using():
            self._put(name, b"".join([*lines, _end(len(lines))]))
        return name

    def read(self, name: str) -> Iterator[LineAnswer]:
        """The answers of a shard; none of one that is not whole, for its lines are asked again.

        Raises:
            BatchError: it can't be read.
        """
        with self._using():
            data = self._get(name)
        *lines, last = (data or b"").splitlines(keepends=True) or [b""]
        if last == _end(len(lines)):
            yield from map(LineAnswer.from_line, lines)

    def names(self) -> list[str]:
        """Those of all shards.

        Raises:
            BatchError: they can't be listed.
        """
        with self._using():
            return sorted(filter(_NAME.fullmatch, self._all_names()))

    def stop(self) -> None:
        """Have every node begin no more lines."""
        with self._using():
            self._put(_STOP, b"")

    @property
    def is_stopped(self) -> bool:
        with self._using():
            self._files.invalidate_cache()
            return bool(self._files.exists(self._path(_STOP)))

    def remove(self) -> None:
        """Remove the shards, once all their answers are elsewhere, and a folder that is then empty.

        What else lies there is the user's and stays, and so does the root of an object store.
        """
        with self._using(), suppress(FileNotFoundError):
            for name in self._all_names():
                if _OWN.fullmatch(drafted(name)):  # those of killed nodes too
                    self._files.rm_file(self._path(name))
            if self._is_local and not self._all_names():
                self._files.rmdir(self._root)

    def _all_names(self) -> list[str]:
        self._files.invalidate_cache()
        return [path.rpartition("/")[2] for path in self._files.ls(self._root, detail=False)]

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _get(self, name: str) -> bytes | None:
        try:
            data: bytes = self._files.cat_file(self._path(name))
        except FileNotFoundError:
            return None
        return data

    def _put(self, name: str, data: bytes) -> None:
        """In one step: an object store does that by itself."""
        if not self._is_local:
            self._files.pipe_file(self._path(name), data)
            return
        replace_bytes(Path(self._path(name)), [data])

    def _using(self) -> AbstractContextManager[None]:
        return disk.told(BatchError, f"can't use '{self._shown}'", KEPT)


def _end(count: int) -> bytes:
    return json.dumps({"lines": count}).encode() + b"\n"
