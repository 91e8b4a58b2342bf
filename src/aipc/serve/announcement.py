"""How this user's own programs find a running server: a file in the store that nobody else reads.

    HOME/servers/PID.json

It holds the server's address and a token made for that run of it.  Who can read the token is this
user.  A port may be another program's by now, so the token is not sent before what answers there
has shown that it knows it: of a random number that the client chooses, and of the address that
the client reached, it makes a keyed hash.  With the address in it, the hash of a server at one
address is of no use to a program at another that passes the question on.
"""

from __future__ import annotations

import hmac
import json
import os
import platform
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aipc
from aipc.disk import create_private, private_folder
from aipc.progress import Notify
from aipc.records import plain, read, replacing
from aipc.serve.http.binding import Binding
from aipc.session_status import is_running, process_started

PROOF = "/api/proof/"
"""Start of the path of the proof; the client's random number, in hexadecimal, follows."""
LOADED = "/api/loaded"
"""What the server has loaded; for those who show the token."""
_LONGEST = 1 << 16  # bytes
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True)
class Announcement:
    """One server that runs, as it says itself."""

    url: str
    token: str = field(repr=False)
    pid: int
    process_started: str | None
    host: str
    version: str

    @property
    def is_here(self) -> bool:
        """Whether it is of this machine: a home folder may be shared over a network."""
        return self.host == platform.node()


@contextmanager
def announced(folder: Path, binding: Binding, notify: Notify) -> Iterator[None]:
    """The server of ``binding`` is announced as long as the block lasts.

    Where no file of ``folder`` can be kept from others there is a notice, and no announcement.
    """
    pid = os.getpid()
    file = folder / f"{pid}.json"
    about = Announcement(
        binding.own_url,
        binding.token,
        pid,
        process_started(pid),
        platform.node(),
        aipc.__version__,
    )
    try:
        _write(file, about)
    except OSError as error:
        notify(f"`aipc run` and `chat` won't find this server: {error.strerror or error}")
    try:
        yield
    finally:
        with suppress(OSError):
            file.unlink(missing_ok=True)


def read_announcements(folder: Path, notify: Notify) -> tuple[Announcement, ...]:
    """Every server of this user that runs here, the newest first.

    Files of processes that are gone are removed.  A file that others could have written or read
    is not believed, with a notice; one of another user is not for us.
    """
    running = []
    for file in folder.glob("*.json"):
        about = _believed(file, notify)
        if about is None or not about.is_here:
            continue
        if is_running(about.pid, about.process_started):
            running.append((file, about))
        else:
            remove(folder, about)
    return tuple(about for _, about in sorted(running, key=_age))


def remove(folder: Path, about: Announcement) -> None:
    """Remove what a server that is gone has left."""
    with suppress(OSError):
        (folder / f"{about.pid}.json").unlink(missing_ok=True)


def proof(token: str, nonce: str, address: tuple[str, int]) -> str:
    """What a server that listens on ``address`` answers to ``nonce``, in hexadecimal.

    HMAC with SHA-256 (RFC 2104).
    """
    message = f"aipc {address[0]} {address[1]} {nonce}"
    return hmac.new(token.encode(), message.encode(), "sha256").hexdigest()


def _age(found: tuple[Path, Announcement]) -> float:
    try:
        return -found[0].stat().st_mtime
    except OSError:
        return 0.0


def _write(file: Path, about: Announcement) -> None:
    private_folder(file.parent)
    with replacing(file) as draft, create_private(draft) as opened:
        reason = _exposure(file, os.fstat(opened.fileno()))
        if reason:
            raise OSError(reason)
        opened.write(json.dumps(plain(about)).encode())


def _believed(file: Path, notify: Notify) -> Announcement | None:
    """None for a file that is going away, none of ours, or could be another's work."""
    flags = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        with os.fdopen(os.open(file, os.O_RDONLY | flags), "rb") as opened:
            about = os.fstat(opened.fileno())
            if not _is_own(about):
                return None
            reason = _exposure(file, about)
            if reason:
                notify(f"'{file}' is not believed: {reason}; remove it")
                return None
            return read(Announcement, json.loads(opened.read(_LONGEST)))
    except (OSError, ValueError, RecursionError):
        return None


def _is_own(about: os.stat_result) -> bool:
    return sys.platform == "win32" or about.st_uid == os.getuid()


def _exposure(file: Path, about: os.stat_result) -> str:
    """How others could read or write the file; empty where they can't.

    On Windows a file has the rights of its folder, and the user's own is closed to others.
    """
    if sys.platform == "win32":
        is_private = file.resolve().is_relative_to(Path.home().resolve())
        return "" if is_private else "it is outside this user's own folder"
    if not stat.S_ISREG(about.st_mode):
        return "it is no file"
    return "others can read or write it" if about.st_mode & _OTHERS else ""
