"""The lines of a batch's input, all checked before the first is asked.

A line is a JSON object as OpenAI's batches have it: ``custom_id``, ``method`` (POST), ``url`` and
``body``.  The file is read once from its beginning to its end, one line at a time; what is kept of
a line is its entry in the index.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from heapq import merge
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from aipc import disk, units
from aipc.batch.input.line_index import Fault, FaultLog, LineEntry, LineIndex
from aipc.errors import AipcError, BatchError, UsageError, quoted
from aipc.generate.request import GenerationRequest
from aipc.progress import Progress, silent
from aipc.wire import strict_json
from aipc.wire.errors import HTTPError, http_error
from aipc.wire.openai.urls import begin

MAX_LINE = 4 * 2**20
"""Bytes, as of a request's body."""
TOO_LONG = f"it is longer than {MAX_LINE:,} bytes"
MAX_ID = 512
"""Characters."""
_MEMBERS = {"custom_id", "method", "url", "body"}
_PROMPT = ("tools", "instructions", "messages", "prompt", "input")
"""Members that the model's prompt is made of, in its order."""
_PREFIXES = ((256, 32), (1024, 16), (4096, 16))
"""Bytes that are compared, and bits of the key for each; the shortest first."""
_INDEX = re.compile(r"\[\d+\]")
_BYTES_A_TOKEN = 4
_LIMIT, _MOST_TOKENS = 1024, 2**17
"""Of an answer that states no limit, and for one whose limit is the context."""
_MOST_SHOWN, _LONGEST_MESSAGE = 20, 300
_MEND = "mend them, or leave them out with --skip-invalid"


@dataclass(frozen=True, slots=True)
class Line:
    """``body`` is JSON; the members that its prompt is made of come first."""

    number: int
    custom_id: str
    url: str
    model: str
    body: bytes


@dataclass(frozen=True)
class CheckedInput:
    """A batch's input: ``entries`` of the lines that can be asked, ``faults`` of the others.

    ``sha256`` is that of the whole file, in hexadecimal; ``model`` answers every line, whatever
    its body names; None where the bodies' own count.  ``ignored`` has the members of bodies that
    were taken and have no effect, with the number of lines; in a path, any index is "[]".
    """

    path: Path
    sha256: str
    entries: LineIndex
    faults: FaultLog
    model: str | None = None
    ignored: Mapping[str, int] = field(default_factory=dict)

    def read(self, entry: LineEntry) -> Line:
        """The line of an entry.

        Raises:
            BatchError: it is not what was checked any more, or can't be read.
        """
        with reading(self.path), self.path.open("rb") as file:
            file.seek(entry.offset)
            raw = file.read(entry.length)
        if zlib.crc32(raw) != entry.crc:
            what = f"line {entry.number} of '{self.path}' has changed since it was checked"
            raise BatchError(what, "leave the input as it is while its batch runs")
        members = json.loads(raw.decode("utf-8-sig"))
        body = _body(members["body"], self.model)
        return Line(entry.number, entry.custom_id, entry.url, entry.model, body)


def check_input(
    path: Path,
    model: str | None = None,
    *,
    skip_invalid: bool = False,
    found: Iterable[Fault] = (),
    shown: Path | None = None,
    progress: Progress = silent,
) -> CheckedInput:
    """Read all lines.

    ``found`` are faults that are known, by number; ``shown`` is how a user calls the file.

    Raises:
        UsageError: lines that can't be asked, each with its number, unless ``skip_invalid``; or
            no line at all.
        BatchError: the file can't be read.
    """
    check = _Check(model)
    with reading(path):
        sha256 = check.read_all(path, progress)
    faults = check.end(found)
    if faults and not skip_invalid:
        raise UsageError(_listed(faults, shown or path), _MEND)
    if not faults and not len(check.index):
        raise UsageError(f"'{shown or path}' has no line", "give one request a line")
    return CheckedInput(path, sha256, check.index, faults, model, check.ignored)


def reading(path: Path) -> AbstractContextManager[None]:
    """Errors of reading the input are told in one line."""
    return disk.told(BatchError, f"can't read '{path}'", "check its path")


