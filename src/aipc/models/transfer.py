"""The bytes of one file, over HTTP, from wherever the last attempt stopped.

huggingface_hub's own download starts an interrupted file again from its first byte since
1.18 (huggingface/huggingface_hub#4306), too dear for files of gigabytes.  So its session
(proxies, certificates, offline switch) is used here with a range, and the hashes that the
hub states make sure that what was put together is right.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aipc.artifact import manifest
from aipc.artifact.manifest import Advance, FileFacts
from aipc.errors import DownloadFailed

RETRIES = 4
PAUSE_S = 1.0  # before the first retry; twice as long before each further one
PASSING = {408, 425, 429, 500, 502, 503, 504}
"""Statuses after which another attempt may succeed, as after the network's own faults."""


def package() -> Any:
    """The huggingface_hub package without telemetry, whichever module imported it first.

    It reads its environment variables when it is imported; a later change of HF_ENDPOINT or
    HF_HUB_OFFLINE counts in the functions here.  With telemetry on, 2.x fetches a list of
    programs from its server, to recognize callers by.
    """
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    import huggingface_hub
    from huggingface_hub import constants

    constants.HF_HUB_DISABLE_TELEMETRY = True
    return huggingface_hub


def endpoint() -> str:
    """The hub's address, from HF_ENDPOINT.

    Raises:
        DownloadFailed: it is no web address.
    """
    address = os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"
    if not address.startswith(("http://", "https://")):
        raise DownloadFailed(f"HF_ENDPOINT is '{address}'", "it has to begin with https://")
    return address


def headers() -> dict[str, str]:
    """Of every request: the client's name, and the user's token if there is one."""
    made: dict[str, str] = package().utils.build_hf_headers(library_name="aipc")
    return made


def timeout() -> float:
    """Seconds of silence after which an attempt is given up (HF_HUB_DOWNLOAD_TIMEOUT)."""
    return float(package().constants.HF_HUB_DOWNLOAD_TIMEOUT)


def is_offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids the network."""
    stated = os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
    return stated or bool(package().constants.HF_HUB_OFFLINE)


def http_error() -> type[Exception]:
    """The base of all that its HTTP library raises: httpx or httpx2, by version."""
    bases = package().errors.HfHubHTTPError.__bases__
    found: type[Exception] = next(base for base in bases if base is not OSError)
    return found


@dataclass(frozen=True)
class RemoteFile:
    """One file of a repository: its size in bytes and what the hub states of its contents.

    ``sha256`` is there for large files, ``git_blob`` (the id git has for it) for small ones.
    """

    name: str
    nbytes: int
    sha256: str | None
    git_blob: str | None

    @property
    def stated(self) -> str:
        """The hash to check the contents against; "" where the hub states none."""
        return self.sha256 or self.git_blob or ""


def download(url: str, file: RemoteFile, partial: Path, advance: Advance) -> None:
    """Append to ``partial`` until it has the file's size; ``advance`` receives each piece.

    Raises:
        http_error(): the hub refuses, or retries in a row brought nothing.
        DownloadFailed: the hub sends another length than it stated.
    """
    complete(
        partial,
        file.nbytes,
        append=lambda: _append(url, file, partial, advance),
        is_passing=_is_passing,
        wrong_length=_wrong_length(file),
    )


def complete(
    partial: Path,
    nbytes: int,
    *,
    append: Callable[[], None],
    is_passing: Callable[[Exception], bool],
    wrong_length: DownloadFailed,
) -> None:
    """Call ``append`` until ``partial`` has its size.

    After a break the rest is requested; retries that bring nothing are counted.

    Raises:
        Exception: what ``append`` raised and ``is_passing`` denies, or raised once too often.
        DownloadFailed: ``wrong_length``, where it ended early without an error as often.
    """
    partial.touch()
    most, failures = size(partial), 0
    while size(partial) < nbytes:
        problem: Exception = wrong_length
        try:
            append()
        except Exception as error:
            if not is_passing(error):
                raise
            problem = error
        have = size(partial)
        failures = 1 if have > most else failures + 1
        most = max(have, most)
        if failures > RETRIES:
            raise problem
        if have < nbytes:
            time.sleep(PAUSE_S * 2 ** (failures - 1))


def keep(
    pieces: Iterable[bytes],
    start: int,
    partial: Path,
    nbytes: int,
    *,
    advance: Advance,
    wrong_length: DownloadFailed,
) -> None:
    """Write ``pieces`` into ``partial`` from byte ``start`` on, in place of what is there.

    Raises:
        DownloadFailed: ``wrong_length``, before a byte beyond ``nbytes`` is kept.
    """
    advance(start - size(partial))
    with partial.open("ab") as stream:
        stream.truncate(start)
        for piece in pieces:
            start += len(piece)
            if start > nbytes:
                raise wrong_length
            stream.write(piece)
            advance(len(piece))


def facts_of(file: RemoteFile, path: Path) -> FileFacts | None:
    """Size and SHA-256 of a downloaded file; None when it is not what the hub stated."""
    if not path.is_file() or size(path) != file.nbytes:
        return None
    sha256 = manifest.sha256(path)
    found = sha256 if file.sha256 else manifest.git_blob(path)
    return FileFacts(file.nbytes, sha256) if found == file.stated else None


def size(path: Path) -> int:
    """Bytes of a file, 0 where there is none."""
    return path.stat().st_size if path.is_file() else 0


def _append(url: str, file: RemoteFile, partial: Path, advance: Advance) -> None:
    have = size(partial)
    sent = {**headers(), "Accept-Encoding": "identity"}
    if have:
        sent["Range"] = f"bytes={have}-"
    session = package().get_session()
    with session.stream("GET", url, headers=sent, timeout=timeout()) as response:
        if response.status_code == 416:
            raise _wrong_length(file)
        response.raise_for_status()
        _write(response, file, partial, have, advance)


def _write(response: Any, file: RemoteFile, partial: Path, have: int, advance: Advance) -> None:
    start = have if response.status_code == 206 else 0
    if start and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
        raise DownloadFailed(
            f"the hub sent another part of '{file.name}' than requested", "run the command again"
        )
    pieces, wrong = response.iter_bytes(), _wrong_length(file)
    keep(pieces, start, partial, file.nbytes, advance=advance, wrong_length=wrong)


def _is_passing(error: Exception) -> bool:
    response = getattr(error, "response", None)
    is_answer = response is not None and response.status_code not in PASSING
    return isinstance(error, http_error()) and not is_answer


def _wrong_length(file: RemoteFile) -> DownloadFailed:
    what = f"the hub does not send '{file.name}' in the {file.nbytes} bytes that it stated"
    return DownloadFailed(what, "run the command again")
