"""Ray as it is started here: who listens where, what is off, and what is said when it can't be."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import pytest
from ray_cluster import needs_ray

from aipc.cluster import connection
from aipc.cluster.connection import connected
from aipc.errors import ClusterError, UsageError

PROGRAM = """
import json, os, psutil
from aipc.cluster.connection import connected
from aipc.cluster.nodes import read_nodes

with connected(cpus=1, resources={"NPU": 1}):
    import ray
    from ray._common.usage import usage_lib
    started = psutil.Process().children(recursive=True)
    ours = [psutil.Process(), *started]
    print(json.dumps({
        "listening": sorted({
            one.laddr.ip.removeprefix("::ffff:")
            for process in ours
            for one in process.net_connections("inet")
            if one.status == "LISTEN"
        }),
        "ports": [
            one.laddr.port for process in ours for one in process.net_connections("inet")
        ],
        "dashboard": ray._private.worker._global_node.webui_url,
        "sends": usage_lib.usage_stats_enabled(),
        "cores": [node.resources["CPU"] for node in read_nodes()],
        "npu": [node.count("npu") for node in read_nodes()],
    }))
print(json.dumps(sum(process.is_running() and process.status() != "zombie"
                     for process in psutil.wait_procs(started, 15)[1])))
"""


@needs_ray
@pytest.mark.skipif(sys.platform != "linux", reason="psutil shows others' sockets on Linux")
def test_what_is_started_listens_on_the_loopback_alone_and_sends_nothing():
    asked = {**os.environ, "RAY_USAGE_STATS_ENABLED": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, env=asked
    )
    told, left = map(json.loads, done.stdout.splitlines())
    assert told.pop("ports").count(8265) == 0
    assert told == {
        "listening": ["127.0.0.1"],
        "dashboard": "",
        "sends": False,
        "cores": [1.0],
        "npu": [1],
    }
    assert left == 0
    assert done.stderr == ""


@needs_ray
def test_an_address_where_nothing_answers_is_told_at_once():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ClusterError, match=r"nothing answers at .*; check the address"):
        connected(f"ray://127.0.0.1:{port}").__enter__()


@needs_ray
@pytest.mark.parametrize("address", ["nonsense", "host:", ":6379", "ray://host"])
def test_what_is_no_address_is_a_wrong_usage(address):
    with pytest.raises(UsageError, match="no address of a Ray cluster; write HOST:PORT"):
        connected(address).__enter__()


def test_without_ray_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(connection, "find_spec", lambda name: None)
    with pytest.raises(ClusterError, match=r'not installed; `pip install "ray\[data,serve\]'):
        connected().__enter__()


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (
            RuntimeError("Version mismatch: The cluster was started with:\n 2.1"),
            "the same Ray",
        ),
        (RuntimeError("InvalidAuthToken: Authentication failed"), "RAY_AUTH_MODE=token"),
        (ConnectionError("Could not find any running Ray instance."), "ray start --head"),
        (OSError("\x1b[31mno room\x1b[0m"), "can't use Ray: no room; its logs"),
    ],
)
def test_what_ray_says_is_one_line_with_a_remedy(error, remedy):
    line = str(connection.cluster_error(error))
    assert remedy in line
    assert "\n" not in line
    assert "\x1b" not in line
