"""Where a model comes from: one frozen class a kind.

Every source has a ``name``, its key in the store (safe as a file name on every platform),
and a ``label`` for people.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

from aipc.artifact.files import gguf_parts
from aipc.errors import ModelNotFound

COMMIT = re.compile(r"[0-9a-f]{40}")


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

    @property
    def label(self) -> str:
        return self.repo if self.revision == "main" else f"{self.repo}@{self.revision[:12]}"


@dataclass(frozen=True)
class WheelSource:
    """One file inside a wheel of the package index.

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
    def label(self) -> str:
        return f"{self.distribution} {self.version} from the package index"

    @property
    def member_name(self) -> str:
        """The name that the wanted file gets outside the wheel."""
        return PurePosixPath(self.member).name


@dataclass(frozen=True)
class _LocalSource:
    """Files of the user's own."""

    path: Path

    @property
    def name(self) -> str:
        return _local_key(self.path)

    @property
    def label(self) -> str:
        return str(self.path)


class FolderSource(_LocalSource):
    """A checkpoint folder."""


class GgufSource(_LocalSource):
    """A GGUF file."""


class ArtifactSource(_LocalSource):
    """A folder that is converted already, by aipc or by a vendor."""


Source: TypeAlias = HubSource | WheelSource | FolderSource | GgufSource | ArtifactSource


def describe(source: Source) -> dict[str, Any]:
    """The source as JSON facts, for a manifest: its kind and its fields."""
    kind = type(source).__name__.removesuffix("Source").lower()
    fields = {
        key: str(value) if isinstance(value, Path) else value
        for key, value in dataclasses.asdict(source).items()
    }
    return {"kind": kind, **fields}


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
        files = sorted(path.iterdir()) if path.is_dir() else _parts(path)
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
