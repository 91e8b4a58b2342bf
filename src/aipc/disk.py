"""Room on a disk, what to say when there is none, and what differs between systems' files.

Windows refuses to rename or remove what a program has open, keeps some names for devices, and by
default takes paths of 259 characters: error numbers and names are those of Microsoft's pages
"System Error Codes (0-499)" and "Naming Files, Paths, and Namespaces".
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import BinaryIO, TypeVar

from aipc.errors import AipcError
from aipc.units import amount

_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_DENIED, _SHARED, _LOCKED = 5, 32, 33
_HELD = {_DENIED, _SHARED, _LOCKED}  # a folder with an open file in it is "denied"
_NO_PATH, _TOO_LONG = 3, 206
_LONGEST = 259
"""Characters of a path on Windows, unless its user enabled longer ones; a folder's: 247."""
_LONGEST_FOLDER = 247
_PAUSES_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
"""Virus scanners, indexers and other readers let go of a small file soon."""
_RESERVED = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3]) *(?:\..*)?",
    re.IGNORECASE,
)
_SCRATCH = "aipc-scratch-"
_SCRATCH_LOCK = "lock"
_NEW_S = 5.0
T = TypeVar("T")
_MORE_ROOM = "free some, or use a larger disk (AIPC_HOME moves the store)"


def free(folder: Path) -> int:
    """Free bytes where ``folder`` is, or where its nearest existing parent is."""
    return shutil.disk_usage(_nearest(folder)).free


def require(folder: Path, nbytes: int, what: str, error: type[AipcError]) -> None:
    """Refuse work that won't fit, before it starts.

    Raises:
        error: with the bytes needed and the bytes free.
    """
    room = free(folder)
    if room < nbytes:
        raise error(f"{what} needs {amount(nbytes)}, '{folder}' has {amount(room)}", _MORE_ROOM)


def refusal(folder: Path) -> str:
    """Why nothing can be written to ``folder``, or where it would be made; empty: it can.

    A file without a name is written: the rights alone don't tell, of /proc or of a full disk.
    """
    here = _nearest(folder)
    if not here.is_dir():
        return f"'{here}' is a file"
    try:
        with tempfile.TemporaryFile(dir=here) as file:
            file.write(b" ")
    except OSError as error:
        return f"'{here}': {_why_not(error)}"
    return ""


def _nearest(folder: Path) -> Path:
    """The folder, or the first of its parents that can be seen."""
    while not os.path.exists(folder) and folder != folder.parent:  # noqa: PTH110 - refuses nobody
        folder = folder.parent
    return folder


def _why_not(error: OSError) -> str:
    """The system's reason; that /proc takes no files it calls "No such file or directory"."""
    is_odd = error.errno == errno.ENOENT
    return "nothing can be made in it" if is_odd else error.strerror or type(error).__name__


