"""What is kept in memory of a batch's input: where each line stands, or why it can't be asked.

A line takes some 60 bytes and its id.
"""

from __future__ import annotations

import json
import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, overload

import numpy as np

from aipc.errors import quoted

_CODES = {
    "number": "I",
    "offset": "Q",
    "length": "I",
    "crc": "I",
    "target": "I",
    "prefix": "Q",
    "expected_tokens": "I",
    "id_hash": "Q",
    "id_start": "Q",
    "id_length": "H",
    "is_valid": "B",
}
_FAULTS_A_PACK = 1000
Column = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class LineEntry:
    """``number`` counts from 1; ``offset`` and ``length`` are bytes, the line's end included.

    ``crc`` is the CRC-32 of these bytes; ``prefix`` is near that of lines whose prompts begin
    alike; ``expected_tokens`` are those of the prompt and of the longest answer, about.
    """

    number: int
    offset: int
    length: int
    crc: int
    custom_id: str
    model: str = ""
    url: str = ""
    prefix: int = 0
    expected_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a line can't be asked; ``custom_id`` and the member at fault where they are known."""

    number: int
    custom_id: str | None
    message: str
    param: str | None = None

    def __str__(self) -> str:
        who = "" if self.custom_id is None else f" ({quoted(self.custom_id)})"
        return f"line {self.number}{who}: {self.message}"


class FaultLog:
    """Faults in the order in which they were added, packed: however many, none is lost.

    A million lines of one kind of fault take a few bytes each, as other texts do no more than their
    lines in the file.
    """

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._packed: list[bytes] = []
        self._last: list[Fault] = []
        self._count = 0
        for fault in faults:
            self.add(fault)

    def add(self, fault: Fault) -> None:
        self._last.append(fault)
        self._count += 1
        if len(self._last) == _FAULTS_A_PACK:
            rows = [(one.number, one.custom_id, one.message, one.param) for one in self._last]
            self._packed.append(zlib.compress(json.dumps(rows).encode()))
            self._last.clear()

    @property
    def nbytes(self) -> int:
        """Of those that are packed."""
        return sum(map(len, self._packed))

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Fault]:
        for pack in self._packed:
            for row in json.loads(zlib.decompress(pack)):
                yield Fault(*row)
        yield from self._last


class LineIndex(Sequence[LineEntry]):
    """The entries in the input's order, held by columns and made when they are asked for.

    Lines are added first; after `seal` there are those that are valid.
    """

    def __init__(self) -> None:
        self._columns: dict[str, Any] = {name: array(code) for name, code in _CODES.items()}
        self._ids = bytearray()
        self._targets: dict[tuple[str, str], int] = {}
        self._by_hash: Column = np.empty(0, np.int64)

    def add(self, entry: LineEntry, *, is_valid: bool = True) -> None:
        """An invalid line's id is taken all the same."""
        custom_id = entry.custom_id.encode()
        values = {
            "number": entry.number,
            "offset": entry.offset,
            "length": entry.length,
            "crc": entry.crc,
            "target": self._targets.setdefault((entry.model, entry.url), len(self._targets)),
            "prefix": entry.prefix,
            "expected_tokens": entry.expected_tokens,
            "id_hash": _hash(custom_id),
            "id_start": len(self._ids),
            "id_length": len(custom_id),
            "is_valid": is_valid,
        }
        for name, value in values.items():
            self._columns[name].append(value)
        self._ids += custom_id

    def seal(self) -> list[tuple[int, int, str]]:
        """Drop what is invalid, and valid lines whose id an earlier one has.

        Returns the number of each of the latter, that of the first line, and the id.
        """
        for name, column in self._columns.items():
            self._columns[name] = np.array(column)
        is_valid = self._columns["is_valid"].astype(bool)
        doubles = [(later, first) for later, first in self._doubles() if is_valid[later]]
        is_valid[[later for later, _ in doubles]] = False
        number = self._columns["number"]
        told = [(int(number[at]), int(number[to]), self._id(at)) for at, to in doubles]
        self._columns = {name: column[is_valid] for name, column in self._columns.items()}
        self._by_hash = np.argsort(self._columns["id_hash"], kind="stable")
        return sorted(told)

    def _doubles(self) -> list[tuple[int, int]]:
        """Positions of lines and of the first one that has the same id."""
        hashes = self._columns["id_hash"]
        order = np.argsort(hashes, kind="stable")
        same = np.flatnonzero(hashes[order[1:]] == hashes[order[:-1]]) + 1
        firsts: dict[str, int] = {}
        doubles = []
        for at in same:
            before, position = int(order[at - 1]), int(order[at])
            firsts.setdefault(self._id(before), before)
            first = firsts.setdefault(self._id(position), position)
            if first != position:
                doubles.append((position, first))
        return doubles

    def find(self, custom_id: str) -> int | None:
        """The position of the line with an id."""
        hashes = self._columns["id_hash"]
        wanted = np.uint64(_hash(custom_id.encode()))
        at = int(np.searchsorted(hashes, wanted, sorter=self._by_hash))
        while at < len(hashes) and hashes[self._by_hash[at]] == wanted:
            position = int(self._by_hash[at])
            if self._id(position) == custom_id:
                return position
            at += 1
        return None

    def column(self, name: str) -> Column:
        """One field of all entries; ``target`` numbers their models and urls."""
        return np.asarray(self._columns[name])

    @property
    def targets(self) -> list[tuple[str, str]]:
        """Each model and url, in the order in which they come first."""
        return list(self._targets)

    @property
    def nbytes(self) -> int:
        columns = sum(column.nbytes for column in self._columns.values())
        return int(columns + len(self._ids) + self._by_hash.nbytes)

    def __len__(self) -> int:
        return len(self._columns["number"])

    @overload
    def __getitem__(self, at: int) -> LineEntry: ...
    @overload
    def __getitem__(self, at: slice) -> list[LineEntry]: ...
    def __getitem__(self, at: int | slice) -> LineEntry | list[LineEntry]:
        if isinstance(at, slice):
            return [self[position] for position in range(*at.indices(len(self)))]
        if not -len(self) <= at < len(self):
            raise IndexError(at)
        row = {name: int(column[at]) for name, column in self._columns.items()}
        model, url = self.targets[row["target"]]
        return LineEntry(
            number=row["number"],
            offset=row["offset"],
            length=row["length"],
            crc=row["crc"],
            custom_id=self._id(at),
            model=model,
            url=url,
            prefix=row["prefix"],
            expected_tokens=row["expected_tokens"],
        )

    def _id(self, at: int) -> str:
        start = int(self._columns["id_start"][at])
        return self._ids[start : start + int(self._columns["id_length"][at])].decode()


class SomeEntries(Sequence[LineEntry]):
    """The entries at ``positions``, in that order; made when they are asked for as well."""

    def __init__(self, entries: Sequence[LineEntry], positions: Column) -> None:
        self._entries = entries
        self._positions = positions

    def __len__(self) -> int:
        return len(self._positions)

    @overload
    def __getitem__(self, at: int) -> LineEntry: ...
    @overload
    def __getitem__(self, at: slice) -> SomeEntries: ...
    def __getitem__(self, at: int | slice) -> LineEntry | SomeEntries:
        if isinstance(at, slice):
            return SomeEntries(self._entries, self._positions[at])
        return self._entries[int(self._positions[at])]


def _hash(custom_id: bytes) -> int:
    """Of 64 bits; unlike Python's own it is the same in every process that is given an index."""
    return int.from_bytes(blake2b(custom_id, digest_size=8).digest(), "little")
