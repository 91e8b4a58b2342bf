"""All connections of a server: how many there may be, and which go where there are more."""

from __future__ import annotations

import logging
import sys
import time
from contextlib import suppress
from typing import Protocol

RESERVED = 64
"""Descriptors that are no connections': of listeners, workers' pipes, files being read."""
_MOST_REFUSED = 8
"""Connections that are told of their refusal at the same time: more are just closed."""
_TOLD_EVERY_S = 60.0
_log = logging.getLogger(__name__)


class Connection(Protocol):
    """As the server has them; compared by identity."""

    def drop(self) -> None:
        """Close it at once, and `Connections.leave`."""


class Connections:
    """At most ``most``; those that ask nothing go first, as the oldest does for a new one."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._all: set[Connection] = set()
        self._idle: dict[Connection, None] = {}  # the longest first
        self._refused: set[Connection] = set()
        self._told_at = float("-inf")

    def admit(self, one: Connection) -> bool:
        """Whether there is room for it, be it that of another."""
        if len(self._all) >= self._most:
            self._tell()
            if not self._idle:
                return False
            next(iter(self._idle)).drop()
        self._all.add(one)
        self._idle[one] = None
        return True

    def may_be_told(self, one: Connection) -> bool:
        """Whether one that was not admitted may stay until it has read why."""
        if len(self._refused) >= _MOST_REFUSED:
            return False
        self._refused.add(one)
        return True

    def note_busy(self, one: Connection) -> None:
        """It asks something now."""
        self._idle.pop(one, None)

    def note_idle(self, one: Connection) -> None:
        """It asks nothing any more."""
        if one in self._all:
            self._idle.setdefault(one)

    def leave(self, one: Connection) -> None:
        self._idle.pop(one, None)
        self._all.discard(one)
        self._refused.discard(one)

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._told_at >= _TOLD_EVERY_S:
            self._told_at = now
            _log.warning(
                "%d connections are open, as many as may be: new ones take the place of idle ones, "
                "or get status 503; --max-connections and `ulimit -n` allow more",
                len(self._all),
            )


def most_connections(wanted: int) -> int:
    """As many of ``wanted`` as this process can have descriptors for; asks the system for them."""
    if sys.platform == "win32":
        return wanted
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted + RESERVED:
        more = wanted + RESERVED if hard == resource.RLIM_INFINITY else min(wanted + RESERVED, hard)
        with suppress(OSError, ValueError):  # a system has limits besides those that it tells
            resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    return max(min(wanted, soft - min(RESERVED, soft * 2 // 3)), 1)
