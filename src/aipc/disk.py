"""Room on a disk, what to say when there is none, and files that only this user can read."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from aipc.errors import AipcError
from aipc.units import amount

_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_MORE_ROOM = "free some, or use a larger disk (AIPC_HOME moves the store)"


def free(folder: Path) -> int:
    """Free bytes where ``folder`` is, or where its nearest existing parent is."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def require(folder: Path, nbytes: int, what: str, error: type[AipcError]) -> None:
    """Refuse work that won't fit, before it starts.

    Raises:
        error: with the bytes needed and the bytes free.
    """
    room = free(folder)
    if room < nbytes:
        raise error(f"{what} needs {amount(nbytes)}, '{folder}' has {amount(room)}", _MORE_ROOM)


@contextmanager
def explained(folder: Path, error: type[AipcError], needed: int = 0) -> Iterator[None]:
    """Turn a full or forbidden disk into one line; other errors pass as they are.

    ``needed`` is the bytes that the work takes as a whole, 0 where nobody knows.
    """
    try:
        yield
    except OSError as problem:
        if problem.errno in _FULL:
            raise error(f"{_no_room(folder, needed)}", _MORE_ROOM) from problem
        if problem.errno in _FORBIDDEN:
            where = problem.filename or folder
            fix = "check its owner and permissions, or move the store with AIPC_HOME"
            raise error(f"no permission for '{where}' ({problem.strerror})", fix) from problem
        raise


@contextmanager
def told(error: type[AipcError], what: str, fix: str) -> Iterator[None]:
    """Turn any error of the system into one line: ``what`` failed, its reason, and ``fix``.

    Raises:
        error: in place of an OSError.
    """
    try:
        yield
    except OSError as problem:
        # those of object stores have a text alone
        reason = problem.strerror or str(problem) or type(problem).__name__
        raise error(f"{what}: {reason}", fix) from problem


def _no_room(folder: Path, needed: int) -> str:
    text = f"no space left in '{folder}': {amount(free(folder))} free"
    return f"{text}, {amount(needed)} needed" if needed else text


def flush(path: Path) -> None:
    """Have the system write a file to the disk, or a folder: the names in it.

    Raises:
        OSError: the disk's.
    """
    is_windows = os.name == "nt"
    if is_windows and path.is_dir():
        return  # it can't flush a folder; NTFS journals the names
    descriptor = os.open(path, os.O_RDWR if is_windows else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def private_folder(folder: Path) -> None:
    """Make a folder that only this user can enter; on Windows it has the rights of its parent.

    Raises:
        OSError: the disk's, or it is another user's.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if sys.platform != "win32":
        folder.chmod(0o700)


def create_private(file: Path) -> BinaryIO:
    """Create a file that only this user can read, open for writing.

    Raises:
        OSError: the disk's, or there is one of that name.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(file, flags, 0o600), "wb")
