"""Files by their names, out of a folder elsewhere: a web server's, a shared path, an fsspec URL.

Nothing is listed, so any server of files will do.  No credentials are sent: a server that wants
some is refused.  HTTP is the standard library's, which trusts the certificates that the system
does, a company's own among them; huggingface_hub's session, which sends its token, is not used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from http.client import HTTPException, HTTPMessage, IncompleteRead
from pathlib import Path
from typing import IO, Any, Protocol
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import aipc
from aipc.errors import AccessDenied, DownloadFailed, UsageError
from aipc.models.transfer import PASSING

SILENCE_S = 30.0
"""After which an attempt is given up."""
_CHUNK = 1 << 20
_LOGIN = re.compile(r"(?<=://)[^/@\s]*@")


class Interrupted(Exception):
    """It was cut off, or did not answer; another attempt may succeed."""


class RemoteFolder(Protocol):
    @property
    def address(self) -> str:
        """As the user gave it."""

    def opened(self, name: str, start: int = 0) -> AbstractContextManager[Part]:
        """A file from byte ``start`` on, or from its first where that can't be had.

        Raises:
            FileNotFoundError: there is no such file.
            Interrupted: for now.
            AccessDenied: this user may not read it.
            DownloadFailed: for good.
        """


class Part:
    """The bytes of a file from byte ``start`` on; ``read`` gives up to so many of them."""

    def __init__(self, start: int, read: Callable[[int], bytes]) -> None:
        self.start = start
        self._read = read

    def pieces(self) -> Iterator[bytes]:
        """All of them, in turn.

        Raises:
            Interrupted: the rest does not come.
        """
        while piece := self.read(_CHUNK):
            yield piece

    def read(self, most: int) -> bytes:
        try:
            return self._read(most)
        except (OSError, HTTPException) as error:
            raise Interrupted(_reason(error)) from error


def open_folder(address: str) -> RemoteFolder:
    """The folder that a web address, a path or an fsspec URL leads to; nothing is read yet.

    Raises:
        UsageError: it is no such address, or its protocol's package is not installed.
    """
    scheme, mark, _ = address.partition("://")
    if not mark:
        return _shared(address)
    if scheme.lower() in {"http", "https"}:
        return _Web(address)
    return _files_by_fsspec(address)


class _Files:
    """What opens as a file does."""

    def __init__(self, address: str, open_file: Callable[[str], Any]) -> None:
        self.address = address
        self._open = open_file

    @contextmanager
    def opened(self, name: str, start: int = 0) -> Iterator[Part]:
        try:
            stream = self._open(name)
            stream.seek(start)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise FileNotFoundError(name) from error
        except PermissionError as error:
            what = f"'{self.address}' does not let you read '{name}'"
            raise AccessDenied(what, "check who may read it") from error
        except OSError as error:
            raise Interrupted(_reason(error)) from error
        with stream:
            yield Part(start, stream.read)


class _Web:
    """A folder of a web server."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        if not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc:
            what = f"'{without_logins(address)}' is no address of a folder"
            raise UsageError(what, "give http://HOST[:PORT]/FOLDER, without a login or a query")
        self.address = address
        self._opener = build_opener(_SameHost)

    @contextmanager
    def opened(self, name: str, start: int = 0) -> Iterator[Part]:
        headers = {"User-Agent": f"aipc/{aipc.__version__}", "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        request = Request(f"{self.address.rstrip('/')}/{quote(name)}", headers=headers)  # noqa: S310 - http alone
        try:
            response = self._opener.open(request, timeout=SILENCE_S)
        except HTTPError as refused:
            refused.close()
            raise self._refusal(name, refused.code) from refused
        except (OSError, HTTPException) as error:
            raise Interrupted(_reason(error)) from error
        with response:
            yield Part(self._start(response, name, start), partial(_read, response))

    def _start(self, response: Any, name: str, start: int) -> int:
        if response.status != 206:
            return 0
        if not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            what = f"'{self.address}' sent another part of '{name}' than requested"
            raise DownloadFailed(what, "run the command again")
        return start

    def _refusal(self, name: str, status: int) -> Exception:
        if status in {404, 410}:
            return FileNotFoundError(name)
        if status in PASSING:
            return Interrupted(f"it answers {status}")
        if status in {401, 403, 407}:
            what = f"'{self.address}' does not let you read '{name}' ({status})"
            return AccessDenied(what, "a mirror has to be readable without a login")
        return DownloadFailed(f"'{self.address}' answers {status} for '{name}'", "check the server")


def _read(response: Any, most: int) -> bytes:
    """As its own `read`, which takes a connection that was cut for the end."""
    piece: bytes = response.read(most)
    if not piece and response.length:
        raise IncompleteRead(piece, response.length)
    return piece


class _SameHost(HTTPRedirectHandler):
    """Follows a server to other paths of its own, and nowhere else."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if (old.scheme, old.netloc) != (new.scheme, new.netloc):
            what = f"'{old.netloc}' sends on to '{new.scheme}://{new.netloc}', which was not named"
            raise DownloadFailed(what, "if that is the mirror, give its address")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _shared(address: str) -> RemoteFolder:
    root = Path(address).expanduser()
    if not root.is_dir():
        fix = "check the path, and that what it lies on is mounted"
        raise UsageError(f"there is no folder '{address}'", fix)
    return _Files(address, lambda name: (root / name).open("rb"))


def by_fsspec(address: str, otherwise: str) -> tuple[Any, str]:
    """The file system that fsspec has for a URL or path, and the path in it.

    ``otherwise`` is what else the user may give.

    Raises:
        UsageError: it is no such address, or its protocol's package is not installed.
    """
    from fsspec.core import url_to_fs

    try:
        system, root = url_to_fs(address)
    except ImportError as missing:
        what = f"'{without_logins(address)}' needs a package of its own ({missing})"
        raise UsageError(what, f"install it beside aipc, or give {otherwise}") from missing
    except ValueError as unknown:
        what = without_logins(f"'{address}' is no address of a folder ({unknown})")
        raise UsageError(what, f"give {otherwise}, or a URL that fsspec knows") from unknown
    return system, root


def _files_by_fsspec(address: str) -> RemoteFolder:
    system, root = by_fsspec(address, "http://, https:// or a path")

    def open_file(name: str) -> Any:
        try:
            return system.open(f"{root.rstrip('/')}/{name}", "rb")
        except OSError:
            raise
        except Exception as error:  # what the protocol's package has of its own
            what = f"'{without_logins(address)}' can't be opened ({type(error).__name__}: {error})"
            raise DownloadFailed(
                what, "check the address and what the package is set to"
            ) from error

    return _Files(without_logins(address), open_file)


def without_logins(text: str) -> str:
    """A text for people, in whose URLs nobody's name and password stand."""
    return _LOGIN.sub("", text)


def _reason(error: Exception) -> str:
    cause = getattr(error, "reason", None) or error
    return str(getattr(cause, "strerror", None) or cause or type(error).__name__)
