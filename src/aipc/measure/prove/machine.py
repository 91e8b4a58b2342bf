"""What is told of this machine: fields chosen one by one, with nothing of a person's in them."""

from __future__ import annotations

import getpass
import platform
import re
import socket
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from aipc.devices import Device
from aipc.devices.adapters import read_adapters
from aipc.devices.reach import unreached
from aipc.devices.system.cpu import read_cpu
from aipc.devices.system.memory import read_memory
from aipc.devices.wheels import installed
from aipc.measure.prove.record import ProvenMachine

_NUMBERS = re.compile(r"\d+(?:\.\d+)*")
_PLAIN = re.compile(r"[^A-Za-z0-9 .,_+()/@-]+")
_HIDDEN = "…"
_SHORTEST_NAME = 3
_ACCOUNTS = frozenset({"root", "admin", "administrator", "user"})
"""Names that are nobody's."""


def proven_machine(devices: Iterable[Device]) -> ProvenMachine:
    """Of this machine; ``devices`` are those that runtimes reach.  Loads no vendor's package."""
    cpu = read_cpu()
    hidden = unreached(read_adapters(), tuple(devices))
    return ProvenMachine(
        processor=impersonal(cpu.name),
        architecture=cpu.architecture,
        cores=cpu.physical_cores,
        threads=cpu.usable_threads,
        features=cpu.features,
        memory_bytes=read_memory().total,
        system=_system(),
        kernel=_kernel(),
        python=platform.python_version(),
        versions=dict(installed()),
        unreached=tuple(f"{one.adapter.kind}: {impersonal(one.adapter.name)}" for one in hidden),
    )


def impersonal(text: str) -> str:
    """A name that a vendor gave, without this user's, this host's or a path should they be in it.

    What could be Markdown, HTML or a control character is left out too.
    """
    text = " ".join(_HIDDEN if _is_path(part) else part for part in text.split())
    for name in _personal_names():
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", _HIDDEN, text, flags=re.IGNORECASE)
    return _HIDDEN.join(_PLAIN.sub(" ", part) for part in text.split(_HIDDEN)).strip()


def _personal_names() -> list[str]:
    names = {socket.gethostname(), socket.gethostname().partition(".")[0], str(Path.home())}
    with suppress(OSError, KeyError, ImportError):  # a user without a name
        names.add(getpass.getuser())
    names.add(Path.home().name)
    fitting = (one for one in names if len(one) >= _SHORTEST_NAME and one.lower() not in _ACCOUNTS)
    return sorted(fitting, key=len, reverse=True)


def _is_path(part: str) -> bool:
    return part.startswith(("/", "~")) or "\\" in part or bool(re.match(r"[A-Za-z]:[/\\]", part))


def _system() -> str:
    """Its name and version; not `platform.platform`'s, which has what a kernel's builder wrote."""
    name = platform.system()
    if name == "Linux":
        with suppress(OSError):
            release = platform.freedesktop_os_release()
            stated = f"{release.get('ID', 'linux')} {release.get('VERSION_ID', '')}"
            return _PLAIN.sub(" ", stated).strip()[:40].capitalize()
        return name
    if name == "Darwin":
        return f"macOS {platform.mac_ver()[0]}".strip()
    numbers = _NUMBERS.match(platform.version())
    return f"{name} {numbers[0]}" if numbers else name


def _kernel() -> str | None:
    numbers = _NUMBERS.match(platform.release())
    return numbers[0] if numbers and platform.system() == "Linux" else None
