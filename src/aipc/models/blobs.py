"""Compiled models ("blobs"), kept so that a device's compiler runs once.

    FOLDER/KEY/…     FOLDER/KEY/aipc.json

KEY is a hash of the identity: everything that the compiled bytes depend on, the model's own
hash, the device, its driver, the runtime's version and the configuration.  The identity is in the
manifest too and is compared in full.  An NPU's blob is used only if every byte of it has the hash
that was taken when it was made: it goes to a vendor's loader that trusts what it reads.  Weights
kept ready for the CPU are as large as the model, and as the model's files they are read whole only
where they are not as they were left; moreover what the runtime computes with them is compared
(`aipc.runtimes.onnx`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aipc import disk
from aipc.artifact import manifest
from aipc.errors import AipcError, ArtifactError
from aipc.models import staging
from aipc.models.verified import VerifiedFiles
from aipc.progress import Notify, Progress, silent, unheard

_ROOM_LEFT = 1 << 20  # bytes; the vendor writes on when a disk is full, without an error


@dataclass(frozen=True)
class Blob:
    """One whole compiled model on the disk; ``nbytes`` is its size."""

    name: str
    path: Path
    nbytes: int
    created: str
    identity: Mapping[str, Any]


class Blobs:
    """The cache as one model on one device sees it.

    ``about`` is the part of the identity that all of its blobs share: the model's hash and its
    path, the driver.  ``verified`` gives the files of a blob's folder that are read once, as they
    stand; without it every byte is read and compared before each use.  ``notify`` gets a line
    when a kept blob turns out to be damaged.
    """

    def __init__(
        self,
        folder: Path,
        about: Mapping[str, Any],
        *,
        verified: Callable[[Path], VerifiedFiles] | None = None,
        progress: Progress = silent,
        notify: Notify = unheard,
    ) -> None:
        self._folder = folder
        self._about = about
        self._verified = verified
        self._progress = progress
        self._notify = notify

    def find(self, configuration: Mapping[str, Any]) -> Path | None:
        """The folder of the sound blob of exactly this configuration; a damaged one is removed."""
        identity = self._identity(configuration)
        path = self._folder / _key(identity)
        if not path.exists():
            return None
        problem = self._problem(path, identity)
        if problem is None:
            return path
        self._notify(f"a compiled model in the cache is unusable ({problem}); it is made anew")
        self.discard(configuration)
        return None

    @contextmanager
    def making(self, configuration: Mapping[str, Any], needed: int) -> Iterator[Path | None]:
        """The folder to write it to, about ``needed`` bytes; None where another process just has.

        It appears whole or not at all.

        Raises:
            ArtifactError: the disk is full or forbidden, or nothing was written.
        """
        identity = self._identity(configuration)
        final = self._folder / _key(identity)
        with staging.staged(
            final, owned=True, needed=needed, error=ArtifactError, progress=self._progress
        ) as folder:
            if folder is None:
                yield None
                return
            try:
                yield folder
            except AipcError:
                # what a vendor says of a full disk names no disk
                disk.require(folder, _ROOM_LEFT, "the compiled model", ArtifactError)
                raise
            if not any(file.stat().st_size for file in folder.iterdir()):
                raise ArtifactError("the compiler left no blob")
            disk.require(folder, _ROOM_LEFT, "the compiled model", ArtifactError)
            manifest.write(folder, "blob", final.name, identity)
        if self._verified is not None:
            self._verified(final).note()

    def discard(self, configuration: Mapping[str, Any]) -> None:
        """Forget one that can't be used after all."""
        with suppress(staging.BusyError, PermissionError):  # Windows: another process maps it
            staging.remove(self._folder / _key(self._identity(configuration)))

    def _problem(self, path: Path, identity: Mapping[str, Any]) -> str | None:
        try:
            if manifest.read(path).facts != identity:
                return "it was made for something else"
            if self._verified is None:
                return next(iter(manifest.verify(path, self._progress)), None)
            if manifest.find(path) is None:
                return "files are missing or cut"
            self._verified(path).check()
        except ArtifactError as error:
            return error.what
        except OSError as error:
            return str(error)
        return None

    def _identity(self, configuration: Mapping[str, Any]) -> dict[str, Any]:
        identity: dict[str, Any] = json.loads(json.dumps({**self._about, **configuration}))
        return identity


def list_blobs(folder: Path) -> list[Blob]:
    """Every whole blob, oldest first; their bytes are not read."""
    found = []
    for path in _blob_folders(folder):
        whole = manifest.find(path)
        if whole is not None:
            found.append(Blob(path.name, path, whole.nbytes, whole.created, whole.facts))
    return sorted(found, key=lambda blob: (blob.created, blob.name))


def verify_blobs(folder: Path, progress: Progress = silent) -> dict[str, list[str]]:
    """Read every byte again; by each blob's name a line for each thing that changed."""
    own = [path for path in _blob_folders(folder) if not manifest.is_of_another_version(path)]
    return {path.name: manifest.problems(path, progress) for path in sorted(own)}


def remove_blob(folder: Path, name: str) -> None:
    """Remove one.

    Raises:
        ArtifactError: another process is making or removing it.
    """
    staging.remove(folder / name)


def tidy_blobs(folder: Path) -> list[str]:
    """Remove what is not whole and not being made; returns the names concerned."""
    broken = {path for path in _blob_folders(folder) if manifest.is_broken(path)}
    return staging.tidy_all(broken | staging.leftovers(folder))


def fingerprint(folder: Path, names: tuple[str, ...]) -> str:
    """One SHA-256 for these files of an artifact, in hexadecimal.

    Their own hashes come from a valid manifest where there is one, else they are read.

    Raises:
        ArtifactError: a file can't be read.
    """
    made = manifest.find(folder)
    known = {} if made is None else {name: facts.sha256 for name, facts in made.files.items()}
    try:
        hashes = {name: known.get(name) or manifest.sha256(folder / name) for name in names}
    except OSError as error:
        fix = "convert the model again"
        raise ArtifactError(f"'{error.filename}' can't be read ({error.strerror})", fix) from error
    return _hash(hashes)


def _blob_folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]


def _key(identity: Mapping[str, Any]) -> str:
    return _hash(identity)[:24]


def _hash(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
