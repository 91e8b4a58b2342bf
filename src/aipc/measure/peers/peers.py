"""The peers that peers.toml describes: their names on the command line, their environments.

Each has a virtual environment with its own packages, under the store's home:

    HOME/peers/NAME/    its marker "complete" lists the packages, and is written last
"""

from __future__ import annotations

import difflib
import os
import subprocess
import sys
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from aipc.devices.system.cpu import read_cpu
from aipc.errors import MeasurementError, UsageError
from aipc.models.store import Store
from aipc.progress import Notify
from aipc.tables import read_table

DEFAULTS = "defaults"

_MARKER = "complete"
_LLAMA_FLAGS = {
    "avx512f": ("AVX512",),
    "avx512_vnni": ("AVX512_VNNI",),
    "avx512_bf16": ("AVX512_BF16",),
    "avx_vnni": ("AVX_VNNI",),
}
"""Feature → what llama.cpp's build calls it.

Stated one by one: -march=native also takes AMX, whose kernels die of an illegal instruction on
some virtual machines.
"""


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


def find_python(peer: Peer, store: Store) -> str:
    """The interpreter that has the peer's packages.

    Raises:
        MeasurementError: its environment was not made yet; how to make it, and the cost.
    """
    if not peer.packages:
        return sys.executable
    home = _home(peer, store)
    if not _is_complete(peer, home):
        raise MeasurementError(
            f"{peer.name} is not installed ({peer.costs})",
            f"run `aipc bench --install-peer {peer.name}`, or name a Python that has it: "
            f"--peer-python {peer.name}=PYTHON",
        )
    return str(_python(home))


def install(peer: Peer, store: Store, notify: Notify) -> None:
    """Make the peer's environment where it is missing.

    Raises:
        MeasurementError: pip failed; its last line.
    """
    home = _home(peer, store)
    if not peer.packages or _is_complete(peer, home):
        notify(f"{peer.name} is here already")
        return
    notify(f"installing {', '.join(peer.packages)} in '{home}' ({peer.costs})")
    venv.create(home, with_pip=True, clear=True)
    index = ("--extra-index-url", peer.index) if peer.index else ()
    _pip(peer, home, "install", *index, *peer.packages)
    if peer.unwanted:
        _pip(peer, home, "uninstall", "-y", *peer.unwanted)
    (home / _MARKER).write_text(_recorded(peer), encoding="utf-8")


def _pip(peer: Peer, home: Path, *arguments: str) -> None:
    command = [str(_python(home)), "-m", "pip", "--disable-pip-version-check", "-q", *arguments]
    features = read_cpu().features
    names = [name for feature in features for name in _LLAMA_FLAGS.get(feature, ())]
    flags = ["-DGGML_NATIVE=OFF", "-DLLAVA_BUILD=OFF", *(f"-DGGML_{name}=ON" for name in names)]
    environment = {**os.environ, "CMAKE_ARGS": " ".join(flags)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no reason given"]
        raise MeasurementError(
            f"pip could not install {peer.name}: {lines[-1].strip()[:200]}",
            f"see '{home}', and name a Python that has it: --peer-python {peer.name}=PYTHON",
        )


def _home(peer: Peer, store: Store) -> Path:
    return store.home / "peers" / peer.name


def _python(home: Path) -> Path:
    return home / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def _is_complete(peer: Peer, home: Path) -> bool:
    try:
        return (home / _MARKER).read_text(encoding="utf-8") == _recorded(peer)
    except OSError:
        return False


def _recorded(peer: Peer) -> str:
    return "\n".join(peer.packages) + "\n"
