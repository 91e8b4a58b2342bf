"""``aipc serve`` as a process of its own, and what it writes."""

from __future__ import annotations

import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from limited import after

READY_S = 120


class Served:
    """The process, and what it has written so far; ``limit`` is a shell's, before it begins."""

    def __init__(self, store, *arguments: str, limit: str = "", **environment: str) -> None:
        command = [sys.executable, "-m", "aipc", "serve", "--port", "0", *arguments]
        self.process = subprocess.Popen(
            after(limit, command) if limit else command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "AIPC_HOME": str(store.home), **environment},
        )
        self.servers = store.servers
        self.lines: list[str] = []
        self._heard: queue.Queue[str] = queue.Queue()
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()
        self.url = self.wait_for(r"page +(http://\S+)")

    @property
    def is_announced(self) -> bool:
        return (self.servers / f"{self.process.pid}.json").exists()

    def wait_for(self, pattern: str) -> str:
        while True:
            line = self._heard.get(timeout=READY_S)
            found = re.search(pattern, line)
            if found:
                return found[found.re.groups]

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self._listener.join()

    def _listen(self) -> None:
        with self.process.stdout as output:
            for line in output:
                self.lines.append(line)
                self._heard.put(line)


EXACT = (
    *("--runtime", "openvino", "--ov-config", "INFERENCE_PRECISION_HINT=f32"),
    *("--ov-config", "KV_CACHE_PRECISION=f32", "--ov-config", "DYNAMIC_QUANTIZATION_GROUP_SIZE=0"),
)
"""Flags with which a text does not depend on what is in the cache."""


@contextmanager
def served(store, *arguments: str, **more) -> Iterator[Served]:
    """``more``: environment variables, and ``limit`` as `Served` has it."""
    running = Served(store, *arguments, **more)
    try:
        yield running
    finally:
        running.end()
