"""aipc.json: what a whole checkpoint, artifact or blob folder holds.

    {"schema": 1, "kind": "artifact", "name": "…", "created": "2026-11-22T10:00:00+00:00",
     "facts": {…}, "files": {"config.json": {"size": 967, "sha256": "…"}, …}, "hash": "…"}

It is written last; ``hash`` is of all the rest.  A folder without a valid one does not exist for
the store.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import Any, Literal, cast, get_args

from aipc import disk
from aipc.errors import ArtifactError
from aipc.progress import Meter, Progress, silent
from aipc.records import Misfit, replace_text, with_hash, without_hash

Advance = Callable[[int], None]
"""Called with the bytes read since the last call."""

_CHUNK = 1 << 20

FILE = "aipc.json"
SCHEMA = 1
Kind = Literal["checkpoint", "artifact", "blob"]
LONGEST = 8 << 20  # bytes; a manifest of a thousand files takes about 100 kB
_FACTS: Mapping[str, type] = {
    **dict.fromkeys(("source", "recipe", "encodings"), dict),
    **dict.fromkeys(("runtime", "target", "model_type", "commit"), str),
    "notes": list,
}
_SHA256 = re.compile(r"[0-9a-f]{64}")


def sha256(path: Path, advance: Advance | None = None) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return _digest(hashlib.sha256(), path, advance)


def git_blob(path: Path) -> str:
    """The id that git gives to a file's contents, in hexadecimal.

    Source: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects
    """
    header = f"blob {path.stat().st_size}\0".encode()
    return _digest(hashlib.sha1(header, usedforsecurity=False), path, None)


def _digest(algorithm: Any, path: Path, advance: Advance | None) -> str:
    # Not hashlib.file_digest: Python 3.10 lacks it, and it reports no progress.
    buffer = memoryview(bytearray(_CHUNK))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            algorithm.update(buffer[:count])
            if advance is not None:
                advance(count)
    digest: str = algorithm.hexdigest()
    return digest


class OfAnotherVersion(ArtifactError):
    """A whole manifest of another schema, which an older or a newer aipc reads."""


@dataclass(frozen=True)
class FileFacts:
    """``size`` in bytes, ``sha256`` in hexadecimal."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a folder holds: ``files`` by their names relative to it, with slashes.

    ``facts`` is free: source, recipe, target, versions.  ``created`` is ISO 8601, in UTC.
    """

    kind: Kind
    name: str
    facts: Mapping[str, Any]
    files: Mapping[str, FileFacts]
    created: str = field(
        default_factory=lambda: datetime.now(timezone.utc).isoformat("T", "seconds")
    )
    schema: int = SCHEMA

    @property
    def nbytes(self) -> int:
        return sum(file.size for file in self.files.values())

    @property
    def contents(self) -> str:
        """SHA-256 of all files together, whenever and wherever they were made; in hexadecimal."""
        listed = sorted((name, file.sha256) for name, file in self.files.items())
        return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


def read(folder: Path) -> Manifest:
    """The manifest of a folder, checked in every field.

    Raises:
        ArtifactError: there is none, or it is damaged, hostile or of another schema.
    """
    try:
        data = _load(folder / FILE)
    except (OSError, ValueError) as error:
        raise _unusable(str(folder), error) from error
    return parse(data, str(folder))


def parse(data: bytes, folder: str) -> Manifest:
    """The manifest that these bytes are; ``folder`` says where they are from, for the error.

    Raises:
        ArtifactError: it is damaged, hostile or of another schema.
    """
    try:
        _expect(len(data) <= LONGEST, f"it is longer than {LONGEST} bytes")
        table = json.loads(data.decode("utf-8"))
        if _is_of_another_version(table):
            what = f"another version of aipc made '{folder}'"
            raise OfAnotherVersion(what, "use it with that one, or make it again")
        return _parse(table)
    except (ValueError, RecursionError) as error:
        raise _unusable(folder, error) from error


def is_of_another_version(folder: Path) -> bool:
    """Whether an older or a newer aipc made the folder: it is for that one to judge."""
    try:
        read(folder)
    except OfAnotherVersion:
        return True
    except ArtifactError:
        pass
    return False


def is_broken(folder: Path) -> bool:
    """Whether it is nothing whole, by this version of aipc or another one."""
    return find(folder) is None and not is_of_another_version(folder)


def find(folder: Path) -> Manifest | None:
    """The manifest of a whole folder: it is valid, and every file is there in its size.

    None for anything else, because that does not exist.  Contents are checked by `verify`.
    """
    try:
        manifest = read(folder)
    except ArtifactError:
        return None
    is_whole = all(_misfit(folder, name, facts) is None for name, facts in manifest.files.items())
    return manifest if is_whole else None


def write(
    folder: Path,
    kind: Kind,
    name: str,
    facts: Mapping[str, Any],
    *,
    known: Mapping[str, FileFacts] | None = None,
    progress: Progress = silent,
) -> Manifest:
    """Hash every file under ``folder`` and write its manifest, last.

    ``known`` holds the files whose hashes the caller worked out already.

    Raises:
        ArtifactError: the folder is empty, or holds a link or a name that no manifest may have.
    """
    known = known or {}
    names = _present(folder)
    for present in names:
        if not _is_safe(present):
            raise ArtifactError(f"'{folder}' holds a file whose name can't be kept: {present!r}")
        if (folder / present).is_symlink():
            raise ArtifactError(
                f"'{folder / present}' is a link", "put the file itself in its place"
            )
    if not names:
        raise ArtifactError(f"'{folder}' is empty")
    if _are_one(names):
        what = f"'{folder}' holds files whose names differ by case alone, one on other systems"
        raise ArtifactError(what, "rename or remove one")
    unknown = [present for present in names if present not in known]
    files = {**known, **_measure(folder, unknown, f"checking {name}", progress)}
    manifest = Manifest(kind, name, dict(facts), {present: files[present] for present in names})
    (folder / FILE).write_bytes(_text(manifest).encode())
    return manifest


def add_facts(folder: Path, facts: Mapping[str, Any]) -> Manifest:
    """Replace facts in the manifest of a whole folder, in one step.

    Raises:
        ArtifactError: it has no usable manifest.
        OSError: the disk's.
    """
    kept = read(folder)
    manifest = replace(kept, facts={**kept.facts, **facts})
    replace_text(folder / FILE, _text(manifest))
    return manifest


def verify(folder: Path, progress: Progress = silent, called: str = "") -> list[str]:
    """Read every byte again; one line for each file that differs from the manifest.

    ``called`` is what people call it, where that is not the manifest's name.

    Raises:
        ArtifactError: there is no usable manifest to compare with.
    """
    manifest = read(folder)
    misfits = {name: _misfit(folder, name, facts) for name, facts in manifest.files.items()}
    sound = [name for name, misfit in misfits.items() if misfit is None]
    measured = _measure(folder, sound, f"checking {called or manifest.name}", progress)
    problems = [f"{name}: {misfit}" for name, misfit in misfits.items() if misfit is not None]
    problems += [
        f"{name}: its contents changed (sha256 {measured[name].sha256[:12]}…, "
        f"the manifest has {manifest.files[name].sha256[:12]}…)"
        for name in sound
        if measured[name] != manifest.files[name]
    ]
    unknown = sorted(set(_present(folder)) - set(manifest.files))
    return problems + [f"{name}: not in the manifest" for name in unknown]


def problems(folder: Path, progress: Progress = silent, called: str = "") -> list[str]:
    """As `verify`; without a usable manifest, that alone.

    Raises:
        OfAnotherVersion: another version of aipc made it.
    """
    try:
        return verify(folder, progress, called)
    except OfAnotherVersion:
        raise
    except ArtifactError as error:
        return [error.what]


def _text(manifest: Manifest) -> str:
    return json.dumps(with_hash(asdict(manifest)), indent=2, ensure_ascii=False) + "\n"


def _present(folder: Path) -> list[str]:
    """Every file and link under a folder but the manifest, relative, with slashes, sorted."""
    found = []
    for parent, folders, files in os.walk(folder):
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        found += [(Path(parent) / name).relative_to(folder).as_posix() for name in files + links]
    return sorted(name for name in found if name != FILE)


def _measure(
    folder: Path, names: Sequence[str], what: str, progress: Progress
) -> dict[str, FileFacts]:
    """Size and hash of files, four at a time: hashing leaves the interpreter's lock free."""
    from concurrent.futures import ThreadPoolExecutor  # at use: it is slow to import

    if not names:
        return {}
    sizes = {name: (folder / name).stat().st_size for name in names}
    meter = Meter(progress, what, sum(sizes.values()))
    with ThreadPoolExecutor(max_workers=4) as pool:
        hashes = pool.map(lambda name: sha256(folder / name, meter.add), sizes)
        return {
            name: FileFacts(sizes[name], sha256) for name, sha256 in zip(sizes, hashes, strict=True)
        }


