from __future__ import annotations

import pytest

from aipc.choose.destination import choose_target
from aipc.choose.runtime_device import runtime_devices
from aipc.convert.recipe import Recipe
from aipc.devices.adapters import Adapter
from aipc.errors import DeviceError, UsageError

NVIDIA = Adapter("gpu", "nvidia", "NVIDIA RTX 4090", module="nvidia")


@pytest.fixture(autouse=True)
def nvidia(monkeypatch):
    """One is built in, so that its wheel is what may be missing."""
    monkeypatch.setattr("aipc.devices.device.read_adapters", lambda: [NVIDIA])


def told(target):
    return target.name, target.runtime


@pytest.mark.parametrize(
    ("has", "device", "runtime", "expected"),
    [
        (("amx",), "auto", "auto", ("cpu", "openvino")),
        (("amx",), "auto", "onnx", ("cpu", "onnx")),
        (("amx",), "cpu", "onnx", ("cpu", "onnx")),
        (("amx", "npu"), "auto", "auto", ("npu", "openvino")),
        (("amx", "npu"), "cpu", "auto", ("cpu", "openvino")),
        (("amx", "npu", "cuda"), "auto", "auto", ("cuda", "onnx")),
        (("amx", "npu", "cuda"), "auto", "openvino", ("npu", "openvino")),
        (("amx", "directml"), "DirectML", "auto", ("directml", "onnx")),
    ],
)
def test_a_model_is_converted_for_the_device_that_will_run_it(
    has, device, runtime, expected, machine
):
    devices = [machine[name] for name in has]
    assert told(choose_target(devices, device=device, runtime=runtime)) == expected


def test_a_graph_computes_in_what_the_device_has(machine):
    has_half, lacks_it = ([machine["cpu"], machine[name]] for name in ("webgpu", "old"))
    assert choose_target(has_half, device="webgpu").activations == ""
    assert choose_target(lacks_it, device="webgpu").activations == "fp32"
    assert choose_target(lacks_it, runtime="onnx").activations == "fp32"


def test_what_the_cpu_imitates_is_converted_for_only_by_name(machine):
    here = [machine["cpu"], machine["software"]]
    assert told(choose_target(here, runtime="onnx")) == ("cpu", "onnx")
    assert told(choose_target(here, device="webgpu")) == ("webgpu", "onnx")
    assert "WEBGPU" not in {one.device.name for one in runtime_devices(here)}
    (asked,) = runtime_devices(here, device="WEBGPU")
    assert asked.target.activations == "fp32"


def test_auto_passes_over_a_device_that_the_recipe_does_not_suit(machine):
    devices = [machine["amx"], machine["npu"]]
    assert told(choose_target(devices, recipe=Recipe("int4", sym=False))) == ("cpu", "openvino")
    assert told(choose_target(devices, recipe=Recipe("int8"))) == ("npu", "openvino")


def test_the_emulated_npu_needs_none(machine):
    assert told(choose_target([machine["amx"]], device="npu", emulate=True)) == ("npu", "openvino")
    with pytest.raises(UsageError, match="--emulate"):
        choose_target([machine["amx"]], device="cpu", emulate=True)


@pytest.mark.parametrize(
    ("asked", "error", "match"),
    [
        ({"device": "npu"}, DeviceError, "no NPU"),
        ({"device": "cuda"}, DeviceError, "no CUDA"),
        ({"device": "tpu"}, UsageError, "unknown device"),
        ({"device": "cuda", "runtime": "openvino"}, UsageError, "has no target 'cuda'"),
        ({"runtime": "torch"}, UsageError, "unknown runtime"),
    ],
)
def test_what_is_not_here_is_refused(asked, error, match, machine):
    with pytest.raises(error, match=match):
        choose_target([machine["amx"]], **asked)


def test_without_even_the_cpu_memory_may_be_short():
    with pytest.raises(DeviceError, match=r"can run a model; without the CPU .* may be short"):
        choose_target([])


@pytest.mark.parametrize(
    ("asked", "package"),
    [({"runtime": "onnx"}, "onnxruntime-genai"), ({"device": "cuda"}, "onnxruntime-genai-cuda")],
)
def test_a_runtime_that_is_not_installed_is_named_with_its_wheel(asked, package, machine):
    with pytest.raises(DeviceError, match=f"not installed here; .*pip install {package}=="):
        choose_target([machine["npu"]], **asked)


@pytest.mark.parametrize("has", ["amx", "npu"])
def test_without_an_nvidia_gpu_its_wheel_comes_second(has, machine, monkeypatch):
    monkeypatch.setattr("aipc.devices.device.read_adapters", list)
    with pytest.raises(
        DeviceError, match=r"^this machine has no NVIDIA GPU.*; .*on one that has, "
    ):
        choose_target([machine[has]], device="cuda")
