"""A user's service, whatever the system's manager of services: its file, and how it is switched."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from aipc.errors import AipcError
from aipc.records import replace_bytes

_PROXIES = ("HTTPS_PROXY", "NO_PROXY", "https_proxy", "no_proxy")
CARRIED = ("AIPC_HOME", "HF_ENDPOINT", "HF_HUB_OFFLINE", *_PROXIES, "SSL_CERT_FILE")
"""What a service gets of the environment that it is made in: places.  A proxy's may hold a
password, so only the user can read the file."""


@dataclass(frozen=True)
class ServiceCommand:
    """What the service runs, and where."""

    arguments: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)


class ServiceManager(Protocol):
    """One of systemd, launchd and Windows' Task Scheduler."""

    name: str
    file: Path
    """What describes the service to the manager."""

    def describe(self, command: ServiceCommand) -> bytes:
        """The content of the file."""

    def start(self) -> Sequence[Sequence[str]]:
        """The commands that have the manager read the file, and run the service from now on."""

    def stop(self) -> Sequence[Sequence[str]]:
        """Those that end it, and keep it from being run again."""

    def state(self) -> Sequence[str]:
        """One that exits with 0 while the service runs."""


def serve_command(arguments: Sequence[str], folder: Path) -> ServiceCommand:
    """``aipc serve`` with these arguments, as this installation runs it."""
    program = shutil.which("aipc", path=str(Path(sys.executable).parent))
    start = (program,) if program else (sys.executable, "-m", "aipc")
    carried = {name: os.environ[name] for name in CARRIED if os.environ.get(name)}
    return ServiceCommand((*start, "serve", *arguments), folder, carried)


def install(manager: ServiceManager, command: ServiceCommand) -> None:
    """Write the file and start the service; one that was there is replaced.

    Raises:
        AipcError: the manager is missing or refuses; the file is as it was.
    """
    content = manager.describe(command)
    earlier = manager.file.read_bytes() if manager.file.exists() else None
    manager.file.parent.mkdir(parents=True, exist_ok=True)
    replace_bytes(manager.file, [content], is_private=True)
    try:
        for step in manager.start():
            _run(manager, step)
    except AipcError:
        if earlier is None:
            manager.file.unlink()
        else:
            replace_bytes(manager.file, [earlier], is_private=True)
        raise


def remove(manager: ServiceManager) -> bool:
    """End the service and delete its file; whether there was one.

    Raises:
        AipcError: the manager refuses to end one that runs.
    """
    if not manager.file.exists():
        return False
    first, *others = manager.stop()
    try:
        _run(manager, first)
    except AipcError:  # launchd refuses to end what it has not loaded
        if is_running(manager):
            raise
    manager.file.unlink()
    for step in others:
        _run(manager, step)
    return True


def is_running(manager: ServiceManager) -> bool:
    """Whether the manager says so."""
    return shutil.which(manager.state()[0]) is not None and _call(manager.state()).returncode == 0


def _run(manager: ServiceManager, command: Sequence[str]) -> None:
    if shutil.which(command[0]) is None:
        raise AipcError(
            f"there is no {manager.name} here, which would run the service",
            "start `aipc serve` as this system starts programs at login",
        )
    done = _call(command)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["it gave no reason"]
        raise AipcError(
            f"{manager.name} refuses the service: {said[-1].strip()}",
            f"to see more, run: {' '.join(command)}",
        )


def _call(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
