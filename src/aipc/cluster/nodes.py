"""The nodes of a Ray cluster and what each has to compute with.

Ray counts cores itself, and NVIDIA's GPUs; an NPU, or a GPU of another maker, has to be declared
when a node is started: ``ray start … $(aipc devices --ray)``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aipc.devices import Device
from aipc.errors import ClusterError

CPU, GPU = "CPU", "GPU"
NPU = "NPU"
"""The resource that stands for an NPU; for a GPU it is Ray's own."""
_GPU_KINDS = ("gpu", "cuda", "directml", "webgpu")
"""One card may be reached as several of them; the first kind that is there is counted."""


@dataclass(frozen=True)
class Node:
    """One machine of the cluster, or one of several raylets on it."""

    node_id: str
    host: str
    address: str
    resources: Mapping[str, float]
    """Everything that it gives out, by Ray's names: "CPU", "GPU", "NPU", "memory" …"""

    def count(self, kind: str) -> int:
        """How many devices of a kind it gives out: npu, gpu, cuda …; cores are one CPU."""
        resource = _resource(kind)
        count = int(self.resources.get(resource, 0))
        return min(count, 1) if resource == CPU else count

    def has(self, kind: str) -> bool:
        return self.count(kind) > 0

    def pinned(self) -> dict[str, Any]:
        """The options of a task or actor that has to run on this node and on no other."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        return {"scheduling_strategy": NodeAffinitySchedulingStrategy(self.node_id, soft=False)}


def read_nodes() -> tuple[Node, ...]:
    """The nodes that are alive, in the order in which they joined; Ray has to be connected.

    Raises:
        ClusterError: there is none.
    """
    import ray

    nodes = tuple(
        Node(
            one["NodeID"],
            one["NodeManagerHostname"],
            one["NodeManagerAddress"],
            dict(one["Resources"]),
        )
        for one in ray.nodes()
        if one["Alive"]
    )
    if not nodes:
        raise ClusterError("no node of the Ray cluster is alive", "start one with `ray start`")
    return nodes


def needs(kind: str, cores: int = 1) -> dict[str, Any]:
    """The options of an actor that computes on a device of this kind, alone on that device.

    Args:
        kind: cpu, npu, gpu, cuda …
        cores: how many a CPU's actor takes; the others take none, for their work is elsewhere.
    """
    resource = _resource(kind)
    if resource == CPU:
        return {"num_cpus": cores}
    if resource == GPU:
        return {"num_cpus": 0, "num_gpus": 1}
    return {"num_cpus": 0, "resources": {resource: 1}}


def own_resources(devices: Iterable[Device]) -> dict[str, int]:
    """What a node with these devices should declare besides its cores, by Ray's names."""
    kinds = [device.kind for device in devices if not device.is_software]
    gpus = next((kinds.count(kind) for kind in _GPU_KINDS if kind in kinds), 0)
    counts = {GPU: gpus, NPU: kinds.count("npu")}
    return {name: count for name, count in counts.items() if count}


def start_flags(devices: Iterable[Device]) -> str:
    """What `ray start` takes to declare them; without spaces inside, for a shell's ``$(…)``."""
    counts = own_resources(devices)
    gpus = counts.pop(GPU, 0)
    flags = [f"--num-gpus={gpus}"] if gpus else []
    if counts:
        flags.append(f"--resources={json.dumps(counts, separators=(',', ':'))}")
    return " ".join(flags)


def _resource(kind: str) -> str:
    kind = kind.partition(".")[0].lower()
    if kind == "npu":
        return NPU
    return GPU if kind in _GPU_KINDS else CPU
