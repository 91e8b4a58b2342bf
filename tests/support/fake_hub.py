"""A hub on loopback that speaks the real one's routes."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def git_blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass
class Repo:
    """One repository, and how it misbehaves.

    ``sent`` replaces what is sent of a file, ``cuts`` ends answers after so many bytes each,
    ``pauses`` stops one after so many until the hub is released, ``statuses`` come first,
    ``bytes_per_s`` bounds its speed.
    """

    files: dict[str, bytes]
    commit: str = COMMIT
    revisions: tuple[str, ...] = ("main",)
    gated: bool = False
    sent: dict[str, bytes] = field(default_factory=dict)
    cuts: dict[str, list[int]] = field(default_factory=dict)
    pauses: dict[str, int] = field(default_factory=dict)
    statuses: list[int] = field(default_factory=list)
    stalls: bool = False
    ranges: bool = True
    elsewhere: str = ""
    bytes_per_s: int = 0

    def siblings(self) -> list[dict[str, Any]]:
        return [self._sibling(name, content) for name, content in self.files.items()]

    def _sibling(self, name: str, content: bytes) -> dict[str, Any]:
        found = {"rfilename": name, "size": len(content), "blobId": git_blob(content)}
        if name.endswith((".safetensors", ".gguf", ".model", ".bin")):
            sha256 = hashlib.sha256(content).hexdigest()
            found["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 134}
        return found


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]


class Hub:
    """The repositories that are served, and the requests that came."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.requests: list[Request] = []
        self.released = threading.Event()
        self.hidden_status = 404
        self.page: bytes | None = None
        self.url = ""

    def asked(self, part: str) -> list[Request]:
        return [request for request in self.requests if part in request.path]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    hub: Hub

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        headers = {key.lower(): value for key, value in self.headers.items()}
        self.hub.requests.append(Request(self.command, path, headers))
        parts = path.strip("/").split("/")
        if self.hub.page is not None:
            self._send(200, self.hub.page, {"Content-Type": "text/html"})
        elif parts[:2] == ["api", "models"] and len(parts) >= 6 and parts[4] == "revision":
            self._info("/".join(parts[2:4]), "/".join(parts[5:]))
        elif len(parts) >= 5 and parts[2] == "resolve":
            self._file("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
        else:
            self._refuse(404, "")

    def _info(self, name: str, revision: str) -> None:
        repo = self._repo(name)
        if repo is None:
            return
        if revision not in (*repo.revisions, repo.commit):
            self._refuse(404, "RevisionNotFound")
            return
        answer = {"id": name, "modelId": name, "sha": repo.commit, "siblings": repo.siblings()}
        self._send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def _file(self, name: str, revision: str, file: str) -> None:
        repo = self._repo(name)
        if repo is None:
            return
        if repo.gated and self.headers.get("Authorization") != "Bearer let-me-in":
            self._refuse(403 if self.headers.get("Authorization") else 401, "GatedRepo")
        elif revision not in (*repo.revisions, repo.commit):
            self._refuse(404, "RevisionNotFound")
        elif file not in repo.files:
            self._refuse(404, "EntryNotFound")
        elif repo.elsewhere:
            self._send(302, b"", {"Location": f"{repo.elsewhere}{self.path}"})
        else:
            self._content(repo, file)

    def _repo(self, name: str) -> Repo | None:
        repo = self.hub.repos.get(name)
        if repo is None:
            self._refuse(self.hub.hidden_status, "RepoNotFound")
        elif repo.stalls:
            self.hub.released.wait(30)
            self.close_connection = True
        elif repo.statuses:
            self._refuse(repo.statuses.pop(0), "")
        else:
            return repo
        return None

    def _content(self, repo: Repo, file: str) -> None:
        content = repo.sent.get(file, repo.files[file])
        stated = repo.files[file]
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        headers = {
            "ETag": f'"{git_blob(stated)}"',
            "X-Repo-Commit": repo.commit,
            "X-Linked-Size": str(len(stated)),
            "X-Linked-ETag": f'"{hashlib.sha256(stated).hexdigest()}"',
            "Accept-Ranges": "bytes",
        }
        if start >= len(content) and start:
            self._send(416, b"", headers | {"Content-Range": f"bytes */{len(content)}"})
        elif start and repo.ranges:
            whole = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self._send(206, content[start:], headers | {"Content-Range": whole}, repo, file)
        else:
            self._send(200, content, headers, repo, file)

    def _refuse(self, status: int, code: str) -> None:
        self._send(status, b"{}", {"X-Error-Code": code} if code else {})

    def _send(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str],
        repo: Repo | None = None,
        file: str = "",
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        cuts = repo.cuts.get(file) if repo else None
        if cuts:
            body = body[: cuts.pop(0)]
            self.close_connection = True
        if repo and file in repo.pauses:
            self.wfile.write(body[: repo.pauses.pop(file)])
            self.hub.released.wait(30)
            self.close_connection = True
            return
        self._write(body, repo.bytes_per_s if repo else 0)

    def _write(self, body: bytes, bytes_per_s: int) -> None:
        piece = bytes_per_s // 50 or len(body)
        with suppress(BrokenPipeError, ConnectionResetError):  # its client was killed
            for start in range(0, len(body), max(piece, 1)):
                self.wfile.write(body[start : start + piece])
                if bytes_per_s:
                    time.sleep(0.02)


@contextmanager
def hubs() -> Iterator[Callable[[], Hub]]:
    """What starts hubs; each is a `Hub` with its address in ``url``."""
    servers: list[tuple[ThreadingHTTPServer, Hub]] = []

    def start() -> Hub:
        hub = Hub()
        handler = type("Handler", (_Handler,), {"hub": hub})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        hub.url = f"http://127.0.0.1:{server.server_port}"
        servers.append((server, hub))
        return hub

    yield start
    for server, hub in servers:
        hub.released.set()
        server.shutdown()
        server.server_close()
