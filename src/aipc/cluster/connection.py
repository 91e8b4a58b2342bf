"""Ray, started on this machine or connected to: quiet, private, and with its errors in one line.

Where no address is given everything of Ray listens on the loopback alone.  With one, the cluster
was started by its operator, who decided that.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from aipc import remedies, telemetry
from aipc.errors import ClusterError, UsageError

_REACH_S = 5.0
_CLIENT = "ray://"
_QUIET = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else a warning at every task without a GPU
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # of the part in C++, which writes to the terminal
    "RAY_DATA_LOG_LEVEL": "CRITICAL",
}
# With clusters off Ray takes 127.0.0.1 for this machine's own address: all that it starts then
# binds to that alone (ray/_private/services.py, get_node_ip_address).
_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


@contextmanager
def connected(
    address: str | None = None,
    *,
    dashboard: bool = False,
    cpus: int | None = None,
    gpus: int | None = None,
    resources: Mapping[str, float] | None = None,
) -> Iterator[None]:
    """Ray for as long as the context lasts: a started one ends with it, with its processes.

    A program that has called `ray.init` itself keeps what it has; nothing here touches that.

    Args:
        address: HOST:PORT of a cluster's head, ray://HOST:PORT, or "auto" for one that runs on
            this machine; None starts one here.
        dashboard: whether to start Ray's dashboard as well, on the loopback.
        cpus: cores that a started Ray may give out; None: all.
        gpus: GPUs likewise; None: what Ray finds, which are NVIDIA's and their like.
        resources: further things to give out, by name: `aipc.cluster.nodes.own_resources`.

    Raises:
        ClusterError: Ray is not installed, can't be reached or started, or is of another version.
        UsageError: the address is none.
    """
    _check_installed()
    prepare(address)
    import ray

    if ray.is_initialized():
        yield
        return
    silence()
    if address is None:
        more = {"num_cpus": cpus, "num_gpus": gpus, "resources": dict(resources or {})}
        _init(address="local", include_dashboard=dashboard, **more)
    else:
        _check_reachable(address)
        _init(address=address)
    try:
        yield
    finally:
        ray.shutdown()


def _check_installed() -> None:
    if find_spec("ray") is None:
        raise ClusterError("Ray is not installed", remedies.add_extra("ray"))


def prepare(address: str | None) -> None:
    """Before Ray is imported, which reads it then.

    Raises:
        ClusterError: Ray was imported already, and would listen on every address if started.
    """
    telemetry.switch_off()
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    if address is not None or os.environ.items() >= _LOOPBACK.items():
        return
    ray = sys.modules.get("ray")
    if ray is not None and sys.platform == "linux" and not ray.is_initialized():
        raise ClusterError(
            "Ray was imported before it could be told to listen on this machine alone",
            "import it later, or call ray.init() yourself",
        )
    os.environ.update(_LOOPBACK)


def silence() -> None:
    """What Ray says by itself is for its logs: an error reaches the user as an exception."""
    from ray._private import worker

    logging.getLogger("ray").setLevel(logging.CRITICAL)
    worker._worker_logs_enabled = False  # noqa: SLF001 - nothing else keeps it off stdout


def _init(**arguments: object) -> None:
    import ray

    try:
        with _mute_stderr():
            ray.init(log_to_driver=False, configure_logging=False, **arguments)
    except Exception as error:
        raise cluster_error(error) from error


@contextmanager
def _mute_stderr() -> Iterator[None]:
    """Ray's part in C++ writes there that it has been told to write nothing there."""
    kept = os.dup(2)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _check_reachable(address: str) -> None:
    """Before Ray tries, which takes five minutes over it and then ends the process."""
    if address == "auto":
        return
    host, _, port = address.removeprefix(_CLIENT).rpartition(":")
    if not host or not port.isdecimal():
        raise UsageError(
            f"'{address}' is no address of a Ray cluster",
            "write HOST:PORT of its head, ray://HOST:PORT, or auto for one on this machine",
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), _REACH_S).close()
    except (OSError, OverflowError) as error:
        raise ClusterError(
            f"nothing answers at {address} ({error})",
            "check the address and port that `ray start --head` showed, and the firewall; "
            "without an address Ray is started here",
        ) from error


def one_line(error: Exception) -> str:
    """What Ray says over many lines and in color; may be empty."""
    return " ".join(_ANSI.sub("", str(error)).split())


def cluster_error(error: Exception) -> ClusterError:
    """What Ray raised, as one line and what to do."""
    text = one_line(error)
    if "ersion mismatch" in text:
        fix = "install the same Ray and Python here as there"
    elif "uthentication" in text or "auth token" in text:
        fix = "set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN to what `ray get-auth-token` shows there"
    elif isinstance(error, ConnectionError):
        fix = "start one with `ray start --head`, or leave the address out: Ray is started here"
    else:
        fix = "its logs lie in /tmp/ray/session_latest/logs"
    return ClusterError(f"can't use Ray: {text or type(error).__name__}", fix)