class _Check:
    def __init__(self, model: str | None) -> None:
        self.index = LineIndex()
        self.ignored = Counter[str]()
        self._model = model
        self._faults = FaultLog()

    def read_all(self, path: Path, progress: Progress) -> str:
        digest = hashlib.sha256()
        total = path.stat().st_size
        with path.open("rb") as file:
            for number, offset, raw in raw_lines(file, digest.update):
                if raw is None:
                    self._faults.add(Fault(number, None, TOO_LONG))
                elif raw.strip():
                    self._line(number, offset, raw)
                progress("checking the input", offset, total)
        progress("checking the input", total, total)
        return digest.hexdigest()

    def end(self, found: Iterable[Fault]) -> FaultLog:
        """All faults, those ``found`` before among them, by number."""
        doubles = (
            Fault(number, custom_id, f"its custom_id is that of line {first} too")
            for number, first, custom_id in self.index.seal()
        )
        return FaultLog(merge(found, self._faults, doubles, key=lambda fault: fault.number))

    def _line(self, number: int, offset: int, raw: bytes) -> None:
        custom_id = None
        request = None
        try:
            members = _members(raw)
            custom_id = _id_of(members)
            request = _Request(members, self._model)
        except (HTTPError, AipcError) as error:
            told = http_error(error)
            message = told.message[:_LONGEST_MESSAGE]
            self._faults.add(Fault(number, custom_id, message, told.param))
        if custom_id is None:
            return
        entry = LineEntry(number, offset, len(raw), zlib.crc32(raw), custom_id)
        if request is not None:
            self.ignored.update({_INDEX.sub("[]", path) for path in request.ignored})
            entry = replace(entry, **request.facts)
        self.index.add(entry, is_valid=request is not None)


def raw_lines(
    file: BinaryIO, read: Callable[[bytes], object] = lambda _: None
) -> Iterator[tuple[int, int, bytes | None]]:
    """The number, from 1, and the offset of each line, and its bytes; None: it is too long.

    ``read`` is given all bytes.
    """
    number = offset = 0
    while raw := file.readline(MAX_LINE):
        number += 1
        length = len(raw)
        read(raw)
        yield number, offset, raw if length < MAX_LINE or raw.endswith(b"\n") else None
        while not raw.endswith(b"\n") and (raw := file.readline(MAX_LINE)):
            read(raw)
            length += len(raw)
        offset += length


def _members(raw: bytes) -> dict[str, Any]:
    try:
        members = strict_json.parse(raw)
    except HTTPError as error:  # which speaks of a request's body
        raise HTTPError(400, f"it{error.message.removeprefix('the body')}") from error
    if not isinstance(members, dict):
        raise HTTPError(400, "it is no JSON object")
    return members


def _id_of(members: Mapping[str, Any]) -> str:
    custom_id = members.get("custom_id")
    if not isinstance(custom_id, str) or not 0 < len(custom_id) <= MAX_ID:
        raise HTTPError(400, f"custom_id: should be a text of 1 to {MAX_ID} characters")
    return custom_id


class _Request:
    """What an index needs to know of a line's request.

    Raises:
        HTTPError: it can't be asked.
        AipcError: neither.
    """

    def __init__(self, members: Mapping[str, Any], model: str | None) -> None:
        url, given = _asked(members)
        body = _body(given, model)
        exchange = begin(url, body)
        if exchange.wants_frames:
            raise HTTPError(400, "stream: a batch's answers come whole; leave it out")
        self.ignored = exchange.body.ignored
        self.facts: dict[str, Any] = {
            "model": exchange.body.model,
            "url": url,
            "prefix": _prefix(body),
            "expected_tokens": _expected_tokens(body, exchange.requests),
        }


def _asked(members: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The url and the body of a line."""
    unknown = sorted(set(members) - _MEMBERS)
    if unknown:
        raise HTTPError(400, f"{quoted(unknown[0])} is no member of a line")
    if members.get("method") != "POST":
        raise HTTPError(400, "method: should be POST")
    url, body = members.get("url"), members.get("body")
    if not isinstance(url, str):
        raise HTTPError(400, "url: should be a text")
    if not isinstance(body, dict):
        raise HTTPError(400, "body: should be an object")
    return url, body


def _expected_tokens(body: bytes, requests: Sequence[GenerationRequest]) -> int:
    limits = (0 if one.texts else one.sampling.get("max_new_tokens", _LIMIT) for one in requests)
    return len(body) // _BYTES_A_TOKEN + sum(min(limit, _MOST_TOKENS) for limit in limits)


def _body(given: Mapping[str, Any], model: str | None) -> bytes:
    first = {name: given[name] for name in _PROMPT if name in given}
    own = {} if model is None else {"model": model}
    members = {**first, **given, **own}
    return json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode()


def _prefix(body: bytes) -> int:
    key = 0
    for length, bits in _PREFIXES:
        key = key << bits | zlib.crc32(body[:length]) % 2**bits
    return key


def _listed(faults: FaultLog, path: Path) -> str:
    count = len(faults)
    shown = "\n".join(f"  {fault}" for fault in islice(faults, _MOST_SHOWN))
    more = count - min(count, _MOST_SHOWN)
    rest = f"\n  and {more:,} more" if more else ""
    return f"{units.count(count, 'line')} of '{path}' can't be asked:\n{shown}{rest}\n"
