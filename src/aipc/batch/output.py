"""OUT of a batch: whether it may be written, and by which process; and the files beside it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from aipc import disk
from aipc.batch.run_key import RunKey
from aipc.errors import BatchError, UsageError
from aipc.records import drafted

KEPT = "see that there is room and permission, then run it again: answers are kept"


def partial_path(out: Path) -> Path:
    return out.with_name(f"{out.name}.partial")


def errors_path(out: Path) -> Path:
    return out.with_name(f"{out.name}.errors.jsonl")


def check_name(out: Path, source: Path | None) -> None:
    """Refuse an output that can be no file of its own beside its input.

    Raises:
        UsageError: it names none, or a folder or device, or writing it would replace ``source``.
    """
    fix = "name a file that does not exist"
    if out.name in {"", ".", "..", "-"}:
        raise UsageError(f"'{out}' is no name for the answers", fix)
    if out.exists() and not out.is_file():
        raise UsageError(f"'{out}' is no file: answers can't be written there", fix)
    if source is not None and _is_written(source.resolve(), out.resolve()):
        raise UsageError(f"writing '{out}' would replace the input, '{source}'", fix)


def _is_written(path: Path, out: Path) -> bool:
    """Whether it is one of the files that a run writes, or a draft of these."""
    is_own = path.name in _names(out) or path.name.startswith(f".{out.name}.")
    return path.parent == out.parent and is_own


def _names(out: Path) -> set[str]:
    return {out.name, partial_path(out).name, errors_path(out).name}


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
    with writing(out):
        try:
            lock.acquire(timeout=0)
        except Timeout as busy:
            fix = "wait for it to finish, or choose another name"
            raise BatchError(f"another process writes '{out}'", fix) from busy
        except NotImplementedError as missing:
            fix = "choose a name on a local disk"
            raise BatchError(f"the file system of '{out.parent}' has no locks", fix) from missing
    try:
        with writing(out):
            _remove_drafts(out)
        yield
    finally:
        # on Windows the release removes it; here a waiting process sees it is gone
        if sys.platform != "win32":
            with suppress(OSError):
                Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def check_output(out: Path, *, retry_failed: bool = False) -> None:
    """Refuse to replace an output, unless its failures are to be asked again.

    Raises:
        BatchError: it, or the file of its failures, exists and is of no unfinished run.
    """
    errors = errors_path(out)
    if partial_path(out).exists():
        return
    if out.exists() and not retry_failed:
        fix = "choose another name, or ask its failures again with --retry-failed"
        raise BatchError(f"'{out}' exists already", fix)
    if errors.exists() and not out.exists():
        raise BatchError(
            f"'{errors}' is left of an earlier batch", "remove it, or choose another name"
        )


def check_begun(out: Path, key: RunKey) -> None:
    """Refuse to go on with another run's answers, before the artifacts of ``key`` are known.

    Raises:
        BatchError: what else the key has differs from that of OUT.partial.
    """
    path = partial_path(out)
    with writing(path), suppress(FileNotFoundError), path.open("rb") as file:
        first = file.readline()
        before = RunKey.from_line(first)
        if first.endswith(b"\n"):
            check_key(path, first, replace(key, artifacts=before.artifacts if before else {}))


def check_key(path: Path, line: bytes, now: RunKey) -> None:
    """Refuse a partial file whose first line is not that of the run ``now``.

    Raises:
        BatchError: saying in what they differ.
    """
    before = RunKey.from_line(line)
    fix = f"go on as it was begun, or remove '{path}' to begin again"
    if before is None:
        raise BatchError(f"'{path}' is of another version, or no unfinished batch", fix)
    differences = before.differences(now)
    if differences:
        raise BatchError(f"'{path}' is of another run: {', '.join(differences)}", fix)


def _remove_drafts(out: Path) -> None:
    """What killed processes left of the files that are written here."""
    names = _names(out)
    for path in out.parent.iterdir():
        if path.name not in names and drafted(path.name) in names:
            path.unlink(missing_ok=True)


def writing(path: Path) -> AbstractContextManager[None]:
    """Errors of the disk are told in one line."""
    return disk.told(BatchError, f"can't write '{path}'", KEPT)
