"""A client that writes the bytes of HTTP itself, good ones and others."""

from __future__ import annotations

import http.client
import json
import socket
import time
from contextlib import suppress
from urllib.parse import urlsplit


class RawClient:
    """Of the server at ``url``; every socket that it opens is closed by `close`."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname, parts.port
        self._opened: list[socket.socket] = []

    def connect(self, sent: bytes = b"", timeout_s: float = 20.0) -> socket.socket:
        """A connection over which ``sent`` went, as far as the server took it."""
        connection = socket.create_connection((self.host, self.port), timeout=timeout_s)
        self._opened.append(connection)
        with suppress(OSError):
            connection.sendall(sent)
        return connection

    def head(self, method: str, path: str, *more: str) -> bytes:
        """Without the empty line at its end; ``more`` are lines."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}:{self.port}", *more]
        return "".join(f"{line}\r\n" for line in lines).encode("latin-1")

    def post(self, path: str, body: object, *more: str) -> bytes:
        """The bytes of a whole request with JSON."""
        text = json.dumps(body).encode()
        lines = ("Content-Type: application/json", f"Content-Length: {len(text)}", *more)
        return self.head("POST", path, *lines) + b"\r\n" + text

    def answers(self, sent: bytes, wait_s: float = 1.0) -> list[int]:
        """The statuses of all responses to ``sent``, until nothing more comes for a while."""
        connection = self.connect(sent, wait_s)
        heard = b""
        with suppress(OSError):
            while piece := connection.recv(1 << 16):
                heard += piece
        return [int(part[:3]) for part in heard.split(b"HTTP/1.1 ")[1:]]

    def status(self, sent: bytes, timeout_s: float = 20.0) -> int:
        """That of the first response; 0 where the server only closed the connection."""
        try:
            answer = http.client.HTTPResponse(self.connect(sent, timeout_s))
            answer.begin()
            answer.read()
        except (OSError, http.client.HTTPException):
            return 0
        return answer.status

    def close(self) -> None:
        for connection in self._opened:
            connection.close()
        self._opened.clear()


def until(condition, limit_s: float = 30.0) -> float:
    """Seconds until it holds."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < limit_s, "it does not come about"
        time.sleep(0.05)
    return time.monotonic() - started
