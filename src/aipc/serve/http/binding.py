"""Where the server listens, which programs and pages may use it, and what they may change."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from aipc.errors import UsageError
from aipc.options import check, option
from aipc.serve.http.client_limits import ClientLimits

KEY_VARIABLE = "AIPC_API_KEY"
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_WEB_PORT = 80
_ANY = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - every address, and how to get there
_SHORTEST_KEY = 16
_GB = 1e9
_ORIGIN = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://[^\s/?#@*]+")
_MANY = {"about", "blob", "data", "file", "filesystem", "javascript"}
"""Schemes whose pages anybody can make; a browser sends "null" for them, or another's origin."""


@dataclass(frozen=True)
class Binding:
    """An address of this machine, the names and pages that may reach it, and what they may do."""

    host: str = option("127.0.0.1", "address to listen on; all but loopback need a key")
    port: int = option(8460, "port to listen on", minimum=0, maximum=65535)
    drain_s: float = option(
        30.0, "seconds that answers under way get to end when it is stopped", minimum=0.0
    )
    exit_idle_s: float | None = option(
        None,
        "seconds without a request after which the server ends; without it never",
        minimum=1.0,
    )
    allow_pull: bool = option(
        False, "let requests fetch models from the hub into the store (Ollama's /api/pull)"
    )
    allow_delete: bool = option(
        False, "let requests remove models from the store (Ollama's /api/delete)"
    )
    files_budget: float = option(
        10.0, "room for uploads and the results of batches, all together, in GB", minimum=0.1
    )
    allowed_hosts: tuple[str, ...] = ()
    """More values of a request's Host: "pc.example", with its port if it is another."""
    allowed_origins: tuple[str, ...] = ()
    """Origins of other pages and of apps that may use it: "https://page.example"."""
    limits: ClientLimits = field(default_factory=ClientLimits)
    api_key: str | None = field(default=None, repr=False)
    token: str = field(default_factory=lambda: os.urandom(32).hex(), repr=False)
    """Made for this run; `aipc.serve.announcement` gives it to this user's own programs."""

    def __post_init__(self) -> None:
        check(self)
        if not self.is_loopback and not self.api_key:
            raise UsageError(
                f"'{self.host}' is reached from other machines, and there is no key",
                "give --api-key-file FILE or set AIPC_API_KEY, or listen on 127.0.0.1",
            )
        for origin in self.allowed_origins:
            _check_origin(origin)

    @property
    def is_loopback(self) -> bool:
        return is_loopback(self.host)

    @property
    def files_bytes(self) -> int:
        return int(self.files_budget * _GB)

    @property
    def url(self) -> str:
        return f"http://{_with_port(_bracketed(self.host), self.port)}"

    @property
    def own_url(self) -> str:
        """As the programs of this machine reach it."""
        return replace(self, host=_ANY.get(self.host.strip("[]"), self.host)).url

    def hosts(self) -> frozenset[str]:
        """Every value that a request's Host may have, in small letters."""
        names = {*LOOPBACK, _bracketed(self.host), *self.allowed_hosts}
        full = {_with_port(name.lower(), self.port) for name in names}
        bare = {name.lower() for name in names} if self.port == _WEB_PORT else set()
        return frozenset(full | bare)


def is_loopback(host: str) -> bool:
    """Whether other machines can't reach this address of the machine's."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _check_origin(origin: str) -> None:
    """Of a page, or of an app or a browser's extension, which have schemes of their own.

    Raises:
        UsageError: it is none that a browser would send, or one that stands for many.
    """
    matched = _ORIGIN.fullmatch(origin)
    if matched is None or matched["scheme"].lower() in _MANY:
        raise UsageError(
            f"'{origin}' is no origin",
            "write https://page.example or app://name, exactly and without a path",
        )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _with_port(name: str, port: int) -> str:
    has_port = name.rpartition(":")[2].isdecimal() and not name.endswith("]")
    return name if has_port else f"{name}:{port}"


def read_key(file: Path | None) -> str | None:
    """The key of ``file`` or, without one, of the environment; None without either.

    Raises:
        UsageError: the file can't be read, or its content is no key.
    """
    if file is None:
        key, where = os.environ.get(KEY_VARIABLE, ""), KEY_VARIABLE
        if not key:
            return None
    else:
        try:
            key, where = file.read_text("utf-8").strip(), f"'{file}'"
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"can't read the key from '{file}'", "give another file") from error
    if len(key) < _SHORTEST_KEY or not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError(
            f"the key in {where} can't be used",
            f"take {_SHORTEST_KEY} or more letters, digits and signs, without a space",
        )
    return key
