"""Files that were read whole and found to be their manifest's: each once, as it stands.

A file that has its size and time still is not read again; one that was found to be another is not
used again, until it is changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from aipc.artifact import manifest
from aipc.errors import ArtifactError, quoted
from aipc.models.catalogue import shown_key
from aipc.records import JsonCache

SMALL = 2**24
"""Bytes up to which a file is read before anything is made of it; larger ones beside that."""


class VerifiedFiles:
    """The files of one checkpoint or artifact; ``kept`` has what is known of all folders' files.

    A folder without a manifest, a vendor's, has nothing to be compared with: it passes.
    """

    def __init__(self, folder: Path, kept: JsonCache) -> None:
        self._folder = folder
        self._kept = kept
        self._identity = {"folder": str(folder.absolute())}

    def note(self) -> None:
        """They have just been written, hashed for the manifest: all are known to be its."""
        made = manifest.find(self._folder)
        if made is not None:
            self._keep({name: [*self._stamp(made, name), True] for name in made.files})

    def check_small(self) -> None:
        """Read those of at most `SMALL` bytes that are not known.

        Raises:
            ArtifactError: one is not the manifest's, a large one known to be none included.
        """
        self._check(0, SMALL)

    def check_large(self) -> None:
        """As `check_small`, the larger ones; in a thread beside what is made of them."""
        self._check(SMALL + 1, None)

    def check(self) -> None:
        """As `check_small`, all of them."""
        self._check(0, None)

    def _check(self, least: int, most: int | None) -> None:
        made = manifest.find(self._folder)
        if made is None:
            return
        known = self._known()
        stamps = {name: self._stamp(made, name) for name in made.files}
        self._refuse([name for name in stamps if known.get(name) == [*stamps[name], False]])
        unknown = [
            name
            for name, facts in made.files.items()
            if facts.size >= least
            and (most is None or facts.size <= most)
            and known.get(name) != [*stamps[name], True]
        ]
        if not unknown:
            return
        found = {
            name: manifest.sha256(self._folder / name) == made.files[name].sha256
            for name in unknown
        }
        self._keep({name: [*stamps[name], is_same] for name, is_same in found.items()})
        self._refuse([name for name, is_same in found.items() if not is_same])

    def _stamp(self, made: manifest.Manifest, name: str) -> list[int | str]:
        """What a file that was not changed has still; taken before it is read."""
        status = (self._folder / name).stat()
        return [status.st_size, status.st_mtime_ns, made.files[name].sha256]

    def _known(self) -> Mapping[str, object]:
        found = self._kept.find(self._identity)
        return found if isinstance(found, dict) else {}

    def _keep(self, found: Mapping[str, object]) -> None:
        self._kept.keep(self._identity, {**self._known(), **found})

    def _refuse(self, names: Sequence[str]) -> None:
        if not names:
            return
        others = f" and {len(names) - 1} more files are" if len(names) > 1 else " is"
        what = f"'{self._folder}' is damaged: {quoted(names[0])}{others} not what was made"
        name = shown_key(self._folder.name)
        raise ArtifactError(
            what, f"remove it (`aipc rm {name}` if it is in the store) and run this again"
        )
