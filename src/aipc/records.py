"""What is kept on the disk as JSON: objects, frozen dataclasses, and values cached under a key.

A file that is replaced is whole at any moment: a crash leaves the old one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import re
import secrets
import time
import types
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from aipc import disk
from aipc.errors import (
    FETCH_AGAIN,
    LFS_POINTER,
    MeasurementError,
    damaged,
    pointer,
    quoted,
    unreadable,
)

T = TypeVar("T")

LIMIT = 16 * 2**20
"""Bytes; the largest index on the hub has 9 million."""
_HOUR_S = 3600
_DRAFT = re.compile(r"\.(.+)\.[0-9a-f]{16}\.part", re.DOTALL)


def read_object(path: Path, limit: int | None = None) -> dict[str, Any]:
    """Read one JSON object of at most ``limit`` bytes, or else `LIMIT`.

    Raises:
        CheckpointError: unreadable, larger, no JSON, or no object.
    """
    return parse_object(path, read_bytes(path, LIMIT if limit is None else limit))


def read_bytes(path: Path, limit: int) -> bytes:
    """Read a whole file of at most ``limit`` bytes.

    Raises:
        CheckpointError: unreadable, or larger.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise unreadable(path, error) from error
    if len(data) > limit:
        raise damaged(path, f"it has more than {limit} bytes")
    return data


def read_text(path: Path, limit: int) -> str:
    """`read_bytes` of UTF-8, with its errors, as they are also for what is none."""
    try:
        return read_bytes(path, limit).decode("utf-8")
    except UnicodeDecodeError as error:
        raise damaged(path, "not UTF-8") from error


def parse_object(path: Path, data: bytes) -> dict[str, Any]:
    """Parse UTF-8 bytes that stand in ``path`` as one JSON object; a repeated key is refused."""
    if data.startswith(LFS_POINTER):
        raise pointer(path)
    if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        raise damaged(path, "it is written in UTF-16", "save it as UTF-8")
    try:
        # some editors put a mark before the text
        parsed = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_unique)
    except _Repeated as error:
        fix = f"remove one of the two, or {FETCH_AGAIN}"
        raise damaged(path, f"the key {quoted(str(error))} stands twice", fix) from error
    except (ValueError, RecursionError) as error:
        fix = f"correct it, or {FETCH_AGAIN}" if path.suffix == ".json" else FETCH_AGAIN
        raise damaged(path, f"not JSON ({_parse_reason(error)})", fix) from error
    if not isinstance(parsed, dict):
        raise damaged(path, "it is no JSON object")
    return parsed


def write_object(path: Path, content: Mapping[str, Any]) -> None:
    """Write readable JSON with LF line ends, the same bytes on every system, as `finite`."""
    text = json.dumps(finite(content), indent=2, allow_nan=False)
    path.write_bytes((text + "\n").encode("ascii"))


def finite(content: Mapping[str, Any]) -> dict[str, Any]:
    """Without NaN and Infinity, which Python writes and no other reader of JSON takes.

    Such a member is left out, such an item of a list becomes None.
    """
    return {key: _finite(value) for key, value in content.items() if not _is_infinite(value)}


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return finite(value)
    if isinstance(value, list):
        return [None if _is_infinite(one) else _finite(one) for one in value]
    return value


def _is_infinite(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """A new file beside ``file`` to be written, which then takes its place in one step.

    Without an error the draft replaces ``file``; with one it is removed, and ``file`` stays as it
    is.  Several processes, threads and machines may do so at once.  A process that is killed leaves
    its draft: `drafted` recognizes it, and the next one here removes it an hour later.

    Raises:
        OSError: the disk's.
    """
    with _drafting(file) as draft:
        yield draft
        disk.rename(draft, file)


@contextmanager
def _drafting(file: Path) -> Iterator[Path]:
    file.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(file.parent)
    # two nodes may share a folder, and containers have the same process ids
    draft = file.with_name(f".{file.name}.{secrets.token_hex(8)}.part")
    try:
        yield draft
    finally:
        with suppress(OSError):  # it goes later
            draft.unlink(missing_ok=True)


def _remove_abandoned(folder: Path) -> None:
    """Remove drafts to which nobody has written for an hour."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            is_draft = _DRAFT.fullmatch(entry.name) is not None
            if is_draft and time.time() - entry.stat().st_mtime > _HOUR_S:
                Path(entry.path).unlink(missing_ok=True)


def drafted(name: str) -> str:
    """The name of the file that one of this name is a draft of; else ``name``."""
    match = _DRAFT.fullmatch(name)
    return match[1] if match else name


def replace_bytes(file: Path, pieces: Iterable[bytes], *, is_private: bool = False) -> None:
    """Write ``pieces`` in place of what ``file`` holds; see `replacing`.

    They are on the disk before they take its place.  ``is_private``: only this user can read it.

    Raises:
        OSError: the disk's.
    """
    with replacing(file) as draft:
        _write_bytes(draft, pieces, is_private=is_private)


def _write_bytes(draft: Path, pieces: Iterable[bytes], *, is_private: bool = False) -> None:
    with disk.create_private(draft) if is_private else draft.open("xb") as opened:
        opened.writelines(pieces)
        opened.flush()
        os.fsync(opened.fileno())


def replace_text(file: Path, text: str) -> None:
    """`replace_bytes` of UTF-8."""
    replace_bytes(file, [text.encode()])


def replace_private(file: Path, text: str) -> None:
    """`replace_text`, so that only this user can read it."""
    replace_bytes(file, [text.encode()], is_private=True)


def key_of(identity: Any) -> str:
    """Names, in hexadecimal, everything that a cached value holds for: plain JSON data."""
    text = json.dumps(identity, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def hashed(value: Any) -> dict[str, Any]:
    """Plain JSON data with its hash, as `unhashed` takes it apart."""
    return {"value": value, "hash": key_of(value)}


def unhashed(text: str) -> Any:
    """The value that `hashed` was given, out of JSON.

    Raises:
        ValueError: it is damaged.
    """
    return _with_value(text)["value"]


def _with_value(text: str) -> dict[str, Any]:
    """An object that has what `hashed` gave; errors are those of `unhashed`."""
    try:
        table: dict[str, Any] = json.loads(text)
        is_whole = key_of(table["value"]) == table["hash"]
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError("it is no value with its hash") from error
    if not is_whole:
        raise ValueError("its hash is another's")
    return table


def with_hash(table: Mapping[str, Any]) -> dict[str, Any]:
    """An object of plain JSON data with a member ``hash`` of all others, for `without_hash`."""
    return {**table, "hash": key_of(table)}


def without_hash(table: Mapping[str, Any]) -> dict[str, Any]:
    """An object without its member ``hash``, which is that of all others; it need not be there.

    Raises:
        Misfit: it is another's: a member was changed.
    """
    others = {key: value for key, value in table.items() if key != "hash"}
    if "hash" in table and table["hash"] != key_of(others):
        raise Misfit("it was changed")
    return others


class JsonCache:
    """JSON values in a folder, each kept under all that it holds for (its ``identity``).

    What can't be read, or is not what was kept, is not there; what can't be written is found out
    again the next time: a full disk costs the memory of it, not the answer.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, identity: Any) -> Any:
        """The value; None where there is none."""
        try:
            table = _with_value(self._file(identity).read_text("utf-8"))
            # by the text: JSON makes tuples lists
            is_it = key_of(table["identity"]) == key_of(identity)
        except (OSError, ValueError, KeyError):
            return None
        return table["value"] if is_it else None

    def keep(self, identity: Any, value: Any) -> None:
        plainly = json.loads(json.dumps(value, default=str))
        table = {"identity": identity, **hashed(plainly)}
        text = json.dumps(table, default=str) + "\n"
        with suppress(OSError):
            replace_text(self._file(identity), text)

    def _file(self, identity: Any) -> Path:
        return self._folder / f"{key_of(identity)}.json"


