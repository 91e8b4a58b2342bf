"""Virtual environments for the peers, each with its own packages, under the store's home.

HOME/peers/NAME/    its marker "complete" lists the packages, and is written last
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

from aipc.devices.system.cpu import read_cpu
from aipc.errors import MeasurementError
from aipc.measure.peers.peers import Peer
from aipc.models.store import Store
from aipc.session.convert import Notify

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
    environment = {**os.environ, "CMAKE_ARGS": _cmake_flags()}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no reason given"]
        raise MeasurementError(
            f"pip could not install {peer.name}: {lines[-1].strip()[:200]}",
            f"see '{home}', and name a Python that has it: --peer-python {peer.name}=PYTHON",
        )


def _cmake_flags() -> str:
    features = read_cpu().features
    names = [name for feature in features for name in _LLAMA_FLAGS.get(feature, ())]
    return " ".join(
        ["-DGGML_NATIVE=OFF", "-DLLAVA_BUILD=OFF", *(f"-DGGML_{name}=ON" for name in names)]
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
