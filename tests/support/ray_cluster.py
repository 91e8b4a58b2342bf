"""Ray for tests: two raylets on the loopback, one core each."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aipc.cluster import connection

SUPPORT = Path(__file__).parent
PYTHONPATH = os.pathsep.join(map(str, (SUPPORT.parents[1] / "src", SUPPORT)))

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed: pip install 'aipc[ray]'"
)

connection.prepare(None)  # before any test imports Ray: it reads then what it may listen on


@contextmanager
def two_raylets(home: Path) -> Iterator[str]:
    """The address of their head; the second has an NPU too.  ``home`` is their store."""
    command = [sys.executable, __file__]
    pipe, env = subprocess.PIPE, {**os.environ, "PYTHONPATH": PYTHONPATH, "AIPC_HOME": str(home)}
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=env) as process:
        yield process.stdout.readline().strip()
        process.stdin.close()


def serve() -> None:
    """Start them, print their address, and end them when the standard input ends."""
    from ray.cluster_utils import Cluster

    connection.silence()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1, resources={"NPU": 1})
    sys.stdout.write(f"{cluster.address}\n")
    sys.stdout.flush()
    sys.stdin.read()
    cluster.shutdown()


if __name__ == "__main__":
    serve()
