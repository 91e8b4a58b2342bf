"""The load of this machine's devices beside the sessions that run on them, moment by moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aipc.devices.counters.clients import ClientCounter
from aipc.devices.counters.counter import Counter, Reading
from aipc.devices.system.memory import Memory, read_memory
from aipc.session_status import SessionStatus, read_statuses

_SETTLES_S = 5.0


@dataclass(frozen=True)
class SessionLoad:
    """``gpu`` is the session's own share of a GPU; None where Linux's drivers do not tell."""

    session: SessionStatus
    gpu: Reading | None

    def speed(self, now: float) -> float | None:
        """Tokens a second; None while it does not answer.  ``now``: seconds since 1970."""
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
        """Ready for JSON; null is "this system does not report it"."""
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