def _misfit(folder: Path, name: str, facts: FileFacts) -> str | None:
    """What is wrong with a file, as far as can be seen without reading it."""
    try:
        status = (folder / name).lstat()
    except OSError:
        return "missing"
    inner = PurePosixPath(name).parents[:-1]
    if not stat.S_ISREG(status.st_mode) or any((folder / parent).is_symlink() for parent in inner):
        return "not a plain file"
    if status.st_size != facts.size:
        return f"{status.st_size} bytes, the manifest has {facts.size}"
    return None


def _is_safe(name: str) -> bool:
    """Whether a name stays inside its folder, on every platform."""
    parts = PurePosixPath(name).parts
    return (
        bool(name)
        and name.isprintable()
        and not set(name) & set('\\:*?"<>|')
        and name == "/".join(parts)
        and not name.startswith("/")
        and ".." not in parts
        and all(map(disk.is_portable, parts))
        and name != FILE
    )


def _are_one(names: Collection[str]) -> bool:
    """Whether some of them are one file on Windows and macOS, where it would never be whole."""
    return len({name.casefold() for name in names}) != len(names)


def _load(path: Path) -> bytes:
    if path.is_symlink():
        raise ValueError("it is a link")
    with path.open("rb") as file:
        return file.read(LONGEST + 1)


