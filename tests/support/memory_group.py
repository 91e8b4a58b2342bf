"""A control group of Linux that limits the memory of a program and of all that it starts."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
FORMS = (
    (ROOT / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", ()),
    (ROOT, "memory.max", "memory.current", (("memory.swap.max", "0"),)),
)
"""(mount, files of the limit and of what is used, further settings) of versions 1 and 2."""
UNLIMITED, ENDED_S = 2**40, 10


class MemoryGroup:
    """``entering`` is the shell's, before it begins the program that is to be limited."""

    def __init__(self, folder: Path, limit: str, used: str) -> None:
        self.folder = folder
        self._limit, self._used = folder / limit, folder / used

    @property
    def entering(self) -> str:
        return f"echo $$ > {shlex.quote(str(self.folder / 'cgroup.procs'))}"

    def limit(self, nbytes: int) -> None:
        self._limit.write_text(str(nbytes))

    @property
    def used(self) -> int:
        return int(self._used.read_text())


@contextmanager
def memory_group(name: str) -> Iterator[MemoryGroup | None]:
    """A new one; None where making it is not permitted."""
    for mount, limit, used, settings in FORMS:
        folder = mount / name
        try:
            folder.mkdir()
        except OSError:
            continue
        if not (folder / limit).exists():
            folder.rmdir()
            continue
        for file, value in settings:
            with suppress(OSError):
                (folder / file).write_text(value)
        try:
            yield MemoryGroup(folder, limit, used)
        finally:
            _remove(folder)
        return
    yield None


def _remove(folder: Path) -> None:
    """Once its processes have ended."""
    deadline = time.monotonic() + ENDED_S
    while (folder / "cgroup.procs").read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    folder.rmdir()
