"""The peers that peers.toml describes: their names on the command line, their environments.

Each has an environment with its own packages under the store's home, a virtual one of Python's or a
folder of npm's:

    HOME/peers/NAME/    its marker "complete" lists the packages, and is written last
"""

from __future__ import annotations

import difflib
import shlex
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from aipc.devices.nvml import open_nvml
from aipc.errors import MeasurementError, UsageError
from aipc.models.store import Store
from aipc.progress import Notify
from aipc.tables import read_table

DEFAULTS = "defaults"

_MARKER = "complete"
_CUDA_BINARIES = "node_modules/@node-llama-cpp/*/bins/*/*ggml-cuda.*"
_SCRIPTS = {"python": ".py", "node": ".mjs"}


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
    program: str = "python"
    """What runs its script: "python" or "node"."""
    binaries: Mapping[str, str] = field(default_factory=dict)
    """Node.js' platform and architecture → the npm package that has its binaries."""
    cuda: Mapping[str, str] = field(default_factory=dict)
    """The same of those for NVIDIA's GPUs."""

    @property
    def script(self) -> Path:
        return Path(__file__).with_name(self.name + _SCRIPTS[self.program])


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
        UsageError: no NAME=PYTHON, an unknown peer, one that Python does not run, or no such file.
    """
    name, equals, path = text.partition("=")
    if not equals or not path:
        raise UsageError(f"--peer-python '{text}' is no NAME=PYTHON", "write optimum=/venv/python")
    # not resolved: a virtual environment's python is a link, and is known by the link's place
    python = Path(path).expanduser().absolute()
    if not python.is_file():
        raise UsageError(f"--peer-python '{text}': there is no '{path}'", "check the path")
    peer = find_peer(name)
    if peer.program != "python":
        raise UsageError(f"--peer-python '{text}': {name} runs in {peer.program}", "leave it out")
    return name, str(python)


def _frozen(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in facts.items()}


def find_interpreter(peer: Peer, store: Store) -> str:
    """The program that runs the peer's script: a Python that has its packages, or Node.js.

    Raises:
        MeasurementError: its environment was not made yet, how to make it, and the cost; or there
            is no Node.js.
    """
    if not peer.packages:
        return sys.executable
    home = packages_folder(peer, store)
    if not _is_complete(peer, home):
        other = f", or name a Python that has it: --peer-python {peer.name}=PYTHON"
        raise MeasurementError(
            f"{peer.name} is not installed ({peer.costs})",
            f"run `aipc bench --install-peer {peer.name}`" + other * (peer.program == "python"),
        )
    return _find(peer, "node") if peer.program == "node" else str(_python(home))


def packages_folder(peer: Peer, store: Store) -> Path:
    """The peer's own environment, made or not."""
    return store.home / "peers" / peer.name


def install(peer: Peer, store: Store, notify: Notify, *, cuda: bool | None = None) -> None:
    """Make the peer's environment where it is missing.

    Args:
        peer: one of `peers`.
        store: where the environments lie.
        notify: is told what is under way.
        cuda: whether binaries for NVIDIA's GPUs are wanted; None: where its driver is.

    Raises:
        MeasurementError: pip or npm failed, its last line; or there is no Node.js.
    """
    home = packages_folder(peer, store)
    wants_cuda = bool(peer.cuda) and (open_nvml() is not None if cuda is None else cuda)
    lacks_cuda = wants_cuda and not any(home.glob(_CUDA_BINARIES))
    if not peer.packages or (_is_complete(peer, home) and not lacks_cuda):
        notify(f"{peer.name} is here already")
        return
    notify(f"installing {', '.join(peer.packages)} in '{home}' ({peer.costs})")
    if peer.program == "node":
        _install_by_npm(peer, home, cuda=wants_cuda)
        link_cuda_libraries(home)
    else:
        _install_by_pip(peer, home)
    (home / _MARKER).write_text(_recorded(peer), encoding="utf-8", newline="\n")


def _install_by_pip(peer: Peer, home: Path) -> None:
    venv.create(home, with_pip=True, clear=True)
    pip = [str(_python(home)), "-m", "pip", "--disable-pip-version-check", "-q"]
    index = ("--extra-index-url", peer.index) if peer.index else ()
    _run(peer, [*pip, "install", *index, *peer.packages])
    if peer.unwanted:
        _run(peer, [*pip, "uninstall", "-y", *peer.unwanted])


def link_cuda_libraries(home: Path) -> None:
    """Put CUDA's libraries out of NVIDIA's wheels beside llama.cpp's, which looks for them there.

    ``home`` is the peer's environment; without such wheels or binaries nothing is done.
    """
    nvidia = find_spec("nvidia")
    places = [] if nvidia is None else nvidia.submodule_search_locations or []
    pattern = "cu[0-9]*/lib/libcu*.so.*"
    libraries = [library for place in places for library in Path(place).glob(pattern)]
    for binary in home.glob(_CUDA_BINARIES):
        for library in libraries:
            link = binary.with_name(library.name)
            link.unlink(missing_ok=True)
            link.symlink_to(library)


def _install_by_npm(peer: Peer, home: Path, *, cuda: bool) -> None:
    """Only this machine's binaries: npm by itself would fetch those for every GPU too."""
    where = _run(peer, [_find(peer, "node"), "-p", "process.platform + '-' + process.arch"]).strip()
    if where not in peer.binaries:
        raise MeasurementError(f"{peer.name} has no binaries for {where}", "leave the peer out")
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    quiet = ("--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error")
    npm = [_find(peer, "npm"), "install", "--prefix", str(home), *quiet]
    packages = [*peer.packages, peer.binaries[where]]
    if cuda and where in peer.cuda:
        packages.append(peer.cuda[where])
    _run(peer, [*npm, "--ignore-scripts", "--omit=optional", *packages])


def _find(peer: Peer, program: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise MeasurementError(
            f"{peer.name} runs in Node.js, and there is no '{program}' here",
            "install Node.js 20 or newer (https://nodejs.org), or leave the peer out",
        )
    return found


def _run(peer: Peer, command: list[str]) -> str:
    """What it writes to stdout."""
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise MeasurementError(
            f"{peer.name} could not be installed: {_reason(done.stderr)}",
            f"to see all of it, run: {shlex.join(command)}",
        )
    return done.stdout


def _reason(stderr: str) -> str:
    """Of pip the last line; of npm the first after its code: of logs it speaks last."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    by_npm = [line for line in lines if line.startswith("npm error") and " code " not in line]
    return next(iter(by_npm or reversed(lines)), "no reason given")[:200]


def _python(home: Path) -> Path:
    return home / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def _is_complete(peer: Peer, home: Path) -> bool:
    try:
        return (home / _MARKER).read_text(encoding="utf-8") == _recorded(peer)
    except OSError:
        return False


def _recorded(peer: Peer) -> str:
    return "\n".join(peer.packages) + "\n"
