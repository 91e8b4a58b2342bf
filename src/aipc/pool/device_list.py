"""The devices of this machine that a request may name, listed by a short-lived process.

Vendors' drivers, which can crash, are loaded there and stay out of the server's process.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from aipc.child import safe_environment, spared_ctrl_c
from aipc.devices import reachable_devices
from aipc.errors import DeviceError

_COMMAND = (sys.executable, "-m", "aipc.pool.device_list")
_LIMIT_S = 60


@dataclass(frozen=True)
class ReachableDevice:
    device: str
    """The runtime's name of it, in small letters: "cpu", "gpu.1"."""
    name: str
    """The vendor's product name."""
    runtimes: tuple[str, ...]


class DeviceList:
    """Listed at the first `read`; concurrent calls await the same search."""

    def __init__(self, runtime: str = "auto") -> None:
        self._runtimes = () if runtime == "auto" else (runtime,)
        self._search: asyncio.Future[tuple[ReachableDevice, ...]] | None = None

    async def read(self) -> tuple[ReachableDevice, ...]:
        """Every device.

        Raises:
            DeviceError: they can't be listed; the next call tries again.
        """
        if self._search is None or (self._search.done() and self._search.exception()):
            self._search = asyncio.ensure_future(asyncio.to_thread(_find, self._runtimes))
        return await asyncio.shield(self._search)


def _find(runtimes: Sequence[str]) -> tuple[ReachableDevice, ...]:
    try:
        with spared_ctrl_c():
            done = subprocess.run(
                [*_COMMAND, *runtimes],
                check=True,
                capture_output=True,
                timeout=_LIMIT_S,
                env=safe_environment(),
            )
        found = json.loads(done.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        what = "the devices of this machine can't be listed"
        raise DeviceError(what, "leave device out; `aipc doctor` says why") from error
    return tuple(ReachableDevice(one["device"], one["name"], (*one["runtimes"],)) for one in found)


def main(runtimes: Sequence[str]) -> None:
    """Print the devices as JSON on a line of its own: drivers may print before it."""
    found = reachable_devices(runtimes) if runtimes else reachable_devices()
    devices = [ReachableDevice(one.name.lower(), one.full_name, one.runtimes) for one in found]
    sys.stdout.write(f"\n{json.dumps([asdict(one) for one in devices])}\n")


if __name__ == "__main__":
    from aipc import telemetry

    telemetry.switch_off()
    main(sys.argv[1:])
