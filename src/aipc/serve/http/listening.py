"""The sockets of a server: its address, and for a name of this machine both loopbacks."""

from __future__ import annotations

import errno
import logging
import os
import socket
import sys
import time
from dataclasses import replace
from typing import Any

from aipc.errors import AipcError, UsageError
from aipc.serve.http.binding import Binding

_BOTH = {"127.0.0.1", "localhost"}
_IPV4, _IPV6 = "127.0.0.1", "::1"
_TRIES = 8
"""For a port that is free on both loopbacks, where any will do."""
_TOLD_EVERY_S = 60.0
_log = logging.getLogger(__name__)


class ListeningSocket(socket.socket):
    """Closes a connection at once where the process has no descriptor left for it.

    Else it would wait until there is one, and the event loop would write of each try.  Windows has
    no such limit.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._spare = _descriptor()
        self._told_at = float("-inf")

    def accept(self) -> tuple[socket.socket, Any]:
        """As of any socket; BlockingIOError where a connection had to be closed."""
        try:
            return super().accept()
        except OSError as error:
            if error.errno not in {errno.EMFILE, errno.ENFILE}:
                raise
        os.close(self._spare)
        try:
            super().accept()[0].close()
        finally:
            self._spare = _descriptor()
        self._tell()
        raise BlockingIOError

    def close(self) -> None:
        if self.fileno() >= 0:
            os.close(self._spare)
        super().close()

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._told_at >= _TOLD_EVERY_S:
            self._told_at = now
            _log.warning(
                "the system gives this process no more descriptors: new connections are closed; "
                "`ulimit -n` allows more"
            )


def _descriptor() -> int:
    """One more, of nothing."""
    return os.open(os.devnull, os.O_RDONLY)


def listen(binding: Binding) -> tuple[tuple[socket.socket, ...], Binding]:
    """Sockets that listen, and the binding with the port that they got.

    127.0.0.1 and localhost have [::1] beside them, where this machine has it: a client chooses by
    itself which of the two "localhost" is, and nobody else is to answer at the other.

    Raises:
        UsageError: the address is none of this machine's.
        AipcError: the port is taken, or not for this user.
    """
    host = binding.host.strip("[]")
    if host not in _BOTH:
        return _open(host, binding)
    if not _has_ipv6():
        return _open(_IPV4, binding)
    for _ in range(_TRIES if binding.port == 0 else 1):
        first, bound = _open(_IPV4, binding)
        try:
            return (*first, *_open(_IPV6, bound)[0]), bound
        except AipcError as error:
            first[0].close()
            taken = error
    raise taken


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind((_IPV6, 0))
    except OSError:
        return False
    return True


def _open(host: str, binding: Binding) -> tuple[tuple[socket.socket], Binding]:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, binding.port, type=socket.SOCK_STREAM
        )[0]
    except OSError as error:
        fix = "give an address of this machine, such as 127.0.0.1"
        raise UsageError(f"'{host}' is no address ({error.strerror})", fix) from error
    # asyncio sets TCP_NODELAY only where the protocol is named: else a write waits 40 ms for an ACK
    listener = ListeningSocket(family, kind, protocol)
    try:
        _make_exclusive(listener)
        listener.bind(address)
        listener.listen()  # a connection made while the server starts waits, and is not refused
    except OSError as error:
        listener.close()
        what = f"can't listen on {host} port {binding.port} ({error.strerror})"
        fix = "give another --host or --port"
        if error.errno == errno.EADDRINUSE:
            what = f"port {binding.port} of {host} is taken"
            fix = "stop what listens there, or give another --port"
        raise AipcError(what, fix) from error
    return (listener,), replace(binding, port=listener.getsockname()[1])


def _make_exclusive(listener: socket.socket) -> None:
    if sys.platform == "win32":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
    else:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
