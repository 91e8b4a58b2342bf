"""The peers that peers.toml describes, and how each is named on the command line."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from aipc.errors import UsageError
from aipc.tables import read_table

DEFAULTS = "defaults"


@dataclass(frozen=True)
class Peer:
    """One table of peers.toml."""

    name: str
    what: str
    format: str
    kinds: tuple[str, ...]
    source: str
    packages: tuple[str, ...] = ()
    index: str = ""
    unwanted: tuple[str, ...] = ()
    costs: str = ""

    @property
    def script(self) -> Path:
        return Path(__file__).with_name(f"{self.name}.py")


@dataclass(frozen=True)
class PeerSpec:
    """A peer as it was requested: NAME[:defaults][=ARTIFACT]."""

    peer: Peer
    defaults: bool
    """With its vendor's own properties and threads, instead of those that aipc takes."""
    artifact: Path | None

    @property
    def name(self) -> str:
        return f"{self.peer.name}:{DEFAULTS}" if self.defaults else self.peer.name


@cache
def peers() -> Mapping[str, Peer]:
    table = read_table(__package__, "peers.toml")
    return {name: Peer(name, **_frozen(facts)) for name, facts in table.items()}


def find_peer(name: str) -> Peer:
    """The peer of that name.

    Raises:
        UsageError: there is none, naming the nearest.
    """
    known = peers()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        fix = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
        raise UsageError(f"unknown peer '{name}'", fix)
    return known[name]


def read_spec(text: str) -> PeerSpec:
    """What ``--peer`` was given.

    Raises:
        UsageError: an unknown peer, an addition other than "defaults", or no such path.
    """
    whole, equals, path = text.partition("=")
    name, colon, addition = whole.partition(":")
    if colon and addition != DEFAULTS:
        raise UsageError(f"--peer '{text}' asks for '{addition}'", f"write {name}:{DEFAULTS}")
    artifact = Path(path).expanduser().absolute() if equals else None
    if artifact is not None and not artifact.exists():
        raise UsageError(f"--peer '{text}': there is no '{path}'", "check the path")
    return PeerSpec(find_peer(name), bool(colon), artifact)


def read_python(text: str) -> tuple[str, str]:
    """What ``--peer-python`` was given: the peer's name and an interpreter.

    Raises:
        UsageError: no NAME=PYTHON, an unknown peer, or no such file.
    """
    name, equals, path = text.partition("=")
    if not equals or not path:
        raise UsageError(f"--peer-python '{text}' is no NAME=PYTHON", "write optimum=/venv/python")
    # not resolved: a virtual environment's python is a link, and is known by the link's place
    python = Path(path).expanduser().absolute()
    if not python.is_file():
        raise UsageError(f"--peer-python '{text}': there is no '{path}'", "check the path")
    return find_peer(name).name, str(python)


def _frozen(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in facts.items()}