def make_folder(folder: Path, error: type[AipcError]) -> None:
    """Make a folder and its parents, if they are not there.

    Raises:
        error: it can't be there at all: a parent is a file, or the system's own.
        OSError: a full or forbidden disk, as `explained` explains it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        if problem.errno in _FULL | _FORBIDDEN:
            raise
        what = f"can't make the folder '{folder}' ({_why_not(problem)})"
        raise error(what, "choose another place (AIPC_HOME moves the store)") from problem


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
        where = problem.filename or folder
        code = getattr(problem, "winerror", None)
        if code in {_SHARED, _LOCKED}:
            fix = "close what has it open (a session, a server, an editor), and run it again"
            raise error(f"another program uses '{where}'", fix) from problem
        if code == _TOO_LONG or (code == _NO_PATH and len(str(where)) > _LONGEST_FOLDER):
            what = f"'{where}' has {len(str(where))} characters, more than Windows takes here"
            fix = f"enable long paths in Windows, or shorten it (by default {_LONGEST} is the most)"
            raise error(what, fix) from problem
        if problem.errno in _FORBIDDEN:
            fix = "check its owner and permissions, or move the store with AIPC_HOME"
            if code == _DENIED:
                fix = f"close what has it open, {fix}"
            raise error(f"no permission for '{where}' ({problem.strerror})", fix) from problem
        raise


def is_refused(problem: BaseException) -> bool:
    """Whether the system refused to write: a full disk, or one that forbids it."""
    return isinstance(problem, OSError) and problem.errno in _FULL | _FORBIDDEN


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
    is_windows = sys.platform == "win32"
    if is_windows and path.is_dir():
        return  # it can't flush a folder; NTFS journals the names
    descriptor = os.open(path, os.O_RDWR if is_windows else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def patiently(work: Callable[[], T]) -> T:
    """Do what renames or removes; on Windows once more while another program has the file open.

    Raises:
        OSError: as ``work`` does, for a held file after one and a half seconds.
    """
    for pause_s in _PAUSES_S:
        try:
            return work()
        except PermissionError as error:  # noqa: PERF203 - trying again is what the loop is for
            if getattr(error, "winerror", None) not in _HELD:
                raise
            time.sleep(pause_s)
    return work()


def rename(source: Path, target: Path) -> None:
    """Move a file over another one, or a folder to where there is none, in one step, `patiently`.

    Raises:
        OSError: the disk's.
    """
    patiently(lambda: source.replace(target))


def rename_new(source: Path, target: Path) -> None:
    """Move a file to where there is none, in one step.

    Raises:
        FileExistsError: there is one.
        OSError: the disk's.
    """
    if sys.platform == "win32":  # where renaming replaces nothing
        patiently(lambda: source.rename(target))
        return
    try:
        target.hardlink_to(source)
    except FileExistsError:
        raise
    except OSError:  # FAT and some network file systems give no file two names
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
        source.replace(target)
    else:
        with suppress(OSError):  # the file is where it was to be
            source.unlink()


def is_portable(name: str) -> bool:
    """Whether a file can have this name on every system.

    Windows means a device by "con" or "nul.json", and drops a dot or space at the end.
    """
    return not name.endswith((".", " ")) and _RESERVED.fullmatch(name) is None


@contextmanager
def scratch(error: type[AipcError] | None = None, parent: Path | None = None) -> Iterator[Path]:
    """A folder for this block alone, in ``parent`` or where the system has temporary ones.

    What killed processes left there is removed too: that a process lives is told by the lock it
    holds.

    Raises:
        error: a full or forbidden disk, also within the block; see `explained`.
        OSError: the disk's, where no ``error`` is given.
    """
    from filelock import FileLock

    base = Path(tempfile.gettempdir()) if parent is None else parent
    _remove_abandoned(base)
    with (
        nullcontext() if error is None else explained(base, error),
        tempfile.TemporaryDirectory(
            prefix=_SCRATCH, dir=base, ignore_cleanup_errors=True
        ) as folder,
    ):
        inner = Path(folder, "files")
        inner.mkdir()
        with FileLock(Path(folder, _SCRATCH_LOCK)):
            yield inner


@contextmanager
def scratch_of_libraries(error: type[AipcError]) -> Iterator[None]:
    """Have other packages make their temporary files in a `scratch` folder, in any thread.

    Raises:
        error: as of `scratch`.
    """
    with scratch(error) as folder:
        before, tempfile.tempdir = tempfile.tempdir, str(folder)
        try:
            yield
        finally:
            tempfile.tempdir = before


def _remove_abandoned(base: Path) -> None:
    """Remove the scratch folders of this user in ``base`` that no process holds."""
    from filelock import FileLock, Timeout

    for folder in base.glob(f"{_SCRATCH}*"):
        with suppress(OSError, Timeout, NotImplementedError):
            status = folder.lstat()
            is_own = sys.platform == "win32" or status.st_uid == os.getuid()
            # one that is just being made is not locked yet
            if is_own and stat.S_ISDIR(status.st_mode) and time.time() > status.st_mtime + _NEW_S:
                with FileLock(folder / _SCRATCH_LOCK, timeout=0):
                    pass
                shutil.rmtree(folder, ignore_errors=True)


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
