from __future__ import annotations

import dataclasses

import pytest

from aipc.choose.order import explain, order
from aipc.devices.adapters import Adapter


@pytest.fixture
def states(machine, npu_generates, monkeypatch):
    """Entry → state, on a machine of these devices."""
    monkeypatch.setattr("platform.system", lambda: "Windows")

    def ask(*names, adapters=()):
        explained = explain([machine[name] for name in names], adapters)
        return {(one.place.kind, one.place.runtime, one.place.type): one.state for one in explained}

    return ask


def test_every_entry_has_reasons_and_a_source():
    assert all(entry.why and entry.but and entry.source for entry in order())
    assert [entry.kind for entry in order()][:3] == ["cuda", "gpu", "npu"]


def test_a_laptop_gets_its_npu(states):
    told = states("cpu", "igpu", "npu")
    assert told["npu", "openvino", ""].startswith("taken: for openvino models")
    assert told["gpu", "openvino", ""].startswith("next:")
    assert told["gpu", "openvino", "discrete"] == (
        "not here: no discrete GPU of Intel's that OpenVINO reaches"
    )
    assert told["cpu", "onnx", ""].startswith("taken: for onnx models")


def test_cuda_goes_before_directml_where_both_are(states):
    told = states("cpu", "cuda", "directml")
    assert told["cuda", "onnx", ""].startswith("taken")
    assert told["directml", "onnx", ""].startswith("next")


@pytest.mark.parametrize("reached", [(), ("webgpu",)])
def test_an_nvidia_gpu_without_its_wheel_says_so(states, reached):
    gpu = Adapter("gpu", "nvidia", "GeForce RTX 4090", module="nvidia")
    state = states("cpu", *reached, adapters=[gpu])["cuda", "onnx", ""]
    assert state.startswith("not reached: GeForce RTX 4090 is here; its wheel:")
    assert "pip install onnxruntime-genai-cuda==" in state
    assert states("cpu", *reached, adapters=[gpu])["npu", "openvino", ""].startswith("not here")


def test_what_the_cpu_imitates_is_for_those_who_ask(states):
    told = states("cpu", "software")
    assert told["webgpu", "onnx", ""] == (
        "not taken: the CPU computes it: --device webgpu asks for it"
    )
    assert told["cpu", "onnx", ""].startswith("taken: for onnx models")


def test_each_kind_of_a_gpu_names_its_own_wheel(states):
    told = states("cpu", adapters=[Adapter("gpu", "amd", "Radeon")])
    assert "onnxruntime-genai-directml==" in told["directml", "onnx", ""]
    assert "onnxruntime-ep-webgpu==" in told["webgpu", "onnx", ""]


def test_a_cpu_without_its_runtime_says_how_to_get_it(machine, npu_generates):
    state = explain([dataclasses.replace(machine["cpu"], runtimes=("openvino",))])[-1].state
    assert state.startswith("not reached: its wheel:")
    assert "aipc doctor" in explain([])[-2].state


def test_a_machine_without_accelerators(states, monkeypatch):
    monkeypatch.setattr("platform.system", lambda: "Linux")
    told = states("cpu")
    assert told["npu", "openvino", ""] == "not here: no NPU that OpenVINO reaches"
    assert told["directml", "onnx", ""] == ("not here: no wheel brings it to this operating system")
    assert told["cpu", "openvino", ""].startswith("taken")


def test_a_discrete_gpu_has_one_entry(states):
    told = states("cpu", "arc")
    assert told["gpu", "openvino", "discrete"].startswith("taken")
    assert told["gpu", "openvino", ""].startswith("not here")
