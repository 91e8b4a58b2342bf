"""The load of this machine's devices beside the sessions that run on them, at each moment.

How much of a GPU a session uses is in what Linux reports of a process's open graphics devices;
the keys are those of the kernel's Documentation/gpu/drm-usage-stats.rst.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aipc.devices.counters.counter import Counter, Growth, Reading, share
from aipc.devices.system.files import read_text
from aipc.devices.system.memory import Memory, read_memory
from aipc.session_status import SessionStatus, read_statuses

ROOT = Path("/")
_MAKERS = {"i915": "intel", "xe": "intel", "amdgpu": "amd", "nouveau": "nvidia"}
_UNITS = {"": 1, "KiB": 2**10, "MiB": 2**20}
_ENGINE, _CAPACITY = "drm-engine-", "drm-engine-capacity-"
_CYCLES, _TOTAL = "drm-cycles-", "drm-total-cycles-"

_SETTLES_S = 5.0


class ClientCounter:
    """The share of time in which this process's work ran on the busiest engine of its GPU."""

    def __init__(self, pid: int | None = None, root: Path = ROOT) -> None:
        self._folder = root / f"proc/{os.getpid() if pid is None else pid}/fdinfo"
        self._growths: dict[str, Growth] = {}

    def read(self, now: float) -> Reading | None:
        clients = list(_clients(self._folder))
        if not clients:
            return None
        shares = [share for client in clients for share in self._shares(client, now)]
        driver = clients[0]["drm-driver"]
        return Reading(
            "gpu",
            f"this process, through {driver}",
            _MAKERS.get(driver, ""),
            busy_share=share(max(shares, default=None)),
            memory_used_bytes=sum(map(_memory, clients)) or None,
        )

    def _shares(self, client: Mapping[str, str], now: float) -> Iterator[float]:
        """Of each engine: nanoseconds (i915, amdgpu), or cycles of a total (xe)."""
        for key in client:
            if key.startswith(_CYCLES):
                cycles = self._grown(client, key, now)
                total = self._grown(client, _TOTAL + key.removeprefix(_CYCLES), now)
                if cycles is not None and total:
                    yield cycles / total
            elif key.startswith(_ENGINE) and not key.startswith(_CAPACITY):
                nanoseconds = self._grown(client, key, now)
                if nanoseconds is not None:
                    yield nanoseconds / 1e9

    def _grown(self, client: Mapping[str, str], key: str, now: float) -> float | None:
        name = f"{client.get('drm-pdev')} {client['drm-client-id']} {key}"
        growth = self._growths.setdefault(name, Growth())
        number = client.get(key, "").partition(" ")[0]
        return growth.per_second(int(number) if number.isdigit() else None, now)


def _clients(folder: Path) -> Iterator[dict[str, str]]:
    """Each client once, however many file descriptors it has."""
    seen = set()
    for file in sorted(folder.glob("*")):
        lines = (read_text(file) or "").splitlines()
        pairs = (line.partition(":") for line in lines if line.startswith("drm-"))
        client = {key: value.strip() for key, _, value in pairs}
        identity = (client.get("drm-pdev"), client.get("drm-client-id"))
        if "drm-driver" in client and identity[1] is not None and identity not in seen:
            seen.add(identity)
            yield client


def _memory(client: Mapping[str, str]) -> int:
    """Bytes resident in the GPU's own memory."""
    total = 0
    for key, value in client.items():
        if key.startswith("drm-resident-vram"):
            number, _, unit = value.partition(" ")
            total += int(number) * _UNITS.get(unit, 0)
    return total


@dataclass(frozen=True)
class SessionLoad:
    """``gpu`` is the session's own share of a GPU; None where Linux's drivers do not report it."""

    session: SessionStatus
    gpu: Reading | None

    def speed(self, now: float) -> float | None:
        """Tokens a second; None while it is idle.  ``now``: seconds since 1970."""
        is_old = now - self.session.updated > _SETTLES_S and not self.session.answers
        return None if is_old else self.session.tokens_per_second


@dataclass(frozen=True)
class Snapshot:
    """``time`` is in seconds since 1970."""

    time: float
    readings: tuple[Reading, ...]
    memory: Memory
    sessions: tuple[SessionLoad, ...]

    @property
    def facts(self) -> Mapping[str, Any]:
        """Ready for JSON; null: this system does not report it."""
        return {
            "time": self.time,
            "devices": [asdict(reading) for reading in self.readings],
            "memory": asdict(self.memory),
            "sessions": [
                {
                    **asdict(one.session),
                    "tokens_per_second": one.speed(self.time),
                    "gpu_busy_share": None if one.gpu is None else one.gpu.busy_share,
                    "gpu_memory_bytes": None if one.gpu is None else one.gpu.memory_used_bytes,
                }
                for one in self.sessions
            ],
        }


class Monitor:
    """Reads every counter at each `snapshot`; the first has no rates yet."""

    def __init__(
        self,
        counters: Sequence[Counter],
        running: Path,
        client: Callable[[int], Counter] = ClientCounter,
    ) -> None:
        """``running`` is the folder of `session_status`; ``client`` makes a process's counter."""
        self._counters = counters
        self._running = running
        self._client = client
        self._clients: dict[int, Counter] = {}

    def snapshot(self) -> Snapshot:
        now = time.monotonic()
        readings = [counter.read(now) for counter in self._counters]
        return Snapshot(
            time.time(),
            tuple(reading for reading in readings if reading is not None),
            read_memory(),
            self._sessions(now),
        )

    def _sessions(self, now: float) -> tuple[SessionLoad, ...]:
        sessions = read_statuses(self._running)
        pids = {session.pid for session in sessions}
        self._clients = {pid: self._clients.get(pid) or self._client(pid) for pid in pids}
        used = {pid: client.read(now) for pid, client in self._clients.items()}
        return tuple(SessionLoad(session, used[session.pid]) for session in sessions)
