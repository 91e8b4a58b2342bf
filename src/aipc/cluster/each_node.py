"""One piece of work done once on every node of a cluster, which it has to itself meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

from aipc import telemetry
from aipc.cluster.nodes import Node
from aipc.errors import AipcError, ClusterError

_BY_RAY = "OMP_NUM_THREADS"
"""Ray sets it to the cores that a task or actor holds, none of them beside a GPU or NPU."""


def prepare_process() -> None:
    """In one of Ray's, so that what is loaded there is as elsewhere: silent, with all threads."""
    telemetry.switch_off()
    os.environ.pop(_BY_RAY, None)


def on_each_node(nodes: Sequence[Node], work: Callable[[], Any]) -> Iterator[tuple[Node, Any]]:
    """What ``work`` returned on each node, or its `AipcError`, as they come; Ray is connected.

    It holds all cores of its node, so that nothing else of Ray's runs there; of several nodes on
    one machine, one follows the other.  It is tried once.
    """
    import ray

    by_machine = attrgetter("address")
    machines = groupby(sorted(nodes, key=by_machine), by_machine)
    queues = [list(queue) for _, queue in machines]
    running = {_start(queue[0], work): queue for queue in queues}
    while running:
        [done], _ = ray.wait([*running], num_returns=1)
        node, *left = running.pop(done)
        if left:
            running[_start(left[0], work)] = left
        yield node, _outcome(done)


def _start(node: Node, work: Callable[[], Any]) -> Any:
    import ray

    options = {"num_cpus": node.resources.get("CPU", 0), "max_retries": 0, **node.pinned()}
    return ray.remote(_attempt).options(**options).remote(work)


def _attempt(work: Callable[[], Any]) -> Any:
    """Runs on the node."""
    prepare_process()
    try:
        return work()
    except AipcError as error:
        return ClusterError(error.what, error.fix)  # of a class that needs no arguments of its own


def _outcome(done: Any) -> Any:
    import ray

    try:
        return ray.get(done)
    except ray.exceptions.RayError as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return ClusterError(f"its work was ended ({lines[-1].strip()})", "see Ray's logs there")