class Misfit(ValueError):
    """Data that is not as the dataclass declares it; says where and how."""


def plain(instance: Any) -> dict[str, Any]:
    """A dataclass as JSON has it: lists, mappings, numbers, texts, null."""
    return dataclasses.asdict(instance)


def write(instance: Any, file: Path) -> None:
    """Write a dataclass to a new file, folders included, with a hash for `without_hash`.

    Raises:
        MeasurementError: there is one of that name already, or the disk refuses it.
    """
    kept = with_hash(plain(instance))
    text = json.dumps(kept, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_new(file, text, "results are never overwritten: choose another name")


def write_new(file: Path, text: str, if_there: str) -> None:
    """Write a new file, folders included; ``if_there`` is what to do where there is one.

    It appears whole or not at all.

    Raises:
        MeasurementError: there is one of that name already, or the disk refuses it.
    """
    with disk.explained(file, MeasurementError, len(text)):
        try:
            with _drafting(file) as draft:
                _write_bytes(draft, [text.encode()])
                disk.rename_new(draft, file)
        except FileExistsError as error:
            raise MeasurementError(f"'{file}' exists already", if_there) from error


def read(kind: type[T], data: Any, where: str = "") -> T:
    """Build the dataclass ``kind`` from parsed JSON.

    A field with a default may be left out; an unknown field is an error.

    Raises:
        Misfit: naming the field by its path, as in "cases[2].times".
    """
    if not isinstance(data, Mapping):
        raise Misfit(f"{where or 'it'} is {_short(data)}, not an object")
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(data) - set(fields))
    if unknown:
        raise Misfit(f"{_path(where, unknown[0])} is not known")
    lacking = [name for name, field in fields.items() if name not in data and _is_needed(field)]
    if lacking:
        raise Misfit(f"{_path(where, lacking[0])} is missing")
    hints = get_type_hints(kind)
    return kind(**{name: _value(hints[name], data[name], _path(where, name)) for name in data})


def _value(hint: Any, data: Any, where: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return None if data is None else _value(get_args(hint)[0], data, where)
    if origin is tuple:
        return _sequence(get_args(hint)[0], data, where)
    if origin is not None:
        return _mapping(get_args(hint)[1], data, where)
    if dataclasses.is_dataclass(hint):
        return read(hint, data, where)  # type: ignore[arg-type]
    return data if hint is Any else _simple(hint, data, where)


def _sequence(item: Any, data: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(data, list):
        raise Misfit(f"{where} is {_short(data)}, not a list")
    return tuple(_value(item, entry, f"{where}[{at}]") for at, entry in enumerate(data))


def _mapping(item: Any, data: Any, where: str) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        raise Misfit(f"{where} is {_short(data)}, not an object")
    return {name: _value(item, entry, f"{where}.{name}") for name, entry in data.items()}


def _simple(kind: type, data: Any, where: str) -> Any:
    """JSON has no difference between 1 and 1.0; a boolean is no number."""
    allowed = (int, float) if kind is float else (kind,)
    if not isinstance(data, allowed) or (isinstance(data, bool) and kind is not bool):
        raise Misfit(f"{where} is {_short(data)}, not {kind.__name__}")
    return kind(data)


def _is_needed(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return field.default is missing and field.default_factory is missing


def _path(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:40] + "…"


class _Repeated(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        counts = Counter(name for name, _ in pairs)
        raise _Repeated(counts.most_common(1)[0][0])
    return content


def _parse_reason(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)
