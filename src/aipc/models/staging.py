"""Folders that appear whole or not at all.

A result is made in a hidden folder beside its final path, under a lock, and renamed once,
last.  Whenever a process is killed, the final path is either whole or absent, and the next
process removes what is left:

    .NAME.partial     being made, or left by a killed process
    .NAME.discarded   what was at the final path without being whole, being removed
    .NAME.lock        held while any of this changes; the system frees it when its process dies.
                      The empty file stays: removing it could give two processes two locks
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aipc import disk
from aipc.artifact import manifest
from aipc.errors import AipcError, ArtifactError, ConversionError
from aipc.progress import Progress, silent
from aipc.records import key_of, read_object, write_object


class BusyError(ArtifactError):
    """Another process is making or removing the same thing now."""


@contextmanager
def staged(
    final: Path,
    *,
    resume: bool = False,
    owned: bool = False,
    needed: int = 0,
    error: type[AipcError] = ConversionError,
    progress: Progress = silent,
) -> Iterator[Path | None]:
    """Make the folder ``final``: fill the one that this yields and write its manifest.

    Of several processes that want the same, one makes it and the others wait.  A process that
    finds it whole, at once or after waiting, gets None and has nothing to do::

        with staged(store.artifact_path(key)) as folder:
            if folder is not None:
                fill(folder)
                manifest.write(folder, "artifact", key, facts)

    A whole folder is never replaced: for other contents at the same path it is removed first.
    When the block ends without an error, everything is on the disk and ``final`` is whole.  When it
    raises, nothing is left of it, except with ``resume``: then the unfinished folder stays
    and is yielded again, as it is, to the next process.

    ``owned``: ``final`` is in a folder where only aipc writes, and anything there that is not
    whole is discarded.  Elsewhere only an empty folder is, or one that holds an aipc.json.
    ``needed`` is the size of the result in bytes, 0 if unknown.

    Raises:
        error: the disk is full or forbidden, or something else is at ``final``.
        ArtifactError: the block ended without writing a manifest.
    """
    final = final.absolute()
    with disk.explained(final.parent, error, needed):
        disk.make_folder(final.parent, error)
        with locked(final, progress=progress):
            _remove(_hidden(final, "discarded"))
            if manifest.find(final) is not None:
                yield None
                return
            _check_replaceable(final, owned, error)
            disk.require(final.parent, needed, final.name, error)
            with _partial(final, resume) as folder:
                yield folder
                _settle(folder, final)


@contextmanager
def locked(final: Path, *, wait: bool = True, progress: Progress = silent) -> Iterator[None]:
    """Hold the lock of ``final``; its parent folder has to exist.

    Raises:
        BusyError: another process holds it, and ``wait`` is off.
        ArtifactError: the file system knows no locks, or something else is in the lock's place.
    """
    from filelock import FileLock, Timeout

    path = _hidden(final, "lock")
    if os.path.lexists(path) and (path.is_symlink() or not path.is_file()):
        what = f"'{path}' is no file, and aipc keeps others out by one of that name"
        raise ArtifactError(what, "remove it")
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout as busy:
        if not wait:
            fix = "wait for it to finish, or stop it"
            raise BusyError(f"another process is at work on '{final.name}'", fix) from busy
        progress(f"waiting for another process that makes {final.name}", 0, 0)
        lock.acquire()
    except NotImplementedError as missing:
        fix = "put the store on a local disk with AIPC_HOME"
        raise ArtifactError(f"the file system of '{final.parent}' has no locks", fix) from missing
    try:
        yield
    finally:
        lock.release()


def remove(final: Path) -> None:
    """Remove a folder of the store, and what was left of making it, under its lock.

    It is renamed first, so that a process killed here leaves no half of it to be listed.

    Raises:
        BusyError: another process is making or removing it.
        ArtifactError: the disk forbids it, or on Windows another program has it open.
    """
    with disk.explained(final, ArtifactError), locked(final, wait=False):
        _move_aside(final)
        _remove(_hidden(final, "discarded"))
        _remove(_hidden(final, "partial"))


def leftovers(parent: Path) -> set[Path]:
    """The final paths in a folder that unfinished or discarded work belongs to."""
    if not parent.is_dir():
        return set()
    roles = (".partial", ".discarded")
    left = [path for path in parent.iterdir() if path.suffix in roles]
    return {parent / path.stem[1:] for path in left if path.name.startswith(".")}


def tidy(final: Path) -> None:
    """Remove a folder of the store unless it is whole, and what was left of making it.

    Raises:
        BusyError: another process is making or removing it.
        ArtifactError: the disk forbids it, or on Windows another program has it open.
    """
    with disk.explained(final, ArtifactError), locked(final, wait=False):
        if manifest.find(final) is None:
            _move_aside(final)
        _remove(_hidden(final, "partial"))
        _remove(_hidden(final, "discarded"))


def tidy_leftovers(final: Path) -> None:
    """Remove what was left of making a folder anywhere; the folder itself is left as it is.

    Raises:
        BusyError: another process is making it.
        ArtifactError: the disk forbids it.
    """
    with disk.explained(final, ArtifactError), locked(final, wait=False):
        _remove(_hidden(final, "partial"))
        _remove(_hidden(final, "discarded"))


class Outputs:
    """Folders outside the store that are being made: noted, so that what a kill leaves is found.

    ``notes`` is the folder in which each has a file, while it is made.
    """

    def __init__(self, notes: Path) -> None:
        self._notes = notes

    @contextmanager
    def noted(self, final: Path) -> Iterator[None]:
        """Within the block ``final`` is being made."""
        final = final.absolute()
        note = self._notes / f"{key_of(str(final))}.json"
        with suppress(OSError):  # a full disk is told of where it matters
            self._notes.mkdir(parents=True, exist_ok=True)
            write_object(note, {"output": str(final)})
        try:
            yield
        finally:
            with suppress(OSError):  # why is told where it matters; `tidy` removes it later
                note.unlink(missing_ok=True)

    def tidy(self) -> None:
        """Remove what killed processes left beside their outputs; those at work are left alone."""
        for note in sorted(self._notes.glob("*.json")) if self._notes.is_dir() else ():
            with suppress(AipcError, OSError):
                output = read_object(note).get("output")
                if isinstance(output, str) and note.stem == key_of(output):
                    _tidy_output(Path(output))
                note.unlink(missing_ok=True)


def _tidy_output(final: Path) -> None:
    if any(os.path.lexists(_hidden(final, role)) for role in ("partial", "discarded")):
        tidy_leftovers(final)


def tidy_all(finals: Iterable[Path]) -> list[str]:
    """`tidy` those that no other process works on; returns their names, in order."""
    tidied = []
    for final in sorted(finals):
        with suppress(BusyError):
            tidy(final)
            tidied.append(final.name)
    return tidied


@contextmanager
def _partial(final: Path, resume: bool) -> Iterator[Path]:
    """The unfinished folder: empty, or with ``resume`` as the last process left it."""
    folder = _hidden(final, "partial")
    if not resume:
        _remove(folder)
    folder.mkdir(exist_ok=True)
    try:
        yield folder
    except BaseException:
        if not resume:
            _remove(folder)
        with suppress(OSError):
            folder.rmdir()  # nothing in it worth keeping, or nothing there any more
        raise


def _settle(folder: Path, final: Path) -> None:
    if manifest.find(folder) is None:
        raise ArtifactError(f"'{final.name}' was left without a manifest of its files")
    _flush_tree(folder)
    _move_aside(final)
    disk.rename(folder, final)
    disk.flush(final.parent)
    _remove(_hidden(final, "discarded"))


def _check_replaceable(final: Path, owned: bool, error: type[AipcError]) -> None:
    """Refuse to discard what aipc did not make."""
    if not os.path.lexists(final):
        return
    is_folder = final.is_dir() and not final.is_symlink()
    is_ours = is_folder and (owned or (final / manifest.FILE).exists() or not any(final.iterdir()))
    if not is_ours:
        fix = "choose a new folder, or move this one away"
        raise error(f"'{final}' is there already, and aipc did not make it", fix)


def _move_aside(final: Path) -> None:
    discarded = _hidden(final, "discarded")
    _remove(discarded)
    if os.path.lexists(final):
        disk.rename(final, discarded)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        disk.patiently(lambda: shutil.rmtree(path))
    elif os.path.lexists(path):
        disk.patiently(path.unlink)


def _hidden(final: Path, role: str) -> Path:
    return final.with_name(f".{final.name}.{role}")


def _flush_tree(folder: Path) -> None:
    """Have the system write every file to the disk, then the folders that name them."""
    for parent, _, files in os.walk(folder, topdown=False):
        for name in files:
            disk.flush(Path(parent) / name)
        disk.flush(Path(parent))
