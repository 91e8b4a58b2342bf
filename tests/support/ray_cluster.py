"""Ray for tests: two raylets on the loopback, one core each, that all tests of a run share."""

from __future__ import annotations

import importlib.util
from contextlib import contextmanager

import pytest

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed: pip install 'aipc[ray]'"
)


@contextmanager
def two_raylets():
    """Connects this process to them as its driver; the second also declares an NPU."""
    from aipc.cluster import connection

    connection.prepare(None)
    import ray
    from ray.cluster_utils import Cluster

    connection.silence()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        cluster.add_node(num_cpus=1, resources={"NPU": 1})
        ray.init(address=cluster.address, log_to_driver=False, configure_logging=False)
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()
