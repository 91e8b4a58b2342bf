"""The devices of this machine that a request may name, found by a process of its own.

Vendors' drivers are loaded for that, and stay out of the process that has to live.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

from aipc.devices import reachable_devices
from aipc.errors import DeviceError

_COMMAND = (sys.executable, "-m", "aipc.serve.pool.device_list")
_LIMIT_S = 60


@dataclass(frozen=True)
class Place:
    device: str
    """As its runtime addresses it, in small letters: "cpu", "gpu.1"."""
    name: str
    """As its maker calls it."""
    runtimes: tuple[str, ...]


class Places(Protocol):
    async def list(self) -> tuple[Place, ...]:
        """All of them.

        Raises:
            DeviceError: they can't be found.
        """


class FoundPlaces:
    """Looked for when they are first wanted; who comes meanwhile waits for the same look."""

    def __init__(self, runtime: str = "auto") -> None:
        self._runtimes = () if runtime == "auto" else (runtime,)
        self._looking: asyncio.Future[tuple[Place, ...]] | None = None

    async def list(self) -> tuple[Place, ...]:
        if self._looking is None or (self._looking.done() and self._looking.exception()):
            self._looking = asyncio.ensure_future(asyncio.to_thread(_look, self._runtimes))
        return await asyncio.shield(self._looking)


def _look(runtimes: Sequence[str]) -> tuple[Place, ...]:
    try:
        done = subprocess.run(
            [*_COMMAND, *runtimes], check=True, capture_output=True, timeout=_LIMIT_S
        )
        places = json.loads(done.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        what = "the devices of this machine can't be listed"
        raise DeviceError(what, "leave device out; `aipc doctor` says why") from error
    return tuple(Place(**{**one, "runtimes": tuple(one["runtimes"])}) for one in places)


def main(runtimes: Sequence[str]) -> None:
    """Print them as JSON, in a line of its own."""
    found = reachable_devices(runtimes) if runtimes else reachable_devices()
    places = [Place(one.name.lower(), one.full_name, one.runtimes) for one in found]
    sys.stdout.write(f"\n{json.dumps([asdict(one) for one in places])}\n")


if __name__ == "__main__":
    from aipc import telemetry

    telemetry.switch_off()
    main(sys.argv[1:])
