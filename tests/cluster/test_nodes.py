from __future__ import annotations

import shlex
from dataclasses import replace

import pytest

from aipc.cluster.nodes import Node, needs, own_resources, start_flags
from aipc.devices import Device

CPU, NPU = Device("CPU", "cpu", "a processor"), Device("NPU", "npu", "an NPU")
ARC, RTX, SAME = (
    Device("GPU.0", "gpu", "an Arc"),
    Device("CUDA", "cuda", "an RTX"),
    Device("WebGPU", "webgpu", "an Arc"),
)


@pytest.mark.parametrize(
    ("devices", "declared", "flags"),
    [
        ([CPU], {}, ""),
        ([CPU, NPU], {"NPU": 1}, '--resources={"NPU":1}'),
        ([CPU, ARC, SAME, NPU], {"GPU": 1, "NPU": 1}, '--num-gpus=1 --resources={"NPU":1}'),
        ([RTX, RTX], {"GPU": 2}, "--num-gpus=2"),
        ([CPU, replace(SAME, facts={"type": "software"})], {}, ""),
    ],
)
def test_a_node_declares_what_ray_does_not_find_itself(devices, declared, flags):
    assert own_resources(devices) == declared
    assert start_flags(devices) == flags
    assert flags.split() == [shlex.quote(one).strip("'") for one in flags.split()]


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("cpu", {"num_cpus": 4}),
        ("auto", {"num_cpus": 4}),
        ("npu", {"num_cpus": 0, "resources": {"NPU": 1}}),
        ("gpu.1", {"num_cpus": 0, "num_gpus": 1}),
        ("cuda", {"num_cpus": 0, "num_gpus": 1}),
    ],
)
def test_an_actor_takes_its_device_alone(kind, options):
    assert needs(kind, cores=4) == options


def test_a_node_has_what_it_gives_out():
    node = Node("1", "host", "127.0.0.1", {"CPU": 4.0, "GPU": 2.0})
    assert [node.count(kind) for kind in ("cpu", "npu", "gpu.1", "cuda")] == [1, 0, 2, 2]
    assert [node.has(kind) for kind in ("auto", "npu")] == [True, False]