def _parse(table: Any) -> Manifest:
    _expect(isinstance(table, dict), "it is no JSON object")
    _expect(
        table.get("schema") == SCHEMA, f"its schema is {_short(table.get('schema'))}, not {SCHEMA}"
    )
    _expect(table.get("kind") in get_args(Kind), f"its kind is {_short(table.get('kind'))}")
    for key, wanted in (("name", str), ("created", str), ("facts", dict), ("files", dict)):
        _expect(isinstance(table.get(key), wanted), f"its '{key}' is missing or of a wrong type")
    _expect(table["name"].isprintable(), "its name is not printable")
    datetime.fromisoformat(table["created"])
    _check_facts(table["facts"])
    files = {name: _parse_file(name, facts) for name, facts in table["files"].items()}
    _expect(bool(files), "it lists no files")
    _expect(not _are_one(files), "it lists a name twice")
    without_hash(table)  # earlier versions had none
    kind = cast("Kind", table["kind"])
    return Manifest(kind, table["name"], table["facts"], files, table["created"])


def _is_of_another_version(table: Any) -> bool:
    """Whether it is whole, and of a schema that is not this one's."""
    schema = table.get("schema") if isinstance(table, dict) else None
    if type(schema) is not int or schema == SCHEMA:
        return False
    with suppress(Misfit):
        return "hash" in table and bool(without_hash(table))
    return False


def _check_facts(facts: Mapping[str, Any]) -> None:
    """Facts are free, but those that are read have a type."""
    for key, wanted in _FACTS.items():
        _expect(
            isinstance(facts.get(key, wanted()), wanted), f"its fact '{key}' is of a wrong type"
        )


def _parse_file(name: str, facts: Any) -> FileFacts:
    _expect(_is_safe(name), f"it lists a file outside its folder: {_short(name)}")
    _expect(isinstance(facts, dict), f"its entry for '{name}' is no object")
    size, sha256 = facts.get("size"), facts.get("sha256")
    _expect(type(size) is int and size >= 0, f"its size of '{name}' is {_short(size)}")
    is_hash = isinstance(sha256, str) and _SHA256.fullmatch(sha256) is not None
    _expect(is_hash, f"its sha256 of '{name}' is {_short(sha256)}")
    return FileFacts(size, sha256)


def _expect(is_so: bool, otherwise: str) -> None:
    if not is_so:
        raise ValueError(otherwise)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:60] + "…"


def _unusable(folder: str, error: Exception) -> ArtifactError:
    fix = "make the folder again, or remove it"
    return ArtifactError(f"'{folder}' has no usable {FILE} ({_reason(error)})", fix)


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is none"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return str(error)
