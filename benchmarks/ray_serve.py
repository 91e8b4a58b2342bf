"""A replica on Ray Serve against `aipc serve`: what Serve's proxy and router cost.

    python benchmarks/ray_serve.py [MODEL] [--clients 8] [--tokens 128] [--rounds 10]

Both answer with the same artifact, each in a worker of its own, in one run, in turn; neither
computes while the other does.  Quoted as benchmarks/serve.py does.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from serve import Served, first, gap, prepare, rate, rounds, row, serving

WAIT_S = 120


@contextmanager
def on_ray(artifact: str) -> Iterator[Served]:
    """One replica on a Ray that is started for it, on the loopback."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    options = {"model": artifact, "device": "cpu", "port": port}
    command = [sys.executable, "-c", f"from aipc.serve.ray import run; run({options!r})"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + WAIT_S
        served = Served(port, Path(artifact).name)
        while time.monotonic() < deadline and process.poll() is None:
            with suppress(OSError, IndexError, ValueError):  # not yet deployed
                served.answer(1, 1)
                break
            time.sleep(1)
        yield served
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=10)
    asked = parser.parse_args()
    artifact, _, _ = prepare(asked.model, 1)
    print(f"{Path(artifact).name}  load {os.getloadavg()[0]:.1f}")
    with serving(artifact) as served, on_ray(artifact) as replica:
        both = {"aipc serve": served, "on Ray Serve": replica}
        for each in both.values():
            each.answer(asked.clients, 16)
        many = rounds(both, asked.rounds, asked.clients, asked.tokens)
        single = rounds(both, asked.rounds, 1, asked.tokens)
    for name in both:
        rates = [rate(each[name]) for each in many]
        print(row(f"{name}, {asked.clients} streams", rates, "tokens/s"))
    ratios = [rate(each["on Ray Serve"]) / rate(each["aipc serve"]) for each in many]
    print(row("on Ray Serve / aipc serve", ratios, "", 3))
    for what, figure in (("a token", gap), ("to the first token", first)):
        added = [figure(each["on Ray Serve"]) - figure(each["aipc serve"]) for each in single]
        print(row(f"added {what}", added, "ms", 2))
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
