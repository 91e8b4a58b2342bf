from __future__ import annotations

import sys
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from aipc.devices import onnxruntime as source
from aipc.devices.adapters import Adapter
from aipc.devices.onnxruntime import (
    list_accelerators,
    onnx_devices,
    onnx_kinds,
    webgpu_devices,
)
from aipc.devices.webgpu import WebGPUAdapter, WebGPUFound

RTX = Adapter("gpu", "nvidia", "GeForce RTX 4090", "0000:01:00.0", "0x2684", driver="580.82.07")
ARC = Adapter("gpu", "intel", "Arc", "0000:00:02.0", "0x7d55")
NPU = Adapter("npu", "intel", "AI Boost", "0000:00:0b.0", "0x7d1d")


@dataclass
class RecordedModule:
    """ONNX Runtime's answers: its providers, and devices as (provider, maker, number)."""

    providers: tuple[str, ...]
    devices: tuple[tuple[str, str, int], ...] = ()

    def get_available_providers(self) -> list[str]:
        return list(self.providers)

    def get_ep_devices(self) -> list[SimpleNamespace]:
        return [
            SimpleNamespace(
                ep_name=provider,
                device=SimpleNamespace(vendor=maker, device_id=number, metadata={}),
            )
            for provider, maker, number in self.devices
        ]


CUDA = RecordedModule(("CUDAExecutionProvider", "CPUExecutionProvider"))
PLAIN = RecordedModule(("CPUExecutionProvider",))


def test_the_wheels_tell_what_they_are_for() -> None:
    assert onnx_kinds({}) == ()
    assert onnx_kinds({"onnxruntime": "1.31.1"}) == ()
    assert onnx_kinds({"onnxruntime": "1.31.1", "onnxruntime-genai": "0.18.0"}) == ("cpu",)
    cuda = {"onnxruntime-gpu": "1.31.1", "onnxruntime-genai-cuda": "0.18.0"}
    assert onnx_kinds(cuda) == ("cpu", "cuda")


def test_a_cuda_gpu_is_the_machines_own() -> None:
    (device,), problems = list_accelerators(CUDA, ["cuda"], [ARC, RTX, NPU])
    assert problems == ()
    assert (device.name, device.kind, device.full_name) == ("CUDA", "cuda", "GeForce RTX 4090")
    assert (device.driver, device.runtimes) == ("580.82.07", ("onnx",))
    assert device.facts["slot"] == "0000:01:00.0"


def test_two_of_a_kind_are_numbered() -> None:
    devices, _ = list_accelerators(CUDA, ["cuda"], [RTX, RTX])
    assert [device.name for device in devices] == ["CUDA.0", "CUDA.1"]


def test_a_cuda_wheel_without_a_gpu_is_a_problem_and_no_device() -> None:
    devices, (problem,) = list_accelerators(CUDA, ["cuda"], [ARC])
    assert devices == ()
    assert problem == "onnxruntime-gpu is installed, and ONNX Runtime finds no NVIDIA GPU here"


def test_a_wheel_that_another_has_overwritten_is_found_out_by_asking() -> None:
    devices, (problem,) = list_accelerators(PLAIN, ["cuda"], [RTX])
    assert devices == ()
    assert "has no CUDAExecutionProvider: it offers CPUExecutionProvider" in problem
    assert "aipc doctor" in problem


def test_a_provider_that_lists_its_devices_is_believed() -> None:
    module = RecordedModule(
        ("DmlExecutionProvider", "CPUExecutionProvider"),
        (("DmlExecutionProvider", "Intel", 0x7D55), ("CPUExecutionProvider", "Intel", 0)),
    )
    (device,), _ = list_accelerators(module, ["directml"], [ARC, RTX])
    assert (device.name, device.full_name) == ("DIRECTML", "Arc")


def test_a_webgpu_device_is_what_the_system_knows_of_it() -> None:
    listed = WebGPUAdapter("Intel", 0x7D55, "Intel(R) Graphics", is_software=False, has_half=True)
    (device,), problems = webgpu_devices(WebGPUFound((listed,), ()), [RTX, ARC])
    assert (device.name, device.full_name, problems) == ("WEBGPU", "Arc", ())
    assert (device.precisions, device.is_software) == (("fp32", "fp16"), False)


def test_a_webgpu_device_without_half_numbers_has_float32_alone() -> None:
    listed = WebGPUAdapter("AMD", 0x6810, "an old Radeon", is_software=False, has_half=False)
    (device,), _ = webgpu_devices(WebGPUFound((listed,), ()), [])
    assert (device.full_name, device.precisions) == ("an old Radeon", ("fp32",))


def test_what_the_cpu_imitates_is_told_from_a_gpu() -> None:
    listed = WebGPUAdapter("AMD", 0, "AMD", is_software=True, has_half=False)
    (device,), _ = webgpu_devices(WebGPUFound((listed,), ()), [ARC])
    assert device.full_name == "software adapter, computed by the CPU"
    assert (device.facts["type"], device.is_software) == ("software", True)


def test_a_plugin_that_lists_nothing_is_a_problem() -> None:
    devices, (problem,) = webgpu_devices(WebGPUFound((), ()), [])
    assert devices == ()
    assert problem.startswith("onnxruntime-ep-webgpu is installed, and ONNX Runtime finds no GPU")
    assert webgpu_devices(WebGPUFound((), ("it broke",)), []) == ((), ("it broke",))


def test_a_plain_wheel_is_not_loaded_and_no_gpu_is_looked_for(monkeypatch) -> None:
    monkeypatch.setattr(source, "onnx_kinds", lambda: ("cpu",))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (cpu,), problems = onnx_devices(lambda: pytest.fail("looked for GPUs"))
    assert (cpu.name, cpu.runtimes, problems) == ("CPU", ("onnx",), ())


def test_without_the_wheel_there_is_nothing(monkeypatch) -> None:
    monkeypatch.setattr(source, "onnx_kinds", lambda: ())
    assert onnx_devices() == ((), ())


def test_a_broken_package_is_a_problem(monkeypatch) -> None:
    monkeypatch.setattr(source, "onnx_kinds", lambda: ("cpu", "cuda"))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    devices, (problem,) = onnx_devices(list)
    assert devices == ()
    assert problem.startswith("ONNX Runtime can't be loaded")


def test_the_real_package_is_asked_and_believed() -> None:
    module = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" in module.get_available_providers():
        pytest.skip("this wheel has CUDA")
    devices, (problem,) = list_accelerators(module, ["cuda"], [RTX])
    assert devices == ()
    assert "CPUExecutionProvider" in problem
