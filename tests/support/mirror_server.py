"""A web server of files on loopback that can be made to misbehave."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote


@dataclass
class MirrorServer:
    """The files under ``root``, and how they are served, by the end of their path.

    ``sent`` replaces what is sent of a file, ``cuts`` ends answers after so many bytes each,
    ``redirects`` sends elsewhere, ``missing`` is answered by 404, ``statuses`` come first.
    """

    root: Path
    url: str = ""
    ranges: bool = True
    sent: dict[str, bytes] = field(default_factory=dict)
    cuts: dict[str, list[int]] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    statuses: dict[str, list[int]] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def asked(self, name: str) -> list[dict[str, str]]:
        """The headers of each request for a file of that name."""
        return [headers for path, headers in self.requests if path.endswith(f"/{name}")]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    mirror: MirrorServer

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass

    def do_GET(self) -> None:
        path = unquote(self.path)
        self.mirror.requests.append((path, {k.lower(): v for k, v in self.headers.items()}))
        name = path.rpartition("/")[2]
        file = self.mirror.root / path.lstrip("/")
        if self.mirror.statuses.get(name):
            self._send(self.mirror.statuses[name].pop(0), b"")
        elif name in self.mirror.redirects:
            self._send(302, b"", Location=self.mirror.redirects[name])
        elif name in self.mirror.missing or not (file.is_file() or name in self.mirror.sent):
            self._send(404, b"no such file")
        else:
            self._content(name, self.mirror.sent.get(name) or file.read_bytes())

    def _content(self, name: str, content: bytes) -> None:
        asked = self.headers.get("Range") if self.mirror.ranges else None
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        cuts = self.mirror.cuts.get(name)
        most = cuts.pop(0) if cuts else None
        if start:
            span = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self._send(206, content[start:], most, **{"Content-Range": span})
        else:
            self._send(200, content, most)

    def _send(self, status: int, body: bytes, most: int | None = None, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:most])
        self.close_connection = self.close_connection or most is not None


@contextmanager
def serving(root: Path) -> Iterator[MirrorServer]:
    """The mirror of a folder, with its address in ``url``."""
    mirror = MirrorServer(root)
    handler = type("Handler", (_Handler,), {"mirror": mirror})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    mirror.url = f"http://127.0.0.1:{server.server_port}"
    yield mirror
    server.shutdown()
    server.server_close()
